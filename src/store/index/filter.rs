//! A blocked Bloom filter over leaf hashes: says "certainly not" from one cache line.
//!
//! A leaf hash is uniform by itself, so its own bytes choose the block and the bits. About one absent hash in five
//! hundred is not recognised as such, and costs the read of a page.

use tlog::hash::{HASH_BYTES, Hash};

/// Bits for each leaf.
const BITS_PER_LEAF: u64 = 16;
const BLOCK_WORDS: usize = 8;
const BLOCK_BITS: u64 = 64 * BLOCK_WORDS as u64;
/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 8 * BLOCK_WORDS;
/// Bits that a leaf sets in its block, each chosen by 9 bits of its hash.
const PROBES: usize = 7;
const PROBE_BITS: usize = 9;

/// A filter. Two bytes of memory a leaf.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<[u64; BLOCK_WORDS]>,
}

impl Filter {
    /// A filter for so many leaves, empty.
    pub(super) fn new(leaves: u64) -> Self {
        let blocks = (leaves * BITS_PER_LEAF).div_ceil(BLOCK_BITS).max(1);
        Self { blocks: vec![[0; BLOCK_WORDS]; usize::try_from(blocks).expect("a filter fits into memory")] }
    }

    pub(super) fn insert(&mut self, leaf: &Hash) {
        let block = self.block(leaf);
        for (word, bit) in probes(leaf) {
            self.blocks[block][word] |= bit;
        }
    }

    /// Whether the leaf may be there. "No" is certain.
    pub(super) fn may_hold(&self, leaf: &Hash) -> bool {
        let block = &self.blocks[self.block(leaf)];
        probes(leaf).all(|(word, bit)| block[word] & bit != 0)
    }

    fn block(&self, leaf: &Hash) -> usize {
        let number = u64::from_be_bytes(leaf.as_bytes()[8..16].try_into().expect("eight bytes"));
        let block = (u128::from(number) * self.blocks.len() as u128) >> 64;
        usize::try_from(block).expect("below the number of blocks")
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn to_bytes(&self) -> impl Iterator<Item = [u8; 8]> + '_ {
        self.blocks.as_flattened().iter().map(|word| word.to_be_bytes())
    }

    /// `None` unless the bytes are whole blocks, at least one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        let block = |block: &[u8; BLOCK_BYTES]| {
            std::array::from_fn(|word| {
                u64::from_be_bytes(block[8 * word..8 * word + 8].try_into().expect("eight bytes"))
            })
        };
        (rest.is_empty() && !blocks.is_empty()).then(|| Self { blocks: blocks.iter().map(block).collect() })
    }
}

/// Word and bit of each probe, from the half of the hash that chooses neither block nor page.
fn probes(leaf: &Hash) -> impl Iterator<Item = (usize, u64)> {
    let half = u128::from_be_bytes(leaf.as_bytes()[16..HASH_BYTES].try_into().expect("sixteen bytes"));
    (0..PROBES).map(move |probe| {
        let bit = (half >> (PROBE_BITS * probe)) as usize % BLOCK_BITS as usize;
        (bit / 64, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    #[test]
    fn every_leaf_that_was_put_in_is_recognised_and_few_others() {
        let leaf = |number: u64| leaf_hash(&number.to_be_bytes());
        let mut filter = Filter::new(20_000);
        (0..20_000).for_each(|number| filter.insert(&leaf(number)));
        let bytes: Vec<u8> = filter.to_bytes().flatten().collect();
        let read = Filter::from_bytes(&bytes).unwrap();
        assert!((0..20_000).all(|number| read.may_hold(&leaf(number))));
        let wrong = (20_000..120_000).filter(|number| read.may_hold(&leaf(*number))).count();
        assert!(wrong < 400, "{wrong} of 100,000 absent leaves are not recognised");
        assert!(Filter::from_bytes(&bytes[..bytes.len() - 1]).is_none() && Filter::from_bytes(&[]).is_none());
    }
}

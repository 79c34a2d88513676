//! How far a tree has been rebuilt: its right edge, grown a bundle at a time.
//!
//! The tree's peaks are kept in two parts, over full bundles and within the last one that is not full yet. A
//! partial bundle is always read again whole once there is more of it, and its beginning compared with what was
//! there before.
//!
//! Pure. Reading and hashing bundles is [`crate::rebuild`]'s business.

use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};
use tlog::tile::TILE_WIDTH;
use tlog::tree::{Frontier, FrontierError, root_of};

/// Bits of a bundle's width.
const BUNDLE_BITS: u32 = 8;

/// The bundle does not continue the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entries up to {0} are not those that were verified before")]
pub struct Broken(pub TreeSize);

/// The right edge of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Edge {
    /// Over the hashes of full bundles.
    full: Frontier,
    /// Over the leaves of the bundle that is not full.
    rest: Frontier,
}

/// A hash of a higher tile that became complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Level of the tile that holds it; 1 for the hash of a bundle.
    pub level: u8,
    /// Its place in the level.
    pub index: u64,
    /// The hash.
    pub hash: Hash,
}

impl Edge {
    /// The edge with these peaks, largest first.
    ///
    /// # Errors
    /// [`FrontierError`] if their number does not fit the size.
    pub fn from_peaks(size: TreeSize, peaks: &[Hash]) -> Result<Self, FrontierError> {
        let bundles = TreeSize::new(size.get() >> BUNDLE_BITS).expect("smaller than a tree size");
        let rest = TreeSize::new(size.get() % TILE_WIDTH).expect("smaller than a tree size");
        let above = (bundles.get().count_ones() as usize).min(peaks.len());
        let (full, within) = peaks.split_at(above);
        let rest = Frontier::from_peaks(rest, within.to_vec())?;
        Ok(Self { full: Frontier::from_peaks(bundles, full.to_vec())?, rest })
    }

    /// The complete subtrees at the edge, largest first.
    #[must_use]
    pub fn peaks(&self) -> Vec<Hash> {
        [self.full.peaks(), self.rest.peaks()].concat()
    }

    /// Entries.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        let size = (self.full.size().get() << BUNDLE_BITS) + self.rest.size().get();
        TreeSize::new(size).expect("append keeps the size in range")
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let frontier = Frontier::from_peaks(self.size(), self.peaks()).expect("the peaks fit the size");
        frontier.head()
    }

    /// The next bundle to append, or to append again with more entries in it.
    #[must_use]
    pub fn next_bundle(&self) -> u64 {
        self.full.size().get()
    }

    /// Appends the leaves of bundle [`Edge::next_bundle`], from its first entry on. `completed` sees every hash of a
    /// higher tile that is complete now.
    ///
    /// # Errors
    /// [`Broken`] if the bundle does not begin with the entries that were there; nothing is appended then.
    pub fn append(&mut self, leaves: &[Hash], mut completed: impl FnMut(Completed)) -> Result<(), Broken> {
        let known = usize::try_from(self.rest.size().get()).expect("below 256");
        let mut rest = Frontier::new();
        let start = leaves.get(..known).ok_or(Broken(self.size()))?;
        start.iter().for_each(|leaf| rest.push(*leaf, |_, _| ()));
        if rest != self.rest {
            return Err(Broken(self.size()));
        }
        if leaves.len() as u64 == TILE_WIDTH {
            self.append_full(root_of(leaves), &mut completed);
            return Ok(());
        }
        leaves[known..].iter().for_each(|leaf| rest.push(*leaf, |_, _| ()));
        self.rest = rest;
        Ok(())
    }

    fn append_full(&mut self, bundle: Hash, completed: &mut impl FnMut(Completed)) {
        let at = self.full.size().get();
        completed(Completed { level: 1, index: at, hash: bundle });
        self.full.push(bundle, |height, hash| {
            if u32::from(height).is_multiple_of(BUNDLE_BITS) {
                completed(Completed { level: 1 + height / 8, index: at >> height, hash });
            }
        });
        self.rest = Frontier::new();
    }
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    /// Appends in steps, as checkpoints of these sizes would.
    fn grown(sizes: &[u64]) -> (Edge, Vec<Completed>) {
        let all = leaves(*sizes.last().unwrap());
        let (mut edge, mut done) = (Edge::default(), Vec::new());
        for size in sizes {
            while edge.size().get() < *size {
                let first = edge.next_bundle() * 256;
                let end = (first + 256).min(*size);
                let bundle = &all[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()];
                edge.append(bundle, |one| done.push(one)).unwrap();
            }
        }
        (edge, done)
    }

    #[test]
    fn every_way_of_growing_gives_the_tree_of_the_rfc() {
        for size in [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_001] {
            let expected = root_of(&leaves(size));
            for steps in [vec![size], vec![1, size], vec![size / 2, size], vec![1, 7, size / 3, size]] {
                let mut steps: Vec<u64> =
                    steps.into_iter().filter(|step| (1..=size).contains(step)).collect();
                steps.sort_unstable();
                let (edge, _) = grown(&steps);
                assert_eq!(edge.head().root, expected, "{steps:?}");
                assert_eq!(Edge::from_peaks(edge.size(), &edge.peaks()).unwrap(), edge);
            }
        }
        assert_eq!(Edge::default().head(), TreeHead::EMPTY);
    }

    #[test]
    fn hashes_of_higher_tiles_come_at_their_places() {
        let (_, done) = grown(&[65_536 + 256]);
        let all = leaves(65_536 + 256);
        let level_two: Vec<_> = done.iter().filter(|one| one.level == 2).collect();
        assert_eq!(level_two.len(), 1);
        assert_eq!((level_two[0].index, level_two[0].hash), (0, root_of(&all[..65_536])));
        let last = done.last().unwrap();
        assert_eq!((last.level, last.index, last.hash), (1, 256, root_of(&all[65_536..])));
    }

    #[test]
    fn a_bundle_with_another_beginning_is_refused_and_changes_nothing() {
        let (mut edge, _) = grown(&[300]);
        let before = edge.clone();
        let mut other = leaves(512)[256..].to_vec();
        other[3] = leaf_hash(b"changed");
        assert_eq!(edge.append(&other, |_| ()), Err(Broken(before.size())));
        assert!(edge.append(&other[..10], |_| ()).is_err(), "fewer entries than before");
        assert_eq!(edge, before);
    }
}

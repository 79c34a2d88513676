//! The Merkle tree of RFC 6962: its nodes, its roots, and the frontier that grows it.
//!
//! A [`Node`] names a complete subtree; its hash never changes as the tree grows. A [`Frontier`] keeps the
//! hashes of the largest complete subtrees, left to right, one for each binary digit of the size that is set:
//! enough to append to a tree of any size.
//!
//! Proofs are in [`crate::proof`], the layout in tiles is in [`crate::tile`].

use std::ops::Range;

use crate::hash::{Hash, node_hash};
use crate::ids::{SIZE_MAX, TreeHead, TreeSize};

/// A complete subtree: the leaves `[index << height, (index + 1) << height)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 for a leaf, at most 62.
    pub height: u8,
    /// Counted from the left among the nodes of that height.
    pub index: u64,
}

impl Node {
    /// The leaves below it.
    #[must_use]
    pub fn leaves(self) -> Range<u64> {
        self.index << self.height..(self.index + 1) << self.height
    }
}

/// The largest complete subtrees of a range of leaves that starts at a multiple of its own length rounded up
/// to a power of two, largest first. Their hashes fold from the right to the hash of the range.
pub(crate) fn nodes_of(range: Range<u64>) -> impl Iterator<Item = Node> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let height = u8::try_from((range.end - at).checked_ilog2()?).expect("at most 63");
        let node = Node { height, index: at >> height };
        at += 1 << height;
        Some(node)
    })
}

/// Folds the hashes of [`nodes_of`], `None` for no hashes.
pub(crate) fn fold(hashes: &[Hash]) -> Option<Hash> {
    hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// The largest power of two below `n`, for `n` of at least 2.
pub(crate) fn split_below(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The Merkle tree hash over leaf hashes.
///
/// ```
/// use tlog::{hash::{Hash, leaf_hash, node_hash}, tree::root_of};
/// let [a, b, c] = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")];
/// assert_eq!(root_of(&[a, b, c]), node_hash(&node_hash(&a, &b), &c));
/// assert_eq!(root_of(&[]), Hash::EMPTY_ROOT);
/// ```
#[must_use]
pub fn root_of(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for leaf in hashes {
        frontier.push(*leaf, |_, _| ());
    }
    frontier.root()
}

/// The peaks do not belong to the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of size {size} has {expected} complete subtrees at its edge, not {found}")]
pub struct FrontierError {
    size: TreeSize,
    expected: usize,
    found: usize,
}

/// The largest complete subtrees of a tree, enough to append to it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Largest first; as many as `size` has binary digits set.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves with these complete subtrees, largest first.
    ///
    /// # Errors
    /// [`FrontierError`] if their number does not fit the size.
    pub fn from_peaks(size: TreeSize, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.get().count_ones() as usize;
        if peaks.len() != expected {
            return Err(FrontierError { size, expected, found: peaks.len() });
        }
        Ok(Self { size: size.get(), peaks })
    }

    /// Appends a leaf. `completed` sees every complete subtree that the leaf closes: height 1, 2, and so on.
    ///
    /// Cost: one node hash a leaf on average, no allocation beyond the peaks.
    ///
    /// # Panics
    /// At 2^63 - 1 leaves.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u8, Hash)) {
        assert!(self.size < SIZE_MAX, "a log never grows past 2^63 - 1 leaves");
        let mut hash = leaf;
        for height in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each binary digit of the size");
            hash = node_hash(&left, &hash);
            completed(u8::try_from(height).expect("at most 63"), hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size).expect("push keeps the size in range")
    }

    /// The Merkle tree hash.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold(&self.peaks).unwrap_or(Hash::EMPTY_ROOT)
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size(), root: self.root() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn a_frontier_goes_on_from_its_peaks() {
        let mut frontier = Frontier::new();
        for index in 0..300_u64 {
            let again = Frontier::from_peaks(frontier.size(), frontier.peaks().to_vec()).unwrap();
            assert_eq!(again, frontier);
            frontier.push(leaf_hash(&index.to_be_bytes()), |_, _| ());
        }
        let few = frontier.peaks()[1..].to_vec();
        assert!(Frontier::from_peaks(frontier.size(), few).is_err());
    }

    #[test]
    fn completed_subtrees_are_reported_from_the_lowest_up() {
        let mut frontier = Frontier::new();
        let mut heights = Vec::new();
        for _ in 0..8 {
            frontier.push(leaf_hash(b"x"), |height, _| heights.push(height));
        }
        assert_eq!(heights, [1, 1, 2, 1, 1, 2, 3]);
    }

    #[test]
    fn a_range_splits_into_complete_subtrees() {
        let nodes: Vec<_> = nodes_of(8..15).collect();
        let expected =
            [Node { height: 2, index: 2 }, Node { height: 1, index: 6 }, Node { height: 0, index: 14 }];
        assert_eq!(nodes, expected);
        assert_eq!(nodes_of(4..4).count(), 0);
    }
}

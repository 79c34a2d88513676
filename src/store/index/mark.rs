//! What the index remembers: a hash and a place, in one of three kinds.
//!
//! | Kind | Hash | Place |
//! |---|---|---|
//! | leaf | leaf hash | its index |
//! | text | SHA-256 of a statement's text | its index |
//! | item | SHA-256 of `0x02`, the list's name, the position as u64 | the index of the entry at that position |
//!
//! A *list* grows at its end only, and its places ascend; so it can be read from any position, and as it was at any
//! tree size. The kind stands in the upper four bits of the place: nobody finds an item by asking for a leaf.

use tlog::hash::{HASH_BYTES, Hash, sha256};

/// Where the kind stands in a place.
const KIND_SHIFT: u32 = 60;
const ITEM_PREFIX: u8 = 2;

/// What a mark is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Leaf = 0,
    Text = 1,
    Item = 2,
}

/// A hash and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    hash: Hash,
    /// With the kind in its upper bits.
    place: u64,
}

/// The name of a list: a hash over what it is a list of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId([u8; HASH_BYTES]);

impl ListId {
    /// The list of this kind over these parts. Lists of different kinds or parts never meet: each part is preceded by
    /// its length.
    ///
    /// # Panics
    /// If a part has 2^32 bytes.
    #[must_use]
    pub fn new(kind: &str, parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            let length = u32::try_from(part.len()).expect("names are short");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(*sha256(&bytes).as_bytes())
    }

    /// The list that has this name already.
    #[must_use]
    pub fn from_hash(name: Hash) -> Self {
        Self(*name.as_bytes())
    }

    /// The hash of the item at this position.
    pub(super) fn item(&self, position: u64) -> Hash {
        let mut bytes = [ITEM_PREFIX; 1 + HASH_BYTES + 8];
        bytes[1..=HASH_BYTES].copy_from_slice(&self.0);
        bytes[1 + HASH_BYTES..].copy_from_slice(&position.to_be_bytes());
        sha256(&bytes)
    }
}

impl Mark {
    fn new(kind: Kind, hash: Hash, index: u64) -> Self {
        assert!(index >> KIND_SHIFT == 0, "a log has fewer than 2^60 entries");
        Self { hash, place: (kind as u64) << KIND_SHIFT | index }
    }

    /// A leaf.
    #[must_use]
    pub fn leaf(leaf: Hash, index: u64) -> Self {
        Self::new(Kind::Leaf, leaf, index)
    }

    /// A statement, by its text.
    #[must_use]
    pub fn text(text: Hash, index: u64) -> Self {
        Self::new(Kind::Text, text, index)
    }

    /// An item of a list.
    #[must_use]
    pub fn item(list: &ListId, position: u64, index: u64) -> Self {
        Self::new(Kind::Item, list.item(position), index)
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.place >> KIND_SHIFT == Kind::Leaf as u64
    }

    pub(super) fn record(&self) -> (Hash, u64) {
        (self.hash, self.place)
    }
}

/// The index in a place, if it is of this kind.
pub(super) fn index_of(kind: Kind, place: u64) -> Option<u64> {
    (place >> KIND_SHIFT == kind as u64).then_some(place & ((1 << KIND_SHIFT) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_different_parts_never_share_a_name() {
        let names = [
            ListId::new("a", &[b"bc", b"d"]),
            ListId::new("a", &[b"b", b"cd"]),
            ListId::new("ab", &[b"c", b"d"]),
            ListId::new("a", &[b"bcd"]),
            ListId::new("a", &[b"bcd", b""]),
        ];
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn a_place_is_of_one_kind() {
        let (_, place) = Mark::text(sha256(b""), 7).record();
        assert_eq!((index_of(Kind::Text, place), index_of(Kind::Leaf, place)), (Some(7), None));
        assert!(Mark::leaf(sha256(b""), 7).is_leaf());
    }
}

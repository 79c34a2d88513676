//! Lists of entries: the entries of a chain, of a register, of an agency, in the order of the log.
//!
//! The index knows which entry stands at a position of a list. Where a list ends, and where the entries from some index on
//! begin, is found by halving: a few searches, however long the list is. Everything is as it was at a tree size.
//!
//! [`Ends`] remembers where lists end for whoever appends to them.

use std::collections::HashMap;
use std::sync::Arc;

use record::statement::EntryRef;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, SIZE_MAX, TreeSize};

use crate::store::index::{IndexError, IndexFollower, ListId};

/// Lists whose ends are kept before they become the older generation; two are kept.
const GENERATION_LISTS_MAX: usize = 65_536;

/// In which order a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the oldest entry on.
    Forward,
    /// From the newest entry back.
    Backward,
}

/// Lists as they were at a tree size.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    index: &'a IndexFollower,
    size: TreeSize,
}

impl<'a> Lists<'a> {
    /// The lists of the first `size` entries.
    #[must_use]
    pub fn new(index: &'a IndexFollower, size: TreeSize) -> Self {
        Self { index, size }
    }

    /// The entry at a position.
    ///
    /// # Errors
    /// [`IndexError`], here and below.
    pub fn at(&self, list: &ListId, position: u64) -> Result<Option<LeafIndex>, IndexError> {
        self.index.lookup_item(list, position, self.size)
    }

    /// How many entries the list has.
    ///
    /// Cost: twice as many searches as the length has binary digits; one for an empty list.
    ///
    /// # Errors
    /// As above.
    pub fn length(&self, list: &ListId) -> Result<u64, IndexError> {
        let mut beyond = 1;
        if self.at(list, 0)?.is_none() {
            return Ok(0);
        }
        while self.at(list, beyond)?.is_some() {
            beyond *= 2;
        }
        self.first(beyond / 2 + 1, beyond, |position| Ok(self.at(list, position)?.is_none()))
    }

    /// The last entry.
    ///
    /// # Errors
    /// As above.
    pub fn last(&self, list: &ListId) -> Result<Option<LeafIndex>, IndexError> {
        match self.length(list)?.checked_sub(1) {
            Some(position) => self.at(list, position),
            None => Ok(None),
        }
    }

    /// At most `count` entries with an index of at least `from` (forward), or below `from` (backward).
    ///
    /// # Errors
    /// As above.
    pub fn page(
        &self,
        list: &ListId,
        from: u64,
        count: usize,
        order: Order,
    ) -> Result<Vec<LeafIndex>, IndexError> {
        let length = self.length(list)?;
        let reached = |position| Ok(self.at(list, position)?.is_none_or(|index| index.get() >= from));
        let start = self.first(0, length, reached)?;
        let count = count as u64;
        let positions: Vec<u64> = match order {
            Order::Forward => (start..length.min(start.saturating_add(count))).collect(),
            Order::Backward => (start.saturating_sub(count)..start).rev().collect(),
        };
        let found: Result<Vec<_>, _> =
            positions.into_iter().map(|position| self.at(list, position)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// The first position from `low` up to `high` at which something is so; it stays so from there on.
    fn first(
        &self,
        mut low: u64,
        mut high: u64,
        is_so: impl Fn(u64) -> Result<bool, IndexError>,
    ) -> Result<u64, IndexError> {
        while low < high {
            let middle = low + (high - low) / 2;
            if is_so(middle)? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }
}

/// Where a list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// How many entries it has.
    pub length: u64,
    /// The last one.
    pub last: LeafIndex,
    /// Its leaf hash, where it is at hand.
    pub leaf: Option<Hash>,
}

/// Where lists end, entries included that the index does not have yet.
#[derive(Debug)]
pub struct Ends {
    index: Arc<IndexFollower>,
    /// Everything appended since the index was last told is here: generations change only then.
    newer: HashMap<ListId, End>,
    older: HashMap<ListId, End>,
}

impl Ends {
    /// Ends of the lists of this index.
    #[must_use]
    pub fn new(index: Arc<IndexFollower>) -> Self {
        Self { index, newer: HashMap::new(), older: HashMap::new() }
    }

    /// Where the list ends; `None` if it is empty.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn of(&mut self, list: &ListId) -> Result<Option<End>, IndexError> {
        if let Some(end) = self.newer.get(list).or_else(|| self.older.get(list)) {
            return Ok(Some(*end));
        }
        let lists = Lists::new(&self.index, TreeSize::new(SIZE_MAX).expect("the largest size"));
        let length = lists.length(list)?;
        let Some(position) = length.checked_sub(1) else { return Ok(None) };
        let end = lists.at(list, position)?.map(|last| End { length, last, leaf: None });
        if let Some(end) = end {
            self.newer.insert(*list, end);
        }
        Ok(end)
    }

    /// Appends an entry, and returns its position.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn push(&mut self, list: &ListId, entry: EntryRef) -> Result<u64, IndexError> {
        let position = self.of(list)?.map_or(0, |end| end.length);
        self.newer.insert(*list, End { length: position + 1, last: entry.index, leaf: Some(entry.leaf) });
        Ok(position)
    }

    /// The index knows everything that was appended.
    pub fn settle(&mut self) {
        if self.newer.len() >= GENERATION_LISTS_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::{Index, Mark};
    use tlog::hash::leaf_hash;
    use tlog::ids::TreeHead;

    fn size(size: u64) -> TreeSize {
        TreeSize::new(size).unwrap()
    }

    fn entry(index: u64) -> EntryRef {
        EntryRef { index: LeafIndex::new(index).unwrap(), leaf: leaf_hash(&index.to_be_bytes()) }
    }

    /// An index in which every third entry stands in one list.
    fn filled(dir: &std::path::Path, entries: u64) -> (Arc<IndexFollower>, ListId) {
        let index = Arc::new(IndexFollower::start(Index::open(dir).unwrap(), 100_000).unwrap());
        let list = ListId::new("list", &[]);
        let mut ends = Ends::new(Arc::clone(&index));
        for at in 0..entries {
            let mut marks = vec![Mark::leaf(entry(at).leaf, at)];
            if at % 3 == 0 {
                marks.push(Mark::item(&list, ends.push(&list, entry(at)).unwrap(), at));
            }
            index.push(&marks, TreeHead { size: size(at + 1), root: leaf_hash(b"root") }).unwrap();
            ends.settle();
        }
        (index, list)
    }

    #[test]
    fn a_list_is_read_from_both_ends_from_any_index_and_as_it_was_at_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let (index, list) = filled(dir.path(), 50);
        for at in 0..=50 {
            let lists = Lists::new(&index, size(at));
            let all: Vec<u64> = (0..at).filter(|index| index % 3 == 0).collect();
            assert_eq!(lists.length(&list).unwrap(), all.len() as u64);
            assert_eq!(lists.last(&list).unwrap().map(LeafIndex::get), all.last().copied());
            for from in [0, 1, 7, 20, 48, 60] {
                for count in [1, 4, 100] {
                    let page = |order| -> Vec<u64> {
                        let page = lists.page(&list, from, count, order).unwrap();
                        page.into_iter().map(LeafIndex::get).collect()
                    };
                    let forward: Vec<u64> =
                        all.iter().copied().filter(|index| *index >= from).take(count).collect();
                    let backward: Vec<u64> =
                        all.iter().rev().copied().filter(|index| *index < from).take(count).collect();
                    assert_eq!(page(Order::Forward), forward, "{at} {from} {count}");
                    assert_eq!(page(Order::Backward), backward, "{at} {from} {count}");
                }
            }
        }
        assert_eq!(Lists::new(&index, size(50)).length(&ListId::new("other", &[])).unwrap(), 0);
    }

    #[test]
    fn an_end_that_was_forgotten_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (index, list) = filled(dir.path(), 50);
        let mut ends = Ends::new(index);
        assert_eq!(ends.of(&list).unwrap().map(|end| (end.length, end.last.get())), Some((17, 48)));
        assert_eq!(ends.push(&list, entry(50)).unwrap(), 17);
        assert_eq!(ends.of(&list).unwrap().unwrap().leaf, Some(entry(50).leaf));
    }
}

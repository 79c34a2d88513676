//! Decides, in order, what becomes of each pending entry: a new leaf, or one that the log already holds.
//!
//! Called by the sequencer alone, on one entry after the other, so that a race is decided once. Admission
//! has searched the index before (in parallel, and up to some size); here only what was committed since
//! is searched again: the last two generations of leaves are kept in memory.
//!
//! Absent on purpose: bytes from the network, tickets, storage of anything.

use std::collections::HashMap;
use std::sync::Arc;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};

use crate::lookup::{Lookup, LookupError};
use crate::pool::Pending;

/// Leaves a generation holds before it becomes the older one; two are kept, about 15 MB together.
const GENERATION_LEAVES_MAX: usize = 65_536;

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the next place.
    New(LeafIndex),
    /// The same bytes are in the log, or earlier in this batch, at this place.
    Duplicate(LeafIndex),
}

/// The judge of one log.
#[derive(Debug)]
pub struct Judge {
    lookup: Arc<Lookup>,
    committed: TreeSize,
    recent: Recent,
}

/// Leaves by hash, from index `covers_from` up to the newest one judged.
#[derive(Debug)]
struct Recent {
    covers_from: u64,
    older: HashMap<Hash, u64>,
    newer: HashMap<Hash, u64>,
    newer_from: u64,
}

impl Recent {
    fn get(&self, leaf: &Hash) -> Option<u64> {
        self.newer.get(leaf).or_else(|| self.older.get(leaf)).copied()
    }

    fn insert(&mut self, leaf: Hash, index: u64) {
        if self.newer.len() >= GENERATION_LEAVES_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.covers_from = self.newer_from;
            self.newer_from = index;
        }
        self.newer.insert(leaf, index);
    }
}

impl Judge {
    /// A judge of a log with `committed` entries.
    #[must_use]
    pub fn new(lookup: Arc<Lookup>, committed: TreeSize) -> Self {
        let from = committed.get();
        let recent =
            Recent { covers_from: from, older: HashMap::new(), newer: HashMap::new(), newer_from: from };
        Self { lookup, committed, recent }
    }

    /// Judges the next entry. `batch` are the entries of this batch found new so far; the next new one goes to
    /// `committed + batch.len()`.
    ///
    /// # Errors
    /// [`LookupError`]: the log cannot tell whether it holds the entry.
    pub fn judge(&mut self, pending: &Pending, batch: &[Pending]) -> Result<Verdict, LookupError> {
        let base = self.committed.get();
        if let Some(index) = self.recent.get(&pending.leaf) {
            let place = LeafIndex::new(index).expect("an index of this log");
            let stored = match index.checked_sub(base) {
                Some(at) => batch.get(at as usize).is_some_and(|other| other.entry == pending.entry),
                None => self.lookup.entry(place, self.committed)? == pending.entry,
            };
            return if stored { Ok(Verdict::Duplicate(place)) } else { Err(LookupError::IndexLies(place)) };
        }
        if pending.absent_below.get() < self.recent.covers_from
            && let Some(index) = self.lookup.find(&pending.leaf, self.committed)?
        {
            return Ok(Verdict::Duplicate(index));
        }
        let index = base + batch.len() as u64;
        self.recent.insert(pending.leaf, index);
        Ok(Verdict::New(LeafIndex::new(index).expect("a log never grows past 2^63")))
    }

    /// Takes note that the batch was committed; its leaves are now entries of the log.
    pub fn committed(&mut self, size: TreeSize) {
        self.committed = size;
    }
}

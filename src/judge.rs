//! Decides, in order, what becomes of each pending entry: a new leaf, or one that the log already holds.
//!
//! Called by the sequencer alone, on one entry after the other, so that a race is decided once. Admission
//! has searched the index before (in parallel, and up to some size); here only what was committed since
//! is searched again: the last two generations of entries are kept in memory.
//!
//! In a log that takes any bytes an entry is the same if its bytes are. In a log of records it is the same if its text
//! is: the text under other signatures is refused, and a text that is new goes before the registry
//! ([`crate::records::judge`]). The search for duplicates comes before every other check.
//!
//! Absent on purpose: bytes from the network, tickets, storage of anything.

use std::collections::HashMap;
use std::sync::Arc;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize, UnixMillis};

use crate::lookup::{Lookup, LookupError};
use crate::pool::Pending;
use crate::records::judge::RecordJudge;
use crate::records::{Refused, text_hash};
use crate::store::index::Mark;

/// Entries a generation holds before it becomes the older one; two are kept, about 15 MB together.
const GENERATION_ENTRIES_MAX: usize = 65_536;

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the next place.
    New(LeafIndex),
    /// The same bytes are in the log, or earlier in this batch, at this place.
    Duplicate(LeafIndex),
    /// It is a statement that may not go in. Its neighbours are not touched by that.
    Refused(Refused),
}

/// The judge of one log.
#[derive(Debug)]
pub struct Judge {
    lookup: Arc<Lookup>,
    committed: TreeSize,
    recent: Recent,
    /// In logs of records.
    records: Option<RecordJudge>,
}

/// Entries by identity, from index `covers_from` up to the newest one judged.
#[derive(Debug)]
struct Recent {
    covers_from: u64,
    older: HashMap<Hash, u64>,
    newer: HashMap<Hash, u64>,
    newer_from: u64,
}

impl Recent {
    fn get(&self, identity: &Hash) -> Option<u64> {
        self.newer.get(identity).or_else(|| self.older.get(identity)).copied()
    }

    fn insert(&mut self, identity: Hash, index: u64) {
        if self.newer.len() >= GENERATION_ENTRIES_MAX {
            self.older = std::mem::take(&mut self.newer);
            self.covers_from = self.newer_from;
            self.newer_from = index;
        }
        self.newer.insert(identity, index);
    }
}

impl Judge {
    /// A judge of a log with `committed` entries; `records` where it takes statements.
    #[must_use]
    pub fn new(lookup: Arc<Lookup>, committed: TreeSize, records: Option<RecordJudge>) -> Self {
        let from = committed.get();
        let recent =
            Recent { covers_from: from, older: HashMap::new(), newer: HashMap::new(), newer_from: from };
        Self { lookup, committed, recent, records }
    }

    /// The registry, where there is one.
    pub(crate) fn records(&mut self) -> Option<&mut RecordJudge> {
        self.records.as_mut()
    }

    /// Judges the next entry. `batch` are the entries of this batch found new so far; the next new one goes to
    /// `committed + batch.len()`, under a head of this time.
    ///
    /// # Errors
    /// [`LookupError`]: the log cannot tell whether it holds the entry, or what came before it.
    pub fn judge(
        &mut self,
        pending: &Pending,
        batch: &[Pending],
        time: UnixMillis,
    ) -> Result<Verdict, LookupError> {
        if let Some((index, stored)) = self.known(pending, batch)? {
            return Ok(match stored == pending.entry {
                true => Verdict::Duplicate(index),
                false => Verdict::Refused(Refused::OtherSignatures(index)),
            });
        }
        if let Some(records) = &mut self.records
            && let Err(refused) = records.judge(pending, batch, self.committed, &self.lookup, time)?
        {
            return Ok(Verdict::Refused(refused));
        }
        let index = self.committed.get() + batch.len() as u64;
        self.recent.insert(pending.identity, index);
        Ok(Verdict::New(LeafIndex::new(index).expect("a log never grows past 2^63")))
    }

    /// The entry that has the identity of this one, with its bytes.
    fn known(
        &self,
        pending: &Pending,
        batch: &[Pending],
    ) -> Result<Option<(LeafIndex, Vec<u8>)>, LookupError> {
        if let Some(index) = self.recent.get(&pending.identity) {
            let place = LeafIndex::new(index).expect("an index of this log");
            let stored = match index.checked_sub(self.committed.get()) {
                Some(at) => batch.get(at as usize).map(|other| other.entry.to_vec()).unwrap_or_default(),
                None => self.lookup.entry(place, self.committed)?,
            };
            let same = match self.records {
                Some(_) => text_hash(&stored) == Some(pending.identity),
                None => stored == pending.entry,
            };
            return if same { Ok(Some((place, stored))) } else { Err(LookupError::IndexLies(place)) };
        }
        if pending.absent_below.get() >= self.recent.covers_from {
            return Ok(None);
        }
        match self.records {
            Some(_) => self.lookup.find_text(&pending.identity, self.committed),
            None => self.lookup.find_with_entry(&pending.identity, self.committed),
        }
    }

    /// What the batch judged last adds to the index besides its leaves.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        self.records.as_mut().map(RecordJudge::take_marks).unwrap_or_default()
    }

    /// Takes note that the batch was committed; its leaves are now entries of the log, and the index has its marks. So many
    /// are published.
    pub fn committed(&mut self, size: TreeSize, published: TreeSize) {
        self.committed = size;
        if let Some(records) = &mut self.records {
            records.committed(size, published);
        }
    }
}

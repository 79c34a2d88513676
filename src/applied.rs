//! How far the tree on disk has come: applied (written, not yet synced) and flushed (synced).
//!
//! The sequencer advances the applied head after the last write of a batch. Housekeeping reads it *before* it
//! collects the dirty files, so that everything the head needs is among them, and reports it flushed when
//! all of them are synced. The sequencer then lets the journal go below it.
//!
//! Absent on purpose: files. See [`crate::store::tiles`] and [`crate::housekeeping`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use tlog::ids::TreeHead;

/// A head and the number of the journal record that committed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Size and root.
    pub head: TreeHead,
    /// Journal record.
    pub seq: u64,
}

/// Both watermarks.
#[derive(Debug)]
pub struct Applied {
    /// `applied` is the sequencer's, `flushed` housekeeping's; `flushed` never passes `applied`.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    applied: Mark,
    flushed: Mark,
    /// The flushed head has not yet been told to the journal.
    news: bool,
}

impl Applied {
    /// Starts with both watermarks as recovery found them.
    #[must_use]
    pub fn new(applied: Mark, flushed: Mark) -> Self {
        Self { state: Mutex::new(State { applied, flushed, news: true }) }
    }

    /// The sequencer has written every object of `head`.
    pub fn advance(&self, head: TreeHead, seq: u64) {
        self.lock().applied = Mark { head, seq };
    }

    /// The newest head whose objects are all written.
    #[must_use]
    pub fn applied(&self) -> Mark {
        self.lock().applied
    }

    /// The newest head whose objects are all synced.
    #[must_use]
    pub fn flushed(&self) -> Mark {
        self.lock().flushed
    }

    /// Every object of `mark` is synced, and the ledger says so.
    pub fn set_flushed(&self, mark: Mark) {
        let mut state = self.lock();
        assert!(mark.seq <= state.applied.seq, "only what was applied can be flushed");
        state.flushed = mark;
        state.news = true;
    }

    /// The flushed head, once after each change.
    #[must_use]
    pub fn take_flushed(&self) -> Option<TreeHead> {
        let mut state = self.lock();
        std::mem::take(&mut state.news).then_some(state.flushed.head)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The bounded waiting room between admission and the sequencer.
//!
//! A *submission* is what one request brings: one entry or many, in order. It waits here until the
//! sequencer takes it, whole, into one batch. The pool counts entries and bytes and refuses beyond its
//! limits before anything is promised; the refusal is the caller's 503.
//!
//! Absent on purpose: duplicates, order across submissions and outcomes. Those are decided by
//! [`crate::judge`], inside the sequencer. A ticket is answered by [`crate::publish`], never from here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};
use tokio::sync::oneshot;

use crate::records::{Admitted, Refused};

/// One entry on its way to the log.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The exact bytes that become the leaf.
    pub entry: Bytes,
    /// `tlog::hash::leaf_hash` of them, computed at admission.
    pub leaf: Hash,
    /// What no two entries of the log share: the leaf hash, or the hash of the text where statements are taken.
    pub identity: Hash,
    /// How far the index had been searched for this identity at admission: it is absent below this size.
    pub absent_below: TreeSize,
    /// What admission has found out about a statement; `None` in logs that take any bytes.
    pub statement: Option<Arc<Admitted>>,
}

impl Pending {
    /// Bytes of a statement that nobody known has signed so far.
    fn unsettled_bytes(&self) -> usize {
        match self.statement.as_deref() {
            Some(Admitted::Unsettled(_)) => self.entry.len(),
            _ => 0,
        }
    }
}

/// What happened to one entry of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The place in the tree, for ever.
    pub index: LeafIndex,
    /// True when the same bytes were in the log already.
    pub duplicate: bool,
}

/// Why a submission was not carried out, or why its outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The pool holds as much as it may; nothing was taken.
    #[error(
        "the log is taking in more than it can write; nothing was stored, send the same bytes again later"
    )]
    PoolFull,
    /// Writing has been stopped for the reason given; nothing was taken.
    #[error("the log is not taking entries: {0}; nothing was stored, reads go on")]
    Closed(String),
    /// Accepted, but the answer is lost: the entry may or may not be in the log.
    #[error("the outcome is unknown; send the same bytes again, a second copy is never stored")]
    Unknown,
}

impl SubmitError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PoolFull => "pool_full",
            Self::Closed(_) => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// What became of one entry.
pub type Decision = Result<Placed, Refused>;

/// The answer to a submission: one decision an entry, in order. One that is refused does not sink its neighbours;
/// in a log that takes any bytes none is.
pub type Outcome = Result<Vec<Decision>, SubmitError>;

/// A submission in the pool.
#[derive(Debug)]
pub struct Submission {
    /// The entries, in the order in which they take their places.
    pub entries: Vec<Pending>,
    /// Where the answer goes; a receiver that has gone away is no error.
    pub reply: oneshot::Sender<Outcome>,
}

impl Submission {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|pending| pending.entry.len()).sum()
    }

    fn unsettled_bytes(&self) -> usize {
        self.entries.iter().map(Pending::unsettled_bytes).sum()
    }
}

/// Who stops and restarts writing; each only lifts its own stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseBy {
    /// The clock gives no time to sign with.
    Clock,
    /// The disk is below its floor of free space.
    Space,
    /// Housekeeping does not keep up.
    Backlog,
    /// The witnesses have not yet said, after the start, how much of this log they know. Nothing may be signed, so
    /// nothing is handed out either.
    Witnesses,
}

/// How much may wait, and how much goes into one batch.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Entries that may wait.
    pub entries_max: usize,
    /// Bytes of entries that may wait.
    pub bytes_max: usize,
    /// Bytes of statements that may wait although a key that signed them is not known. Anybody can send those, and they wait
    /// parsed; one submission may be larger if no other waits.
    pub unsettled_bytes_max: usize,
    /// Entries after which a batch takes no further submission.
    pub batch_entries_max: usize,
    /// Bytes after which a batch takes no further submission.
    pub batch_bytes_max: usize,
}

/// What the sequencer finds when it comes for work.
#[derive(Debug)]
pub enum Work {
    /// Submissions for one batch.
    Batch(Vec<Submission>),
    /// Nothing waits, but a fresh tree head was asked for.
    Refresh,
    /// The pool has been shut and is empty.
    Ended,
}

/// The waiting room. Shared by the request handlers and the sequencer.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    /// Owned by whoever holds the lock; `entries`, `bytes` and `unsettled_bytes` always equal the sums over `waiting`.
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: std::collections::VecDeque<Submission>,
    entries: usize,
    bytes: usize,
    unsettled_bytes: usize,
    refresh: bool,
    paused: [Option<String>; 4],
    ended: bool,
}

impl State {
    fn is_held(&self) -> bool {
        self.paused[PauseBy::Witnesses as usize].is_some()
    }
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, state: Mutex::default(), arrived: Condvar::new() }
    }

    /// Takes a submission in, or refuses it before anything was promised.
    ///
    /// # Errors
    /// [`SubmitError::PoolFull`] beyond a limit, [`SubmitError::Closed`] while writing is stopped.
    pub fn submit(&self, entries: Vec<Pending>) -> Result<oneshot::Receiver<Outcome>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { entries, reply };
        let (count, bytes) = (submission.entries.len(), submission.bytes());
        let unsettled = submission.unsettled_bytes();
        let mut state = self.lock();
        if let Some(reason) = state.paused.iter().flatten().next() {
            return Err(SubmitError::Closed(reason.clone()));
        }
        if state.ended {
            return Err(SubmitError::Closed("it is shutting down".to_owned()));
        }
        if state.entries + count > self.limits.entries_max || state.bytes + bytes > self.limits.bytes_max {
            return Err(SubmitError::PoolFull);
        }
        let unsettled_after = state.unsettled_bytes + unsettled;
        if unsettled > 0 && state.unsettled_bytes > 0 && unsettled_after > self.limits.unsettled_bytes_max {
            return Err(SubmitError::PoolFull);
        }
        state.entries += count;
        state.bytes += bytes;
        state.unsettled_bytes = unsettled_after;
        let first = state.waiting.is_empty();
        state.waiting.push_back(submission);
        drop(state);
        if first {
            self.arrived.notify_one();
        }
        Ok(answer)
    }

    /// Asks for a fresh tree head even if no entry arrives.
    pub fn request_refresh(&self) {
        self.lock().refresh = true;
        self.arrived.notify_one();
    }

    /// Waits for work, at most `patience`, and takes one batch of it in order of arrival.
    /// `None` means that nothing came in that time.
    #[must_use]
    pub fn take(&self, patience: Duration) -> Option<Work> {
        let state = self.lock();
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, patience, |state| {
                (state.is_held() || (state.waiting.is_empty() && !state.refresh)) && !state.ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_held() {
            return state.ended.then_some(Work::Ended);
        }
        if !state.waiting.is_empty() {
            return Some(Work::Batch(self.next_batch(&mut state)));
        }
        if state.ended {
            return Some(Work::Ended);
        }
        std::mem::take(&mut state.refresh).then_some(Work::Refresh)
    }

    fn next_batch(&self, state: &mut State) -> Vec<Submission> {
        let (mut batch, mut entries, mut bytes, mut unsettled) = (Vec::new(), 0, 0, 0);
        while let Some(submission) = state.waiting.front() {
            let (count, size) = (submission.entries.len(), submission.bytes());
            let over =
                entries + count > self.limits.batch_entries_max || bytes + size > self.limits.batch_bytes_max;
            if over && !batch.is_empty() {
                break;
            }
            entries += count;
            bytes += size;
            unsettled += submission.unsettled_bytes();
            batch.extend(state.waiting.pop_front());
        }
        state.entries -= entries;
        state.bytes -= bytes;
        state.unsettled_bytes -= unsettled;
        // A batch brings a fresh head with it.
        state.refresh = false;
        batch
    }

    /// Stops taking submissions, for the reason given; those that wait stay.
    pub fn pause(&self, by: PauseBy, reason: &str) {
        self.lock().paused[by as usize] = Some(reason.to_owned());
    }

    /// Lifts the stop of `by`.
    pub fn resume(&self, by: PauseBy) {
        if self.lock().paused[by as usize].take().is_some() {
            self.arrived.notify_all();
        }
    }

    /// Why submissions are refused at the moment, if they are.
    #[must_use]
    pub fn paused(&self) -> Option<String> {
        self.lock().paused.iter().flatten().next().cloned()
    }

    /// Whether `by` has stopped writing.
    #[must_use]
    pub fn is_paused_by(&self, by: PauseBy) -> bool {
        self.lock().paused[by as usize].is_some()
    }

    /// Shuts the pool: what waits is still taken, nothing new comes in.
    pub fn end(&self) {
        self.lock().ended = true;
        self.arrived.notify_all();
    }

    /// Entries and bytes that wait.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.entries, state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A holder that panicked left counters that may not match; the process ends on any panic, so the
        // value is only read on the way out.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    const LIMITS: PoolLimits = PoolLimits {
        entries_max: 4,
        bytes_max: 100,
        unsettled_bytes_max: 1000,
        batch_entries_max: 3,
        batch_bytes_max: 50,
    };

    fn pending(entry: &'static [u8]) -> Pending {
        let leaf = leaf_hash(entry);
        let entry = Bytes::from_static(entry);
        Pending { entry, leaf, identity: leaf, absent_below: TreeSize::ZERO, statement: None }
    }

    fn sizes(work: Option<Work>) -> Vec<usize> {
        match work {
            Some(Work::Batch(batch)) => batch.iter().map(|submission| submission.entries.len()).collect(),
            other => panic!("expected a batch, found {other:?}"),
        }
    }

    #[test]
    fn beyond_its_entries_the_pool_refuses_and_keeps_what_it_has() {
        let pool = Pool::new(LIMITS);
        let _kept = pool.submit(vec![pending(b"a"), pending(b"b"), pending(b"c")]).unwrap();
        assert_eq!(pool.submit(vec![pending(b"d"), pending(b"e")]).unwrap_err(), SubmitError::PoolFull);
        assert_eq!(pool.depth(), (3, 3));
        pool.submit(vec![pending(b"d")]).unwrap();
        assert_eq!(pool.depth(), (4, 4));
    }

    #[test]
    fn beyond_its_bytes_the_pool_refuses() {
        let pool = Pool::new(LIMITS);
        pool.submit(vec![pending(&[7; 90])]).unwrap();
        assert_eq!(pool.submit(vec![pending(&[8; 11])]).unwrap_err(), SubmitError::PoolFull);
        pool.submit(vec![pending(&[8; 10])]).unwrap();
    }

    #[test]
    fn a_batch_takes_submissions_in_order_up_to_its_limits_and_never_splits_one() {
        let pool = Pool::new(LIMITS);
        pool.submit(vec![pending(b"a"), pending(b"b")]).unwrap();
        pool.submit(vec![pending(b"c"), pending(b"d")]).unwrap();
        assert_eq!(sizes(pool.take(Duration::ZERO)), [2]);
        assert_eq!(sizes(pool.take(Duration::ZERO)), [2]);
        assert_eq!(pool.depth(), (0, 0));
        assert!(pool.take(Duration::ZERO).is_none());
    }

    #[test]
    fn a_submission_larger_than_a_batch_goes_alone() {
        let pool = Pool::new(LIMITS);
        pool.submit(vec![pending(&[1; 60])]).unwrap();
        pool.submit(vec![pending(b"a")]).unwrap();
        assert_eq!(sizes(pool.take(Duration::ZERO)), [1]);
        assert_eq!(sizes(pool.take(Duration::ZERO)), [1]);
    }

    #[test]
    fn a_paused_pool_says_why_and_takes_again_after_resume() {
        let pool = Pool::new(LIMITS);
        pool.pause(PauseBy::Space, "the disk is nearly full");
        pool.pause(PauseBy::Clock, "the clock is behind");
        pool.resume(PauseBy::Clock);
        let refused = pool.submit(vec![pending(b"a")]).unwrap_err();
        assert!(refused.to_string().contains("the disk is nearly full"), "{refused}");
        pool.resume(PauseBy::Space);
        pool.submit(vec![pending(b"a")]).unwrap();
    }

    #[test]
    fn before_the_witnesses_have_answered_nothing_is_handed_out_that_would_be_signed() {
        let pool = Pool::new(LIMITS);
        pool.pause(PauseBy::Witnesses, "the witnesses have not answered");
        pool.request_refresh();
        assert!(pool.take(Duration::ZERO).is_none());
        assert!(matches!(pool.submit(vec![pending(b"a")]), Err(SubmitError::Closed(_))));
        pool.resume(PauseBy::Witnesses);
        assert!(matches!(pool.take(Duration::ZERO), Some(Work::Refresh)));
        pool.pause(PauseBy::Witnesses, "again");
        pool.end();
        assert!(matches!(pool.take(Duration::ZERO), Some(Work::Ended)));
    }

    #[test]
    fn an_ended_pool_gives_out_what_waits_and_then_says_ended() {
        let pool = Pool::new(LIMITS);
        pool.submit(vec![pending(b"a")]).unwrap();
        pool.end();
        assert!(matches!(pool.submit(vec![pending(b"b")]), Err(SubmitError::Closed(_))));
        assert_eq!(sizes(pool.take(Duration::ZERO)), [1]);
        assert!(matches!(pool.take(Duration::ZERO), Some(Work::Ended)));
    }

    #[test]
    fn a_refresh_is_handed_out_once() {
        let pool = Pool::new(LIMITS);
        pool.request_refresh();
        assert!(matches!(pool.take(Duration::ZERO), Some(Work::Refresh)));
        assert!(pool.take(Duration::ZERO).is_none());
    }
}

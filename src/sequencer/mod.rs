//! The one owner of the tree. Takes batches from the pool and commits them, at its own pace.
//!
//! A batch goes: judge in order, integrate, audit by the second path, **commit to the journal**, sign, apply
//! the tiles, hand to the publisher. While it is written the next one gathers in the pool; an idle log takes a
//! lone entry at once. Nothing is signed that is not committed (invariant 2), nothing leaves here that was
//! not audited.
//!
//! Every error is fatal: the tree in memory and the one on disk may then differ, and only a full load
//! from durable state tells which is right (invariant 10). The clock is the one exception, it is read before
//! anything is touched.
//!
//! Absent on purpose: the network, publication ([`crate::publish`]), housekeeping ([`crate::housekeeping`]).

mod apply;
mod clock;

pub use apply::{Applier, ApplyError};
pub use clock::{BatchClock, ClockError};

use std::sync::Arc;
use std::time::Duration;

use tlog::crypto::sha256_independent;
use tlog::ids::{TreeHead, UnixMillis};

use crate::applied::Mark as Applied;
use crate::audit::{AuditError, Auditor, Sealed};
use crate::heads::Heads;
use crate::integrate::Edge;
use crate::judge::{Judge, Verdict};
use crate::lookup::LookupError;
use crate::pool::{PauseBy, Pending, Placed, Pool, Submission, SubmitError, Work};
use crate::probe::{Point, Probe};
use crate::publish::{Committed, Unpublished, Waiter};
use crate::records::judge::RecordJudge;
use crate::signer::{LogSigner, SignError};
use crate::space::Space;
use crate::store::index::{IndexError, IndexFollower, Mark};
use crate::store::journal::{Commit, Journal, JournalError};

/// How long the sequencer waits for the publisher before it refuses what the pool holds.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// Why the log has to stop.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// The second path found something else than what would have been signed.
    #[error("a batch failed its audit and was not committed: {0}")]
    Audit(#[from] AuditError),
    /// Bytes changed after they were audited: the machine's memory or disk is not to be trusted.
    #[error("{0} was altered; nothing was published. Check the machine's memory and disk")]
    Altered(&'static str),
    /// The commit failed, or its outcome is unknown.
    #[error("the commit failed: {0}")]
    Journal(#[from] JournalError),
    /// The signature failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A tile could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// It is not known whether an entry is in the log.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The index does not take the batch.
    #[error("the index does not follow: {0}")]
    Index(#[from] IndexError),
}

/// The journal holds what was audited, as read back from it.
fn confirm(stored: &Commit, sealed: &Sealed) -> Result<(), SequencerError> {
    if stored.head != sealed.head {
        return Err(SequencerError::Altered("the head on its way to the journal"));
    }
    if sha256_independent(&[&stored.entries]) != sealed.payload {
        return Err(SequencerError::Altered("the entries on their way to the journal"));
    }
    Ok(())
}

/// What a sequencer works with.
#[derive(Debug)]
pub struct Parts {
    /// Where submissions wait.
    pub pool: Arc<Pool>,
    /// Where committed heads go.
    pub unpublished: Arc<Unpublished>,
    /// Whom the committed size is told.
    pub heads: Arc<Heads>,
    /// The commit point.
    pub journal: Journal,
    /// Journal that may wait to be flushed before writing stops.
    pub journal_bytes_max: u64,
    /// The floor of free space.
    pub space: Space,
    /// The keys.
    pub signer: Arc<LogSigner>,
    /// Writes the public tree.
    pub applier: Applier,
    /// The index that follows.
    pub index: Arc<IndexFollower>,
    /// Duplicates.
    pub judge: Judge,
    /// The time.
    pub clock: BatchClock,
    /// The right edge, by the first path.
    pub edge: Edge,
    /// The right edge, by the second.
    pub auditor: Auditor,
    /// Where tests flip bits.
    pub probe: Probe,
}

/// The sequencer. Runs on a thread of its own.
#[derive(Debug)]
pub struct Sequencer {
    parts: Parts,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// A batch, possibly empty, was committed.
    Committed,
    /// Work was refused without being committed: no room, or no time to sign with.
    Refused,
    /// The pool has ended.
    Ended,
}

/// A judged batch.
#[derive(Debug, Default)]
struct Batch {
    new: Vec<Pending>,
    waiters: Vec<Waiter>,
}

impl Sequencer {
    /// A sequencer that goes on from the recovered state.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// The head committed last.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.parts.edge.head()
    }

    /// The registry, in a log of records.
    pub fn records(&mut self) -> Option<&mut RecordJudge> {
        self.parts.judge.records()
    }

    /// The number of the journal record committed last.
    #[must_use]
    pub fn committed_seq(&self) -> u64 {
        self.parts.journal.seq()
    }

    /// The time of the head committed last.
    #[must_use]
    pub fn committed_time(&self) -> UnixMillis {
        self.parts.journal.time()
    }

    /// Takes one batch, if one comes within `patience`.
    ///
    /// # Errors
    /// [`SequencerError`]: the process must end. What was in the batch has an unknown outcome.
    pub fn step(&mut self, patience: Duration) -> Result<Step, SequencerError> {
        self.release_journal();
        let work = self.parts.pool.take(patience);
        self.resume_when_the_clock_is_right();
        let Some(work) = work else { return Ok(Step::Idle) };
        let refresh = matches!(work, Work::Refresh);
        let submissions = match work {
            Work::Ended => return Ok(Step::Ended),
            Work::Refresh => Vec::new(),
            Work::Batch(submissions) => submissions,
        };
        if !self.parts.index.wait_for_room(ROOM_WAIT) {
            return Ok(refuse(submissions, "its index does not keep up"));
        }
        // A fresh head takes next to no space, and readers need it.
        if !refresh && let Some(reason) = self.parts.space.missing() {
            return Ok(refuse(submissions, &reason));
        }
        if self.parts.journal.live_bytes() > self.parts.journal_bytes_max {
            return Ok(refuse(submissions, "its disk does not keep up with flushing"));
        }
        if !self.parts.unpublished.wait_for_room(ROOM_WAIT) {
            return Ok(refuse(submissions, "what was committed waits too long for publication"));
        }
        let time = match self.parts.clock.read() {
            Ok(time) => time,
            Err(error) => {
                self.parts.pool.pause(PauseBy::Clock, &error.to_string());
                return Ok(refuse(submissions, &error.to_string()));
            }
        };
        let batch = self.judge(submissions, time)?;
        if batch.new.is_empty() && !refresh {
            self.parts.unpublished.wait(batch.waiters);
            return Ok(Step::Committed);
        }
        self.commit(batch, time)?;
        Ok(Step::Committed)
    }

    fn resume_when_the_clock_is_right(&self) {
        let pool = &self.parts.pool;
        if pool.is_paused_by(PauseBy::Clock) && self.parts.clock.read().is_ok() {
            pool.resume(PauseBy::Clock);
        }
    }

    fn judge(&mut self, submissions: Vec<Submission>, time: UnixMillis) -> Result<Batch, SequencerError> {
        let mut batch = Batch::default();
        for Submission { entries, reply } in submissions {
            let mut decisions = Vec::with_capacity(entries.len());
            for pending in entries {
                decisions.push(match self.parts.judge.judge(&pending, &batch.new, time)? {
                    Verdict::New(index) => {
                        batch.new.push(pending);
                        Ok(Placed { index, duplicate: false })
                    }
                    Verdict::Duplicate(index) => Ok(Placed { index, duplicate: true }),
                    Verdict::Refused(refused) => Err(refused),
                });
            }
            batch.waiters.push(Waiter { decisions, reply });
        }
        Ok(batch)
    }

    fn commit(&mut self, mut batch: Batch, time: UnixMillis) -> Result<(), SequencerError> {
        let parts = &mut self.parts;
        let first = parts.edge.head().size;
        let mut payload = Vec::with_capacity(batch.new.iter().map(|pending| pending.entry.len() + 2).sum());
        for pending in &mut batch.new {
            parts.probe.leaf(&mut pending.leaf);
            tlog::bundle::push_entry(&mut payload, &pending.entry).expect("admission bounds entries");
        }
        parts.probe.bytes(Point::Payload, &mut payload);
        let mut marks: Vec<Mark> =
            (first.get()..).zip(&batch.new).map(|(index, pending)| Mark::leaf(pending.leaf, index)).collect();
        marks.extend(parts.judge.take_marks());
        let entries = batch.new.iter().map(|pending| (pending.leaf, pending.entry.as_ref()));
        let mut objects = parts.edge.integrate(entries);
        parts.probe.objects(Point::Object, &mut objects);
        let mut head = parts.edge.head();
        parts.probe.head(Point::Head, &mut head);
        let mut sealed = parts.auditor.check(&payload, &objects, &head)?;
        parts.probe.objects(Point::AuditedObject, &mut objects);
        parts.probe.bytes(Point::AuditedPayload, &mut payload);
        parts.probe.head(Point::AuditedHead, &mut head);

        let count = u32::try_from(batch.new.len()).expect("a batch is bounded");
        let seq = parts.journal.append(&Commit { head, time, first, entries: payload, count })?;
        confirm(&parts.journal.read_last()?, &sealed)?;
        parts.clock.committed(time);

        parts.probe.head(Point::CommittedHead, &mut head);
        let checkpoint = parts.signer.sign(head, time)?;
        if checkpoint.head() != sealed.head {
            return Err(SequencerError::Altered("the head between commit and signature"));
        }
        let fresh = parts.applier.apply(&objects, Applied { head: sealed.head, seq })?;
        sealed.objects.retain(|(path, _)| fresh.contains(path));
        parts.index.push(&marks, sealed.head)?;
        parts.judge.committed(sealed.head.size, parts.heads.published().head().size);
        // Last, so that whoever searches up to this size finds the index and the bundles there.
        parts.heads.commit(sealed.head.size, time);
        let committed = Committed { checkpoint, time, seq, objects: sealed.objects, waiters: batch.waiters };
        parts.unpublished.push(committed);
        Ok(())
    }

    fn release_journal(&mut self) {
        if let Some(flushed) = self.parts.applier.applied().take_flushed() {
            let _ = self.parts.journal.release(flushed.size);
        }
    }
}

fn refuse(submissions: Vec<Submission>, reason: &str) -> Step {
    for submission in submissions {
        // A client that went away needs no answer.
        let _ = submission.reply.send(Err(SubmitError::Closed(reason.to_owned())));
    }
    Step::Refused
}

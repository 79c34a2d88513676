//! From a committed head to a public one: read back, anchor, publish, answer.
//!
//! Commits go on while a round runs, so committed heads queue here; a round takes the newest and covers
//! all. Order matters: every object that the head needs is read back and compared before the checkpoint is
//! visible, the anchor is synced before, and tickets are answered after.
//!
//! The queue is bounded. [`Unpublished::wait_for_room`] is asked before a batch is taken, so that what
//! cannot be published soon is refused while nothing has been promised.
//!
//! Absent on purpose: signing, and the tree itself.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::crypto::sha256_independent;
use tlog::ids::{TreeSize, UnixMillis};
use tlog::tile::TilePath;
use tokio::sync::oneshot;

use crate::audit::Digest;
use crate::heads::{Heads, Published};
use crate::pool::{Outcome, Placed};
use crate::store::anchor::{Anchor, AnchorError, AnchoredHead};
use crate::store::tiles::TileStore;

/// A head that the journal holds and the world does not know yet.
#[derive(Debug)]
pub struct Committed {
    /// The signed checkpoint, verified after signing.
    pub checkpoint: VerifiedCheckpoint,
    /// The clock reading of its batch.
    pub time: UnixMillis,
    /// The number of its journal record.
    pub seq: u64,
    /// What it added to the tree: path and audited digest.
    pub objects: Vec<(TilePath, Digest)>,
    /// Who waits for it.
    pub waiters: Vec<Waiter>,
}

/// A submission whose outcome is known and waits for publication.
#[derive(Debug)]
pub struct Waiter {
    /// The answer.
    pub placed: Vec<Placed>,
    /// Where it goes.
    pub reply: oneshot::Sender<Outcome>,
}

/// Why a committed head could not be published. Any of these ends the process.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An object is not on disk as it was written.
    #[error("{0} does not read back as it was written; the checkpoint that needs it is withheld")]
    ReadBack(TilePath),
    /// The disk failed.
    #[error("{what} failed: {error}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The anchor failed.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
}

/// How much may be committed and not yet published.
#[derive(Clone, Copy, Debug)]
pub struct TailLimits {
    /// Heads in the queue.
    pub heads_max: usize,
    /// Entries that they add.
    pub entries_max: u64,
}

/// The queue of committed heads.
#[derive(Debug)]
pub struct Unpublished {
    limits: TailLimits,
    /// Filled by the sequencer, emptied by the publisher.
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    heads: Vec<Committed>,
    /// Duplicates of entries whose head was pushed before.
    waiters: Vec<Waiter>,
    /// Entries that the queued heads add.
    entries: u64,
    /// A round is running with heads already taken; they still count as one against the limit.
    publishing: bool,
    ended: bool,
}

impl Unpublished {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: TailLimits) -> Self {
        Self { limits, queue: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a committed head. It is taken even when it goes past the limit by one batch: it is committed.
    pub fn push(&self, committed: Committed, entries: u64) {
        let mut queue = self.lock();
        queue.entries += entries;
        queue.heads.push(committed);
        drop(queue);
        self.changed.notify_all();
    }

    /// Adds waiters whose entries are all below a head that was pushed before.
    pub fn wait(&self, waiters: Vec<Waiter>) {
        self.lock().waiters.extend(waiters);
        self.changed.notify_all();
    }

    /// Waits at most `patience` for room for one more batch; false if there is none.
    #[must_use]
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let full = |queue: &mut Queue| {
            queue.heads.len() + usize::from(queue.publishing) >= self.limits.heads_max
                || queue.entries >= self.limits.entries_max
        };
        let waited = self.changed.wait_timeout_while(self.lock(), patience, full);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !full(&mut queue)
    }

    /// Heads that wait for publication.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.lock().heads.len()
    }

    /// No head will follow; the publisher stops when the queue is empty.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Takes everything, waiting at most `patience`. `Err` when the queue has ended.
    fn take(&self, patience: Duration) -> Result<(Vec<Committed>, Vec<Waiter>), Ended> {
        let idle = |queue: &mut Queue| queue.heads.is_empty() && queue.waiters.is_empty();
        let waited =
            self.changed.wait_timeout_while(self.lock(), patience, |queue| idle(queue) && !queue.ended);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if idle(&mut queue) && queue.ended {
            return Err(Ended);
        }
        queue.entries = 0;
        queue.publishing = !queue.heads.is_empty();
        Ok((std::mem::take(&mut queue.heads), std::mem::take(&mut queue.waiters)))
    }

    fn done(&self) {
        self.lock().publishing = false;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue has ended and is empty.
#[derive(Debug)]
pub struct Ended;

/// Publishes committed heads. Runs on a thread of its own.
#[derive(Debug)]
pub struct Publisher {
    queue: Arc<Unpublished>,
    heads: Arc<Heads>,
    tiles: Arc<TileStore>,
    anchor: Option<Anchor>,
}

impl Publisher {
    /// A publisher for this queue.
    #[must_use]
    pub fn new(
        queue: Arc<Unpublished>,
        heads: Arc<Heads>,
        tiles: Arc<TileStore>,
        anchor: Option<Anchor>,
    ) -> Self {
        Self { queue, heads, tiles, anchor }
    }

    /// One round over everything that waits. `Ok(Err(Ended))` once there is nothing more to come.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was made public, and nobody was answered.
    pub fn step(&mut self, patience: Duration) -> Result<Result<(), Ended>, PublishError> {
        let (mut taken, late) = match self.queue.take(patience) {
            Ok(taken) => taken,
            Err(ended) => return Ok(Err(ended)),
        };
        let objects: Vec<_> = taken.iter_mut().flat_map(|head| std::mem::take(&mut head.objects)).collect();
        let waiters: Vec<_> = taken.iter_mut().flat_map(|head| std::mem::take(&mut head.waiters)).collect();
        if let Some(newest) = taken.pop() {
            self.publish(newest, &objects)?;
        }
        let size = self.heads.published().head().size;
        for waiter in waiters.into_iter().chain(late) {
            answer(waiter, size);
        }
        self.queue.done();
        Ok(Ok(()))
    }

    fn publish(&mut self, newest: Committed, objects: &[(TilePath, Digest)]) -> Result<(), PublishError> {
        self.read_back(objects)?;
        if let Some(anchor) = &mut self.anchor {
            let head = newest.checkpoint.head();
            anchor.write(&AnchoredHead { head, time: newest.time, seq: newest.seq })?;
            anchor.sync()?;
        }
        // Cosignatures are collected here, between the anchor and the moment the head becomes visible.
        let checkpoint = newest.checkpoint;
        let note = Bytes::from(checkpoint.note().to_bytes());
        self.tiles
            .write_checkpoint(&note)
            .map_err(|error| PublishError::Io { what: "writing the checkpoint", error })?;
        self.heads.publish(Published { checkpoint, note, time: newest.time });
        Ok(())
    }

    fn read_back(&self, objects: &[(TilePath, Digest)]) -> Result<(), PublishError> {
        for (path, digest) in objects {
            let stored = self
                .tiles
                .read(path)
                .map_err(|error| PublishError::Io { what: "reading back a tile", error })?;
            if stored.is_none_or(|bytes| sha256_independent(&[&bytes]) != *digest) {
                return Err(PublishError::ReadBack(*path));
            }
        }
        Ok(())
    }
}

/// Invariant 3: an answer leaves only when the published head covers it.
fn answer(waiter: Waiter, published: TreeSize) {
    let covered = waiter.placed.iter().all(|placed| placed.index.get() < published.get());
    assert!(covered, "a submission is answered only once the published head covers it");
    // A client that went away is no error: its entry is in the tree.
    let _ = waiter.reply.send(Ok(waiter.placed));
}

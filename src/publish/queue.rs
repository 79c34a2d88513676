//! The queue of committed heads between the sequencer and the publisher, bounded by entries and heads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tlog::ids::TreeSize;

use super::{Committed, Waiter};

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

#[derive(Debug)]
struct Queue {
    heads: Vec<Committed>,
    /// Duplicates of entries whose head was pushed before.
    waiters: Vec<Waiter>,
    /// The size committed last, and the one published last: what is between them is the tail.
    committed: TreeSize,
    published: TreeSize,
    /// Heads were taken and are not published yet; they count as one against the limit.
    publishing: bool,
    /// Something else than a head is there for the publisher.
    nudged: bool,
    ended: bool,
}

impl Unpublished {
    /// An empty queue behind the published head.
    #[must_use]
    pub fn new(limits: TailLimits, published: TreeSize) -> Self {
        let queue = Queue {
            heads: Vec::new(),
            waiters: Vec::new(),
            committed: published,
            published,
            publishing: false,
            nudged: false,
            ended: false,
        };
        Self { limits, queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Adds a committed head. It is taken even when it goes past the limit by one batch: it is committed.
    pub fn push(&self, committed: Committed) {
        let mut queue = self.lock();
        queue.committed = committed.checkpoint.head().size;
        queue.heads.push(committed);
        drop(queue);
        self.changed.notify_all();
    }

    /// Adds waiters whose entries are all below a head that was pushed before.
    pub fn wait(&self, waiters: Vec<Waiter>) {
        self.lock().waiters.extend(waiters);
        self.changed.notify_all();
    }

    /// Wakes the publisher.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_all();
    }

    /// Waits at most `patience` for room for one more batch; false if there is none.
    #[must_use]
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let full = |queue: &mut Queue| {
            queue.heads.len() + usize::from(queue.publishing) >= self.limits.heads_max
                || queue.committed.get() - queue.published.get() >= self.limits.entries_max
        };
        let waited = self.changed.wait_timeout_while(self.lock(), patience, full);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !full(&mut queue)
    }

    /// Heads that wait for publication.
    #[must_use]
    pub fn depth(&self) -> usize {
        let queue = self.lock();
        queue.heads.len() + usize::from(queue.publishing)
    }

    /// No head will follow; the publisher stops when the queue is empty.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Takes everything, waiting at most `patience` for something to come.
    pub(super) fn take(&self, patience: Duration, unfinished: bool) -> Taken {
        let idle = |queue: &mut Queue| {
            queue.heads.is_empty()
                && queue.waiters.is_empty()
                && !queue.nudged
                && (unfinished || !queue.ended)
        };
        let waited = self.changed.wait_timeout_while(self.lock(), patience, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.nudged = false;
        queue.publishing |= !queue.heads.is_empty();
        Taken {
            heads: std::mem::take(&mut queue.heads),
            waiters: std::mem::take(&mut queue.waiters),
            ended: queue.ended,
        }
    }

    pub(super) fn done(&self, published: TreeSize, unfinished: bool) {
        let mut queue = self.lock();
        queue.published = published;
        queue.publishing = unfinished;
        drop(queue);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was in the queue.
pub(super) struct Taken {
    pub(super) heads: Vec<Committed>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) ended: bool,
}

/// The queue has ended and is empty, or what is left cannot be published.
#[derive(Debug)]
pub struct Ended;

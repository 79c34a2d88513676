//! The two heads of the log: the one committed last, and the one published last.
//!
//! The sequencer owns the committed head and is the only one to move it; [`crate::publish`] owns the
//! published one. Everybody else reads. Readers of the published head never wait for a write: they clone
//! an `Arc` under a lock that is held for the length of a pointer swap.
//!
//! Absent on purpose: how a head is committed or published.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::{TreeHead, TreeSize, UnixMillis};
use tokio::sync::watch;

/// The checkpoint that the world sees.
#[derive(Debug)]
pub struct Published {
    /// The checkpoint, its log signatures verified.
    pub checkpoint: VerifiedCheckpoint,
    /// The signed note as it is served.
    pub note: Bytes,
    /// The clock reading of the batch that committed the head.
    pub time: UnixMillis,
}

impl Published {
    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }
}

/// Both heads.
#[derive(Debug)]
pub struct Heads {
    /// Written by the sequencer alone, once the batch is durable, applied and indexed; only ever grows.
    committed: AtomicU64,
    /// The time of that head, in milliseconds.
    committed_time: AtomicU64,
    /// Written by the publisher alone; its size only ever grows.
    published: RwLock<Arc<Published>>,
    /// Told after each publication.
    news: watch::Sender<()>,
}

impl Heads {
    /// The heads as recovery found them.
    #[must_use]
    pub fn new(committed: TreeSize, time: UnixMillis, published: Published) -> Self {
        Self {
            committed: AtomicU64::new(committed.get()),
            committed_time: AtomicU64::new(time.get()),
            published: RwLock::new(Arc::new(published)),
            news: watch::Sender::new(()),
        }
    }

    /// Entries that are durable and can be found and read, published or not.
    #[must_use]
    pub fn committed(&self) -> TreeSize {
        TreeSize::new(self.committed.load(Ordering::Acquire)).expect("only tree sizes are stored")
    }

    /// The time of the head committed last.
    #[must_use]
    pub fn committed_time(&self) -> UnixMillis {
        UnixMillis::new(self.committed_time.load(Ordering::Acquire))
    }

    /// The checkpoint that the world sees.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn commit(&self, size: TreeSize, time: UnixMillis) {
        self.committed_time.store(time.get(), Ordering::Release);
        self.committed.store(size.get(), Ordering::Release);
    }

    pub(crate) fn publish(&self, published: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
        self.news.send_replace(());
    }

    /// Changes with each publication.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

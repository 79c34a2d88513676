//! The registry as it was at each head that may be published.
//!
//! The sequencer is ahead of what the world sees. It leaves a copy here whenever a committed batch has changed the
//! registry; a reader takes the one that belongs to the published size, by cloning an `Arc`. Copies older than that
//! are dropped. Reads never wait for writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::registry::Registry;
use tlog::ids::TreeSize;

/// The registry over time, from the published head on.
#[derive(Debug)]
pub struct Views {
    /// By size, ascending, never empty. The last is the newest committed one. Held only to move pointers.
    views: Mutex<VecDeque<(TreeSize, Arc<Registry>)>>,
}

impl Views {
    /// Starts with the registry of the recovered head.
    #[must_use]
    pub fn new(size: TreeSize, registry: Arc<Registry>) -> Self {
        Self { views: Mutex::new(VecDeque::from([(size, registry)])) }
    }

    /// The registry from this size on. Replaces everything that was known before a start has loaded it.
    pub fn reset(&self, size: TreeSize, registry: Arc<Registry>) {
        *self.lock() = VecDeque::from([(size, registry)]);
    }

    /// The registry has changed with the head of this size.
    pub fn push(&self, size: TreeSize, registry: Arc<Registry>) {
        self.lock().push_back((size, registry));
    }

    /// The registry at the published size, which never shrinks.
    #[must_use]
    pub fn published(&self, size: TreeSize) -> Arc<Registry> {
        let mut views = self.lock();
        while views.get(1).is_some_and(|(next, _)| *next <= size) {
            views.pop_front();
        }
        Arc::clone(&views.front().expect("never empty").1)
    }

    /// The newest one. For signatures, which are good or not whatever the log admits later; nobody is shown it.
    #[must_use]
    pub fn newest(&self) -> Arc<Registry> {
        Arc::clone(&self.lock().back().expect("never empty").1)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(TreeSize, Arc<Registry>)>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

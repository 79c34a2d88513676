//! The registry as it was at each head that may be published, and at older sizes that somebody asks for.
//!
//! The sequencer is ahead of what the world sees. It leaves a copy here whenever a committed batch has changed the
//! registry; a reader takes the one that belongs to the published size, by cloning an `Arc`. Copies older than that
//! are dropped, by readers and by the sequencer, so there are never more than heads that wait to be published. Reads never
//! wait for writes.
//!
//! At an older size the registry is made again from the statements that made it. Few are made at a time, and few are kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::registry::Registry;
use tlog::ids::TreeSize;
use tokio::sync::Semaphore;

/// Registries of older sizes that are kept.
const OLDER_KEPT: usize = 4;
/// Registries of older sizes that are made at a time: each takes a processor for as long as it takes to judge every statement that
/// made it.
const REPLAYS_MAX: usize = 2;

type Sized = (TreeSize, Arc<Registry>);

/// The registry over time, from the published head on.
#[derive(Debug)]
pub struct Views {
    /// By size, ascending, never empty. The last is the newest committed one. Held only to move pointers.
    views: Mutex<VecDeque<Sized>>,
    /// Of sizes at which the registry changed; the one asked for last comes first. Held only to move pointers.
    older: Mutex<VecDeque<Sized>>,
    replays: Semaphore,
}

impl Views {
    /// Starts with the registry of the recovered head.
    #[must_use]
    pub fn new(size: TreeSize, registry: Arc<Registry>) -> Self {
        let views = Mutex::new(VecDeque::from([(size, registry)]));
        Self { views, older: Mutex::default(), replays: Semaphore::new(REPLAYS_MAX) }
    }

    /// The registry from this size on. Replaces everything that was known before a start has loaded it.
    pub fn reset(&self, size: TreeSize, registry: Arc<Registry>) {
        *lock(&self.views) = VecDeque::from([(size, registry)]);
        lock(&self.older).clear();
    }

    /// The registry has changed with the committed head of this size; readers see that of the published size.
    pub fn push(&self, size: TreeSize, registry: Arc<Registry>, published: TreeSize) {
        let mut views = lock(&self.views);
        views.push_back((size, registry));
        trim(&mut views, published);
    }

    /// The registry at the published size, which never shrinks.
    #[must_use]
    pub fn published(&self, size: TreeSize) -> Arc<Registry> {
        let mut views = lock(&self.views);
        trim(&mut views, size);
        Arc::clone(&views.front().expect("never empty").1)
    }

    /// The newest one. For signatures, which are good or not whatever the log admits later; nobody is shown it.
    #[must_use]
    pub fn newest(&self) -> Arc<Registry> {
        Arc::clone(&lock(&self.views).back().expect("never empty").1)
    }

    /// What the registry said at a size, up to which `newer` has seen; `None` while as many are made again as may be.
    ///
    /// Cost: as [`Registry::at`], unless it was asked for lately.
    #[must_use]
    pub fn at(&self, newer: &Arc<Registry>, size: TreeSize) -> Option<Arc<Registry>> {
        let changed = newer.changed_at(size);
        if changed == newer.changed_at(newer.size()) {
            return Some(Arc::clone(newer));
        }
        if let Some(kept) = self.kept(changed) {
            return Some(kept);
        }
        let _turn = self.replays.try_acquire().ok()?;
        let made = Arc::new(newer.at(changed));
        let mut older = lock(&self.older);
        older.push_front((changed, Arc::clone(&made)));
        older.truncate(OLDER_KEPT);
        Some(made)
    }

    fn kept(&self, changed: TreeSize) -> Option<Arc<Registry>> {
        let mut older = lock(&self.older);
        let at = older.iter().position(|(size, _)| *size == changed)?;
        let found = older.remove(at)?;
        let registry = Arc::clone(&found.1);
        older.push_front(found);
        Some(registry)
    }
}

fn trim(views: &mut VecDeque<Sized>, published: TreeSize) {
    while views.get(1).is_some_and(|(next, _)| *next <= published) {
        views.pop_front();
    }
}

fn lock(views: &Mutex<VecDeque<Sized>>) -> MutexGuard<'_, VecDeque<Sized>> {
    views.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::ids::LeafIndex;

    fn size(size: u64) -> TreeSize {
        TreeSize::new(size).unwrap()
    }

    fn registry(entries: u64) -> Arc<Registry> {
        let mut registry = Registry::new();
        (0..entries).for_each(|index| registry.skip(LeafIndex::new(index).unwrap()));
        Arc::new(registry)
    }

    #[test]
    fn copies_are_dropped_as_heads_are_published_also_if_nobody_reads() {
        let views = Views::new(size(0), registry(0));
        for at in 1..=1000 {
            views.push(size(at), registry(at), size(at.saturating_sub(3)));
            assert!(lock(&views.views).len() <= 4, "at {at}");
        }
        assert_eq!(views.newest().size(), size(1000));
        assert_eq!(views.published(size(998)).size(), size(998), "what is not published yet is not shown");
        assert_eq!(views.published(size(1000)).size(), size(1000));
    }
}

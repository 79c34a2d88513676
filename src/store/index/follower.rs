//! Feeds the index behind the sequencer's back.
//!
//! The sequencer pushes the leaves of each committed batch into memory and goes on; a thread of this room writes
//! them to the LSM tree, several batches at a time, and only then drops them from memory. A lookup searches the
//! memory first and the tree second, so a leaf on its way is never missed.
//!
//! The memory is bounded: before a batch is committed the sequencer asks for room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead, TreeSize};

use super::Index;

/// Leaves written to the tree at a time.
const WRITE_LEAVES_MAX: usize = 8192;

/// Why the index does not serve.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{0}; stop the log, remove its folder `index`, and start it again: the index is rebuilt from the tiles"
)]
pub struct IndexError(String);

impl From<fjall::Error> for IndexError {
    fn from(error: fjall::Error) -> Self {
        Self(format!("the index failed: {error}"))
    }
}

/// The leaves of one batch, and the head they lead to.
type Batch = (Arc<[(Hash, u64)]>, TreeHead);

#[derive(Debug)]
struct Shared {
    index: Index,
    /// Leaves that may not be in the tree yet. Filled by `push`, emptied by the writer after each write.
    tail: RwLock<HashMap<Hash, u64>>,
    /// What the writer still has to write. `leaves` is the sum over `batches`, the one being written included.
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    leaves: usize,
    written: Option<TreeHead>,
    failed: Option<IndexError>,
    ended: bool,
}

/// The index, fed by a thread.
#[derive(Debug)]
pub struct IndexFollower {
    shared: Arc<Shared>,
    leaves_max: usize,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl IndexFollower {
    /// Starts the writer. At most `leaves_max` leaves are kept in memory.
    ///
    /// # Errors
    /// If the watermark cannot be read.
    pub fn start(index: Index, leaves_max: usize) -> Result<Self, IndexError> {
        let queue = Queue { written: Some(index.watermark()?), ..Queue::default() };
        let shared = Arc::new(Shared {
            index,
            tail: RwLock::default(),
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        });
        let writer = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("index".to_owned()).spawn(move || shared.write_loop())
        };
        let writer = writer.map_err(|error| IndexError(format!("no thread for the index: {error}")))?;
        Ok(Self { shared, leaves_max, writer: Mutex::new(Some(writer)) })
    }

    /// The place that the index proposes for a leaf among the first `size`. To be checked against the entry.
    ///
    /// # Errors
    /// [`IndexError`]: "absent" would be a guess.
    pub fn lookup(&self, leaf: &Hash, size: TreeSize) -> Result<Option<LeafIndex>, IndexError> {
        let in_memory = self.shared.tail.read().unwrap_or_else(PoisonError::into_inner).get(leaf).copied();
        let found = match in_memory {
            Some(index) => Some(index),
            None => self.shared.index.get(leaf)?,
        };
        Ok(found.filter(|index| *index < size.get()).and_then(|index| LeafIndex::new(index).ok()))
    }

    /// Takes the leaves of a batch. Never waits for the disk.
    ///
    /// # Errors
    /// [`IndexError`] if the writer has failed.
    pub fn push(&self, leaves: Arc<[(Hash, u64)]>, head: TreeHead) -> Result<(), IndexError> {
        self.shared.tail.write().unwrap_or_else(PoisonError::into_inner).extend(leaves.iter().copied());
        let mut queue = self.shared.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        queue.leaves += leaves.len();
        queue.batches.push_back((leaves, head));
        drop(queue);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits at most `patience` until there is room in memory; false if there is none.
    #[must_use]
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let full = |queue: &mut Queue| queue.leaves >= self.leaves_max && queue.failed.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, full);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.leaves < self.leaves_max && queue.failed.is_none()
    }

    /// How far the tree on disk has come.
    #[must_use]
    pub fn written(&self) -> TreeHead {
        self.shared.lock().written.unwrap_or(TreeHead::EMPTY)
    }

    /// Leaves that are not in the tree yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.shared.lock().leaves
    }

    /// Why the index has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<IndexError> {
        self.shared.lock().failed.clone()
    }

    /// Makes durable what has been written so far, and says how far that is.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn persist(&self) -> Result<TreeHead, IndexError> {
        let written = self.written();
        self.shared.index.persist()?;
        Ok(written)
    }

    /// Writes what is left, makes it durable, and stops.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn stop(&self) -> Result<TreeHead, IndexError> {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            writer.join().map_err(|_| IndexError("the index's thread panicked".to_owned()))?;
        }
        match self.failure() {
            Some(error) => Err(error),
            None => self.persist(),
        }
    }
}

impl Drop for IndexFollower {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn write_loop(&self) {
        while let Some(batches) = self.next() {
            let head = batches.last().expect("never empty").1;
            let leaves = || batches.iter().flat_map(|(leaves, _)| leaves.iter());
            let result = self.index.write(leaves(), &head);
            let mut queue = self.lock();
            if let Err(error) = result {
                queue.failed = Some(error.into());
                drop(queue);
                self.changed.notify_all();
                return;
            }
            queue.leaves -= leaves().count();
            queue.written = Some(head);
            drop(queue);
            let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
            for (leaf, _) in leaves() {
                tail.remove(leaf);
            }
            drop(tail);
            self.changed.notify_all();
        }
    }

    /// The next batches to write together; `None` at the end.
    fn next(&self) -> Option<Vec<Batch>> {
        let waited = self.changed.wait_while(self.lock(), |queue| queue.batches.is_empty() && !queue.ended);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        let (mut batches, mut leaves) = (Vec::new(), 0);
        while let Some(batch) = queue.batches.pop_front() {
            leaves += batch.0.len();
            batches.push(batch);
            if leaves >= WRITE_LEAVES_MAX {
                break;
            }
        }
        (!batches.is_empty()).then_some(batches)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

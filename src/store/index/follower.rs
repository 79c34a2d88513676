//! Feeds the index behind the sequencer's back.
//!
//! The sequencer pushes the marks of each committed batch into memory and goes on. A thread of this room writes them
//! as a run once there are enough, and only then drops them from memory; another one merges runs. A lookup searches
//! the memory first and the runs second, so a mark on its way is never missed.
//!
//! The memory is bounded: before a batch is committed the sequencer asks for room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead, TreeSize};

use super::mark::{Kind, index_of};
use super::{Index, IndexError, ListId, Mark, RUN_MARKS};

/// Marks dropped from memory at a time; lookups go on in between.
const DROP_MARKS: usize = 4096;
/// With so many runs no more are written before some are merged: each costs every search a little.
const RUNS_MAX: usize = 96;
/// How long the writer waits before it counts the runs again.
const RUNS_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Shared {
    index: Index,
    /// Marks that may not be in a run yet. Filled by `push`, emptied by the writer after each run.
    tail: RwLock<HashMap<Hash, u64>>,
    /// What the writer still has to write.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Ends a merge early.
    stop: AtomicBool,
}

#[derive(Debug)]
struct Queue {
    /// Marks in the order of the log, up to `head`.
    waiting: Vec<(Hash, u64)>,
    head: TreeHead,
    /// Marks that are being written.
    writing: usize,
    failed: Option<IndexError>,
    ended: bool,
}

/// The index, fed by threads.
#[derive(Debug)]
pub struct IndexFollower {
    shared: Arc<Shared>,
    marks_max: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl IndexFollower {
    /// Starts the writer and the merger. At most `marks_max` marks are kept in memory.
    ///
    /// # Errors
    /// If the system has no threads.
    pub fn start(index: Index, marks_max: usize) -> Result<Self, IndexError> {
        let head = index.written();
        let queue = Queue { waiting: Vec::new(), head, writing: 0, failed: None, ended: false };
        let shared = Arc::new(Shared {
            index,
            tail: RwLock::default(),
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let (written, news) = sync_channel(1);
        let (writer, merger) = (Arc::clone(&shared), Arc::clone(&shared));
        let marks_min = usize::try_from(RUN_MARKS).unwrap_or(usize::MAX).min(marks_max.div_ceil(2));
        let threads = vec![
            thread("index", move || writer.write_all(marks_min, &written))?,
            thread("index-merge", move || merger.merge_all(&news))?,
        ];
        Ok(Self { shared, marks_max, threads: Mutex::new(threads) })
    }

    /// The place that the index proposes for a leaf among the first `size`. To be checked against the entry.
    ///
    /// # Errors
    /// [`IndexError`]: "absent" would be a guess.
    pub fn lookup(&self, leaf: &Hash, size: TreeSize) -> Result<Option<LeafIndex>, IndexError> {
        self.find(Kind::Leaf, leaf, size)
    }

    /// The place that the index proposes for the statement with this text, likewise.
    ///
    /// # Errors
    /// As above.
    pub fn lookup_text(&self, text: &Hash, size: TreeSize) -> Result<Option<LeafIndex>, IndexError> {
        self.find(Kind::Text, text, size)
    }

    /// The index of the entry at this position of a list, likewise.
    ///
    /// # Errors
    /// As above.
    pub fn lookup_item(
        &self,
        list: &ListId,
        position: u64,
        size: TreeSize,
    ) -> Result<Option<LeafIndex>, IndexError> {
        self.find(Kind::Item, &list.item(position), size)
    }

    fn find(&self, kind: Kind, hash: &Hash, size: TreeSize) -> Result<Option<LeafIndex>, IndexError> {
        let in_memory = self.shared.tail.read().unwrap_or_else(PoisonError::into_inner).get(hash).copied();
        let found = match in_memory {
            Some(place) => Some(place),
            None => self.shared.index.get(hash)?,
        };
        let index = found.and_then(|place| index_of(kind, place)).filter(|index| *index < size.get());
        Ok(index.and_then(|index| LeafIndex::new(index).ok()))
    }

    /// Takes the marks of a batch, which follow those pushed before. Never waits for the disk.
    ///
    /// # Errors
    /// [`IndexError`] if the writer has failed.
    ///
    /// # Panics
    /// If there are not as many leaves as the head has grown by.
    pub fn push(&self, marks: &[Mark], head: TreeHead) -> Result<(), IndexError> {
        let records = || marks.iter().map(Mark::record);
        self.shared.tail.write().unwrap_or_else(PoisonError::into_inner).extend(records());
        let mut queue = self.shared.lock();
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        queue.waiting.extend(records());
        assert_eq!(
            queue.head.size.get() + marks.iter().filter(|mark| mark.is_leaf()).count() as u64,
            head.size.get(),
            "leaves come without gaps and once"
        );
        queue.head = head;
        drop(queue);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Waits at most `patience` until there is room in memory; false if there is none.
    #[must_use]
    pub fn wait_for_room(&self, patience: Duration) -> bool {
        let full = |queue: &mut Queue| queue.marks() >= self.marks_max && queue.failed.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, full);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.marks() < self.marks_max && queue.failed.is_none()
    }

    /// How far the runs on disk have come.
    #[must_use]
    pub fn written(&self) -> TreeHead {
        self.shared.index.written()
    }

    /// Marks that are not in a run yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.shared.lock().marks()
    }

    /// Why the index has failed, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<IndexError> {
        self.shared.lock().failed.clone()
    }

    fn end(&self) -> std::thread::Result<()> {
        self.shared.end();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        threads.into_iter().try_for_each(JoinHandle::join)
    }

    /// Writes what is left, and stops.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn stop(&self) -> Result<TreeHead, IndexError> {
        self.end().map_err(|_| IndexError::new("a thread panicked"))?;
        self.failure().map_or_else(|| Ok(self.written()), Err)
    }
}

impl Drop for IndexFollower {
    /// Nothing more is begun, and nothing is at work in the folder afterwards.
    fn drop(&mut self) {
        self.shared.lock().waiting.clear();
        // What panicked has said so.
        let _ = self.end();
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, IndexError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|error| IndexError::new(&format!("no thread for the index: {error}")))
}

impl Queue {
    fn marks(&self) -> usize {
        self.waiting.len() + self.writing
    }
}

impl Shared {
    /// Each run is told to the merger.
    fn write_all(&self, marks_min: usize, written: &SyncSender<()>) {
        while let Some((marks, head)) = self.next(marks_min) {
            let hashes: Vec<Hash> = marks.iter().map(|(hash, _)| *hash).collect();
            if let Err(error) = self.index.append(marks, head) {
                return self.fail(error);
            }
            for some in hashes.chunks(DROP_MARKS) {
                let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
                for hash in some {
                    tail.remove(hash);
                }
            }
            self.lock().writing = 0;
            self.changed.notify_all();
            // A merger that has news already will see this run too.
            let _ = written.try_send(());
        }
    }

    /// The next marks to write together; `None` at the end.
    fn next(&self, marks_min: usize) -> Option<(Vec<(Hash, u64)>, TreeHead)> {
        let few = |queue: &mut Queue| queue.waiting.len() < marks_min && !queue.ended;
        let waited = self.changed.wait_while(self.lock(), few);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        while self.index.runs().len() >= RUNS_MAX && !queue.ended && queue.failed.is_none() {
            let waited = self.changed.wait_timeout(queue, RUNS_PAUSE);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.waiting.is_empty() || queue.failed.is_some() {
            return None;
        }
        queue.writing = queue.waiting.len();
        Some((std::mem::take(&mut queue.waiting), queue.head))
    }

    fn merge_all(&self, news: &Receiver<()>) {
        // Runs of an earlier life may be due.
        loop {
            match self.index.merge(&self.stop) {
                Ok(true) => continue,
                Ok(false) => (),
                Err(error) => return self.fail(error),
            }
            // The sender goes away with the writer.
            if news.recv().is_err() {
                return;
            }
        }
    }

    fn fail(&self, error: IndexError) {
        self.lock().failed = Some(error);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    fn hash(place: u64) -> Hash {
        leaf_hash(&place.to_be_bytes())
    }

    fn leaf(place: u64) -> Mark {
        Mark::leaf(hash(place), place)
    }

    fn head(size: u64) -> TreeHead {
        TreeHead { size: TreeSize::new(size).unwrap(), root: leaf_hash(b"a root") }
    }

    #[test]
    fn a_leaf_is_found_at_any_moment_of_its_way_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let follower = IndexFollower::start(Index::open(dir.path()).unwrap(), 400).unwrap();
        for size in 1..=5000 {
            assert!(follower.wait_for_room(Duration::from_secs(60)), "the writer makes room");
            follower.push(&[leaf(size - 1)], head(size)).unwrap();
            for place in [0, size / 2, size - 1] {
                let found = follower.lookup(&hash(place), head(size).size).unwrap();
                assert_eq!(found.map(LeafIndex::get), Some(place), "of {size}");
            }
            assert_eq!(follower.lookup(&hash(size), head(size).size).unwrap(), None);
        }
        assert_eq!(follower.lookup(&hash(4999), head(4999).size).unwrap(), None, "beyond the size asked for");
        assert!(follower.backlog() < 400);
        assert_eq!(follower.stop().unwrap(), head(5000));
        drop(follower);
        let index = Index::open(dir.path()).unwrap();
        assert_eq!(index.written(), head(5000));
        assert!((0..5000).all(|place| index.get(&hash(place)).unwrap() == Some(place)));
    }

    #[test]
    fn a_writer_that_fails_is_reported_and_makes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("index");
        let follower = IndexFollower::start(Index::open(&folder).unwrap(), 4).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for size in 1..=4 {
            // Fails as soon as the writer has.
            let _ = follower.push(&[leaf(size - 1)], head(size));
        }
        assert!(follower.stop().is_err() && follower.failure().is_some());
        assert!(!follower.wait_for_room(Duration::ZERO));
    }
    #[test]
    fn a_list_is_whole_while_its_marks_move_to_the_disk_and_nobody_finds_an_item_as_a_leaf() {
        let dir = tempfile::tempdir().unwrap();
        let follower = IndexFollower::start(Index::open(dir.path()).unwrap(), 400).unwrap();
        let (list, other) = (ListId::new("chain", &[b"a"]), ListId::new("chain", &[b"b"]));
        for size in 1..=2000_u64 {
            assert!(follower.wait_for_room(Duration::from_secs(60)), "the writer makes room");
            let text = leaf_hash(&[b"text".as_slice(), &size.to_be_bytes()].concat());
            let place = size - 1;
            let marks = [leaf(place), Mark::text(text, place), Mark::item(&list, place, place)];
            follower.push(&marks, head(size)).unwrap();
            for position in [0, place / 2, place] {
                let found = follower.lookup_item(&list, position, head(size).size).unwrap();
                assert_eq!(found.map(LeafIndex::get), Some(position));
            }
            assert_eq!(follower.lookup_item(&list, size, head(size).size).unwrap(), None);
            assert_eq!(follower.lookup_item(&list, place, head(place).size).unwrap(), None, "as it was");
            assert_eq!(follower.lookup_item(&other, 0, head(size).size).unwrap(), None);
            assert_eq!(
                follower.lookup_text(&text, head(size).size).unwrap().map(LeafIndex::get),
                Some(place)
            );
            assert_eq!(follower.lookup(&list.item(place), head(size).size).unwrap(), None);
            assert_eq!(follower.lookup(&text, head(size).size).unwrap(), None);
        }
        assert_eq!(follower.stop().unwrap(), head(2000));
    }
}

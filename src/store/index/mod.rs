//! The index: hashes to places in the tree. Losable; everything in it can be derived from the tree.
//!
//! Every leaf has a mark, and a statement a few more (`mark.rs`): by its text, and by its position in the lists that
//! pages and histories are made of. Marks come in the order of the log, so the index is a row of stretches: the newest in
//! memory, the others in immutable files (`run.rs`) sorted by the full 32 bytes of the hash. Runs of one size are merged
//! into a larger one, so that there are few, and each mark is written a few times in all. Nearly every search is for one
//! that is not there: filters in memory answer it without a read.
//!
//! What it says is never believed: [`crate::lookup`] compares every hit with the stored entry, and a miss counts
//! only because the memory of `follower.rs` holds what is not yet in a run.

mod filter;
mod follower;
mod mark;
mod run;

pub use follower::IndexFollower;
pub use mark::{ListId, Mark};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tlog::hash::Hash;
use tlog::ids::TreeHead;

use run::{Record, Records, Run};

/// Marks of the smallest full run.
const RUN_MARKS: u64 = 65_536;
/// Runs of one size that are merged into one of the next.
const FAN_IN: usize = 8;

/// Why the index does not serve.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{0}; stop the log, remove its folder `index`, and start it again: the index is rebuilt from the tiles"
)]
pub struct IndexError(String);

impl IndexError {
    fn new(what: &str) -> Self {
        Self(format!("the index failed: {what}"))
    }
}

type Runs = Arc<[Arc<Run>]>;

/// The runs on disk.
#[derive(Debug)]
pub struct Index {
    dir: PathBuf,
    /// Oldest leaves first, without gaps. Replaced as a whole: appended to by the follower's writer, merged by its
    /// merger.
    runs: RwLock<Runs>,
}

impl Index {
    /// Opens the index in this folder, creating it if there is none.
    ///
    /// # Errors
    /// If the folder holds something that is no sound index; remove it and rebuild.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let io = |error: std::io::Error| IndexError::new(&format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut found = Vec::new();
        for file in std::fs::read_dir(dir).map_err(io)? {
            let path = file.map_err(io)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("run") => found.push(Run::open(path)?),
                // Cut off by a crash.
                Some("new") => std::fs::remove_file(&path).map_err(io)?,
                _ => return Err(IndexError::new(&format!("{} does not belong there", path.display()))),
            }
        }
        let (runs, superseded) = chain(found);
        for run in superseded {
            std::fs::remove_file(&run.path).map_err(io)?;
        }
        Ok(Self { dir: dir.to_owned(), runs: RwLock::new(runs.into()) })
    }

    /// The place that the index proposes for a hash, with its kind.
    ///
    /// # Errors
    /// If a page is damaged or cannot be read.
    pub(crate) fn get(&self, leaf: &Hash) -> Result<Option<u64>, IndexError> {
        for run in self.runs().iter().rev() {
            if let Some(place) = run.get(leaf)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The heads at which runs end, oldest first. The last one is how far the index has come.
    #[must_use]
    pub fn heads(&self) -> Vec<TreeHead> {
        self.runs().iter().map(|run| run.end).collect()
    }

    /// How far the index has come; the empty tree for a new one. All of it is on the device.
    #[must_use]
    pub fn written(&self) -> TreeHead {
        self.runs().last().map_or(TreeHead::EMPTY, |run| run.end)
    }

    /// Writes the marks that follow, up to `end`. Durable when it returns.
    fn append(&self, mut marks: Vec<Record>, end: TreeHead) -> Result<(), IndexError> {
        let first = self.written().size.get();
        marks.sort_unstable();
        let count = marks.len() as u64;
        let run = Run::write(&self.dir, first, end, count, marks.into_iter().map(Ok))?;
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        *runs = runs.iter().cloned().chain([Arc::new(run)]).collect();
        Ok(())
    }

    /// Merges runs of one size, if there are enough. `false` if there are not, or `stop` was set meanwhile.
    fn merge(&self, stop: &AtomicBool) -> Result<bool, IndexError> {
        let before = self.runs();
        let Some(group) = due(&before) else { return Ok(false) };
        let merged = &before[group.clone()];
        let (first, end) = (merged[0].first, merged[merged.len() - 1].end);
        let mut all = Merge::new(merged)?;
        let stopped = || IndexError::new("it is being closed");
        let records = std::iter::from_fn(|| match stop.load(Ordering::Relaxed) {
            true => Some(Err(stopped())),
            false => all.next(),
        });
        let count = merged.iter().map(|run| run.len()).sum();
        let result = Run::write(&self.dir, first, end, count, records);
        let run = match result {
            Ok(run) => Arc::new(run),
            Err(_) if stop.load(Ordering::Relaxed) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut runs = self.runs.write().unwrap_or_else(PoisonError::into_inner);
        // Others were only appended meanwhile, so the group is where it was.
        let (older, newer) = (&runs[..group.start], &runs[group.end..]);
        *runs = older.iter().chain([&run]).chain(newer).cloned().collect();
        drop(runs);
        for superseded in merged {
            let removed = std::fs::remove_file(&superseded.path);
            removed.map_err(|error| IndexError::new(&format!("{}: {error}", superseded.path.display())))?;
        }
        Ok(true)
    }

    fn runs(&self) -> Runs {
        Arc::clone(&self.runs.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The runs that cover the log from its beginning without gaps, the largest where there is a choice; and the others,
/// which a crash between a merge and the removal of what was merged has left.
fn chain(mut found: Vec<Run>) -> (Vec<Arc<Run>>, Vec<Run>) {
    found.sort_by_key(|run| (run.first, Reverse(run.end.size)));
    let (mut runs, mut superseded, mut at) = (Vec::new(), Vec::new(), 0);
    for run in found {
        if run.first == at {
            at = run.end.size.get();
            runs.push(Arc::new(run));
        } else {
            superseded.push(run);
        }
    }
    (runs, superseded)
}

/// 0 up to the smallest full run, one more for each merge after that.
fn tier(marks: u64) -> u32 {
    (marks / RUN_MARKS).max(1).ilog(FAN_IN as u64)
}

/// The first runs that are to be merged: enough neighbours of one tier.
fn due(runs: &[Arc<Run>]) -> Option<Range<usize>> {
    let mut start = 0;
    for group in runs.chunk_by(|one, next| tier(one.len()) == tier(next.len())) {
        if group.len() >= FAN_IN {
            return Some(start..start + FAN_IN);
        }
        start += group.len();
    }
    None
}

/// The records of several runs, in order.
struct Merge<'a> {
    sources: Vec<Records<'a>>,
    /// The next record of each source that has one.
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

impl<'a> Merge<'a> {
    fn new(runs: &'a [Arc<Run>]) -> Result<Self, IndexError> {
        let mut merge =
            Self { sources: runs.iter().map(|run| run.records()).collect(), heads: BinaryHeap::new() };
        for source in 0..merge.sources.len() {
            if let Some(record) = merge.sources[source].next() {
                merge.heads.push(Reverse((record?, source)));
            }
        }
        Ok(merge)
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Record, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut top = self.heads.peek_mut()?;
        let Reverse((record, source)) = *top;
        match self.sources[source].next() {
            Some(Ok(following)) => *top = Reverse((following, source)),
            Some(Err(error)) => return Some(Err(error)),
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;
    use tlog::ids::TreeSize;

    fn leaves(range: Range<u64>) -> Vec<Record> {
        range.map(|place| (leaf_hash(&place.to_be_bytes()), place)).collect()
    }

    fn head(size: u64) -> TreeHead {
        TreeHead { size: TreeSize::new(size).unwrap(), root: leaf_hash(&size.to_be_bytes()) }
    }

    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

    fn files(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn small_runs_are_merged_and_every_leaf_survives_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let mut size = 0;
        for step in 1..=40 {
            index.append(leaves(size..size + step), head(size + step)).unwrap();
            size += step;
            while index.merge(&never()).unwrap() {}
            assert!(index.heads().len() < FAN_IN, "merged");
        }
        let reopened = Index::open(dir.path()).unwrap();
        assert_eq!((reopened.written(), index.written()), (head(size), head(size)));
        for index in [index, reopened] {
            for (leaf, place) in leaves(0..size) {
                assert_eq!(index.get(&leaf).unwrap(), Some(place));
            }
            assert!(leaves(size..2 * size).iter().all(|(leaf, _)| index.get(leaf).unwrap().is_none()));
        }
    }

    #[test]
    fn a_merge_that_is_stopped_or_cut_off_leaves_everything_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        for at in 0..8 {
            index.append(leaves(at * 100..at * 100 + 100), head(at * 100 + 100)).unwrap();
        }
        assert!(!index.merge(&AtomicBool::new(true)).unwrap());
        assert_eq!(index.heads().len(), 8);
        let copies: Vec<(PathBuf, Vec<u8>)> =
            index.runs().iter().map(|run| (run.path.clone(), std::fs::read(&run.path).unwrap())).collect();
        assert!(index.merge(&never()).unwrap());
        drop(index);
        // A crash before the merged runs were removed, and one while another file was written.
        copies.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        std::fs::write(dir.path().join("half.new"), [1; 100]).unwrap();
        let index = Index::open(dir.path()).unwrap();
        assert_eq!((index.heads(), files(dir.path())), (vec![head(800)], 1));
        assert!(leaves(0..800).iter().all(|(leaf, place)| index.get(leaf).unwrap() == Some(*place)));
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        index.append(leaves(0..10), head(10)).unwrap();
        let path = index.runs()[0].path.clone();
        drop(index);
        std::fs::write(dir.path().join("keyspaces"), "of another program").unwrap();
        Index::open(dir.path()).unwrap_err();
        std::fs::remove_file(dir.path().join("keyspaces")).unwrap();
        std::fs::write(&path, [0; 5000]).unwrap();
        let refused = Index::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("remove its folder"), "{refused}");
    }

    #[test]
    fn tiers_grow_by_merging() {
        assert_eq!([1, RUN_MARKS, 8 * RUN_MARKS - 1].map(tier), [0, 0, 0]);
        assert_eq!([8 * RUN_MARKS, 63 * RUN_MARKS, 64 * RUN_MARKS].map(tier), [1, 1, 2]);
    }
}

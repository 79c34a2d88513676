//! Verified entries into the index: one thread for all logs, at its own pace, from wherever it stopped.
//!
//! What a feed no longer holds is read again from the log and held against the hashes that were verified. An index that
//! is damaged, or does not end with the entry that is verified at its place, is made anew; nothing is asked of a person.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tlog::ids::LeafIndex;

use super::schema::IndexError;
use super::write::{BATCH_ENTRIES_MAX, NewEntry, Writer};
use crate::case::Case;
use crate::feed::{Batch, Next};

/// The longest wait for one log's next entries, where there are none of another.
const PATIENCE: Duration = Duration::from_millis(200);
/// Looks after which entries that could not be read again are asked for once more.
const REREAD_LOOKS: u32 = 10;

/// Bytes of entries that are held for one transaction, but for the last batch.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// The most entries of a batch.
const BUNDLE_ENTRIES: usize = 256;

/// One log on its way into the index.
#[derive(Debug)]
struct Followed {
    case: Arc<Case>,
    next: u64,
    /// The last head that was noted: size and seconds.
    noted: Option<(u64, u64)>,
    /// Looks until missed entries are asked for again.
    pause: u32,
}

/// What a look at all logs came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looked {
    /// No more will come of any log.
    Ended,
    /// There was nothing new, or it cannot be had now.
    Nothing,
    /// Entries were indexed; there may be more.
    Indexed,
}

/// The indexer.
#[derive(Debug)]
pub struct Indexer {
    writer: Writer,
    logs: Vec<Followed>,
}

impl Indexer {
    /// Opens the index in this file for these logs. One that cannot be gone on with is made anew.
    ///
    /// # Errors
    /// [`IndexError`]; a newer schema and a file that is no index are refused.
    pub fn open(path: &Path, cases: &[Arc<Case>]) -> Result<Self, IndexError> {
        match Self::try_open(path, cases) {
            Ok(Some(indexer)) => return Ok(indexer),
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the index is of another history; it is made anew");
            }
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), %error, "the index is damaged; it is made anew");
            }
            Err(error) => return Err(error),
        }
        remove(path)?;
        Self::try_open(path, cases)?.ok_or_else(|| IndexError::Foreign { path: path.to_owned() })
    }

    /// `None` if the index does not end with what is verified.
    fn try_open(path: &Path, cases: &[Arc<Case>]) -> Result<Option<Self>, IndexError> {
        let mut writer = Writer::open(path)?;
        let mut logs = Vec::with_capacity(cases.len());
        for case in cases {
            let first = case.followed.pinned.as_ref().map_or(0, |pinned| pinned.head().size.get());
            let watermark = writer.begin(case.origin(), first)?;
            if let (Some(leaf), Some(last)) = (watermark.leaf, watermark.next.checked_sub(1)) {
                let verified = case.verified().zip(LeafIndex::new(last).ok());
                // A log that is verified from its beginning again has nothing to compare with yet.
                let own = verified.and_then(|(verified, last)| case.leaf_at(&verified, last));
                if own.is_some_and(|(own, _)| own != leaf) {
                    return Ok(None);
                }
            }
            case.feed.join();
            logs.push(Followed { case: Arc::clone(case), next: watermark.next, noted: None, pause: 0 });
        }
        Ok(Some(Self { writer, logs }))
    }

    /// Indexes what there is of every log. Waits a little where there is nothing.
    ///
    /// # Errors
    /// [`IndexError`]; what was indexed before stays.
    pub fn look(&mut self) -> Result<Looked, IndexError> {
        let count = u32::try_from(self.logs.len().max(1)).unwrap_or(u32::MAX);
        let mut looked = if self.logs.is_empty() { Looked::Nothing } else { Looked::Ended };
        for log in &mut self.logs {
            looked = looked.max(log.look(&mut self.writer, PATIENCE / count)?);
        }
        Ok(looked)
    }

    /// Whether every verified entry of every log is in the index.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        let verified = |log: &Followed| log.case.verified().map_or(0, |verified| verified.head().size.get());
        self.logs.iter().all(|log| log.next >= verified(log))
    }

    /// Entries that are due next, of all logs together.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.logs.iter().map(|log| log.next).sum()
    }
}

impl Followed {
    fn look(&mut self, writer: &mut Writer, patience: Duration) -> Result<Looked, IndexError> {
        self.note_head(writer)?;
        let first = match self.case.feed.next(self.next, patience) {
            Next::Entries(batch) => Some(batch),
            Next::Missed(_) if self.pause > 0 => {
                self.pause -= 1;
                std::thread::sleep(patience);
                None
            }
            Next::Missed(missed) => self.reread(&missed),
            Next::Nothing => None,
            Next::Ended => return Ok(Looked::Ended),
        };
        let Some(first) = first else { return Ok(Looked::Nothing) };
        self.take(writer, first)?;
        Ok(Looked::Indexed)
    }

    /// What the feed no longer holds; `None` if it cannot be had now.
    fn reread(&mut self, missed: &Range<u64>) -> Option<Arc<Batch>> {
        match self.case.reread(missed) {
            Ok(batch) => Some(Arc::new(batch)),
            Err(error) => {
                tracing::warn!(origin = self.case.origin(), index = missed.start, %error, "not indexed yet");
                self.pause = REREAD_LOOKS;
                None
            }
        }
    }

    /// Takes a batch, and what follows it already, in one transaction where that is possible.
    fn take(&mut self, writer: &mut Writer, first: Arc<Batch>) -> Result<(), IndexError> {
        let mut end = first.range().end;
        let mut batches = vec![first];
        let room = |batches: &[Arc<Batch>]| {
            batches.len() * BUNDLE_ENTRIES < BATCH_ENTRIES_MAX
                && batches.iter().map(|batch| batch.bytes()).sum::<usize>() < BATCH_BYTES_MAX
        };
        while room(&batches) {
            let more = match self.case.feed.next(end, Duration::ZERO) {
                Next::Entries(more) => Some(more),
                Next::Missed(missed) => self.reread(&missed),
                Next::Nothing | Next::Ended => None,
            };
            let Some(more) = more else { break };
            end = more.range().end;
            batches.push(more);
        }
        let mut entries = Vec::new();
        let mut next = self.next;
        for batch in &batches {
            let new = batch.entries(next);
            entries.extend(new.map(|entry| NewEntry {
                index: entry.index,
                bytes: entry.bytes,
                leaf: entry.leaf,
            }));
            next = batch.range().end;
        }
        writer.append(self.case.origin(), &entries)?;
        self.next = next;
        Ok(())
    }

    /// The time for which the newest verified head has the word of its signers, before what comes after it.
    fn note_head(&mut self, writer: &mut Writer) -> Result<(), IndexError> {
        let Some(verified) = self.case.verified() else { return Ok(()) };
        let Some(seconds) = self.case.followed.trust.time_of(&verified) else { return Ok(()) };
        let size = verified.head().size.get();
        if self.noted != Some((size, seconds)) {
            writer.note_head(self.case.origin(), size, seconds)?;
            self.noted = Some((size, seconds));
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<(), IndexError> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let file = PathBuf::from(name);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(IndexError::Io { path: file, error });
            }
            _ => (),
        }
    }
    Ok(())
}

//! Verified entries into the index: one thread for all logs, at its own pace, from wherever it stopped.
//!
//! What a feed no longer holds is read again from the log and held against the hashes that were verified. An index that
//! is damaged, or does not end with the entry that is verified at its place, is made anew; nothing is asked of a person.

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
            logs.push(Followed { case: Arc::clone(case), next: watermark.next, noted: None, pause: 0 });
        }
        Ok(Some(Self { writer, logs }))
    }

    /// Indexes what there is of every log. Waits a little where there is nothing. `false` once no more will come.
    ///
    /// # Errors
    /// [`IndexError`]; what was indexed before stays.
    pub fn look(&mut self) -> Result<bool, IndexError> {
        let count = u32::try_from(self.logs.len().max(1)).unwrap_or(u32::MAX);
        let mut more = self.logs.is_empty();
        for log in &mut self.logs {
            more |= log.look(&mut self.writer, PATIENCE / count)?;
        }
        Ok(more)
    }
}

impl Followed {
    fn look(&mut self, writer: &mut Writer, patience: Duration) -> Result<bool, IndexError> {
        self.note_head(writer)?;
        match self.case.feed.next(self.next, patience) {
            Next::Entries(batch) => self.take(writer, &batch)?,
            Next::Missed(_) if self.pause > 0 => {
                self.pause -= 1;
                std::thread::sleep(patience);
            }
            Next::Missed(missed) => match self.case.reread(&missed) {
                Ok(batch) => self.take(writer, &Arc::new(batch))?,
                Err(error) => {
                    tracing::warn!(origin = self.case.origin(), index = missed.start, %error, "not indexed yet");
                    self.pause = REREAD_LOOKS;
                }
            },
            Next::Nothing => (),
            Next::Ended => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a batch, and what follows it already, in one transaction where that is possible.
    fn take(&mut self, writer: &mut Writer, batch: &Arc<Batch>) -> Result<(), IndexError> {
        let mut batches = vec![Arc::clone(batch)];
        let mut end = batch.range().end;
        let room = |batches: &[Arc<Batch>]| batches.len() * 256 < BATCH_ENTRIES_MAX;
        while room(&batches)
            && let Next::Entries(more) = self.case.feed.next(end, Duration::ZERO)
        {
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

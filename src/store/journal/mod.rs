//! The journal: the commit point of the log.
//!
//! Committed batches, one checksummed record each, chained by digest, in preallocated segments. An append is one
//! write and one sync, and nothing else on the path to an answer waits for the disk. After any error the journal
//! is dead: whether the record is on the device is not known, and only [`Journal::open`], which reads everything
//! again and rewrites the last record, may say.
//!
//! Because one record is in flight at a time, whatever does not verify at the end was never acknowledged, and
//! nothing that verifies can come after it. If something does, the journal is damaged and is refused.
//!
//! The byte layout is in `docs/spec/journal.md`; see `record.rs` and `segment.rs`.

mod record;
mod segment;

pub use record::{ALIGN_BYTES, Commit, PAYLOAD_BYTES_MAX};
pub use segment::Preparer;

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize, UnixMillis};

use crate::store::disk::Disk;
use record::{Key, Record, decode, encode, padded_bytes};
use segment::{decode_header, list, open, path_of};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed. The process has to end.
    #[error("{what} failed: {error}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
    /// An earlier operation failed, so the state on disk is not known.
    #[error("the journal failed before; the log has to be restarted")]
    Dead,
    /// A record or header is not as it was written.
    #[error(
        "{path} is damaged at byte {at}: what stands there was committed and no longer verifies. Do not delete it; \
         restore the log's directory from a copy that is not older than the anchor, or rebuild it from a mirror",
        path = path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        at: u64,
    },
    /// A segment is not there.
    #[error("segment {number} of the journal in {dir} is missing; restore it", dir = dir.display())]
    Missing {
        /// The journal's directory.
        dir: PathBuf,
        /// The segment's number.
        number: u64,
    },
    /// There is no record at all.
    #[error("the journal in {0} holds no commit; this is not the directory of a log")]
    Empty(PathBuf),
    /// A newer version wrote it.
    #[error("{path} was written by a newer Daybook; install that version", path = path.display())]
    Newer {
        /// The segment.
        path: PathBuf,
    },
    /// The payload is too long for a record or a segment.
    #[error("a batch of {0} bytes does not fit a journal segment")]
    TooLong(usize),
}

/// A live segment and where its last commit ends.
#[derive(Clone, Copy, Debug)]
struct Live {
    number: u64,
    /// Tree size after the last commit in it.
    end: TreeSize,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    length: usize,
}

/// The journal, open for appending. Owned by the sequencer.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    preparer: Preparer,
    key: Key,
    segment_bytes: u64,
    /// Oldest first; the last one is being written.
    live: VecDeque<Live>,
    file: File,
    /// Where the next record goes in `file`.
    at: u64,
    last: Last,
    buffer: Vec<u8>,
    dead: bool,
}

/// The last record.
#[derive(Clone, Debug)]
struct Last {
    seq: u64,
    digest: Hash,
    head: TreeHead,
    time: UnixMillis,
    place: Place,
}

impl std::fmt::Debug for dyn Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Journal {
    /// Creates a journal in an existing, empty directory, with its first commit. `key` must be random.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn create(
        dir: &Path,
        disk: Arc<dyn Disk>,
        key: [u8; 32],
        segment_bytes: u64,
        first: &Commit,
    ) -> Result<Self, JournalError> {
        let segment_bytes = segment_bytes.next_multiple_of(ALIGN_BYTES as u64);
        let preparer = Preparer::new(dir.to_owned(), Arc::clone(&disk), segment_bytes, key, 1);
        let (number, file) = preparer.take()?;
        let place = Place { at: ALIGN_BYTES as u64, length: 0 };
        let last =
            Last { seq: 0, digest: Hash::from_bytes([0; 32]), head: first.head, time: first.time, place };
        let live = VecDeque::from([Live { number, end: first.head.size }]);
        let mut journal = Self {
            dir: dir.to_owned(),
            disk,
            preparer,
            key,
            segment_bytes,
            live,
            file,
            at: ALIGN_BYTES as u64,
            last,
            buffer: Vec::new(),
            dead: false,
        };
        journal.append(first)?;
        Ok(journal)
    }

    /// Reads every stored commit, in order, into `visit`, and opens the journal behind the last one.
    ///
    /// One segment is in memory at a time. The last record is written again and synced: what was only in the page
    /// cache of a machine that failed a sync is not trusted.
    ///
    /// # Errors
    /// [`JournalError`], or what `visit` returns.
    pub fn open<E: From<JournalError>>(
        dir: &Path,
        disk: Arc<dyn Disk>,
        mut visit: impl FnMut(u64, Commit) -> Result<(), E>,
    ) -> Result<Self, E> {
        let io = |what| move |error| JournalError::Io { what, error };
        let (numbers, spares) = list(dir).map_err(io("listing the journal"))?;
        for spare in spares {
            disk.remove(&spare).map_err(io("removing a spare segment"))?;
        }
        let mut walk = Walk::new(dir, numbers)?;
        while let Some(record) = walk.next()? {
            visit(record.seq, record.commit)?;
        }
        Ok(walk.finish(dir, disk)?)
    }

    /// Takes the last record out of the journal, if it is record `seq`, and returns its bytes. For a record that was
    /// written and never confirmed by reading it back; whoever calls makes sure that nobody has seen its head.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn strike_last(dir: &Path, disk: &Arc<dyn Disk>, seq: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let io = |what| move |error| JournalError::Io { what, error };
        let (numbers, _) = list(dir).map_err(io("listing the journal"))?;
        let mut walk = Walk::new(dir, numbers)?;
        while walk.next()?.is_some() {}
        let number = walk.numbers[walk.current];
        let Some(Last { place, .. }) = walk.last.filter(|last| last.seq == seq) else { return Ok(None) };
        let start = place.at as usize;
        let bytes = walk.bytes[start..start + place.length].to_vec();
        let file = open(&path_of(dir, number))?;
        disk.write_at(&file, place.at, &[0; ALIGN_BYTES]).map_err(io("striking the last record"))?;
        disk.sync_data(&file).map_err(io("syncing the journal"))?;
        Ok(Some(bytes))
    }

    /// Commits: when this returns, the batch is on the device. Returns its sequence number.
    ///
    /// # Errors
    /// Any error kills the journal. Except for [`JournalError::TooLong`] the batch may be there or not.
    pub fn append(&mut self, commit: &Commit) -> Result<u64, JournalError> {
        if self.dead {
            return Err(JournalError::Dead);
        }
        self.dead = true;
        let length = padded_bytes(commit.entries.len());
        if commit.entries.len() > PAYLOAD_BYTES_MAX || length as u64 > self.segment_bytes - ALIGN_BYTES as u64
        {
            return Err(JournalError::TooLong(commit.entries.len()));
        }
        if self.at + length as u64 > self.segment_bytes {
            let (number, file) = self.preparer.take()?;
            (self.file, self.at) = (file, ALIGN_BYTES as u64);
            self.live.push_back(Live { number, end: commit.head.size });
        }
        let seq = self.last.seq + 1;
        self.buffer.clear();
        let digest = encode(&mut self.buffer, &self.key, seq, &self.last.digest, commit);
        let written = self.disk.write_at(&self.file, self.at, &self.buffer);
        written.map_err(|error| JournalError::Io { what: "writing to the journal", error })?;
        let synced = self.disk.sync_data(&self.file);
        synced.map_err(|error| JournalError::Io { what: "syncing the journal", error })?;
        let place = Place { at: self.at, length };
        self.last = Last { seq, digest, head: commit.head, time: commit.time, place };
        self.at += length as u64;
        self.live.back_mut().expect("there is always an active segment").end = commit.head.size;
        self.dead = false;
        Ok(seq)
    }

    /// Reads the last record back from its file.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if it is not what was appended.
    pub fn read_last(&self) -> Result<Commit, JournalError> {
        let Place { at, length } = self.last.place;
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map_err(|error| JournalError::Io { what: "reading the journal back", error })?;
        let record = decode(&self.key, &bytes).filter(|record| record.digest == self.last.digest);
        let number = self.live.back().expect("there is always an active segment").number;
        let damaged = || JournalError::Damaged { path: path_of(&self.dir, number), at };
        record.map(|record| record.commit).ok_or_else(damaged)
    }

    /// The head committed last.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.last.head
    }

    /// The time committed last.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.last.time
    }

    /// The number of the last record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.last.seq
    }

    /// Lets go of segments whose commits all end at or below `flushed`; the active one stays. Returns how many
    /// segments are live.
    pub fn release(&mut self, flushed: TreeSize) -> usize {
        while self.live.len() > 1 && self.live.front().is_some_and(|oldest| oldest.end <= flushed) {
            if let Some(oldest) = self.live.pop_front() {
                self.preparer.release(oldest.number);
            }
        }
        self.live.len()
    }

    /// What makes the next segment ready, for housekeeping.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        self.preparer.clone()
    }

    /// Bytes of the live segments.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.live.len() as u64 * self.segment_bytes
    }
}

/// A walk along the chain.
struct Walk {
    dir: PathBuf,
    numbers: Vec<u64>,
    /// Place in `numbers` of the segment in `bytes`.
    current: usize,
    bytes: Vec<u8>,
    key: Key,
    segment_bytes: u64,
    at: usize,
    live: VecDeque<Live>,
    last: Option<Last>,
}

impl Walk {
    fn new(dir: &Path, numbers: Vec<u64>) -> Result<Self, JournalError> {
        for pair in numbers.windows(2) {
            if pair[1] != pair[0] + 1 {
                return Err(JournalError::Missing { dir: dir.to_owned(), number: pair[0] + 1 });
            }
        }
        let first = *numbers.first().ok_or_else(|| JournalError::Empty(dir.to_owned()))?;
        let (bytes, segment_bytes, key) = load(dir, first)?;
        let live = VecDeque::from([Live { number: first, end: TreeSize::ZERO }]);
        let dir = dir.to_owned();
        Ok(Self { dir, numbers, current: 0, bytes, key, segment_bytes, at: ALIGN_BYTES, live, last: None })
    }

    /// The next record of the chain, here or at the start of the next segment; `None` at its end.
    fn next(&mut self) -> Result<Option<Record>, JournalError> {
        if let Some(record) = self.accept(self.bytes.get(self.at..).unwrap_or_default())? {
            return Ok(Some(self.step(record, self.at)));
        }
        if let Some(&number) = self.numbers.get(self.current + 1) {
            let (bytes, _, key) = load(&self.dir, number)?;
            if key != self.key {
                return Err(JournalError::Damaged { path: path_of(&self.dir, number), at: 0 });
            }
            if let Some(record) = self.accept(&bytes[ALIGN_BYTES..])? {
                self.refuse_anything_after(self.at)?;
                (self.bytes, self.current, self.at) = (bytes, self.current + 1, ALIGN_BYTES);
                self.live.push_back(Live { number, end: TreeSize::ZERO });
                return Ok(Some(self.step(record, ALIGN_BYTES)));
            }
            self.refuse_records_in(number, &bytes)?;
        }
        self.refuse_anything_after(self.at)?;
        Ok(None)
    }

    /// A record that verifies and continues the chain.
    fn accept(&self, bytes: &[u8]) -> Result<Option<Record>, JournalError> {
        let Some(record) = decode(&self.key, bytes) else { return Ok(None) };
        let Some(last) = &self.last else { return Ok(Some(record)) };
        let commit = &record.commit;
        let follows = record.seq == last.seq + 1
            && record.previous == last.digest
            && commit.first == last.head.size
            && commit.time > last.time;
        Ok(follows.then_some(record))
    }

    fn step(&mut self, record: Record, at: usize) -> Record {
        let length = padded_bytes(record.commit.entries.len());
        let place = Place { at: at as u64, length };
        let Record { seq, digest, .. } = record;
        let (head, time) = (record.commit.head, record.commit.time);
        self.last = Some(Last { seq, digest, head, time, place });
        self.live.back_mut().expect("a segment is being read").end = head.size;
        self.at = at + length;
        record
    }

    /// A record that verifies by itself but is not the next one, and is no leftover, means that the one which
    /// should be here was damaged after it was committed.
    fn refuse_anything_after(&self, at: usize) -> Result<(), JournalError> {
        let number = self.numbers[self.current];
        self.refuse_records(number, at, &self.bytes)
    }

    fn refuse_records_in(&self, number: u64, bytes: &[u8]) -> Result<(), JournalError> {
        self.refuse_records(number, ALIGN_BYTES, bytes)
    }

    fn refuse_records(&self, number: u64, from: usize, bytes: &[u8]) -> Result<(), JournalError> {
        let next = self.last.as_ref().map_or(0, |last| last.seq + 1);
        for at in (from..bytes.len()).step_by(ALIGN_BYTES) {
            if bytes[at..].starts_with(record::MAGIC)
                && decode(&self.key, &bytes[at..]).is_some_and(|record| record.seq >= next)
            {
                return Err(JournalError::Damaged { path: path_of(&self.dir, number), at: from as u64 });
            }
        }
        Ok(())
    }

    /// Segments after the current one hold nothing of the chain; the first of them is used next.
    fn finish(self, dir: &Path, disk: Arc<dyn Disk>) -> Result<Journal, JournalError> {
        let last = self.last.clone().ok_or_else(|| JournalError::Empty(dir.to_owned()))?;
        for number in self.numbers.iter().skip(self.current + 1) {
            let (bytes, _, _) = load(dir, *number)?;
            self.refuse_records_in(*number, &bytes)?;
        }
        let number = self.numbers[self.current];
        let file = open(&path_of(dir, number))?;
        let mut buffer = Vec::new();
        let start = (last.place.at) as usize;
        buffer.extend_from_slice(&self.bytes[start..start + last.place.length]);
        let io = |what| move |error| JournalError::Io { what, error };
        disk.write_at(&file, last.place.at, &buffer).map_err(io("rewriting the last commit"))?;
        disk.sync_data(&file).map_err(io("syncing the last commit"))?;
        let preparer =
            Preparer::new(dir.to_owned(), Arc::clone(&disk), self.segment_bytes, self.key, number + 1);
        Ok(Journal {
            dir: dir.to_owned(),
            disk,
            preparer,
            key: self.key,
            segment_bytes: self.segment_bytes,
            live: self.live,
            file,
            at: self.at as u64,
            last,
            buffer,
            dead: false,
        })
    }
}

fn load(dir: &Path, number: u64) -> Result<(Vec<u8>, u64, Key), JournalError> {
    let path = path_of(dir, number);
    let bytes =
        std::fs::read(&path).map_err(|error| JournalError::Io { what: "reading a segment", error })?;
    let (stored, length, key) = decode_header(&bytes, &path)?;
    if stored != number || length != bytes.len() as u64 {
        return Err(JournalError::Damaged { path, at: 0 });
    }
    Ok((bytes, length, key))
}

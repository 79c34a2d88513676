//! A run: the marks of a stretch of the log, sorted by hash, in one immutable file.
//!
//! ```text
//! page 0: header
//!   0  8  "DBINDX03": magic and format version        56  8  records
//!   8  8  first leaf, u64 big-endian                  64  8  blocks of the filter
//!  16  8  tree size after the last leaf               72 32  SHA-256 of fences and filter
//!  24 32  root of the tree of that size              104 32  SHA-256 over the above
//! pages of 4096 bytes: 102 records of 40 bytes (hash, place as u64), zeroes where the last page is not full,
//!   then 16 bytes of SHA-256 over the page's number and its records
//! fences: the first 8 bytes of the first hash of each page
//! filter
//! ```
//!
//! Fences and filter are kept in memory: an absent leaf seldom costs a read, and a present one costs one page. Every
//! page is checked when it is read. A file gets its name once it is synced, and never changes after.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tlog::hash::{HASH_BYTES, Hash};
use tlog::ids::{TreeHead, TreeSize};

use super::IndexError;
use super::filter::{BLOCK_BYTES, Filter};

const MAGIC: &[u8; 8] = b"DBINDX03";
const PAGE_BYTES: usize = 4096;
const RECORD_BYTES: usize = HASH_BYTES + 8;
const RECORDS_PER_PAGE: usize = 102;
const PAGE_BODY_BYTES: usize = RECORD_BYTES * RECORDS_PER_PAGE;
const CHECK_BYTES: usize = PAGE_BYTES - PAGE_BODY_BYTES;
const HEADER_BODY_BYTES: usize = 104;
/// Pages read at a time when a run is read from end to end.
const READ_PAGES: usize = 16;
/// A long file is synced piece by piece, so that a sync of the journal never waits for much of it.
const SYNC_BYTES: u64 = 8 << 20;

/// A hash and its place.
pub(super) type Record = (Hash, u64);

/// Leaves from `first` up to the tree size of `end`.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) path: PathBuf,
    file: File,
    pub(super) first: u64,
    pub(super) end: TreeHead,
    records: u64,
    fences: Vec<u64>,
    filter: Filter,
}

fn damaged(path: &Path, what: &str) -> IndexError {
    IndexError::new(&format!("{}: {what}", path.display()))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> IndexError + '_ {
    move |error| damaged(path, &error.to_string())
}

/// The name of the run over these leaves.
pub(super) fn name(first: u64, end: u64) -> String {
    format!("{first:016}-{end:016}.run")
}

fn prefix(leaf: &Hash) -> u64 {
    u64::from_be_bytes(leaf.as_bytes()[..8].try_into().expect("eight bytes"))
}

fn page_check(number: u64, body: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(body).finalize();
    digest[..CHECK_BYTES].try_into().expect("a digest is longer")
}

fn record(bytes: &[u8; RECORD_BYTES]) -> Record {
    let (hash, place) = bytes.split_first_chunk::<HASH_BYTES>().expect("a record");
    (Hash::from_bytes(*hash), u64::from_be_bytes(place.try_into().expect("eight bytes")))
}

impl Run {
    /// How many records it has.
    pub(super) fn len(&self) -> u64 {
        self.records
    }

    /// Writes a run of `count` records, which come sorted by hash, into `dir`.
    pub(super) fn write(
        dir: &Path,
        first: u64,
        end: TreeHead,
        count: u64,
        records: impl Iterator<Item = Result<Record, IndexError>>,
    ) -> Result<Self, IndexError> {
        let path = dir.join(name(first, end.size.get()));
        let aside = path.with_extension("new");
        let io = failed(&aside);
        let mut writer = Writer::create(&aside, count).map_err(&io)?;
        for record in records {
            writer.push(&record?).map_err(&io)?;
        }
        writer.finish(first, &end).map_err(&io)?;
        std::fs::rename(&aside, &path).map_err(&io)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))?;
        Self::open(path)
    }

    /// Opens a run and reads what is kept in memory.
    pub(super) fn open(path: PathBuf) -> Result<Self, IndexError> {
        let file = File::open(&path).map_err(failed(&path))?;
        let length = file.metadata().map_err(failed(&path))?.len();
        let mut header = [0; HEADER_BODY_BYTES + HASH_BYTES];
        file.read_exact_at(&mut header, 0).map_err(failed(&path))?;
        let header = Header::decode(&header).ok_or_else(|| damaged(&path, "the header is damaged"))?;
        let start = header.pages().saturating_add(1).saturating_mul(PAGE_BYTES as u64);
        if header.expected_bytes() != Some(length) {
            return Err(damaged(&path, "the length is wrong"));
        }
        let mut tail = vec![0; usize::try_from(length - start).map_err(|_| damaged(&path, "too long"))?];
        file.read_exact_at(&mut tail, start).map_err(failed(&path))?;
        if Sha256::digest(&tail)[..] != header.tail_digest {
            return Err(damaged(&path, "the filter is damaged"));
        }
        let (fences, filter) =
            tail.split_at(usize::try_from(header.pages() * 8).expect("shorter than the tail"));
        let fences = fences.as_chunks::<8>().0.iter().map(|fence| u64::from_be_bytes(*fence)).collect();
        let filter = Filter::from_bytes(filter).ok_or_else(|| damaged(&path, "the filter is damaged"))?;
        let Header { first, end, records, .. } = header;
        Ok(Self { path, file, first, end, records, fences, filter })
    }

    /// The place that the run has for a leaf.
    ///
    /// Cost: mostly none where the leaf is absent, one page where it is present.
    pub(super) fn get(&self, leaf: &Hash) -> Result<Option<u64>, IndexError> {
        if !self.filter.may_hold(leaf) {
            return Ok(None);
        }
        let wanted = prefix(leaf);
        // Hashes that share their first 8 bytes may begin on the page before.
        let mut page = self.fences.partition_point(|fence| *fence < wanted).saturating_sub(1);
        loop {
            let mut bytes = [0; PAGE_BYTES];
            self.read_pages(page, &mut bytes)?;
            let body = self.check(page, &bytes)?;
            let records = &body.as_chunks::<RECORD_BYTES>().0[..self.records_on(page)];
            if let Ok(at) = records.binary_search_by(|bytes| bytes[..HASH_BYTES].cmp(leaf.as_bytes())) {
                return Ok(Some(record(&records[at]).1));
            }
            page += 1;
            if self.fences.get(page).is_none_or(|fence| *fence > wanted) {
                return Ok(None);
            }
        }
    }

    fn records_on(&self, page: usize) -> usize {
        let before = (page * RECORDS_PER_PAGE) as u64;
        usize::try_from(self.records.saturating_sub(before)).unwrap_or(usize::MAX).min(RECORDS_PER_PAGE)
    }

    fn read_pages(&self, first: usize, bytes: &mut [u8]) -> Result<(), IndexError> {
        let at = (first as u64 + 1) * PAGE_BYTES as u64;
        self.file.read_exact_at(bytes, at).map_err(failed(&self.path))
    }

    fn check<'a>(&self, page: usize, bytes: &'a [u8]) -> Result<&'a [u8], IndexError> {
        let (body, check) = bytes.split_at(PAGE_BODY_BYTES);
        if page_check(page as u64, body) == check {
            return Ok(body);
        }
        Err(damaged(&self.path, &format!("page {page} is damaged")))
    }

    /// All records, in order.
    pub(super) fn records(&self) -> Records<'_> {
        Records { run: self, page: 0, at: 0, buffer: Vec::new() }
    }
}

struct Header {
    first: u64,
    end: TreeHead,
    records: u64,
    blocks: u64,
    tail_digest: [u8; HASH_BYTES],
}

impl Header {
    fn pages(&self) -> u64 {
        self.records.div_ceil(RECORDS_PER_PAGE as u64)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.end.size.get().to_be_bytes());
        bytes.extend(self.end.root.as_bytes());
        bytes.extend(self.records.to_be_bytes());
        bytes.extend(self.blocks.to_be_bytes());
        bytes.extend(self.tail_digest);
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// `None` for anything that does not encode to the same bytes, or holds no stretch of a log.
    fn decode(bytes: &[u8; HEADER_BODY_BYTES + HASH_BYTES]) -> Option<Self> {
        let (body, digest) = bytes.split_at(HEADER_BODY_BYTES);
        if &body[..8] != MAGIC || Sha256::digest(body)[..] != *digest {
            return None;
        }
        let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
        let size = TreeSize::new(number(16)).ok()?;
        let root = Hash::from_bytes(body[24..56].try_into().expect("32 bytes"));
        let (first, records) = (number(8), number(56));
        let leaves = size.get().checked_sub(first).filter(|leaves| *leaves > 0)?;
        let tail_digest = body[72..].try_into().expect("32 bytes");
        let header = Self { first, end: TreeHead { size, root }, records, blocks: number(64), tail_digest };
        // Each leaf has a record, and some have more.
        (records >= leaves).then_some(header)
    }

    fn expected_bytes(&self) -> Option<u64> {
        let pages = self.pages().checked_add(1)?.checked_mul(PAGE_BYTES as u64)?;
        pages.checked_add(self.pages() * 8)?.checked_add(self.blocks.checked_mul(BLOCK_BYTES as u64)?)
    }
}

/// Writes a run aside.
struct Writer {
    file: BufWriter<File>,
    body: Vec<u8>,
    fences: Vec<u64>,
    filter: Filter,
    pages: u64,
    records: u64,
    expected: u64,
}

impl Writer {
    fn create(path: &Path, records: u64) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(READ_PAGES * PAGE_BYTES, File::create(path)?);
        file.write_all(&[0; PAGE_BYTES])?;
        let filter = Filter::new(records);
        let body = Vec::with_capacity(PAGE_BODY_BYTES);
        Ok(Self { file, body, fences: Vec::new(), filter, pages: 0, records: 0, expected: records })
    }

    fn push(&mut self, (leaf, place): &Record) -> io::Result<()> {
        if self.body.is_empty() {
            self.fences.push(prefix(leaf));
        }
        self.filter.insert(leaf);
        self.body.extend_from_slice(leaf.as_bytes());
        self.body.extend_from_slice(&place.to_be_bytes());
        self.records += 1;
        if self.body.len() == PAGE_BODY_BYTES { self.end_page() } else { Ok(()) }
    }

    fn end_page(&mut self) -> io::Result<()> {
        self.body.resize(PAGE_BODY_BYTES, 0);
        self.file.write_all(&self.body)?;
        self.file.write_all(&page_check(self.pages, &self.body))?;
        self.body.clear();
        self.pages += 1;
        if (self.pages * PAGE_BYTES as u64).is_multiple_of(SYNC_BYTES) {
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
        }
        Ok(())
    }

    fn finish(mut self, first: u64, end: &TreeHead) -> io::Result<()> {
        assert_eq!(self.records, self.expected, "a run has as many records as were announced");
        if !self.body.is_empty() {
            self.end_page()?;
        }
        let mut tail = Sha256::new();
        let fences = self.fences.iter().map(|fence| fence.to_be_bytes());
        for bytes in fences.chain(self.filter.to_bytes()) {
            self.file.write_all(&bytes)?;
            tail.update(bytes);
        }
        let header = Header {
            first,
            end: *end,
            records: self.records,
            blocks: self.filter.blocks() as u64,
            tail_digest: tail.finalize().into(),
        };
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header.encode())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

/// The records of a run, in order, every page checked.
pub(super) struct Records<'a> {
    run: &'a Run,
    /// The page that is read next.
    page: usize,
    at: usize,
    buffer: Vec<Record>,
}

impl Records<'_> {
    fn refill(&mut self) -> Result<(), IndexError> {
        let pages = READ_PAGES.min(self.run.fences.len() - self.page);
        let mut bytes = vec![0; pages * PAGE_BYTES];
        self.run.read_pages(self.page, &mut bytes)?;
        self.buffer.clear();
        self.at = 0;
        for page in bytes.chunks_exact(PAGE_BYTES) {
            let body = self.run.check(self.page, page)?;
            let records = &body.as_chunks::<RECORD_BYTES>().0[..self.run.records_on(self.page)];
            self.buffer.extend(records.iter().map(record));
            self.page += 1;
        }
        Ok(())
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.buffer.len() {
            if self.page == self.run.fences.len() {
                return None;
            }
            if let Err(error) = self.refill() {
                self.page = self.run.fences.len();
                self.buffer.clear();
                return Some(Err(error));
            }
        }
        self.at += 1;
        Some(Ok(self.buffer[self.at - 1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    fn sorted(count: u64) -> Vec<Record> {
        let mut records: Vec<Record> =
            (100..100 + count).map(|place| (leaf_hash(&place.to_be_bytes()), place)).collect();
        records.sort_unstable();
        records
    }

    fn write(dir: &Path, records: &[Record]) -> Run {
        let size = TreeSize::new(100 + records.len() as u64).unwrap();
        let end = TreeHead { size, root: leaf_hash(b"root") };
        Run::write(dir, 100, end, records.len() as u64, records.iter().map(|record| Ok(*record))).unwrap()
    }

    #[test]
    fn every_leaf_is_found_and_no_other_at_every_number_of_records_around_a_page() {
        for count in [1, 2, 101, 102, 103, 204, 5000] {
            let dir = tempfile::tempdir().unwrap();
            let records = sorted(count);
            let run = write(dir.path(), &records);
            assert_eq!(run.len(), count);
            for (leaf, place) in &records {
                assert_eq!(run.get(leaf).unwrap(), Some(*place), "{count}");
            }
            assert!((0..100_u64).all(|place| run.get(&leaf_hash(&place.to_be_bytes())).unwrap().is_none()));
            assert_eq!(run.records().collect::<Result<Vec<_>, _>>().unwrap(), records);
        }
    }

    #[test]
    fn hashes_that_begin_alike_are_told_apart_across_pages() {
        let dir = tempfile::tempdir().unwrap();
        let hash = |number: u64| {
            let mut bytes = [7; HASH_BYTES];
            bytes[8..16].copy_from_slice(&number.to_be_bytes());
            bytes[24..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            Hash::from_bytes(bytes)
        };
        let records: Vec<Record> = (0..500).map(|number| (hash(number), 100 + number)).collect();
        let run = write(dir.path(), &records);
        assert!(records.iter().all(|(leaf, place)| run.get(leaf).unwrap() == Some(*place)));
        assert!((500..600).all(|number| run.get(&hash(number)).unwrap().is_none()));
    }

    #[test]
    fn every_flipped_byte_is_noticed_when_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let records = sorted(300);
        let path = write(dir.path(), &records).path;
        let good = std::fs::read(&path).unwrap();
        let used = (0..HEADER_BODY_BYTES + HASH_BYTES).chain((PAGE_BYTES..good.len()).step_by(13));
        for at in used {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            std::fs::write(&path, bad).unwrap();
            let read = Run::open(path.clone()).and_then(|run| run.records().collect::<Result<Vec<_>, _>>());
            assert!(read.is_err(), "byte {at}");
        }
        for length in [0, 50, PAGE_BYTES, good.len() - 1] {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(Run::open(path.clone()).is_err(), "cut at {length}");
        }
        std::fs::write(&path, &good).unwrap();
        assert_eq!(Run::open(path).unwrap().get(&records[7].0).unwrap(), Some(records[7].1));
    }

    proptest::proptest! {
        #[test]
        fn a_header_is_read_only_as_it_was_written(
            first in 0_u64..1 << 20, size in 0_u64..1 << 20, records: u64, blocks: u64, root: [u8; 32],
        ) {
            let end = TreeHead { size: TreeSize::new(size).unwrap(), root: Hash::from_bytes(root) };
            let header = Header { first, end, records, blocks, tail_digest: root };
            let bytes: [u8; HEADER_BODY_BYTES + HASH_BYTES] = header.encode().try_into().unwrap();
            match Header::decode(&bytes) {
                Some(read) => {
                    proptest::prop_assert_eq!(read.encode(), bytes.to_vec());
                    // Whatever the numbers are, they do not overflow.
                    let _ = read.expected_bytes();
                }
                None => proptest::prop_assert!(size <= first || records < size - first),
            }
        }
    }
}

//! Segments: preallocated files of fixed size that hold the journal's records.
//!
//! ```text
//! at   bytes
//!   0      8   "DBJSEG01": magic and format version
//!   8      8   number of the segment, u64 big-endian
//!  16      8   size of the file
//!  24     32   the journal's key
//!  56     32   SHA-256 over the above
//! 4096         records
//! ```
//!
//! The next segment is made ready before it is needed, by housekeeping, so that an append never waits for a
//! file to be filled with zeroes. Segments that are no longer needed become the next ones.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tlog::hash::sha256;

use super::JournalError;
use super::record::{ALIGN_BYTES, Key};
use crate::store::disk::Disk;

const MAGIC: &[u8; 8] = b"DBJSEG01";
const HEADER_BYTES: usize = 88;

/// The path of a live segment.
pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.seg"))
}

/// The segment files of a directory, by number.
pub(super) fn list(dir: &Path) -> std::io::Result<(Vec<u64>, Vec<PathBuf>)> {
    let (mut numbers, mut spares) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".seg").and_then(|number| number.parse().ok()) {
            numbers.push(number);
        } else if name.ends_with(".spare") {
            spares.push(path);
        }
    }
    numbers.sort_unstable();
    Ok((numbers, spares))
}

pub(super) fn encode_header(number: u64, bytes: u64, key: &Key) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(number.to_be_bytes());
    header.extend(bytes.to_be_bytes());
    header.extend(key);
    let digest = sha256(&header);
    header.extend(digest.as_bytes());
    header.resize(ALIGN_BYTES, 0);
    header
}

/// Number, size and key.
pub(super) fn decode_header(bytes: &[u8], path: &Path) -> Result<(u64, u64, Key), JournalError> {
    let damaged = || JournalError::Damaged { path: path.to_owned(), at: 0 };
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or_else(damaged)?;
    if header[..6] == MAGIC[..6] && header[6..8] > MAGIC[6..8] {
        return Err(JournalError::Newer { path: path.to_owned() });
    }
    if header[..8] != MAGIC[..] || sha256(&header[..56]).as_bytes() != &header[56..] {
        return Err(damaged());
    }
    let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    Ok((number(8), number(16), header[24..56].try_into().expect("32 bytes")))
}

pub(super) fn open(path: &Path) -> Result<File, JournalError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| JournalError::Io { what: "opening a segment", error })
}

/// Makes the next segment ready, off the append path.
#[derive(Clone)]
pub struct Preparer {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    bytes: u64,
    key: Key,
    /// `ready` is filled here and emptied by the journal; `released` the other way round.
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    next: u64,
    ready: Option<File>,
    released: Vec<u64>,
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preparer").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Preparer {
    pub(super) fn new(dir: PathBuf, disk: Arc<dyn Disk>, bytes: u64, key: Key, next: u64) -> Self {
        let slot = Slot { next, ..Slot::default() };
        Self { dir, disk, bytes, key, slot: Arc::new(Mutex::new(slot)) }
    }

    /// Makes the next segment ready if it is not, and removes released ones that are not needed for it.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the journal then prepares the segment itself when it needs it.
    pub fn prepare(&self) -> Result<(), JournalError> {
        let (number, mut released) = {
            let mut slot = self.lock();
            (slot.ready.is_none().then_some(slot.next), std::mem::take(&mut slot.released))
        };
        if let Some(number) = number {
            let file = self.make(number, released.pop())?;
            let mut slot = self.lock();
            if slot.next == number && slot.ready.is_none() {
                slot.ready = Some(file);
            }
        }
        for number in released {
            self.io("removing a segment", self.disk.remove(&path_of(&self.dir, number)))?;
        }
        Ok(())
    }

    /// Takes the next segment, making it now if nobody has.
    pub(super) fn take(&self) -> Result<(u64, File), JournalError> {
        let mut slot = self.lock();
        let number = slot.next;
        let ready = slot.ready.take();
        let released = if ready.is_none() { slot.released.pop() } else { None };
        slot.next += 1;
        drop(slot);
        let file = match ready {
            Some(file) => file,
            None => self.make(number, released)?,
        };
        Ok((number, file))
    }

    pub(super) fn release(&self, number: u64) {
        self.lock().released.push(number);
    }

    /// A recycled file must have lost its old name for good before it is written, and have its header before it
    /// gets the new one: a crash leaves a spare, or a complete segment without records.
    pub(super) fn make(&self, number: u64, recycled: Option<u64>) -> Result<File, JournalError> {
        let (path, spare) = (path_of(&self.dir, number), self.dir.join(format!("{number:016}.spare")));
        if path.exists() {
            // Prepared at the same time by the other side, or by an earlier run, and still without records.
            return open(&path);
        }
        match recycled {
            Some(old) => {
                self.io("recycling a segment", self.disk.rename(&path_of(&self.dir, old), &spare))?;
                self.io("syncing the journal", self.disk.sync_path(&self.dir))?;
            }
            None => {
                // Left by a crash; its length is unknown.
                if spare.exists() {
                    self.io("removing a spare segment", self.disk.remove(&spare))?;
                }
                self.io("preallocating a segment", self.disk.preallocate(&spare, self.bytes))?;
            }
        }
        let file = open(&spare)?;
        let header = encode_header(number, self.bytes, &self.key);
        self.io("writing a segment header", self.disk.write_at(&file, 0, &header))?;
        self.io("syncing a segment header", self.disk.sync_data(&file))?;
        self.io("naming a segment", self.disk.rename(&spare, &path))?;
        self.io("syncing the journal", self.disk.sync_path(&self.dir))?;
        Ok(file)
    }

    fn io(&self, what: &'static str, result: std::io::Result<()>) -> Result<(), JournalError> {
        result.map_err(|error| JournalError::Io { what, error })
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_is_read_only_as_it_was_written(
            number: u64, bytes: u64, key: [u8; 32], at in 0..HEADER_BYTES, bit in 0..8_u32, cut in 0..HEADER_BYTES,
        ) {
            let path = Path::new("0.seg");
            let header = encode_header(number, bytes, &key);
            prop_assert_eq!(decode_header(&header, path).ok(), Some((number, bytes, key)));
            let mut flipped = header.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(decode_header(&flipped, path).is_err());
            prop_assert!(decode_header(&header[..cut], path).is_err());
        }
    }

    #[test]
    fn a_header_of_a_newer_version_is_named_as_such() {
        let mut header = encode_header(1, 4096, &[7; 32]);
        header[..8].copy_from_slice(b"DBJSEG02");
        assert!(matches!(decode_header(&header, Path::new("0.seg")), Err(JournalError::Newer { .. })));
    }
}

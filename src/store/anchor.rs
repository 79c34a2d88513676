//! The anchor: a copy of the committed head on another volume.
//!
//! A log restored as a whole from an old copy is consistent with itself and has forgotten what it signed. The
//! anchor lies where the restore does not reach, and start-up compares. It is written after the commit and
//! synced before publication, so it is never ahead of the journal and never behind what was seen.
//!
//! Two slots of 4096 bytes are written in turn, so that a torn write leaves the older one:
//!
//! ```text
//!  0   8  "DBANCH01"            56   8  time, milliseconds since 1970
//!  8   8  journal record        64  32  SHA-256 of the origin
//! 16   8  tree size             96  32  SHA-256 over the above
//! 24  32  root
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::hash::{Hash, sha256};
use tlog::ids::{Origin, TreeHead, TreeSize, UnixMillis};

use crate::store::disk::Disk;
use crate::store::lock::{FileLock, LockError};

const MAGIC: &[u8; 8] = b"DBANCH01";
const SLOT_BYTES: u64 = 4096;
const BODY_BYTES: usize = 96;

/// What an anchor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchoredHead {
    /// The committed head.
    pub head: TreeHead,
    /// Its time.
    pub time: UnixMillis,
    /// The journal record that committed it.
    pub seq: u64,
}

/// Why the anchor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The disk failed. The process has to end.
    #[error("{what} {path} failed: {error}", path = path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The anchor.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// It is another log's.
    #[error("{file} is the anchor of another log; set anchor.path to this log's own", file = .0.display())]
    OtherLog(PathBuf),
    /// Neither slot verifies.
    #[error(
        "{file} is damaged or was made by a newer Daybook. If the log's directory is known to be the newest there is, \
         move the anchor away and run `daybook anchor` to make a new one",
        file = .0.display()
    )]
    Damaged(PathBuf),
    /// There is one already.
    #[error("{file} exists already; give each log an anchor of its own", file = .0.display())]
    Exists(PathBuf),
    /// Another process uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// An open anchor. The lock is held for as long as it lives.
#[derive(Debug)]
pub struct Anchor {
    path: PathBuf,
    file: File,
    disk: Arc<dyn Disk>,
    origin: Hash,
    /// The slot that the next write goes to.
    slot: u64,
    _lock: FileLock,
}

impl Anchor {
    /// Creates an anchor; both slots hold `head`.
    ///
    /// # Errors
    /// [`AnchorError::Exists`], or what the disk says.
    pub fn create(
        path: &Path,
        disk: Arc<dyn Disk>,
        origin: &Origin,
        head: &AnchoredHead,
    ) -> Result<Self, AnchorError> {
        if path.exists() {
            return Err(AnchorError::Exists(path.to_owned()));
        }
        let io = |what| move |error| AnchorError::Io { what, path: path.to_owned(), error };
        disk.create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(io("creating the folder of"))?;
        disk.preallocate(path, 2 * SLOT_BYTES).map_err(io("creating"))?;
        let mut anchor = Self::attach(path, disk, origin)?;
        anchor.write(head)?;
        anchor.write(head)?;
        anchor.sync()?;
        Ok(anchor)
    }

    /// Opens an anchor and reads the newer of its slots.
    ///
    /// # Errors
    /// [`AnchorError`].
    pub fn open(
        path: &Path,
        disk: Arc<dyn Disk>,
        origin: &Origin,
    ) -> Result<(Self, AnchoredHead), AnchorError> {
        let mut anchor = Self::attach(path, disk, origin)?;
        let slots = [anchor.read(0)?, anchor.read(1)?];
        let newest = slots.iter().enumerate().filter_map(|(slot, found)| Some((slot, (*found)?)));
        let (slot, (owner, head)) = newest
            .max_by_key(|(_, (_, head))| head.seq)
            .ok_or_else(|| AnchorError::Damaged(path.to_owned()))?;
        if owner != anchor.origin {
            return Err(AnchorError::OtherLog(path.to_owned()));
        }
        anchor.slot = 1 - slot as u64;
        Ok((anchor, head))
    }

    fn attach(path: &Path, disk: Arc<dyn Disk>, origin: &Origin) -> Result<Self, AnchorError> {
        let io = |what| move |error| AnchorError::Io { what, path: path.to_owned(), error };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("opening"))?;
        let mut lock_name = path.as_os_str().to_owned();
        lock_name.push(".lock");
        let lock = FileLock::take(Path::new(&lock_name))?;
        let origin = sha256(origin.as_str().as_bytes());
        Ok(Self { path: path.to_owned(), file, disk, origin, slot: 0, _lock: lock })
    }

    /// Writes the older slot. Not durable before [`Anchor::sync`].
    ///
    /// # Errors
    /// [`AnchorError::Io`].
    pub fn write(&mut self, head: &AnchoredHead) -> Result<(), AnchorError> {
        let bytes = encode(&self.origin, head);
        let written = self.disk.write_at(&self.file, self.slot * SLOT_BYTES, &bytes);
        written.map_err(|error| self.io("writing", error))?;
        self.slot = 1 - self.slot;
        Ok(())
    }

    /// Waits until what was written is on the device.
    ///
    /// # Errors
    /// [`AnchorError::Io`].
    pub fn sync(&self) -> Result<(), AnchorError> {
        self.disk.sync_data(&self.file).map_err(|error| self.io("syncing", error))
    }

    fn read(&self, slot: u64) -> Result<Option<(Hash, AnchoredHead)>, AnchorError> {
        let mut bytes = [0; BODY_BYTES + 32];
        let read = self.file.read_exact_at(&mut bytes, slot * SLOT_BYTES);
        match read {
            Ok(()) => Ok(decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(self.io("reading", error)),
        }
    }

    fn io(&self, what: &'static str, error: std::io::Error) -> AnchorError {
        AnchorError::Io { what, path: self.path.clone(), error }
    }
}

fn encode(origin: &Hash, head: &AnchoredHead) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(head.seq.to_be_bytes());
    bytes.extend(head.head.size.get().to_be_bytes());
    bytes.extend(head.head.root.as_bytes());
    bytes.extend(head.time.get().to_be_bytes());
    bytes.extend(origin.as_bytes());
    let digest = sha256(&bytes);
    bytes.extend(digest.as_bytes());
    bytes
}

fn decode(bytes: &[u8; BODY_BYTES + 32]) -> Option<(Hash, AnchoredHead)> {
    let (body, digest) = bytes.split_at(BODY_BYTES);
    if &body[..8] != MAGIC || sha256(body).as_bytes() != digest {
        return None;
    }
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let hash = |at: usize| Hash::from_bytes(body[at..at + 32].try_into().expect("32 bytes"));
    let head = TreeHead { size: TreeSize::new(number(16)).ok()?, root: hash(24) };
    Some((hash(64), AnchoredHead { head, time: UnixMillis::new(number(56)), seq: number(8) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;
    use tlog::hash::leaf_hash;

    fn head(seq: u64) -> AnchoredHead {
        let head = TreeHead { size: TreeSize::new(seq * 10).unwrap(), root: leaf_hash(&seq.to_be_bytes()) };
        AnchoredHead { head, time: UnixMillis::new(1000 + seq), seq }
    }

    fn origin(name: &str) -> Origin {
        name.parse().unwrap()
    }

    #[test]
    fn the_newest_head_is_read_and_a_torn_write_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
        let mut anchor = Anchor::create(&path, Arc::clone(&disk), &origin("a"), &head(1)).unwrap();
        anchor.write(&head(2)).unwrap();
        anchor.write(&head(3)).unwrap();
        let slot = (1 - anchor.slot) * SLOT_BYTES;
        drop(anchor);
        let (anchor, found) = Anchor::open(&path, Arc::clone(&disk), &origin("a")).unwrap();
        assert_eq!(found, head(3));
        drop(anchor);
        let good = std::fs::read(&path).unwrap();
        for at in 0..BODY_BYTES + 32 {
            let mut torn = good.clone();
            torn[slot as usize + at] ^= 0x10;
            std::fs::write(&path, &torn).unwrap();
            let (_anchor, found) = Anchor::open(&path, Arc::clone(&disk), &origin("a")).unwrap();
            assert_eq!(found, head(2), "byte {at}");
        }
        std::fs::write(&path, vec![0; good.len()]).unwrap();
        assert!(matches!(Anchor::open(&path, disk, &origin("a")), Err(AnchorError::Damaged(_))));
    }

    #[test]
    fn another_log_and_a_second_process_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
        let anchor = Anchor::create(&path, Arc::clone(&disk), &origin("a"), &head(1)).unwrap();
        assert!(matches!(Anchor::open(&path, Arc::clone(&disk), &origin("a")), Err(AnchorError::Lock(_))));
        drop(anchor);
        assert!(matches!(
            Anchor::open(&path, Arc::clone(&disk), &origin("b")),
            Err(AnchorError::OtherLog(_))
        ));
        assert!(matches!(Anchor::create(&path, disk, &origin("a"), &head(1)), Err(AnchorError::Exists(_))));
    }

    proptest::proptest! {
        #[test]
        fn a_slot_is_read_only_as_it_was_written(
            seq: u64, size in 0_u64..1 << 63, root: [u8; 32], time: u64, bytes: [u8; BODY_BYTES + 32],
        ) {
            let head = TreeHead { size: TreeSize::new(size).unwrap(), root: Hash::from_bytes(root) };
            let anchored = AnchoredHead { head, time: UnixMillis::new(time), seq };
            let written: [u8; BODY_BYTES + 32] = encode(&leaf_hash(b"origin"), &anchored).try_into().unwrap();
            proptest::prop_assert_eq!(decode(&written), Some((leaf_hash(b"origin"), anchored)));
            proptest::prop_assert_eq!(decode(&bytes), None);
            // Anything under a right checksum is refused, or means exactly these bytes.
            let mut body = MAGIC.to_vec();
            body.extend(&bytes[8..BODY_BYTES]);
            body.extend(sha256(&body.clone()).as_bytes());
            if let Some((origin, read)) = decode(&body.clone().try_into().unwrap()) {
                proptest::prop_assert_eq!(encode(&origin, &read), body);
            }
        }
    }
}

//! Attachments, by the SHA-256 of their bytes: plain files under `blobs/`, in folders by the first two digits.
//!
//! ```text
//! DIR/blobs/ab/cdef...        the bytes
//! DIR/blobs/unnamed/abcdef... empty: no version was known to name this blob at the file's time
//! DIR/blobs/incoming/         what is on its way in
//! ```
//!
//! A blob is written aside while it comes in, hashed on the way, and gets its name only when the hash is the
//! name and the file and its folder are on the device. Whatever has a name is whole.
//!
//! A new blob has a mark under `unnamed` until it is found that a version names it. One that is still unnamed after some
//! time is removed; one without a mark never is. [`BlobStore::hold`] puts that off, and nothing is removed while it does.
//!
//! Absent on purpose: who may upload, and which statement names a blob.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tlog::hash::Hash;

use super::disk::Disk;

const FOLDER: &str = "blobs";
const INCOMING: &str = "incoming";
const UNNAMED: &str = "unnamed";

/// The attachments of a log.
pub struct BlobStore {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Held alone by whoever removes a blob, and shared by those who count on one that is there.
    removal: RwLock<()>,
    /// Makes names of files written aside unique within the process.
    incoming: AtomicU64,
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// A blob on its way in. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    bytes: u64,
    kept: bool,
}

/// Why a blob was not kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Its bytes hash to something else than its name.
    #[error("the bytes that came hash to {found}, and were to be {wanted}")]
    OtherBytes {
        /// Its name.
        wanted: Hash,
        /// The hash of what came.
        found: Hash,
    },
    /// The disk.
    #[error("the attachment cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl BlobStore {
    /// The attachments in the log's directory. What was left half written there is removed.
    ///
    /// # Errors
    /// The system's answer.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let folder = dir.join(FOLDER);
        let incoming = folder.join(INCOMING);
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => disk.create_dir_all(&incoming)?,
        }
        disk.create_dir_all(&folder.join(UNNAMED))?;
        Ok(Self { folder, disk, removal: RwLock::default(), incoming: AtomicU64::new(0) })
    }

    fn file(&self, hash: &Hash) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// How many bytes the blob has; `None` if it is not there.
    ///
    /// # Errors
    /// The system's answer.
    pub fn length(&self, hash: &Hash) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.file(hash)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes the blob has, for a statement that is about to name it. It stays for a while from now on, whoever
    /// names it.
    ///
    /// # Errors
    /// The system's answer.
    pub fn hold(&self, hash: &Hash, now_seconds: i64) -> io::Result<Option<u64>> {
        let _stays = self.stays();
        let length = self.length(hash)?;
        if length.is_some() {
            self.touch(hash, now_seconds)?;
        }
        Ok(length)
    }

    /// Opens the blob for reading; `None` if it is not there.
    ///
    /// # Errors
    /// The system's answer.
    pub fn open_blob(&self, hash: &Hash) -> io::Result<Option<File>> {
        match File::open(self.file(hash)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins to take a blob in.
    ///
    /// # Errors
    /// The system's answer.
    pub fn begin(&self) -> io::Result<Incoming> {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(INCOMING).join(number.to_string());
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Incoming { file, path, hasher: Sha256::new(), bytes: 0, kept: false })
    }

    /// Gives a blob its name, once its bytes hash to it and are on the device.
    ///
    /// # Errors
    /// [`BlobError`]; the blob is gone then.
    pub fn finish(&self, mut incoming: Incoming, wanted: &Hash, now_seconds: i64) -> Result<(), BlobError> {
        let found = Hash::from_bytes(std::mem::take(&mut incoming.hasher).finalize().into());
        if found != *wanted {
            return Err(BlobError::OtherBytes { wanted: *wanted, found });
        }
        self.disk.sync_data(&incoming.file)?;
        let file = self.file(wanted);
        let folder = file.parent().expect("a blob lies in a folder");
        self.disk.create_dir_all(folder)?;
        let _stays = self.stays();
        if file.try_exists()? {
            self.touch(wanted, now_seconds)?;
        } else {
            // First: a mark without its blob is removed in time, a blob without its mark never would be.
            self.disk.replace(&self.mark(wanted), b"")?;
            set_time(&self.mark(wanted), now_seconds)?;
        }
        self.disk.rename(&incoming.path, &file)?;
        incoming.kept = true;
        self.disk.sync_path(folder)?;
        self.disk.sync_path(&self.folder)?;
        Ok(())
    }

    /// Removes blobs that nobody has named, and that were uploaded or held last before a time. `is_named` is asked once for
    /// each that was named, while no statement can come to name it.
    ///
    /// # Errors
    /// The system's answer, and what `is_named` says.
    pub fn expire<E: From<io::Error>>(
        &self,
        before_seconds: i64,
        is_named: impl Fn(&Hash) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let mut removed = 0;
        for mark in std::fs::read_dir(self.folder.join(UNNAMED))? {
            let Ok(hash) = mark?.file_name().to_string_lossy().parse::<Hash>() else { continue };
            // Looked at twice, so that those who are not due do not hold anybody up.
            if !self.is_due(&hash, before_seconds)? {
                continue;
            }
            let _alone = self.removal.write().unwrap_or_else(PoisonError::into_inner);
            if !self.is_due(&hash, before_seconds)? {
                continue;
            }
            let file = self.file(&hash);
            if !is_named(&hash)? && file.try_exists()? {
                self.disk.remove(&file)?;
                removed += 1;
            }
            self.disk.remove(&self.mark(&hash))?;
        }
        Ok(removed)
    }

    fn stays(&self) -> RwLockReadGuard<'_, ()> {
        self.removal.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, hash: &Hash) -> PathBuf {
        self.folder.join(UNNAMED).join(hash.to_string())
    }

    fn is_due(&self, hash: &Hash, before_seconds: i64) -> io::Result<bool> {
        match std::fs::metadata(self.mark(hash)) {
            Ok(metadata) => Ok(metadata.modified()? < time(before_seconds)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the time of a blob's mark, if it has one.
    fn touch(&self, hash: &Hash, now_seconds: i64) -> io::Result<()> {
        match set_time(&self.mark(hash), now_seconds) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

fn set_time(mark: &Path, seconds: i64) -> io::Result<()> {
    File::options().write(true).open(mark)?.set_modified(time(seconds))
}

fn time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

impl Incoming {
    /// Adds bytes.
    ///
    /// # Errors
    /// The system's answer.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// How many bytes came so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody can reach it, and the next start removes what is left.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;
    use tlog::hash::sha256;

    const NOW: i64 = 1_795_426_200;

    fn store(dir: &Path) -> BlobStore {
        BlobStore::open(dir, Arc::new(RealDisk::default())).unwrap()
    }

    #[test]
    fn a_blob_has_its_name_only_once_its_bytes_hash_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = store(dir.path());
        let name = sha256(b"contents");
        let mut other = blobs.begin().unwrap();
        other.write(b"other contents").unwrap();
        assert!(matches!(blobs.finish(other, &name, NOW), Err(BlobError::OtherBytes { .. })));
        assert_eq!(blobs.length(&name).unwrap(), None);
        let mut incoming = blobs.begin().unwrap();
        incoming.write(b"con").unwrap();
        incoming.write(b"tents").unwrap();
        blobs.finish(incoming, &name, NOW).unwrap();
        assert_eq!(blobs.length(&name).unwrap(), Some(8));
        assert_eq!(std::fs::read_dir(dir.path().join("blobs/incoming")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_half_written_is_gone_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = store(dir.path());
        let mut half = blobs.begin().unwrap();
        half.write(b"half").unwrap();
        std::mem::forget(half);
        drop(store(dir.path()));
        assert_eq!(std::fs::read_dir(dir.path().join("blobs/incoming")).unwrap().count(), 0);
    }

    fn upload(blobs: &BlobStore, contents: &[u8], at: i64) -> Hash {
        let mut incoming = blobs.begin().unwrap();
        incoming.write(contents).unwrap();
        blobs.finish(incoming, &sha256(contents), at).unwrap();
        sha256(contents)
    }

    #[test]
    fn a_blob_that_nobody_names_in_time_is_removed_and_what_is_named_or_held_stays() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = store(dir.path());
        let named = upload(&blobs, b"named", NOW);
        let forgotten = upload(&blobs, b"forgotten", NOW);
        let young = upload(&blobs, b"young", NOW + 100);
        let held = upload(&blobs, b"held", NOW);
        let again = upload(&blobs, b"again", NOW);
        assert_eq!(blobs.hold(&held, NOW + 100).unwrap(), Some(4));
        assert_eq!(upload(&blobs, b"again", NOW + 100), again);
        assert_eq!(blobs.hold(&sha256(b"none"), NOW + 100).unwrap(), None);
        let expire = |before, named: Option<Hash>| {
            blobs.expire(before, |one| Ok::<_, io::Error>(Some(*one) == named)).unwrap()
        };
        assert_eq!(expire(NOW + 50, Some(named)), 1);
        let there = |hash: &Hash| blobs.length(hash).unwrap().is_some();
        assert_eq!(
            [named, forgotten, young, held, again].map(|one| there(&one)),
            [true, false, true, true, true]
        );
        drop(blobs);
        let blobs = store(dir.path());
        assert_eq!(blobs.expire(NOW + 1000, |_| Ok::<_, io::Error>(false)).unwrap(), 3);
        assert!(blobs.length(&named).unwrap().is_some(), "what was named once stays");
        assert_eq!(upload(&blobs, b"forgotten", NOW + 1000), forgotten, "it may be uploaded again");
        // One that was there before, from a build that kept no marks or without its mark after a crash, is not ours to remove.
        std::fs::remove_file(blobs.mark(&forgotten)).unwrap();
        upload(&blobs, b"forgotten", NOW + 2000);
        assert_eq!(blobs.expire(NOW + 9000, |_| Ok::<_, io::Error>(false)).unwrap(), 0);
    }

    #[test]
    fn a_blob_that_is_held_while_others_are_removed_is_there_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = store(dir.path());
        for round in 0..200_i64 {
            let contents = round.to_be_bytes();
            let hash = upload(&blobs, &contents, NOW);
            let (held, removed) = std::thread::scope(|scope| {
                let expire = scope.spawn(|| blobs.expire(NOW + 1, |_| Ok::<_, io::Error>(false)).unwrap());
                let held = blobs.hold(&hash, NOW + 1).unwrap();
                (held.is_some(), expire.join().unwrap())
            });
            assert_eq!(blobs.length(&hash).unwrap().is_some(), held, "{round}: what was held is there");
            assert_eq!(removed, usize::from(!held), "{round}");
            blobs.expire(NOW + 2, |_| Ok::<_, io::Error>(false)).unwrap();
        }
    }
}

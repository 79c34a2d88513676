//! Attachments, by the SHA-256 of their bytes: plain files under `blobs/`, in folders by the first two digits.
//!
//! A blob is written aside while it comes in, hashed on the way, and gets its name only when the hash is the
//! name and the file and its folder are on the device. Whatever has a name is whole.
//!
//! Absent on purpose: who may upload, and which statement names a blob.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tlog::hash::Hash;

use super::disk::Disk;

const FOLDER: &str = "blobs";
const INCOMING: &str = "incoming";

/// The attachments of a log.
pub struct BlobStore {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
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
        Ok(Self { folder, disk, incoming: AtomicU64::new(0) })
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
    pub fn finish(&self, mut incoming: Incoming, wanted: &Hash) -> Result<(), BlobError> {
        let found = Hash::from_bytes(std::mem::take(&mut incoming.hasher).finalize().into());
        if found != *wanted {
            return Err(BlobError::OtherBytes { wanted: *wanted, found });
        }
        self.disk.sync_data(&incoming.file)?;
        let file = self.file(wanted);
        let folder = file.parent().expect("a blob lies in a folder");
        self.disk.create_dir_all(folder)?;
        self.disk.rename(&incoming.path, &file)?;
        incoming.kept = true;
        self.disk.sync_path(folder)?;
        self.disk.sync_path(&self.folder)?;
        Ok(())
    }
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
        assert!(matches!(blobs.finish(other, &name), Err(BlobError::OtherBytes { .. })));
        assert_eq!(blobs.length(&name).unwrap(), None);
        let mut incoming = blobs.begin().unwrap();
        incoming.write(b"con").unwrap();
        incoming.write(b"tents").unwrap();
        blobs.finish(incoming, &name).unwrap();
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
}

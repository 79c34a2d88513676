//! The file operations of the write path, behind one trait, so that each can be made to fail.
//!
//! [`RealDisk`] does them. [`fault::FaultDisk`] counts them and fails the one it was told to, the way disks do:
//! not at all, half, or completely but reporting an error.
//!
//! Absent on purpose: reads. What was written is read back through the file system like anybody else would.

pub mod fault;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Zeroes written at a time when a file is preallocated.
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file system that takes writes.
pub trait Disk: Send + Sync + 'static {
    /// Creates a directory and those above it.
    ///
    /// # Errors
    /// The system's answer, here and below.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Creates a file of so many zero bytes, really written, and syncs it and its directory.
    ///
    /// # Errors
    /// As above.
    fn preallocate(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Writes in place. Not synced.
    ///
    /// # Errors
    /// As above; any part may have been written.
    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until what was written to the file is on the device.
    ///
    /// # Errors
    /// As above; after an error nothing written before may be trusted.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Writes a new file aside and renames it over `path`. Not synced.
    ///
    /// # Errors
    /// As above; the old file, if any, is then still there.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Syncs a file or a directory.
    ///
    /// # Errors
    /// As [`Disk::sync_data`].
    fn sync_path(&self, path: &Path) -> io::Result<()>;

    /// Renames. Not synced.
    ///
    /// # Errors
    /// As above.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Bytes that this process may still write on the file system of `dir`.
    ///
    /// # Errors
    /// As above.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// The operating system's.
#[derive(Debug, Default)]
pub struct RealDisk {
    /// Makes names of files written aside unique within the process; the directory lock does so between
    /// processes.
    aside: AtomicU64,
}

impl RealDisk {
    fn aside_path(&self, path: &Path) -> io::Result<PathBuf> {
        let number = self.aside.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(path.with_file_name(format!(".{}.{number}.new", name.to_string_lossy())))
    }
}

impl Disk for RealDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn preallocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut left = bytes;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROES.len());
            file.write_all(&ZEROES[..piece])?;
            left -= piece as u64;
        }
        file.sync_all()?;
        self.sync_path(path.parent().unwrap_or(Path::new(".")))
    }

    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let aside = self.aside_path(path)?;
        let write = |file: io::Result<File>| file.and_then(|mut file| file.write_all(bytes));
        let mut written = write(File::create(&aside));
        if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            written = write(File::create(&aside));
        }
        let done = written.and_then(|()| std::fs::rename(&aside, path));
        if done.is_err() {
            // The file aside has no reader; leaving it would only waste space on a disk that may be full.
            let _ = std::fs::remove_file(&aside);
        }
        done
    }

    fn sync_path(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

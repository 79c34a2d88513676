//! A monitor's directory: what is where, and files that are whole or not there.
//!
//! ```text
//! monitor.toml                 configuration
//! monitor.sqlite               what must not be forgotten (crate::store)
//! logs/<hash>/hashes/          hashes of the verified tree (crate::archive); <hash> is that of the origin
//! logs/<hash>/verified         the last head that was verified, a signed note
//! logs/<hash>/records.sqlite   where the replay of a log of records is (crate::replay)
//! evidence/<id>.evidence       contradictions that anyone can verify
//! alarms/<name>.alarm          reports of what is wrong and proves nothing
//! alerts.ndjson                every alert, one JSON object a line
//! lock                         held while a monitor works here
//! ```
//!
//! Evidence and the last verified heads are files of their own so that no damage to the database loses them: a log
//! with an evidence file is misbehaving whatever the database says, and one with evidence in the database whatever
//! became of the file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use daemon::lock::{FileLock, LockError};
use tlog::hash::sha256;
use tlog::ids::Origin;

/// The longest file that is read back whole.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How the name of a file ends that is being written.
const UNFINISHED: &str = "new";

/// Files that this process began to write: two writers of one file do not get into each other's way.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Why a directory cannot be worked in.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another monitor works here, or the lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file system refuses.
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, io::Error),
}

/// A monitor's directory.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

/// A name for a log that can stand in a path: the hash of its origin, in hex, as the witness protocol has it.
#[must_use]
pub fn origin_hash(origin: &Origin) -> String {
    sha256(origin.as_str().as_bytes()).to_string()
}

impl Folder {
    /// The directory at this path.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes what is missing, and takes the lock.
    ///
    /// # Errors
    /// [`FolderError`]: the system's answer, or that another monitor works here.
    pub fn open(&self) -> Result<FileLock, FolderError> {
        for name in ["logs", "evidence", "alarms"] {
            let path = self.root.join(name);
            std::fs::create_dir_all(&path).map_err(|error| FolderError::Io(path, error))?;
        }
        let lock = FileLock::take(&self.root.join("lock"))?;
        self.sweep().map_err(|error| FolderError::Io(self.root.clone(), error))?;
        Ok(lock)
    }

    /// Removes what an earlier process began to write and did not finish.
    fn sweep(&self) -> io::Result<()> {
        let mut folders = vec![self.root.join("evidence"), self.root.join("alarms")];
        for log in std::fs::read_dir(self.root.join("logs"))? {
            folders.push(log?.path());
        }
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            for file in std::fs::read_dir(folder)? {
                let path = file?.path();
                if path.extension().is_some_and(|end| end == UNFINISHED) {
                    std::fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("monitor.sqlite")
    }

    /// The folder of a log.
    #[must_use]
    pub fn log(&self, origin: &Origin) -> PathBuf {
        self.root.join("logs").join(origin_hash(origin))
    }

    /// The folder with the hashes of a log.
    #[must_use]
    pub fn hashes(&self, origin: &Origin) -> PathBuf {
        self.log(origin).join("hashes")
    }

    /// The file with the last verified head of a log.
    #[must_use]
    pub fn verified(&self, origin: &Origin) -> PathBuf {
        self.log(origin).join("verified")
    }

    /// The folder of evidence files.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.root.join("evidence")
    }

    /// The files in the evidence folder, by name.
    ///
    /// # Errors
    /// The system's answer.
    pub fn evidence_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.evidence())?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|end| end == "evidence"));
        files.sort();
        Ok(files)
    }

    /// Writes a file under the directory, durably and whole or not at all, and returns its path.
    ///
    /// # Errors
    /// The system's answer.
    pub fn write(&self, relative: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.root.join(relative);
        let parent = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent)?;
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".{}.{UNFINISHED}", BEGUN.fetch_add(1, Ordering::Relaxed)));
        let whole = || {
            let mut file = File::options().write(true).create_new(true).open(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&aside, &path)
        };
        if let Err(error) = whole() {
            // It may not be there; what matters is the first error.
            let _ = std::fs::remove_file(&aside);
            return Err(error);
        }
        File::open(parent)?.sync_all()?;
        Ok(path)
    }

    /// Adds a line to a file under the directory, durably.
    ///
    /// # Errors
    /// The system's answer.
    pub fn append_line(&self, relative: &Path, line: &str) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.root.join(relative))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    }
}

/// Reads a file that is not longer than any of ours; `None` if there is none.
///
/// # Errors
/// The system's answer, or that it is too long.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{}: too long", path.display())))
        }
        Ok(_) => std::fs::read(path).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_of_one_file_leave_it_whole_and_nothing_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        let lock = folder.open().unwrap();
        let bytes = |number: u8| vec![number; 100_000];
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let folder = &folder;
                scope.spawn(move || {
                    for _ in 0..20 {
                        folder.write(Path::new("evidence/1.evidence"), &bytes(number)).unwrap();
                    }
                });
            }
        });
        let kept = read(&folder.evidence().join("1.evidence")).unwrap().unwrap();
        assert_eq!(kept, bytes(kept[0]));
        assert_eq!(std::fs::read_dir(folder.evidence()).unwrap().count(), 1);
        drop(lock);
        std::fs::write(folder.evidence().join("2.evidence.7.new"), b"half").unwrap();
        let _lock = folder.open().unwrap();
        assert_eq!(
            std::fs::read_dir(folder.evidence()).unwrap().count(),
            1,
            "what was not finished is removed"
        );
    }
}

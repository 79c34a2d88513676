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
//! with an evidence file is misbehaving whatever the database says.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use daemon::lock::{FileLock, LockError};
use tlog::hash::sha256;
use tlog::ids::Origin;

/// The longest file that is read back whole.
const FILE_BYTES_MAX: u64 = 4 << 20;

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
        Ok(FileLock::take(&self.root.join("lock"))?)
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
        aside.push(".new");
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)?;
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

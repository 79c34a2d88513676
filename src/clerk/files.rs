//! Files beside a clerk's own: written whole or not at all, and durable before anybody relies on them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use daemon::files::in_words;

/// The longest file that is read as a whole.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("{file}: {}", in_words(.error), file = .file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// It is too long.
    #[error("{file}: has {bytes} bytes; at most {FILE_BYTES_MAX} are read. Cut it into parts", file = .file.display())]
    TooLong {
        /// Which file.
        file: PathBuf,
        /// How long it is.
        bytes: u64,
    },
}

pub(super) fn failed(path: &Path) -> impl Fn(std::io::Error) -> FileError + '_ {
    |error| FileError::Io { file: path.to_owned(), error }
}

/// Reads a file.
///
/// # Errors
/// [`FileError`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = std::fs::metadata(path).map_err(failed(path))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(FileError::TooLong { file: path.to_owned(), bytes });
    }
    std::fs::read(path).map_err(failed(path))
}

/// Writes a file that everybody may read, in place of the one that may be there. Makes the folder if need be.
///
/// # Errors
/// [`FileError::Io`]; the file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    put(path, bytes, 0o644, true)
}

/// Like [`replace`], without waiting for the disk: for what can be had again from the log.
///
/// # Errors
/// As [`replace`].
pub fn replace_soon(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    put(path, bytes, 0o644, false)
}

/// Writes a file that its owner alone may read.
///
/// # Errors
/// As [`replace`].
pub fn replace_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    put(path, bytes, 0o600, true)
}

fn put(path: &Path, bytes: &[u8], mode: u32, sync: bool) -> Result<(), FileError> {
    let failed = failed(path);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(&failed)?;
    }
    let aside = with_ending(path, ".new");
    // What a run before this one left behind, perhaps with other permissions.
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside);
    let mut file = open.map_err(&failed)?;
    file.write_all(bytes).map_err(&failed)?;
    if sync {
        file.sync_all().map_err(&failed)?;
    }
    std::fs::rename(&aside, path).map_err(failed)
}

/// The path with more at its end: `gb.json` and `.statement` make `gb.json.statement`.
#[must_use]
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

//! Files beside a clerk's own: written whole or not at all, and durable before anybody relies on them: the bytes, and the name in
//! its folder, without which they would not be found again.

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

/// Writes a file that everybody may read, in place of the one that may be there. Makes the folder if need be. Afterwards all of
/// it is on the disk.
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
    let folder = folder_of(path);
    make_folder(folder, sync)?;
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
    std::fs::rename(&aside, path).map_err(failed)?;
    if sync { sync_folder(folder) } else { Ok(()) }
}

/// The folder that a path is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder, and those that it is in. Where it is asked, what was made is on the disk afterwards.
pub(super) fn make_folder(folder: &Path, sync: bool) -> Result<(), FileError> {
    let is_missing = |above: &&Path| !above.as_os_str().is_empty() && !above.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    if sync { missing.into_iter().try_for_each(|made| sync_folder(folder_of(made))) } else { Ok(()) }
}

/// Waits until the names in a folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// Removes a file, and waits until its name is gone; whether there was one.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path)(error)),
    }
}

/// The path with more at its end: `gb.json` and `.statement` make `gb.json.statement`.
#[must_use]
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

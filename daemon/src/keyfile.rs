//! Private keys in files: PKCS#8 in PEM, readable by their owner alone.
//!
//! Absent on purpose: anything that prints a key, and what the keys are of.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pkcs8::der::Document;
use pkcs8::{LineEnding, SecretDocument};
use zeroize::Zeroizing;

use crate::clock::Random;
use crate::config::{ConfigError, read_secret};

const PEM_LABEL: &str = "PRIVATE KEY";
/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;

/// Why a key file cannot be used. Says nothing of the key itself.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It is no PEM file with a PKCS#8 document.
    #[error("{file}: not a PKCS#8 private key in PEM", file = .0.display())]
    Pem(PathBuf),
    /// It cannot be written.
    #[error("{file} cannot be written: {1}", file = .0.display())]
    Write(PathBuf, std::io::Error),
}

/// Draws a seed.
#[must_use]
pub fn draw(random: &dyn Random) -> Zeroizing<[u8; SEED_BYTES]> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    random.fill(&mut *seed);
    seed
}

/// Writes a PKCS#8 document as PEM into a new file that its owner alone can read.
///
/// # Errors
/// [`KeyFileError::Write`], also if the file exists.
pub fn write(path: &Path, der: &[u8]) -> Result<(), KeyFileError> {
    let failed = |error| KeyFileError::Write(path.to_owned(), error);
    let bad = || KeyFileError::Pem(path.to_owned());
    let document = Document::try_from(der).map_err(|_| bad())?;
    let pem = SecretDocument::from(document).to_pem(PEM_LABEL, LineEnding::LF).map_err(|_| bad())?;
    let options = || std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = options().map_err(failed)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a PKCS#8 document from a PEM file.
///
/// # Errors
/// [`KeyFileError`] if others can read the file, or it is no such PEM.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let pem = Zeroizing::new(read_secret(path)?);
    let bad = || KeyFileError::Pem(path.to_owned());
    let text = std::str::from_utf8(&pem).map_err(|_| bad())?;
    let (label, document) = SecretDocument::from_pem(text).map_err(|_| bad())?;
    if label == PEM_LABEL { Ok(document.to_bytes()) } else { Err(bad()) }
}

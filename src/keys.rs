//! The log's key files: `keys/ed25519.pem` and `keys/tree-head.pem`, PKCS#8 in PEM, readable by the owner alone.
//!
//! Absent on purpose: anything that prints a key.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use daemon::clock::Random;
use daemon::config::{ConfigError, read_secret};
use pkcs8::der::Document;
use pkcs8::{LineEnding, SecretDocument};
use tlog::ids::Origin;
use tlog::sign::{Ed25519Signer, SEED_BYTES, SignerError, TreeHeadSigner};
use zeroize::Zeroizing;

use crate::signer::LogSigner;

const PEM_LABEL: &str = "PRIVATE KEY";
const ED25519_FILE: &str = "keys/ed25519.pem";
const TREE_HEAD_FILE: &str = "keys/tree-head.pem";
/// Seeds drawn before the random source is given up; one in 2^32 is no P-256 key.
const DRAWS_MAX: usize = 8;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A file holds no key of the right kind.
    #[error("{file}: {1}", file = .0.display())]
    Key(PathBuf, SignerError),
    /// A file cannot be written.
    #[error("{file} cannot be written: {1}", file = .0.display())]
    Write(PathBuf, std::io::Error),
    /// The origin cannot name a key.
    #[error("the origin {0:?} cannot name a key: {1}")]
    Name(String, tlog::ids::IdError),
}

/// Draws new keys for a log and writes them under `dir`.
///
/// # Errors
/// [`KeyError`]; files that exist are never overwritten.
pub fn create(dir: &Path, origin: &Origin, random: &dyn Random) -> Result<LogSigner, KeyError> {
    let name = || origin.as_str().parse().map_err(|error| KeyError::Name(origin.to_string(), error));
    let ed25519 = Ed25519Signer::from_seed(name()?, &draw(random));
    let drawn = (0..DRAWS_MAX).find_map(|_| TreeHeadSigner::from_seed(name().ok()?, &draw(random)).ok());
    let tree_head = drawn.ok_or_else(|| KeyError::Key(dir.join(TREE_HEAD_FILE), SignerError::Seed))?;
    write(&dir.join(ED25519_FILE), &ed25519.to_pkcs8_der())?;
    write(&dir.join(TREE_HEAD_FILE), &tree_head.to_pkcs8_der())?;
    Ok(LogSigner::new(origin.clone(), ed25519, tree_head))
}

/// Reads the keys under `dir`.
///
/// # Errors
/// [`KeyError`] names the file.
pub fn load(dir: &Path, origin: &Origin) -> Result<LogSigner, KeyError> {
    let name = || origin.as_str().parse().map_err(|error| KeyError::Name(origin.to_string(), error));
    let (path, other) = (dir.join(ED25519_FILE), dir.join(TREE_HEAD_FILE));
    let ed25519 =
        Ed25519Signer::from_pkcs8_der(name()?, &read(&path)?).map_err(|e| KeyError::Key(path, e))?;
    let tree_head =
        TreeHeadSigner::from_pkcs8_der(name()?, &read(&other)?).map_err(|e| KeyError::Key(other, e))?;
    Ok(LogSigner::new(origin.clone(), ed25519, tree_head))
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
/// [`KeyError::Write`], also if the file exists.
pub fn write(path: &Path, der: &[u8]) -> Result<(), KeyError> {
    let failed = |error| KeyError::Write(path.to_owned(), error);
    let document = Document::try_from(der).map_err(|_| KeyError::Key(path.to_owned(), SignerError::Pkcs8))?;
    let pem = SecretDocument::from(document).to_pem(PEM_LABEL, LineEnding::LF);
    let pem = pem.map_err(|_| KeyError::Key(path.to_owned(), SignerError::Pkcs8))?;
    let options = || std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = options().map_err(failed)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Reads a PKCS#8 document from a PEM file.
///
/// # Errors
/// [`KeyError`] if others can read the file, or it is no such PEM.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let pem = Zeroizing::new(read_secret(path)?);
    let bad = || KeyError::Key(path.to_owned(), SignerError::Pkcs8);
    let text = std::str::from_utf8(&pem).map_err(|_| bad())?;
    let (label, document) = SecretDocument::from_pem(text).map_err(|_| bad())?;
    if label == PEM_LABEL { Ok(document.to_bytes()) } else { Err(bad()) }
}

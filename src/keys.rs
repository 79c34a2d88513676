//! The log's key files: `keys/ed25519.pem` and `keys/tree-head.pem`, PKCS#8 in PEM, readable by the owner alone.
//!
//! Absent on purpose: anything that prints a key.

use std::path::{Path, PathBuf};

use daemon::clock::Random;
pub use daemon::keyfile::{KeyFileError, draw, read, write};
use tlog::ids::Origin;
use tlog::sign::{Ed25519Signer, SignerError, TreeHeadSigner};

use crate::signer::LogSigner;

const ED25519_FILE: &str = "keys/ed25519.pem";
const TREE_HEAD_FILE: &str = "keys/tree-head.pem";
/// Seeds drawn before the random source is given up; one in 2^32 is no P-256 key.
const DRAWS_MAX: usize = 8;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file holds no key of the right kind.
    #[error("{file}: {1}", file = .0.display())]
    Key(PathBuf, SignerError),
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

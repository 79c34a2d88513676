//! Private keys in files: PKCS#8 in PEM, readable by their owner alone, encrypted under a passphrase on request.
//!
//! ```text
//! treasury.gov.example/clerk+5f3a9b12+AXk...        one line of the caller's, optional: which key this is
//! -----BEGIN ENCRYPTED PRIVATE KEY-----             or BEGIN PRIVATE KEY
//! ```
//!
//! Encryption is PBES2 (RFC 8018): scrypt, with 128 MiB of memory for each guess, and AES-256-CBC. Files that other tools
//! encrypted with scrypt or PBKDF2 are read too.
//!
//! Absent on purpose: anything that prints a key, and what the keys are of.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pkcs8::der::{Decode, Document};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::clock::Random;
use crate::config::{ConfigError, read_secret};
use crate::files::in_words;

const PEM_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_PEM_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const PEM_BEGIN: &str = "-----BEGIN ";
/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;
/// Bytes of the salt before a passphrase.
const SALT_BYTES: usize = 16;
/// Bytes of a block of AES.
const IV_BYTES: usize = 16;

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
    #[error("{file} cannot be written: {}", in_words(.1), file = .0.display())]
    Write(PathBuf, std::io::Error),
    /// It is encrypted, and there is no passphrase.
    #[error("{file}: the key is encrypted; it needs its passphrase", file = .0.display())]
    Encrypted(PathBuf),
    /// The passphrase is another one.
    #[error("{file}: the passphrase does not open the key", file = .0.display())]
    Passphrase(PathBuf),
}

/// A passphrase, and the source of the salt that stands before it.
#[derive(Clone, Copy)]
pub struct Protection<'a> {
    /// The passphrase.
    pub passphrase: &'a [u8],
    /// Draws the salt.
    pub random: &'a dyn Random,
}

/// A key file that was read, still closed if it is encrypted.
pub struct KeyFile {
    path: PathBuf,
    line: Option<String>,
    encrypted: bool,
    document: SecretDocument,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyFile({})", self.path.display())
    }
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError`] if others can read the file, or it is no such PEM.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let pem = Zeroizing::new(read_secret(path)?);
        let bad = || KeyFileError::Pem(path.to_owned());
        let text = std::str::from_utf8(&pem).map_err(|_| bad())?;
        let (label, document) = SecretDocument::from_pem(text).map_err(|_| bad())?;
        let encrypted = match label {
            PEM_LABEL => false,
            ENCRYPTED_PEM_LABEL => true,
            _ => return Err(bad()),
        };
        let before = text.split_once(PEM_BEGIN).map_or("", |(before, _)| before);
        let line = before.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
        Ok(Self { path: path.to_owned(), line, encrypted, document })
    }

    /// The line before the key, as its writer left it: nothing vouches for it.
    #[must_use]
    pub fn line(&self) -> Option<&str> {
        self.line.as_deref()
    }

    /// Whether it needs a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The PKCS#8 document.
    ///
    /// # Errors
    /// [`KeyFileError::Encrypted`] without a passphrase where there must be one, [`KeyFileError::Passphrase`].
    pub fn open(&self, passphrase: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        if !self.encrypted {
            return Ok(self.document.to_bytes());
        }
        let passphrase = passphrase.ok_or_else(|| KeyFileError::Encrypted(self.path.clone()))?;
        let closed = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes())
            .map_err(|_| KeyFileError::Pem(self.path.clone()))?;
        let opened = closed.decrypt(passphrase).ok().map(|document| document.to_bytes());
        // A wrong passphrase now and then leaves padding that looks right, but no key.
        let opened = opened.filter(|der| PrivateKeyInfoRef::from_der(der).is_ok());
        opened.ok_or_else(|| KeyFileError::Passphrase(self.path.clone()))
    }
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
    write_with(path, "", der, None)
}

/// Writes a PKCS#8 document after a line that says what it is, encrypted if it shall be.
///
/// # Errors
/// As [`write()`].
pub fn write_with(
    path: &Path,
    line: &str,
    der: &[u8],
    protection: Option<Protection<'_>>,
) -> Result<(), KeyFileError> {
    let failed = |error| KeyFileError::Write(path.to_owned(), error);
    let bad = || KeyFileError::Pem(path.to_owned());
    let (label, document) = match protection {
        None => {
            let document = Document::try_from(der).map_err(|_| bad())?;
            (PEM_LABEL, SecretDocument::from(document))
        }
        Some(protection) => (ENCRYPTED_PEM_LABEL, encrypt(der, protection).ok_or_else(bad)?),
    };
    let pem = document.to_pem(label, LineEnding::LF).map_err(|_| bad())?;
    let line = if line.is_empty() { String::new() } else { format!("{line}\n") };
    let options = || std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = options().map_err(failed)?;
    let text = Zeroizing::new(format!("{line}{}", pem.as_str()));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn encrypt(der: &[u8], protection: Protection<'_>) -> Option<SecretDocument> {
    let (mut salt, mut iv) = ([0; SALT_BYTES], [0; IV_BYTES]);
    protection.random.fill(&mut salt);
    protection.random.fill(&mut iv);
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(Default::default(), &salt, iv).ok()?;
    PrivateKeyInfoRef::from_der(der).ok()?.encrypt_with_params(parameters, protection.passphrase).ok()
}

/// Reads a PKCS#8 document from a PEM file that is not encrypted.
///
/// # Errors
/// [`KeyFileError`] if others can read the file, or it is no such PEM.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    KeyFile::read(path)?.open(None)
}

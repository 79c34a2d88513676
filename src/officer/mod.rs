//! Officers' keys: what signs statements for an agency. Ed25519 or P-256, in key files of [`daemon::keyfile`].
//!
//! A file made here says in its first line which key it holds, so that `--signer FILE` is all that a clerk types, and
//! so that the verifier key can be read without the passphrase. A key made elsewhere has no such line: its name is
//! given beside it, `NAME=FILE`.
//!
//! Where passphrases come from is in [`passphrase`]. Absent on purpose: which key may sign what; that is the
//! registry's.

pub mod passphrase;

use std::path::{Path, PathBuf};

use daemon::clock::Random;
use daemon::keyfile::{self, KeyFile, KeyFileError, Protection};
use tlog::ids::KeyName;
use tlog::note::SignatureLine;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};
use tlog::vkey::{KeyKind, VerifierKey};

use self::passphrase::{Passphrase, PassphraseError};

/// Seeds drawn before the random source is given up; one in 2^32 is no P-256 key.
const DRAWS_MAX: usize = 8;

/// The algorithms that sign statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256, as in many agencies' hardware.
    EcdsaP256,
}

/// Why there is no officer's key.
#[derive(Debug, thiserror::Error)]
pub enum OfficerError {
    /// The file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The file does not say the key's name.
    #[error("{file}: the file does not say which key it holds; write NAME={file}, with the key's name such as \
             treasury.gov.example/clerk", file = .0.display())]
    Nameless(PathBuf),
    /// The file holds another kind of key.
    #[error("{file}: holds no Ed25519 or P-256 private key", file = .0.display())]
    Kind(PathBuf),
    /// The first line of the file names another key than it holds.
    #[error("{file}: its first line names the key {1}, and it holds another", file = .0.display())]
    Other(PathBuf, KeyName),
    /// The random source gives no keys.
    #[error("the random source gives no key")]
    Random,
}

/// A key that signs statements. Its `Debug` shows the name alone.
#[derive(Debug)]
pub enum Officer {
    /// Ed25519.
    Ed25519(Ed25519Signer),
    /// ECDSA over P-256.
    P256(EcdsaP256Signer),
}

impl Officer {
    /// Draws a key.
    ///
    /// # Errors
    /// [`OfficerError::Random`].
    pub fn draw(name: &KeyName, algorithm: Algorithm, random: &dyn Random) -> Result<Self, OfficerError> {
        match algorithm {
            Algorithm::Ed25519 => {
                Ok(Self::Ed25519(Ed25519Signer::from_seed(name.clone(), &keyfile::draw(random))))
            }
            Algorithm::EcdsaP256 => {
                let draw =
                    |_| EcdsaP256Signer::from_seed(name.clone(), &keyfile::draw(random)).ok().map(Self::P256);
                (0..DRAWS_MAX).find_map(draw).ok_or(OfficerError::Random)
            }
        }
    }

    /// Reads a key file. `name` where the file does not say it; `ask` is called if the file is encrypted.
    ///
    /// # Errors
    /// [`OfficerError`]; also if others can read the file.
    pub fn read(
        path: &Path,
        name: Option<KeyName>,
        ask: impl FnOnce(&Path) -> Result<Passphrase, PassphraseError>,
    ) -> Result<Self, OfficerError> {
        let file = KeyFile::read(path)?;
        let said: Option<VerifierKey> = file.line().and_then(|line| line.parse().ok());
        let name = name.or_else(|| said.as_ref().map(|key| key.name().clone()));
        let name = name.ok_or_else(|| OfficerError::Nameless(path.to_owned()))?;
        let der = match file.is_encrypted() {
            true => file.open(Some(ask(path)?.as_bytes()))?,
            false => file.open(None)?,
        };
        let officer = match Ed25519Signer::from_pkcs8_der(name.clone(), &der) {
            Ok(signer) => Self::Ed25519(signer),
            Err(_) => EcdsaP256Signer::from_pkcs8_der(name, &der)
                .map(Self::P256)
                .map_err(|_| OfficerError::Kind(path.to_owned()))?,
        };
        match said {
            Some(said) if !said.same_key(&officer.verifier_key()) => {
                Err(OfficerError::Other(path.to_owned(), said.name().clone()))
            }
            _ => Ok(officer),
        }
    }

    /// Writes the key into a new file that its owner alone can read, encrypted if there is a passphrase.
    ///
    /// # Errors
    /// [`OfficerError::File`]; a file that exists is never overwritten.
    pub fn write(
        &self,
        path: &Path,
        passphrase: Option<&Passphrase>,
        random: &dyn Random,
    ) -> Result<(), OfficerError> {
        let der = match self {
            Self::Ed25519(signer) => signer.to_pkcs8_der(),
            Self::P256(signer) => signer.to_pkcs8_der(),
        };
        let protection =
            passphrase.map(|passphrase| Protection { passphrase: passphrase.as_bytes(), random });
        Ok(keyfile::write_with(path, &self.verifier_key().to_string(), &der, protection)?)
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        match self {
            Self::Ed25519(signer) => signer.verifier_key(),
            Self::P256(signer) => signer.verifier_key(),
        }
    }

    /// The key's name, `treasury.gov.example/clerk`.
    #[must_use]
    pub fn name(&self) -> KeyName {
        self.verifier_key().name().clone()
    }

    /// Signs a text of two lines or more, its final newline included.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignatureLine {
        match self {
            Self::Ed25519(signer) => signer.sign(text),
            Self::P256(signer) => signer.sign(text),
        }
    }
}

/// The verifier key that a key file says it holds, without opening it.
///
/// # Errors
/// [`OfficerError::Nameless`] if it says none that signs statements.
pub fn said_key(path: &Path) -> Result<VerifierKey, OfficerError> {
    let file = KeyFile::read(path)?;
    let said: Option<VerifierKey> = file.line().and_then(|line| line.parse().ok());
    let signs = |key: &VerifierKey| matches!(key.kind(), KeyKind::Ed25519 | KeyKind::EcdsaP256);
    said.filter(signs).ok_or_else(|| OfficerError::Nameless(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use daemon::clock::SystemRandom;

    use super::*;

    fn none(_: &Path) -> Result<Passphrase, PassphraseError> {
        panic!("the file is not encrypted")
    }

    #[test]
    fn a_key_comes_back_from_its_file_and_says_its_name_without_a_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        for (number, algorithm) in [Algorithm::Ed25519, Algorithm::EcdsaP256].into_iter().enumerate() {
            let officer = Officer::draw(&"a.example/one".parse().unwrap(), algorithm, &SystemRandom).unwrap();
            let (plain, closed) =
                (dir.path().join(format!("{number}.pem")), dir.path().join(format!("{number}.closed")));
            officer.write(&plain, None, &SystemRandom).unwrap();
            let passphrase = Passphrase::new("open sesame").unwrap();
            officer.write(&closed, Some(&passphrase), &SystemRandom).unwrap();
            let back = Officer::read(&plain, None, none).unwrap();
            assert_eq!(back.verifier_key(), officer.verifier_key());
            assert_eq!(said_key(&closed).unwrap(), officer.verifier_key());
            let opened = Officer::read(&closed, None, |_| Passphrase::new("open sesame")).unwrap();
            assert_eq!(opened.sign("a\n"), officer.sign("a\n"));
            let wrong = Officer::read(&closed, None, |_| Passphrase::new("open says me"));
            assert!(matches!(wrong, Err(OfficerError::File(KeyFileError::Passphrase(_)))), "{wrong:?}");
            assert!(officer.write(&plain, None, &SystemRandom).is_err(), "never overwritten");
        }
    }

    #[test]
    fn a_file_that_names_another_key_is_refused_and_one_that_names_none_needs_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        let name: KeyName = "a.example/one".parse().unwrap();
        let officer = Officer::draw(&name, Algorithm::Ed25519, &SystemRandom).unwrap();
        officer.write(&one, None, &SystemRandom).unwrap();
        let text = std::fs::read_to_string(&one).unwrap();
        let (_, pem) = text.split_once('\n').unwrap();
        let other = Officer::draw(&name, Algorithm::Ed25519, &SystemRandom).unwrap().verifier_key();
        let rewrite = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
        rewrite(&one, &format!("{other}\n{pem}"));
        assert!(matches!(Officer::read(&one, None, none), Err(OfficerError::Other(..))));
        keyfile::write(&two, &keyfile::read(&one).unwrap()).unwrap();
        assert!(matches!(Officer::read(&two, None, none), Err(OfficerError::Nameless(_))));
        assert_eq!(Officer::read(&two, Some(name), none).unwrap().verifier_key(), officer.verifier_key());
    }
}

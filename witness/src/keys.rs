//! The witness's key pairs: `keys/N/ed25519.pem` and `keys/N/ml-dsa-44.pem`, PKCS#8 in PEM, readable by the owner
//! alone. N counts rotations; the state says which pair is in use.
//!
//! Ed25519 and ML-DSA-44 cosignatures come from separate keys of one name. `keys/bastion.pem` is a third key, for
//! bastions alone. `keys/state-id` names the state that the keys belong to.
//!
//! Absent on purpose: anything that prints a key.

use std::path::{Path, PathBuf};

use daemon::clock::Random;
use daemon::keyfile::{KeyFileError, draw, read, write};
use tlog::checkpoint::Checkpoint;
use tlog::cosignature::Subtree;
use tlog::hash::Hash;
use tlog::ids::KeyName;
use tlog::note::SignatureLine;
use tlog::sign::{CosignerEd25519, CosignerMlDsa44, SignerError};
use tlog::vkey::VerifierKey;

use crate::state;

const ED25519_FILE: &str = "ed25519.pem";
const ML_DSA_FILE: &str = "ml-dsa-44.pem";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file holds no key of the right kind.
    #[error("{file}: {1}", file = .0.display())]
    Key(PathBuf, SignerError),
    /// A folder cannot be made.
    #[error("{file}: {1}", file = .0.display())]
    Folder(PathBuf, std::io::Error),
}

/// A pair of cosigning keys.
pub struct WitnessKeys {
    ed25519: CosignerEd25519,
    ml_dsa: CosignerMlDsa44,
    verifier_keys: Vec<VerifierKey>,
}

impl std::fmt::Debug for WitnessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessKeys").field("name", self.name()).finish_non_exhaustive()
    }
}

/// The folder of a key pair.
#[must_use]
pub fn folder(dir: &Path, number: u32) -> PathBuf {
    dir.join("keys").join(number.to_string())
}

impl WitnessKeys {
    fn new(ed25519: CosignerEd25519, ml_dsa: CosignerMlDsa44) -> Self {
        let verifier_keys = vec![ed25519.verifier_key(), ml_dsa.verifier_key()];
        Self { ed25519, ml_dsa, verifier_keys }
    }

    /// Draws a pair and writes it into a new folder.
    ///
    /// # Errors
    /// [`KeyError`]; files that exist are never overwritten.
    pub fn create(folder: &Path, name: &KeyName, random: &dyn Random) -> Result<Self, KeyError> {
        let failed = |error| KeyError::Folder(folder.to_owned(), error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let ed25519 = CosignerEd25519::from_seed(name.clone(), &draw(random));
        let ml_dsa = CosignerMlDsa44::from_seed(name.clone(), &draw(random));
        write(&folder.join(ED25519_FILE), &ed25519.to_pkcs8_der())?;
        write(&folder.join(ML_DSA_FILE), &ml_dsa.to_pkcs8_der())?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Self::new(ed25519, ml_dsa))
    }

    /// Reads a pair.
    ///
    /// # Errors
    /// [`KeyError`] names the file.
    pub fn load(folder: &Path, name: &KeyName) -> Result<Self, KeyError> {
        let (path, other) = (folder.join(ED25519_FILE), folder.join(ML_DSA_FILE));
        let ed25519 = CosignerEd25519::from_pkcs8_der(name.clone(), &read(&path)?)
            .map_err(|error| KeyError::Key(path, error))?;
        let ml_dsa = CosignerMlDsa44::from_pkcs8_der(name.clone(), &read(&other)?)
            .map_err(|error| KeyError::Key(other, error))?;
        Ok(Self::new(ed25519, ml_dsa))
    }

    /// Their name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        self.verifier_keys[0].name()
    }

    /// The verifier keys: Ed25519, then ML-DSA-44.
    #[must_use]
    pub fn verifier_keys(&self) -> &[VerifierKey] {
        &self.verifier_keys
    }

    /// Over the verifier keys.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        state::fingerprint(&self.verifier_keys)
    }

    /// Cosigns a checkpoint with both keys. `text` is the note text that `checkpoint` was parsed from.
    #[must_use]
    pub fn cosign(&self, text: &str, checkpoint: &Checkpoint, seconds: u64) -> Vec<SignatureLine> {
        vec![self.ed25519.cosign(text, seconds), self.ml_dsa.cosign(checkpoint, seconds)]
    }

    /// Cosigns a subtree, without a time; only ML-DSA-44 cosignatures can.
    #[must_use]
    pub fn cosign_subtree(&self, subtree: &Subtree) -> SignatureLine {
        self.ml_dsa.cosign_subtree(subtree)
    }
}

//! The log's own keys, and the signed checkpoint they make of a committed head.
//!
//! A checkpoint carries an Ed25519 note signature, the one that policies, witnesses and evidence rely on,
//! and an RFC 6962 tree head signature by a P-256 key (note type 0x05), from which `get-sth` is rendered.
//! Both are deterministic: the same head and time give the same bytes, so that recovery signs again what may
//! have been seen already.
//!
//! What was signed is verified by the other back end before it leaves; a signature made by a machine with a
//! flipped bit would give the key away.
//!
//! Absent on purpose: the decision to sign. Only the sequencer, after the commit, and recovery call this.

use tlog::checkpoint::{Checkpoint, VerifiedCheckpoint};
use tlog::ids::{Origin, TreeHead, UnixMillis};
use tlog::note::Note;
use tlog::sign::{Ed25519Signer, TreeHeadSigner};
use tlog::vkey::VerifierKey;

/// Why no checkpoint came out. Ends the process.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The signature just made does not verify.
    #[error("a checkpoint was signed and does not verify ({0}); it was not published")]
    Unverifiable(String),
}

/// The keys of a log.
pub struct LogSigner {
    origin: Origin,
    ed25519: Ed25519Signer,
    tree_head: TreeHeadSigner,
    keys: Vec<VerifierKey>,
}

impl std::fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogSigner").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl LogSigner {
    /// A signer for the log of this origin.
    #[must_use]
    pub fn new(origin: Origin, ed25519: Ed25519Signer, tree_head: TreeHeadSigner) -> Self {
        let keys = vec![ed25519.verifier_key(), tree_head.verifier_key()];
        Self { origin, ed25519, tree_head, keys }
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The verifier keys: the Ed25519 one first, then the tree head key.
    #[must_use]
    pub fn verifier_keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// Signs a committed head, and verifies the result.
    ///
    /// # Errors
    /// [`SignError`] if a signature does not verify.
    pub fn sign(&self, head: TreeHead, time: UnixMillis) -> Result<VerifiedCheckpoint, SignError> {
        let text = Checkpoint::new(self.origin.clone(), head).to_text();
        let lines = vec![self.ed25519.sign(&text), self.tree_head.sign(head, time)];
        let note = Note::new(text, lines).map_err(|error| SignError::Unverifiable(error.to_string()))?;
        let verified = VerifiedCheckpoint::verify(&note, &self.keys)
            .map_err(|error| SignError::Unverifiable(error.to_string()))?;
        if verified.head() != head || verified.tree_head_time() != Some(time) {
            return Err(SignError::Unverifiable("it speaks of another head".to_owned()));
        }
        Ok(verified)
    }
}

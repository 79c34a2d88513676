//! Receipts that verify offline (C2SP tlog-proof): index, inclusion proof and checkpoint in one text.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>                 optional, opaque, authenticated by nothing
//! index 73894
//! <base64 hash>                  zero or more, the leaf's sibling first
//!
//! <checkpoint with its signatures>
//! ```
//!
//! Stored with the extension `.tlog-proof`. A proof says that a leaf is in the log; which leaf, the verifier
//! computes from the entry in hand. Keys come from a policy, never from the proof.

use crate::b64;
use crate::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use crate::hash::Hash;
use crate::ids::LeafIndex;
use crate::note::{Note, NoteError};
use crate::policy::{Policy, PolicyError};
use crate::proof::{PROOF_HASHES_MAX, ProofError, check_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why bytes are no proof, or why a proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The first line is another.
    #[error("not a tlog-proof: the first line must be `{HEADER}`")]
    Header,
    /// A line is not what it must be.
    #[error("line {0} of the proof must be {1}")]
    Line(usize, &'static str),
    /// More hashes than any proof has.
    #[error("a proof has at most {PROOF_HASHES_MAX} hashes")]
    TooLong,
    /// The checkpoint is no note.
    #[error("the checkpoint in the proof is malformed: {0}")]
    Note(#[from] NoteError),
    /// The checkpoint's text is malformed.
    #[error("the checkpoint in the proof is malformed: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The policy does not accept the checkpoint.
    #[error("the policy does not accept the checkpoint: {0}")]
    Policy(#[from] PolicyError),
    /// The entry is not the one proved.
    #[error("the proof does not prove this entry: {0}")]
    Proof(#[from] ProofError),
}

/// A receipt. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque data of the application.
    pub extra: Option<Vec<u8>>,
    /// The entry's place.
    pub index: LeafIndex,
    /// The inclusion proof, the leaf's sibling first.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

impl TlogProof {
    /// Parses a proof. Accepts only bytes that [`TlogProof::to_bytes`] gives back.
    ///
    /// # Errors
    /// [`TlogProofError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        const INDEX: &str = "`index` and a decimal number without leading zeroes";
        let blank = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(TlogProofError::Header)?;
        let head = std::str::from_utf8(&bytes[..blank]).map_err(|_| TlogProofError::Header)?;
        let mut lines = head.split('\n').zip(1_usize..).peekable();
        lines.next().filter(|(line, _)| *line == HEADER).ok_or(TlogProofError::Header)?;
        let mut extra = None;
        if let Some((line, number)) = lines.next_if(|(line, _)| line.starts_with("extra ")) {
            let bad = TlogProofError::Line(number, "`extra` and canonical base64");
            extra = Some(line.strip_prefix("extra ").and_then(b64::decode).ok_or(bad)?);
        }
        let (line, number) = lines.next().ok_or(TlogProofError::Line(2, INDEX))?;
        let index = line.strip_prefix("index ").and_then(|index| index.parse().ok());
        let index = index.ok_or(TlogProofError::Line(number, INDEX))?;
        let mut proof = Vec::new();
        for (line, number) in lines {
            if proof.len() == PROOF_HASHES_MAX {
                return Err(TlogProofError::TooLong);
            }
            let bad = |_| TlogProofError::Line(number, "a hash in canonical base64");
            proof.push(Hash::from_base64(line).map_err(bad)?);
        }
        let checkpoint = Note::parse(&bytes[blank + 2..])?;
        Checkpoint::parse(checkpoint.text())?;
        Ok(Self { extra, index, proof, checkpoint })
    }

    /// The text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            head.push_str(&format!("extra {}\n", b64::encode(extra)));
        }
        head.push_str(&format!("index {}\n", self.index));
        for hash in &self.proof {
            head.push_str(&hash.to_base64());
            head.push('\n');
        }
        head.push('\n');
        [head.as_bytes(), &self.checkpoint.to_bytes()].concat()
    }

    /// Verifies that the log of `policy` holds the leaf at the stated index: log signature, witness quorum,
    /// inclusion.
    ///
    /// # Errors
    /// [`TlogProofError`] says which step failed.
    pub fn verify(&self, leaf: &Hash, policy: &Policy) -> Result<VerifiedCheckpoint, TlogProofError> {
        let checkpoint = policy.verify(&self.checkpoint)?;
        check_inclusion(leaf, self.index, &checkpoint.head(), &self.proof)?;
        Ok(checkpoint)
    }
}

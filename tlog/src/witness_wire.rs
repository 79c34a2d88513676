//! What a log and a witness send each other (C2SP tlog-witness): request bodies and the answer.
//!
//! ```text
//! old 20852014                                      subtree 8 13
//! <base64 hash>  consistency proof, 0 to 63 lines   <base64 hash of the subtree>
//!                                                   <base64 hash>  0 to 63 lines
//! <checkpoint>
//!                                                   <checkpoint>
//! ```
//!
//! The parsers accept only bytes that format back to themselves. Whether a proof holds is for the witness to judge.

use crate::hash::Hash;
use crate::ids::TreeSize;
use crate::note::{Note, NoteError, SIGNATURES_MAX, SignatureLine};
use crate::proof::PROOF_HASHES_MAX;

/// Why bytes are not such a body. Every case but [`WireError::Note`] with a signature's encoding is a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first line is not what it must be.
    #[error("the first line must be `{0}`, decimal without leading zeroes")]
    FirstLine(&'static str),
    /// A proof line is no hash.
    #[error("proof line {0} is not canonical base64 of a hash")]
    ProofLine(usize),
    /// More proof lines than any proof has.
    #[error("a proof has at most {PROOF_HASHES_MAX} lines")]
    TooLong,
    /// No empty line between proof and checkpoint, or not UTF-8.
    #[error("the body must be UTF-8: a first line, proof lines, an empty line, and a checkpoint")]
    Shape,
    /// The checkpoint is no note.
    #[error("the checkpoint is malformed: {0}")]
    Note(#[from] NoteError),
}

/// The body of `POST add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the client believes the witness has.
    pub old: TreeSize,
    /// From that size to the checkpoint's.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

/// The body of `POST sign-subtree`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignSubtree {
    /// Index of the subtree's first leaf.
    pub start: u64,
    /// Index after its last leaf.
    pub end: u64,
    /// Its hash.
    pub hash: Hash,
    /// From the subtree to the checkpoint.
    pub proof: Vec<Hash>,
    /// A checkpoint that the witness has cosigned.
    pub checkpoint: Note,
}

impl AddCheckpoint {
    /// Parses a body.
    ///
    /// # Errors
    /// [`WireError`] names the line.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let (head, checkpoint) = split(body)?;
        let mut lines = head.split('\n');
        let first = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = first.and_then(|size| size.parse().ok()).ok_or(WireError::FirstLine("old <size>"))?;
        Ok(Self { old, proof: parse_proof(lines)?, checkpoint })
    }

    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        format(&format!("old {}", self.old), &self.proof, &self.checkpoint)
    }
}

impl SignSubtree {
    /// Parses a body.
    ///
    /// # Errors
    /// [`WireError`] names the line.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        const FIRST: WireError = WireError::FirstLine("subtree <start> <end>");
        let (head, checkpoint) = split(body)?;
        let mut lines = head.split('\n');
        let range =
            lines.next().and_then(|line| line.strip_prefix("subtree ")?.split_once(' ')).ok_or(FIRST)?;
        let number = |text: &str| text.parse::<TreeSize>().map(TreeSize::get).map_err(|_| FIRST);
        let (start, end) = (number(range.0)?, number(range.1)?);
        let hash =
            lines.next().and_then(|line| Hash::from_base64(line).ok()).ok_or(WireError::ProofLine(0))?;
        Ok(Self { start, end, hash, proof: parse_proof(lines)?, checkpoint })
    }

    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = format!("subtree {} {}\n{}", self.start, self.end, self.hash.to_base64());
        format(&head, &self.proof, &self.checkpoint)
    }
}

/// Splits at the first empty line, which ends the proof.
fn split(body: &[u8]) -> Result<(&str, Note), WireError> {
    let at = body.windows(2).position(|pair| pair == b"\n\n").ok_or(WireError::Shape)?;
    let head = std::str::from_utf8(&body[..at]).map_err(|_| WireError::Shape)?;
    Ok((head, Note::parse(&body[at + 2..])?))
}

fn parse_proof<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, WireError> {
    let mut proof = Vec::new();
    for (line, number) in lines.zip(1..) {
        if proof.len() == PROOF_HASHES_MAX {
            return Err(WireError::TooLong);
        }
        proof.push(Hash::from_base64(line).map_err(|_| WireError::ProofLine(number))?);
    }
    Ok(proof)
}

fn format(head: &str, proof: &[Hash], checkpoint: &Note) -> Vec<u8> {
    let mut body = format!("{head}\n");
    for hash in proof {
        body.push_str(&hash.to_base64());
        body.push('\n');
    }
    body.push('\n');
    [body.as_bytes(), &checkpoint.to_bytes()].concat()
}

/// Parses the answer to either call: one or more signature lines.
///
/// # Errors
/// [`NoteError`] names the line.
pub fn parse_cosignatures(body: &[u8]) -> Result<Vec<SignatureLine>, NoteError> {
    let text = std::str::from_utf8(body).map_err(|_| NoteError::Characters)?;
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Characters);
    }
    let lines: Vec<_> = text.strip_suffix('\n').ok_or(NoteError::Shape)?.split('\n').collect();
    if lines.len() > SIGNATURES_MAX {
        return Err(NoteError::TooMany(lines.len()));
    }
    lines.into_iter().zip(1..).map(|(line, number)| SignatureLine::parse(line, number)).collect()
}

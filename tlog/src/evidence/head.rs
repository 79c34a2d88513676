//! A checkpoint under exactly one signature, that of the accused: what evidence is made of.
//!
//! Everything else that a note may carry is left out: other signatures, a second line by the same key, and, under
//! an ML-DSA-44 cosignature, the extension lines, which it does not cover. A P-256 signature is brought into its
//! canonical form. What remains is all signed, so that no byte can be changed and still verify.

use super::container::{Block, EvidenceParseError};
use super::{NoContradiction, Role, role_of};
use crate::checkpoint::Checkpoint;
use crate::crypto;
use crate::ids::TreeHead;
use crate::note::{NOTE_BYTES_MAX, Note, SignatureLine};
use crate::vkey::{KeyKind, VerifierKey};

/// A checkpoint and one signature under it. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    pub(super) checkpoint: Checkpoint,
    line: SignatureLine,
}

impl SignedHead {
    /// The checkpoint of `note` and the first signature by `key` that verifies; `None` if none does.
    ///
    /// A line that bears the key's name and ID and does not verify may have been put there by anyone to spoil the
    /// note, and is left out like the others.
    #[must_use]
    pub fn by(key: &VerifierKey, note: &Note) -> Option<Self> {
        let parsed = Checkpoint::parse(note.text()).ok()?;
        let checkpoint = match key.kind() {
            KeyKind::CosignatureMlDsa44 => Checkpoint::new(parsed.origin().clone(), parsed.head()),
            _ => parsed,
        };
        let lines = note.signatures().iter().filter(|line| line.is_by(key));
        lines
            .filter_map(|line| Some(Self { checkpoint: checkpoint.clone(), line: canonical(key, line)? }))
            .find(|head| head.verify(key).is_some())
    }

    /// The time of a cosignature, 0 for other signatures; `None` if the signature does not hold.
    #[must_use]
    pub fn verify(&self, key: &VerifierKey) -> Option<u64> {
        if key.kind() == KeyKind::EcdsaP256 && !crypto::is_canonical_p256_signature(self.line.signature()) {
            return None;
        }
        let note = Note::new(self.checkpoint.to_text(), vec![self.line.clone()]).ok()?;
        let verified = note.verify(std::slice::from_ref(key)).ok()?;
        Some(verified.first()?.cosigned_at.unwrap_or(0))
    }

    /// From the block of the checkpoint and the block of its signature.
    ///
    /// # Errors
    /// [`EvidenceParseError::Line`].
    pub fn parse(
        text: &Block<'_>,
        signature: &Block<'_>,
        accused: &VerifierKey,
    ) -> Result<Self, EvidenceParseError> {
        const ORIGIN: &str = "the first of three lines of a checkpoint: origin, size, root";
        let mut joined = text.lines.join("\n");
        joined.push('\n');
        let bytes = joined.len() + signature.lines.iter().map(|line| line.len() + 1).sum::<usize>() + 1;
        if bytes > NOTE_BYTES_MAX {
            return Err(text.error(0, "the first line of a note of at most 262144 bytes"));
        }
        let checkpoint = Checkpoint::parse(&joined).map_err(|_| text.error(0, ORIGIN))?;
        if accused.kind() == KeyKind::CosignatureMlDsa44 && !checkpoint.extensions().is_empty() {
            return Err(text.error(3, "empty: an ML-DSA-44 signature covers no extension lines"));
        }
        let [line] = signature.lines.as_slice() else {
            return Err(signature.error(1, "empty: a checkpoint has one signature here, that of the accused"));
        };
        let line = SignatureLine::parse(line, 1).ok().filter(|line| line.is_by(accused));
        let line = line.ok_or_else(|| signature.error(0, "a signature by the accused key"))?;
        Ok(Self { checkpoint, line })
    }

    /// The two blocks.
    #[must_use]
    pub fn blocks(&self) -> [Vec<String>; 2] {
        let text = self.checkpoint.to_text();
        let lines = text.split_terminator('\n').map(str::to_owned);
        [lines.collect(), vec![self.line.to_string()]]
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(super) fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }

    /// As what the key signs it.
    #[must_use]
    pub fn role(&self, key: &VerifierKey) -> Option<Role> {
        role_of(key, self.checkpoint.origin())
    }
}

/// The line with the one form of its signature.
fn canonical(key: &VerifierKey, line: &SignatureLine) -> Option<SignatureLine> {
    if key.kind() != KeyKind::EcdsaP256 {
        return Some(line.clone());
    }
    let signature = crypto::canonical_p256_signature(line.signature())?;
    Some(SignatureLine::new(line.name().clone(), line.id(), signature))
}

/// The first of `keys` that has signed both notes, and what it signed, the smaller tree first.
pub(super) fn signed_by_one_key(
    keys: &[VerifierKey],
    notes: [&Note; 2],
) -> Result<(VerifierKey, [SignedHead; 2]), NoContradiction> {
    let signed = keys.iter().find_map(|key| {
        let heads = [SignedHead::by(key, notes[0])?, SignedHead::by(key, notes[1])?];
        heads[0].role(key).map(|_| (key.clone(), heads))
    });
    signed.ok_or(NoContradiction::NotSigned)
}

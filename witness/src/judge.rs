//! The decision over one `add-checkpoint` request (C2SP tlog-witness): the checkpoint to cosign, or the refusal.
//!
//! The checks come in an order that satisfies every MUST, because the answer tells the client what to do next: can
//! it be read (400), is the log known (404), has the log signed it (403), is the old size possible (400), is an
//! empty tree empty (422), do client and witness speak of the same tree (409), and does the proof hold (422).
//!
//! Two steps, so that the caller can look up the log between them: [`open`] says what the log has signed, whatever
//! comes of it; [`judge`] says whether to cosign it.
//!
//! Absent on purpose: state and signing. Whoever calls makes the new head durable, atomically with the comparison
//! with the old one, before a cosignature leaves.

use tlog::checkpoint::{Checkpoint, CheckpointError};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::{Note, NoteError, SignatureLine};
use tlog::proof::{ProofError, check_consistency};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::WireError;

/// Why a checkpoint is not cosigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be read.
    #[error(transparent)]
    Wire(WireError),
    /// The checkpoint cannot be read.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(CheckpointError),
    /// "the checkpoint origin is unknown".
    #[error("this witness does not know the log {0}")]
    UnknownOrigin(String),
    /// "no signature from a trusted key for the origin is present", or one of them does not verify.
    #[error("the checkpoint is not signed by the log's key: {0}")]
    NotSigned(NoteError),
    /// "The old size MUST be equal to or lower than the checkpoint size."
    #[error("the old size {0} is larger than the checkpoint's, {1}")]
    OldTooLarge(TreeSize, TreeSize),
    /// "A checkpoint of size zero MUST have the root hash of the empty tree."
    #[error("a checkpoint of size zero must have the root of the empty tree")]
    EmptyRoot,
    /// The old size is not that of the latest cosigned checkpoint.
    #[error("the latest checkpoint cosigned here has size {0}")]
    Conflict(TreeSize),
    /// Two roots for one size, signed by one log. It is evidence.
    #[error("the log has signed two roots for size {0}")]
    SameSizeOtherRoot(TreeSize),
    /// The proof does not hold. It is no evidence: anyone can send junk with a genuine checkpoint.
    #[error("the consistency proof does not hold: {0}")]
    Proof(ProofError),
}

impl Refusal {
    /// The HTTP status that the specification gives it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Wire(_) | Self::Malformed(_) | Self::OldTooLarge(..) => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownOrigin(_) => 404,
            Self::Conflict(_) => 409,
            Self::EmptyRoot | Self::SameSizeOtherRoot(_) | Self::Proof(_) => 422,
        }
    }

    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(_) | Self::Malformed(_) => "malformed",
            Self::UnknownOrigin(_) => "unknown_origin",
            Self::NotSigned(_) => "not_signed",
            Self::OldTooLarge(..) => "old_too_large",
            Self::EmptyRoot => "empty_root",
            Self::Conflict(_) => "conflict",
            Self::SameSizeOtherRoot(_) => "other_root",
            Self::Proof(_) => "bad_proof",
        }
    }
}

/// A checkpoint that the log has signed. Holds the verified signatures alone: what else stood in the note is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    checkpoint: Checkpoint,
    note: Note,
}

impl Signed {
    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.checkpoint.head()
    }

    /// The text, extension lines included, as it was signed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// The log's signatures that were verified.
    #[must_use]
    pub fn lines(&self) -> &[SignatureLine] {
        self.note.signatures()
    }

    /// The note with the verified signatures, then `more`.
    ///
    /// # Errors
    /// [`NoteError::TooMany`].
    pub fn note(&self, more: &[SignatureLine]) -> Result<Note, NoteError> {
        self.note.with_signatures([self.lines(), more].concat())
    }
}

/// The origin that a note claims, before anything is verified.
///
/// # Errors
/// [`Refusal::Malformed`].
pub fn claimed(note: &Note) -> Result<Checkpoint, Refusal> {
    Checkpoint::parse(note.text()).map_err(Refusal::Malformed)
}

/// Verifies that the log with these keys has signed the note.
///
/// # Errors
/// [`Refusal::Malformed`] and [`Refusal::NotSigned`].
pub fn open(note: &Note, keys: &[VerifierKey]) -> Result<Signed, Refusal> {
    let checkpoint = claimed(note)?;
    let verified = note.verify(keys).map_err(Refusal::NotSigned)?;
    let mut lines: Vec<SignatureLine> = Vec::with_capacity(verified.len());
    for verified in verified {
        // One line a key is enough; a second valid one adds nothing.
        if !lines.iter().any(|line| line.is_by(verified.key)) {
            lines.push(verified.line.clone());
        }
    }
    let note = note.with_signatures(lines).map_err(Refusal::NotSigned)?;
    Ok(Signed { checkpoint, note })
}

/// Judges what a log has signed against the head that was cosigned last; the empty tree if there is none.
///
/// # Errors
/// [`Refusal`]: nothing may be cosigned.
pub fn judge(new: TreeHead, old: TreeSize, proof: &[Hash], cosigned: TreeHead) -> Result<(), Refusal> {
    if old > new.size {
        return Err(Refusal::OldTooLarge(old, new.size));
    }
    if new.size == TreeSize::ZERO && new != TreeHead::EMPTY {
        return Err(Refusal::EmptyRoot);
    }
    if old != cosigned.size {
        return Err(Refusal::Conflict(cosigned.size));
    }
    if contradicts(new, cosigned) {
        return Err(Refusal::SameSizeOtherRoot(new.size));
    }
    check_consistency(&cosigned, &new, proof).map_err(Refusal::Proof)
}

/// Whether two heads that one log signed contradict each other by themselves, without any proof.
#[must_use]
pub fn contradicts(one: TreeHead, other: TreeHead) -> bool {
    one.size == other.size && one.root != other.root
}

/// Whose signature line could not be decoded, if that is why a body could not be read. "A signature line's key name
/// and ID match a trusted key but the signature itself fails to verify" is 403, not 400, and an encoding that is
/// not canonical hides the ID.
#[must_use]
pub fn undecodable_signature<'a>(error: &WireError, body: &'a [u8]) -> Option<(&'a str, String)> {
    let WireError::Note(NoteError::Encoding(name)) = error else { return None };
    let text = std::str::from_utf8(body).ok()?;
    let (_, note) = text.split_once("\n\n")?;
    let (origin, _) = note.split_once('\n')?;
    Some((origin, name.to_string()))
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;
    use tlog::ids::{KeyName, Origin};
    use tlog::sign::Ed25519Signer;
    use tlog::tree::{Frontier, Node, root_of};
    use tlog::witness_wire::AddCheckpoint;

    use super::*;

    const ORIGIN: &str = "log.example/judged";

    fn signer(seed: u8) -> Ed25519Signer {
        let name: KeyName = ORIGIN.parse().expect("a name");
        Ed25519Signer::from_seed(name, &[seed; 32])
    }

    fn leaves(count: u64, fork: Option<u64>) -> Vec<Hash> {
        let leaf = |at: u64| {
            leaf_hash(
                format!("{at}{}", if fork.is_some_and(|fork| at >= fork) { "'" } else { "" }).as_bytes(),
            )
        };
        (0..count).map(leaf).collect()
    }

    fn head(leaves: &[Hash]) -> TreeHead {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.push(*leaf, |_, _| ()));
        frontier.head()
    }

    fn size(size: u64) -> TreeSize {
        TreeSize::new(size).expect("a size")
    }

    fn proof(old: u64, leaves: &[Hash]) -> Vec<Hash> {
        let plan = tlog::proof::plan_consistency(size(old), size(leaves.len() as u64)).expect("a plan");
        let hash = |node: &Node| {
            let range = node.leaves();
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).expect("small"));
            root_of(&leaves[start..end])
        };
        let hashes: Vec<Hash> = plan.nodes().iter().map(hash).collect();
        plan.finish(&hashes).expect("a proof")
    }

    fn note(head: TreeHead, seed: u8) -> Note {
        let origin: Origin = ORIGIN.parse().expect("an origin");
        let text = Checkpoint::new(origin, head).to_text();
        let line = signer(seed).sign(&text);
        Note::new(text, vec![line]).expect("a note")
    }

    fn request(old: u64, leaves: &[Hash]) -> AddCheckpoint {
        AddCheckpoint { old: size(old), proof: proof(old, leaves), checkpoint: note(head(leaves), 1) }
    }

    fn decide(request: &AddCheckpoint, cosigned: TreeHead) -> Result<TreeHead, Refusal> {
        let signed = open(&request.checkpoint, &[signer(1).verifier_key()])?;
        judge(signed.head(), request.old, &request.proof, cosigned)?;
        Ok(signed.head())
    }

    fn ask(request: &AddCheckpoint, cosigned: TreeHead) -> Result<TreeHead, u16> {
        decide(request, cosigned).map_err(|refusal| refusal.status())
    }

    #[test]
    fn a_consistent_checkpoint_is_signed_and_so_is_the_same_again() {
        let tree = leaves(13, None);
        assert_eq!(ask(&request(0, &tree), TreeHead::EMPTY), Ok(head(&tree)));
        assert_eq!(ask(&request(7, &tree), head(&tree[..7])), Ok(head(&tree)));
        assert_eq!(ask(&request(13, &tree), head(&tree)), Ok(head(&tree)));
    }

    #[test]
    fn a_forked_tree_is_never_signed() {
        let honest = leaves(13, None);
        for size in 1..13 {
            for fork in 0..size {
                let forked = leaves(13, Some(fork));
                let cosigned = head(&honest[..usize::try_from(size).expect("small")]);
                assert_eq!(ask(&request(size, &forked), cosigned), Err(422), "size {size}, fork at {fork}");
            }
        }
        assert_eq!(
            ask(&request(13, &leaves(13, Some(12))), head(&honest)),
            Err(422),
            "same size, other root"
        );
    }

    #[test]
    fn a_foreign_signature_is_403() {
        let tree = leaves(3, None);
        let mut foreign = request(0, &tree);
        foreign.checkpoint = note(head(&tree), 2);
        assert_eq!(ask(&foreign, TreeHead::EMPTY), Err(403));
    }

    #[test]
    fn an_old_size_above_the_checkpoint_is_400_and_another_than_ours_409() {
        let tree = leaves(5, None);
        let mut late = request(5, &tree);
        late.old = size(6);
        assert_eq!(ask(&late, head(&leaves(6, None))), Err(400));
        assert_eq!(ask(&request(3, &tree), head(&tree[..4])), Err(409));
        let refused = decide(&request(3, &tree), head(&tree[..4])).expect_err("refused");
        assert_eq!(refused, Refusal::Conflict(size(4)), "the answer names the size");
    }

    #[test]
    fn equal_sizes_take_no_proof() {
        let tree = leaves(5, None);
        let mut padded = request(5, &tree);
        padded.proof.push(tree[0]);
        assert_eq!(ask(&padded, head(&tree)), Err(422));
    }

    #[test]
    fn a_proof_from_the_empty_tree_must_be_empty() {
        let tree = leaves(5, None);
        let mut padded = request(0, &tree);
        padded.proof.push(tree[0]);
        assert_eq!(ask(&padded, TreeHead::EMPTY), Err(422));
    }

    #[test]
    fn a_checkpoint_of_size_zero_must_have_the_empty_root() {
        let wrong = TreeHead { size: TreeSize::ZERO, root: leaf_hash(b"x") };
        let request = AddCheckpoint { old: TreeSize::ZERO, proof: Vec::new(), checkpoint: note(wrong, 1) };
        assert_eq!(ask(&request, TreeHead::EMPTY), Err(422));
    }
    #[test]
    fn an_impossible_old_size_comes_before_a_wrong_empty_root_and_that_before_a_conflict() {
        let wrong = TreeHead { size: TreeSize::ZERO, root: leaf_hash(b"x") };
        assert_eq!(judge(wrong, size(1), &[], TreeHead::EMPTY).expect_err("refused").status(), 400);
        let cosigned = head(&leaves(3, None));
        assert_eq!(judge(wrong, TreeSize::ZERO, &[], cosigned), Err(Refusal::EmptyRoot));
    }

    #[test]
    fn only_verified_signatures_are_kept_and_each_key_once() {
        let tree = leaves(3, None);
        let text = note(head(&tree), 1).text().to_owned();
        let (good, foreign) = (signer(1).sign(&text), signer(2).sign(&text));
        let crowded = Note::new(text, vec![foreign, good.clone(), good.clone()]).expect("a note");
        let signed = open(&crowded, &[signer(1).verifier_key()]).expect("signed");
        assert_eq!(signed.lines(), [good]);
    }

    #[test]
    fn a_bad_line_by_a_trusted_key_condemns_the_note_wherever_it_stands() {
        let tree = leaves(3, None);
        let text = note(head(&tree), 1).text().to_owned();
        let (good, other) = (signer(1).sign(&text), signer(1).sign("another text\n"));
        for lines in [vec![good.clone(), other.clone()], vec![other, good]] {
            let note = Note::new(text.clone(), lines).expect("a note");
            assert_eq!(open(&note, &[signer(1).verifier_key()]).expect_err("refused").status(), 403);
        }
    }
}

//! The decision over one `add-checkpoint` request (C2SP tlog-witness): the checkpoint to cosign, or the refusal.
//!
//! The checks come in the specification's order, because the answer tells the client what to do next: first whose
//! checkpoint it is, then whether the client and the witness speak of the same tree, then the proof.
//!
//! Absent on purpose: state and signing. Whoever calls makes the new head durable, atomically with the comparison
//! with the old one, before a cosignature leaves.

use tlog::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::NoteError;
use tlog::proof::{ProofError, check_consistency};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::AddCheckpoint;

/// Why a checkpoint is not cosigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The checkpoint cannot be read.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(CheckpointError),
    /// "the checkpoint origin is unknown".
    #[error("this witness does not know the log {0}")]
    UnknownOrigin(String),
    /// "none of the signatures verify against a trusted public key".
    #[error("the checkpoint is not signed by the log's key: {0}")]
    NotSigned(NoteError),
    /// "The old size MUST be equal to or lower than the checkpoint size."
    #[error("the old size {0} is larger than the checkpoint's, {1}")]
    OldTooLarge(TreeSize, TreeSize),
    /// The old size is not that of the latest cosigned checkpoint.
    #[error("the latest checkpoint cosigned here has size {0}")]
    Conflict(TreeSize),
    /// "A checkpoint of size zero MUST have the root hash of the empty tree."
    #[error("a checkpoint of size zero must have the root of the empty tree")]
    EmptyRoot,
    /// "If they don't match": two roots for one size, signed by one key. Keep the request: it is evidence.
    #[error("the log has signed two roots for size {0}")]
    SameSizeOtherRoot(TreeSize),
    /// The proof does not hold.
    #[error("the consistency proof does not hold: {0}")]
    Proof(ProofError),
}

impl Refusal {
    /// The HTTP status that the specification gives it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldTooLarge(..) => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownOrigin(_) => 404,
            Self::Conflict(_) => 409,
            Self::EmptyRoot | Self::SameSizeOtherRoot(_) | Self::Proof(_) => 422,
        }
    }
}

/// A log that the witness follows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The keys it may sign with.
    pub keys: &'a [VerifierKey],
    /// The head cosigned last; the empty tree if there is none.
    pub cosigned: TreeHead,
}

/// Judges a request. `known` finds a log by its origin.
///
/// # Errors
/// [`Refusal`]: nothing may be signed.
pub fn judge<'a>(
    request: &AddCheckpoint,
    known: impl FnOnce(&str) -> Option<Known<'a>>,
) -> Result<VerifiedCheckpoint, Refusal> {
    let claimed = Checkpoint::parse(request.checkpoint.text()).map_err(Refusal::Malformed)?;
    let origin = claimed.origin().as_str();
    let log = known(origin).ok_or_else(|| Refusal::UnknownOrigin(origin.to_owned()))?;
    let verified = VerifiedCheckpoint::verify(&request.checkpoint, log.keys);
    let checkpoint = verified.map_err(|error| match error {
        CheckpointError::Note(error) => Refusal::NotSigned(error),
        CheckpointError::EmptyRoot => Refusal::EmptyRoot,
        error => Refusal::Malformed(error),
    })?;
    let (old, new) = (log.cosigned, checkpoint.head());
    if request.old > new.size {
        return Err(Refusal::OldTooLarge(request.old, new.size));
    }
    if request.old != old.size {
        return Err(Refusal::Conflict(old.size));
    }
    if old.size == new.size && old.root != new.root {
        return Err(Refusal::SameSizeOtherRoot(new.size));
    }
    check_consistency(&old, &new, &request.proof).map_err(Refusal::Proof)?;
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use tlog::hash::{Hash, leaf_hash};
    use tlog::ids::{KeyName, Origin};
    use tlog::note::Note;
    use tlog::sign::Ed25519Signer;
    use tlog::tree::{Frontier, Node, root_of};

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

    fn ask(request: &AddCheckpoint, cosigned: TreeHead) -> Result<TreeHead, u16> {
        let keys = [signer(1).verifier_key()];
        let known = |origin: &str| (origin == ORIGIN).then_some(Known { keys: &keys, cosigned });
        judge(request, known).map(|checkpoint| checkpoint.head()).map_err(|refusal| refusal.status())
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
    fn an_unknown_origin_is_404_and_a_foreign_signature_403() {
        let tree = leaves(3, None);
        assert_eq!(judge(&request(0, &tree), |_| None).expect_err("refused").status(), 404);
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
        let keys = [signer(1).verifier_key()];
        let refused = judge(&request(3, &tree), |_| Some(Known { keys: &keys, cosigned: head(&tree[..4]) }));
        assert_eq!(refused.expect_err("refused"), Refusal::Conflict(size(4)), "the answer names the size");
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
}

//! What a newly seen checkpoint says beside the one that was verified last.
//!
//! A contradiction is positive: one key, one size, two roots. A proof that is missing or does not hold is no
//! contradiction; the log may only be broken, and the head has to be kept until it is settled. A smaller tree is not
//! dropped: it must be proved to be a beginning of the larger one like any other.
//!
//! Absent on purpose: fetching, state, and entries.

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::Hash;
use tlog::proof::{ProofError, check_consistency};

/// What a checkpoint says beside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same tree.
    Same,
    /// A larger tree of which the known one is proved to be the beginning.
    Newer,
    /// A smaller tree that is proved to be the beginning of the known one.
    Older,
    /// Not settled: keep it.
    Unproven(Unproven),
    /// Two roots for one size, both signed: keep both notes, they are evidence.
    Contradiction,
}

/// Why a head is not settled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The checkpoints are of different logs.
    #[error("the checkpoints are of different logs, {0} and {1}")]
    OtherLog(String, String),
    /// The sizes differ, and there is no proof.
    #[error("the sizes differ, and there is no consistency proof")]
    NoProof,
    /// The proof does not hold.
    #[error("the consistency proof does not hold: {0}")]
    Proof(ProofError),
}

/// Compares a checkpoint with the known one; `proof` leads from the smaller tree to the larger.
#[must_use]
pub fn compare(known: &VerifiedCheckpoint, seen: &VerifiedCheckpoint, proof: Option<&[Hash]>) -> Verdict {
    if known.origin() != seen.origin() {
        let names = (known.origin().to_string(), seen.origin().to_string());
        return Verdict::Unproven(Unproven::OtherLog(names.0, names.1));
    }
    let (before, now) = (known.head(), seen.head());
    if before.size == now.size {
        return if before.root == now.root { Verdict::Same } else { Verdict::Contradiction };
    }
    let Some(proof) = proof else { return Verdict::Unproven(Unproven::NoProof) };
    let (old, new, verdict) =
        if before.size < now.size { (before, now, Verdict::Newer) } else { (now, before, Verdict::Older) };
    match check_consistency(&old, &new, proof) {
        Ok(()) => verdict,
        Err(error) => Verdict::Unproven(Unproven::Proof(error)),
    }
}

#[cfg(test)]
mod tests {
    use tlog::checkpoint::Checkpoint;
    use tlog::hash::leaf_hash;
    use tlog::ids::TreeHead;
    use tlog::note::Note;
    use tlog::sign::Ed25519Signer;
    use tlog::tree::Frontier;

    use super::*;

    fn head(entries: &[&str]) -> TreeHead {
        let mut frontier = Frontier::new();
        entries.iter().for_each(|entry| frontier.push(leaf_hash(entry.as_bytes()), |_, _| ()));
        frontier.head()
    }

    fn signed(origin: &str, head: TreeHead) -> VerifiedCheckpoint {
        let signer = Ed25519Signer::from_seed(origin.parse().expect("a name"), &[9; 32]);
        let text = Checkpoint::new(origin.parse().expect("an origin"), head).to_text();
        let note = Note::new(text.clone(), vec![signer.sign(&text)]).expect("a note");
        VerifiedCheckpoint::verify(&note, &[signer.verifier_key()]).expect("signed")
    }

    #[test]
    fn growth_and_older_heads_are_settled_by_a_proof() {
        let (one, two) = (signed("log.example/m", head(&["a"])), signed("log.example/m", head(&["a", "b"])));
        let proof = [leaf_hash(b"b")];
        assert_eq!(compare(&one, &two, Some(&proof)), Verdict::Newer);
        assert_eq!(compare(&two, &one, Some(&proof)), Verdict::Older);
        assert_eq!(compare(&two, &two, None), Verdict::Same);
        assert_eq!(compare(&one, &two, None), Verdict::Unproven(Unproven::NoProof));
    }

    #[test]
    fn two_roots_for_one_size_contradict_each_other_and_a_bad_proof_does_not() {
        let honest = signed("log.example/m", head(&["a", "b"]));
        let forked = signed("log.example/m", head(&["a", "c"]));
        assert_eq!(compare(&honest, &forked, None), Verdict::Contradiction);
        let larger = signed("log.example/m", head(&["x", "b", "c"]));
        let bad = compare(&honest, &larger, Some(&[leaf_hash(b"c")]));
        assert!(matches!(bad, Verdict::Unproven(Unproven::Proof(_))), "{bad:?}");
        let other = signed("log.example/other", head(&["a", "b"]));
        assert!(matches!(compare(&honest, &other, None), Verdict::Unproven(Unproven::OtherLog(..))));
    }
}

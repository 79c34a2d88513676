//! Whose signatures count for one log, in two steps that must not be confused.
//!
//! *Signed* means: the log's own key signed under its own name, and every signature by a known key holds. Such a
//! head binds the log, and is evidence if it contradicts another one. *Accepted* means that the quorum of
//! witnesses is met as well; only then verification goes on over it. Distinct keys count, not signatures
//! (CVE-2026-49834): [`Policy`] sees to that.
//!
//! Pure.

use tlog::checkpoint::{CheckpointError, VerifiedCheckpoint};
use tlog::ids::Origin;
use tlog::note::{Note, SignatureLine};
use tlog::policy::{Policy, PolicyError};
use tlog::vkey::VerifierKey;

/// Whom a monitor trusts for one log.
#[derive(Clone, Debug)]
pub struct Trust {
    origin: Origin,
    policy: Policy,
    /// The log's own keys first, then the witnesses'.
    keys: Vec<VerifierKey>,
    log_keys: usize,
}

impl Trust {
    /// The policy, for the log of this name; `None` if no key of the policy is that log's.
    #[must_use]
    pub fn new(origin: &Origin, policy: Policy) -> Option<Self> {
        let own = policy.logs().iter().map(|log| &log.key);
        let mut keys: Vec<VerifierKey> =
            own.filter(|key| key.name().as_str() == origin.as_str()).cloned().collect();
        let log_keys = keys.len();
        keys.extend(policy.witnesses().iter().map(|witness| witness.key.clone()));
        (log_keys > 0).then(|| Self { origin: origin.clone(), policy, keys, log_keys })
    }

    /// The log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The log's own keys.
    #[must_use]
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.keys[..self.log_keys]
    }

    /// The witnesses' keys, in the order of the policy.
    #[must_use]
    pub fn witness_keys(&self) -> &[VerifierKey] {
        &self.keys[self.log_keys..]
    }

    /// Verifies that the log signed. The checkpoint keeps only lines that were verified: what strangers wrote
    /// under it is not stored, and cannot be replayed from here.
    ///
    /// # Errors
    /// [`CheckpointError`]: not signed by this log, or of another one.
    pub fn signed(&self, note: &Note) -> Result<VerifiedCheckpoint, CheckpointError> {
        let checked = VerifiedCheckpoint::verify(note, &self.keys)?.of(&self.origin)?;
        let known = |line: &&SignatureLine| self.keys.iter().any(|key| line.is_by(key));
        let lines: Vec<SignatureLine> = note.signatures().iter().filter(known).cloned().collect();
        if lines.len() == note.signatures().len() {
            return Ok(checked);
        }
        VerifiedCheckpoint::verify(&note.with_signatures(lines)?, &self.keys)?.of(&self.origin)
    }

    /// Whether the policy accepts a signed checkpoint; why not, in words.
    ///
    /// # Errors
    /// [`PolicyError::Quorum`].
    pub fn accepts(&self, checkpoint: &VerifiedCheckpoint) -> Result<(), PolicyError> {
        self.policy.verify(checkpoint.note()).map(|_| ())
    }

    /// The time in seconds since 1970 for which a checkpoint has the word of a quorum: the latest one such that
    /// the cosignatures of that time or later meet it. Without a quorum, the latest time that any signer states.
    /// `None` if nobody states one.
    #[must_use]
    pub fn time_of(&self, checkpoint: &VerifiedCheckpoint) -> Option<u64> {
        let mut times: Vec<u64> =
            checkpoint.cosignatures().iter().map(|one| one.seconds).filter(|seconds| *seconds > 0).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        if self.policy.quorum().is_none() {
            let own = checkpoint.tree_head_time().map(tlog::ids::UnixMillis::as_seconds);
            return times.first().copied().into_iter().chain(own).max();
        }
        let since = |seconds: u64| {
            self.policy.is_met_by(|at| {
                let key = &self.policy.witnesses()[at].key;
                checkpoint.cosignatures().iter().any(|one| one.key == *key && one.seconds >= seconds)
            })
        };
        times.into_iter().find(|seconds| since(*seconds))
    }
}

#[cfg(test)]
mod tests {
    use tlog::checkpoint::Checkpoint;
    use tlog::ids::TreeHead;
    use tlog::sign::{CosignerEd25519, Ed25519Signer};

    use super::*;

    fn log() -> Ed25519Signer {
        Ed25519Signer::from_seed("log.example/t".parse().unwrap(), &[1; 32])
    }

    fn witness(number: u8) -> CosignerEd25519 {
        CosignerEd25519::from_seed(format!("w{number}.example").parse().unwrap(), &[number; 32])
    }

    fn trust(threshold: usize) -> Trust {
        let mut text = format!("log {}\n", log().verifier_key());
        for number in 2..5 {
            text.push_str(&format!("witness w{number} {}\n", witness(number).verifier_key()));
        }
        text.push_str(&format!("group all {threshold} w2 w3 w4\nquorum all\n"));
        Trust::new(&"log.example/t".parse().unwrap(), Policy::parse(text.as_bytes()).unwrap()).unwrap()
    }

    fn note(cosigners: &[(u8, u64)]) -> Note {
        let text = Checkpoint::new("log.example/t".parse().unwrap(), TreeHead::EMPTY).to_text();
        let mut lines = vec![log().sign(&text)];
        lines.extend(cosigners.iter().map(|(number, seconds)| witness(*number).cosign(&text, *seconds)));
        Note::new(text, lines).unwrap()
    }

    #[test]
    fn a_quorum_counts_distinct_keys_and_a_head_without_it_is_still_signed() {
        let trust = trust(2);
        let once = trust.signed(&note(&[(2, 50)])).unwrap();
        assert!(matches!(trust.accepts(&once), Err(PolicyError::Quorum { found: 1, known: 3 })));
        let twice = trust.signed(&note(&[(2, 50), (2, 51)])).unwrap();
        assert!(matches!(trust.accepts(&twice), Err(PolicyError::Quorum { found: 1, known: 3 })));
        let both = trust.signed(&note(&[(2, 50), (3, 51)])).unwrap();
        assert_eq!(trust.accepts(&both), Ok(()));
    }

    #[test]
    fn the_time_is_one_that_a_quorum_vouches_for() {
        let trust = trust(2);
        let one_ahead = trust.signed(&note(&[(2, 9_000), (3, 70), (4, 60)])).unwrap();
        assert_eq!(trust.time_of(&one_ahead), Some(70), "one witness alone cannot make a head fresh");
        let lone = trust.signed(&note(&[(2, 9_000)])).unwrap();
        assert_eq!(trust.time_of(&lone), None);
    }

    #[test]
    fn lines_by_strangers_are_not_kept_and_forged_lines_refuse_the_note() {
        let trust = trust(1);
        let (text, mut lines) = {
            let note = note(&[(2, 50)]);
            (note.text().to_owned(), note.signatures().to_vec())
        };
        lines.push(CosignerEd25519::from_seed("stranger".parse().unwrap(), &[77; 32]).cosign(&text, 5));
        let signed = trust.signed(&Note::new(text.clone(), lines.clone()).unwrap()).unwrap();
        assert_eq!(signed.note().signatures().len(), 2);
        let key = witness(3).verifier_key();
        lines.push(SignatureLine::new(key.name().clone(), key.id(), vec![0; 72]));
        assert!(trust.signed(&Note::new(text, lines).unwrap()).is_err());
        let other = Ed25519Signer::from_seed("log.example/other".parse().unwrap(), &[1; 32]);
        assert!(
            Trust::new(&"log.example/t".parse().unwrap(), Policy::of_log(other.verifier_key(), None))
                .is_none()
        );
    }
}

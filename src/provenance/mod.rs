//! Who may sign, shown from the log alone: the few statements that say whose keys an agency's are, each proved to be in
//! one signed tree. With this file beside a statement and its receipt anybody can tell, without any network, whose
//! signatures it bears and who enrolled them.
//!
//! The file is [`record::provenance`]'s. [`Known`] is what of it was verified, [`judge::Judge`] judges statements by it with
//! the rules of admission, [`collect`] gets it from a log, and [`versions`] reads whole histories. A file can leave out a
//! statement that came later, such as a revocation: that nothing is left out shows only a copy of the whole log, see
//! [`collect::from_copy`].

pub mod collect;
pub mod judge;
pub mod versions;

use std::collections::BTreeMap;

use record::evidence::ProvedEntry;
use record::ids::AgencyId;
use record::provenance::Provenance;
use record::registry::Refusal;
use record::statement::{AgencyAction, Body, Statement, StatementError};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{KeyName, LeafIndex};
use tlog::policy::{Policy, PolicyError};
use tlog::proof::{ProofError, check_inclusion};

/// Why a file shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// The policy does not accept the checkpoint.
    #[error("the policy does not accept the checkpoint in the provenance: {0}")]
    Policy(#[from] PolicyError),
    /// An entry is not proved.
    #[error("the provenance does not prove entry {0}: {1}")]
    Proof(LeafIndex, ProofError),
    /// An entry is no statement.
    #[error("entry {0} of the provenance is no statement: {1}")]
    Statement(LeafIndex, StatementError),
    /// An entry is not admissible after those before it.
    #[error("entry {0} is not admissible: {1}")]
    Refused(LeafIndex, Refusal),
    /// Entry 0 is not there, or no genesis of this log.
    #[error("the provenance does not begin with the genesis of the log {0}")]
    Genesis(String),
    /// Two files, of two logs.
    #[error("the provenance is of the log {0}, and the receipt of {1}")]
    OtherLog(String, String),
}

/// How an agency came into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Its name for people.
    pub title: String,
    /// The entry that enrolled it; 0 for the registrar itself.
    pub index: LeafIndex,
    /// Who enrolled it; for the registrar itself, itself.
    pub registrar: AgencyId,
    /// The registrar's officers who signed that.
    pub by: Vec<KeyName>,
}

/// Statements of one log, proved to be in one signed tree.
#[derive(Clone, Debug)]
pub struct Known {
    checkpoint: VerifiedCheckpoint,
    statements: BTreeMap<LeafIndex, Statement>,
}

impl Known {
    /// Verifies that the log of `policy` has signed a tree with these entries, the first its genesis.
    ///
    /// Whether each may stand there is decided when something is [judged](judge::Judge).
    ///
    /// # Errors
    /// [`ProvenanceError`] says which entry is not right.
    pub fn verify(provenance: &Provenance, policy: &Policy) -> Result<Self, ProvenanceError> {
        Self::read(provenance, policy.verify(&provenance.checkpoint)?)
    }

    /// The same under a checkpoint that was verified already.
    fn read(provenance: &Provenance, checkpoint: VerifiedCheckpoint) -> Result<Self, ProvenanceError> {
        let mut statements = BTreeMap::new();
        for ProvedEntry { index, entry, proof } in &provenance.entries {
            check_inclusion(&leaf_hash(entry), *index, &checkpoint.head(), proof)
                .map_err(|error| ProvenanceError::Proof(*index, error))?;
            let statement =
                Statement::parse(entry).map_err(|error| ProvenanceError::Statement(*index, error))?;
            statements.insert(*index, statement);
        }
        Self::new(checkpoint, statements)
    }

    fn new(
        checkpoint: VerifiedCheckpoint,
        statements: BTreeMap<LeafIndex, Statement>,
    ) -> Result<Self, ProvenanceError> {
        let known = Self { checkpoint, statements };
        let origin = known.checkpoint.origin();
        match known.statements.first_key_value() {
            Some((index, first)) if index.get() == 0 && first.body().log() == origin => match first.body() {
                Body::Genesis(_) => Ok(known),
                _ => Err(ProvenanceError::Genesis(origin.to_string())),
            },
            _ => Err(ProvenanceError::Genesis(origin.to_string())),
        }
    }

    /// The signed tree.
    #[must_use]
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// The leaf hash of the genesis, as those pin it who know the log.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.statements.values().next().expect("a genesis comes first").leaf_hash()
    }

    /// How an agency came into the log; none if these statements do not say.
    #[must_use]
    pub fn enrolment(&self, agency: &AgencyId) -> Option<Enrolment> {
        let Body::Genesis(genesis) = self.statements.values().next()?.body() else { return None };
        let registrar = genesis.registrar.clone();
        if *agency == registrar {
            let by = genesis.keys.keys.iter().map(|grant| grant.key.name().clone()).collect();
            let index = LeafIndex::new(0).expect("the first index");
            return Some(Enrolment { title: genesis.title.as_str().to_owned(), index, registrar, by });
        }
        self.statements.iter().find_map(|(index, statement)| {
            let Body::Agency(body) = statement.body() else { return None };
            let AgencyAction::Enrol { title, keys } = &body.action else { return None };
            if body.agency != *agency {
                return None;
            }
            let own = keys.brings_in();
            let others = statement.signatures().iter();
            let others = others.filter(|line| !own.iter().any(|key| line.is_by(key)));
            let by = others.map(|line| line.name().clone()).collect();
            let title = title.as_str().to_owned();
            Some(Enrolment { title, index: *index, registrar: registrar.clone(), by })
        })
    }
}

#[cfg(test)]
mod tests {
    use tlog::note::Note;
    use tlog::sign::Ed25519Signer;

    use super::*;

    #[test]
    fn without_a_genesis_of_the_log_nothing_is_known() {
        let signer = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[7; 32]);
        let root = leaf_hash(b"genesis");
        let text = format!("log.example\n1\n{}\n", root.to_base64());
        let checkpoint = Note::new(text.clone(), vec![signer.sign(&text)]).unwrap();
        let index = LeafIndex::new(0).unwrap();
        let entries = vec![ProvedEntry { index, entry: b"genesis".to_vec(), proof: Vec::new() }];
        let policy = Policy::of_log(signer.verifier_key(), None);
        let none = Provenance { checkpoint: checkpoint.clone(), entries: Vec::new() };
        assert!(matches!(Known::verify(&none, &policy), Err(ProvenanceError::Genesis(_))));
        let other = Provenance { checkpoint, entries };
        assert!(matches!(Known::verify(&other, &policy), Err(ProvenanceError::Statement(..))));
        let stranger = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[8; 32]);
        let policy = Policy::of_log(stranger.verifier_key(), None);
        assert!(matches!(Known::verify(&none, &policy), Err(ProvenanceError::Policy(_))));
    }
}

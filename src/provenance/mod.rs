//! Who may sign, shown from the log alone: the few statements that say whose keys an agency's are, each proved to be in
//! one signed tree. With this file beside a statement and its receipt anybody can tell, without any network, whose
//! signatures it bears and who enrolled them.
//!
//! ```text
//! daybook/provenance/v1
//! entry <index> <base64>         ascending; the first is entry 0, the genesis
//! <hash, base64>                 its inclusion proof, the leaf's sibling first
//!
//! <checkpoint with its signatures>
//! ```
//!
//! [`Provenance`] is the file, [`Known`] what of it was verified, [`judge::Judge`] judges statements by it with the rules of
//! admission, and [`collect`] gets it from a log,
//! [`versions`] reads whole histories. A file can leave out a statement that came later, such as a revocation:
//! that nothing is left out shows only a copy of the whole log, see [`collect::from_copy`].

pub mod collect;
pub mod judge;
pub mod versions;

use std::collections::BTreeMap;

use record::evidence::ProvedEntry;
use record::ids::AgencyId;
use record::registry::Refusal;
use record::statement::{AgencyAction, Body, Statement, StatementError};
use tlog::b64;
use tlog::bundle::ENTRY_BYTES_MAX;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{KeyName, LeafIndex};
use tlog::note::{Note, NoteError};
use tlog::policy::{Policy, PolicyError};
use tlog::proof::{PROOF_HASHES_MAX, ProofError, check_inclusion};

const HEADER: &str = "daybook/provenance/v1";
/// Most entries in one file.
pub const ENTRIES_MAX: usize = 65_536;
/// The longest file.
pub const PROVENANCE_BYTES_MAX: usize = 256 << 20;

/// Why a file shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// The first line is another.
    #[error("not a provenance file: the first line must be `{HEADER}`")]
    Header,
    /// A line is not what it must be.
    #[error("line {0} of the provenance must be {1}")]
    Line(usize, &'static str),
    /// The checkpoint is no note.
    #[error("the checkpoint in the provenance is malformed: {0}")]
    Note(#[from] NoteError),
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

impl ProvenanceError {
    /// Whether the file cannot be read at all, rather than showing something wrong.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Header | Self::Line(..) | Self::Note(_))
    }
}

/// The file. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The signed tree that holds the entries.
    pub checkpoint: Note,
    /// The entries, ascending.
    pub entries: Vec<ProvedEntry>,
}

/// A line with its number, counted from 1.
type Numbered<'a> = (&'a str, usize);

impl Provenance {
    /// Parses a file. Accepts only bytes that [`Provenance::to_bytes`] gives back.
    ///
    /// # Errors
    /// [`ProvenanceError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceError> {
        let blank = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(ProvenanceError::Header)?;
        let head = std::str::from_utf8(&bytes[..blank]).map_err(|_| ProvenanceError::Header)?;
        let mut lines = head.split('\n').zip(1_usize..).peekable();
        lines.next().filter(|(line, _)| *line == HEADER).ok_or(ProvenanceError::Header)?;
        let mut entries: Vec<ProvedEntry> = Vec::new();
        while let Some(line) = lines.next() {
            let mut proof = Vec::new();
            while let Some((line, number)) = lines.next_if(|(line, _)| !line.starts_with("entry ")) {
                let bad = |_| ProvenanceError::Line(number, "a hash in canonical base64");
                proof.push(Hash::from_base64(line).map_err(bad)?);
            }
            let entry = entry(line, proof)?;
            let ascends = entries.last().is_none_or(|last| last.index < entry.index);
            if !ascends || entries.len() == ENTRIES_MAX || entry.proof.len() > PROOF_HASHES_MAX {
                return Err(ProvenanceError::Line(line.1, "an entry after the one before, with its proof"));
            }
            entries.push(entry);
        }
        Ok(Self { checkpoint: Note::parse(&bytes[blank + 2..])?, entries })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        for ProvedEntry { index, entry, proof } in &self.entries {
            head.push_str(&format!("entry {index} {}\n", b64::encode(entry)));
            proof.iter().for_each(|hash| head.push_str(&format!("{}\n", hash.to_base64())));
        }
        head.push('\n');
        [head.as_bytes(), &self.checkpoint.to_bytes()].concat()
    }

    /// Verifies that the log of `policy` has signed a tree with these entries, the first its genesis.
    ///
    /// Whether each may stand there is decided when something is [judged](judge::Judge).
    ///
    /// # Errors
    /// [`ProvenanceError`] says which entry is not right.
    pub fn verify(&self, policy: &Policy) -> Result<Known, ProvenanceError> {
        self.read_at(policy.verify(&self.checkpoint)?)
    }

    /// The same for a checkpoint that was verified already.
    fn read_at(&self, checkpoint: VerifiedCheckpoint) -> Result<Known, ProvenanceError> {
        let mut statements = BTreeMap::new();
        for ProvedEntry { index, entry, proof } in &self.entries {
            check_inclusion(&leaf_hash(entry), *index, &checkpoint.head(), proof)
                .map_err(|error| ProvenanceError::Proof(*index, error))?;
            let statement =
                Statement::parse(entry).map_err(|error| ProvenanceError::Statement(*index, error))?;
            statements.insert(*index, statement);
        }
        Known::new(checkpoint, statements)
    }
}

fn entry((line, number): Numbered<'_>, proof: Vec<Hash>) -> Result<ProvedEntry, ProvenanceError> {
    const FORM: &str = "`entry`, an index and the entry in canonical base64";
    let parts = line.strip_prefix("entry ").and_then(|rest| rest.split_once(' '));
    let parsed = parts.and_then(|(index, entry)| Some((index.parse().ok()?, b64::decode(entry)?)));
    let parsed = parsed.filter(|(_, entry)| entry.len() <= ENTRY_BYTES_MAX);
    let (index, entry) = parsed.ok_or(ProvenanceError::Line(number, FORM))?;
    Ok(ProvedEntry { index, entry, proof })
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
    use tlog::sign::Ed25519Signer;

    use super::*;

    fn sample() -> Provenance {
        let signer = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[7; 32]);
        let text = "log.example\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
        let entry = |index, entry: &[u8], hashes: u8| ProvedEntry {
            index: LeafIndex::new(index).unwrap(),
            entry: entry.to_vec(),
            proof: (0..hashes).map(|hash| Hash::from_bytes([hash; 32])).collect(),
        };
        Provenance {
            checkpoint: Note::new(text.to_owned(), vec![signer.sign(text)]).unwrap(),
            entries: vec![entry(0, b"genesis", 2), entry(2, b"", 0), entry(5, b"x", 1)],
        }
    }

    #[test]
    fn a_file_has_one_form() {
        let good = sample().to_bytes();
        assert_eq!(Provenance::parse(&good).unwrap(), sample());
        let text = String::from_utf8(good).unwrap();
        for (from, to) in [
            ("daybook/provenance/v1", "daybook/provenance/v2"),
            ("entry 2 ", "entry 02 "),
            ("entry 2 ", "entry 0 "),
            ("entry 2 ", "entry 6 "),
            ("entry 2 ", "entry 2  "),
            ("entry 0 ", "Entry 0 "),
            ("Z2VuZXNpcw==", "Z2VuZXNpcx=="),
            ("\nAAAA", "\nAAA"),
            ("\n\n", "\n"),
        ] {
            let altered = text.replacen(from, to, 1);
            assert_ne!(altered, text, "{from}");
            assert!(Provenance::parse(altered.as_bytes()).is_err(), "{from} {to}");
        }
    }

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
        assert!(matches!(none.verify(&policy), Err(ProvenanceError::Genesis(_))));
        let other = Provenance { checkpoint, entries };
        assert!(matches!(other.verify(&policy), Err(ProvenanceError::Statement(..))));
        let stranger = Ed25519Signer::from_seed("log.example".parse().unwrap(), &[8; 32]);
        let policy = Policy::of_log(stranger.verifier_key(), None);
        assert!(matches!(none.verify(&policy), Err(ProvenanceError::Policy(_))));
    }
}

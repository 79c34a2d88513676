//! The history of a record: every version proved to be in the signed tree, judged by the rules of admission, and chained to
//! the one before; and the tombstones of what was erased of it.

use record::evidence::ProvedEntry;
use record::statement::{Body, Erased, Record, Statement, Tombstone};
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

use super::collect::{CollectError, Places, Reader, RecordName, can_be_erased};
use super::judge::{Judge, Previous, Signer};
use super::{Enrolment, Known};

/// A version of a record.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its entry with the proof.
    pub proved: ProvedEntry,
    /// The statement.
    pub statement: Statement,
    /// Who signed it.
    pub signers: Vec<Signer>,
    /// What was erased of it, each by the entry with the tombstone.
    pub erased: Vec<(Erased, LeafIndex)>,
}

/// A tombstone of one of the versions.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// Its entry with the proof.
    pub proved: ProvedEntry,
    /// What it says.
    pub tombstone: Tombstone,
    /// Who signed it.
    pub signers: Vec<Signer>,
}

/// A history, verified.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The versions, oldest first; never empty.
    pub versions: Vec<Version>,
    /// The tombstones, oldest first.
    pub erasures: Vec<Erasure>,
    /// How the agency came into the log.
    pub enrolment: Option<Enrolment>,
    /// Where the statements stand that say who signs for the agency.
    pub registry: Vec<LeafIndex>,
    /// Whether the whole log was read, so that nothing is left out at the end.
    pub whole: bool,
}

impl Version {
    /// What it says.
    ///
    /// # Panics
    /// Never: a version is a record.
    #[must_use]
    pub fn record(&self) -> &Record {
        match self.statement.body() {
            Body::Record(record) => record,
            _ => unreachable!("a version is a record"),
        }
    }
}

/// The receipt of a proved entry.
#[must_use]
pub fn receipt(reader: &Reader, proved: &ProvedEntry) -> TlogProof {
    let checkpoint = reader.checkpoint().note().clone();
    TlogProof { extra: None, index: proved.index, proof: proved.proof.clone(), checkpoint }
}

/// Something to judge, in the order of the log.
enum Next {
    Version(Statement, ProvedEntry),
    Tombstone(Statement, ProvedEntry),
}

/// Reads and verifies the history that stands at these places.
///
/// # Errors
/// [`CollectError`] names the entry that is not what it should be.
pub fn read(
    reader: &Reader,
    name: &RecordName,
    places: &Places,
    progress: &mut dyn FnMut(u64),
) -> Result<Versions, CollectError> {
    let mut queue = Vec::with_capacity(places.versions.len());
    let mut previous = None;
    let mut tombstones = places.tombstones.clone();
    for (at, index) in places.versions.iter().enumerate() {
        let (statement, proved) = reader.statement(*index)?;
        let right = record::registry::Chain::of(statement.body()) == name.chain();
        if !right {
            return Err(CollectError::Other(*index, format!("a version of {name}")));
        }
        if statement.body().previous() != previous {
            return Err(CollectError::Gap(*index));
        }
        previous = Some(statement.leaf_hash());
        if !places.whole && can_be_erased(&statement) {
            tombstones.extend(reader.tombstones_of(name, &statement.leaf_hash())?);
        }
        queue.push((*index, Next::Version(statement, proved)));
        progress(at as u64 + 1);
    }
    tombstones.sort_unstable();
    tombstones.dedup();
    for index in tombstones {
        let (statement, proved) = reader.statement(index)?;
        queue.push((index, Next::Tombstone(statement, proved)));
    }
    queue.sort_by_key(|(index, _)| *index);
    let mut versions = judge(reader, name, places, queue)?;
    mark_erased(&mut versions);
    Ok(versions)
}

fn judge(
    reader: &Reader,
    name: &RecordName,
    places: &Places,
    queue: Vec<(LeafIndex, Next)>,
) -> Result<Versions, CollectError> {
    // The reader's head was verified, and so were the proofs that it gives.
    let known = Known::read(&reader.provenance(&places.registry, &[])?, reader.checkpoint().clone())?;
    let mut judge = Judge::new(&known);
    let (mut versions, mut erasures): (Vec<Version>, Vec<Erasure>) = (Vec::new(), Vec::new());
    for (index, next) in queue {
        match next {
            Next::Version(statement, proved) => {
                let signers = judge.judge(index, &statement, Previous::Compared)?;
                versions.push(Version { proved, statement, signers, erased: Vec::new() });
            }
            Next::Tombstone(statement, proved) => {
                let Body::Tombstone(tombstone) = statement.body() else {
                    return Err(CollectError::Other(index, format!("a tombstone of {name}")));
                };
                let signers = judge.judge(index, &statement, Previous::Believed)?;
                erasures.push(Erasure { proved, tombstone: tombstone.clone(), signers });
            }
        }
    }
    for version in &mut versions {
        judge.later(version.proved.index, &mut version.signers)?;
    }
    let enrolment = known.enrolment(&name.agency);
    Ok(Versions { versions, erasures, enrolment, registry: places.registry.clone(), whole: places.whole })
}

/// The first tombstone for a thing is the one that counts.
fn mark_erased(history: &mut Versions) {
    for version in &mut history.versions {
        let leaf = version.statement.leaf_hash();
        let of_it = history.erasures.iter().filter(|erasure| erasure.tombstone.entry.leaf == leaf);
        for erasure in of_it {
            for erased in &erasure.tombstone.erased {
                if !version.erased.iter().any(|(known, _)| known == erased) {
                    version.erased.push((erased.clone(), erasure.proved.index));
                }
            }
        }
    }
}

//! Offices and what they sign. An office has three officers, of whom two must sign what matters, and a publisher who
//! signs its records. The keys are files of their owners; nothing else here can sign in an office's name.

use std::path::Path;

use daemon::clock::{SystemClock, SystemRandom};
use record::ids::AgencyId;
use record::statement::{
    Agency, AgencyAction, Body, EntryRef, Erased, KeyGrant, KeySet, Record, Register, Role, Statement,
    Tombstone,
};
use tlog::ids::Origin;
use tlog::vkey::VerifierKey;

use super::super::failure::Failure;
use crate::client::read::now;
use crate::officer::{Algorithm, Officer};
use crate::records::genesis::{self, NewRegistrar};

/// How many of an office's officers must sign.
pub(super) const QUORUM: u8 = 2;
const OFFICERS: [&str; 3] = ["officer-1", "officer-2", "officer-3"];
const PUBLISHER: &str = "publisher";
/// The folder with everybody's keys.
const KEYS: &str = "keys";

/// An office with its keys.
pub(super) struct Office {
    pub(super) id: AgencyId,
    pub(super) title: String,
    /// The officers', and after them the publisher's, if there is one.
    keys: Vec<Officer>,
}

/// A statement, signed.
fn sign(text: &str, signers: &[&Officer]) -> Result<Vec<u8>, Failure> {
    let lines = signers.iter().map(|signer| signer.sign(text)).collect();
    Ok(Statement::assemble(text, lines).map_err(Failure::failed)?.to_bytes())
}

impl Office {
    /// Draws the keys of an office and writes them into a folder of its own in the demonstration's.
    pub(super) fn found(id: &str, title: &str, folder: &Path, publishes: bool) -> Result<Self, Failure> {
        let folder = folder.join(KEYS).join(id);
        std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        let labels = OFFICERS.iter().chain(publishes.then_some(&PUBLISHER));
        let draw = |label: &&str| {
            let name = format!("{id}/{label}").parse().map_err(Failure::failed)?;
            let officer = Officer::draw(&name, Algorithm::Ed25519, &SystemRandom).map_err(Failure::failed)?;
            let written = officer.write(&folder.join(format!("{label}.pem")), None, &SystemRandom);
            written.map(|()| officer).map_err(Failure::failed)
        };
        let keys = labels.map(draw).collect::<Result<_, _>>()?;
        Ok(Self { id: id.parse().map_err(Failure::failed)?, title: title.to_owned(), keys })
    }

    fn everybody(&self) -> Vec<&Officer> {
        self.keys.iter().collect()
    }

    /// As many officers as must sign.
    fn quorum(&self) -> Vec<&Officer> {
        self.keys.iter().take(QUORUM.into()).collect()
    }

    /// Where the publisher's key is, from the demonstration's folder.
    pub(super) fn publisher_file(&self) -> String {
        format!("{KEYS}/{}/{PUBLISHER}.pem", self.id)
    }

    /// Where the keys of as many officers as must sign are.
    pub(super) fn quorum_files(&self) -> Vec<String> {
        let labels = OFFICERS.iter().take(QUORUM.into());
        labels.map(|label| format!("{KEYS}/{}/{label}.pem", self.id)).collect()
    }

    fn publisher(&self) -> Vec<&Officer> {
        self.keys.iter().skip(OFFICERS.len()).collect()
    }

    fn key_set(&self) -> KeySet {
        let grant = |(at, signer): (usize, &Officer)| KeyGrant {
            key: signer.verifier_key(),
            role: if at < OFFICERS.len() { Role::Officer } else { Role::Publisher },
        };
        KeySet { keys: self.keys.iter().enumerate().map(grant).collect(), quorum: QUORUM, recovery: None }
    }

    /// The first entry of a log, whose registrar this office is.
    pub(super) fn genesis(&self, log: &Origin) -> Result<Vec<u8>, Failure> {
        let keys: Vec<VerifierKey> = self.keys.iter().map(Officer::verifier_key).collect();
        let (origin, title) = (log.clone(), self.title.clone());
        let new =
            NewRegistrar { origin, keys, threshold: QUORUM, recovery: None, title, at: now(&SystemClock) };
        sign(&genesis::text(&new).map_err(Failure::failed)?, &self.everybody())
    }

    /// Enrols another office, by so many of this one's officers and every key that comes in.
    pub(super) fn enrol(&self, other: &Self, log: &Origin, officers: usize) -> Result<Vec<u8>, Failure> {
        let title = other.title.parse().map_err(Failure::failed)?;
        let body = Body::Agency(Agency {
            agency: other.id.clone(),
            at: now(&SystemClock),
            log: log.clone(),
            previous: None,
            action: AgencyAction::Enrol { title, keys: other.key_set() },
        });
        let signers: Vec<&Officer> = self.keys.iter().take(officers).chain(other.everybody()).collect();
        sign(&body.to_text(), &signers)
    }

    /// Opens a register.
    pub(super) fn open(&self, register: &Register) -> Result<Vec<u8>, Failure> {
        sign(&Body::Register(register.clone()).to_text(), &self.quorum())
    }

    /// Signs a version of a record, in whosever register it is.
    pub(super) fn publish(&self, record: Record) -> Result<Vec<u8>, Failure> {
        sign(&Body::Record(record).to_text(), &self.publisher())
    }

    /// Says that something of an entry is to be destroyed, by so many officers.
    pub(super) fn erase(
        &self,
        record: &Record,
        entry: EntryRef,
        what: &Erased,
        basis: &str,
        officers: usize,
    ) -> Result<Vec<u8>, Failure> {
        let body = Body::Tombstone(Tombstone {
            agency: record.agency.clone(),
            register: record.register.clone(),
            key: record.key.clone(),
            at: now(&SystemClock),
            log: record.log.clone(),
            previous: None,
            entry,
            erased: vec![what.clone()],
            basis: basis.parse().map_err(Failure::failed)?,
        });
        let signers: Vec<&Officer> = self.keys.iter().take(officers).collect();
        sign(&body.to_text(), &signers)
    }
}

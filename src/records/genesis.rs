//! The first entry of a log of records: who enrols agencies. Signed by the registrar's officers, offline, never by
//! the log.
//!
//! ```text
//! daybook init log --origin log.gov.example/2026 --admission records --genesis genesis.txt \
//!     --registrar registrar.gov.example/one+... --registrar registrar.gov.example/two+... --threshold 2
//! ```
//!
//! The first call writes the text to sign into `genesis.txt`; every registrar signs it where their key is; the second
//! call finds it signed and makes the log. Every key that the genesis names signs it, so that nobody is named who
//! does not have the key.

use std::convert::Infallible;

use record::ids::{AgencyId, Form, Line};
use record::registry::{Chain, History, JudgeError, Refusal, Registry, Signatures};
use record::statement::{Body, EntryRef, KeyGrant, KeySet, Role, Statement, StatementError};
use record::time::UtcTime;
use tlog::hash::Hash;
use tlog::ids::{KeyName, LeafIndex, Origin};
use tlog::vkey::VerifierKey;

/// A genesis that its registrar has signed.
#[derive(Clone, Debug)]
pub struct Genesis {
    bytes: Vec<u8>,
    leaf: Hash,
    registrar: String,
}

/// Why there is no genesis.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The bytes are no statement.
    #[error("the genesis is no signed statement: {0}")]
    Form(#[from] StatementError),
    /// It is not admissible as the first entry.
    #[error("the genesis cannot be the first entry: {0}")]
    Refused(#[from] Refusal),
    /// It is of another log.
    #[error("the genesis is for the log {0}, and this log is {1}")]
    OtherLog(Origin, Origin),
    /// The keys are not named after one agency.
    #[error("{0}: a registrar's key is named after the registrar, such as registrar.gov.example/officer-1")]
    KeyName(String),
    /// The keys belong to different agencies.
    #[error("the registrar's keys are named after different agencies, {0} and {1}")]
    Registrars(AgencyId, AgencyId),
    /// The recovery key has the name of an officer's.
    #[error(
        "{0} would be the name of two keys, the recovery key and an officer's: give the recovery key a name of its own"
    )]
    SharedName(KeyName),
    /// A name has not the right form.
    #[error("{0:?} is not what it should be: {1}")]
    Name(String, Form),
    /// The threshold cannot be met.
    #[error("the threshold is {threshold}, and the registrar has {keys} keys")]
    Threshold {
        /// How many must sign.
        threshold: u8,
        /// How many there are.
        keys: usize,
    },
}

/// Who is to enrol agencies.
#[derive(Clone, Debug)]
pub struct NewRegistrar {
    /// The log's name.
    pub origin: Origin,
    /// The officers' keys, named after the registrar.
    pub keys: Vec<VerifierKey>,
    /// How many officers must sign an enrolment.
    pub threshold: u8,
    /// The key, kept offline, that can replace all others.
    pub recovery: Option<VerifierKey>,
    /// The registrar's name for people.
    pub title: String,
    /// When the genesis is written.
    pub at: UtcTime,
}

/// Nothing comes before the first entry.
struct Nothing;

impl History for Nothing {
    type Error = Infallible;

    fn latest(&self, _: &Chain) -> Result<Option<EntryRef>, Infallible> {
        Ok(None)
    }

    fn entry(&self, _: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }
}

impl Genesis {
    /// Checks a signed genesis for the log of this origin.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn parse(bytes: &[u8], origin: &Origin) -> Result<Self, GenesisError> {
        let statement = Statement::parse(bytes)?;
        if statement.body().log() != origin {
            return Err(GenesisError::OtherLog(statement.body().log().clone(), origin.clone()));
        }
        let registry = Registry::new();
        let authentic = registry.authenticate(statement, Signatures::Check)?;
        let first = LeafIndex::new(0).expect("the first index");
        match registry.judge(first, &authentic, &Nothing) {
            Ok(_) => {}
            Err(JudgeError::Refused(refusal)) => return Err(refusal.into()),
            Err(JudgeError::History(never)) => match never {},
        }
        let statement = authentic.into_statement();
        let registrar = statement.body().agency().to_string();
        Ok(Self { bytes: bytes.to_vec(), leaf: statement.leaf_hash(), registrar })
    }

    /// The entry.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its leaf hash, which names the log's beginning.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        self.leaf
    }

    /// Who enrols agencies.
    #[must_use]
    pub fn registrar(&self) -> &str {
        &self.registrar
    }
}

/// The text of a genesis, to be signed by every key that it names.
///
/// # Errors
/// [`GenesisError`] if the keys and names do not make one.
pub fn text(new: &NewRegistrar) -> Result<String, GenesisError> {
    let registrar = registrar_of(new)?;
    if new.threshold == 0 || usize::from(new.threshold) > new.keys.len() {
        return Err(GenesisError::Threshold { threshold: new.threshold, keys: new.keys.len() });
    }
    let mut keys: Vec<KeyGrant> =
        new.keys.iter().map(|key| KeyGrant { key: key.clone(), role: Role::Officer }).collect();
    keys.sort_by(|a, b| a.key.name().cmp(b.key.name()));
    let title: Line = new.title.parse().map_err(|form| GenesisError::Name(new.title.clone(), form))?;
    let keys = KeySet { keys, quorum: new.threshold, recovery: new.recovery.clone() };
    if let Some(name) = keys.shared_name() {
        return Err(GenesisError::SharedName(name.clone()));
    }
    let body = record::statement::Genesis { at: new.at, log: new.origin.clone(), registrar, title, keys };
    let text = Body::Genesis(body).to_text();
    // What could not be read back must not be signed.
    Body::parse_text(&text)?;
    Ok(text)
}

fn registrar_of(new: &NewRegistrar) -> Result<AgencyId, GenesisError> {
    let mut registrar: Option<AgencyId> = None;
    for key in new.keys.iter().chain(&new.recovery) {
        let name = key.name().as_str();
        let agency = name.rsplit_once('/').and_then(|(agency, _)| agency.parse::<AgencyId>().ok());
        let agency = agency.filter(|agency| agency.owns_key_name(name));
        let agency = agency.ok_or_else(|| GenesisError::KeyName(name.to_owned()))?;
        match &registrar {
            Some(first) if *first != agency => return Err(GenesisError::Registrars(first.clone(), agency)),
            _ => registrar = Some(agency),
        }
    }
    registrar.ok_or(GenesisError::Threshold { threshold: new.threshold, keys: 0 })
}

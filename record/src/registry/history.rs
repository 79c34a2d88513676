//! What the registry asks about the entries before a statement: the latest of a chain, and an entry's bytes.
//!
//! Chains of records are as many as there are keys, so the registry does not keep them; whoever judges brings them.
//! A server answers from its index, a monitor from its database, [`MemoryHistory`] from memory.

use std::collections::HashMap;
use std::convert::Infallible;

use tlog::hash::{Hash, sha256};
use tlog::ids::LeafIndex;

use crate::ids::{AgencyId, RecordKey, RegisterId};
use crate::statement::{Body, EntryRef};

/// Statements of which each names the one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    /// About one agency's keys, from its enrolment on.
    Agency(AgencyId),
    /// About one register.
    Register(AgencyId, RegisterId),
    /// The versions of one record.
    Record(AgencyId, RegisterId, RecordKey),
    /// The tombstones of the entry with this leaf hash.
    Tombstones(Hash),
    /// The disputes of one agency.
    Disputes(AgencyId),
}

impl Chain {
    /// The chain that a statement belongs to.
    #[must_use]
    pub fn of(body: &Body) -> Self {
        match body {
            Body::Genesis(body) => Self::Agency(body.registrar.clone()),
            Body::Agency(body) => Self::Agency(body.agency.clone()),
            Body::Register(body) => Self::Register(body.agency.clone(), body.register.clone()),
            Body::Record(body) => Self::Record(body.agency.clone(), body.register.clone(), body.key.clone()),
            Body::Tombstone(body) => Self::Tombstones(body.entry.leaf),
            Body::Dispute(body) => Self::Disputes(body.agency.clone()),
        }
    }

    /// A name of 32 bytes for indexes: SHA-256 of `daybook/chain/v1`, the kind and its parts, a line each.
    #[must_use]
    pub fn id(&self) -> Hash {
        let text = match self {
            Self::Agency(agency) => format!("agency\n{agency}\n"),
            Self::Register(agency, register) => format!("register\n{agency}\n{register}\n"),
            Self::Record(agency, register, key) => format!("record\n{agency}\n{register}\n{key}\n"),
            Self::Tombstones(leaf) => format!("tombstones\n{leaf}\n"),
            Self::Disputes(agency) => format!("disputes\n{agency}\n"),
        };
        sha256(format!("daybook/chain/v1\n{text}").as_bytes())
    }
}

/// The entries before the statement at hand, those of the same batch included.
///
/// The registry asks for chains of records, tombstones and disputes; those of agencies and registers it knows.
pub trait History {
    /// Why the answer is not known. Not a refusal.
    type Error;

    /// The latest entry of a chain.
    ///
    /// # Errors
    /// If it cannot be told.
    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Self::Error>;

    /// The bytes of an entry, `None` if there is none at that index yet.
    ///
    /// # Errors
    /// If it cannot be told.
    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// A history in memory: for tests, small logs, and checks in a browser.
#[derive(Clone, Debug, Default)]
pub struct MemoryHistory {
    latest: HashMap<Hash, EntryRef>,
    entries: Vec<Vec<u8>>,
}

impl MemoryHistory {
    /// Appends an entry, the latest of its chain.
    ///
    /// # Panics
    /// If `at` is not the next index.
    pub fn push(&mut self, chain: &Chain, at: EntryRef, bytes: Vec<u8>) {
        assert_eq!(at.index.get(), self.entries.len() as u64, "entries are appended in order");
        self.latest.insert(chain.id(), at);
        self.entries.push(bytes);
    }

    /// Appends an entry that belongs to no chain: one that is not admissible.
    pub fn push_other(&mut self, bytes: Vec<u8>) {
        self.entries.push(bytes);
    }
}

impl History for MemoryHistory {
    type Error = Infallible;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Infallible> {
        Ok(self.latest.get(&chain.id()).copied())
    }

    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        let at = usize::try_from(index.get()).ok();
        Ok(at.and_then(|at| self.entries.get(at)).cloned())
    }
}

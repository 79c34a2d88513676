//! Which statements a log admits: a state machine over its entries, the same for server and monitor.
//!
//! ```text
//! parse -> authenticate (keys and signatures; parallel) -> judge (rules, in order) -> apply
//! ```
//!
//! [`Registry`] holds what is small: agencies, their keys, their registers. The chains of records, which can be as
//! many as there are keys, come from the caller through [`History`]. [`Registry::judge`] changes nothing; the
//! [`Effect`] it returns says which chain moves, and [`Registry::apply`] takes it in.
//!
//! The rules are in `authority` (who signed), `agencies`, `registers` and `content`; every one has a code in
//! [`refusal`]. Duplicates are the caller's: [`Statement::identity`] is unique in a log, and a known one is answered
//! before anything is judged. Absent on purpose: clocks, quotas, attachments, everything that the log does not say.

mod agencies;
mod authority;
mod content;
pub mod history;
pub mod keys;
pub mod refusal;
mod registers;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, Origin, TreeSize};
use tlog::vkey::VerifierKey;

pub(crate) use self::authority::signature_holds;
pub use self::history::{Chain, History, MemoryHistory};
pub use self::keys::{End, Grant, KeyState};
use self::keys::{KeyPlace, KeyRing};
pub use self::refusal::{NotAllowed, Refusal, RefusalClass, Rule};
pub use self::registers::RegisterState;
pub use self::snapshot::{REGISTRY_VERSION, SnapshotError};
use crate::ids::{AgencyId, Line, RegisterId};
use crate::statement::{Body, EntryRef, Kind, Statement};

/// Whether signatures are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Each of them.
    Check,
    /// None: the entries were verified before, by us.
    Trust,
}

/// A statement and the key of each of its signatures, found in the registry or brought in by itself.
///
/// Made by [`Registry::authenticate`]. Whether the keys may sign this is decided by [`Registry::judge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentic {
    statement: Statement,
    keys: Vec<VerifierKey>,
}

impl Authentic {
    /// The statement.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The key of each signature line.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// The statement alone.
    #[must_use]
    pub fn into_statement(self) -> Statement {
        self.statement
    }
}

/// What admitting a statement changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    entry: EntryRef,
    chain: Chain,
    registry: Option<Box<Statement>>,
}

impl Effect {
    /// Where the statement stands from now on.
    #[must_use]
    pub fn entry(&self) -> EntryRef {
        self.entry
    }

    /// The chain whose latest entry it is from now on.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether it changes the registry itself, and with it what a snapshot holds.
    #[must_use]
    pub fn changes_registry(&self) -> bool {
        self.registry.is_some()
    }
}

/// Why a statement was not judged admissible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError<E> {
    /// It is not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The history could not be read, so nobody knows.
    #[error("the history cannot be read: {0}")]
    History(E),
}

impl<E> JudgeError<E> {
    fn refused(refusal: impl Into<Refusal>) -> Self {
        Self::Refused(refusal.into())
    }
}

/// An agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencyState {
    /// Its name for people.
    pub title: Line,
    /// The entry that enrolled it.
    pub since: EntryRef,
    /// The latest statement about it.
    pub latest: EntryRef,
    /// How many officers must sign.
    pub quorum: u8,
    keys: Vec<KeyPlace>,
    registers: BTreeMap<RegisterId, RegisterState>,
}

/// Everything about agencies, keys and registers that the entries so far say.
///
/// A copy shares agencies and statements with what it is a copy of, until one of the two changes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    size: u64,
    log: Option<Origin>,
    registrar: Option<AgencyId>,
    agencies: BTreeMap<AgencyId, Arc<AgencyState>>,
    keys: KeyRing,
    /// The statements that made all this, for snapshots.
    made_by: Vec<(LeafIndex, Arc<Statement>)>,
}

impl Registry {
    /// The registry of a log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries it has seen, admissible or not.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize::new(self.size).expect("counted from indexes")
    }

    /// The log's origin, once there is a genesis.
    #[must_use]
    pub fn log(&self) -> Option<&Origin> {
        self.log.as_ref()
    }

    /// The leaf hash of the genesis, which policies pin.
    #[must_use]
    pub fn genesis(&self) -> Option<Hash> {
        self.made_by.first().map(|(_, statement)| statement.leaf_hash())
    }

    /// Who enrols agencies.
    #[must_use]
    pub fn registrar(&self) -> Option<&AgencyId> {
        self.registrar.as_ref()
    }

    /// All agencies, by identifier.
    pub fn agencies(&self) -> impl ExactSizeIterator<Item = (&AgencyId, &AgencyState)> {
        self.agencies.iter().map(|(id, state)| (id, &**state))
    }

    /// One agency.
    #[must_use]
    pub fn agency(&self, agency: &AgencyId) -> Option<&AgencyState> {
        self.agencies.get(agency).map(|state| &**state)
    }

    /// One register.
    #[must_use]
    pub fn register(&self, agency: &AgencyId, register: &RegisterId) -> Option<&RegisterState> {
        self.agencies.get(agency)?.registers.get(register)
    }

    /// All keys that an agency ever had, in the order they came in.
    pub fn keys_of(&self, agency: &AgencyId) -> impl Iterator<Item = &KeyState> {
        let places = self.agencies.get(agency).into_iter().flat_map(|state| &state.keys);
        places.filter_map(|(name, id)| self.keys.get(name, *id))
    }

    /// What is known of a key that the log has seen, whosever it is.
    #[must_use]
    pub fn key(&self, key: &VerifierKey) -> Option<&KeyState> {
        self.keys.of_key(key)
    }

    /// The keys of an agency that may sign.
    fn live_keys_of(&self, agency: &AgencyId) -> impl Iterator<Item = &KeyState> {
        self.keys_of(agency).filter(|state| state.is_live())
    }

    /// Judges the statement that would be entry `index`. Pure: the same log gives the same answer to everybody.
    ///
    /// Cost: at most two questions to `history` for a tombstone, one for a record or a dispute, none otherwise.
    ///
    /// # Errors
    /// [`JudgeError::Refused`] says which rule is broken, the first of: genesis, log, signers live, agency or
    /// register known, keys brought in new, signers enough, `previous`, content. [`JudgeError::History`] if nobody can tell.
    ///
    /// # Panics
    /// If `index` was passed already.
    pub fn judge<H: History>(
        &self,
        index: LeafIndex,
        statement: &Authentic,
        history: &H,
    ) -> Result<Effect, JudgeError<H::Error>> {
        assert!(index.get() >= self.size, "entries are judged in order");
        self.judge_place(index, statement.statement.body()).map_err(JudgeError::refused)?;
        let signers = self.signers(statement)?;
        let body = statement.statement.body();
        let chain = Chain::of(body);
        match body {
            Body::Genesis(genesis) => self.judge_genesis(genesis, &signers)?,
            Body::Agency(agency) => self.judge_agency(agency, &signers)?,
            Body::Register(register) => self.judge_register(register, &signers)?,
            Body::Record(record) => self.judge_record(record, &chain, &signers, history)?,
            Body::Tombstone(tombstone) => self.judge_tombstone(index, tombstone, &signers, history)?,
            Body::Dispute(dispute) => self.judge_dispute(index, dispute, &signers, history)?,
        }
        let changes = matches!(body.kind(), Kind::Genesis | Kind::Agency | Kind::Register);
        Ok(Effect {
            entry: EntryRef { index, leaf: statement.statement.leaf_hash() },
            chain,
            registry: changes.then(|| Box::new(statement.statement.clone())),
        })
    }

    /// Entry 0 is the genesis; all others count in its log.
    fn judge_place(&self, index: LeafIndex, body: &Body) -> Result<(), Rule> {
        match &self.log {
            None if body.kind() == Kind::Genesis && index.get() == 0 => Ok(()),
            Some(log) if body.kind() != Kind::Genesis => {
                if log == body.log() {
                    Ok(())
                } else {
                    Err(Rule::OtherLog(body.log().clone()))
                }
            }
            _ => Err(Rule::Genesis),
        }
    }

    /// Takes in what was judged.
    ///
    /// # Panics
    /// If another entry at or after its index was taken in since.
    pub fn apply(&mut self, effect: Effect) {
        let entry = effect.entry;
        assert!(entry.index.get() >= self.size, "entries are applied in order");
        self.size = entry.index.get() + 1;
        let Some(statement) = effect.registry else { return };
        match statement.body() {
            Body::Genesis(genesis) => self.apply_genesis(entry, genesis),
            Body::Agency(agency) => self.apply_agency(entry, agency),
            Body::Register(register) => self.apply_register(entry, register),
            Body::Record(_) | Body::Tombstone(_) | Body::Dispute(_) => {}
        }
        self.made_by.push((entry.index, Arc::from(statement)));
    }

    /// Passes an entry that is not admissible, as a monitor must to judge those after it.
    ///
    /// # Panics
    /// If the entry was passed already.
    pub fn skip(&mut self, index: LeafIndex) {
        assert!(index.get() >= self.size, "entries are passed in order");
        self.size = index.get() + 1;
    }
}

/// Compares `previous` with the latest entry of the chain.
fn follows(previous: Option<Hash>, latest: Option<EntryRef>) -> Result<(), Refusal> {
    if previous == latest.map(|entry| entry.leaf) { Ok(()) } else { Err(Refusal::Stale(latest)) }
}

#[cfg(test)]
pub(crate) mod tests;

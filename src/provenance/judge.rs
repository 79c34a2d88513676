//! Judges statements by what is known of a log, with the rules of admission: the key that signed was the agency's and live
//! at that place, enough signed, and what it says is what its register takes.
//!
//! Statements are judged in the order of their indexes; what is known about agencies and registers is taken in on the way.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::iter::Peekable;

use record::ids::AgencyId;
use record::registry::{Chain, End, Grant, History, JudgeError, KeyState, Refusal, Registry, Signatures};
use record::statement::{Body, Dispute, EntryRef, Kind, Statement};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::vkey::VerifierKey;

use super::{Known, ProvenanceError};

/// Who signed, as the log knew them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: VerifierKey,
    /// Whose it is.
    pub agency: AgencyId,
    /// What it may do: `officer`, `publisher`, `delegate` or `recovery`.
    pub may: &'static str,
    /// The entry that brought it in.
    pub since: LeafIndex,
    /// The entry after which it signs no more, as far as is known. What it signed before stands.
    pub ended: Option<LeafIndex>,
    /// The entry in which the agency says that the key was stolen when it signed this.
    pub disowned: Option<LeafIndex>,
}

/// Whether a statement's `previous` is compared or believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// It is the latest of its chain among what was judged.
    Compared,
    /// It is believed: the statements between are not at hand.
    Believed,
}

/// The entries before the statement at hand, as far as they were judged.
struct Before<'a> {
    latest: &'a HashMap<Hash, EntryRef>,
    entries: &'a BTreeMap<LeafIndex, Vec<u8>>,
    believed: Option<(Hash, Option<EntryRef>)>,
}

impl History for Before<'_> {
    type Error = Infallible;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, Infallible> {
        let id = chain.id();
        Ok(match self.believed {
            Some((chain, latest)) if chain == id => latest,
            _ => self.latest.get(&id).copied(),
        })
    }

    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.entries.get(&index).cloned())
    }
}

/// Judges statements in order.
#[derive(Debug)]
pub struct Judge<'a> {
    known: Peekable<std::collections::btree_map::Iter<'a, LeafIndex, Statement>>,
    registry: Registry,
    latest: HashMap<Hash, EntryRef>,
    entries: BTreeMap<LeafIndex, Vec<u8>>,
    disputes: Vec<(LeafIndex, Dispute)>,
}

impl<'a> Judge<'a> {
    /// Judges by what is known.
    #[must_use]
    pub fn new(known: &'a Known) -> Self {
        Self {
            known: known.statements.iter().peekable(),
            registry: Registry::new(),
            latest: HashMap::new(),
            entries: BTreeMap::new(),
            disputes: Vec::new(),
        }
    }

    /// Judges a statement at its place, and says who signed it.
    ///
    /// # Errors
    /// [`ProvenanceError::Refused`], of this statement or one before it.
    pub fn judge(
        &mut self,
        index: LeafIndex,
        statement: &Statement,
        previous: Previous,
    ) -> Result<Vec<Signer>, ProvenanceError> {
        while let Some((at, known)) = self.known.next_if(|(at, _)| **at < index) {
            let comparison = if changes_registry(known) { Previous::Compared } else { Previous::Believed };
            self.take_in(*at, known, comparison)?;
        }
        // The same statement may be among what is known.
        self.known.next_if(|(at, _)| **at == index);
        self.take_in(index, statement, previous)
    }

    fn take_in(
        &mut self,
        index: LeafIndex,
        statement: &Statement,
        previous: Previous,
    ) -> Result<Vec<Signer>, ProvenanceError> {
        let refused = |refusal: Refusal| ProvenanceError::Refused(index, refusal);
        let authentic = self.registry.authenticate(statement.clone(), Signatures::Check).map_err(refused)?;
        let body = statement.body();
        let believed = (previous == Previous::Believed).then(|| {
            let leaf = body.previous();
            (Chain::of(body).id(), leaf.map(|leaf| EntryRef { index, leaf }))
        });
        let before = Before { latest: &self.latest, entries: &self.entries, believed };
        let effect = match self.registry.judge(index, &authentic, &before) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Err(refused(refusal)),
            Err(JudgeError::History(never)) => match never {},
        };
        self.latest.insert(effect.chain().id(), effect.entry());
        match body {
            Body::Record(_) => {
                self.entries.insert(index, statement.to_bytes());
            }
            Body::Dispute(dispute) => self.disputes.push((index, dispute.clone())),
            _ => {}
        }
        self.registry.apply(effect);
        Ok(self.signers(authentic.keys(), body))
    }

    fn signers(&self, keys: &[VerifierKey], body: &Body) -> Vec<Signer> {
        let registrar = self.registry.registrar().filter(|registrar| *registrar != body.agency());
        let states: Vec<&KeyState> = [Some(body.agency()), registrar]
            .into_iter()
            .flatten()
            .flat_map(|agency| self.registry.keys_of(agency))
            .filter(|state| keys.contains(&state.key))
            .collect();
        let signer = |state: &KeyState| Signer {
            key: state.key.clone(),
            agency: state.agency.clone(),
            may: may(&state.grant),
            since: state.since,
            ended: None,
            disowned: None,
        };
        states.into_iter().map(signer).collect()
    }

    /// Takes in what is known of later entries, and what became of the keys that signed entry `index`.
    ///
    /// # Errors
    /// [`ProvenanceError::Refused`] of a later statement.
    pub fn later(&mut self, index: LeafIndex, signers: &mut [Signer]) -> Result<(), ProvenanceError> {
        while let Some((at, known)) = self.known.next() {
            let comparison = if changes_registry(known) { Previous::Compared } else { Previous::Believed };
            self.take_in(*at, known, comparison)?;
        }
        for signer in signers {
            let mut states = self.registry.keys_of(&signer.agency);
            let state = states.find(|state| state.key == signer.key);
            signer.ended = state.and_then(|state| state.end).map(End::index);
            let mut disputes = self.disputes.iter();
            let disowns = |(_, dispute): &&(LeafIndex, Dispute)| {
                dispute.key == signer.key && (dispute.from..dispute.to).contains(&index)
            };
            signer.disowned = disputes.find(disowns).map(|(at, _)| *at);
        }
        Ok(())
    }
}

/// Whether a statement is about agencies, keys or registers.
pub(super) fn changes_registry(statement: &Statement) -> bool {
    matches!(statement.body().kind(), Kind::Genesis | Kind::Agency | Kind::Register)
}

fn may(grant: &Grant) -> &'static str {
    match grant {
        Grant::Officer => "officer",
        Grant::Publisher => "publisher",
        Grant::Recovery => "recovery",
        Grant::Delegate { .. } => "delegate",
    }
}

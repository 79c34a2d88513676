//! Every key that the log ever saw: whose it is, what it may do, and since when no more.
//!
//! A key is brought in once. Its name and key ID, which signature lines carry, name it for ever, and its public key
//! never comes back under another name or agency.

use std::collections::{HashMap, HashSet};

use tlog::ids::{KeyName, LeafIndex};
use tlog::note::SignatureLine;
use tlog::vkey::VerifierKey;

use crate::ids::{AgencyId, RegisterId};
use crate::statement::Role;
use crate::time::UtcTime;

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Counts for the quorum, and signs records.
    Officer,
    /// Signs records of registers that ask for no officers.
    Publisher,
    /// Replaces all other keys, and nothing else.
    Recovery,
    /// Signs records of some registers for a time.
    Delegate {
        /// Of which.
        registers: Vec<RegisterId>,
        /// Until when, by the record's own time.
        until: UtcTime,
    },
}

impl From<Role> for Grant {
    fn from(role: Role) -> Self {
        match role {
            Role::Officer => Self::Officer,
            Role::Publisher => Self::Publisher,
        }
    }
}

/// How a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Rotated out.
    Retired(LeafIndex),
    /// Cut off.
    Revoked(LeafIndex),
}

impl End {
    /// The entry that ended it; later ones may not be signed by it, earlier ones stand.
    #[must_use]
    pub fn index(self) -> LeafIndex {
        match self {
            Self::Retired(index) | Self::Revoked(index) => index,
        }
    }
}

/// A key of an agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: VerifierKey,
    /// Whose.
    pub agency: AgencyId,
    /// What it may do, or might.
    pub grant: Grant,
    /// The entry that brought it in.
    pub since: LeafIndex,
    /// The entry after which it signs no more.
    pub end: Option<End>,
}

impl KeyState {
    /// Whether it may still sign.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.end.is_none()
    }
}

/// Name and key ID.
pub(super) type KeyPlace = (KeyName, u32);

pub(super) fn place_of(key: &VerifierKey) -> KeyPlace {
    (key.name().clone(), key.id())
}

/// All keys, by name and ID. Two keys under one name and ID cannot both come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyRing {
    by_name: HashMap<KeyName, Vec<KeyState>>,
    materials: HashSet<Vec<u8>>,
}

impl KeyRing {
    pub(super) fn get(&self, name: &KeyName, id: u32) -> Option<&KeyState> {
        self.by_name.get(name)?.iter().find(|state| state.key.id() == id)
    }

    pub(super) fn of_line(&self, line: &SignatureLine) -> Option<&KeyState> {
        self.get(line.name(), line.id())
    }

    pub(super) fn of_key(&self, key: &VerifierKey) -> Option<&KeyState> {
        self.get(key.name(), key.id()).filter(|state| state.key == *key)
    }

    /// The key that has the same public key, whatever its name. Cost: a look at every key.
    pub(super) fn of_material(&self, key: &VerifierKey) -> Option<&KeyState> {
        self.by_name.values().flatten().find(|state| state.key.same_key(key))
    }

    /// Whether the public key, or another with its name and ID, was brought in before.
    pub(super) fn is_taken(&self, key: &VerifierKey) -> bool {
        self.materials.contains(key.material()) || self.get(key.name(), key.id()).is_some()
    }

    pub(super) fn insert(&mut self, state: KeyState) {
        assert!(!self.is_taken(&state.key), "a judged key is new");
        self.materials.insert(state.key.material().to_vec());
        self.by_name.entry(state.key.name().clone()).or_default().push(state);
    }

    pub(super) fn change(&mut self, (name, id): &KeyPlace, change: impl FnOnce(&mut KeyState)) {
        let states = self.by_name.get_mut(name);
        let state = states.and_then(|states| states.iter_mut().find(|state| state.key.id() == *id));
        change(state.expect("a judged key is there"));
    }
}

//! Rules for `register`, and what it changes.

use std::collections::BTreeMap;

use super::authority::Signers;
use super::{AgencyState, Refusal, Registry, Rule, follows};
use crate::ids::{AgencyId, RegisterId};
use crate::statement::record::{SEALED_LEAVES_MAX, SEALED_LEAVES_MIN};
use crate::statement::{EntryRef, FieldClass, Register};

/// A register as its latest statement defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterState {
    /// The latest statement's body.
    pub definition: Register,
    /// The entry that opened it.
    pub since: EntryRef,
    /// The latest statement about it.
    pub latest: EntryRef,
    /// The most private class that each field ever had; it never becomes more public.
    pub(super) classes: BTreeMap<String, FieldClass>,
}

impl RegisterState {
    /// How many leaves the sealed tree of each record has: room for every declared field, and the same for all.
    #[must_use]
    pub fn sealed_leaves(&self) -> Option<u16> {
        sealed_leaves(&self.definition)
    }
}

/// A power of two, at least [`SEALED_LEAVES_MIN`]; none if no field is sealed.
pub(super) fn sealed_leaves(register: &Register) -> Option<u16> {
    let sealed = register.fields.values().filter(|rule| rule.class == FieldClass::Sealed).count();
    let room = u16::try_from(sealed).expect("at most 256 fields").next_power_of_two();
    (sealed > 0).then_some(room.clamp(SEALED_LEAVES_MIN, SEALED_LEAVES_MAX))
}

impl AgencyState {
    /// Its registers, by identifier.
    pub fn registers(&self) -> impl ExactSizeIterator<Item = (&RegisterId, &RegisterState)> {
        self.registers.iter()
    }
}

impl Registry {
    pub(super) fn judge_register(&self, body: &Register, signers: &Signers<'_>) -> Result<(), Refusal> {
        let agency = self.agencies.get(&body.agency);
        let agency = agency.ok_or_else(|| Rule::UnknownAgency(body.agency.clone()))?;
        signers.are_officers(&body.agency, agency.quorum)?;
        let before = agency.registers.get(&body.register);
        follows(body.previous, before.map(|state| state.latest))?;
        if let Some(before) = before {
            if before.definition.keys != body.keys {
                return Err(Rule::KeyRuleChanged.into());
            }
            for (name, rule) in &body.fields {
                if let Some(was) = before.classes.get(name).filter(|was| rule.class < **was) {
                    return Err(Rule::FieldMorePublic(name.clone(), *was).into());
                }
            }
        }
        if let Some(prefix) = &body.prefix
            && self.prefix_is_taken(&body.agency, prefix.as_str())
        {
            return Err(Rule::PrefixTaken(prefix.to_string()).into());
        }
        Ok(())
    }

    /// Whether another agency's register has a prefix that begins like this one, or the other way round.
    fn prefix_is_taken(&self, agency: &AgencyId, prefix: &str) -> bool {
        let others = self.agencies.iter().filter(|(other, _)| *other != agency);
        let mut prefixes = others.flat_map(|(_, state)| state.registers.values());
        prefixes.any(|state| {
            let taken = state.definition.prefix.as_ref();
            taken
                .is_some_and(|taken| taken.as_str().starts_with(prefix) || prefix.starts_with(taken.as_str()))
        })
    }

    pub(super) fn apply_register(&mut self, entry: EntryRef, body: &Register) {
        let agency = self.agency_mut(&body.agency);
        let before = agency.registers.remove(&body.register);
        let since = before.as_ref().map_or(entry, |state| state.since);
        let mut classes = before.map(|state| state.classes).unwrap_or_default();
        classes.extend(body.fields.iter().map(|(name, rule)| (name.clone(), rule.class)));
        let state = RegisterState { definition: body.clone(), since, latest: entry, classes };
        agency.registers.insert(body.register.clone(), state);
    }
}

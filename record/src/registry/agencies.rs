//! Rules for `genesis`, `agency` and `dispute`, and what the first two change.

use std::collections::BTreeMap;
use std::sync::Arc;

use tlog::ids::LeafIndex;
use tlog::vkey::VerifierKey;

use super::authority::Signers;
use super::keys::{End, Grant, KeyPlace, KeyState, place_of};
use super::{AgencyState, Chain, History, JudgeError, NotAllowed, Refusal, Registry, Rule, follows};
use crate::ids::{AgencyId, Line, RegisterId};
use crate::statement::agency::AGENCY_KEYS_MAX;
use crate::statement::{Agency, AgencyAction, Dispute, EntryRef, Genesis, KeyGrant, KeySet, Role};

impl Registry {
    pub(super) fn judge_genesis(&self, genesis: &Genesis, signers: &Signers<'_>) -> Result<(), Refusal> {
        let brought_in = genesis.keys.brings_in();
        self.are_new(&brought_in)?;
        Ok(signers.include(&brought_in)?)
    }

    pub(super) fn judge_agency(&self, body: &Agency, signers: &Signers<'_>) -> Result<(), Refusal> {
        let state = self.agencies.get(&body.agency);
        let enrols = matches!(body.action, AgencyAction::Enrol { .. });
        if !enrols && state.is_none() {
            return Err(Rule::UnknownAgency(body.agency.clone()).into());
        }
        let brought_in = body.action.brings_in();
        if !self.renews_delegation(body) {
            self.are_new(&brought_in)?;
        }
        self.authorise(body, signers)?;
        signers.include(&brought_in)?;
        if let (true, Some(_)) = (enrols, state) {
            return Err(Rule::AgencyExists(body.agency.clone()).into());
        }
        follows(body.previous, state.map(|state| state.latest))?;
        match &body.action {
            AgencyAction::Rotate { add, retire, quorum, recovery } => {
                self.judge_rotation(&body.agency, add, retire, *quorum, recovery.as_ref())
            }
            AgencyAction::Revoke { keys, .. } => self.are_live_keys_of(&body.agency, keys),
            AgencyAction::Delegate { key, registers, .. } => {
                self.judge_delegation(&body.agency, key, registers)
            }
            AgencyAction::Enrol { .. } | AgencyAction::Recover { .. } => Ok(()),
        }
        .map_err(Refusal::from)
    }

    /// Whose quorum must have signed.
    fn authorise(&self, body: &Agency, signers: &Signers<'_>) -> Result<(), NotAllowed> {
        let registrar = self.registrar.as_ref().expect("judged after the genesis");
        let officers_of = |agency: &AgencyId| {
            let quorum = self.agencies.get(agency).expect("enrolled").quorum;
            signers.are_officers(agency, quorum)
        };
        match &body.action {
            AgencyAction::Enrol { .. } => officers_of(registrar),
            AgencyAction::Rotate { .. } => officers_of(&body.agency),
            AgencyAction::Revoke { .. } if signers.are_of(&body.agency) => officers_of(&body.agency),
            AgencyAction::Recover { .. } if signers.is_recovery(&body.agency) => Ok(()),
            AgencyAction::Revoke { .. } | AgencyAction::Recover { .. } => officers_of(registrar),
            AgencyAction::Delegate { key, .. } => {
                let quorum = self.agencies.get(&body.agency).expect("enrolled").quorum;
                signers.are_officers_and(&body.agency, quorum, key)
            }
        }
    }

    /// Keys that the log has not seen, none of them twice.
    fn are_new(&self, keys: &[&VerifierKey]) -> Result<(), Rule> {
        let again = |at: usize| keys[..at].iter().any(|key| key.same_key(keys[at]));
        let taken = (0..keys.len()).find(|at| self.keys.is_taken(keys[*at]) || again(*at));
        taken.map_or(Ok(()), |at| Err(Rule::KeyTaken(keys[at].name().clone())))
    }

    /// Whether the statement names a live delegated key of its agency again, to change the delegation.
    fn renews_delegation(&self, body: &Agency) -> bool {
        let AgencyAction::Delegate { key, .. } = &body.action else { return false };
        let state = self.keys.of_key(key).filter(|state| state.agency == body.agency && state.is_live());
        state.is_some_and(|state| matches!(state.grant, Grant::Delegate { .. }))
    }

    fn are_live_keys_of(&self, agency: &AgencyId, keys: &[VerifierKey]) -> Result<(), Rule> {
        let live = |key: &VerifierKey| {
            self.keys.of_key(key).is_some_and(|state| state.is_live() && state.agency == *agency)
        };
        let other = keys.iter().find(|key| !live(key));
        other.map_or(Ok(()), |key| Err(Rule::NotLive(key.name().clone())))
    }

    fn judge_rotation(
        &self,
        agency: &AgencyId,
        add: &[KeyGrant],
        retire: &[VerifierKey],
        quorum: u8,
        recovery: Option<&VerifierKey>,
    ) -> Result<(), Rule> {
        self.are_live_keys_of(agency, retire)?;
        let replaced = |state: &KeyState| recovery.is_some() && state.grant == Grant::Recovery;
        let staying = || {
            self.live_keys_of(agency).filter(move |state| !retire.contains(&state.key) && !replaced(state))
        };
        let mut names: Vec<_> = staying().map(|state| state.key.name()).collect();
        for key in add.iter().map(|grant| &grant.key).chain(recovery) {
            if names.contains(&key.name()) {
                return Err(Rule::NameTaken(key.name().clone()));
            }
            names.push(key.name());
        }
        if names.len() > AGENCY_KEYS_MAX {
            return Err(Rule::TooManyKeys(names.len()));
        }
        let officers = staying().filter(|state| state.grant == Grant::Officer).count()
            + add.iter().filter(|grant| grant.role == Role::Officer).count();
        if usize::from(quorum) > officers {
            return Err(Rule::QuorumUnreachable { quorum, officers });
        }
        Ok(())
    }

    fn judge_delegation(
        &self,
        agency: &AgencyId,
        key: &VerifierKey,
        registers: &[RegisterId],
    ) -> Result<(), Rule> {
        let others = || self.live_keys_of(agency).filter(|state| state.key != *key);
        if others().any(|state| state.key.name() == key.name()) {
            return Err(Rule::NameTaken(key.name().clone()));
        }
        if others().count() >= AGENCY_KEYS_MAX {
            return Err(Rule::TooManyKeys(others().count() + 1));
        }
        let unknown = registers.iter().find(|register| self.register(agency, register).is_none());
        unknown.map_or(Ok(()), |register| Err(Rule::UnknownRegister(register.clone())))
    }

    pub(super) fn judge_dispute<H: History>(
        &self,
        index: LeafIndex,
        body: &Dispute,
        signers: &Signers<'_>,
        history: &H,
    ) -> Result<(), JudgeError<H::Error>> {
        let agency = self.agencies.get(&body.agency);
        let agency = agency.ok_or_else(|| JudgeError::refused(Rule::UnknownAgency(body.agency.clone())))?;
        signers.are_officers(&body.agency, agency.quorum).map_err(JudgeError::refused)?;
        let latest = history.latest(&Chain::Disputes(body.agency.clone())).map_err(JudgeError::History)?;
        follows(body.previous, latest)?;
        let ended = self.keys.of_key(&body.key).filter(|state| state.agency == body.agency);
        if ended.is_none_or(KeyState::is_live) {
            return Err(JudgeError::refused(Rule::DisputeKey(body.key.name().clone())));
        }
        if body.from >= body.to || body.to > index {
            return Err(JudgeError::refused(Rule::DisputeRange));
        }
        Ok(())
    }

    pub(super) fn apply_genesis(&mut self, entry: EntryRef, genesis: &Genesis) {
        self.log = Some(genesis.log.clone());
        self.registrar = Some(genesis.registrar.clone());
        self.enrol(entry, &genesis.registrar, &genesis.title, &genesis.keys);
    }

    pub(super) fn apply_agency(&mut self, entry: EntryRef, body: &Agency) {
        let agency = &body.agency;
        match &body.action {
            AgencyAction::Enrol { title, keys } => self.enrol(entry, agency, title, keys),
            AgencyAction::Rotate { add, retire, quorum, recovery } => {
                self.end(retire.iter().map(place_of).collect(), End::Retired(entry.index));
                if let Some(recovery) = recovery {
                    let old = self.live_keys_of(agency).filter(|state| state.grant == Grant::Recovery);
                    let old = old.map(|state| place_of(&state.key)).collect();
                    self.end(old, End::Retired(entry.index));
                    self.bring_in(entry, agency, recovery, Grant::Recovery);
                }
                add.iter().for_each(|grant| self.bring_in(entry, agency, &grant.key, grant.role.into()));
                self.agency_mut(agency).quorum = *quorum;
            }
            AgencyAction::Revoke { keys, .. } => {
                self.end(keys.iter().map(place_of).collect(), End::Revoked(entry.index));
            }
            AgencyAction::Recover { keys, .. } => {
                let all = self.live_keys_of(agency).map(|state| place_of(&state.key)).collect();
                self.end(all, End::Revoked(entry.index));
                self.bring_in_all(entry, agency, keys);
            }
            AgencyAction::Delegate { key, registers, until } => {
                let grant = Grant::Delegate { registers: registers.clone(), until: *until };
                if self.keys.of_key(key).is_some() {
                    self.keys.change(&place_of(key), |state| state.grant = grant);
                } else {
                    self.bring_in(entry, agency, key, grant);
                }
            }
        }
        self.agency_mut(agency).latest = entry;
    }

    pub(super) fn agency_mut(&mut self, agency: &AgencyId) -> &mut AgencyState {
        Arc::make_mut(self.agencies.get_mut(agency).expect("a judged agency is there"))
    }

    fn enrol(&mut self, entry: EntryRef, agency: &AgencyId, title: &Line, keys: &KeySet) {
        let state = AgencyState {
            title: title.clone(),
            since: entry,
            latest: entry,
            quorum: keys.quorum,
            keys: Vec::new(),
            registers: BTreeMap::new(),
        };
        self.agencies.insert(agency.clone(), Arc::new(state));
        self.bring_in_all(entry, agency, keys);
    }

    fn bring_in_all(&mut self, entry: EntryRef, agency: &AgencyId, keys: &KeySet) {
        keys.keys.iter().for_each(|grant| self.bring_in(entry, agency, &grant.key, grant.role.into()));
        if let Some(recovery) = &keys.recovery {
            self.bring_in(entry, agency, recovery, Grant::Recovery);
        }
        self.agency_mut(agency).quorum = keys.quorum;
    }

    fn bring_in(&mut self, entry: EntryRef, agency: &AgencyId, key: &VerifierKey, grant: Grant) {
        let (agency, key) = (agency.clone(), key.clone());
        self.agency_mut(&agency).keys.push(place_of(&key));
        self.keys.insert(KeyState { key, agency, grant, since: entry.index, end: None });
    }

    fn end(&mut self, places: Vec<KeyPlace>, end: End) {
        for place in places {
            self.keys.change(&place, |state| state.end = Some(end));
        }
    }
}

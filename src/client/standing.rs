//! Who has signed a draft and who still has to, by what the log says of its agencies.
//!
//! Advice, so that officers need not try: whether the statement is admitted is the log's decision, by the same rules.

use std::collections::BTreeMap;

use record::ids::AgencyId;
use record::statement::{AgencyAction, Body};
use serde::Serialize;
use tlog::vkey::VerifierKey;

use super::draft::Draft;
use super::{AgencyFacts, Client, ClientError};

/// Officers that must approve an erasure, whatever the quorum is.
const TOMBSTONE_OFFICERS_MIN: u8 = 2;

/// Some keys of an agency, of which so many must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quorum {
    /// Whose.
    pub agency: String,
    /// How many must sign.
    pub needed: usize,
    /// Who has.
    pub signed: Vec<String>,
    /// Who could, and has not.
    pub open: Vec<String>,
}

/// How far a draft is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Every key with a good signature.
    pub signed: Vec<String>,
    /// Signatures that are not good, or by keys that do not count here. The log refuses a statement that has one.
    pub surplus: Vec<String>,
    /// Keys that the statement brings in and that have not signed.
    pub possession: Vec<String>,
    /// Groups of which one must be complete; none where nobody else has to sign.
    pub quorums: Vec<Quorum>,
}

impl Standing {
    /// Whether the log can take it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let quorum = |quorum: &Quorum| quorum.signed.len() >= quorum.needed;
        self.surplus.is_empty()
            && self.possession.is_empty()
            && (self.quorums.is_empty() || self.quorums.iter().any(quorum))
    }

    /// What is missing, a line each.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let surplus = self.surplus.iter().map(|name| {
            format!("the signature by {name} does not count, and the log refuses a statement that has it")
        });
        let possession =
            self.possession.iter().map(|name| format!("{name} is brought in, and has not signed"));
        let open = |quorum: &Quorum| {
            let more = quorum.needed.saturating_sub(quorum.signed.len());
            let of = if quorum.open.is_empty() { "nobody".to_owned() } else { quorum.open.join(", ") };
            format!("{more} more of {}: {of}", quorum.agency)
        };
        let reached = self.quorums.iter().any(|quorum| quorum.signed.len() >= quorum.needed);
        let alternatives: Vec<String> = self.quorums.iter().map(open).collect();
        let quorums = (!reached && !alternatives.is_empty()).then(|| alternatives.join("; or "));
        surplus.chain(possession).chain(quorums).collect()
    }
}

/// A group that could authorise a statement.
struct Group {
    agency: AgencyId,
    needed: usize,
    keys: Vec<VerifierKey>,
}

impl Client {
    /// How far a draft is, by what the log says now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn standing(&self, draft: &Draft) -> Result<Standing, ClientError> {
        let mut agencies = BTreeMap::new();
        let groups = self.groups(draft.body(), &mut agencies)?;
        Ok(stand(draft, &groups))
    }

    fn facts<'a>(
        &self,
        known: &'a mut BTreeMap<AgencyId, Option<AgencyFacts>>,
        agency: &AgencyId,
    ) -> Result<Option<&'a AgencyFacts>, ClientError> {
        if !known.contains_key(agency) {
            known.insert(agency.clone(), self.agency(agency)?);
        }
        Ok(known.get(agency).and_then(Option::as_ref))
    }

    /// The groups of which one must sign.
    fn groups(
        &self,
        body: &Body,
        known: &mut BTreeMap<AgencyId, Option<AgencyFacts>>,
    ) -> Result<Vec<Group>, ClientError> {
        let own = body.agency().clone();
        let mut groups = Vec::new();
        let mut add = |group: Option<Group>| groups.extend(group);
        match body {
            Body::Genesis(_) => {}
            Body::Agency(agency) => match &agency.action {
                AgencyAction::Enrol { .. } => {
                    let registrar = self.registrar()?;
                    add(self.facts(known, &registrar)?.map(|facts| officers(facts, 0)));
                }
                AgencyAction::Rotate { .. } | AgencyAction::Delegate { .. } => {
                    add(self.facts(known, &own)?.map(|facts| officers(facts, 0)));
                }
                AgencyAction::Revoke { .. } => {
                    add(self.facts(known, &own)?.map(|facts| officers(facts, 0)));
                    let registrar = self.registrar()?;
                    if registrar != own {
                        add(self.facts(known, &registrar)?.map(|facts| officers(facts, 0)));
                    }
                }
                AgencyAction::Recover { .. } => {
                    add(self.facts(known, &own)?.and_then(recovery));
                    let registrar = self.registrar()?;
                    add(self.facts(known, &registrar)?.map(|facts| officers(facts, 0)));
                }
            },
            Body::Register(_) | Body::Dispute(_) => {
                add(self.facts(known, &own)?.map(|facts| officers(facts, 0)));
            }
            Body::Tombstone(_) => {
                add(self.facts(known, &own)?.map(|facts| officers(facts, TOMBSTONE_OFFICERS_MIN)));
            }
            Body::Record(record) => {
                let register = self.register(&own, &record.register)?;
                let approvals = register.map_or(0, |register| register.definition.approvals);
                add(self.facts(known, &own)?.map(|facts| publishers(facts, approvals)));
            }
        }
        Ok(groups)
    }
}

fn live(facts: &AgencyFacts, grants: &[&str]) -> Vec<VerifierKey> {
    let live = facts.keys.iter().filter(|key| key.until.is_none() && grants.contains(&key.grant.as_str()));
    live.map(|key| key.key.clone()).collect()
}

fn officers(facts: &AgencyFacts, least: u8) -> Group {
    let keys = live(facts, &["officer"]);
    Group { agency: facts.agency.clone(), needed: facts.quorum.max(least).into(), keys }
}

fn recovery(facts: &AgencyFacts) -> Option<Group> {
    let keys = live(facts, &["recovery"]);
    (!keys.is_empty()).then(|| Group { agency: facts.agency.clone(), needed: 1, keys })
}

fn publishers(facts: &AgencyFacts, approvals: u8) -> Group {
    match approvals {
        0 => {
            let keys = live(facts, &["officer", "publisher", "delegate"]);
            Group { agency: facts.agency.clone(), needed: 1, keys }
        }
        needed => Group { needed: needed.into(), ..officers(facts, 0) },
    }
}

fn stand(draft: &Draft, groups: &[Group]) -> Standing {
    let brought_in = draft.body().brings_in();
    let name = |key: &VerifierKey| key.name().to_string();
    let counting = || brought_in.iter().copied().chain(groups.iter().flat_map(|group| &group.keys));
    let mut standing =
        Standing { signed: Vec::new(), surplus: Vec::new(), possession: Vec::new(), quorums: Vec::new() };
    for line in draft.signatures() {
        let counts = counting().any(|key| line.is_by(key) && draft.holds(key, line));
        let list = if counts { &mut standing.signed } else { &mut standing.surplus };
        list.push(line.name().to_string());
    }
    let missing = brought_in.iter().filter(|key| !draft.is_signed_by(key));
    standing.possession = missing.map(|key| name(key)).collect();
    standing.quorums = groups
        .iter()
        .map(|group| {
            // A delegated key that is renewed signs for itself, not for the quorum.
            let keys = group.keys.iter().filter(|key| !brought_in.contains(key));
            let (signed, open): (Vec<&VerifierKey>, Vec<&VerifierKey>) =
                keys.partition(|key| draft.is_signed_by(key));
            let names = |keys: Vec<&VerifierKey>| keys.into_iter().map(name).collect();
            let agency = group.agency.to_string();
            Quorum { agency, needed: group.needed, signed: names(signed), open: names(open) }
        })
        .collect();
    standing
}

/// How far a draft is by itself, without asking a log: which keys it brings in have not signed.
#[must_use]
pub fn possession(draft: &Draft) -> Standing {
    let mut standing = stand(draft, &[]);
    // Without the log nobody can say that these do not count.
    standing.signed.append(&mut standing.surplus);
    standing.signed.sort();
    standing
}

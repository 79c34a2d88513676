//! Statements about an agency that is enrolled: more keys, other keys, no keys, keys for a unit.

use clap::Args;
use record::ids::{AgencyId, Reason, RegisterId};
use record::registry::Chain;
use record::statement::{AgencyAction, Body, Dispute as DisputeBody};
use record::time::UtcTime;
use tlog::ids::LeafIndex;
use tlog::vkey::VerifierKey;

use super::super::ceremony::{self, Out};
use super::super::desk::{At, live_key};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::signers::{KeyArg, Signers};
use super::keys::{self, Loaded, NewKeys};
use super::{amend, say};

/// What every such command is told.
#[derive(Args, Debug)]
struct Common {
    #[command(flatten)]
    at: At,
    /// The agency; also the registrar.
    agency: AgencyId,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    out: Out,
}

fn reason(text: &str) -> Result<Reason, Failure> {
    text.parse().map_err(|form| Failure::Malformed(format!("--reason: a reason is {form}")))
}

fn sorted(mut keys: Vec<VerifierKey>) -> Vec<VerifierKey> {
    keys.sort_by_key(ToString::to_string);
    keys
}

#[derive(Args, Debug)]
pub(in super::super) struct AddKey {
    #[command(flatten)]
    common: Common,
    /// A new officer's key: a key file, or the verifier key of somebody who signs later; repeat for each.
    #[arg(long = "officer", value_name = "FILE|VKEY", required_unless_present = "publishers")]
    officers: Vec<String>,
    /// A new key that may sign records and nothing else; repeat for each.
    #[arg(long = "publisher", value_name = "FILE|VKEY")]
    publishers: Vec<String>,
}

impl AddKey {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { common, officers, publishers } = self;
        Rotate { common, officers, publishers, retire: Vec::new(), quorum: None, recovery: None }.run(output)
    }
}

#[derive(Args, Debug)]
pub(in super::super) struct Rotate {
    #[command(flatten)]
    common: Common,
    /// A new officer's key: a key file, or the verifier key of somebody who signs later; repeat for each.
    #[arg(long = "add-officer", value_name = "FILE|VKEY")]
    officers: Vec<String>,
    /// A new key that may sign records and nothing else; repeat for each.
    #[arg(long = "add-publisher", value_name = "FILE|VKEY")]
    publishers: Vec<String>,
    /// A key that signs no more, by its name or verifier key; repeat for each.
    #[arg(long, value_name = "NAME|VKEY")]
    retire: Vec<String>,
    /// How many officers must sign from now on; as many as before unless you say otherwise.
    #[arg(long, value_name = "K")]
    quorum: Option<u8>,
    /// A new recovery key in place of the old one.
    #[arg(long, value_name = "FILE|VKEY")]
    recovery: Option<String>,
}

impl Rotate {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Common { at, agency, signers, out } = self.common;
        let Loaded { grants, recovery, mut ours } =
            keys::load(&self.officers, &self.publishers, self.recovery.as_ref(), &signers.source())?;
        ours.extend(signers.load()?);
        let desk = at.open()?;
        let facts = desk.agency(&agency)?;
        let retire: Result<Vec<_>, _> = self.retire.iter().map(|text| live_key(&facts, text)).collect();
        let (retire, quorum) = (sorted(retire?), self.quorum.unwrap_or(facts.quorum));
        if grants.is_empty() && retire.is_empty() && recovery.is_none() && quorum == facts.quorum {
            return Err(Failure::malformed("nothing would change; say which keys come and go"));
        }
        let action = AgencyAction::Rotate { add: grants, retire, quorum, recovery };
        amend((&desk, &agency), action, &ours, &out, output)
    }
}

#[derive(Args, Debug)]
pub(in super::super) struct Revoke {
    #[command(flatten)]
    common: Common,
    /// The key, by its name or verifier key; repeat for each.
    #[arg(long = "revoke", value_name = "NAME|VKEY", required = true)]
    revoked: Vec<String>,
    /// Why, for everybody to read.
    #[arg(long)]
    reason: String,
}

impl Revoke {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Common { at, agency, signers, out } = self.common;
        let (reason, officers) = (reason(&self.reason)?, signers.load()?);
        let desk = at.open()?;
        let facts = desk.agency(&agency)?;
        let revoked: Result<Vec<_>, _> = self.revoked.iter().map(|text| live_key(&facts, text)).collect();
        let action = AgencyAction::Revoke { keys: sorted(revoked?), reason };
        amend((&desk, &agency), action, &officers, &out, output)
    }
}

#[derive(Args, Debug)]
pub(in super::super) struct Recover {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    keys: NewKeys,
    /// Why, for everybody to read.
    #[arg(long)]
    reason: String,
}

impl Recover {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Common { at, agency, signers, out } = self.common;
        let reason = reason(&self.reason)?;
        let (keys, mut ours) = self.keys.load(&signers.source())?;
        ours.extend(signers.load()?);
        let desk = at.open()?;
        let action = AgencyAction::Recover { keys, reason };
        amend((&desk, &agency), action, &ours, &out, output)
    }
}

#[derive(Args, Debug)]
pub(in super::super) struct Delegate {
    #[command(flatten)]
    common: Common,
    /// The unit's key, named after the agency: a key file, or the verifier key of the unit, which signs later.
    #[arg(long = "unit", value_name = "FILE|VKEY")]
    unit: String,
    /// A register whose records it may sign; repeat for each.
    #[arg(long = "register", value_name = "REGISTER", required = true)]
    registers: Vec<RegisterId>,
    /// Until when, such as 2027-12-31T23:59:59Z.
    #[arg(long, value_name = "TIME")]
    until: UtcTime,
}

impl Delegate {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Common { at, agency, signers, out } = self.common;
        let unit = KeyArg::load(&self.unit, &signers.source())?;
        let key = unit.key();
        let mut officers = signers.load()?;
        if let KeyArg::Ours(officer) = unit {
            officers.push(*officer);
        }
        let mut registers = self.registers;
        registers.sort();
        registers.dedup();
        let desk = at.open()?;
        let action = AgencyAction::Delegate { key, registers, until: self.until };
        amend((&desk, &agency), action, &officers, &out, output)
    }
}

#[derive(Args, Debug)]
pub(in super::super) struct Dispute {
    #[command(flatten)]
    common: Common,
    /// The stolen key's verifier key; it must be revoked first.
    #[arg(long = "stolen", value_name = "VKEY")]
    stolen: VerifierKey,
    /// The first entry that is disowned.
    #[arg(long, value_name = "INDEX")]
    from: LeafIndex,
    /// The entry after the last one.
    #[arg(long, value_name = "INDEX")]
    to: LeafIndex,
    /// Why, for everybody to read.
    #[arg(long)]
    reason: String,
}

impl Dispute {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Common { at, agency, signers, out } = self.common;
        let (reason, officers) = (reason(&self.reason)?, signers.load()?);
        let desk = at.open()?;
        let latest = desk.client.latest(&Chain::Disputes(agency.clone())).map_err(ceremony::failed)?;
        let body = Body::Dispute(DisputeBody {
            agency: agency.clone(),
            at: desk.now(),
            log: desk.origin.clone(),
            previous: latest.map(|item| item.entry.leaf),
            key: self.stolen,
            from: self.from,
            to: self.to,
            reason,
        });
        let file = out.out.unwrap_or_else(|| format!("{agency}.dispute.txt").into());
        let carried = ceremony::begin(&desk.client, &desk.policy, &body, &officers, &file)?;
        say(&carried, &format!("The dispute of {agency}"), output);
        Ok(())
    }
}

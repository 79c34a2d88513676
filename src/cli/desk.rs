//! The log that a command speaks to, once it is known whose signatures count and that the log is the one they are for.

use clap::Args;
use daemon::clock::SystemClock;
use record::ids::{AgencyId, RegisterId};
use record::statement::{Body, Statement};
use record::time::UtcTime;
use tlog::ids::Origin;
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;

use super::ceremony::failed;
use super::failure::Failure;
use super::trust::Trust;
use super::who;
use crate::client::{AgencyFacts, Client, RegisterFacts, read};

/// Which log.
#[derive(Args, Debug)]
pub(super) struct At {
    /// The log's URL.
    url: String,
    #[command(flatten)]
    trust: Trust,
}

/// A log that is the one that the policy is for.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) policy: Policy,
    pub(super) origin: Origin,
}

impl At {
    pub(super) fn open(&self) -> Result<Desk, Failure> {
        let policy = self.trust.policy()?;
        let client = Client::new(&self.url).map_err(failed)?;
        let origin = client.origin(Some(&policy)).map_err(failed)?;
        Ok(Desk { client, policy, origin })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Desk {
    /// The time for a statement that is written now.
    pub(super) fn now(&self) -> UtcTime {
        read::now(&SystemClock)
    }

    /// An agency that must be enrolled.
    pub(super) fn agency(&self, agency: &AgencyId) -> Result<AgencyFacts, Failure> {
        let facts = self.client.agency(agency).map_err(failed)?;
        facts.ok_or_else(|| {
            Failure::Failed(format!(
                "the log has no agency {agency}. Is it enrolled? `daybook agency request` begins that; the registrar's \
                 officers end it"
            ))
        })
    }

    /// A register that must be open. Its definition, by which values are sorted into public and private ones, is the
    /// agency's own word, proved to be in the log and judged there: the log alone could make a clerk publish what is sealed.
    /// It may be an older one of the agency's. Whoever writes a record in full is not sorted by it, and is refused then.
    pub(super) fn register(&self, place: &RegisterArg) -> Result<RegisterFacts, Failure> {
        let RegisterArg { agency, register } = place;
        let facts = self.client.register(agency, register).map_err(failed)?;
        let facts = facts.ok_or_else(|| {
            Failure::Failed(format!(
                "{agency} has no register {register} in this log. Open it with: daybook register open URL \
                 {agency}/{register} --title TEXT --licence TEXT --signer FILE"
            ))
        })?;
        if facts.definition.agency != *agency || facts.definition.register != *register {
            return Err(Failure::Wrong(format!(
                "the log shows the definition of another register for {place}"
            )));
        }
        let index = facts.latest.index;
        let entered = self.client.entry(index).map_err(failed)?;
        let statement = entered.as_ref().and_then(|entered| Statement::parse(&entered.bytes).ok());
        let shown = Body::Register(facts.definition.clone());
        let (Some(entered), Some(statement)) = (entered, statement.filter(|found| *found.body() == shown))
        else {
            return Err(Failure::Wrong(format!(
                "the log shows a definition of {place} that is not its entry {index}"
            )));
        };
        entered.verify(&self.policy).map_err(failed)?;
        let signed = who::judged(self.client.url(), &self.policy, entered.receipt.index, &statement);
        signed.map_err(|failure| match failure {
            Failure::Wrong(why) => Failure::Wrong(format!(
                "the definition of {place} that the log shows does not hold: {why}. Nothing was sent; tell whoever monitors \
                 this log"
            )),
            other => other,
        })?;
        Ok(facts)
    }
}

/// A register, `treasury.gov.example/country`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegisterArg {
    pub(super) agency: AgencyId,
    pub(super) register: RegisterId,
}

impl std::str::FromStr for RegisterArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!("{text:?} is no register; write AGENCY/REGISTER, such as treasury.gov.example/country")
        };
        let (agency, register) = text.split_once('/').ok_or_else(form)?;
        let agency = agency.parse().map_err(|form| format!("{agency:?} is no agency: it is {form}"))?;
        let register =
            register.parse().map_err(|form| format!("{register:?} is no register: it is {form}"))?;
        Ok(Self { agency, register })
    }
}

impl std::fmt::Display for RegisterArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.agency, self.register)
    }
}

/// A live key of an agency: by its verifier key, its name, or what follows the slash in its name.
pub(super) fn live_key(facts: &AgencyFacts, text: &str) -> Result<VerifierKey, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let full = if text.contains('/') { text.to_owned() } else { format!("{}/{text}", facts.agency) };
    let mut live = facts.keys.iter().filter(|key| key.until.is_none());
    let found = live.find(|key| key.key.name().as_str() == full);
    let names = || {
        let live = facts.keys.iter().filter(|key| key.until.is_none());
        live.map(|key| key.key.name().to_string()).collect::<Vec<_>>().join(", ")
    };
    found.map(|key| key.key.clone()).ok_or_else(|| {
        Failure::Malformed(format!("{} has no live key {full}; it has {}", facts.agency, names()))
    })
}

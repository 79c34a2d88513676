//! Into a log of records: each version signed, after the one before of its key, in batches.
//!
//! An import that was interrupted is run again. What the register holds already is compared with what is to be entered, and
//! only the rest is sent, so nothing is entered twice, whoever signs the rest. At the end what was entered is read back from
//! the signed tree.

use std::collections::{BTreeMap, HashMap, HashSet};

use clap::Args;
use daemon::clock::SystemClock;
use record::exchange::Version;
use record::ids::{Line, RecordKey};
use record::json::Value;
use record::statement::{Body, FieldRule, KeyRule, Record, Register, STATEMENT_BYTES_MAX, StatementError};
use serde::Serialize;
use tlog::hash::{Hash, sha256};
use tlog::ids::{LeafIndex, Origin};
use tlog::policy::Policy;

use crate::cli::ceremony::{failed, refused};
use crate::cli::desk::RegisterArg;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::signers::Signers;
use crate::cli::trust::checkpoint;
use crate::client::draft::Draft;
use crate::client::read::now;
use crate::client::{Client, Posted};
use crate::officer::Officer;
use crate::provenance::collect::Reader;
use crate::source::Source;

/// Statements sent in one request: as many as the log decides about together, so that none overtakes another.
const BATCH: usize = 256;
/// Bytes of them.
const BATCH_BYTES: usize = 1 << 20;

/// Into which register of a log of records, and who signs.
#[derive(Args, Debug)]
pub(in crate::cli) struct IntoRecords {
    /// The register in a log of records, as AGENCY/REGISTER. It is opened if it is not there and enough officers sign.
    #[arg(long, value_name = "AGENCY/REGISTER")]
    register: Option<RegisterArg>,
    /// The title of a register that is opened; by default what the data says.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The licence of a register that is opened; by default what the data says.
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    signers: Signers,
}

/// What the data says about a register that has to be opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pub(super) title: Option<String>,
    pub(super) licence: Option<String>,
    pub(super) fields: BTreeMap<String, FieldRule>,
    pub(super) prefix: Option<Line>,
}

/// What counts as entered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The register holds the beginning of the file and nothing else: its root depends on the order.
    File,
    /// A version that stands in the history of its key already is not entered again.
    Key,
}

/// What became of the versions.
#[derive(Serialize)]
pub(super) struct Carried {
    agency: String,
    register: String,
    /// Whether this import opened the register.
    opened: bool,
    versions: usize,
    /// How many were there before.
    there_before: usize,
    added: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_index: Option<u64>,
    pub(super) tree_size: u64,
}

impl Carried {
    pub(super) fn text(&self) -> String {
        let Self { agency, register, versions, there_before, added, tree_size, .. } = self;
        let opened = if self.opened { ", which was opened" } else { "" };
        format!(
            "RIGHT: all {versions} versions are in {agency}/{register}{opened}, in the signed tree of {tree_size} entries: \
             {there_before} were there before, {added} were added."
        )
    }
}

impl IntoRecords {
    pub(super) fn is_asked(&self) -> bool {
        self.register.is_some()
    }
}

/// Signs and sends what the register does not hold yet; all records of these keys as the signed tree holds them then.
pub(super) fn carry(
    into: &IntoRecords,
    url: &str,
    policy: &Policy,
    opening: &Opening,
    versions: &[Version],
    order: Order,
    output: &Output,
) -> Result<(Carried, Vec<Record>), Failure> {
    let name = into.register.as_ref().ok_or_else(|| {
        Failure::Malformed("into which register? Give --register AGENCY/REGISTER".to_owned())
    })?;
    let officers = into.signers.load_some()?;
    let client = Client::new(url).map_err(failed)?;
    let origin = client.origin(Some(policy)).map_err(failed)?;
    let import = Import { into, name, client: &client, origin, officers: &officers, output };
    let (register, opened) = import.register(opening)?;
    if register.keys == KeyRule::Opaque
        && let Some(version) = versions.iter().find(|version| !version.key.is_opaque())
    {
        return Err(Failure::Malformed(format!(
            "{:?} cannot be a key in {name}, whose keys are opaque: nothing was sent. Import into a register with public keys",
            version.key.as_str()
        )));
    }
    let held = import.held()?;
    let (rest, mut latest) = missing(name, versions, &held, order)?;
    let signers = import.signers_of(&register)?;
    let places = import.send(&register, &rest, &mut latest, &signers)?;
    let source = Source::open(url)?;
    let checkpoint = checkpoint(&source, policy)?;
    let reader = Reader::new(source, checkpoint);
    let records = read_back(&reader, name)?;
    check(versions, &records, order)?;
    let carried = Carried {
        agency: name.agency.to_string(),
        register: name.register.to_string(),
        opened,
        versions: versions.len(),
        there_before: versions.len() - rest.len(),
        added: rest.len(),
        first_index: places.first().map(|index| index.get()),
        last_index: places.last().map(|index| index.get()),
        tree_size: reader.checkpoint().head().size.get(),
    };
    Ok((carried, records))
}

/// A version that the register holds.
struct Held {
    leaf: Hash,
    record: Record,
}

/// What the register does not hold yet, and the latest entry under each key.
fn missing<'a>(
    name: &RegisterArg,
    versions: &'a [Version],
    held: &[Held],
    order: Order,
) -> Result<(Vec<&'a Version>, HashMap<RecordKey, Hash>), Failure> {
    let latest = held.iter().map(|held| (held.record.key.clone(), held.leaf)).collect();
    let rest = match order {
        Order::File => {
            let mut versions = versions.iter();
            let is_next = |held: &&Held| !versions.next().is_some_and(|version| is(&held.record, version));
            if let Some(other) = held.iter().find(is_next) {
                return Err(something_else(name, other));
            }
            versions.collect()
        }
        Order::Key => {
            let held: HashSet<Hash> = held.iter().filter_map(|held| fingerprint_of(&held.record)).collect();
            versions.iter().filter(|version| !held.contains(&fingerprint(version))).collect()
        }
    };
    Ok((rest, latest))
}

fn something_else(name: &RegisterArg, held: &Held) -> Failure {
    Failure::Failed(format!(
        "{name} holds under the key {} a version that this file has not there: the register is another one, or was \
         edited since. Import into a register of its own",
        held.record.key.as_str()
    ))
}

/// What makes two versions the same one.
fn fingerprint(version: &Version) -> Hash {
    let Version { key, at, public } = version;
    sha256(format!("{}\n{at}\n{}", key.as_str(), Value::Object(public.clone()).to_text()).as_bytes())
}

fn fingerprint_of(record: &Record) -> Option<Hash> {
    let public = record.content.as_ref()?.public.clone();
    Some(fingerprint(&Version { key: record.key.clone(), at: record.at, public }))
}

fn is(record: &Record, version: &Version) -> bool {
    let public = record.content.as_ref().map(|content| &content.public);
    record.key == version.key && record.at == version.at && public == Some(&version.public)
}

/// Compares what the signed tree holds with what was to be entered.
fn check(versions: &[Version], records: &[Record], order: Order) -> Result<(), Failure> {
    let lost = match order {
        Order::File => {
            let mut records = records.iter();
            versions.iter().find(|version| !records.next().is_some_and(|record| is(record, version)))
        }
        Order::Key => {
            let held: HashSet<Hash> = records.iter().filter_map(fingerprint_of).collect();
            versions.iter().find(|version| !held.contains(&fingerprint(version)))
        }
    };
    lost.map_or(Ok(()), |version| {
        Err(Failure::Wrong(format!(
            "the signed tree does not hold the version of {} of {} where it should be",
            version.key.as_str(),
            version.at
        )))
    })
}

struct Import<'a> {
    into: &'a IntoRecords,
    name: &'a RegisterArg,
    client: &'a Client,
    origin: Origin,
    officers: &'a [Officer],
    output: &'a Output,
}

impl Import<'_> {
    /// The register's definition; it is opened if it is not there.
    fn register(&self, opening: &Opening) -> Result<(Register, bool), Failure> {
        let RegisterArg { agency, register } = self.name;
        if let Some(facts) = self.client.register(agency, register).map_err(failed)? {
            return Ok((facts.definition, false));
        }
        let line = |what: &str, given: &Option<String>, said: &Option<String>| {
            let text = given.as_ref().or(said.as_ref()).ok_or_else(|| {
                Failure::Malformed(format!("{} is not open yet; give --{what} to open it", self.name))
            })?;
            text.trim()
                .parse::<Line>()
                .map_err(|form| Failure::Malformed(format!("--{what}: {text:?} is not {form}")))
        };
        let said_title = opening.title.clone().or_else(|| Some(register.to_string()));
        let definition = Register {
            agency: agency.clone(),
            register: register.clone(),
            at: now(&SystemClock),
            log: self.origin.clone(),
            previous: None,
            title: line("title", &self.into.title, &said_title)?,
            licence: line("licence", &self.into.licence, &opening.licence)?,
            approvals: 0,
            keys: KeyRule::Public,
            prefix: opening.prefix.clone(),
            fields: opening.fields.clone(),
            attachments: Vec::new(),
            schema: None,
            calendar: None,
        };
        let mut draft = Draft::new(&Body::Register(definition.clone())).map_err(Failure::malformed)?;
        let officers = self.with_grant(&["officer"])?;
        officers.iter().for_each(|officer| draft.sign(officer));
        let standing = self.client.standing(&draft).map_err(failed)?;
        if !standing.is_complete() {
            return Err(Failure::Malformed(format!(
                "{} is not open yet, and to open it takes more signatures: {}. Give their keys with --signer as well, or open \
                 it first with `daybook register open`",
                self.name,
                standing.missing().join("; ")
            )));
        }
        match self.client.post(&draft.to_bytes()).map_err(failed)? {
            Posted::Placed(_) => Ok((definition, true)),
            Posted::Refused(refusal) => Err(refused(&format!("the register {}", self.name), &refusal)),
        }
    }

    /// The given keys that are live keys of the agency with one of these grants, in the order of the grants.
    fn with_grant(&self, grants: &[&str]) -> Result<Vec<&Officer>, Failure> {
        let agency = &self.name.agency;
        let facts = self.client.agency(agency).map_err(failed)?.ok_or_else(|| {
            Failure::Failed(format!("the log has no agency {agency}; see `daybook agency request`"))
        })?;
        let has = |officer: &Officer, grant: &str| {
            let key = officer.verifier_key();
            facts.keys.iter().any(|facts| facts.key == key && facts.grant == grant && facts.until.is_none())
        };
        let of = |grant: &&str| {
            let grant = (*grant).to_owned();
            self.officers.iter().filter(move |officer| has(officer, &grant)).collect::<Vec<_>>()
        };
        Ok(grants.iter().flat_map(of).collect())
    }

    /// Who signs versions: one key, or as many officers as the register asks for.
    fn signers_of(&self, register: &Register) -> Result<Vec<&Officer>, Failure> {
        let (mut signers, needed) = match register.approvals {
            0 => (self.with_grant(&["publisher", "delegate", "officer"])?, 1),
            approvals => (self.with_grant(&["officer"])?, usize::from(approvals)),
        };
        if signers.len() < needed {
            return Err(Failure::Failed(format!(
                "of the keys given {} may sign in {}, and {needed} must; see the agency's keys under /agencies/{} at the \
                 log",
                signers.len(),
                self.name,
                self.name.agency
            )));
        }
        signers.truncate(needed);
        Ok(signers)
    }

    /// The versions that the register holds, in the order of the log.
    fn held(&self) -> Result<Vec<Held>, Failure> {
        let RegisterArg { agency, register } = self.name;
        let items = self.client.items(&format!("registers/{agency}/{register}/entries")).map_err(failed)?;
        let held = |item: crate::client::Item| match item.body {
            Body::Record(record) => Some(Held { leaf: item.entry.leaf, record }),
            _ => None,
        };
        Ok(items.unwrap_or_default().into_iter().filter_map(held).collect())
    }

    /// Signs and sends versions, each after the latest of its key.
    fn send(
        &self,
        register: &Register,
        versions: &[&Version],
        latest: &mut HashMap<RecordKey, Hash>,
        signers: &[&Officer],
    ) -> Result<Vec<LeafIndex>, Failure> {
        let bar = self.output.bar(versions.len() as u64, "entering versions");
        let mut places = Vec::with_capacity(versions.len());
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (at, version) in versions.iter().enumerate() {
            let previous = latest.get(&version.key).copied();
            let record = version.to_record(register, &self.origin, previous);
            let mut draft = Draft::new(&Body::Record(record)).map_err(|error| at_version(version, &error))?;
            signers.iter().for_each(|officer| draft.sign(officer));
            let statement = draft.statement().map_err(|error| at_version(version, &error))?;
            latest.insert(version.key.clone(), statement.leaf_hash());
            let statement = statement.to_bytes();
            bytes += statement.len() + 2;
            batch.push(statement);
            let full = batch.len() == BATCH || bytes + STATEMENT_BYTES_MAX > BATCH_BYTES;
            if full || at + 1 == versions.len() {
                let first = at + 1 - batch.len();
                places.extend(self.post(&batch, &versions[first..=at])?);
                (batch, bytes) = (Vec::new(), 0);
                bar.set_position(at as u64 + 1);
            }
        }
        bar.finish_and_clear();
        Ok(places)
    }

    fn post(&self, batch: &[Vec<u8>], versions: &[&Version]) -> Result<Vec<LeafIndex>, Failure> {
        let mut places = Vec::with_capacity(batch.len());
        for (posted, version) in self.client.post_batch(batch).map_err(failed)?.iter().zip(versions) {
            match posted {
                Posted::Placed(placed) => places.push(placed.index),
                Posted::Refused(refusal) => {
                    return Err(refused(&format!("{} of {}", version.key.as_str(), version.at), refusal));
                }
            }
        }
        Ok(places)
    }
}

fn at_version(version: &Version, error: &StatementError) -> Failure {
    Failure::Malformed(format!("{} of {}: {error}", version.key.as_str(), version.at))
}

/// The records of a register, from the signed tree.
fn read_back(reader: &Reader, name: &RegisterArg) -> Result<Vec<Record>, Failure> {
    let places = reader.register_places(&name.agency, &name.register)?;
    let mut records = Vec::with_capacity(places.len());
    for (_, statement) in reader.statements(&places)? {
        if let Body::Record(record) = statement.body() {
            records.push(record.clone());
        }
    }
    Ok(records)
}

//! `daybook erase`: values of a version are destroyed, and a tombstone says what, on which legal basis, and by whose
//! approval. Then it is shown what readers are answered from now on.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use daemon::clock::SystemClock;
use http::StatusCode;
use record::erasable::Erasures;
use record::ids::{Reason, RecordKey};
use record::registry::Chain;
use record::statement::{AttachmentContent, Body, Content, EntryRef, Erased, KeyRule, Record, Tombstone};
use record::time::UtcTime;
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::ids::{LeafIndex, Origin};
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

use super::ceremony::{self, Carried, failed};
use super::desk::RegisterArg;
use super::failure::Failure;
use super::output::Output;
use super::own_copies::{self, OwnCopies};
use super::signers::Signers;
use super::trust::Trust;
use crate::clerk::entry::KEY_NOT_OPAQUE;
use crate::client::read::now;
use crate::client::{Client, Item};
use crate::http::records::route::encode;
use crate::source::Source;

#[derive(Args, Debug)]
pub(super) struct Erase {
    /// The log's URL.
    url: String,
    /// The register, as AGENCY/REGISTER.
    register: RegisterArg,
    /// The record's key.
    #[arg(id = "record", value_name = "KEY")]
    key: String,
    /// What is erased: /erasable/FIELD, /attachments/NAME, /sealed, or /sealed/FIELD; may be given several times.
    #[arg(long, value_name = "POINTER", required = true)]
    what: Vec<Erased>,
    /// The legal basis, such as "GDPR, Art. 17(1)(d); order 12 C 34/26 of the court of X".
    #[arg(long, value_name = "TEXT")]
    basis: Reason,
    /// The date of the tombstone, 2026-11-23T09:00:00Z; by default now.
    #[arg(long, value_name = "TIME")]
    at: Option<UtcTime>,
    /// The index of the version; by default the latest one that has what is erased.
    #[arg(long, value_name = "INDEX")]
    entry: Option<LeafIndex>,
    /// The file for the tombstone. While signatures are missing, the next officer adds theirs with `daybook cosign`; by
    /// default tombstone-INDEX.txt, with the version's index.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct ErasedJson {
    /// The version.
    entry: u64,
    leaf_hash: String,
    erased: Vec<String>,
    /// What became of the tombstone; absent if everything was erased before.
    #[serde(skip_serializing_if = "Option::is_none")]
    tombstone: Option<Carried>,
    /// What the log answers now; empty while the tombstone waits for signatures.
    reads: Vec<ReadJson>,
    /// Other versions that have the same, and keep it until they are erased too.
    also_in: Vec<u64>,
    /// What the agency itself still has of it.
    own_copies: OwnCopies,
}

/// What a reader is answered.
#[derive(Serialize)]
struct ReadJson {
    path: String,
    status: u16,
    /// What of it is gone, each by the entry with the tombstone.
    gone: Vec<Gone>,
    /// What of it is still shown.
    shown: Vec<String>,
    /// Whether the tombstone's receipt, as the log hands it out, was verified; absent where the answer has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_verified: Option<bool>,
}

#[derive(Serialize)]
struct Gone {
    item: String,
    tombstone: u64,
}

/// A version of the record.
struct Version {
    entry: EntryRef,
    record: Record,
}

impl Erase {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let policy = self.trust.policy()?;
        let client = Client::new(&self.url).map_err(failed)?;
        let origin = client.origin(Some(&policy)).map_err(failed)?;
        self.check_key(&client)?;
        let versions = self.versions(&client)?;
        let version = self.version(&versions)?;
        let source = Source::open(&self.url)?;
        let also_in = versions
            .iter()
            .filter(|other| other.entry.index != version.entry.index && self.is_there(other))
            .map(|other| other.entry.index.get())
            .collect();
        let mut erased = self.what.clone();
        erased.sort_by_key(ToString::to_string);
        erased.dedup();
        let own_copies = own_copies::of(&version.record, &erased)?;
        let before = reads(&source, &policy, version, &erased)?;
        let tombstone = if left(&before, &erased).is_empty() {
            None
        } else {
            Some(self.enter(&client, &policy, origin, version, &erased)?)
        };
        let done = tombstone.as_ref().is_none_or(|carried| carried.entered);
        let reads = if done { reads(&source, &policy, version, &erased)? } else { Vec::new() };
        if done && !is_carried_out(&reads, &erased) {
            return Err(Failure::Wrong(
                "the tombstone is in the log, and the log still shows what it erases".to_owned(),
            ));
        }
        let json = ErasedJson {
            entry: version.entry.index.get(),
            leaf_hash: version.entry.leaf.to_string(),
            erased: erased.iter().map(ToString::to_string).collect(),
            tombstone,
            reads,
            also_in,
            own_copies,
        };
        output.result(&json, || text(&json));
        Ok(())
    }

    /// Signs a tombstone, and sends it if nobody else has to sign.
    fn enter(
        &self,
        client: &Client,
        policy: &Policy,
        log: Origin,
        version: &Version,
        erased: &[Erased],
    ) -> Result<Carried, Failure> {
        let chain = Chain::Tombstones(version.entry.leaf);
        let previous = client.latest(&chain).map_err(failed)?.map(|item| item.entry.leaf);
        let body = Body::Tombstone(Tombstone {
            agency: version.record.agency.clone(),
            register: version.record.register.clone(),
            key: version.record.key.clone(),
            at: self.at.unwrap_or_else(|| now(&SystemClock)),
            log,
            previous,
            entry: version.entry,
            erased: erased.to_vec(),
            basis: self.basis.clone(),
        });
        let officers = self.signers.load_some()?;
        let out = self.out.clone();
        let out = out.unwrap_or_else(|| format!("tombstone-{}.txt", version.entry.index).into());
        ceremony::begin(client, policy, &body, &officers, &out)
    }

    /// Where keys are opaque, whatever else names a person is not told to the log, not even in a question.
    fn check_key(&self, client: &Client) -> Result<(), Failure> {
        let RegisterArg { agency, register } = &self.register;
        let facts = client.register(agency, register).map_err(failed)?;
        let is_opaque = facts.is_some_and(|facts| facts.definition.keys == KeyRule::Opaque);
        let key = self.key.parse::<RecordKey>();
        match is_opaque && !key.is_ok_and(|key| key.is_opaque()) {
            true => Err(Failure::Malformed(format!("the key {:?}: {KEY_NOT_OPAQUE}", self.key))),
            false => Ok(()),
        }
    }

    fn versions(&self, client: &Client) -> Result<Vec<Version>, Failure> {
        let RegisterArg { agency, register } = &self.register;
        let path = format!("registers/{agency}/{register}/records/{}/history", encode(&self.key));
        let items = client.items(&path).map_err(failed)?;
        let items = items.ok_or_else(|| {
            Failure::Failed(format!("the log has no record {:?} in {}", self.key, self.register))
        })?;
        let version = |item: Item| match item.body {
            Body::Record(record) => Some(Version { entry: item.entry, record }),
            _ => None,
        };
        Ok(items.into_iter().filter_map(version).collect())
    }

    /// Whether a version commits to everything that is to be erased.
    fn is_there(&self, version: &Version) -> bool {
        let has = version.record.content.as_ref().map(|content| Erasures::default().remaining(content));
        let has = has.unwrap_or_default();
        self.what.iter().all(|what| match what {
            // Which fields are sealed nobody but the agency knows.
            Erased::AllSealed | Erased::Sealed(_) => has.contains(&Erased::AllSealed),
            what => has.contains(what),
        })
    }

    fn version<'a>(&self, versions: &'a [Version]) -> Result<&'a Version, Failure> {
        if let Some(index) = self.entry {
            let found = versions.iter().find(|version| version.entry.index == index);
            return found.ok_or_else(|| {
                Failure::Malformed(format!("entry {index} is no version of {} {}", self.register, self.key))
            });
        }
        versions.iter().rev().find(|version| self.is_there(version)).ok_or_else(|| {
            let latest = versions.last().and_then(|version| version.record.content.as_ref());
            let can = |content: &Content| Erasures::default().remaining(content);
            let can: Vec<String> =
                latest.map(can).unwrap_or_default().iter().map(ToString::to_string).collect();
            let can = if can.is_empty() { "nothing".to_owned() } else { can.join(", ") };
            Failure::Malformed(format!(
                "no version of {} {} has all of that; of the latest can be erased: {can}",
                self.register, self.key
            ))
        })
    }
}

/// What a reader is answered about a version, and about each attachment in question.
fn reads(
    source: &Source,
    policy: &Policy,
    version: &Version,
    erased: &[Erased],
) -> Result<Vec<ReadJson>, Failure> {
    let mut paths = Vec::new();
    if erased.iter().any(|item| !matches!(item, Erased::Attachment(_))) {
        paths.push((format!("/records/{}/disclosures", version.entry.leaf), None));
    }
    let attachments = version.record.content.iter().flat_map(|content| &content.attachments);
    for attachment in attachments {
        let item = Erased::Attachment(attachment.name.clone());
        if let (AttachmentContent::Erasable(commitment), true) = (attachment.content, erased.contains(&item))
        {
            paths.push((format!("/blobs/{commitment}"), Some(item)));
        }
    }
    paths.into_iter().map(|(path, item)| read(source, policy, path, item, erased)).collect()
}

fn read(
    source: &Source,
    policy: &Policy,
    path: String,
    attachment: Option<Erased>,
    erased: &[Erased],
) -> Result<ReadJson, Failure> {
    let answer = match attachment {
        None => source.ask(&path)?,
        Some(_) => source.ask_gone(&path)?,
    };
    let Some((status, document)) = answer else {
        return Ok(ReadJson {
            path,
            status: 404,
            gone: Vec::new(),
            shown: Vec::new(),
            receipt_verified: None,
        });
    };
    let tombstone = document["tombstone"]["index"].as_u64();
    let gone = match (status, tombstone, attachment) {
        (StatusCode::GONE, Some(tombstone), Some(item)) => vec![Gone { item: item.to_string(), tombstone }],
        (StatusCode::GONE, Some(tombstone), None) => erased
            .iter()
            .filter(|item| !matches!(item, Erased::Attachment(_)))
            .map(|item| Gone { item: item.to_string(), tombstone })
            .collect(),
        _ => listed(&document),
    };
    let shown = document["disclosures"].as_array().into_iter().flatten();
    let shown = shown.flat_map(|shown| shown["shows"].as_array().into_iter().flatten());
    let shown = shown.filter_map(|pointer| pointer.as_str().map(str::to_owned)).collect();
    let receipt_verified =
        (status == StatusCode::GONE).then(|| receipt_holds(&document["tombstone"], policy));
    Ok(ReadJson { path, status: status.as_u16(), gone, shown, receipt_verified })
}

/// What an answer that still shows something names as gone.
fn listed(document: &serde_json::Value) -> Vec<Gone> {
    let gone = |item: &serde_json::Value| {
        let tombstone = item["tombstone"]["index"].as_u64()?;
        Some(Gone { item: item["item"].as_str()?.to_owned(), tombstone })
    };
    document["erased"].as_array().into_iter().flatten().filter_map(gone).collect()
}

fn receipt_holds(tombstone: &serde_json::Value, policy: &Policy) -> bool {
    let entry = tombstone["entry"].as_str().and_then(|entry| STANDARD.decode(entry).ok());
    let receipt = tombstone["receipt"].as_str().and_then(|text| TlogProof::parse(text.as_bytes()).ok());
    entry.zip(receipt).is_some_and(|(entry, receipt)| receipt.verify(&leaf_hash(&entry), policy).is_ok())
}

/// What is not named as gone in these answers.
fn left<'a>(reads: &[ReadJson], erased: &'a [Erased]) -> Vec<&'a Erased> {
    let is_gone = |item: &&Erased| {
        let text = item.to_string();
        let is_it =
            |gone: &Gone| gone.item == text || (gone.item == "/sealed" && text.starts_with("/sealed/"));
        reads.iter().flat_map(|read| &read.gone).any(is_it)
    };
    erased.iter().filter(|item| !is_gone(item)).collect()
}

/// Whether nothing is shown any more, once there is a tombstone. The log does not know which fields are sealed, so it does
/// not name one: it shows no disclosure of it.
fn is_carried_out(reads: &[ReadJson], erased: &[Erased]) -> bool {
    let shown = |item: &Erased| reads.iter().any(|read| read.shown.contains(&item.to_string()));
    left(reads, erased).into_iter().all(|item| matches!(item, Erased::Sealed(_)) && !shown(item))
}

fn text(json: &ErasedJson) -> String {
    let mut text = match &json.tombstone {
        Some(carried) => carried.text("The tombstone"),
        None => "All of that was erased before.".to_owned(),
    };
    for read in &json.reads {
        text += &format!("\nGET {} is answered with {}", read.path, read.status);
        for gone in &read.gone {
            text += &format!("\n  {} is gone: tombstone in entry {}", gone.item, gone.tombstone);
        }
        match read.receipt_verified {
            Some(true) => text += "\n  with the tombstone's receipt, which verifies",
            Some(false) => text += "\n  BUT without a receipt of the tombstone that verifies",
            None => {}
        }
    }
    if !json.also_in.is_empty() {
        let others: Vec<String> = json.also_in.iter().map(ToString::to_string).collect();
        text += &format!(
            "\nThe versions in the entries {} have the same, with commitments of their own: erase it there too, with --entry",
            others.join(", ")
        );
    }
    text + &json.own_copies.text()
}

//! A statement in words: what it is, whose, in which register, under which key, and who signed it.
//!
//! Who signed is only a name until [`Signed`] comes with it: then the keys are the log's own, and who enrolled the agency
//! is known too.

use record::statement::{Body, Statement};
use serde::Serialize;
use tlog::ids::LeafIndex;

use super::output::printable;
use crate::provenance::Enrolment;
use crate::provenance::judge::Signer;

/// A statement in words.
#[derive(Serialize)]
pub(super) struct About {
    kind: &'static str,
    log: String,
    agency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    at: String,
    /// The leaf hash of the statement before it; null for the first.
    previous: Option<String>,
    /// The names in the signature lines. Anybody can write a name: see `signed`.
    signature_lines: Vec<String>,
    /// Who signed, by the log's own statements; absent if they were not at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
}

/// Who signed, verified.
#[derive(Serialize)]
pub(super) struct Signed {
    pub(super) by: Vec<SignerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agency_title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enrolled: Option<EnrolledJson>,
    /// The leaf hash of entry 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) genesis: Option<String>,
}

#[derive(Serialize)]
pub(super) struct SignerJson {
    key: String,
    may: &'static str,
    since_entry: u64,
    /// The entry after which it signs no more; what it signed before stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by_entry: Option<u64>,
    /// The entry in which the agency disowns what the key signed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    disowned_by_entry: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct EnrolledJson {
    entry: u64,
    registrar: String,
    by: Vec<String>,
}

impl Signed {
    pub(super) fn new(signers: &[Signer], enrolment: Option<&Enrolment>) -> Self {
        let signer = |signer: &Signer| SignerJson {
            key: signer.key.to_string(),
            may: signer.may,
            since_entry: signer.since.get(),
            ended_by_entry: signer.ended.map(LeafIndex::get),
            disowned_by_entry: signer.disowned.map(LeafIndex::get),
        };
        Self {
            by: signers.iter().map(signer).collect(),
            agency_title: enrolment.map(|enrolment| enrolment.title.clone()),
            enrolled: enrolment.map(|enrolment| EnrolledJson {
                entry: enrolment.index.get(),
                registrar: enrolment.registrar.to_string(),
                by: enrolment.by.iter().map(ToString::to_string).collect(),
            }),
            genesis: None,
        }
    }

    fn text(&self) -> String {
        let by = self.by.iter().map(|signer| {
            let SignerJson { key, may, since_entry, ended_by_entry, disowned_by_entry } = signer;
            let ended = ended_by_entry.map_or_else(String::new, |entry| {
                format!("\n    entry {entry} ended that key later; what it had signed stands")
            });
            let disowned = disowned_by_entry.map_or_else(String::new, |entry| {
                format!(
                    "\n    BUT the agency says in entry {entry} that the key was stolen, and disowns this"
                )
            });
            format!(
                "\n  signed by {key}, {may} since entry {since_entry}: the signature holds{ended}{disowned}"
            )
        });
        let mut text: String = by.collect();
        if let Some(EnrolledJson { entry, registrar, by }) = &self.enrolled {
            text += &match *entry {
                0 => format!(
                    "\n  the agency is the log's registrar, {registrar}: entry 0, signed by {}",
                    by.join(", ")
                ),
                _ => format!(
                    "\n  the agency was enrolled by {registrar} in entry {entry}, signed by {}",
                    by.join(", ")
                ),
            };
        }
        if let Some(genesis) = &self.genesis {
            text += &format!("\n  entry 0, which says who enrols agencies, has the hash {genesis}");
        }
        text
    }
}

impl About {
    pub(super) fn new(statement: &Statement, signed: Option<Signed>) -> Self {
        let body = statement.body();
        let (mut register, mut key, mut title, mut action) = (None, None, None, None);
        match body {
            Body::Genesis(genesis) => title = Some(genesis.title.as_str().to_owned()),
            Body::Agency(agency) => action = Some(agency.action.as_str()),
            Body::Register(body) => {
                register = Some(body.register.to_string());
                title = Some(body.title.as_str().to_owned());
            }
            Body::Record(record) => {
                (register, key) = (Some(record.register.to_string()), Some(record.key.as_str().to_owned()));
                let content = record.content.as_ref();
                action = content.is_none().then_some("withdraw");
                title =
                    content.and_then(|content| content.title.as_ref()).map(|title| title.as_str().to_owned());
            }
            Body::Tombstone(tombstone) => {
                register = Some(tombstone.register.to_string());
                key = Some(tombstone.key.as_str().to_owned());
            }
            Body::Dispute(_) => {}
        }
        Self {
            kind: body.kind().as_str(),
            log: body.log().to_string(),
            agency: body.agency().to_string(),
            register,
            key,
            title,
            action,
            at: body.at().to_string(),
            previous: body.previous().map(|leaf| leaf.to_string()),
            signature_lines: statement.signatures().iter().map(|line| line.name().to_string()).collect(),
            signed,
        }
    }

    pub(super) fn text(&self) -> String {
        let agency = self.signed.as_ref().and_then(|signed| signed.agency_title.as_ref());
        let agency = agency
            .map_or_else(|| self.agency.clone(), |title| format!("{} ({})", printable(title), self.agency));
        let mut text = format!("\n  a statement of kind {}", self.kind);
        if let Some(action) = self.action {
            text += &format!(", {action}");
        }
        text += &format!("\n  agency {agency}");
        for (name, value) in [("register", &self.register), ("key", &self.key), ("title", &self.title)] {
            if let Some(value) = value {
                text += &format!("\n  {name} {}", printable(value));
            }
        }
        text += &format!("\n  dated {} by the agency", self.at);
        text += match self.previous {
            Some(_) => "\n  it follows an earlier statement: it changes something that was there before",
            None => "\n  it is the first of its kind: nothing was there before",
        };
        match &self.signed {
            Some(signed) => text + &signed.text(),
            None => {
                let names = self.signature_lines.join(", ");
                text + &format!(
                    "\n  its signature lines say {names}; whether those are the agency's keys is checked with --log URL, or \
                     with --provenance FILE and no network"
                )
            }
        }
    }
}

//! The sample records: an invented town, its registers, and what its offices write into them.

use std::path::Path;

use daemon::clock::SystemClock;
use record::json::Value;
use record::statement::{Body, Content, Record, Register};
use serde::Deserialize;
use serde_json::Map;
use tlog::ids::Origin;

use super::super::failure::Failure;
use crate::clerk::entry::Entry;
use crate::clerk::mapping::Mapping;
use crate::client::read::now;

const TOWN: &str = include_str!("../../../deploy/samples/town.json");

/// The town, as the file describes it.
#[derive(Deserialize)]
pub(super) struct TownFile {
    pub(super) registrar: Named,
    pub(super) agencies: Vec<AgencyFile>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) agency: String,
    pub(super) title: String,
}

#[derive(Deserialize)]
pub(super) struct AgencyFile {
    #[serde(flatten)]
    pub(super) named: Named,
    registers: Vec<Map<String, serde_json::Value>>,
}

/// The town.
pub(super) fn town() -> Result<TownFile, Failure> {
    serde_json::from_str(TOWN).map_err(Failure::malformed)
}

/// A version of a record without anything that stays outside the log, from one line of a sample.
pub(super) fn plain(line: &str, register: &Register) -> Result<Record, Failure> {
    let value = Value::read(line).map_err(Failure::malformed)?;
    let entry = Entry::from_json(&value, register, &Mapping::default(), Path::new("."));
    let entry = entry.map_err(Failure::malformed)?;
    Ok(Record {
        agency: register.agency.clone(),
        register: register.register.clone(),
        key: entry.key.ok_or_else(|| Failure::Malformed("the sample has no key".to_owned()))?,
        at: now(&SystemClock),
        log: register.log.clone(),
        previous: None,
        content: Some(Content { title: entry.title, public: entry.public, ..Content::default() }),
    })
}

impl AgencyFile {
    /// The definitions of its registers, for this log.
    pub(super) fn registers(&self, log: &Origin) -> Result<Vec<Register>, Failure> {
        let define = |members: &Map<String, serde_json::Value>| {
            let mut members = members.clone();
            for (name, value) in [
                ("agency", self.named.agency.clone()),
                ("at", now(&SystemClock).to_string()),
                ("log", log.to_string()),
            ] {
                members.insert(name.to_owned(), value.into());
            }
            members.insert("previous".to_owned(), serde_json::Value::Null);
            let value = Value::from_serde(&members.into()).map_err(Failure::malformed)?;
            let text = format!("daybook/register/v1\n{}\n", value.to_text());
            match Body::parse_text(&text).map_err(Failure::malformed)? {
                Body::Register(register) => Ok(register),
                _ => unreachable!("the first line says that it is a register"),
            }
        };
        self.registers.iter().map(define).collect()
    }
}

//! The sample records: an invented town, its registers, and what its offices write into them.

use std::collections::BTreeMap;

use record::erasable::Place;
use record::ids::AgencyId;
use record::json::{Object, Value};
use record::opening::{Opening, Salt};
use record::sealed::{SealedValues, seal};
use record::statement::record::SEALED_LEAVES_MIN;
use record::statement::{Body, Content, FieldClass, Record, Register};
use serde::Deserialize;
use serde_json::Map;
use tlog::hash::Hash;
use tlog::ids::Origin;

use super::super::failure::Failure;
use super::office::{draw, now};

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

/// What an office has at hand before it becomes a version of a record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sample {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    title: Option<String>,
    /// The date of the matter; now, where there is none.
    #[serde(default)]
    at: Option<String>,
    public: serde_json::Value,
    #[serde(default)]
    sealed: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    erasable: BTreeMap<String, serde_json::Value>,
}

/// A version of a record, and the values that stay outside the log.
pub(super) struct Draft {
    pub(super) record: Record,
    pub(super) erasable: Vec<Opening>,
    pub(super) sealed: Option<SealedValues>,
}

/// The town.
pub(super) fn town() -> Result<TownFile, Failure> {
    serde_json::from_str(TOWN).map_err(Failure::malformed)
}

/// Records, one a line.
pub(super) fn parse(lines: &str) -> Result<Vec<Sample>, Failure> {
    lines.lines().map(|line| serde_json::from_str(line).map_err(Failure::malformed)).collect()
}

impl AgencyFile {
    /// The definitions of its registers, for this log.
    pub(super) fn registers(&self, log: &Origin) -> Result<Vec<Register>, Failure> {
        let define = |members: &Map<String, serde_json::Value>| {
            let mut members = members.clone();
            for (name, value) in
                [("agency", self.named.agency.clone()), ("at", now()?.to_string()), ("log", log.to_string())]
            {
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

impl Sample {
    /// The key under which it is entered. Keys that could identify a person are 128 random bits.
    pub(super) fn key(&self) -> String {
        let opaque = || draw::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
        self.key.clone().unwrap_or_else(opaque)
    }

    /// The version of the record, with a new salt for each value that stays outside.
    pub(super) fn draft(
        &self,
        register: &Register,
        key: &str,
        previous: Option<Hash>,
    ) -> Result<Draft, Failure> {
        let line = |text: &String| text.parse().map_err(Failure::malformed);
        let at = match &self.at {
            Some(at) => at.parse().map_err(Failure::malformed)?,
            None => now()?,
        };
        let mut record = Record {
            agency: AgencyId::clone(&register.agency),
            register: register.register.clone(),
            key: key.parse().map_err(Failure::malformed)?,
            at,
            log: register.log.clone(),
            previous,
            content: None,
        };
        let erasable = openings(register, &self.erasable)?;
        let place = Place::of(&record);
        let commitments =
            erasable.iter().map(|one| (one.name.to_string(), place.commit_field(one))).collect();
        let sealed = self.seal(register)?;
        record.content = Some(Content {
            title: self.title.as_ref().map(line).transpose()?,
            public: object(&self.public)?,
            sealed: sealed.as_ref().map(SealedValues::commitment),
            erasable: commitments,
            ..Content::default()
        });
        Ok(Draft { record, erasable, sealed })
    }

    fn seal(&self, register: &Register) -> Result<Option<SealedValues>, Failure> {
        let declared = register.fields.values().filter(|rule| rule.class == FieldClass::Sealed).count();
        if declared == 0 {
            return Ok(None);
        }
        let leaves = declared.next_power_of_two().max(SEALED_LEAVES_MIN.into());
        let fields = openings(register, &self.sealed)?;
        // What is not there looks like what is.
        let padding = (fields.len()..leaves).map(|_| Salt::new(draw())).collect();
        seal(draw(), fields, padding).map(Some).map_err(Failure::malformed)
    }
}

fn object(value: &serde_json::Value) -> Result<Object, Failure> {
    match Value::from_serde(value).map_err(Failure::malformed)? {
        Value::Object(object) => Ok(object),
        other => Err(Failure::Malformed(format!("the sample's content is {}, not an object", other.kind()))),
    }
}

/// Values with their salts, sorted by name.
fn openings(
    register: &Register,
    values: &BTreeMap<String, serde_json::Value>,
) -> Result<Vec<Opening>, Failure> {
    let open = |(name, value): (&String, &serde_json::Value)| {
        let rule = register.fields.get(name);
        let rule = rule.ok_or_else(|| Failure::Malformed(format!("the register has no field {name}")))?;
        Ok(Opening {
            name: name.parse().map_err(Failure::malformed)?,
            kind: rule.kind,
            value: Value::from_serde(value).map_err(Failure::malformed)?,
            salt: Salt::new(draw()),
        })
    };
    values.iter().map(open).collect()
}

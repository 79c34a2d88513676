//! Bodies of `genesis` and `agency`: who may sign what.
//!
//! `genesis` enrols the registrar, who is an agency like the others and whose quorum enrols them. Every key that a
//! statement brings in signs that statement too, so that nobody enrols a key that is not theirs.

use tlog::hash::Hash;
use tlog::ids::{KeyName, Origin};
use tlog::vkey::VerifierKey;

use super::fields::{
    FieldError, Fields, Problem, Read, integer, list, origin, parsed, previous, sorted, text,
};
use super::fields::{verifier_key, wrong_word};
use super::put_previous;
use crate::ids::{AgencyId, Form, Line, Reason, RegisterId};
use crate::json::{Number, Object, Value};
use crate::time::UtcTime;

/// Most keys that one statement brings in, takes out, or that an agency has at a time.
pub const AGENCY_KEYS_MAX: usize = 32;
/// Most registers that one delegation names.
pub const DELEGATED_REGISTERS_MAX: usize = 64;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Counts for the agency's quorum, and signs records.
    Officer,
    /// Signs records of registers that ask for no officers.
    Publisher,
}

impl Role {
    /// The word in statements.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Officer => "officer",
            Self::Publisher => "publisher",
        }
    }
}

/// A key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// The key, named after its agency.
    pub key: VerifierKey,
    /// What it may do.
    pub role: Role,
}

/// An agency's keys as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// Sorted by their text; no name twice.
    pub keys: Vec<KeyGrant>,
    /// How many officers must sign; at most as many as there are.
    pub quorum: u8,
    /// The key, kept offline, that can replace all others.
    pub recovery: Option<VerifierKey>,
}

/// The body of `genesis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// When it was written.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// Who enrols agencies.
    pub registrar: AgencyId,
    /// The registrar's name for people.
    pub title: Line,
    /// The registrar's keys.
    pub keys: KeySet,
}

/// The body of `agency`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agency {
    /// Which.
    pub agency: AgencyId,
    /// When it was written.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// The leaf hash of the statement about this agency before.
    pub previous: Option<Hash>,
    /// What changes.
    pub action: AgencyAction,
}

/// What changes about an agency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgencyAction {
    /// It joins. By the registrar's quorum and all keys brought in.
    Enrol {
        /// Its name for people.
        title: Line,
        /// Its keys.
        keys: KeySet,
    },
    /// Keys come and go. By the agency's quorum and all keys brought in.
    Rotate {
        /// Keys brought in, sorted by their text.
        add: Vec<KeyGrant>,
        /// Keys that sign no more, sorted by their text.
        retire: Vec<VerifierKey>,
        /// How many officers must sign from now on.
        quorum: u8,
        /// The new recovery key; none leaves it as it is.
        recovery: Option<VerifierKey>,
    },
    /// Keys are cut off. By the agency's quorum or the registrar's.
    Revoke {
        /// Which, sorted by their text.
        keys: Vec<VerifierKey>,
        /// Why.
        reason: Reason,
    },
    /// All keys are replaced. By the recovery key or the registrar's quorum, and all keys brought in.
    Recover {
        /// The keys from now on.
        keys: KeySet,
        /// Why.
        reason: Reason,
    },
    /// A sub-unit may sign records of some registers for a time. By the agency's quorum and the sub-unit's key.
    Delegate {
        /// The sub-unit's key.
        key: VerifierKey,
        /// Of which registers, sorted.
        registers: Vec<RegisterId>,
        /// Until when, by the time in the record.
        until: UtcTime,
    },
}

impl AgencyAction {
    /// The word in statements.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Enrol { .. } => "enrol",
            Self::Rotate { .. } => "rotate",
            Self::Revoke { .. } => "revoke",
            Self::Recover { .. } => "recover",
            Self::Delegate { .. } => "delegate",
        }
    }

    /// The keys that the action brings in.
    pub fn brings_in(&self) -> Vec<&VerifierKey> {
        match self {
            Self::Enrol { keys, .. } | Self::Recover { keys, .. } => keys.brings_in(),
            Self::Rotate { add, recovery, .. } => {
                add.iter().map(|grant| &grant.key).chain(recovery).collect()
            }
            Self::Revoke { .. } => Vec::new(),
            Self::Delegate { key, .. } => vec![key],
        }
    }
}

impl KeySet {
    /// The name that the recovery key shares with another key. The rules of admission do not look at it, because the recovery key
    /// counts for no quorum; but people tell keys apart by their names, so who writes or signs a key set should.
    #[must_use]
    pub fn shared_name(&self) -> Option<&KeyName> {
        let name = self.recovery.as_ref()?.name();
        self.keys.iter().any(|grant| grant.key.name() == name).then_some(name)
    }

    /// All of its keys, the recovery key last.
    #[must_use]
    pub fn brings_in(&self) -> Vec<&VerifierKey> {
        self.keys.iter().map(|grant| &grant.key).chain(&self.recovery).collect()
    }

    fn read(fields: &mut Fields, agency: &AgencyId) -> Read<Self> {
        let keys = fields.required("keys", grants(agency, 1))?;
        let quorum = fields.required("quorum", quorum)?;
        let recovery = fields.optional("recovery", key_of(agency))?;
        let officers = keys.iter().filter(|grant| grant.role == Role::Officer).count();
        if usize::from(quorum) > officers {
            let problem = Problem::Conflict("is larger than the number of officers");
            return Err(FieldError::at("quorum", problem));
        }
        Ok(Self { keys, quorum, recovery })
    }

    fn write(&self, out: &mut Object) {
        out.insert("keys", write_grants(&self.keys));
        out.insert("quorum", small(self.quorum));
        if let Some(key) = &self.recovery {
            out.insert("recovery", key.to_string());
        }
    }
}

fn quorum(value: Value) -> Read<u8> {
    let quorum = integer(1, AGENCY_KEYS_MAX as i64)(value)?;
    Ok(u8::try_from(quorum).expect("in range"))
}

fn small(number: u8) -> Value {
    Value::Number(Number::from_i64(number.into()).expect("a small number"))
}

fn role(value: Value) -> Read<Role> {
    let word = text(value)?;
    let role = [Role::Officer, Role::Publisher].into_iter().find(|role| role.as_str() == word);
    role.ok_or_else(|| wrong_word("officer, publisher"))
}

/// A reader of keys that are named after the agency.
fn key_of(agency: &AgencyId) -> impl Fn(Value) -> Read<VerifierKey> {
    move |value| {
        let key = verifier_key(value)?;
        if agency.owns_key_name(key.name().as_str()) { Ok(key) } else { Err(Form::KeyName.into()) }
    }
}

fn keys_of(agency: &AgencyId, least: usize) -> impl Fn(Value) -> Read<Vec<VerifierKey>> {
    move |value| sorted(list(least, AGENCY_KEYS_MAX, key_of(agency))(value)?, ToString::to_string)
}

fn grants(agency: &AgencyId, least: usize) -> impl Fn(Value) -> Read<Vec<KeyGrant>> {
    let grant = move |value| {
        let mut fields = Fields::new(value)?;
        let grant =
            KeyGrant { key: fields.required("key", key_of(agency))?, role: fields.required("role", role)? };
        fields.finish().map(|()| grant)
    };
    // A name has one live key, so that an officer with two keys does not count as two.
    move |value| {
        let grants = list(least, AGENCY_KEYS_MAX, &grant)(value)?;
        sorted(grants, |grant| grant.key.name().clone())
    }
}

fn write_grants(grants: &[KeyGrant]) -> Value {
    let grant = |grant: &KeyGrant| {
        let mut out = Object::new();
        out.insert("key", grant.key.to_string());
        out.insert("role", grant.role.as_str());
        Value::Object(out)
    };
    Value::List(grants.iter().map(grant).collect())
}

fn write_keys(keys: &[VerifierKey]) -> Value {
    Value::List(keys.iter().map(|key| Value::Text(key.to_string())).collect())
}

impl Genesis {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let registrar: AgencyId = fields.required("registrar", parsed)?;
        let genesis = Self {
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            title: fields.required("title", parsed)?,
            keys: KeySet::read(&mut fields, &registrar)?,
            registrar,
        };
        fields.finish().map(|()| genesis)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("at", self.at.to_string());
        out.insert("log", self.log.as_str());
        out.insert("registrar", self.registrar.as_str());
        out.insert("title", self.title.as_str());
        self.keys.write(&mut out);
        out
    }
}

impl Agency {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let agency: AgencyId = fields.required("agency", parsed)?;
        let word = fields.required("action", text)?;
        let body = Self {
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            previous: fields.required("previous", previous)?,
            action: AgencyAction::read(&word, &mut fields, &agency)?,
            agency,
        };
        fields.finish().map(|()| body)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("action", self.action.as_str());
        out.insert("agency", self.agency.as_str());
        out.insert("at", self.at.to_string());
        out.insert("log", self.log.as_str());
        put_previous(&mut out, self.previous);
        self.action.write(&mut out);
        out
    }
}

impl AgencyAction {
    fn read(word: &str, fields: &mut Fields, agency: &AgencyId) -> Read<Self> {
        Ok(match word {
            "enrol" => {
                Self::Enrol { title: fields.required("title", parsed)?, keys: KeySet::read(fields, agency)? }
            }
            "rotate" => Self::Rotate {
                add: fields.required("add", grants(agency, 0))?,
                retire: fields.required("retire", keys_of(agency, 0))?,
                quorum: fields.required("quorum", quorum)?,
                recovery: fields.optional("recovery", key_of(agency))?,
            },
            "revoke" => Self::Revoke {
                keys: fields.required("keys", keys_of(agency, 1))?,
                reason: fields.required("reason", parsed)?,
            },
            "recover" => Self::Recover {
                keys: KeySet::read(fields, agency)?,
                reason: fields.required("reason", parsed)?,
            },
            "delegate" => Self::Delegate {
                key: fields.required("key", key_of(agency))?,
                registers: fields.required("registers", |value| {
                    sorted(list(1, DELEGATED_REGISTERS_MAX, parsed::<RegisterId>)(value)?, Clone::clone)
                })?,
                until: fields.required("until", parsed)?,
            },
            _ => {
                return Err(wrong_word("enrol, rotate, revoke, recover, delegate").within("action"));
            }
        })
    }

    fn write(&self, out: &mut Object) {
        match self {
            Self::Enrol { title, keys } => {
                out.insert("title", title.as_str());
                keys.write(out);
            }
            Self::Rotate { add, retire, quorum, recovery } => {
                out.insert("add", write_grants(add));
                out.insert("retire", write_keys(retire));
                out.insert("quorum", small(*quorum));
                if let Some(key) = recovery {
                    out.insert("recovery", key.to_string());
                }
            }
            Self::Revoke { keys, reason } => {
                out.insert("keys", write_keys(keys));
                out.insert("reason", reason.as_str());
            }
            Self::Recover { keys, reason } => {
                keys.write(out);
                out.insert("reason", reason.as_str());
            }
            Self::Delegate { key, registers, until } => {
                let registers = registers.iter().map(|register| Value::from(register.as_str()));
                out.insert("key", key.to_string());
                out.insert("registers", Value::List(registers.collect()));
                out.insert("until", until.to_string());
            }
        }
    }
}

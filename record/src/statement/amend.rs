//! Bodies of `tombstone` and `dispute`: what is said later about entries that stay.

use std::fmt;
use std::str::FromStr;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, Origin};
use tlog::vkey::VerifierKey;

use super::fields::{Fields, Read, hash, integer, list, origin, parsed, previous, sorted, verifier_key};
use super::put_previous;
use crate::ids::{AgencyId, Form, Line, Reason, RecordKey, RegisterId};
use crate::json::{INTEGER_MAX, Number, Object, Value, escape_segment};
use crate::time::UtcTime;

/// Most things that one tombstone erases.
pub const ERASED_MAX: usize = 512;

/// An entry, by its place and its leaf hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef {
    /// Where it stands.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// Something that was erased, as a JSON Pointer into the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Erased {
    /// `/attachments/<name>`
    Attachment(Line),
    /// `/erasable/<field>`
    Field(Line),
    /// `/sealed`: every sealed value.
    AllSealed,
    /// `/sealed/<field>`
    Sealed(Line),
}

/// The body of `tombstone`: values of a version were destroyed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose record.
    pub agency: AgencyId,
    /// In which register.
    pub register: RegisterId,
    /// Under which key.
    pub key: RecordKey,
    /// When the tombstone was written.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// The leaf hash of the tombstone of the same entry before.
    pub previous: Option<Hash>,
    /// The version whose values are gone.
    pub entry: EntryRef,
    /// What is gone, sorted by its text.
    pub erased: Vec<Erased>,
    /// The legal basis.
    pub basis: Reason,
}

/// The body of `dispute`: an agency disowns what a stolen key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Which agency.
    pub agency: AgencyId,
    /// When the dispute was written.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// The leaf hash of the agency's dispute before.
    pub previous: Option<Hash>,
    /// The stolen key, which signs no more.
    pub key: VerifierKey,
    /// The first index that is disowned.
    pub from: LeafIndex,
    /// The index after the last one.
    pub to: LeafIndex,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(name) => write!(f, "/attachments/{}", escape_segment(name.as_str())),
            Self::Field(name) => write!(f, "/erasable/{}", escape_segment(name.as_str())),
            Self::AllSealed => f.write_str("/sealed"),
            Self::Sealed(name) => write!(f, "/sealed/{}", escape_segment(name.as_str())),
        }
    }
}

impl FromStr for Erased {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        if text == "/sealed" {
            return Ok(Self::AllSealed);
        }
        let (room, segment) =
            text.strip_prefix('/').and_then(|rest| rest.split_once('/')).ok_or(Form::Erased)?;
        let name = segment.replace("~1", "/").replace("~0", "~");
        let name: Line = name.parse().map_err(|_| Form::Erased)?;
        let erased = match room {
            "attachments" => Self::Attachment(name),
            "erasable" => Self::Field(name),
            "sealed" => Self::Sealed(name),
            _ => return Err(Form::Erased),
        };
        if erased.to_string() == text { Ok(erased) } else { Err(Form::Erased) }
    }
}

fn index(value: Value) -> Read<LeafIndex> {
    let index = integer(0, INTEGER_MAX)(value)?;
    Ok(LeafIndex::new(u64::try_from(index).expect("not negative")).expect("below 2^63-1"))
}

/// Indexes beyond 2^53 - 1 have no JSON form here; a log does not reach them.
fn write_index(index: LeafIndex) -> Value {
    let index = i64::try_from(index.get()).ok().and_then(Number::from_i64);
    Value::Number(index.expect("a log has fewer than 2^53 entries"))
}

impl EntryRef {
    fn read(value: Value) -> Read<Self> {
        let mut fields = Fields::new(value)?;
        let entry = Self { index: fields.required("index", index)?, leaf: fields.required("leaf", hash)? };
        fields.finish().map(|()| entry)
    }

    fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("index", write_index(self.index));
        out.insert("leaf", self.leaf.to_string());
        out
    }
}

impl Tombstone {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let erased = |value| sorted(list(1, ERASED_MAX, parsed::<Erased>)(value)?, ToString::to_string);
        let tombstone = Self {
            agency: fields.required("agency", parsed)?,
            register: fields.required("register", parsed)?,
            key: fields.required("key", parsed)?,
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            previous: fields.required("previous", previous)?,
            entry: fields.required("entry", EntryRef::read)?,
            erased: fields.required("erased", erased)?,
            basis: fields.required("basis", parsed)?,
        };
        fields.finish().map(|()| tombstone)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("agency", self.agency.as_str());
        out.insert("at", self.at.to_string());
        out.insert("basis", self.basis.as_str());
        out.insert("entry", self.entry.write());
        let erased = self.erased.iter().map(|erased| Value::Text(erased.to_string()));
        out.insert("erased", Value::List(erased.collect()));
        out.insert("key", self.key.as_str());
        out.insert("log", self.log.as_str());
        put_previous(&mut out, self.previous);
        out.insert("register", self.register.as_str());
        out
    }
}

impl Dispute {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let dispute = Self {
            agency: fields.required("agency", parsed)?,
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            previous: fields.required("previous", previous)?,
            key: fields.required("key", verifier_key)?,
            from: fields.required("from", index)?,
            to: fields.required("to", index)?,
            reason: fields.required("reason", parsed)?,
        };
        fields.finish().map(|()| dispute)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("agency", self.agency.as_str());
        out.insert("at", self.at.to_string());
        out.insert("from", write_index(self.from));
        out.insert("key", self.key.to_string());
        out.insert("log", self.log.as_str());
        put_previous(&mut out, self.previous);
        out.insert("reason", self.reason.as_str());
        out.insert("to", write_index(self.to));
        out
    }
}

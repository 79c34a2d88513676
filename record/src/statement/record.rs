//! The body of `record`: one version of what a register says under a key.
//!
//! `public` is in the leaf. What may have to be withheld or destroyed is not: `sealed` is the root of a tree of
//! commitments, `erasable` holds a commitment for each field, and an attachment
//! is named by its SHA-256 or by a commitment.

use std::collections::BTreeMap;

use tlog::hash::Hash;
use tlog::ids::Origin;

use super::fields::{
    FieldError, Fields, Problem, Read, encode_hex, hash, integer, list, nonce, object, origin,
};
use super::fields::{parsed, previous, sorted, text, wrong_word};
use super::put_previous;
use super::register::FIELDS_MAX;
use crate::ids::{AgencyId, Form, Line, RecordKey, RegisterId};
use crate::json::{INTEGER_MAX, Number, Object, Value};
use crate::time::UtcTime;

/// Most attachments of one version.
pub const ATTACHMENTS_MAX: usize = 64;
/// Fewest leaves of a sealed tree: fewer sealed fields look like these many.
pub const SEALED_LEAVES_MIN: u16 = 16;
/// Most leaves of a sealed tree.
pub const SEALED_LEAVES_MAX: u16 = 1024;

/// The body of `record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub agency: AgencyId,
    /// In which register.
    pub register: RegisterId,
    /// Under which key.
    pub key: RecordKey,
    /// The time that the agency gives this version.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// The leaf hash of the version before.
    pub previous: Option<Hash>,
    /// What the version says; none withdraws the record.
    pub content: Option<Content>,
}

/// What a version of a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// A title for people, never where keys are opaque.
    pub title: Option<Line>,
    /// The schema that the register asks for.
    pub schema: Option<Line>,
    /// What everybody may read for ever.
    pub public: Object,
    /// The root over the sealed fields.
    pub sealed: Option<Sealed>,
    /// Commitments to erasable fields, by name.
    pub erasable: BTreeMap<String, Hash>,
    /// Files, sorted by name.
    pub attachments: Vec<Attachment>,
}

/// The commitment to all sealed fields of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// How many leaves the tree was padded to: a power of two.
    pub leaves: u16,
    /// Binds every commitment to this version.
    pub nonce: [u8; 16],
    /// The root.
    pub root: Hash,
}

/// A file that belongs to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, unique in the version.
    pub name: Line,
    /// Its media type.
    pub media: Line,
    /// Its length in bytes.
    pub bytes: u64,
    /// Which file it is.
    pub content: AttachmentContent,
}

/// How an attachment is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentContent {
    /// By the SHA-256 of its bytes.
    Public(Hash),
    /// By a commitment, which says nothing once the key is destroyed.
    Erasable(Hash),
}

impl Sealed {
    fn read(value: Value) -> Read<Self> {
        let mut fields = Fields::new(value)?;
        let leaves = |value| {
            let range = (SEALED_LEAVES_MIN.into(), SEALED_LEAVES_MAX.into());
            let leaves = u16::try_from(integer(range.0, range.1)(value)?).expect("in range");
            let problem = Problem::Conflict("is not a power of two");
            if leaves.is_power_of_two() { Ok(leaves) } else { Err(FieldError::from(problem)) }
        };
        let sealed = Self {
            leaves: fields.required("leaves", leaves)?,
            nonce: fields.required("nonce", nonce)?,
            root: fields.required("root", hash)?,
        };
        fields.finish().map(|()| sealed)
    }

    fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("leaves", count(self.leaves.into()));
        out.insert("nonce", encode_hex(&self.nonce));
        out.insert("root", self.root.to_string());
        out
    }
}

pub(crate) fn count(number: i64) -> Value {
    Value::Number(Number::from_i64(number).expect("in range"))
}

pub(crate) fn media(value: Value) -> Read<Line> {
    let media: Line = parsed(value)?;
    let token = |text: &str| {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let good = media.as_str().split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if good { Ok(media) } else { Err(Form::Media.into()) }
}

impl Attachment {
    fn read(value: Value) -> Read<Self> {
        let mut fields = Fields::new(value)?;
        let bytes = fields.required("bytes", integer(0, INTEGER_MAX))?;
        let public = fields.optional("sha256", hash)?.map(AttachmentContent::Public);
        let erasable = fields.optional("commitment", hash)?.map(AttachmentContent::Erasable);
        let content = match (public, erasable) {
            (Some(content), None) | (None, Some(content)) => content,
            (None, None) => return Err(FieldError::at("sha256", Problem::Missing)),
            (Some(_), Some(_)) => {
                let problem = Problem::Conflict("stands beside sha256; an attachment has one of them");
                return Err(FieldError::at("commitment", problem));
            }
        };
        let attachment = Self {
            name: fields.required("name", parsed)?,
            media: fields.required("media", media)?,
            bytes: u64::try_from(bytes).expect("not negative"),
            content,
        };
        fields.finish().map(|()| attachment)
    }

    fn write(&self) -> Value {
        let mut out = Object::new();
        out.insert("bytes", count(i64::try_from(self.bytes).expect("at most 2^53-1")));
        out.insert("media", self.media.as_str());
        out.insert("name", self.name.as_str());
        match self.content {
            AttachmentContent::Public(hash) => out.insert("sha256", hash.to_string()),
            AttachmentContent::Erasable(hash) => out.insert("commitment", hash.to_string()),
        };
        Value::Object(out)
    }
}

fn commitments(value: Value) -> Read<BTreeMap<String, Hash>> {
    let members = object(value)?;
    if !(1..=FIELDS_MAX).contains(&members.len()) {
        return Err(Problem::Count { found: members.len(), least: 1, most: FIELDS_MAX }.into());
    }
    let commitment = |(name, value): (String, Value)| {
        let read = name.parse::<Line>().map_err(FieldError::from).and_then(|_| hash(value));
        read.map_err(|error| error.within(&name)).map(|hash| (name, hash))
    };
    members.into_iter().map(commitment).collect()
}

impl Content {
    fn read(fields: &mut Fields) -> Read<Self> {
        let attachments = |value| {
            sorted(list(1, ATTACHMENTS_MAX, Attachment::read)(value)?, |attachment: &Attachment| {
                attachment.name.clone()
            })
        };
        Ok(Self {
            title: fields.optional("title", parsed)?,
            schema: fields.optional("schema", parsed)?,
            public: fields.required("public", object)?,
            sealed: fields.optional("sealed", Sealed::read)?,
            erasable: fields.optional("erasable", commitments)?.unwrap_or_default(),
            attachments: fields.optional("attachments", attachments)?.unwrap_or_default(),
        })
    }

    fn write(&self, out: &mut Object) {
        for (name, line) in [("title", &self.title), ("schema", &self.schema)] {
            if let Some(line) = line {
                out.insert(name, line.as_str());
            }
        }
        out.insert("public", self.public.clone());
        if let Some(sealed) = &self.sealed {
            out.insert("sealed", sealed.write());
        }
        if !self.erasable.is_empty() {
            let commitments = self.erasable.iter();
            let commitments = commitments.map(|(name, hash)| (name.clone(), Value::Text(hash.to_string())));
            out.insert("erasable", commitments.collect::<Object>());
        }
        if !self.attachments.is_empty() {
            out.insert("attachments", Value::List(self.attachments.iter().map(Attachment::write).collect()));
        }
    }
}

impl Record {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let withdraws = |value| match text(value)?.as_str() {
            "withdraw" => Ok(()),
            "put" => Err(Problem::Redundant.into()),
            _ => Err(wrong_word("withdraw")),
        };
        let withdrawn = fields.optional("action", withdraws)?.is_some();
        let record = Self {
            agency: fields.required("agency", parsed)?,
            register: fields.required("register", parsed)?,
            key: fields.required("key", parsed)?,
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            previous: fields.required("previous", previous)?,
            content: if withdrawn { None } else { Some(Content::read(&mut fields)?) },
        };
        fields.finish().map(|()| record)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("agency", self.agency.as_str());
        out.insert("at", self.at.to_string());
        out.insert("key", self.key.as_str());
        out.insert("log", self.log.as_str());
        put_previous(&mut out, self.previous);
        out.insert("register", self.register.as_str());
        match &self.content {
            Some(content) => content.write(&mut out),
            None => {
                out.insert("action", "withdraw");
            }
        }
        out
    }
}

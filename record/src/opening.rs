//! What opens a commitment: a value, and the salt without which nobody can guess it.
//!
//! A [`Salt`] is 256 bits from the caller's random source, drawn anew for each commitment. Values of few bits, an age
//! or a name from a list, stay hidden as long as the salt does.

use std::fmt;

use tlog::hash::Hash;

use crate::ids::Line;
use crate::json::{Object, Value};
use crate::statement::fields::{FieldError, Fields, Problem, Read, encode_hex, hash, parsed};
use crate::statement::register::{FieldType, field_type};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// Random bytes that hide a value. Never in an error or a log: `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Salt([u8; SALT_BYTES]);

impl Salt {
    /// A salt from the caller's random source.
    #[must_use]
    pub fn new(random: [u8; SALT_BYTES]) -> Self {
        Self(random)
    }

    /// 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        encode_hex(&self.0)
    }

    pub(crate) fn read(value: Value) -> Read<Self> {
        hash(value).map(|hash| Self(*Hash::as_bytes(&hash)))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A field's value with what opens its commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The field.
    pub name: Line,
    /// Its declared type.
    pub kind: FieldType,
    /// Its value, of that type.
    pub value: Value,
    /// The salt.
    pub salt: Salt,
}

impl Opening {
    pub(crate) fn read(fields: &mut Fields) -> Read<Self> {
        let opening = Self {
            name: fields.required("name", parsed)?,
            kind: fields.required("type", field_type)?,
            value: fields.required("value", Ok)?,
            salt: fields.required("salt", Salt::read)?,
        };
        if opening.kind.admits(&opening.value) {
            Ok(opening)
        } else {
            Err(FieldError::at("value", Problem::Conflict("is not of the type beside it")))
        }
    }

    pub(crate) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("name", self.name.as_str());
        out.insert("salt", self.salt.to_hex());
        out.insert("type", self.kind.as_str());
        out.insert("value", self.value.clone());
        out
    }
}

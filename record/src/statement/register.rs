//! The body of `register`: what a register holds, and what its records must look like.
//!
//! Each field is `public` (in the leaf, for ever), `sealed` (a commitment; the value is shown to whom the agency
//! chooses) or `erasable` (a commitment; the value can be destroyed). A register without declared fields takes any
//! `public` content.

use std::collections::BTreeMap;

use tlog::hash::Hash;
use tlog::ids::Origin;

use super::fields::{FieldError, Fields, Problem, Read, integer, list, object, only_true, origin, parsed};
use super::fields::{previous, sorted, text, wrong_word};
use super::put_previous;
use crate::ids::{AgencyId, Line, RegisterId};
use crate::json::{Number, Object, Value};
use crate::time::{Date, UtcTime};

/// Most fields that a register declares.
pub const FIELDS_MAX: usize = 256;
/// Most officers that each record can ask for.
pub const APPROVALS_MAX: u8 = 16;
/// Most days that a calendar lets pass.
pub const GRACE_DAYS_MAX: u16 = 366;

/// Where a field's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldClass {
    /// In the leaf.
    Public,
    /// Outside, behind a commitment in the sealed tree.
    Sealed,
    /// Outside, behind a commitment of its own.
    Erasable,
}

/// What a field's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// `2026-11-23`
    Date,
    /// A number as a string, `-12.50`, that no reader rounds.
    Decimal,
    /// An integer up to 2^53 - 1 either way.
    Integer,
    /// An array.
    List,
    /// A number.
    Number,
    /// An object.
    Object,
    /// A string.
    String,
    /// `2026-11-23T09:00:00Z`
    Time,
}

/// A declared field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// Where its value is.
    pub class: FieldClass,
    /// What its value is.
    pub kind: FieldType,
    /// Whether every version of a record has it. Never for sealed fields, whose presence is hidden.
    pub required: bool,
}

/// Whether keys say what they name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// They are words, `GB`.
    Public,
    /// They are 128 random bits, because anything else could identify a person.
    Opaque,
}

/// How often something must be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// How often.
    pub every: Period,
    /// The first day it is due.
    pub first: Date,
    /// Days that may pass after it is due.
    pub grace_days: u16,
}

/// The time between two dates of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Every day.
    Day,
    /// Every seventh day.
    Week,
    /// The same day of each month, or its last.
    Month,
    /// Every three months.
    Quarter,
    /// Every year.
    Year,
}

/// The body of `register`. A later one replaces an earlier one as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Whose.
    pub agency: AgencyId,
    /// Which.
    pub register: RegisterId,
    /// When it was written.
    pub at: UtcTime,
    /// The log's origin.
    pub log: Origin,
    /// The leaf hash of the statement about this register before.
    pub previous: Option<Hash>,
    /// Its name for people.
    pub title: Line,
    /// Under which licence its contents may be used.
    pub licence: Line,
    /// How many officers sign each record; 0 leaves it to any one key that may.
    pub approvals: u8,
    /// Whether keys say what they name.
    pub keys: KeyRule,
    /// What every key begins with, unique among agencies, as an OCDS prefix is.
    pub prefix: Option<Line>,
    /// The declared fields; none for any `public` content.
    pub fields: BTreeMap<String, FieldRule>,
    /// The classes that attachments may have, sorted.
    pub attachments: Vec<FieldClass>,
    /// What records name as their schema.
    pub schema: Option<Line>,
    /// When something must be published.
    pub calendar: Option<Calendar>,
}

impl FieldClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Public, Self::Sealed, Self::Erasable];

    /// The word in statements.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Sealed => "sealed",
            Self::Erasable => "erasable",
        }
    }
}

impl FieldType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::Any,
        Self::Boolean,
        Self::Date,
        Self::Decimal,
        Self::Integer,
        Self::List,
        Self::Number,
        Self::Object,
        Self::String,
        Self::Time,
    ];

    /// The word in statements.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::List => "list",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
            Self::Time => "time",
        }
    }

    /// Whether the value is of this type.
    #[must_use]
    pub fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::Boolean, Value::Bool(_))
            | (Self::List, Value::List(_))
            | (Self::Number, Value::Number(_))
            | (Self::Object, Value::Object(_))
            | (Self::String, Value::Text(_)) => true,
            (Self::Integer, Value::Number(number)) => number.as_i64().is_some(),
            (Self::Date, Value::Text(text)) => text.parse::<Date>().is_ok(),
            (Self::Time, Value::Text(text)) => text.parse::<UtcTime>().is_ok(),
            (Self::Decimal, Value::Text(text)) => is_decimal(text),
            _ => false,
        }
    }
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, and not a negative zero.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, fraction) = match unsigned.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (unsigned, None),
    };
    let zero = unsigned.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(digits)
        && !(zero && unsigned.len() < text.len())
}

impl Period {
    const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The word in statements.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

fn class(value: Value) -> Read<FieldClass> {
    let word = text(value)?;
    let class = FieldClass::ALL.into_iter().find(|class| class.as_str() == word);
    class.ok_or_else(|| wrong_word("public, sealed, erasable"))
}

fn attachment_class(value: Value) -> Read<FieldClass> {
    match class(value)? {
        FieldClass::Sealed => Err(wrong_word("public, erasable")),
        class => Ok(class),
    }
}

fn key_rule(value: Value) -> Read<KeyRule> {
    match text(value)?.as_str() {
        "opaque" => Ok(KeyRule::Opaque),
        "public" => Ok(KeyRule::Public),
        _ => Err(wrong_word("opaque, public")),
    }
}

pub(crate) fn field_type(value: Value) -> Read<FieldType> {
    let word = text(value)?;
    let kind = FieldType::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| wrong_word("any, boolean, date, decimal, integer, list, number, object, string, time"))
}

fn field_rule(value: Value) -> Read<FieldRule> {
    let mut fields = Fields::new(value)?;
    let rule = FieldRule {
        class: fields.required("class", class)?,
        kind: fields.required("type", field_type)?,
        required: fields.optional("required", only_true)?.unwrap_or(false),
    };
    fields.finish()?;
    if rule.required && rule.class == FieldClass::Sealed {
        let problem = Problem::Conflict("cannot be demanded: whether a sealed field is there is hidden");
        return Err(FieldError::at("required", problem));
    }
    Ok(rule)
}

fn field_rules(value: Value) -> Read<BTreeMap<String, FieldRule>> {
    let members = object(value)?;
    if members.len() > FIELDS_MAX {
        return Err(Problem::Count { found: members.len(), least: 0, most: FIELDS_MAX }.into());
    }
    let rule = |(name, value): (String, Value)| {
        // A field's name is a line of text, so that it can be shown anywhere.
        let rule = name.parse::<Line>().map_err(FieldError::from).and_then(|_| field_rule(value));
        rule.map_err(|error| error.within(&name)).map(|rule| (name, rule))
    };
    members.into_iter().map(rule).collect()
}

fn calendar(value: Value) -> Read<Calendar> {
    let mut fields = Fields::new(value)?;
    let period = |value| {
        let word = text(value)?;
        let period = Period::ALL.into_iter().find(|period| period.as_str() == word);
        period.ok_or_else(|| wrong_word("day, week, month, quarter, year"))
    };
    let grace_days = fields.required("grace_days", integer(0, GRACE_DAYS_MAX.into()))?;
    let calendar = Calendar {
        every: fields.required("every", period)?,
        first: fields.required("first", parsed)?,
        grace_days: u16::try_from(grace_days).expect("in range"),
    };
    fields.finish().map(|()| calendar)
}

impl Register {
    pub(super) fn read(mut fields: Fields) -> Read<Self> {
        let approvals = fields.required("approvals", integer(0, APPROVALS_MAX.into()))?;
        let attachments =
            |value| sorted(list(1, 2, attachment_class)(value)?, |class: &FieldClass| class.as_str());
        let register = Self {
            agency: fields.required("agency", parsed)?,
            register: fields.required("register", parsed)?,
            at: fields.required("at", parsed)?,
            log: fields.required("log", origin)?,
            previous: fields.required("previous", previous)?,
            title: fields.required("title", parsed)?,
            licence: fields.required("licence", parsed)?,
            approvals: u8::try_from(approvals).expect("in range"),
            keys: fields.required("keys", key_rule)?,
            prefix: fields.optional("prefix", parsed)?,
            fields: fields.required("fields", field_rules)?,
            attachments: fields.optional("attachments", attachments)?.unwrap_or_default(),
            schema: fields.optional("schema", parsed)?,
            calendar: fields.optional("calendar", calendar)?,
        };
        fields.finish()?;
        if register.keys == KeyRule::Opaque && register.prefix.is_some() {
            let problem = Problem::Conflict("cannot begin opaque keys, which are random");
            return Err(FieldError::at("prefix", problem));
        }
        Ok(register)
    }

    pub(super) fn write(&self) -> Object {
        let mut out = Object::new();
        out.insert("agency", self.agency.as_str());
        out.insert("approvals", number(self.approvals.into()));
        out.insert("at", self.at.to_string());
        out.insert("fields", write_rules(&self.fields));
        out.insert("keys", if self.keys == KeyRule::Opaque { "opaque" } else { "public" });
        out.insert("licence", self.licence.as_str());
        out.insert("log", self.log.as_str());
        put_previous(&mut out, self.previous);
        out.insert("register", self.register.as_str());
        out.insert("title", self.title.as_str());
        for (name, line) in [("prefix", &self.prefix), ("schema", &self.schema)] {
            if let Some(line) = line {
                out.insert(name, line.as_str());
            }
        }
        if !self.attachments.is_empty() {
            let classes = self.attachments.iter().map(|class| Value::from(class.as_str()));
            out.insert("attachments", Value::List(classes.collect()));
        }
        if let Some(calendar) = &self.calendar {
            let mut inner = Object::new();
            inner.insert("every", calendar.every.as_str());
            inner.insert("first", calendar.first.to_string());
            inner.insert("grace_days", number(calendar.grace_days));
            out.insert("calendar", inner);
        }
        out
    }
}

fn number(number: u16) -> Value {
    Value::Number(Number::from_i64(number.into()).expect("a small number"))
}

fn write_rules(rules: &BTreeMap<String, FieldRule>) -> Object {
    let rule = |rule: &FieldRule| {
        let mut out = Object::new();
        out.insert("class", rule.class.as_str());
        out.insert("type", rule.kind.as_str());
        if rule.required {
            out.insert("required", true);
        }
        Value::Object(out)
    };
    rules.iter().map(|(name, declared)| (name.clone(), rule(declared))).collect()
}

//! Reads the members of an object into typed values: each once, none left over, every error with its path.
//!
//! A reader is a function from a [`Value`] to a typed value; [`Fields`] gives it the member and prepends the
//! member's name to the path of its error.

use std::str::FromStr;

use tlog::hash::Hash;
use tlog::ids::Origin;
use tlog::vkey::{KeyKind, VerifierKey};

use super::{KIND_CHARS_SHOWN, StatementError};
use crate::ids::Form;
use crate::json::{Object, Value, escape_segment};

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// Nothing reads it.
    #[error("is not a field of this kind of statement")]
    Unknown,
    /// It holds another kind of value.
    #[error("is {found}; expected {expected}")]
    Type {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Its text has not the right form.
    #[error("is not what it should be: {0}")]
    Form(Form),
    /// It is none of the words that may stand there.
    #[error("is none of: {0}")]
    Word(&'static str),
    /// Its number is out of range.
    #[error("is not an integer from {0} to {1}")]
    Range(i64, i64),
    /// A list or object has too few or too many members.
    #[error("has {found} members; {least} to {most} are allowed")]
    Count {
        /// As many as there are.
        found: usize,
        /// No fewer.
        least: usize,
        /// No more.
        most: usize,
    },
    /// The members of a list are not sorted, or one occurs twice.
    #[error("is not sorted, or has a member twice")]
    Order,
    /// A value that says what its absence says: there must be one way to say it.
    #[error("says what its absence says; leave it out")]
    Redundant,
    /// It contradicts another field.
    #[error("{0}")]
    Conflict(&'static str),
}

impl Problem {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "field_missing",
            Self::Unknown => "field_unknown",
            Self::Type { .. } => "field_type",
            Self::Form(form) => form.code(),
            Self::Word(_) => "field_word",
            Self::Range(..) => "field_range",
            Self::Count { .. } => "field_count",
            Self::Order => "field_order",
            Self::Redundant => "field_redundant",
            Self::Conflict(_) => "field_conflict",
        }
    }
}

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {path} {problem}")]
pub struct FieldError {
    /// JSON Pointer into the statement's second line.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

impl From<Problem> for FieldError {
    fn from(problem: Problem) -> Self {
        Self { path: String::new(), problem }
    }
}

impl From<Form> for FieldError {
    fn from(form: Form) -> Self {
        Problem::Form(form).into()
    }
}

impl FieldError {
    /// The same error one level further out.
    pub(crate) fn within(mut self, segment: &str) -> Self {
        self.path = format!("/{}{}", escape_segment(segment), self.path);
        self
    }

    /// A problem of a member.
    pub(crate) fn at(segment: &str, problem: Problem) -> Self {
        Self::from(problem).within(segment)
    }
}

pub(crate) type Read<T> = Result<T, FieldError>;

/// The members of an object that nobody has read yet.
#[derive(Debug)]
pub(crate) struct Fields(Object);

impl Fields {
    pub(crate) fn new(value: Value) -> Read<Self> {
        object(value).map(Self)
    }

    /// The members of a document: its kind in the first line, canonical JSON in the second, and no more.
    pub(crate) fn of_text(kind: &str, text: &str) -> Result<Self, StatementError> {
        let lines = text.split('\n').count();
        let (first, rest) = text.split_once('\n').ok_or(StatementError::Lines(lines))?;
        if first != kind {
            return Err(StatementError::Kind(first.chars().take(KIND_CHARS_SHOWN).collect()));
        }
        let json = rest.strip_suffix('\n').filter(|json| !json.contains('\n'));
        Ok(Self::new(Value::parse(json.ok_or(StatementError::Lines(lines))?)?)?)
    }

    pub(crate) fn optional<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Read<Option<T>> {
        let member = self.0.remove(name).map(read).transpose();
        member.map_err(|error| error.within(name))
    }

    pub(crate) fn required<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Read<T>) -> Read<T> {
        self.optional(name, read)?.ok_or_else(|| FieldError::at(name, Problem::Missing))
    }

    pub(crate) fn finish(self) -> Read<()> {
        let left = self.0.iter().next();
        left.map_or(Ok(()), |(name, _)| Err(FieldError::at(name, Problem::Unknown)))
    }
}

/// None of the words that may stand there.
pub(crate) fn wrong_word(words: &'static str) -> FieldError {
    Problem::Word(words).into()
}

fn wrong_type<T>(expected: &'static str, value: &Value) -> Read<T> {
    Err(Problem::Type { expected, found: value.kind() }.into())
}

pub(crate) fn object(value: Value) -> Read<Object> {
    if let Value::Object(object) = value { Ok(object) } else { wrong_type("an object", &value) }
}

pub(crate) fn text(value: Value) -> Read<String> {
    if let Value::Text(text) = value { Ok(text) } else { wrong_type("a string", &value) }
}

/// Any of our own types that parse from text.
pub(crate) fn parsed<T: FromStr<Err = Form>>(value: Value) -> Read<T> {
    Ok(text(value)?.parse()?)
}

pub(crate) fn hash(value: Value) -> Read<Hash> {
    text(value)?.parse().map_err(|_| Form::Hash.into())
}

/// A hash, or null for none.
pub(crate) fn previous(value: Value) -> Read<Option<Hash>> {
    if value == Value::Null { Ok(None) } else { hash(value).map(Some) }
}

pub(crate) fn origin(value: Value) -> Read<Origin> {
    text(value)?.parse().map_err(|_| Form::Origin.into())
}

pub(crate) fn nonce(value: Value) -> Read<[u8; 16]> {
    decode_nonce(&text(value)?).ok_or_else(|| Form::Nonce.into())
}

pub(crate) fn decode_nonce(hex: &str) -> Option<[u8; 16]> {
    // A hash's parser reads hex of twice the length.
    let doubled: Hash = format!("{hex}{hex}").parse().ok()?;
    doubled.as_bytes().first_chunk().copied()
}

pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A verifier key that may sign statements.
pub(crate) fn verifier_key(value: Value) -> Read<VerifierKey> {
    let key: VerifierKey = text(value)?.parse().map_err(|_| FieldError::from(Form::VerifierKey))?;
    match key.kind() {
        KeyKind::Ed25519 | KeyKind::EcdsaP256 => Ok(key),
        _ => Err(Form::VerifierKey.into()),
    }
}

/// A reader of integers in a range.
pub(crate) fn integer(least: i64, most: i64) -> impl Fn(Value) -> Read<i64> {
    move |value| {
        let Value::Number(number) = value else { return wrong_type("an integer", &value) };
        let integer = number.as_i64().filter(|integer| (least..=most).contains(integer));
        integer.ok_or_else(|| Problem::Range(least, most).into())
    }
}

/// A reader of `true`, for what is false unless it is there.
pub(crate) fn only_true(value: Value) -> Read<bool> {
    match value {
        Value::Bool(true) => Ok(true),
        Value::Bool(false) => Err(Problem::Redundant.into()),
        other => wrong_type("true", &other),
    }
}

/// A reader of lists.
pub(crate) fn list<T>(
    least: usize,
    most: usize,
    read: impl Fn(Value) -> Read<T>,
) -> impl Fn(Value) -> Read<Vec<T>> {
    move |value| {
        let Value::List(items) = value else { return wrong_type("an array", &value) };
        if !(least..=most).contains(&items.len()) {
            return Err(Problem::Count { found: items.len(), least, most }.into());
        }
        let items = items.into_iter().enumerate();
        items.map(|(at, item)| read(item).map_err(|error| error.within(&at.to_string()))).collect()
    }
}

/// A list of which each member sorts after the one before.
pub(crate) fn sorted<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> Read<Vec<T>> {
    let ascending = items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]));
    if ascending { Ok(items) } else { Err(Problem::Order.into()) }
}

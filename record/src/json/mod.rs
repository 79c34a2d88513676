//! JSON with one form: RFC 8785, and nothing that two readers could understand differently.
//!
//! [`Value::parse`] accepts exactly the bytes that [`Value::to_text`] gives back: no white space, members
//! sorted by UTF-16 code units, the shortest escapes, numbers as ECMAScript writes them. Beyond RFC 8785 it
//! refuses integers that a double cannot hold exactly (beyond 2^53 - 1), so that no reader ever rounds.
//!
//! ```
//! use record::json::Value;
//! let text = r#"{"a":[1,2.5,"\n"],"b":null}"#;
//! assert_eq!(Value::parse(text).unwrap().to_text(), text);
//! assert!(Value::parse(r#"{"b":1,"a":1}"#).is_err());
//! ```
//!
//! What people and other programs write is read with [`Value::read`], in whatever form, as long as it says one thing: no name
//! twice in an object, no number that the canonical form would round.
//!
//! Our own type and not `serde_json::Value`, whose numbers and order depend on features that any crate of a
//! build can switch on. Conversions to and from it are at the end.

mod parse;
mod write;

use std::cmp::Ordering;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// The largest integer that is accepted, 2^53 - 1, and with a minus sign the smallest.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;
/// How deep values nest.
pub const DEPTH_LEVELS_MAX: usize = 32;

/// Why text is not canonical JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonProblem {
    /// Not JSON at all.
    #[error("not JSON")]
    Syntax,
    /// JSON with white space between its parts.
    #[error("white space, which the canonical form has none of")]
    WhiteSpace,
    /// A character is escaped that need not be, or in another way.
    #[error("an escape that the canonical form writes differently")]
    Escape,
    /// A member name stands before one that sorts first.
    #[error("member names that are not sorted by UTF-16 code units")]
    Order,
    /// A member name occurs twice.
    #[error("a member name that occurs twice")]
    Duplicate,
    /// A number is written in another way than its value is.
    #[error("a number that the canonical form writes differently")]
    Number,
    /// An integer beyond 2^53 - 1, or a number beyond a double.
    #[error("a number that not every reader can hold; write integers beyond 2^53-1 as strings")]
    NumberRange,
    /// A number of which a double keeps not all digits. Never of canonical text, where it is [`JsonProblem::Number`].
    #[error("a number with more digits than every reader keeps; round it, or write it as a string")]
    NumberDigits,
    /// An escape that is half of a character. Never of canonical text, where it is [`JsonProblem::Escape`].
    #[error("an escape that is one half of a surrogate pair, which is no character")]
    Surrogate,
    /// Nested deeper than [`DEPTH_LEVELS_MAX`].
    #[error("values nested deeper than {DEPTH_LEVELS_MAX} levels")]
    Depth,
}

impl JsonProblem {
    /// The metric label.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "json",
            Self::WhiteSpace => "json_white_space",
            Self::Escape => "json_escape",
            Self::Order => "json_order",
            Self::Duplicate => "json_duplicate",
            Self::Number => "json_number",
            Self::NumberRange => "json_number_range",
            Self::NumberDigits => "json_number_digits",
            Self::Surrogate => "json_surrogate",
            Self::Depth => "json_depth",
        }
    }
}

/// Where text stops being JSON of the form that was asked for, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// JSON Pointer (RFC 6901) to the innermost value or member that was being read.
    pub path: String,
    /// Byte offset in the text.
    pub offset: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

impl std::error::Error for JsonError {}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the top" } else { &self.path };
        write!(f, "{} at {path}, byte {}", self.problem, self.offset)
    }
}

/// A finite number that is not an integer beyond 2^53 - 1; zero has no sign.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(f64);

impl Eq for Number {}

impl Number {
    /// A number, unless JSON's canonical form cannot carry it safely.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        let safe = value.is_finite() && (value.fract() != 0.0 || value.abs() <= INTEGER_MAX as f64);
        safe.then_some(Self(if value == 0.0 { 0.0 } else { value }))
    }

    /// An integer, up to [`INTEGER_MAX`] either way.
    #[must_use]
    pub fn from_i64(value: i64) -> Option<Self> {
        (-INTEGER_MAX..=INTEGER_MAX).contains(&value).then_some(Self(value as f64))
    }

    /// The value.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0
    }

    /// The value if it is an integer.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        (self.0.fract() == 0.0).then_some(self.0 as i64)
    }
}

impl fmt::Display for Number {
    /// As ECMAScript's `Number::toString` writes it, which is what RFC 8785 asks for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write::number(self.0, &mut text);
        f.write_str(&text)
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Object),
}

/// Members by name, sorted by UTF-16 code units, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(String, Value)>);

impl Value {
    /// Parses canonical text.
    ///
    /// # Errors
    /// [`JsonError`] for text that [`Value::to_text`] would write differently, with the place.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        parse::parse(text)
    }

    /// Reads JSON in whatever form: white space, any order of members, any escapes, numbers written as `1.0` or `1e2`.
    ///
    /// ```
    /// use record::json::Value;
    /// assert_eq!(Value::read("{\"b\": 100.00, \"a\": 1e-1}").unwrap().to_text(), "{\"a\":0.1,\"b\":100}");
    /// assert!(Value::read("{\"a\": 1, \"a\": 2}").is_err());
    /// assert!(Value::read("0.1000000000000000001").is_err());
    /// ```
    ///
    /// # Errors
    /// [`JsonError`] for a name that occurs twice in an object and for a number that the canonical form would change:
    /// whatever is read says in [`Value::to_text`] what it said.
    pub fn read(text: &str) -> Result<Self, JsonError> {
        parse::read(text)
    }

    /// The canonical text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        write::value(self, &mut out);
        out
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// From a document that another reader has read. Names that occurred twice and digits that a double has no room for are
    /// gone by then; what a submitter has at hand is read with [`Value::read`].
    ///
    /// # Errors
    /// [`JsonError`] for numbers and depths that have no canonical form here; its offset is 0.
    pub fn from_serde(value: &serde_json::Value) -> Result<Self, JsonError> {
        from_serde(value, 0)
    }
}

fn from_serde(value: &serde_json::Value, depth: usize) -> Result<Value, JsonError> {
    let error = |problem| JsonError { path: String::new(), offset: 0, problem };
    if depth > DEPTH_LEVELS_MAX {
        return Err(error(JsonProblem::Depth));
    }
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => {
            let number = number.as_f64().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| error(JsonProblem::NumberRange))?)
        }
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => {
            let items = items.iter().enumerate();
            let list: Result<_, _> = items
                .map(|(at, item)| from_serde(item, depth + 1).map_err(|error| within(error, &at.to_string())))
                .collect();
            Value::List(list?)
        }
        serde_json::Value::Object(members) => {
            let mut object = Object::default();
            for (name, member) in members {
                let member = from_serde(member, depth + 1).map_err(|error| within(error, name))?;
                object.insert(name.clone(), member);
            }
            Value::Object(object)
        }
    })
}

/// The same error one level further out.
fn within(mut error: JsonError, segment: &str) -> JsonError {
    error.path = format!("/{}{}", escape_segment(segment), error.path);
    error
}

/// A member name as a segment of a JSON Pointer.
#[must_use]
pub fn escape_segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl Object {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.binary_search_by(|(other, _)| compare_names(other, name)).ok().map(|at| &self.0[at].1)
    }

    /// Sets a member, and gives back what it was.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (name.into(), value.into());
        match self.0.binary_search_by(|(other, _)| compare_names(other, &name)) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.binary_search_by(|(other, _)| compare_names(other, name)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a member that sorts after all others; gives the name back with what stands in the way.
    fn push_last(&mut self, name: String, value: Value) -> Result<(), (String, JsonProblem)> {
        match self.0.last().map(|(last, _)| compare_names(last, &name)) {
            None | Some(Ordering::Less) => {
                self.0.push((name, value));
                Ok(())
            }
            Some(_) if self.get(&name).is_some() => Err((name, JsonProblem::Duplicate)),
            Some(_) => Err((name, JsonProblem::Order)),
        }
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        let mut object = Self::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The order of RFC 8785, section 3.2.3: by UTF-16 code units.
fn compare_names(a: &str, b: &str) -> Ordering {
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => match number.as_i64() {
                Some(integer) => serializer.serialize_i64(integer),
                None => serializer.serialize_f64(number.as_f64()),
            },
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(object) => object.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

#[cfg(test)]
mod tests;

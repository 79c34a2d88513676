//! One record as the clerk wrote it, and the statement's body that it becomes.
//!
//! In full, `{"key":"GB","title":"..","public":{..},"sealed":{..},"erasable":{..},"attachments":[..]}` or
//! `{"key":"GB","action":"withdraw"}`; or flat, one object of fields, which are put where the register's definition says.
//!
//! What the register does not declare, or declares as less public than it was written, is refused here: it must not
//! leave the house. Everything else the log judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use record::ids::{Line, RecordKey};
use record::json::{JsonProblem, Object, Value};
use record::statement::{Attachment, AttachmentContent, FieldClass, FieldType, KeyRule, Record, Register};
use record::time::UtcTime;
use tlog::hash::{Hash, sha256};

use super::mapping::Mapping;
use super::{files, json};

/// The members of a record that is written in full.
const MEMBERS: [&str; 9] =
    ["action", "at", "attachments", "erasable", "key", "previous", "public", "sealed", "title"];
/// Those that show that it is.
const MARKS: [&str; 5] = ["action", "attachments", "erasable", "public", "sealed"];
const ATTACHMENT_MEMBERS: [&str; 4] = ["class", "file", "media", "name"];
const NEEDS_NAME: &str = "needs a `name`: it is in the log for ever, and the file's own could say whose it is. Give it one that says \
    what it is and not whose, such as \"application.pdf\"";
/// What to do about a key that says whose record it is.
pub const KEY_NOT_OPAQUE: &str = "the register's keys are opaque, 32 hex digits that were drawn at random: leave the key of a \
    new record out, and one is drawn; for a record that is in the log, give the one it has. Nothing was sent";
const MEDIA_DEFAULT: &str = "application/octet-stream";

/// Why something is no record of this register.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct EntryError {
    /// JSON Pointer to what is wrong, or a column.
    pub path: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

fn wrong(path: impl Into<String>, problem: impl Into<String>) -> EntryError {
    EntryError { path: path.into(), problem: problem.into() }
}

/// A field whose value stays outside the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    /// Sealed or erasable.
    pub class: FieldClass,
    /// Its declared type.
    pub kind: FieldType,
    /// Its value.
    pub value: Value,
}

/// A file that belongs to the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    /// Where it lies.
    pub file: PathBuf,
    /// Its name in the record.
    pub name: Line,
    /// Its media type.
    pub media: Line,
    /// Public or erasable.
    pub class: FieldClass,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// How many there are.
    pub bytes: u64,
}

/// A record to submit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The key; none where it is to be drawn.
    pub key: Option<RecordKey>,
    /// The title.
    pub title: Option<Line>,
    /// The time that it gives itself; none for the time of signing.
    pub at: Option<UtcTime>,
    /// The version that it was written against, if the clerk says so.
    pub previous: Option<Hash>,
    /// Whether it withdraws the record.
    pub withdraws: bool,
    /// Public fields.
    pub public: Object,
    /// Fields outside the tree, by name.
    pub private: BTreeMap<String, Private>,
    /// Files, sorted by name.
    pub enclosed: Vec<Enclosed>,
}

/// Whether an object is a record in full.
fn is_full(object: &Object) -> bool {
    object.iter().all(|(name, _)| MEMBERS.contains(&name))
        && MARKS.iter().any(|name| object.get(name).is_some())
}

fn parsed<T: std::str::FromStr<Err = record::ids::Form>>(
    path: &str,
    value: Option<&Value>,
) -> Result<Option<T>, EntryError> {
    let Some(value) = value.filter(|value| **value != Value::Null) else { return Ok(None) };
    let text = value.as_text().ok_or_else(|| wrong(path, "must be a string"))?;
    text.parse().map(Some).map_err(|form| wrong(path, format!("must be {form}")))
}

impl Entry {
    /// A record from JSON, in full or flat. Attachments are named relative to the folder.
    ///
    /// # Errors
    /// [`EntryError`] names the member.
    pub fn from_json(
        value: &Value,
        register: &Register,
        mapping: &Mapping,
        folder: &Path,
    ) -> Result<Self, EntryError> {
        let object = value.as_object().ok_or_else(|| wrong("", "a record is a JSON object"))?;
        if is_full(object) {
            return Self::full(object, register, folder);
        }
        let cells = object.iter().map(|(name, value)| (name, value.clone()));
        Self::flat(cells, register, mapping, |_, value| Ok(value))
    }

    /// A record from a row of a table. Empty cells are fields that are not there.
    ///
    /// # Errors
    /// [`EntryError`] names the column.
    pub fn from_row<'a>(
        cells: impl Iterator<Item = (&'a str, &'a str)>,
        register: &Register,
        mapping: &Mapping,
    ) -> Result<Self, EntryError> {
        let cells = cells.filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, Value::from(text)));
        Self::flat(cells, register, mapping, |kind, value| match value {
            Value::Text(text) => of_text(kind, &text),
            other => Ok(other),
        })
    }

    fn flat<'a>(
        cells: impl Iterator<Item = (&'a str, Value)>,
        register: &Register,
        mapping: &Mapping,
        typed: impl Fn(FieldType, Value) -> Result<Value, String>,
    ) -> Result<Self, EntryError> {
        let mut entry = Self::default();
        for (column, value) in cells {
            let path = format!("/{column}");
            if column == mapping.key {
                entry.key = parsed(&path, Some(&value))?;
            }
            if mapping.title.as_deref() == Some(column) {
                entry.title = parsed(&path, Some(&value))?;
            }
            for field in mapping.fields_of(column) {
                entry.put_where_declared(&path, &field, value.clone(), register, &typed)?;
            }
        }
        Ok(entry)
    }

    fn put_where_declared(
        &mut self,
        path: &str,
        field: &str,
        value: Value,
        register: &Register,
        typed: &impl Fn(FieldType, Value) -> Result<Value, String>,
    ) -> Result<(), EntryError> {
        let Some(rule) = register.fields.get(field) else {
            if register.fields.is_empty() {
                self.public.insert(field, value);
                return Ok(());
            }
            let declared = register.fields.keys().cloned().collect::<Vec<_>>().join(", ");
            let problem = format!(
                "the register {} declares no field {field:?}; it has {declared}. Leave it out, or map it with --mapping",
                register.register
            );
            return Err(wrong(path, problem));
        };
        let value = typed(rule.kind, value).map_err(|problem| wrong(path, problem))?;
        if !rule.kind.admits(&value) {
            return Err(wrong(path, declared_as(rule.kind)));
        }
        match rule.class {
            FieldClass::Public => {
                self.public.insert(field, value);
            }
            class => {
                self.private.insert(field.to_owned(), Private { class, kind: rule.kind, value });
            }
        }
        Ok(())
    }

    fn full(object: &Object, register: &Register, folder: &Path) -> Result<Self, EntryError> {
        let mut entry = Self {
            key: parsed("/key", object.get("key"))?,
            title: parsed("/title", object.get("title"))?,
            at: parsed("/at", object.get("at"))?,
            ..Self::default()
        };
        if let Some(previous) = object.get("previous").filter(|previous| **previous != Value::Null) {
            let hash = previous.as_text().and_then(|text| text.parse().ok());
            entry.previous =
                Some(hash.ok_or_else(|| wrong("/previous", "must be a leaf hash of 64 hex digits"))?);
        }
        entry.withdraws = match object.get("action").map(Value::as_text) {
            None | Some(Some("put")) => false,
            Some(Some("withdraw")) => true,
            Some(_) => return Err(wrong("/action", "must be \"withdraw\", or left out")),
        };
        for class in FieldClass::ALL {
            entry.read_class(class, object, register)?;
        }
        let enclosed = match object.get("attachments") {
            None => Vec::new(),
            Some(Value::List(items)) => {
                let items = items.iter().enumerate();
                items
                    .map(|(at, item)| enclosed(&format!("/attachments/{at}"), item, register, folder))
                    .collect::<Result<_, _>>()?
            }
            Some(_) => return Err(wrong("/attachments", "must be an array")),
        };
        entry.enclosed = enclosed;
        entry.enclosed.sort_by(|a, b| a.name.cmp(&b.name));
        let says = !entry.public.is_empty() || !entry.private.is_empty() || !entry.enclosed.is_empty();
        match entry.withdraws && (says || entry.title.is_some()) {
            true => Err(wrong("/action", "a withdrawal says nothing else; leave the other members out")),
            false => Ok(entry),
        }
    }

    fn read_class(
        &mut self,
        class: FieldClass,
        object: &Object,
        register: &Register,
    ) -> Result<(), EntryError> {
        let room = format!("/{}", class.as_str());
        let Some(members) = object.get(class.as_str()) else { return Ok(()) };
        let members = members.as_object().ok_or_else(|| wrong(&room, "must be an object"))?;
        for (name, value) in members.iter() {
            let path = format!("{room}/{name}");
            let rule = register.fields.get(name);
            match rule {
                Some(rule) if rule.class != class => {
                    let declared = rule.class.as_str();
                    return Err(wrong(path, format!("the register declares this field as {declared}")));
                }
                None if class != FieldClass::Public => {
                    return Err(wrong(
                        path,
                        format!("the register declares no {} field of this name", class.as_str()),
                    ));
                }
                _ => {}
            }
            if let Some(rule) = rule
                && !rule.kind.admits(value)
            {
                return Err(wrong(path, declared_as(rule.kind)));
            }
            match (class, rule) {
                (FieldClass::Public, _) | (_, None) => {
                    self.public.insert(name, value.clone());
                }
                (class, Some(rule)) => {
                    let private = Private { class, kind: rule.kind, value: value.clone() };
                    self.private.insert(name.to_owned(), private);
                }
            }
        }
        Ok(())
    }

    /// What can be told before anything is sent, and must be: where keys are opaque, a key or a title of another kind could
    /// say whose record it is, and the log need not even be asked about it.
    ///
    /// # Errors
    /// [`EntryError`] if there is no key where one must be given, or one where none may be.
    pub fn check(&self, register: &Register) -> Result<(), EntryError> {
        let is_opaque = register.keys == KeyRule::Opaque;
        if is_opaque && self.title.is_some() {
            let problem = "records of a register with opaque keys have no title, which could say whose they are: leave it out";
            return Err(wrong("/title", problem));
        }
        match &self.key {
            Some(key) if is_opaque && !key.is_opaque() => Err(wrong("/key", KEY_NOT_OPAQUE)),
            None if !is_opaque || self.withdraws => Err(wrong(
                "/key",
                "has no key: give it a member or column `key`, or say with --mapping which one it is",
            )),
            _ => Ok(()),
        }
    }

    /// Whether a version in the log says the same, so that another one would say nothing new. What is outside the tree
    /// cannot be compared, so a record that has such fields never does.
    #[must_use]
    pub fn says_the_same_as(&self, record: &Record) -> bool {
        let Some(content) = &record.content else { return self.withdraws };
        let public = |enclosed: &Enclosed| Attachment {
            name: enclosed.name.clone(),
            media: enclosed.media.clone(),
            bytes: enclosed.bytes,
            content: AttachmentContent::Public(enclosed.sha256),
        };
        let attachments: Vec<Attachment> = self.enclosed.iter().map(public).collect();
        !self.withdraws
            && self.private.is_empty()
            && self.enclosed.iter().all(|file| file.class == FieldClass::Public)
            && content.sealed.is_none()
            && content.erasable.is_empty()
            && content.title == self.title
            && content.public == self.public
            && content.attachments == attachments
            && self.at.is_none_or(|at| at == record.at)
    }
}

fn declared_as(kind: FieldType) -> String {
    format!("the register declares it as {}", kind.as_str())
}

/// A value of this type from a cell of a table.
fn of_text(kind: FieldType, text: &str) -> Result<Value, String> {
    match kind {
        FieldType::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true.into()),
            "false" | "no" | "0" => Ok(false.into()),
            _ => Err(declared_as(kind)),
        },
        FieldType::Integer | FieldType::Number | FieldType::List | FieldType::Object => Value::read(text)
            .map_err(|error| match error.problem {
                JsonProblem::Syntax => declared_as(kind),
                problem => json::in_words(problem),
            }),
        _ => Ok(text.into()),
    }
}

fn enclosed(path: &str, value: &Value, register: &Register, folder: &Path) -> Result<Enclosed, EntryError> {
    let object = value.as_object().ok_or_else(|| wrong(path, "must be an object with `file`"))?;
    if let Some((name, _)) = object.iter().find(|(name, _)| !ATTACHMENT_MEMBERS.contains(name)) {
        return Err(wrong(
            format!("{path}/{name}"),
            format!("is unknown; there are {}", ATTACHMENT_MEMBERS.join(", ")),
        ));
    }
    let named = object.get("file").and_then(Value::as_text);
    let file = folder.join(named.ok_or_else(|| wrong(path, "needs `file`, a path"))?);
    let bytes = files::read(&file).map_err(|error| wrong(format!("{path}/file"), error.to_string()))?;
    let class = match object.get("class").map(Value::as_text) {
        None | Some(Some("public")) => FieldClass::Public,
        Some(Some("erasable")) => FieldClass::Erasable,
        Some(_) => return Err(wrong(format!("{path}/class"), "must be public or erasable")),
    };
    // The name is in the log for ever. A file's own may say whose it is, where somebody may be meant.
    let may_say_whose = register.keys == KeyRule::Opaque || class == FieldClass::Erasable;
    let own = file.file_name().filter(|_| !may_say_whose);
    let own = own.map(|name| Value::from(name.to_string_lossy().into_owned()));
    let name = parsed(&format!("{path}/name"), object.get("name").or(own.as_ref()))?;
    let media: Option<Line> = parsed(&format!("{path}/media"), object.get("media"))?;
    Ok(Enclosed {
        name: name.ok_or_else(|| wrong(path, NEEDS_NAME))?,
        media: media.unwrap_or_else(|| MEDIA_DEFAULT.parse().expect("a line")),
        class,
        sha256: sha256(&bytes),
        bytes: bytes.len() as u64,
        file,
    })
}

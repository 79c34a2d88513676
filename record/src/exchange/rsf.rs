//! Registers in RSF as records with full histories, and back.
//!
//! A user entry is a version: its key, its time as `at`, and its item as `public`, which must be canonical JSON, so
//! that the item's hash can be had again. Where an entry has several items `public` is `{"items":[..]}`. System
//! entries say what the register's title and fields are; on the way back they are left out, since no root covers them.
//!
//! ```text
//! assert-root-hash of nothing, (add-item)* append-entry for each version in the order of the log, assert-root-hash
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};

use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::TreeHead;
use tlog::tree::Frontier;

use super::Version;
use crate::json::{JsonError, Object, Value};
use crate::rsf::{Command, Entry, EntryKind, RsfError, replay};
use crate::statement::{FieldClass, FieldRule, FieldType, Record};

const ITEMS: &str = "items";

/// Why a register cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Not a register whose assertions hold.
    #[error(transparent)]
    Rsf(#[from] RsfError),
    /// An item that the canonical form writes differently: its hash could not be had again.
    #[error("the item sha-256:{0} is not canonical JSON: {1}")]
    Item(Hash, JsonError),
    /// A key or a time that no record can have.
    #[error("user entry {0}: the {1} has no place in a record")]
    Entry(u64, &'static str),
}

/// Why records cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// RSF has no withdrawals.
    #[error("the record {0:?} was withdrawn, which this format cannot say; export it as NDJSON")]
    Withdrawn(String),
    /// A root is asked for that the register does not reach.
    #[error("the root after {0} entries is asked for, and the register has {1}")]
    TooFew(u64, u64),
}

/// A register, as its file says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The title that its system entries give.
    pub title: Option<String>,
    /// The fields that its system entries declare, all public.
    pub fields: BTreeMap<String, FieldRule>,
    /// All versions of all records, in the order of the register.
    pub versions: Vec<Version>,
    /// The user entries and their root.
    pub head: TreeHead,
}

/// Reads a register whose every assertion holds.
///
/// # Errors
/// [`ImportError`].
pub fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    let head = replay(bytes)?.head;
    let mut items: HashMap<Hash, String> = HashMap::new();
    let mut imported = Imported { title: None, fields: BTreeMap::new(), versions: Vec::new(), head };
    let text = std::str::from_utf8(bytes).expect("it was replayed");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        match line.parse().expect("it was replayed") {
            Command::AddItem(json) => {
                items.insert(sha256(json.as_bytes()), json);
            }
            Command::AppendEntry(entry) => {
                let values: Result<Vec<Object>, _> =
                    entry.items.iter().map(|hash| item(*hash, &items[hash])).collect();
                match entry.kind {
                    EntryKind::System => values?.iter().for_each(|item| imported.learn(&entry.key, item)),
                    EntryKind::User => {
                        let version = version(&entry, values?, imported.versions.len() as u64 + 1)?;
                        imported.versions.push(version);
                    }
                }
            }
            Command::AssertRootHash(_) => {}
        }
    }
    Ok(imported)
}

fn item(hash: Hash, json: &str) -> Result<Object, ImportError> {
    match Value::parse(json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => unreachable!("an item is an object, or the line would not have parsed"),
        Err(error) => Err(ImportError::Item(hash, error)),
    }
}

fn version(entry: &Entry, mut items: Vec<Object>, number: u64) -> Result<Version, ImportError> {
    let public = match items.len() {
        1 => items.remove(0),
        _ => {
            let items = items.into_iter().map(Value::Object).collect();
            [(ITEMS.to_owned(), Value::List(items))].into_iter().collect()
        }
    };
    let key = entry.key.parse().map_err(|_| ImportError::Entry(number, "key"))?;
    let at = entry.time.parse().map_err(|_| ImportError::Entry(number, "time"))?;
    Ok(Version { key, at, public })
}

impl Imported {
    /// Takes in what a system entry says.
    fn learn(&mut self, key: &str, item: &Object) {
        let text = |name: &str| item.get(name).and_then(Value::as_text).map(str::to_owned);
        if key == "register-name" {
            self.title = text("register-name").or_else(|| self.title.take());
        } else if key.starts_with("field:")
            && let Some(field) = text("field")
        {
            let many = text("cardinality").as_deref() == Some("n");
            let kind = if many { FieldType::List } else { FieldType::String };
            self.fields.insert(field, FieldRule { class: FieldClass::Public, kind, required: false });
        }
    }
}

/// Writes records, in the order of the log, as a register with its root asserted.
///
/// # Errors
/// [`ExportError::Withdrawn`].
pub fn export<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<(String, TreeHead), ExportError> {
    let (text, heads) = export_asserting(records, &[])?;
    Ok((text, *heads.last().expect("the last root is always asserted")))
}

/// The same with the root asserted also after as many entries as each of `after` says, ascending, and all heads that are
/// asserted: that of the empty register first, that of all entries last.
///
/// # Errors
/// [`ExportError`].
pub fn export_asserting<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    after: &[u64],
) -> Result<(String, Vec<TreeHead>), ExportError> {
    let (mut frontier, mut written) = (Frontier::new(), HashSet::new());
    let mut heads = vec![frontier.head()];
    let mut out = format!("{}\n", Command::AssertRootHash(Hash::EMPTY_ROOT));
    for record in records {
        let content = record.content.as_ref();
        let content = content.ok_or_else(|| ExportError::Withdrawn(record.key.to_string()))?;
        let mut hashes = Vec::new();
        for json in items_of(&content.public) {
            let hash = sha256(json.as_bytes());
            if written.insert(hash) {
                out += &format!("{}\n", Command::AddItem(json));
            }
            hashes.push(hash);
        }
        let (key, time) = (record.key.to_string(), record.at.to_string());
        let entry = Entry { kind: EntryKind::User, key, time, items: hashes };
        let number = frontier.head().size.get() + 1;
        frontier.push(leaf_hash(&entry.leaf(number)), |_, _| ());
        out += &format!("{}\n", Command::AppendEntry(entry));
        if after.binary_search(&number).is_ok() {
            heads.push(frontier.head());
            out += &format!("{}\n", Command::AssertRootHash(frontier.head().root));
        }
    }
    let asserted = heads.last().copied();
    let head = frontier.head();
    if heads.len() == 1 || asserted != Some(head) {
        heads.push(head);
        out += &format!("{}\n", Command::AssertRootHash(head.root));
    }
    let asked = after.iter().find(|asked| !heads.iter().any(|head| head.size.get() == **asked));
    match asked {
        Some(asked) => Err(ExportError::TooFew(*asked, head.size.get())),
        None => Ok((out, heads)),
    }
}

/// The items of a version: several only where [`import`] would have put several.
fn items_of(public: &Object) -> Vec<String> {
    let several = match public.get(ITEMS) {
        Some(Value::List(items)) if public.len() == 1 && items.len() > 1 => Some(items),
        _ => None,
    };
    let several = several.filter(|items| items.iter().all(|item| item.as_object().is_some()));
    several.map_or_else(
        || vec![Value::Object(public.clone()).to_text()],
        |items| items.iter().map(Value::to_text).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tests::world;

    fn file(items: &[&str]) -> String {
        let mut out = format!("{}\n", Command::AssertRootHash(Hash::EMPTY_ROOT));
        for item in items {
            out += &format!("add-item\t{item}\n");
        }
        let hashes: Vec<String> =
            items.iter().map(|item| format!("sha-256:{}", sha256(item.as_bytes()))).collect();
        out + &format!("append-entry\tuser\tGB\t2016-04-05T13:23:05Z\t{}\n", hashes.join(";"))
    }

    fn round_trip(text: &str) -> (TreeHead, TreeHead) {
        let imported = import(text.as_bytes()).unwrap();
        let register = world::register("a.example", "country");
        let log = world::LOG.parse().unwrap();
        let records: Vec<Record> =
            imported.versions.iter().map(|version| version.to_record(&register, &log, None)).collect();
        let (exported, head) = export(&records).unwrap();
        assert_eq!(replay(exported.as_bytes()).unwrap().head, head);
        (imported.head, head)
    }

    #[test]
    fn one_item_or_several_come_back_with_the_same_root() {
        for items in [&[r#"{"a":"b"}"#][..], &[r#"{"a":"b"}"#, r#"{"items":[{},{}]}"#]] {
            let (before, after) = round_trip(&file(items));
            assert_eq!(before, after, "{items:?}");
        }
    }

    #[test]
    fn roots_are_asserted_where_they_are_asked_for_and_no_further_than_the_register_goes() {
        let records: Vec<Record> =
            ["A", "B", "C"].map(|key| world::record("a.example", "country", key, None, "{}")).to_vec();
        let (text, heads) = export_asserting(&records, &[1, 3]).unwrap();
        let sizes: Vec<u64> = heads.iter().map(|head| head.size.get()).collect();
        assert_eq!(sizes, [0, 1, 3], "the last one once");
        let asserted: Vec<TreeHead> =
            replay(text.as_bytes()).unwrap().assertions.iter().map(|assertion| assertion.head).collect();
        assert_eq!(asserted, heads);
        assert_eq!(export_asserting(&records, &[4]), Err(ExportError::TooFew(4, 3)));
    }

    #[test]
    fn the_title_is_what_the_latest_system_entry_says() {
        let mut text = file(&["{}"]);
        for (key, item) in [
            ("name", r#"{"name":"country"}"#),
            ("register-name", r#"{"register-name":"Country register"}"#),
            ("register-name", r#"{"register-name":"Country"}"#),
            ("register-name", "{}"),
        ] {
            let hash = sha256(item.as_bytes());
            text += &format!("add-item\t{item}\n");
            text += &format!("append-entry\tsystem\t{key}\t2016-04-05T13:23:05Z\tsha-256:{hash}\n");
        }
        assert_eq!(import(text.as_bytes()).unwrap().title.as_deref(), Some("Country"));
    }

    #[test]
    fn an_item_that_could_not_be_had_again_is_refused() {
        let spaced = import(file(&[r#"{"a": "b"}"#]).as_bytes());
        assert!(matches!(spaced, Err(ImportError::Item(..))), "{spaced:?}");
        let impossible = file(&[r#"{"a":"b"}"#]).replace("2016-04-05", "2016-04-31");
        assert_eq!(import(impossible.as_bytes()), Err(ImportError::Entry(1, "time")));
    }

    #[test]
    fn a_withdrawal_cannot_be_written() {
        let mut record = world::record("a.example", "country", "GB", None, "{}");
        record.content = None;
        assert_eq!(export([&record]), Err(ExportError::Withdrawn("GB".to_owned())));
    }
}

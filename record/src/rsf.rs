//! Register Serialisation Format: the history of a government register as one text file.
//!
//! ```text
//! assert-root-hash⇥sha-256:<hex>          the root over the user entries above
//! add-item⇥<JSON>                         an item, named by the SHA-256 of its JSON
//! append-entry⇥user|system⇥KEY⇥TIME⇥sha-256:<hex>[;sha-256:<hex>]...
//! ```
//!
//! The published root is an RFC 6962 root. The leaf of the user entry number N, counted from 1, is the line
//! `{"index-entry-number":"N","entry-number":"N","entry-timestamp":"TIME","key":"KEY","item-hash":["sha-256:..."]}`
//! without a line end. Source: the openregister specification of 2019, and the registers published with it.
//!
//! [`Command`] is one line; [`replay`] is a whole file, with every assertion checked at its place.
//!
//! Absent on purpose: what the items mean.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::TreeHead;
use tlog::tree::Frontier;

const HASH_PREFIX: &str = "sha-256:";

/// Why a line is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command is none of the three.
    #[error("unknown command {0:?}; there are assert-root-hash, add-item and append-entry")]
    Unknown(String),
    /// The number of fields is another.
    #[error("{0} has {1} tab-separated fields; it takes {2}")]
    Fields(&'static str, usize, usize),
    /// A hash is none.
    #[error("{0:?} is not a hash of the form sha-256:<64 hex digits>")]
    Hash(String),
    /// An item is no JSON object.
    #[error("the item is not a JSON object: {0}")]
    Item(String),
    /// The entry is neither for users nor for the system.
    #[error("an entry is `user` or `system`, not {0:?}")]
    Kind(String),
    /// A key or a time is empty.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// The time has another form.
    #[error("{0:?} is not a time of the form 2017-07-25T15:18:37Z")]
    Time(String),
}

/// Why a file is not a register whose assertions hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RsfError {
    /// A line is malformed.
    #[error("line {0}: {1}")]
    Line(usize, CommandError),
    /// The file is not UTF-8.
    #[error("line {0}: not UTF-8")]
    Utf8(usize),
    /// An entry names an item that was not added before it.
    #[error("line {0}: no line above adds the item sha-256:{1}")]
    NoItem(usize, Hash),
    /// The file asserts another root than its entries have.
    #[error(
        "line {line}: the file asserts the root sha-256:{asserted} after {entries} user entries; they have sha-256:{found}"
    )]
    Root {
        /// The assertion's line.
        line: usize,
        /// User entries above it.
        entries: u64,
        /// What the file says.
        asserted: Hash,
        /// What the entries say.
        found: Hash,
    },
}

/// Whom an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A record of the register; part of the tree.
    User,
    /// About the register itself; not part of the tree.
    System,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The root over the user entries above.
    AssertRootHash(Hash),
    /// An item's JSON, byte for byte.
    AddItem(String),
    /// An entry.
    AppendEntry(Entry),
}

/// An entry of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom it is for.
    pub kind: EntryKind,
    /// The record's key.
    pub key: String,
    /// When it was made, `2017-07-25T15:18:37Z`.
    pub time: String,
    /// The items, by hash; at least one.
    pub items: Vec<Hash>,
}

impl Entry {
    /// The leaf of the tree: exactly the bytes whose root the government published.
    ///
    /// ```
    /// use record::rsf::{Command, replay};
    /// let line = "append-entry\tuser\tGB\t2016-04-05T13:23:05Z\tsha-256:".to_owned() + &"0".repeat(64);
    /// let Command::AppendEntry(entry) = line.parse().unwrap() else { panic!() };
    /// let leaf = String::from_utf8(entry.leaf(7)).unwrap();
    /// assert!(leaf.starts_with(r#"{"index-entry-number":"7","entry-number":"7","entry-timestamp":"2016-"#));
    /// ```
    #[must_use]
    pub fn leaf(&self, number: u64) -> Vec<u8> {
        let key = serde_json::Value::from(self.key.as_str());
        let time = &self.time;
        let items: Vec<String> = self.items.iter().map(|item| format!("\"{HASH_PREFIX}{item}\"")).collect();
        let items = items.join(",");
        format!(
            "{{\"index-entry-number\":\"{number}\",\"entry-number\":\"{number}\",\
             \"entry-timestamp\":\"{time}\",\"key\":{key},\"item-hash\":[{items}]}}"
        )
        .into_bytes()
    }
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let fields: Vec<&str> = line.split('\t').collect();
        let takes = |name, count: usize| {
            if fields.len() == count { Ok(()) } else { Err(CommandError::Fields(name, fields.len(), count)) }
        };
        match fields[0] {
            "assert-root-hash" => {
                takes("assert-root-hash", 2)?;
                Ok(Self::AssertRootHash(hash(fields[1])?))
            }
            "add-item" => {
                takes("add-item", 2)?;
                let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
                    serde_json::from_str(fields[1]);
                parsed.map_err(|error| CommandError::Item(error.to_string()))?;
                Ok(Self::AddItem(fields[1].to_owned()))
            }
            "append-entry" => {
                takes("append-entry", 5)?;
                entry(fields[1], fields[2], fields[3], fields[4]).map(Self::AppendEntry)
            }
            other => Err(CommandError::Unknown(other.chars().take(40).collect())),
        }
    }
}

fn entry(kind: &str, key: &str, time: &str, items: &str) -> Result<Entry, CommandError> {
    let kind = match kind {
        "user" => EntryKind::User,
        "system" => EntryKind::System,
        other => return Err(CommandError::Kind(other.to_owned())),
    };
    if key.is_empty() {
        return Err(CommandError::Empty("key"));
    }
    if !is_time(time) {
        return Err(CommandError::Time(time.to_owned()));
    }
    let items: Result<Vec<Hash>, CommandError> = items.split(';').map(hash).collect();
    Ok(Entry { kind, key: key.to_owned(), time: time.to_owned(), items: items? })
}

fn is_time(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00Z";
    text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

fn hash(text: &str) -> Result<Hash, CommandError> {
    let hex = text.strip_prefix(HASH_PREFIX);
    hex.and_then(|hex| hex.parse().ok()).ok_or_else(|| CommandError::Hash(text.to_owned()))
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssertRootHash(root) => write!(f, "assert-root-hash\t{HASH_PREFIX}{root}"),
            Self::AddItem(json) => write!(f, "add-item\t{json}"),
            Self::AppendEntry(entry) => {
                let kind = if entry.kind == EntryKind::User { "user" } else { "system" };
                write!(f, "append-entry\t{kind}\t{}\t{}\t", entry.key, entry.time)?;
                let items: Vec<String> =
                    entry.items.iter().map(|item| format!("{HASH_PREFIX}{item}")).collect();
                f.write_str(&items.join(";"))
            }
        }
    }
}

/// An assertion that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Its line, counted from 1.
    pub line: usize,
    /// The user entries above it and their root.
    pub head: TreeHead,
}

/// A register whose assertions all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The leaf of each user entry, in order.
    pub leaves: Vec<Vec<u8>>,
    /// The assertions, in order.
    pub assertions: Vec<Assertion>,
    /// All user entries and their root.
    pub head: TreeHead,
    /// System entries.
    pub system_entries: u64,
    /// Items.
    pub items: usize,
}

/// Replays a file: every line parsed, every item present before it is used, every root checked at its place.
///
/// Cost: two hashes a user entry, and all leaves in memory.
///
/// # Errors
/// [`RsfError`] names the line.
pub fn replay(bytes: &[u8]) -> Result<Register, RsfError> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut items = HashSet::new();
    let mut frontier = Frontier::new();
    let mut register = Register {
        leaves: Vec::new(),
        assertions: Vec::new(),
        head: TreeHead::EMPTY,
        system_entries: 0,
        items: 0,
    };
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = std::str::from_utf8(text).map_err(|_| RsfError::Utf8(line))?;
        match text.parse().map_err(|error| RsfError::Line(line, error))? {
            Command::AddItem(json) => {
                items.insert(sha256(json.as_bytes()));
            }
            Command::AppendEntry(entry) => {
                if let Some(missing) = entry.items.iter().find(|item| !items.contains(item)) {
                    return Err(RsfError::NoItem(line, *missing));
                }
                match entry.kind {
                    EntryKind::System => register.system_entries += 1,
                    EntryKind::User => {
                        let leaf = entry.leaf(register.leaves.len() as u64 + 1);
                        frontier.push(leaf_hash(&leaf), |_, _| ());
                        register.leaves.push(leaf);
                    }
                }
            }
            Command::AssertRootHash(asserted) => {
                let head = frontier.head();
                if head.root != asserted {
                    let entries = head.size.get();
                    return Err(RsfError::Root { line, entries, asserted, found: head.root });
                }
                register.assertions.push(Assertion { line, head });
            }
        }
    }
    register.items = items.len();
    register.head = frontier.head();
    Ok(register)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let item = r#"{"name":"A \"quoted\" name"}"#;
        let hash = sha256(item.as_bytes());
        let empty = Hash::EMPTY_ROOT;
        let entry = |kind, key| format!("append-entry\t{kind}\t{key}\t2017-07-25T15:18:37Z\tsha-256:{hash}");
        let [system, user] = [entry("system", "name"), entry("user", "a\"b")];
        format!("assert-root-hash\tsha-256:{empty}\nadd-item\t{item}\n{system}\n{user}\n")
    }

    #[test]
    fn only_user_entries_are_leaves_and_keys_are_escaped() {
        let register = replay(sample().as_bytes()).expect("a register");
        assert_eq!((register.leaves.len(), register.system_entries, register.items), (1, 1, 1));
        let leaf: serde_json::Value = serde_json::from_slice(&register.leaves[0]).expect("a leaf is JSON");
        assert_eq!(leaf["key"], "a\"b");
        assert_eq!(leaf["entry-number"], "1");
        assert_eq!(register.assertions[0].head, TreeHead::EMPTY);
    }

    #[test]
    fn an_assertion_is_checked_at_its_place() {
        let register = replay(sample().as_bytes()).expect("a register");
        let right = format!("{}assert-root-hash\tsha-256:{}\n", sample(), register.head.root);
        assert_eq!(replay(right.as_bytes()).expect("a register").assertions[1].line, 5);
        let wrong = format!("{}assert-root-hash\tsha-256:{}\n", sample(), Hash::EMPTY_ROOT);
        assert!(matches!(replay(wrong.as_bytes()), Err(RsfError::Root { line: 5, entries: 1, .. })));
    }

    #[test]
    fn an_item_must_come_before_its_entry() {
        let text = sample();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.remove(1);
        assert!(matches!(replay(lines.join("\n").as_bytes()), Err(RsfError::NoItem(2, _))));
    }

    #[test]
    fn every_line_formats_back_to_itself_and_malformed_ones_are_refused() {
        for line in sample().lines() {
            assert_eq!(line.parse::<Command>().expect("a command").to_string(), line);
        }
        let zeros = "0".repeat(64);
        let refused = [
            String::new(),
            "add-item".to_owned(),
            "add-item\t[]".to_owned(),
            "add-item\t{}\t".to_owned(),
            "Add-item\t{}".to_owned(),
            format!("assert-root-hash\tsha-256:{}", "A".repeat(64)),
            format!("assert-root-hash\t{zeros}"),
            format!("assert-root-hash\tsha-256:{zeros}\r"),
            format!("append-entry\tuser\t\t2017-07-25T15:18:37Z\tsha-256:{zeros}"),
            format!("append-entry\tuser\tk\t2017-07-25 15:18:37Z\tsha-256:{zeros}"),
            format!("append-entry\tuser\tk\t2017-07-25T15:18:37+\tsha-256:{zeros}"),
            format!("append-entry\tuser\tk\t2017-07-25T15:18:37Z\tsha-256:{zeros};"),
            format!("append-entry\tother\tk\t2017-07-25T15:18:37Z\tsha-256:{zeros}"),
            "append-entry\tuser\tk\t2017-07-25T15:18:37Z\t".to_owned(),
        ];
        for line in refused {
            assert!(line.parse::<Command>().is_err(), "{line:?}");
        }
    }
}

//! What an alert says: the change itself, and the link to the proof. Pure.
//!
//! One JSON object, the same in the database, in webhooks and for commands:
//!
//! ```json
//! {"event":"found","watch":{"id":3,"name":"Bridges"},"title":"Bridge repair","log":"log.example","index":17,
//!  "leaf_hash":"..","agency":"..","register":"..","key":"..","at":"..","changes":[{"path":"/amount","old":1,"new":2}],
//!  "text":"..","link":"https://monitor.example/log/../17","found_at":1790000000}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::{Change, changes};
use crate::index::Row;
use crate::index::extract::extract;
use crate::index::highlight::snippet;

use super::rule::{Rule, is_withdrawal};

/// Letters of an entry's text in an alert.
const TEXT_BYTES_MAX: usize = 600;
/// Fields of a change in an alert; the page has the rest.
const CHANGES_MAX: usize = 50;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// `found`, `changed`, `withdrawn`, `erased`, `silent`, `misbehaviour`, `alarm`, `cleared`, `test`, `heartbeat`.
    pub event: String,
    /// The watch; none for a heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Named>,
    /// In one line.
    pub title: String,
    /// The log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The entry's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// Its leaf hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_hash: Option<String>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// In which register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register: Option<String>,
    /// Under which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The time that it gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What changed against the version before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<OneChange>,
    /// What it says, or what there is to say.
    pub text: String,
    /// The page with the proof.
    pub link: String,
    /// Seconds since 1970.
    pub found_at: u64,
}

/// A watch in an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A field that is not as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OneChange {
    /// Where.
    pub path: String,
    /// What was there.
    pub old: Option<Value>,
    /// What is there now.
    pub new: Option<Value>,
}

impl From<Change> for OneChange {
    fn from(change: Change) -> Self {
        Self { path: change.path, old: change.old, new: change.new }
    }
}

/// The alert for an entry, and the version before it where there is one.
#[must_use]
pub fn of_entry(
    watch: Named,
    rule: &Rule,
    row: &Row,
    before: Option<&Row>,
    address: &str,
    now: u64,
) -> Found {
    let event = if is_withdrawal(row) {
        "withdrawn"
    } else if row.erases.is_some() {
        "erased"
    } else if before.is_some() {
        "changed"
    } else {
        "found"
    };
    let differences = before.filter(|_| event == "changed").map(|before| changes(before, row));
    let document = extract(&row.bytes);
    let shown = snippet(document.said(), &rule.query.phrases(), TEXT_BYTES_MAX);
    let hash = tlog::hash::sha256(row.origin.as_bytes());
    Found {
        event: event.to_owned(),
        watch: Some(watch),
        title: row.title.clone().or_else(|| before?.title.clone()).unwrap_or_else(|| name(row)),
        log: Some(row.origin.clone()),
        index: Some(row.index),
        leaf_hash: Some(row.leaf.clone()),
        agency: row.agency.clone(),
        register: row.register.clone(),
        key: row.key.clone(),
        at: row.at.clone(),
        changes: differences.unwrap_or_default().into_iter().take(CHANGES_MAX).map(OneChange::from).collect(),
        text: shown.into_iter().map(|piece| piece.text).collect(),
        link: format!("{address}/log/{hash}/{}", row.index),
        found_at: now,
    }
}

/// What an entry without a title is called.
fn name(row: &Row) -> String {
    let key = || Some(format!("{} / {}", row.register.as_deref()?, row.key.as_deref()?));
    let kind = || {
        Some(format!("{} {}", row.kind.as_deref()?, row.action.as_deref().unwrap_or("")).trim().to_owned())
    };
    key().or_else(kind).unwrap_or_else(|| format!("{} {}", row.form, row.index))
}

impl Found {
    /// The alert as text, for an e-mail.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{}: {}\n", self.event, one_line(&self.title));
        let facts = [
            ("agency", self.agency.as_deref()),
            ("register", self.register.as_deref()),
            ("key", self.key.as_deref()),
            ("dated", self.at.as_deref()),
        ];
        for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            out.push_str(&format!("  {name}: {}\n", one_line(value)));
        }
        for change in &self.changes {
            let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "(nothing)".to_owned(), plain);
            out.push_str(&format!(
                "  {}: {} -> {}\n",
                one_line(&change.path),
                side(&change.old),
                side(&change.new)
            ));
        }
        // What changed says it better than the whole text does.
        if self.changes.is_empty() && !self.text.trim().is_empty() {
            out.push_str(&format!("  {}\n", one_line(self.text.trim())));
        }
        if !self.link.is_empty() {
            out.push_str(&format!("  proof: {}\n", self.link));
        }
        out
    }
}

fn plain(value: &Value) -> String {
    one_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// What comes from an entry stays on its line: it cannot look like another part of the message.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

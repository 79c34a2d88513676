//! A record through time: its versions, what changed between them, what was withdrawn, erased or disowned.
//!
//! Pure but for reading the index. The order is the order of the log, not that of the dates agencies give.

use record::diff::{Change as Difference, What, diff, diff_versions};
use record::json;
use record::statement::{Body, Statement};
use serde::Serialize;
use serde_json::Value;

use crate::index::extract::{content, statement};
use crate::index::read::Window;
use crate::index::{Index, IndexError, Row};

/// A field that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, as a JSON Pointer into what everybody may read.
    pub path: String,
    /// What was there; `None` if nothing.
    pub old: Option<Value>,
    /// What is there now.
    pub new: Option<Value>,
}

/// What happened to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Its first version.
    First,
    /// A version that changes it.
    Changed {
        /// How.
        changes: Vec<Change>,
    },
    /// The agency took it back.
    Withdrawn,
    /// Values of an earlier version were destroyed.
    Erased {
        /// The leaf hash of that version.
        leaf: String,
        /// What, as JSON Pointers into the statement.
        values: Vec<String>,
    },
}

/// An entry about a record.
#[derive(Clone, Debug, Serialize)]
pub struct Version {
    /// The entry.
    #[serde(flatten)]
    pub row: Row,
    /// What it did.
    pub happened: Event,
    /// When it came into the log.
    pub window: Window,
    /// Whether values of it were erased later.
    pub erased_later: bool,
}

/// The history of the record that an entry is about, oldest first; empty for entries about none.
///
/// # Errors
/// [`IndexError`].
pub fn history(index: &Index, row: &Row) -> Result<Vec<Version>, IndexError> {
    let (Some(agency), Some(register), Some(key)) = (&row.agency, &row.register, &row.key) else {
        return Ok(Vec::new());
    };
    let rows = index.about(&row.origin, agency, register, key)?;
    let mut versions = Vec::with_capacity(rows.len());
    let mut before: Option<Row> = None;
    for (row, happened) in rows.into_iter().map(|row| happened(row, &mut before)) {
        let window = index.window(&row.origin, row.index)?;
        versions.push(Version { row, happened, window, erased_later: false });
    }
    let erased: Vec<String> = versions.iter().filter_map(|version| version.row.erases.clone()).collect();
    for version in &mut versions {
        version.erased_later = erased.contains(&version.row.leaf);
    }
    Ok(versions)
}

fn happened(row: Row, before: &mut Option<Row>) -> (Row, Event) {
    if row.kind.as_deref() == Some("tombstone") {
        let values = erased_values(&row.bytes);
        let leaf = row.erases.clone().unwrap_or_default();
        return (row, Event::Erased { leaf, values });
    }
    if row.action.as_deref() == Some("withdraw") {
        *before = None;
        return (row, Event::Withdrawn);
    }
    let event = match before.as_ref() {
        Some(old) => Event::Changed { changes: changes(old, &row) },
        None => Event::First,
    };
    *before = Some(row.clone());
    (row, event)
}

fn erased_values(bytes: &[u8]) -> Vec<String> {
    let members = statement(bytes).map(|(_, members)| members).unwrap_or_default();
    let values = members.get("erased").and_then(Value::as_array).cloned().unwrap_or_default();
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// What changed from one version to another: title, attachments and commitments of records, all of other JSON.
#[must_use]
pub fn changes(old: &Row, new: &Row) -> Vec<Change> {
    let record = |row: &Row| match Statement::parse(&row.bytes).ok()?.body() {
        Body::Record(record) => Some(record.clone()),
        _ => None,
    };
    let differences = match (record(old), record(new)) {
        (Some(old), Some(new)) => diff_versions(&old, &new),
        _ => {
            let value = |row: &Row| json::Value::from_serde(&content(&row.bytes)?).ok();
            let (Some(old), Some(new)) = (value(old), value(new)) else { return Vec::new() };
            diff(&old, &new)
        }
    };
    differences.into_iter().map(Change::from).collect()
}

impl From<Difference> for Change {
    fn from(difference: Difference) -> Self {
        let plain = |value: json::Value| serde_json::to_value(value).unwrap_or(Value::Null);
        let (old, new) = match difference.what {
            What::Added(new) => (None, Some(new)),
            What::Removed(old) => (Some(old), None),
            What::Changed { from, to } => (Some(from), Some(to)),
        };
        Self { path: difference.path, old: old.map(plain), new: new.map(plain) }
    }
}

/// The disputes of an entry's agency that disown it.
///
/// # Errors
/// [`IndexError`].
pub fn disputes(index: &Index, row: &Row) -> Result<Vec<Row>, IndexError> {
    use crate::index::facet::Exact;
    use crate::index::query::Query;
    use crate::index::search::{PAGE_ROWS_MAX, Page};
    let Some(agency) = &row.agency else { return Ok(Vec::new()) };
    let query = Query::default()
        .with(Exact::Log, &row.origin)
        .with(Exact::Kind, "dispute")
        .with(Exact::Agency, agency);
    let mut rows = index.search(&query, Page::Newest(None), PAGE_ROWS_MAX)?.rows;
    rows.retain(|dispute| disowns(&dispute.bytes, row));
    Ok(rows)
}

fn disowns(dispute: &[u8], row: &Row) -> bool {
    let Some((_, members)) = statement(dispute) else { return false };
    let number = |name: &str| members.get(name).and_then(Value::as_u64);
    let (Some(from), Some(to)) = (number("from"), number("to")) else { return false };
    let Some(key) = members.get("key").and_then(Value::as_str) else { return false };
    // A verifier key is `<name>+<id>+<key>`; a signature line begins with a dash and the name.
    let name = key.split('+').next().unwrap_or_default();
    (from..to).contains(&row.index) && signers(&row.bytes).iter().any(|signer| signer == name)
}

/// The names of the keys that signed a statement.
#[must_use]
pub fn signers(bytes: &[u8]) -> Vec<String> {
    let note = tlog::note::Note::parse(bytes).ok();
    note.map(|note| note.signatures().iter().map(|line| line.name().to_string()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(public: &Value) -> Row {
        let json = format!(r#"{{"agency":"a","public":{public}}}"#);
        Row { bytes: crate::index::extract::tests::leaf("record", &json), ..Row::default() }
    }

    #[test]
    fn a_change_names_each_field_with_what_was_and_what_is() {
        let old = row(&json!({"amount": 100, "supplier": {"name": "Acme", "town": "X"}, "gone": true}));
        let new = row(&json!({"amount": 250, "supplier": {"name": "Acme", "town": "Y"}, "added": "1"}));
        let found: Vec<(String, Option<Value>, Option<Value>)> =
            changes(&old, &new).into_iter().map(|change| (change.path, change.old, change.new)).collect();
        assert_eq!(
            found,
            [
                ("/added".to_owned(), None, Some(json!("1"))),
                ("/amount".to_owned(), Some(json!(100)), Some(json!(250))),
                ("/gone".to_owned(), Some(json!(true)), None),
                ("/supplier/town".to_owned(), Some(json!("X")), Some(json!("Y"))),
            ]
        );
        assert!(changes(&old, &old).is_empty());
    }

    #[test]
    fn a_dispute_disowns_what_its_key_signed_in_its_range() {
        let leaf = crate::index::extract::tests::leaf;
        let of = |index| Row { index, ..row(&json!({})) };
        let dispute =
            leaf("dispute", r#"{"agency":"a","from":3,"key":"a.gov.example/publisher+ab+cd","to":5}"#);
        let disowned: Vec<bool> = (2..6).map(|index| disowns(&dispute, &of(index))).collect();
        assert_eq!(disowned, [false, true, true, false]);
        let other = leaf("dispute", r#"{"agency":"a","from":0,"key":"a.gov.example/other+ab+cd","to":9}"#);
        assert!(!disowns(&other, &of(3)));
    }
}

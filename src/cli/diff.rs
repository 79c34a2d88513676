//! `daybook diff`: what changed between two versions of a record, field by field, after both were verified.

use clap::Args;
use record::diff::{Change, What, diff_versions};
use record::json::Value;
use serde::Serialize;
use tlog::ids::LeafIndex;

use super::failure::Failure;
use super::history::WhichRecord;
use super::output::{Output, printable};
use crate::csv::row;
use crate::provenance::versions::{Version, Versions};

#[derive(Args, Debug)]
pub(super) struct Diff {
    #[command(flatten)]
    record: WhichRecord,
    /// The index of the older version, as `daybook history` shows it; by default the one before the newer.
    #[arg(long, value_name = "INDEX")]
    from: Option<LeafIndex>,
    /// The index of the newer version; by default the latest.
    #[arg(long, value_name = "INDEX")]
    to: Option<LeafIndex>,
    /// Print a table for spreadsheets.
    #[arg(long)]
    csv: bool,
}

#[derive(Serialize)]
struct DiffJson {
    agency: String,
    register: String,
    key: String,
    from: u64,
    to: u64,
    changes: Vec<ChangeJson>,
}

#[derive(Serialize)]
struct ChangeJson {
    path: String,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

impl From<Change> for ChangeJson {
    fn from(Change { path, what }: Change) -> Self {
        let (what, from, to) = match what {
            What::Added(value) => ("added", None, Some(value)),
            What::Removed(value) => ("removed", Some(value), None),
            What::Changed { from, to } => ("changed", Some(from), Some(to)),
        };
        Self { path, what, from, to }
    }
}

impl Diff {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let (_, name, history) = self.record.read(output)?;
        let newer = match self.to {
            Some(index) => at(&history, index)?,
            None => history.versions.len() - 1,
        };
        let older = match self.from {
            Some(index) => at(&history, index)?,
            None => newer.checked_sub(1).ok_or_else(|| {
                Failure::Malformed(format!(
                    "{name} has no version before entry {}",
                    place(&history.versions[newer])
                ))
            })?,
        };
        let (older, newer) = (&history.versions[older], &history.versions[newer]);
        let changes = diff_versions(older.record(), newer.record());
        let json = DiffJson {
            agency: name.agency.to_string(),
            register: name.register.to_string(),
            key: name.key.as_str().to_owned(),
            from: place(older),
            to: place(newer),
            changes: changes.into_iter().map(ChangeJson::from).collect(),
        };
        if self.csv && !output.json {
            output.say(table(&json).trim_end());
        } else {
            output.result(&json, || text(&json));
        }
        Ok(())
    }
}

fn at(history: &Versions, index: LeafIndex) -> Result<usize, Failure> {
    let found = history.versions.iter().position(|version| version.proved.index == index);
    found.ok_or_else(|| {
        let all: Vec<String> = history.versions.iter().map(|version| place(version).to_string()).collect();
        Failure::Malformed(format!(
            "entry {index} is no version of this record; those are {}",
            all.join(", ")
        ))
    })
}

fn place(version: &Version) -> u64 {
    version.proved.index.get()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        Some(value) => value.to_text(),
        None => String::new(),
    }
}

fn table(json: &DiffJson) -> String {
    let mut out = row(&["path", "what", "from", "to"]);
    for change in &json.changes {
        out += &row(&[
            change.path.clone(),
            change.what.to_owned(),
            cell(change.from.as_ref()),
            cell(change.to.as_ref()),
        ]);
    }
    out
}

fn text(json: &DiffJson) -> String {
    let mut text = format!(
        "{}/{} {}: from entry {} to entry {}",
        json.agency, json.register, json.key, json.from, json.to
    );
    if json.changes.is_empty() {
        text += "\n  nothing that can be seen has changed";
    }
    for change in &json.changes {
        text += &format!("\n  {} {}", change.what, printable(&change.path));
        for (sign, value) in [("-", &change.from), ("+", &change.to)] {
            if let Some(value) = value {
                text += &format!("\n    {sign} {}", printable(&value.to_text()));
            }
        }
    }
    text
}

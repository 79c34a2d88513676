//! A register of a log of records, so that it can be replayed: as RSF with its root asserted, or as lines of JSON with
//! everything that it takes to judge its statements again.
//!
//! The whole log is read and every entry judged, so nothing is left out, and nothing is in it that the log should not have
//! taken. Such entries are named.

use std::io::Write;
use std::path::Path;

use record::exchange::rsf::{ExportError, export_asserting};
use record::ids::AgencyId;
use record::statement::{Body, Record};
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::ids::TreeHead;
use tlog::tree::Frontier;

use super::write_line;
use crate::cli::desk::RegisterArg;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::provenance::collect::{CollectError, Judged, from_copy};
use crate::source::Source;

/// A register, written.
#[derive(Serialize)]
pub(super) struct Written {
    register: String,
    /// The records' versions.
    versions: u64,
    /// Lines, or commands.
    lines: u64,
    /// The roots that are asserted, each after so many entries.
    assertions: Vec<Asserted>,
    /// Entries of the log that it should not have taken; they are left out.
    inadmissible: Vec<Inadmissible>,
}

#[derive(Serialize)]
struct Asserted {
    entries: u64,
    root: String,
}

#[derive(Serialize)]
struct Inadmissible {
    index: u64,
    reason: String,
}

/// The last line of NDJSON.
#[derive(Serialize)]
struct Assertion {
    assert_root_hash: String,
    entries: u64,
}

impl From<TreeHead> for Asserted {
    fn from(head: TreeHead) -> Self {
        Self { entries: head.size.get(), root: format!("sha-256:{}", head.root) }
    }
}

impl Written {
    pub(super) fn text(&self) -> String {
        let roots: String = self
            .assertions
            .iter()
            .map(|asserted| format!("\n  {} after {} entries", asserted.root, asserted.entries))
            .collect();
        let bad: String = self
            .inadmissible
            .iter()
            .map(|entry| format!("\nNOT TAKEN OVER: entry {}: {}", entry.index, entry.reason))
            .collect();
        format!("{} has {} versions; asserted:{roots}{bad}", self.register, self.versions)
    }
}

/// Reads and judges the whole log, and gives `seen` what is admissible.
fn judge_all(
    source: &Source,
    head: TreeHead,
    output: &Output,
    seen: &mut dyn FnMut(&Judged<'_>, &Body),
) -> Result<Vec<Inadmissible>, Failure> {
    let bar = output.bar(head.size.get(), "reading and judging the log");
    let mut inadmissible = Vec::new();
    let mut see = |judged: &Judged<'_>| match judged.statement {
        Ok(statement) => seen(judged, statement.body()),
        Err(reason) => {
            inadmissible.push(Inadmissible { index: judged.index.get(), reason: reason.to_owned() });
        }
    };
    from_copy(source, head, &mut see, &mut |checked| bar.set_position(checked))?;
    bar.finish_and_clear();
    // A log of any bytes has no genesis, and nothing in it is admissible.
    if inadmissible.first().is_some_and(|first| first.index == 0) {
        return Err(CollectError::NoRecords.into());
    }
    Ok(inadmissible)
}

/// As RSF.
pub(super) fn rsf(
    source: &Source,
    head: TreeHead,
    name: &RegisterArg,
    after: &[u64],
    (file, path): (&mut impl Write, &Path),
    output: &Output,
) -> Result<Written, Failure> {
    let mut records: Vec<Record> = Vec::new();
    let mut open = false;
    let inadmissible = judge_all(source, head, output, &mut |_, body| match body {
        Body::Record(record) if is_in(name, &record.agency, record.register.as_str()) => {
            records.push(record.clone());
        }
        Body::Register(register) if is_in(name, &register.agency, register.register.as_str()) => open = true,
        _ => {}
    })?;
    there(open, name)?;
    let (text, heads) = export_asserting(&records, after).map_err(|error| match error {
        ExportError::TooFew(..) => Failure::malformed(error),
        ExportError::Withdrawn(_) => Failure::failed(error),
    })?;
    file.write_all(text.as_bytes()).map_err(Failure::file(path))?;
    Ok(Written {
        register: name.to_string(),
        versions: records.len() as u64,
        lines: text.lines().count() as u64,
        assertions: heads.into_iter().map(Asserted::from).collect(),
        inadmissible,
    })
}

/// As lines of JSON: the genesis, what is about the registrar and the agency, the register, its records, tombstones and
/// disputes, in the order of the log; and the root over all of them.
pub(super) fn ndjson(
    source: &Source,
    head: TreeHead,
    name: &RegisterArg,
    (file, path): (&mut impl Write, &Path),
    output: &Output,
) -> Result<Written, Failure> {
    let (mut frontier, mut written) = (Frontier::new(), Ok(()));
    let (mut registrar, mut versions, mut open) = (None, 0_u64, false);
    let inadmissible = judge_all(source, head, output, &mut |judged, body| {
        if let Body::Genesis(genesis) = body {
            registrar = Some(genesis.registrar.clone());
        }
        let wanted = match body {
            Body::Genesis(_) => true,
            Body::Agency(agency) => {
                agency.agency == name.agency || registrar.as_ref() == Some(&agency.agency)
            }
            Body::Dispute(dispute) => dispute.agency == name.agency,
            // All registers of the agency: a delegation may name another one.
            Body::Register(register) => register.agency == name.agency,
            Body::Record(record) => is_in(name, &record.agency, record.register.as_str()),
            Body::Tombstone(tombstone) => is_in(name, &tombstone.agency, tombstone.register.as_str()),
        };
        if !wanted || written.is_err() {
            return;
        }
        versions += u64::from(matches!(body, Body::Record(_)));
        open |= matches!(body, Body::Register(register) if register.register == name.register);
        frontier.push(leaf_hash(judged.entry), |_, _| ());
        written = write_line(file, judged.index.get(), judged.entry);
    })?;
    there(open, name)?;
    let head = frontier.head();
    let assertion =
        Assertion { assert_root_hash: format!("sha-256:{}", head.root), entries: head.size.get() };
    let line = serde_json::to_string(&assertion).expect("an assertion has a JSON form");
    written.and_then(|()| writeln!(file, "{line}")).map_err(Failure::file(path))?;
    Ok(Written {
        register: name.to_string(),
        versions,
        lines: head.size.get() + 1,
        assertions: vec![head.into()],
        inadmissible,
    })
}

fn is_in(name: &RegisterArg, agency: &AgencyId, register: &str) -> bool {
    name.agency == *agency && name.register.as_str() == register
}

fn there(open: bool, name: &RegisterArg) -> Result<(), Failure> {
    if open { Ok(()) } else { Err(CollectError::Nothing(format!("register {name}")).into()) }
}

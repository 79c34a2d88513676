//! `daybook history`: all versions of a record, each in the signed tree, signed by its agency, and chained.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::about::Signed;
use super::desk::RegisterArg;
use super::failure::Failure;
use super::output::{Output, printable};
use super::trust::Trust;
use crate::csv::row;
use crate::provenance::collect::{CollectError, Reader, RecordName, places_in_copy};
use crate::provenance::versions::{Erasure, Version, Versions, read, receipt};
use crate::source::Source;

/// Which record of which log, and how it is read.
#[derive(Args, Debug)]
pub(super) struct WhichRecord {
    /// The log's URL, its directory, or a folder with a copy of its public files.
    pub(super) source: String,
    /// The register, as AGENCY/REGISTER.
    pub(super) register: RegisterArg,
    /// The record's key.
    #[arg(id = "record", value_name = "KEY")]
    pub(super) key: String,
    /// Read the whole log and judge every entry, so that nothing can be left out. Always so for a folder.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    trust: Trust,
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Source(error) => error.into(),
            CollectError::Prove(error) => error.into(),
            CollectError::Nothing(_) | CollectError::NoRecords => Self::failed(error),
            _ => Self::wrong(error),
        }
    }
}

impl WhichRecord {
    pub(super) fn name(&self) -> Result<RecordName, Failure> {
        let key =
            self.key.parse().map_err(|form| Failure::Malformed(format!("{:?} is not {form}", self.key)))?;
        let RegisterArg { agency, register } = self.register.clone();
        Ok(RecordName { agency, register, key })
    }

    /// Reads and verifies the history.
    pub(super) fn read(&self, output: &Output) -> Result<(Reader, RecordName, Versions), Failure> {
        let name = self.name()?;
        let (source, checkpoint) = self.trust.open(&self.source)?;
        let whole = self.whole || matches!(source, Source::Folder(_));
        let reader = Reader::new(source, checkpoint);
        let places = if whole {
            let bar = output.bar(reader.checkpoint().head().size.get(), "reading the whole log");
            let places = places_in_copy(&reader, &name, &mut |checked| bar.set_position(checked))?;
            bar.finish_and_clear();
            places
        } else {
            reader.record_places(&name)?
        };
        let bar = output.bar(places.versions.len() as u64, "proving versions");
        let versions = read(&reader, &name, &places, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        Ok((reader, name, versions))
    }
}

#[derive(Args, Debug)]
pub(super) struct History {
    #[command(flatten)]
    record: WhichRecord,
    /// Write each version, its receipt, and the provenance that `daybook verify` takes, into this new folder.
    #[arg(long, value_name = "FOLDER")]
    receipts: Option<PathBuf>,
    /// Print a table for spreadsheets.
    #[arg(long)]
    csv: bool,
}

#[derive(Serialize)]
struct HistoryJson {
    verified: bool,
    origin: String,
    tree_size: u64,
    agency: String,
    register: String,
    key: String,
    /// Whether the whole log was read. If not, that there is no later version is the log's word.
    whole: bool,
    versions: Vec<VersionJson>,
    tombstones: Vec<TombstoneJson>,
}

#[derive(Serialize)]
struct VersionJson {
    index: u64,
    leaf_hash: String,
    previous: Option<String>,
    at: String,
    action: &'static str,
    statement: record::json::Object,
    signed: Signed,
    erased: Vec<ErasedJson>,
}

#[derive(Serialize)]
struct ErasedJson {
    item: String,
    tombstone: u64,
}

#[derive(Serialize)]
struct TombstoneJson {
    index: u64,
    of: u64,
    at: String,
    basis: String,
    erased: Vec<String>,
    signed: Signed,
}

impl History {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let (reader, name, history) = self.record.read(output)?;
        if let Some(folder) = &self.receipts {
            write_receipts(folder, &reader, &history)?;
        }
        if self.csv && !output.json {
            output.say(table(&history).trim_end());
            return Ok(());
        }
        let json = HistoryJson {
            verified: true,
            origin: reader.checkpoint().origin().to_string(),
            tree_size: reader.checkpoint().head().size.get(),
            agency: name.agency.to_string(),
            register: name.register.to_string(),
            key: name.key.as_str().to_owned(),
            whole: history.whole,
            versions: history.versions.iter().map(|version| version_json(version, &history)).collect(),
            tombstones: history.erasures.iter().map(|erasure| tombstone_json(erasure, &history)).collect(),
        };
        output.result(&json, || text(&json, &name, &history));
        Ok(())
    }
}

fn action(version: &Version) -> &'static str {
    if version.record().content.is_some() { "put" } else { "withdraw" }
}

fn version_json(version: &Version, history: &Versions) -> VersionJson {
    let body = version.statement.body();
    let erased = version.erased.iter();
    VersionJson {
        index: version.proved.index.get(),
        leaf_hash: version.statement.leaf_hash().to_string(),
        previous: body.previous().map(|leaf| leaf.to_string()),
        at: body.at().to_string(),
        action: action(version),
        statement: body.to_object(),
        signed: Signed::new(&version.signers, history.enrolment.as_ref()),
        erased: erased.map(|(item, at)| ErasedJson { item: item.to_string(), tombstone: at.get() }).collect(),
    }
}

fn tombstone_json(erasure: &Erasure, history: &Versions) -> TombstoneJson {
    let tombstone = &erasure.tombstone;
    TombstoneJson {
        index: erasure.proved.index.get(),
        of: tombstone.entry.index.get(),
        at: tombstone.at.to_string(),
        basis: tombstone.basis.as_str().to_owned(),
        erased: tombstone.erased.iter().map(ToString::to_string).collect(),
        signed: Signed::new(&erasure.signers, history.enrolment.as_ref()),
    }
}

fn text(json: &HistoryJson, name: &RecordName, history: &Versions) -> String {
    let count = history.versions.len();
    let plural = if count == 1 { "version" } else { "versions" };
    let mut text = format!(
        "RIGHT: {name} has {count} {plural} in {}, each in the signed tree of {} entries, signed by a key of its agency, \
         and following the one before.",
        json.origin, json.tree_size
    );
    for version in &history.versions {
        let by: Vec<String> = version.signers.iter().map(|signer| signer.key.name().to_string()).collect();
        let (index, at) = (version.proved.index, version.statement.body().at());
        text += &format!("\n  entry {index}\t{at}\t{}\tsigned by {}", action(version), by.join(", "));
        for (item, tombstone) in &version.erased {
            text += &format!("\n    {item} was erased: tombstone in entry {tombstone}");
        }
    }
    for erasure in &history.erasures {
        let (index, tombstone) = (erasure.proved.index, &erasure.tombstone);
        text += &format!(
            "\n  entry {index}\t{}\ttombstone of entry {}\t{}",
            tombstone.at,
            tombstone.entry.index,
            printable(tombstone.basis.as_str())
        );
    }
    if let Some(enrolment) = &history.enrolment {
        let by: Vec<String> = enrolment.by.iter().map(ToString::to_string).collect();
        let (agency, registrar, entry) = (&name.agency, &enrolment.registrar, enrolment.index);
        text += &format!(
            "\nThe agency {agency}, {}, was enrolled in entry {entry} by {registrar}, signed by {}.",
            printable(&enrolment.title),
            by.join(", ")
        );
    }
    text += match history.whole {
        true => "\nThe whole log was read: there is no other version.",
        false => "\nThat there is no later version is the log's word; --whole reads the log and shows it.",
    };
    text
}

fn table(history: &Versions) -> String {
    let mut out = row(&["index", "leaf_hash", "at", "action", "signed_by", "erased", "public"]);
    for version in &history.versions {
        let by: Vec<String> = version.signers.iter().map(|signer| signer.key.name().to_string()).collect();
        let erased: Vec<String> = version.erased.iter().map(|(item, _)| item.to_string()).collect();
        let public = version.record().content.as_ref();
        let public = public.map(|content| record::json::Value::Object(content.public.clone()).to_text());
        out += &row(&[
            version.proved.index.to_string(),
            version.statement.leaf_hash().to_string(),
            version.statement.body().at().to_string(),
            action(version).to_owned(),
            by.join(" "),
            erased.join(" "),
            public.unwrap_or_default(),
        ]);
    }
    out
}

/// Everything that `daybook verify` needs later, without the log.
fn write_receipts(folder: &Path, reader: &Reader, history: &Versions) -> Result<(), Failure> {
    std::fs::create_dir(folder).map_err(Failure::file(folder))?;
    let write = |file: String, bytes: &[u8]| {
        let path = folder.join(file);
        std::fs::write(&path, bytes).map_err(Failure::file(&path))
    };
    let tombstones = history.erasures.iter().map(|erasure| &erasure.proved);
    let of_tombstones: Vec<_> =
        history.erasures.iter().map(|erasure| erasure.tombstone.entry.index).collect();
    for proved in history.versions.iter().map(|version| &version.proved).chain(tombstones) {
        let index = proved.index;
        write(format!("{index}.txt"), &proved.entry)?;
        write(format!("{index}.txt.tlog-proof"), &receipt(reader, proved).to_bytes())?;
    }
    let provenance = reader.provenance(&history.registry, &of_tombstones)?;
    write("history.provenance".to_owned(), &provenance.to_bytes())
}

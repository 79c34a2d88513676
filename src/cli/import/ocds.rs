//! `daybook import ocds`: open contracting release packages, each release a signed version of its process.

use std::path::{Path, PathBuf};

use clap::Args;
use record::exchange::Version;
use record::exchange::ocds::{Release, import};
use record::json::Value;
use serde::Serialize;

use super::signed::{self, Carried, IntoRecords, Opening};
use crate::clerk::{files, json};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::trust::Trust;

#[derive(Args, Debug)]
pub(in crate::cli) struct Ocds {
    /// Release packages, as JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The URL of the log, which takes records.
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    records: IntoRecords,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct ImportedJson {
    files: Vec<PathBuf>,
    releases: usize,
    processes: usize,
    prefix: String,
    records: Carried,
}

impl Ocds {
    pub(in crate::cli) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut releases: Vec<Release> = Vec::new();
        let mut opening = Opening::default();
        for file in &self.files {
            let package = read(file)?;
            let malformed = |error| Failure::Malformed(format!("{}: {error}", file.display()));
            releases.extend(import(&package).map_err(malformed)?);
            opening.learn(&package);
        }
        releases.sort_by_key(|release| release.version.at);
        let prefix = releases.first().map(|release| release.prefix.clone());
        let prefix =
            prefix.ok_or_else(|| Failure::Malformed("there are no releases in these files".to_owned()))?;
        if let Some(other) = releases.iter().find(|release| release.prefix != prefix) {
            return Err(Failure::Malformed(format!(
                "the releases are of two publishers, {} and {}; each has a register of its own",
                prefix.as_str(),
                other.prefix.as_str()
            )));
        }
        opening.prefix = Some(prefix.clone());
        let versions: Vec<Version> = releases.into_iter().map(|release| release.version).collect();
        let policy = self.trust.policy()?;
        let order = signed::Order::Key;
        let (records, _) =
            signed::carry(&self.records, &self.to, &policy, &opening, &versions, order, output)?;
        let mut keys: Vec<&str> = versions.iter().map(|version| version.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        let json = ImportedJson {
            releases: versions.len(),
            processes: keys.len(),
            prefix: prefix.as_str().to_owned(),
            files: self.files,
            records,
        };
        output.result(&json, || {
            let (releases, processes) = (json.releases, json.processes);
            format!("RIGHT: {releases} releases of {processes} processes.\n{}", json.records.text())
        });
        Ok(())
    }
}

/// A package as it is. One that would not be in the log what it is in the file is refused here.
fn read(file: &Path) -> Result<Value, Failure> {
    let name = file.display().to_string();
    let text = String::from_utf8(files::read(file).map_err(Failure::failed)?);
    let text = text.map_err(|_| Failure::Malformed(format!("{name}: is not UTF-8 text")))?;
    json::read(&name, &text).map_err(Failure::malformed)
}

impl Opening {
    /// Takes in what a package says of itself: its publisher, and the licence of its data.
    fn learn(&mut self, package: &Value) {
        fn member<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Value> {
            value.and_then(Value::as_object).and_then(|object| object.get(name))
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_text).map(str::to_owned);
        let publisher = member(Some(package), "publisher");
        self.title = self.title.take().or_else(|| text(member(publisher, "name")));
        self.licence = self.licence.take().or_else(|| text(member(Some(package), "license")));
    }
}

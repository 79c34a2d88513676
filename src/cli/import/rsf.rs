//! `daybook import rsf`: a register that a government published, with every root that its file asserts.

use std::path::{Path, PathBuf};

use clap::Args;
use record::exchange::rsf::{ImportError, Imported, export};
use record::rsf::{Assertion, Register, RsfError, replay};
use record::statement::Record;
use serde::Serialize;

use super::open;
use super::signed::{self, Carried, IntoRecords, Opening};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::trust::Trust;

#[derive(Args, Debug)]
pub(in crate::cli) struct Rsf {
    /// The file.
    file: PathBuf,
    /// Check every root that the file asserts, and stop there.
    #[arg(long, conflicts_with = "to")]
    check_only: bool,
    /// The URL of the log. An open one must be empty or hold the beginning of this register; one of records takes signed
    /// versions, and needs --register and --signer.
    #[arg(long, value_name = "URL", required_unless_present = "check_only")]
    to: Option<String>,
    #[command(flatten)]
    records: IntoRecords,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct ImportedJson {
    file: PathBuf,
    user_entries: u64,
    system_entries: u64,
    items: usize,
    assertions: Vec<Asserted>,
    register_root: String,
    /// Whether the log's signed tree has every asserted root; absent if only the file was checked.
    log_has_the_same_roots: Option<bool>,
    log_tree_size: Option<u64>,
    /// What became of the versions in a log of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Carried>,
}

#[derive(Serialize)]
struct Asserted {
    line: usize,
    user_entries: u64,
    root: String,
}

impl From<&Assertion> for Asserted {
    fn from(assertion: &Assertion) -> Self {
        let head = assertion.head;
        Self { line: assertion.line, user_entries: head.size.get(), root: head.root.to_string() }
    }
}

impl Rsf {
    pub(in crate::cli) fn run(self, output: &Output) -> Result<(), Failure> {
        let bytes = std::fs::read(&self.file).map_err(Failure::file(&self.file))?;
        let register = replay(&bytes).map_err(|error| malformed(&self.file, &error))?;
        let mut json = ImportedJson {
            file: self.file.clone(),
            user_entries: register.head.size.get(),
            system_entries: register.system_entries,
            items: register.items,
            assertions: register.assertions.iter().map(Asserted::from).collect(),
            register_root: register.head.root.to_string(),
            log_has_the_same_roots: None,
            log_tree_size: None,
            records: None,
        };
        match &self.to {
            Some(url) if self.records.is_asked() => {
                let carried = self.sign_and_send(&bytes, &register, url, output)?;
                json.log_tree_size = Some(carried.tree_size);
                json.log_has_the_same_roots = Some(true);
                json.records = Some(carried);
            }
            Some(url) => {
                json.log_tree_size = Some(open::append(&register, url, &self.trust, output)?);
                json.log_has_the_same_roots = Some(true);
            }
            None => {}
        }
        output.result(&json, || text(&json));
        Ok(())
    }

    fn sign_and_send(
        &self,
        bytes: &[u8],
        register: &Register,
        url: &str,
        output: &Output,
    ) -> Result<Carried, Failure> {
        let imported = record::exchange::rsf::import(bytes).map_err(|error| match error {
            ImportError::Rsf(error) => malformed(&self.file, &error),
            error => Failure::Malformed(format!("{}: {error}", self.file.display())),
        })?;
        let Imported { title, fields, versions, head: _ } = imported;
        let opening = Opening { title, licence: None, fields, prefix: None };
        let policy = self.trust.policy()?;
        let (carried, records) =
            signed::carry(&self.records, url, &policy, &opening, &versions, signed::Order::File, output)?;
        same_roots(register, &records)?;
        Ok(carried)
    }
}

/// The records that the signed tree holds have the published root, and with it every root that is asserted on the way.
fn same_roots(register: &Register, records: &[Record]) -> Result<(), Failure> {
    let (_, head) = export(records).map_err(Failure::failed)?;
    if head == register.head {
        return Ok(());
    }
    let (published, found) = (register.head, head);
    Err(Failure::Wrong(format!(
        "the log's register has the root {} over {} entries and the file {} over {}: something else was entered into it \
         as well, or in another order",
        found.root, found.size, published.root, published.size
    )))
}

fn malformed(file: &Path, error: &RsfError) -> Failure {
    let message = format!("{}: {error}", file.display());
    match error {
        RsfError::Root { .. } => Failure::Wrong(message),
        _ => Failure::Malformed(message),
    }
}

fn text(imported: &ImportedJson) -> String {
    let file = imported.file.display();
    let lines = imported.assertions.iter();
    let roots: String = lines
        .map(|asserted| {
            let Asserted { line, user_entries, root } = asserted;
            format!("\n  line {line}: sha-256:{root} after {user_entries} entries")
        })
        .collect();
    let checked = format!(
        "RIGHT: {file} has {} user entries, {} system entries and {} items, and every root that it asserts:{roots}",
        imported.user_entries, imported.system_entries, imported.items
    );
    match (&imported.records, imported.log_tree_size) {
        (Some(carried), _) => format!(
            "{checked}\n{}\nRIGHT: these versions, as the log has signed them, give exactly the roots that the government \
             published.",
            carried.text()
        ),
        (None, Some(size)) => format!(
            "{checked}\nRIGHT: the log has signed a tree of {size} entries with exactly the roots that the government \
             published."
        ),
        (None, None) => checked,
    }
}

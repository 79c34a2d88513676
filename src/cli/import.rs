//! `daybook import rsf`: a register that a government published, into a log of its own, so that the log signs
//! the very root that the government published.

use std::path::PathBuf;

use clap::Subcommand;
use record::rsf::{Assertion, Register, replay};
use serde::Serialize;

use super::add::failed;
use super::failure::Failure;
use super::output::Output;
use super::trust::{Trust, checkpoint};
use crate::prove::Prover;
use crate::source::Source;
use crate::submit::Submitter;

/// Entries sent in one request.
const BATCH: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// A register in Register Serialisation Format.
    Rsf {
        /// The file.
        file: PathBuf,
        /// Check every root that the file asserts, and stop there.
        #[arg(long, conflicts_with = "to")]
        check_only: bool,
        /// The URL of the log: open, and empty or holding the beginning of this register.
        #[arg(long, value_name = "URL", required_unless_present = "check_only")]
        to: Option<String>,
        #[command(flatten)]
        trust: Trust,
    },
}

#[derive(Serialize)]
struct Imported {
    file: PathBuf,
    user_entries: u64,
    system_entries: u64,
    items: usize,
    assertions: Vec<Asserted>,
    register_root: String,
    /// Whether the log's signed tree has every asserted root; absent if only the file was checked.
    log_has_the_same_roots: Option<bool>,
    log_tree_size: Option<u64>,
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

impl Import {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self::Rsf { file, check_only, to, trust } = self;
        let bytes = std::fs::read(&file).map_err(Failure::file(&file))?;
        let register = replay(&bytes).map_err(|error| {
            let message = format!("{}: {error}", file.display());
            match error {
                record::rsf::RsfError::Root { .. } => Failure::Wrong(message),
                _ => Failure::Malformed(message),
            }
        })?;
        let mut imported = Imported {
            file,
            user_entries: register.head.size.get(),
            system_entries: register.system_entries,
            items: register.items,
            assertions: register.assertions.iter().map(Asserted::from).collect(),
            register_root: register.head.root.to_string(),
            log_has_the_same_roots: None,
            log_tree_size: None,
        };
        if let (false, Some(url)) = (check_only, to) {
            imported.log_tree_size = Some(append(&register, &url, &trust, output)?);
            imported.log_has_the_same_roots = Some(true);
        }
        output.result(&imported, || text(&imported));
        Ok(())
    }
}

/// Appends what is missing and compares the log's signed roots with the published ones.
fn append(register: &Register, url: &str, trust: &Trust, output: &Output) -> Result<u64, Failure> {
    let policy = trust.policy()?;
    let source = Source::open(url)?;
    let before = checkpoint(&source, &policy)?.head();
    if before.size > register.head.size {
        return Err(Failure::Failed(format!(
            "the log has {} entries and the register {}: a register needs a log of its own",
            before.size, register.head.size
        )));
    }
    let submitter = Submitter::new(url).map_err(Failure::failed)?;
    let bar = output.bar(register.leaves.len() as u64, "adding entries");
    let mut expected = 0;
    for batch in register.leaves.chunks(BATCH) {
        for index in submitter.add_batch(batch).map_err(failed)? {
            if index.get() != expected {
                return Err(Failure::Failed(format!(
                    "the log put entry {expected} of the register at {index}: it already holds something else, and a \
                     register needs a log of its own"
                )));
            }
            expected += 1;
        }
        bar.set_position(expected);
    }
    bar.finish_and_clear();
    let head = checkpoint(&source, &policy)?.head();
    let prover = Prover::new(source);
    for assertion in register.assertions.iter().map(|assertion| assertion.head).chain([register.head]) {
        let (found, ..) = prover.consistency(assertion.size, head.size, head)?;
        if found.root != assertion.root {
            return Err(Failure::Wrong(format!(
                "after {} entries the log's root is {} and the register's {}",
                assertion.size, found.root, assertion.root
            )));
        }
    }
    Ok(head.size.get())
}

fn text(imported: &Imported) -> String {
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
    match imported.log_tree_size {
        Some(size) => format!(
            "{checked}\nRIGHT: the log has signed a tree of {size} entries with exactly the roots that the government \
             published."
        ),
        None => checked,
    }
}

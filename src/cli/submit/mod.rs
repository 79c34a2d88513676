//! `daybook submit`: records from what a clerk has, and statements that waited for their signatures.

mod remains;
mod run;
mod writer;

use std::path::{Path, PathBuf};

use clap::Args;
use record::statement::Register;
use serde::Serialize;

use self::run::{Options, Run};
pub(super) use self::writer::Writer;
use super::ceremony::{self, Carried};
use super::desk::{At, Desk, RegisterArg};
use super::failure::{EXIT_FAILED, Failure};
use super::output::Output;
use super::signers::Signers;
use crate::clerk::files::{self, FileError};
use crate::clerk::input::{Input, InputError, Reader, STANDARD_INPUT};
use crate::clerk::journal::Journal;
use crate::clerk::mapping::Mapping;
use crate::clerk::values;
use crate::client::Refusal;
use crate::client::draft::Draft;
use crate::officer::Officer;

/// How inputs are understood.
#[derive(Args, Clone, Debug)]
pub(super) struct Inputs {
    /// A TOML file that says which column or member is the key, the title, and which field:
    /// `key = "Code"`, `title = "Name"`, `separator = ";"`, and under `[fields]` `field = "Column"`.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

impl Inputs {
    /// Reads an input whole.
    pub(super) fn read(
        &self,
        path: &Path,
        register: &Register,
        receipts: Option<&Path>,
    ) -> Result<Input, Failure> {
        let mapping = match &self.mapping {
            None => Mapping::default(),
            Some(file) => {
                let text = String::from_utf8_lossy(&files::read(file).map_err(Failure::failed)?).into_owned();
                toml::from_str(&text).map_err(|error| {
                    Failure::Malformed(format!("{}: {}", file.display(), error.to_string().trim_end()))
                })?
            }
        };
        let reader = Reader { register, mapping: &mapping, receipts };
        reader.read(path).map_err(|error| match error {
            InputError::File(FileError::Io { .. }) => Failure::failed(error),
            error => Failure::malformed(error),
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Submit {
    #[command(flatten)]
    at: At,
    /// What to submit: a JSON file (a record, or an array of them), a folder of them, lines of JSON (.ndjson), a table
    /// (.csv), - for lines of JSON from standard input, or a statement that `sign` or another command left in a file.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The register of the records: AGENCY/REGISTER.
    #[arg(long)]
    register: Option<RegisterArg>,
    #[command(flatten)]
    how: Inputs,
    #[command(flatten)]
    signers: Signers,
    /// The folder for statements, receipts and the journal; beside the input unless you say otherwise.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Where somebody else has entered a version meanwhile, put yours on top of it.
    #[arg(long)]
    on_top: bool,
    /// Enter a new version also of what is in the log already and has not changed.
    #[arg(long)]
    again: bool,
}

/// What became of one record.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Became {
    /// Where it comes from.
    input: String,
    /// `entered`, `known` (by an earlier run), `unchanged` (the log has it already), `overtaken` or `refused`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Files with secret values of a statement that was not entered, and perhaps will be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values_kept: Vec<PathBuf>,
}

impl Became {
    fn is_in(&self) -> bool {
        self.receipt.is_some()
    }

    fn of_draft(input: &Path, carried: &Carried) -> Self {
        Self {
            input: input.display().to_string(),
            state: if carried.duplicate == Some(true) { "known" } else { "entered" },
            index: carried.index,
            leaf_hash: carried.leaf_hash.clone(),
            key: None,
            statement: Some(carried.file.clone()),
            receipt: carried.receipt.clone(),
            reason: None,
            detail: None,
            values_kept: Vec::new(),
        }
    }

    fn line(&self) -> String {
        let kept = match self.values_kept.is_empty() {
            true => String::new(),
            false => format!("\n\t{}: {}", remains::KEPT, paths(&self.values_kept)),
        };
        let path =
            |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
        match self.index.filter(|_| self.is_in()) {
            Some(index) => {
                let note = if self.state == "entered" { "" } else { "\talready there" };
                format!("{index}\t{}\t{}{note}{kept}", path(&self.statement), path(&self.receipt))
            }
            None => format!("REFUSED\t{}{kept}", self.detail.as_deref().unwrap_or_default()),
        }
    }
}

#[derive(Serialize)]
struct Report {
    entered: usize,
    already_there: usize,
    refused: usize,
    records: Vec<Became>,
}

impl Submit {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let officers = self.signers.load()?;
        let desk = self.at.open()?;
        let mut records = Vec::new();
        for input in &self.inputs {
            match self.draft(input)? {
                Some(draft) => records.push(send_draft(&desk, &officers, &draft, input)?),
                None => records.extend(self.records(&desk, &officers, input, output)?),
            }
        }
        let entered = records.iter().filter(|record| record.state == "entered").count();
        let already_there = records.iter().filter(|record| record.is_in()).count() - entered;
        let refused = records.len() - entered - already_there;
        let report = Report { entered, already_there, refused, records };
        output.result(&report, || {
            let mut lines: Vec<String> = report.records.iter().map(Became::line).collect();
            if report.records.len() > 1 {
                lines.push(format!("{entered} entered, {already_there} already there, {refused} refused"));
            }
            lines.join("\n")
        });
        if refused == 0 { Ok(()) } else { Err(Failure::Shown(EXIT_FAILED)) }
    }

    /// A statement that waited in a file.
    fn draft(&self, input: &Path) -> Result<Option<Draft>, Failure> {
        if input == Path::new(STANDARD_INPUT) || input.is_dir() {
            return Ok(None);
        }
        let bytes = files::read(input).map_err(Failure::failed)?;
        match Draft::is_one(&bytes) {
            true => Draft::read(input).map(Some).map_err(ceremony::draft_failed),
            false => Ok(None),
        }
    }

    fn records(
        &self,
        desk: &Desk,
        officers: &[Officer],
        input: &Path,
        output: &Output,
    ) -> Result<Vec<Became>, Failure> {
        let place = self.register.as_ref().ok_or_else(|| {
            let message =
                format!("{}: into which register? Give --register AGENCY/REGISTER", input.display());
            Failure::Malformed(message)
        })?;
        if officers.is_empty() {
            self.signers.load_some()?;
        }
        let facts = desk.register(place)?;
        let needed = usize::from(facts.definition.approvals.max(1));
        if officers.len() < needed {
            let message = format!(
                "the register {place} asks for the signatures of {needed} officers: give --signer for each, or let them \
                 sign in turn: daybook sign, then cosign, then submit"
            );
            return Err(Failure::Malformed(message));
        }
        let Input { items, journal } = self.how.read(input, &facts.definition, self.receipts.as_deref())?;
        let journal = Journal::open(&journal, &desk.origin).map_err(Failure::failed)?;
        let options = Options { on_top: self.on_top, again: self.again };
        let writer = Writer::new(desk, officers, &facts.definition);
        let bar = output.bar(items.len() as u64, "submitting");
        let mut run = Run::new(writer, journal, options);
        let done = run.all(&items, &bar);
        bar.finish_and_clear();
        done
    }
}

fn send_draft(desk: &Desk, officers: &[Officer], draft: &Draft, input: &Path) -> Result<Became, Failure> {
    let standing = desk.client.standing(draft).map_err(ceremony::failed)?;
    if !standing.is_complete() {
        let message = format!(
            "{}: is not complete: {}. Each signs with: daybook cosign {} --signer KEYFILE",
            input.display(),
            standing.missing().join("; "),
            input.display()
        );
        return Err(Failure::Failed(message));
    }
    let values = writer::check_signer(draft, officers, input)?;
    let carried = ceremony::try_to_send(&desk.client, &desk.policy, draft, input, standing.signed)?;
    let carried = match carried {
        Ok(carried) => carried,
        Err(refusal) => return Err(refused(desk, draft, input, &refusal)?),
    };
    if values {
        let statement = draft.statement().map_err(Failure::malformed)?;
        writer::upload_values(desk, officers, &statement, input)?;
    }
    Ok(Became::of_draft(input, &carried))
}

/// What a refusal of a draft means, and what became of its secret values. It may be sent again, when its time has come or a
/// key is there: they go only once another version has taken its place.
fn refused(desk: &Desk, draft: &Draft, stem: &Path, refusal: &Refusal) -> Result<Failure, Failure> {
    let statement = draft.statement().map_err(Failure::malformed)?;
    let before = values::kept(stem, &statement.identity());
    let kept = remains::after_refusal(desk, stem, &statement, false)?;
    let gone: Vec<PathBuf> = before.into_iter().filter(|path| !kept.contains(path)).collect();
    let failure = ceremony::refused(&stem.display().to_string(), refusal);
    let mut message = failure.message().to_owned();
    if !kept.is_empty() {
        message += &format!("\n{}: {}", remains::KEPT, paths(&kept));
    }
    if !gone.is_empty() {
        message +=
            &format!("\nits secret values, which open nothing any more, were removed: {}", paths(&gone));
    }
    Ok(Failure::Failed(message))
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

//! `daybook add`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::tlog_proof::TlogProof;

use super::failure::Failure;
use super::output::Output;
use super::trust::{Trust, checkpoint};
use crate::prove::Prover;
use crate::source::Source;
use crate::submit::{SubmitError, Submitter};

/// Lines sent in one request.
const LINES_BATCH: usize = 1000;
/// Bytes sent in one request.
const LINES_BATCH_BYTES: usize = 1 << 20;

#[derive(Args, Debug)]
pub(super) struct Add {
    /// The log's URL.
    url: String,
    /// Files, each one entry; - is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Every line of the files is an entry, without its line end.
    #[arg(long)]
    lines: bool,
    /// Fetch each file's receipt, check it, and write it beside the file as FILE.tlog-proof.
    #[arg(long, conflicts_with = "lines")]
    receipts: bool,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Added {
    file: PathBuf,
    index: u64,
    leaf_hash: String,
    receipt: Option<PathBuf>,
}

impl Add {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let submitter = Submitter::new(&self.url).map_err(Failure::failed)?;
        if self.lines {
            return self.add_lines(&submitter, output);
        }
        // Asked before anything is sent: a policy that cannot be read shall not leave half of the work done.
        let policy = if self.receipts { Some(self.trust.policy()?) } else { None };
        let mut added = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let entry = read(file)?;
            check_size(file, entry.len())?;
            let index = submitter.add(&entry).map_err(failed)?;
            let mut receipt = None;
            if let Some(policy) = &policy {
                let source = Source::open(&self.url)?;
                let checkpoint = checkpoint(&source, policy)?;
                let proved =
                    Prover::new(source).inclusion(index, checkpoint.head().size, checkpoint.head())?;
                if proved.leaf != leaf_hash(&entry) {
                    return Err(Failure::Wrong(format!(
                        "the log says {index}, and holds another entry there"
                    )));
                }
                let note = checkpoint.note().clone();
                let proof = TlogProof { extra: None, index, proof: proved.proof, checkpoint: note };
                receipt = Some(write_receipt(file, &proof)?);
            }
            let leaf_hash = leaf_hash(&entry).to_string();
            added.push(Added { file: file.clone(), index: index.get(), leaf_hash, receipt });
        }
        output.result(&added, || {
            let lines = added.iter().map(|added| match &added.receipt {
                Some(receipt) => format!("{}\t{}\t{}", added.index, added.file.display(), receipt.display()),
                None => format!("{}\t{}", added.index, added.file.display()),
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        Ok(())
    }

    fn add_lines(&self, submitter: &Submitter, output: &Output) -> Result<(), Failure> {
        let mut indexes = Vec::new();
        for file in &self.files {
            let text = read(file)?;
            let lines: Vec<&[u8]> =
                text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
            lines.iter().try_for_each(|line| check_size(file, line.len()))?;
            let bar = output.bar(lines.len() as u64, "adding lines");
            let mut rest = lines.as_slice();
            while !rest.is_empty() {
                let mut bytes = 0;
                let fits = rest.iter().take(LINES_BATCH).take_while(|line| {
                    bytes += line.len() + 2;
                    bytes <= LINES_BATCH_BYTES
                });
                let (batch, after) = rest.split_at(fits.count().max(1));
                let placed = submitter.add_batch(batch).map_err(failed)?;
                bar.inc(batch.len() as u64);
                indexes.extend(placed.iter().map(|index| index.get()));
                rest = after;
            }
            bar.finish_and_clear();
        }
        output.result(&indexes, || indexes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        Ok(())
    }
}

pub(super) fn failed(error: SubmitError) -> Failure {
    match error {
        SubmitError::Entry(_) => Failure::malformed(error),
        error => Failure::failed(error),
    }
}

fn check_size(file: &Path, bytes: usize) -> Result<(), Failure> {
    if (1..=tlog::bundle::ENTRY_BYTES_MAX).contains(&bytes) {
        return Ok(());
    }
    Err(Failure::Malformed(format!(
        "{}: an entry has 1 to 65,535 bytes, and this one {bytes}",
        file.display()
    )))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(Failure::file(file))?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(Failure::file(file))
}

fn write_receipt(file: &Path, receipt: &TlogProof) -> Result<PathBuf, Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".tlog-proof");
    let path = PathBuf::from(name);
    std::fs::write(&path, receipt.to_bytes()).map_err(Failure::file(&path))?;
    Ok(path)
}

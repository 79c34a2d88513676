//! `daybook get`: an entry, checked against the signed tree before it is handed out.

use std::io::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use record::statement::Statement;
use serde::Serialize;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

use super::failure::Failure;
use super::output::Output;
use super::trust::Trust;
use super::who::provenance_of;
use crate::prove::Prover;
use crate::provenance::collect::Reader;

#[derive(Args, Debug)]
pub(super) struct Get {
    /// The log's URL, its directory, or a folder with a copy of its public files.
    source: String,
    /// The entry's index, or its leaf hash in hex (needs a URL).
    entry: String,
    /// Write the entry to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the receipt to this file.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Write to this file who may sign such a statement, for `daybook verify --provenance`. For logs of records.
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Got {
    origin: String,
    index: u64,
    tree_size: u64,
    leaf_hash: String,
    entry: String,
    receipt: String,
}

impl Get {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let (source, checkpoint) = self.trust.open(&self.source)?;
        let (index, wanted) = match (self.entry.parse::<LeafIndex>(), self.entry.parse::<Hash>()) {
            (Ok(index), _) => (index, None),
            (_, Ok(leaf)) => (source.index_of(&leaf)?, Some(leaf)),
            _ => {
                let given = &self.entry;
                return Err(Failure::Malformed(format!(
                    "{given:?} is neither an index nor a leaf hash in hex"
                )));
            }
        };
        let (entry, inclusion) = Prover::new(&source).entry(index, checkpoint.head())?;
        if wanted.is_some_and(|wanted| wanted != leaf_hash(&entry)) {
            return Err(Failure::Wrong(format!(
                "the log names entry {index} for a hash that it does not have"
            )));
        }
        if let Some(path) = &self.provenance {
            let statement = Statement::parse(&entry)
                .map_err(|error| Failure::Failed(format!("entry {index} is no statement: {error}")))?;
            let reader = Reader::new(source, checkpoint.clone());
            let provenance = provenance_of(&reader, index, &statement)?;
            std::fs::write(path, provenance.to_bytes()).map_err(Failure::file(path))?;
        }
        let checkpoint_note = checkpoint.note().clone();
        let receipt =
            TlogProof { extra: None, index, proof: inclusion.proof, checkpoint: checkpoint_note }.to_bytes();
        if let Some(path) = &self.receipt {
            std::fs::write(path, &receipt).map_err(Failure::file(path))?;
        }
        if let Some(path) = &self.out {
            std::fs::write(path, &entry).map_err(Failure::file(path))?;
        }
        let got = Got {
            origin: checkpoint.origin().to_string(),
            index: index.get(),
            tree_size: checkpoint.head().size.get(),
            leaf_hash: inclusion.leaf.to_string(),
            entry: STANDARD.encode(&entry),
            receipt: String::from_utf8_lossy(&receipt).into_owned(),
        };
        if output.json || self.out.is_some() {
            output.result(&got, || {
                format!("RIGHT: entry {index} is in the signed tree of {} entries.", got.tree_size)
            });
        } else {
            // The bytes as they are; a reader that has gone away is no error.
            let _ = std::io::stdout().write_all(&entry);
        }
        Ok(())
    }
}

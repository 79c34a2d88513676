//! `daybook prove`: proofs made from tiles, so that they can be had from any copy of a log.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};
use tlog::tlog_proof::TlogProof;

use super::failure::Failure;
use super::output::Output;
use super::trust::Trust;
use crate::prove::Prover;

#[derive(Debug, Subcommand)]
pub(super) enum Prove {
    /// That an entry is in the newest signed tree: its receipt.
    Inclusion {
        /// The log's URL, its directory, or a folder with a copy of its public files.
        source: String,
        /// The entry's index.
        index: LeafIndex,
        /// Write the receipt to this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        trust: Trust,
    },
    /// That an older tree is the beginning of a newer one.
    Consistency {
        /// The log's URL, its directory, or a folder with a copy of its public files.
        source: String,
        /// The older size.
        old: TreeSize,
        /// The newer size; by default that of the checkpoint.
        new: Option<TreeSize>,
        #[command(flatten)]
        trust: Trust,
    },
}

#[derive(Serialize)]
struct Inclusion {
    index: u64,
    tree_size: u64,
    leaf_hash: String,
    receipt: String,
}

#[derive(Serialize)]
struct Consistency {
    old_size: u64,
    old_root_hash: String,
    new_size: u64,
    new_root_hash: String,
    hashes: Vec<String>,
}

impl Prove {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Inclusion { source, index, out, trust } => {
                let (source, checkpoint) = trust.open(&source)?;
                let head = checkpoint.head();
                let proved = Prover::new(source).inclusion(index, head.size, head)?;
                let note = checkpoint.note().clone();
                let receipt =
                    TlogProof { extra: None, index, proof: proved.proof, checkpoint: note }.to_bytes();
                let inclusion = Inclusion {
                    index: index.get(),
                    tree_size: head.size.get(),
                    leaf_hash: proved.leaf.to_string(),
                    receipt: String::from_utf8_lossy(&receipt).into_owned(),
                };
                if let Some(path) = &out {
                    std::fs::write(path, &receipt).map_err(Failure::file(path))?;
                }
                output.result(&inclusion, || match out {
                    Some(path) => {
                        format!("Entry {index} of {}: the receipt is in {}.", head.size, path.display())
                    }
                    None => inclusion.receipt.trim_end().to_owned(),
                });
            }
            Self::Consistency { source, old, new, trust } => {
                let (source, checkpoint) = trust.open(&source)?;
                let new = new.unwrap_or(checkpoint.head().size);
                let (old_head, new_head, proof) =
                    Prover::new(source).consistency(old, new, checkpoint.head())?;
                let consistency = Consistency {
                    old_size: old.get(),
                    old_root_hash: old_head.root.to_base64(),
                    new_size: new.get(),
                    new_root_hash: new_head.root.to_base64(),
                    hashes: proof.iter().map(Hash::to_base64).collect(),
                };
                output.result(&consistency, || {
                    let hashes: String = consistency.hashes.iter().map(|hash| format!("\n{hash}")).collect();
                    format!(
                        "The tree of {old} entries with root {}\nis the beginning of that of {new} entries with \
                         root {}.\nProof, {} hashes:{hashes}",
                        consistency.old_root_hash,
                        consistency.new_root_hash,
                        consistency.hashes.len()
                    )
                });
            }
        }
        Ok(())
    }
}

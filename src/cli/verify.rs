//! `daybook verify`: a file, its receipt and a policy; no network.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::tlog_proof::TlogProof;

use super::failure::Failure;
use super::output::Output;
use super::trust::Trust;

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The file that was entered.
    entry: PathBuf,
    /// Its receipt; by default the file's name with .tlog-proof at its end.
    receipt: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    origin: String,
    index: u64,
    tree_size: u64,
    root_hash: String,
    leaf_hash: String,
    witnesses: Vec<Witnessed>,
}

#[derive(Serialize)]
struct Witnessed {
    name: String,
    at: String,
}

impl Verify {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let policy = self.trust.policy()?;
        let entry = std::fs::read(&self.entry).map_err(Failure::file(&self.entry))?;
        let path = self.receipt.unwrap_or_else(|| {
            let mut name = self.entry.clone().into_os_string();
            name.push(".tlog-proof");
            name.into()
        });
        let bytes = std::fs::read(&path).map_err(Failure::file(&path))?;
        let receipt = TlogProof::parse(&bytes)
            .map_err(|error| Failure::Malformed(format!("{}: {error}", path.display())))?;
        let leaf = leaf_hash(&entry);
        let checkpoint = receipt.verify(&leaf, &policy).map_err(Failure::wrong)?;
        let witnesses = checkpoint
            .cosignatures()
            .iter()
            .map(|cosigned| Witnessed { name: cosigned.key.name().to_string(), at: time(cosigned.seconds) });
        let head = checkpoint.head();
        let verified = Verified {
            verified: true,
            origin: checkpoint.origin().to_string(),
            index: receipt.index.get(),
            tree_size: head.size.get(),
            root_hash: head.root.to_base64(),
            leaf_hash: leaf.to_string(),
            witnesses: witnesses.collect(),
        };
        output.result(&verified, || {
            let witnesses: String = verified
                .witnesses
                .iter()
                .map(|witness| format!("\n  seen by witness {} at {}", witness.name, witness.at))
                .collect();
            format!(
                "RIGHT: {} is entry {} of {}, in the signed tree of {} entries.{witnesses}",
                self.entry.display(),
                verified.index,
                verified.origin,
                verified.tree_size
            )
        });
        Ok(())
    }
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

//! `daybook verify`: a file, its receipt and a policy; no network. A statement is told in words: whose it is, and, with
//! the log's own statements about keys at hand, who signed it and who enrolled them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use record::statement::Statement;
use serde::Serialize;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::LeafIndex;
use tlog::note::Note;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

use super::about::About;
use super::failure::Failure;
use super::output::Output;
use super::trust::Trust;
use super::who::Who;

#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The file that was entered.
    entry: PathBuf,
    #[command(flatten)]
    by: ByReceipt,
    /// An older receipt or checkpoint of the same log: what is not in its tree was entered after it.
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
}

/// What shows that something was entered, and by whom.
#[derive(Args, Debug)]
pub(super) struct ByReceipt {
    /// The receipt; by default the file's name with .tlog-proof at its end.
    receipt: Option<PathBuf>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    pub(super) trust: Trust,
}

/// An entry that a receipt has shown.
pub(super) struct Shown {
    pub(super) place: Place,
    pub(super) checkpoint: VerifiedCheckpoint,
    index: LeafIndex,
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    #[serde(flatten)]
    place: Place,
    /// What the entry says, if it is a statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<About>,
}

/// Where an entry stands, by its receipt.
#[derive(Serialize)]
pub(super) struct Place {
    origin: String,
    index: u64,
    tree_size: u64,
    root_hash: String,
    leaf_hash: String,
    /// No earlier than this, by an older checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_after: Option<String>,
    /// At the latest then, by the first witness that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_before: Option<String>,
    witnesses: Vec<Witnessed>,
}

#[derive(Serialize)]
struct Witnessed {
    name: String,
    at: String,
}

impl Verify {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let policy = self.by.trust.policy()?;
        let entry = std::fs::read(&self.entry).map_err(Failure::file(&self.entry))?;
        let mut shown = self.by.shown(&self.entry, &leaf_hash(&entry), &policy)?;
        if let Some(earlier) = &self.earlier {
            shown.place.logged_after = Some(after(earlier, &policy, &shown.checkpoint, shown.index)?);
        }
        let statement = match Statement::parse(&entry) {
            Ok(statement) => Some(self.by.about(&shown, &statement, &policy)?),
            Err(_) => None,
        };
        let verified = Verified { verified: true, place: shown.place, statement };
        output.result(&verified, || {
            let about = verified.statement.as_ref().map(About::text).unwrap_or_default();
            format!("RIGHT: {} is {}{about}", self.entry.display(), verified.place.text())
        });
        Ok(())
    }
}

impl ByReceipt {
    /// Verifies the receipt of a file for the entry with this leaf hash.
    pub(super) fn shown(&self, file: &Path, leaf: &Hash, policy: &Policy) -> Result<Shown, Failure> {
        let path = self.receipt.clone().unwrap_or_else(|| receipt_beside(file));
        let (place, checkpoint, index) = place(&path, leaf, policy)?;
        Ok(Shown { place, checkpoint, index })
    }

    /// The entry's statement in words, with who signed it if that was asked.
    pub(super) fn about(
        &self,
        shown: &Shown,
        statement: &Statement,
        policy: &Policy,
    ) -> Result<About, Failure> {
        let signed = self.who.signed(policy, &shown.checkpoint, shown.index, statement)?;
        Ok(About::new(statement, signed))
    }
}

/// The receipt's usual place.
pub(super) fn receipt_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tlog-proof");
    name.into()
}

/// Verifies a receipt for the entry with this leaf hash.
fn place(
    path: &Path,
    leaf: &Hash,
    policy: &Policy,
) -> Result<(Place, VerifiedCheckpoint, LeafIndex), Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let receipt = TlogProof::parse(&bytes)
        .map_err(|error| Failure::Malformed(format!("{}: {error}", path.display())))?;
    let checkpoint = receipt.verify(leaf, policy).map_err(Failure::wrong)?;
    // A witness that signs with several keys is one witness; its earliest time is the one that counts.
    let mut by_witness = BTreeMap::new();
    for cosigned in checkpoint.cosignatures().iter().filter(|cosigned| cosigned.seconds > 0) {
        let earliest = by_witness.entry(cosigned.key.name().to_string()).or_insert(cosigned.seconds);
        *earliest = cosigned.seconds.min(*earliest);
    }
    let first = by_witness.values().copied().min();
    let witnesses = by_witness.into_iter().map(|(name, seconds)| Witnessed { name, at: time(seconds) });
    let head = checkpoint.head();
    let place = Place {
        origin: checkpoint.origin().to_string(),
        index: receipt.index.get(),
        tree_size: head.size.get(),
        root_hash: head.root.to_base64(),
        leaf_hash: leaf.to_string(),
        logged_after: None,
        logged_before: first.map(time),
        witnesses: witnesses.collect(),
    };
    Ok((place, checkpoint, receipt.index))
}

/// When the entry was not there yet: the time under an older tree that does not reach to it.
fn after(
    path: &Path,
    policy: &Policy,
    checkpoint: &VerifiedCheckpoint,
    index: LeafIndex,
) -> Result<String, Failure> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let note = match TlogProof::parse(&bytes) {
        Ok(receipt) => receipt.checkpoint,
        Err(_) => Note::parse(&bytes).map_err(|_| {
            Failure::Malformed(format!("{shown} is neither a receipt nor a signed checkpoint"))
        })?,
    };
    let older = policy.verify(&note).map_err(|error| Failure::Wrong(format!("{shown}: {error}")))?;
    if older.origin() != checkpoint.origin() {
        return Err(Failure::Wrong(format!("{shown} is of another log, {}", older.origin())));
    }
    if older.head().size.get() > index.get() {
        return Err(Failure::Wrong(format!(
            "the tree of {shown} has {} entries, and may hold entry {index} already",
            older.head().size
        )));
    }
    let last = older.cosignatures().iter().map(|cosigned| cosigned.seconds).max().filter(|last| *last > 0);
    last.map(time).ok_or_else(|| {
        Failure::Wrong(format!("{shown} has no witness's time, and the log's own word on time is not enough"))
    })
}

impl Place {
    pub(super) fn text(&self) -> String {
        let witnesses: String = self
            .witnesses
            .iter()
            .map(|witness| format!("\n  seen by witness {} at {}", witness.name, witness.at))
            .collect();
        let window = match (&self.logged_after, &self.logged_before) {
            (Some(after), Some(before)) => format!("\n  entered between {after} and {before}"),
            (None, Some(before)) => format!("\n  entered {before} at the latest"),
            (Some(after), None) => format!("\n  entered after {after}"),
            (None, None) => String::new(),
        };
        let Self { index, origin, tree_size, .. } = self;
        format!("entry {index} of {origin}, in the signed tree of {tree_size} entries.{witnesses}{window}")
    }
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

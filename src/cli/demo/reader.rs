//! A reader who trusts nothing but the policy file. Prints only what was fetched and checked.

use std::path::Path;

use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::trust::checkpoint;
use crate::fsck::fsck;
use crate::prove::Prover;
use crate::source::Source;

/// What the reader found.
pub(super) struct Read {
    pub(super) root_hash: String,
    pub(super) checked_entry: u64,
    pub(super) forged_entry_refused: bool,
}

pub(super) fn check(url: &str, folder: &Path, output: &Output) -> Result<Read, Failure> {
    let path = folder.join("policy.txt");
    let bytes = std::fs::read(&path).map_err(Failure::file(&path))?;
    let policy = Policy::parse(&bytes).map_err(Failure::malformed)?;
    let source = Source::open(url)?;
    let checkpoint = checkpoint(&source, &policy)?;
    let head = checkpoint.head();
    let mut names: Vec<&str> = checkpoint.cosignatures().iter().map(|one| one.key.name().as_str()).collect();
    names.sort_unstable();
    names.dedup();
    output.say(&format!(
        "   The log's signature is right, and {} witnesses have signed the same: {} entries, root\n   {}.",
        names.len(),
        head.size,
        head.root.to_base64()
    ));

    let report = fsck(&source, head, &mut |_, _| (), &mut |_| ())?;
    Failure::unless_good(&report)?;
    output.say(&format!("   All {} entries were fetched and hash to that root.", report.entries_good));

    let index = LeafIndex::new(head.size.get() / 2).map_err(Failure::failed)?;
    let (entry, inclusion) = Prover::new(source).entry(index, head)?;
    let note = checkpoint.note().clone();
    let receipt = TlogProof { extra: None, index, proof: inclusion.proof, checkpoint: note };
    receipt.verify(&leaf_hash(&entry), &policy).map_err(Failure::wrong)?;
    let (file, proof) = (folder.join("notice.json"), folder.join("notice.json.tlog-proof"));
    std::fs::write(&file, &entry).map_err(Failure::file(&file))?;
    std::fs::write(&proof, receipt.to_bytes()).map_err(Failure::file(&proof))?;
    output.say(&format!("   Entry {index} and its receipt verify without the log."));

    let forged = String::from_utf8_lossy(&entry).replacen('1', "9", 1);
    let refused = receipt.verify(&leaf_hash(forged.as_bytes()), &policy).is_err();
    if !refused || forged.as_bytes() == &entry[..] {
        return Err(Failure::wrong("a forged entry was accepted"));
    }
    output.say("   The same entry with one digit changed is refused.\n");
    Ok(Read { root_hash: head.root.to_base64(), checked_entry: index.get(), forged_entry_refused: refused })
}

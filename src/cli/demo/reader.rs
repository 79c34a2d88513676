//! A reader who trusts nothing but the policy file. Prints only what was fetched and checked.

use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

use super::super::failure::{Failure, unless_good};
use super::super::output::Output;
use super::super::trust::checkpoint;
use super::children;
use super::town::{Town, write};
use crate::fsck::fsck;
use crate::prove::Prover;
use crate::source::Source;

/// What the reader found.
pub(super) struct Read {
    pub(super) root_hash: String,
    pub(super) checked_entry: u64,
    pub(super) forged_entry_refused: bool,
}

/// Checks the whole log, and then one entry of it.
pub(super) fn check(town: &Town, index: LeafIndex, output: &Output) -> Result<Read, Failure> {
    let source = Source::open(&town.url)?;
    let checkpoint = checkpoint(&source, &town.policy)?;
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
    unless_good(&report)?;
    output.say(&format!("   All {} entries were fetched and hash to that root.", report.entries_good));

    let (entry, inclusion) = Prover::new(source).entry(index, head)?;
    let note = checkpoint.note().clone();
    let receipt = TlogProof { extra: None, index, proof: inclusion.proof, checkpoint: note };
    receipt.verify(&leaf_hash(&entry), &town.policy).map_err(Failure::wrong)?;
    let file = write(town.folder.join("contract.statement"), &entry)?;
    let proof = write(town.folder.join("contract.statement.tlog-proof"), &receipt.to_bytes())?;
    output.say(&format!(
        "   Entry {index} and a receipt that the reader made from the tree verify without the log."
    ));

    let forged = String::from_utf8_lossy(&entry).replacen("1243000", "1234000", 1);
    if forged.as_bytes() == &entry[..] {
        return Err(Failure::wrong("the entry does not say what it should"));
    }
    let forgery = write(town.folder.join("forged.statement"), forged.as_bytes())?;
    if !children::verify(&file, &proof, &town.policy_file)? {
        return Err(Failure::wrong("the reader's receipt does not verify"));
    }
    if children::verify(&forgery, &proof, &town.policy_file)? {
        return Err(Failure::wrong("a forged entry was accepted"));
    }
    output.say("   The same entry with two digits exchanged is refused.\n");
    Ok(Read { root_hash: head.root.to_base64(), checked_entry: index.get(), forged_entry_refused: true })
}

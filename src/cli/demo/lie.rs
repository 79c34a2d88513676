//! The log signs a second history. A witness catches it, and what it keeps convinces anybody.

use std::path::PathBuf;

use serde::Deserialize;
use tlog::hash::leaf_hash;
use tlog::ids::UnixMillis;
use tlog::tree::Frontier;
use tlog::witness_wire::AddCheckpoint;

use super::super::failure::Failure;
use super::super::output::Output;
use super::{ORIGIN, Town, children};
use crate::keys;

/// The notice that the town would rather have written otherwise.
const CHANGED: usize = 3;

#[derive(Deserialize)]
struct Listed {
    evidence: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    id: String,
}

/// Returns the evidence file.
pub(super) fn show(town: &Town, records: &[Vec<u8>], output: &Output) -> Result<PathBuf, Failure> {
    // Everything that whoever runs a log has: the entries, and the key.
    let origin = ORIGIN.parse().map_err(Failure::failed)?;
    let signer = keys::load(&town.folder, &origin).map_err(Failure::failed)?;
    let mut other = Frontier::new();
    for (at, record) in records.iter().enumerate() {
        let changed = String::from_utf8_lossy(record).replacen("title\":\"", "title\":\"Not: ", 1);
        let record = if at == CHANGED { changed.as_bytes() } else { record };
        other.push(leaf_hash(record), |_, _| ());
    }
    let head = other.head();
    let lie = signer.sign(head, UnixMillis::new(1)).map_err(Failure::failed)?;
    output.say(&format!(
        "   It rewrites notice {CHANGED}, computes the tree anew, signs it with its own key, and takes it to the {}.",
        town.witnesses[0].name
    ));
    let witness = &town.witnesses[0];
    // It was away; its cosignature joins the public checkpoint when it has caught up.
    let line = format!("\u{2014} {}.example/witness ", witness.name);
    town.web.wait_until("the witness has caught up", || {
        let checkpoint = town.web.get(&format!("{}/checkpoint", town.url))?;
        Ok(String::from_utf8_lossy(&checkpoint.body).contains(&line))
    })?;
    let request = AddCheckpoint { old: head.size, proof: Vec::new(), checkpoint: lie.note().clone() };
    let url = format!("{}/add-checkpoint", witness.url);
    let answer = town.web.post(&url, "text/plain", request.to_bytes())?;
    if answer.status == 200 {
        return Err(Failure::wrong("a witness has signed two histories"));
    }
    output.say(&format!(
        "   The {} refuses (status {}): it has signed another tree of {} entries. It keeps both signatures.",
        witness.name, answer.status, head.size
    ));

    let mut kept = None;
    town.web.wait_until("the witness shows the evidence", || {
        let listed = town.web.get(&format!("{}/evidence", witness.url))?;
        let listed: Option<Listed> = serde_json::from_slice(&listed.body).ok();
        kept = listed.and_then(|listed| listed.evidence.into_iter().next());
        Ok(kept.is_some())
    })?;
    let id = kept.map(|kept| kept.id).unwrap_or_default();
    let file = town.web.get(&format!("{}/evidence/{id}", witness.url))?;
    let path = town.folder.join("two-histories.evidence");
    std::fs::write(&path, &file.body).map_err(Failure::file(&path))?;
    output.say(
        "   Anybody can fetch that file from the witness. With nothing but the file and the log's key:\n",
    );
    output.say("   $ daybook verify-evidence two-histories.evidence --key ...");
    if !children::verify_evidence(&path, &town.log_key)? {
        return Err(Failure::wrong("the evidence does not verify"));
    }
    output.say("   PROVED: the log has signed two different histories. No network, no log and no witness was asked.\n");
    Ok(path)
}

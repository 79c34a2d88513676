//! The log signs a second history. A witness refuses it, a monitor that is shown it accuses, and what they keep convinces
//! anybody.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::leaf_hash;
use tlog::ids::{LeafIndex, TreeHead, UnixMillis};
use tlog::note::Note;
use tlog::tree::Frontier;
use tlog::witness_wire::AddCheckpoint;

use super::super::failure::Failure;
use super::super::output::Output;
use super::children;
use super::later::Told;
use super::newspaper::{self, Newspaper};
use super::town::{Town, write};
use super::witness::Witness;
use crate::keys;

#[derive(Deserialize)]
struct Listed {
    evidence: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    id: String,
}

#[derive(Deserialize)]
struct Judged {
    answer: String,
    evidence: Vec<String>,
}

/// The evidence files.
pub(super) struct Caught {
    pub(super) by_witness: PathBuf,
    pub(super) by_monitor: PathBuf,
    pub(super) monitor_state: String,
    pub(super) link: String,
}

pub(super) fn show(
    town: &Town,
    newspaper: &Newspaper,
    changed: LeafIndex,
    told: &Told,
    output: &Output,
) -> Result<Caught, Failure> {
    let (head, lie) = lie(town, changed, told)?;
    output.say(&format!(
        "   In entry {changed} it writes {} again where {} stands, computes the tree anew, signs it with its own key, and\n   \
         takes it to the {}.",
        told.amount_before, told.amount_after, town.witnesses[0].name
    ));
    let by_witness = refused(town, head, &lie, output)?;
    prove(town, &by_witness, output)?;

    output.say(
        "   A citizen who was shown that second history takes it to the newspaper. Its monitor compares, and says:",
    );
    let (by_monitor, monitor_state, link) = accused(town, newspaper, &lie, output)?;
    prove(town, &by_monitor, output)?;
    Ok(Caught { by_witness, by_monitor, monitor_state, link })
}

/// Signs another history, with everything that whoever runs a log has: the entries, and the key.
fn lie(town: &Town, changed: LeafIndex, told: &Told) -> Result<(TreeHead, Note), Failure> {
    let signer = keys::load(&town.folder.join("log"), &town.origin).map_err(Failure::failed)?;
    let mut other = Frontier::new();
    for (at, entry) in (0..).zip(&town.entries) {
        let text = String::from_utf8_lossy(entry);
        let forged = text.replacen(&told.amount_after, &told.amount_before, 1);
        let entry = if at == changed.get() { forged.as_bytes() } else { entry };
        other.push(leaf_hash(entry), |_, _| ());
    }
    let head = other.head();
    let signed: VerifiedCheckpoint = signer.sign(head, UnixMillis::new(1)).map_err(Failure::failed)?;
    Ok((head, signed.note().clone()))
}

/// The witness refuses. Returns the evidence that it keeps.
fn refused(town: &Town, head: TreeHead, lie: &Note, output: &Output) -> Result<PathBuf, Failure> {
    let witness: &Witness = &town.witnesses[0];
    // It was away; its cosignature joins the public checkpoint when it has caught up.
    let line = format!("\u{2014} {}.example/witness ", witness.name);
    town.web.wait_until("the witness has caught up", || {
        let checkpoint = town.web.get(&format!("{}/checkpoint", town.url))?;
        Ok(String::from_utf8_lossy(&checkpoint.body).contains(&line))
    })?;
    let request = AddCheckpoint { old: head.size, proof: Vec::new(), checkpoint: lie.clone() };
    let url = format!("{}/add-checkpoint", witness.url);
    let answer = town.web.post(&url, "text/plain", request.to_bytes())?;
    if answer.status == 200 {
        return Err(Failure::wrong("a witness has signed two histories"));
    }
    output.say(&format!(
        "   The {} refuses (status {}): it has signed another tree of {} entries. It keeps both signatures, and anybody \
         can\n   fetch them from it.\n",
        witness.name, answer.status, head.size
    ));
    let id = town.web.wait_for("the witness shows the evidence", || {
        let listed: Listed = town.web.get(&format!("{}/evidence", witness.url))?.json()?;
        Ok(listed.evidence.into_iter().next().map(|kept| kept.id))
    })?;
    let file = town.web.get(&format!("{}/evidence/{id}", witness.url))?;
    write(town.folder.join("two-histories.evidence"), &file.body)
}

/// The monitor is shown the second history. Returns its evidence file, what it says of the log from then on, and where.
fn accused(
    town: &Town,
    newspaper: &Newspaper,
    lie: &Note,
    output: &Output,
) -> Result<(PathBuf, String, String), Failure> {
    let answer = town.web.post(&format!("{}/heads", newspaper.url), "text/plain", lie.to_bytes())?;
    let judged: Judged = answer.json()?;
    let file = judged.evidence.into_iter().next().filter(|_| judged.answer == "contradiction");
    let file =
        file.ok_or_else(|| Failure::wrong("the monitor was shown two histories and does not say so"))?;
    let alert = newspaper.alert(town, newspaper::LIES)?;
    let log = newspaper.state(town)?;
    if log.state != "misbehaving" {
        return Err(Failure::wrong(format!("the monitor says that the log is {}", log.state)));
    }
    output.say(&format!(
        "   {}: {}\n   [{}] {}\n      {}\n      {}\n",
        log.state.to_uppercase(),
        log.reason,
        newspaper::LIES,
        alert.title,
        alert.text,
        alert.link
    ));
    Ok((newspaper.folder.join(file), log.state, alert.link))
}

/// `daybook verify-evidence`, with nothing but the file and the log's key.
fn prove(town: &Town, file: &Path, output: &Output) -> Result<(), Failure> {
    output.say(&format!("   $ daybook verify-evidence {} --key {}", town.shown(file), town.log_key));
    if !children::verify_evidence(file, &town.log_key)? {
        return Err(Failure::wrong("the evidence does not verify"));
    }
    output.say("   PROVED: the log has signed two different histories. No network, no log and no witness was asked.\n");
    Ok(())
}

//! `daybook demo`: the whole system on sample records, with the log, its witnesses and a newspaper's monitor as processes
//! of their own. Offices are enrolled and publish; a reader checks who has nothing but a URL and a policy file; a monitor
//! finds what somebody would rather not be found; witnesses fail; and the log lies.
//!
//! | Room | Shows |
//! |---|---|
//! | `town`, `office`, `witness`, `samples` | the cast, and what it has at hand |
//! | `enrol`, `publish`, `later`, `privacy` | records: who may write, receipts, amendments, sealed and erased values |
//! | `reader`, `newspaper` | who checks |
//! | `outage`, `lie` | what goes wrong |
//! | `children`, `web`, `ending` | processes, requests, and where to go next |
//!
//! Every step prints what it fetched and verified, and fails loudly where it does not find what it shows.

mod children;
mod ending;
mod enrol;
mod later;
mod lie;
mod newspaper;
mod office;
mod outage;
mod privacy;
mod publish;
mod reader;
mod samples;
mod town;
mod web;
mod witness;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tlog::ids::LeafIndex;

use self::newspaper::Newspaper;
use self::publish::{CONTRACTS, Published};
use self::town::{ENOUGH, ORIGIN, Town, WITNESSES};
use super::failure::Failure;
use super::output::Output;

/// The contract that grows after its award.
const CONTRACT: &str = "2026-02";

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Keep everything running at the end, until Ctrl-C; on a terminal it always is.
    #[arg(long)]
    stay: bool,
    /// Make everything in this directory, which must not exist, and leave it there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shown {
    url: String,
    origin: String,
    entries: u64,
    root_hash: String,
    agencies: usize,
    registers: usize,
    records: usize,
    receipts_verify: bool,
    checked_entry: u64,
    forged_entry_refused: bool,
    contract: &'static str,
    amended_entry: u64,
    amount_before: String,
    amount_after: String,
    days_late: i64,
    disclosed_price: String,
    erased_status: u16,
    alerts: Vec<String>,
    monitor_url: String,
    monitor_state: String,
    witnesses: usize,
    quorum: usize,
    stopped_below_quorum: bool,
    nothing_lost: bool,
    second_tree_refused: bool,
    evidence: PathBuf,
    monitor_evidence: PathBuf,
    evidence_verifies: bool,
    directory: PathBuf,
}

impl Demo {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let stay = self.stay || (std::io::stdin().is_terminal() && !output.json);
        let temporary =
            tempfile::Builder::new().prefix("daybook-demo-").tempdir().map_err(Failure::failed)?;
        let folder = self.dir.unwrap_or_else(|| temporary.path().join("seaton"));
        std::fs::create_dir(&folder).map_err(Failure::file(&folder))?;
        let folder = folder.canonicalize().map_err(Failure::file(&folder))?;

        output.say(
            "1. A town makes a log. Four organisations that do not depend on the town agree to witness it.\n",
        );
        let mut town = town::found(&folder, output)?;
        town::introduce(&town, output);
        let story = tell(&mut town, output)?;
        let shown = story.shown(&town);
        output.result(&shown, || ending::text(&town, &story.newspaper, &shown, stay));
        if stay {
            // Ctrl-C ends all of the processes; a log that ends otherwise ends the wait.
            town.log.wait();
        }
        Ok(())
    }
}

/// What each step found.
struct Story {
    enrolled: enrol::Enrolled,
    records: usize,
    read: reader::Read,
    newspaper: Newspaper,
    told: later::Told,
    kept: privacy::Kept,
    entries: u64,
    amended: LeafIndex,
    caught: lie::Caught,
}

fn tell(town: &mut Town, output: &Output) -> Result<Story, Failure> {
    output.say(
        "2. Its registrar enrols the town's offices. Two of the registrar's three officers must sign.\n",
    );
    let enrolled = enrol::show(town, output)?;
    output.say("3. The offices publish. Each signs for itself; the log cannot write in their names.\n");
    let mut shelf = publish::show(town, output)?;
    output
        .say("4. A reader checks. The reader has the URL and the policy file, and believes nothing else.\n");
    let read = reader::check(town, contract(&shelf)?, output)?;
    output.say("5. A newspaper starts a monitor, which does the same day and night.\n");
    let newspaper = newspaper::show(town, output)?;
    output.say("6. Things happen that somebody would rather not see in the paper.\n");
    let told = later::show(town, &newspaper, &mut shelf, output)?;
    output.say("7. Not everything is for everybody, and not everything for ever.\n");
    let kept = privacy::show(town, &newspaper, &shelf, output)?;
    output.say("8. Two of the four witnesses are switched off. The council enters one more notice.\n");
    outage::show(town, output)?;
    let entries = newspaper.wait_for_all(town)?.size();
    output.say("9. The town would like to have another past.\n");
    let amended = contract(&shelf)?;
    let caught = lie::show(town, &newspaper, amended, &told, output)?;
    // The notice of the outage is one more.
    let records = shelf.len() + 1;
    Ok(Story { enrolled, records, read, newspaper, told, kept, entries, amended, caught })
}

impl Story {
    fn shown(&self, town: &Town) -> Shown {
        let told = &self.told;
        Shown {
            url: town.url.clone(),
            origin: ORIGIN.to_owned(),
            entries: self.entries,
            root_hash: self.read.root_hash.clone(),
            agencies: self.enrolled.agencies,
            registers: self.enrolled.registers,
            records: self.records,
            checked_entry: self.read.checked_entry,
            forged_entry_refused: self.read.forged_entry_refused,
            contract: CONTRACT,
            amended_entry: self.amended.get(),
            amount_before: told.amount_before.clone(),
            amount_after: told.amount_after.clone(),
            days_late: told.days_late,
            disclosed_price: self.kept.disclosed.clone(),
            erased_status: self.kept.erased_status,
            alerts: told.links.iter().chain([&self.kept.link, &self.caught.link]).cloned().collect(),
            monitor_url: self.newspaper.url.clone(),
            monitor_state: self.caught.monitor_state.clone(),
            witnesses: WITNESSES.len(),
            quorum: ENOUGH,
            // Each step fails loudly where it does not find what it shows.
            receipts_verify: true,
            stopped_below_quorum: true,
            nothing_lost: true,
            second_tree_refused: true,
            evidence: self.caught.by_witness.clone(),
            monitor_evidence: self.caught.by_monitor.clone(),
            evidence_verifies: true,
            directory: town.folder.clone(),
        }
    }
}

/// The newest version of the contract that grows.
fn contract(shelf: &[Published]) -> Result<LeafIndex, Failure> {
    let is_it =
        |published: &&Published| published.register == CONTRACTS && published.record.key.as_str() == CONTRACT;
    let found = shelf.iter().rev().find(is_it).map(|published| published.entered.index);
    found.ok_or_else(|| Failure::Failed(format!("contract {CONTRACT} was not published")))
}

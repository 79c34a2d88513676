//! `daybook demo`: the whole system on sample records, with the log and its witnesses as processes of their own; a check
//! by an outsider who has nothing but a URL and a policy file; witnesses that fail; and a log that lies.

mod children;
mod lie;
mod outage;
mod reader;
mod web;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use self::children::{Process, Witness};
use self::web::Web;
use super::failure::Failure;
use super::output::Output;
use crate::submit::Submitter;

/// Sample records: notices of an invented town.
const SAMPLES: &str = include_str!("../../../deploy/samples/notices.ndjson");
const ORIGIN: &str = "log.seaton.example/notices";
/// Who witnesses the town's log.
const WITNESSES: [&str; 4] = ["university", "newspaper", "court", "archive"];
/// How many of them have to sign.
const ENOUGH: usize = 3;

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Keep the log and its witnesses running at the end, until Ctrl-C; on a terminal they always are.
    #[arg(long)]
    stay: bool,
    /// Make the log in this directory, which must not exist, and leave it there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Shown {
    url: String,
    origin: String,
    entries: u64,
    root_hash: String,
    checked_entry: u64,
    forged_entry_refused: bool,
    witnesses: usize,
    quorum: usize,
    stopped_below_quorum: bool,
    nothing_lost: bool,
    second_tree_refused: bool,
    evidence: PathBuf,
    evidence_verifies: bool,
    directory: PathBuf,
}

/// The town's log, its witnesses, and the way to all of them.
struct Town {
    folder: PathBuf,
    web: Web,
    url: String,
    admin_url: String,
    log_key: String,
    witnesses: Vec<Witness>,
    log: Process,
}

impl Demo {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let stay = self.stay || (std::io::stdin().is_terminal() && !output.json);
        let temporary =
            tempfile::Builder::new().prefix("daybook-demo-").tempdir().map_err(Failure::failed)?;
        let folder = self.dir.unwrap_or_else(|| temporary.path().join("log"));
        output.say(
            "1. A town makes a log. Four organisations that do not depend on the town agree to witness it.\n",
        );
        let mut town = found(folder, temporary.path(), output)?;

        let mut records: Vec<Vec<u8>> = SAMPLES.lines().map(|line| line.as_bytes().to_vec()).collect();
        output.say(&format!("2. Its offices enter {} public notices.\n", records.len()));
        let submitter = Submitter::new(&town.url).map_err(Failure::failed)?;
        for record in &records {
            let index = submitter.add(record).map_err(super::add::failed)?;
            output.say(&format!("   {index:>3}  {}", title(record)));
        }

        output.say(
            "\n3. A reader checks. The reader has the URL and the policy file, and believes nothing else.\n",
        );
        let read = reader::check(&town.url, &town.folder, output)?;

        output.say("4. Two of the four witnesses are switched off. The town enters one more notice.\n");
        let entries = outage::show(&mut town, &mut records, output)?;

        output.say(
            "5. The town changes its mind about a notice that is in the log, and shows another history.\n",
        );
        let evidence = lie::show(&town, &records, output)?;

        let shown = Shown {
            url: town.url.clone(),
            origin: ORIGIN.to_owned(),
            entries,
            root_hash: read.root_hash,
            checked_entry: read.checked_entry,
            forged_entry_refused: read.forged_entry_refused,
            witnesses: WITNESSES.len(),
            quorum: ENOUGH,
            // Each step fails loudly where it does not find what it shows.
            stopped_below_quorum: true,
            nothing_lost: true,
            second_tree_refused: true,
            evidence,
            evidence_verifies: true,
            directory: town.folder.clone(),
        };
        output.result(&shown, || next_steps(&town, &shown, stay));
        if stay {
            // Ctrl-C ends all of the processes; a log that ends otherwise ends the wait.
            town.log.wait();
        }
        Ok(())
    }
}

fn title(record: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(record).ok();
    parsed.and_then(|record| record["title"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn found(folder: PathBuf, temporary: &Path, output: &Output) -> Result<Town, Failure> {
    let program = children::find_witness(output)?;
    let make = |name: &&'static str| Witness::make(&program, name, &temporary.join(name));
    let witnesses: Vec<Witness> = WITNESSES.iter().map(make).collect::<Result<_, _>>()?;
    let lines: String = witnesses.iter().map(Witness::policy_lines).collect();
    let names = WITNESSES.join(" ");
    let policy = temporary.join("witnesses.txt");
    let text = format!("{lines}group enough {ENOUGH} {names}\nquorum enough\n");
    std::fs::write(&policy, text).map_err(Failure::file(&policy))?;

    let made = children::make_log(&folder, ORIGIN, &policy)?;
    hurry(&folder)?;
    let log_key = made.keys.into_iter().next().unwrap_or_default();
    witnesses.iter().try_for_each(|witness| witness.follow(&log_key))?;
    let (log, listening) = children::serve_log(&folder)?;
    let (web, url, admin_url) = (Web::new()?, listening.url, listening.admin_url);
    web.wait_until("the log is ready", || Ok(web.get(&format!("{admin_url}/readyz"))?.status == 200))?;
    for witness in &witnesses {
        output.say(&format!("   The {} witnesses at {}", witness.name, witness.url));
    }
    output.say(&format!(
        "\n   {ORIGIN} is served at {url}. Nothing in it is public before {ENOUGH} of the {} have signed.\n   Each of \
         them signs only what continues everything it has signed before.\n",
        WITNESSES.len()
    ));
    Ok(Town { folder, web, url, admin_url, log_key, witnesses, log })
}

/// Nobody wants to watch five seconds pass.
fn hurry(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("config.toml");
    let text = std::fs::read_to_string(&path).map_err(Failure::file(&path))?;
    std::fs::write(&path, text.replace("deadline = \"5s\"", "deadline = \"2s\""))
        .map_err(Failure::file(&path))
}

fn next_steps(town: &Town, shown: &Shown, stay: bool) -> String {
    if !stay {
        return "That was the whole system. To look around in it: daybook demo --stay".to_owned();
    }
    let (url, policy, folder) = (&shown.url, town.folder.join("policy.txt"), shown.directory.display());
    let (policy, evidence, key) = (policy.display(), shown.evidence.display(), &town.log_key);
    format!(
        "6. Look around. The log and its witnesses run until Ctrl-C.\n\n   Open {url}/ in a browser, or a witness's page: \
         {}/\n   In another terminal:\n\n   daybook fsck {url} --policy {policy}\n   daybook verify {folder}/notice.json \
         --policy {policy}\n   daybook get {url} 3 --policy {policy}\n   daybook add {url} YOUR-FILE --receipts --policy \
         {policy}\n   daybook verify-evidence {evidence} --key {key}\n\n   Here `daybook` stands for {}.",
        town.witnesses[0].url,
        std::env::current_exe().map_or_else(|_| "this program".to_owned(), |path| path.display().to_string())
    )
}

//! A newspaper's monitor: it verifies the town's log for itself, and tells the desk what its watches find.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;
use tlog::hash::sha256;
use tlog::note::Note;

use super::super::failure::Failure;
use super::super::output::Output;
use super::children::{Process, free_address, run};
use super::town::Town;

/// The addresses of a new monitor's settings.
const LISTEN: &str = "127.0.0.1:8090";
const ADMIN: &str = "127.0.0.1:8091";
/// Days after which a publication is late.
const LATE_DAYS: &str = "30";

/// What the newspaper wants to be told: name, moment, search.
pub(super) const AMENDED: &str = "Contracts that change";
pub(super) const LATE: &str = "Published late";
pub(super) const ERASED: &str = "Something was erased";
pub(super) const LIES: &str = "The log lies";

/// The newspaper's monitor, at work.
pub(super) struct Newspaper {
    pub(super) folder: PathBuf,
    pub(super) url: String,
    /// Where its alerts are delivered to.
    delivered: PathBuf,
    _process: Process,
}

/// What a watch has told the desk.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Alert {
    pub(super) event: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) text: String,
    pub(super) link: String,
    #[serde(default)]
    pub(super) at: Option<String>,
    pub(super) found_at: i64,
    #[serde(default)]
    pub(super) changes: Vec<Change>,
    #[serde(default)]
    watch: Option<Named>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Change {
    pub(super) path: String,
    pub(super) old: Value,
    pub(super) new: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Delivered {
    alerts: Vec<Alert>,
}

/// What the monitor says of the log.
#[derive(Deserialize)]
pub(super) struct LogState {
    pub(super) state: String,
    pub(super) reason: String,
    verified: Option<Head>,
    judged: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Head {
    size: u64,
}

impl LogState {
    /// Entries that are verified.
    pub(super) fn size(&self) -> u64 {
        self.verified.as_ref().map_or(0, |head| head.size)
    }
}

#[derive(Deserialize)]
struct Status {
    logs: Vec<LogState>,
}

#[derive(Deserialize)]
struct Started {
    url: String,
}

/// Starts the newspaper's monitor and shows what it has verified.
pub(super) fn show(town: &Town, output: &Output) -> Result<Newspaper, Failure> {
    let folder = town.folder.join("monitor");
    let mut init = Command::new(&town.monitor);
    init.args(["init", "--json", "--origin", town.origin.as_str(), "--source", &town.url, "--policy"]);
    run::<Value>(init.args([&town.policy_file, &folder]))?;
    let delivered = town.folder.join("desk.ndjson");
    settle(&folder, town, &delivered)?;
    let mut command = Command::new(&town.monitor);
    let (process, started): (_, Started) = Process::start(command.args(["run", "--json"]).arg(&folder))?;
    let newspaper = Newspaper { folder, url: started.url, delivered, _process: process };

    let log = newspaper.wait_for_all(town)?;
    let names = newspaper.witnesses(town)?;
    output.say(&format!(
        "   It fetched all {} entries, computed the tree anew, and judged every statement by the rules that the \
         log must obey:\n   {}. The head is signed by {} witnesses: {}.\n   The desk wants to be told:\n",
        log.size(),
        log.state.to_uppercase(),
        names.len(),
        names.join(", ")
    ));
    for (name, when, search) in [
        (AMENDED, "changed", "register:contracts"),
        (LATE, "late", ""),
        (ERASED, "found", "is:erased"),
        (LIES, "misbehaviour", ""),
    ] {
        newspaper.watch(town, name, when, search, output)?;
    }
    output.say("");
    Ok(newspaper)
}

/// The settings: where it listens, that statements are judged, and where alerts go.
fn settle(folder: &Path, town: &Town, delivered: &Path) -> Result<(), Failure> {
    let path = folder.join("monitor.toml");
    let text = std::fs::read_to_string(&path).map_err(Failure::file(&path))?;
    let text = text.replacen(LISTEN, &free_address()?, 1).replacen(ADMIN, &free_address()?, 1);
    let witnesses: Vec<String> = town.witnesses.iter().map(|witness| format!("{:?}", witness.url)).collect();
    let more = format!(
        "genesis = {:?}\npoll = \"500ms\"\nwitnesses = [{}]\n\n[[channel]]\nname = \"desk\"\ncommand = [\"tee\", \"-a\", \
         {:?}]\n",
        town.genesis,
        witnesses.join(", "),
        delivered.display().to_string(),
    );
    std::fs::write(&path, format!("{text}{more}")).map_err(Failure::file(&path))
}

impl Newspaper {
    pub(super) fn state(&self, town: &Town) -> Result<LogState, Failure> {
        let status: Status = town.web.get(&format!("{}/status", self.url))?.json()?;
        let log = status.logs.into_iter().next();
        log.ok_or_else(|| Failure::Failed("the monitor watches no log".to_owned()))
    }

    /// Waits until everything that is in the log is verified, and judged.
    pub(super) fn wait_for_all(&self, town: &Town) -> Result<LogState, Failure> {
        let all = town.entries.len() as u64;
        town.web.wait_for("the monitor has verified the log", || {
            let log = self.state(town)?;
            let done = log.state == "verified" && log.judged == Some(all) && log.size() == all;
            Ok(done.then_some(log))
        })
    }

    /// Who has signed the head that the monitor verified.
    fn witnesses(&self, town: &Town) -> Result<Vec<String>, Failure> {
        let url = format!("{}/heads/{}", self.url, sha256(town.origin.as_str().as_bytes()));
        let note = Note::parse(&town.web.get(&url)?.body).map_err(Failure::wrong)?;
        let head = town.policy.verify(&note).map_err(Failure::wrong)?;
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let cosigned = head.cosignatures().iter();
        let mut names: Vec<String> = cosigned.map(|one| short(one.key.name().as_str())).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// `daybook-monitor watch add`, as the newspaper would type it.
    fn watch(
        &self,
        town: &Town,
        name: &str,
        when: &str,
        search: &str,
        output: &Output,
    ) -> Result<(), Failure> {
        let mut command = Command::new(&town.monitor);
        command.args(["watch", "add", "--json", "--name", name, "--when", when, "--channel", "desk"]);
        let days = if when == "late" { vec!["--days", LATE_DAYS] } else { Vec::new() };
        command.args(&days).arg(&self.folder);
        let search: Vec<&str> = search.split_whitespace().collect();
        run::<Value>(command.args(&search))?;
        let words = [days, search].concat().join(" ");
        let line = format!("   $ daybook-monitor watch add monitor --name {name:?} --when {when} {words}");
        output.say(line.trim_end());
        Ok(())
    }

    fn all_delivered(&self) -> Result<Vec<Alert>, Failure> {
        let bytes = match std::fs::read(&self.delivered) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file(&self.delivered)(error)),
        };
        // What is being written at this moment is read at the next look.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse = |line| serde_json::from_slice::<Delivered>(line).map_err(Failure::wrong);
        Ok(lines.map(parse).collect::<Result<Vec<_>, _>>()?.into_iter().flat_map(|one| one.alerts).collect())
    }

    /// Waits for what a watch tells the desk.
    pub(super) fn alert(&self, town: &Town, watch: &str) -> Result<Alert, Failure> {
        town.web.wait_for(&format!("the monitor tells: {watch}"), || {
            let told = |alert: &Alert| alert.watch.as_ref().is_some_and(|named| named.name == watch);
            Ok(self.all_delivered()?.into_iter().find(told))
        })
    }
}

//! What a 3-of-4 quorum adds to a published receipt: a lone client, without witnesses and with four processes of them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Log, Report, number, post};
use crate::run::{command, output, root};

/// Times that a log is asked whether it takes entries, and the pause between two of them.
const ASKED_MAX: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A witness at work; ended when dropped.
struct Witness {
    dir: PathBuf,
    child: Child,
    url: String,
    keys: Vec<String>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn witness(args: &[&str]) -> std::process::Command {
    command(&root().join("target/release/daybook-witness").to_string_lossy(), args)
}

impl Witness {
    fn make(place: &Path, number: usize) -> Result<Self> {
        let dir = place.join(format!("witness-{number}"));
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
        let path = dir.to_string_lossy().into_owned();
        let name = format!("w{number}.example/witness");
        let made: Value =
            serde_json::from_str(&output(&mut witness(&["init", "--json", "--name", &name, &path]))?)?;
        let keys = made["vkeys"].as_array().context("no keys")?.iter();
        let keys =
            keys.map(|key| key.as_str().map(str::to_owned).context("no key")).collect::<Result<_>>()?;
        let mut serving =
            witness(&["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &path]);
        let mut child = serving.env("DAYBOOK_LOG", "off").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("the witness did not start")?;
        let url = said["witnesses"][0]["url"].as_str().context("no url")?.to_owned();
        Ok(Self { dir, child, url, keys })
    }

    fn policy_lines(&self, number: usize) -> String {
        let keys = self.keys.iter().enumerate();
        let url = &self.url;
        let lines: String = keys.map(|(n, key)| format!("witness w{number}-{n} {key} {url}\n")).collect();
        let members: String = (0..self.keys.len()).map(|n| format!(" w{number}-{n}")).collect();
        format!("{lines}group w{number} any{members}\n")
    }
}

/// Measures both, in turns, so that a slow minute of the machine does not count for one side.
pub(super) fn quorum(place: &Path, seconds: u32, row: &mut Report<'_>) -> Result<()> {
    let witnesses = (1..=4).map(|number| Witness::make(place, number)).collect::<Result<Vec<_>>>()?;
    let mut policy: String = (1..).zip(&witnesses).map(|(number, one)| one.policy_lines(number)).collect();
    policy.push_str("group enough 3 w1 w2 w3 w4\nquorum enough\n");
    let file = place.join("witnesses.txt");
    std::fs::write(&file, policy)?;
    let alone = Log::make(place, "quorum-none")?;
    let watched = Log::make_with(place, "quorum", &["--witness-policy", &file.to_string_lossy()])?;
    let own = std::fs::read_to_string(watched.policy())?;
    let key = own.lines().find_map(|line| line.strip_prefix("log ")).context("no log line")?;
    let key = key.split(' ').next().context("no key")?;
    for one in &witnesses {
        output(&mut witness(&["log", "add", "--json", &one.dir.to_string_lossy(), key]))?;
    }
    wait_until_it_takes_entries(&watched.url)?;
    let part = format!("{}s", seconds.div_ceil(3));
    let args = ["--writers", "1", "--duration", &part];
    let mut added = Vec::new();
    let mut last = (0.0, 0.0);
    for _ in 0..3 {
        let p50 = |log: &Log| number(&log.load(&args)?["latency_ms"]["p50"]);
        last = (p50(&alone)?, p50(&watched)?);
        added.push(last.1 - last.0);
    }
    added.sort_by(f64::total_cmp);
    let found =
        format!("{:.2} ms (median of 3; last: {:.2} ms without, {:.2} ms with)", added[1], last.0, last.1);
    row(
        "added delay of a 3-of-4 quorum on loopback, in published receipts, p50".to_owned(),
        "under 15 ms",
        found,
    );
    Ok(())
}

fn wait_until_it_takes_entries(url: &str) -> Result<()> {
    for attempt in 0..ASKED_MAX {
        if post(url, u128::from(attempt)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    bail!("the log with witnesses takes no entries")
}

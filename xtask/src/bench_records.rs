//! `cargo xtask bench-records`: the measurements of records in docs/benchmarks.md, as a table.
//!
//! The load generator (`tests/examples/records_load.rs`) runs on the same machine and takes its share of the processors. It
//! signs before the clock starts, and counts an answer only if the log has grown by it. The replay needs no log.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::{data_sync, machine, number, resident_mib};
use crate::run::{built, cargo, command, output, root, run};

const ORIGIN: &str = "log.example/bench";
const CLIENTS: &str = "256";
const STREAMS: &str = "2";
/// Pairs of reads of the busy key.
const READS: &str = "2000";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Entries of the large log.
    pub(crate) large: u64,
    /// Versions of its busy key.
    pub(crate) versions: u64,
    /// Statements of each measurement of writing.
    pub(crate) statements: u64,
    /// Statements that are replayed.
    pub(crate) replayed: u64,
    /// With executables that are not optimised.
    pub(crate) debug: bool,
}

struct Served {
    child: Child,
    address: String,
    policy: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sizes {
    fn program(self, name: &str) -> String {
        match self.debug {
            true => built(name),
            false => root().join("target/release").join(name).to_string_lossy().into_owned(),
        }
    }

    fn daybook(self, args: &[&str]) -> Command {
        command(&self.program("daybook"), args)
    }

    fn load(self, args: &[&str]) -> Result<Value> {
        let said = output(&mut command(&self.program("examples/records_load"), args))?;
        serde_json::from_str(&said).with_context(|| format!("the load generator said {said:?}"))
    }

    /// A log of records with no limit on who sends how much.
    fn serve(self, place: &Path, name: &str) -> Result<Served> {
        let dir = place.join(name).to_string_lossy().into_owned();
        let genesis = place.join("genesis.txt").to_string_lossy().into_owned();
        self.load(&["genesis", ORIGIN, &genesis])?;
        let init =
            ["init", "--json", "--origin", ORIGIN, "--admission", "records", "--genesis", &genesis, &dir];
        output(&mut self.daybook(&init))?;
        let config = PathBuf::from(&dir).join("config.toml");
        let text = std::fs::read_to_string(&config)?;
        std::fs::write(
            &config,
            text.replace("statements_per_second_max = 20000", "statements_per_second_max = 0"),
        )?;
        let mut serving =
            self.daybook(&["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &dir]);
        let mut child = serving.env("DAYBOOK_LOG", "warn").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
        let said: Value =
            serde_json::from_str(&line).with_context(|| format!("the log did not start: {line}"))?;
        let address = said["url"].as_str().and_then(|url| url.strip_prefix("http://")).context("no url")?;
        Ok(Served { child, address: address.to_owned(), policy: format!("{dir}/policy.txt") })
    }
}

pub(crate) fn bench_records(sizes: Sizes) -> Result<()> {
    build(sizes)?;
    let place = root().join("target/bench/records");
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&place)?,
    }
    let mut rows = Vec::new();
    let mut row = |measure: String, target: &'static str, found: String| {
        println!("{measure}: {found} (target: {target})");
        rows.push((measure, target, found));
    };
    let sync = data_sync(&place)?;
    row("one data sync of the machine, p50".to_owned(), "-", format!("{sync:.2} ms"));
    writes(sizes, &place, &mut row)?;
    reads(sizes, &place, &mut row)?;
    replays(sizes, &mut row)?;
    println!("\n{}\n\n| Measure | Target | Measured |\n|---|---|---|", machine()?);
    for (measure, target, found) in rows {
        println!("| {measure} | {target} | {found} |");
    }
    Ok(())
}

fn build(sizes: Sizes) -> Result<()> {
    let profile: &[&str] = if sizes.debug { &[] } else { &["--release"] };
    for what in [
        ["--package", "daybook", "--bin", "daybook"],
        ["--package", "tests", "--example", "records_load"],
        ["--package", "record", "--example", "replay"],
    ] {
        run(&mut cargo(&[&["build", "--locked"], profile, &what].concat()))?;
    }
    Ok(())
}

type Report<'a> = dyn FnMut(String, &'static str, String) + 'a;

fn writes(sizes: Sizes, place: &Path, row: &mut Report<'_>) -> Result<()> {
    let count = sizes.statements.to_string();
    for (algorithm, name, target) in [("ed25519", "Ed25519", "8,000/s"), ("p256", "P-256", "6,000/s")] {
        let log = sizes.serve(place, &format!("single-{algorithm}"))?;
        let result = sizes.load(&["single", &log.address, &log.policy, algorithm, &count, CLIENTS])?;
        let (rate, latency) = (number(&result["statements_per_second"])?, &result["latency_ms"]);
        let (p50, p99) = (number(&latency["p50"])?, number(&latency["p99"])?);
        let measure = format!("`POST /records`, 1 KiB, {name}, {CLIENTS} clients, receipts");
        row(measure, target, format!("{rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"));
    }
    for (algorithm, name, target) in [("ed25519", "Ed25519", "12,000/s"), ("p256", "P-256", "-")] {
        let log = sizes.serve(place, &format!("batch-{algorithm}"))?;
        let result = sizes.load(&["batch", &log.address, &log.policy, algorithm, &count, STREAMS])?;
        let rate = number(&result["statements_per_second"])?;
        row(
            format!("`POST /records/batch`, 1 KiB, {name}, {STREAMS} streams"),
            target,
            format!("{rate:.0}/s"),
        );
    }
    Ok(())
}

fn reads(sizes: Sizes, place: &Path, row: &mut Report<'_>) -> Result<()> {
    let Sizes { large, versions, .. } = sizes;
    let log = sizes.serve(place, "large")?;
    let (address, policy) = (log.address.as_str(), log.policy.as_str());
    let filled = sizes.load(&["fill", address, policy, &large.to_string(), &versions.to_string()])?;
    let rate = number(&filled["statements_per_second"])?;
    row(format!("a log of {large} small statements made, signing included"), "-", format!("{rate:.0}/s"));
    let result = sizes.load(&["history", address, policy, READS])?;
    for (name, measure, target) in [
        ("latest_ms", "the latest version of a key".to_owned(), "under 5 ms"),
        ("page_ms", format!("a page of {} of its versions", result["page_items"]), "under 50 ms"),
    ] {
        let (p50, p99) = (number(&result[name]["p50"])?, number(&result[name]["p99"])?);
        let measure = format!("{measure}, {versions} versions among {large} entries");
        row(measure, target, format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
    }
    let resident = resident_mib(log.child.id())?;
    row("resident memory of that log".to_owned(), "-", format!("{resident:.0} MiB"));
    Ok(())
}

fn replays(sizes: Sizes, row: &mut Report<'_>) -> Result<()> {
    let count = sizes.replayed.to_string();
    let said = output(&mut command(&sizes.program("examples/replay"), &[&count, "--json"]))?;
    for line in said.lines() {
        let result: Value = serde_json::from_str(line)?;
        let (algorithm, trusted) =
            (result["algorithm"].as_str().context("an algorithm")?, result["trusted"] == true);
        let how = if trusted { "signatures trusted" } else { "signatures verified" };
        let target = if trusted { "100,000/s" } else { "the speed of the cryptography" };
        let (wall, busy) = (number(&result["per_second"])?, number(&result["per_processor_second"])?);
        let found = format!("{wall:.0}/s, {busy:.0} a second of processor time");
        let found = match result["verification_us"].as_f64() {
            Some(alone) if !trusted => format!("{found}; verifying alone takes {alone:.1} us each"),
            _ => found,
        };
        row(format!("replay of {count} statements, {algorithm}, {how}"), target, found);
    }
    Ok(())
}

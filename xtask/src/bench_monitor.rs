//! `cargo xtask bench-monitor`: how fast a monitor verifies a large log that is served as files, opaque entries and signed
//! statements, in how much memory, and how long it takes from publication to an alert.
//!
//! The logs are forged once and kept; each run starts from nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod alerts;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::run::{cargo, command, output, root, run};

/// Runs; the median is told.
const RUNS: usize = 3;
const MIB: u64 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Verification of opaque entries.
    Opaque,
    /// Verification of signed statements.
    Statements,
    /// From publication to an alert.
    Alerts,
}

#[derive(Args, Debug)]
pub(crate) struct BenchMonitor {
    /// Only this.
    #[arg(long, value_enum)]
    only: Option<What>,
    /// Opaque entries in the log.
    #[arg(long, default_value_t = 10_000_000)]
    entries: u64,
    /// Bytes of an opaque entry.
    #[arg(long, default_value_t = 256)]
    entry_bytes: u64,
    /// Signed statements in the log.
    #[arg(long, default_value_t = 1_000_000)]
    statements: u64,
    /// Publications that are waited for as alerts.
    #[arg(long, default_value_t = 100)]
    alerts: u32,
    /// Pause between two looks of the monitor that alerts, such as `10s`; else what it does by itself on one machine.
    #[arg(long)]
    poll: Option<String>,
    /// With executables that are not optimised, to try the benchmark itself.
    #[arg(long)]
    debug: bool,
}

/// Where things are.
struct Place {
    built: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn program(&self, name: &str) -> String {
        self.built.join(name).to_string_lossy().into_owned()
    }
}

impl BenchMonitor {
    pub(crate) fn run(&self) -> Result<()> {
        let profile: &[&str] = if self.debug { &[] } else { &["--release"] };
        let packages = ["--package", "monitor", "--package", "daybook", "--bins"];
        run(&mut cargo(&[&["build", "--locked"], &packages[..], profile].concat()))?;
        if self.only != Some(What::Alerts) {
            run(&mut cargo(
                &[&["build", "--locked", "--package", "tests", "--example", "forge"], profile].concat(),
            ))?;
        }
        let place = Place {
            built: root().join("target").join(if self.debug { "debug" } else { "release" }),
            folder: root().join("target/bench-monitor"),
        };
        std::fs::create_dir_all(&place.folder)?;
        let wanted = |what: What| self.only.is_none_or(|only| only == what);
        let mut rows = Vec::new();
        if wanted(What::Opaque) {
            let (entries, bytes) = (self.entries, self.entry_bytes.to_string());
            let (rate, resident) = verify(&place, entries, &bytes)?;
            rows.push(format!(
                "| verify {entries} entries of {bytes} B, opaque, log as files | 1,000,000/s | {rate:.0}/s (median of {RUNS}) |"
            ));
            rows.push(format!("| resident memory while doing so | under 200 MiB | {resident} MiB |"));
        }
        if wanted(What::Statements) {
            let entries = self.statements;
            let (rate, resident) = verify(&place, entries, "statements")?;
            rows.push(format!(
                "| verify {entries} statements of 1 KiB, registry replayed, every Ed25519 signature checked | 20,000/s | \
                 {rate:.0}/s (median of {RUNS}) |"
            ));
            rows.push(format!("| resident memory while doing so | under 200 MiB | {resident} MiB |"));
        }
        if wanted(What::Alerts) {
            rows.push(alerts::measure(&place, self.alerts, self.poll.as_deref())?);
        }
        println!("\n{}\n\n| Measure | Target | Measured |\n|---|---|---|", crate::bench::machine()?);
        rows.iter().for_each(|row| println!("{row}"));
        Ok(())
    }
}

/// Entries a second, and the most MiB of resident memory.
fn verify(place: &Place, entries: u64, sort: &str) -> Result<(f64, u64)> {
    let log = place.folder.join(format!("log-{entries}-{sort}"));
    let log_text = log.to_string_lossy().into_owned();
    if !log.join("policy.txt").exists() {
        println!("making a log of {entries} entries ({sort})");
        run(&mut command(&place.program("examples/forge"), &[&log_text, &entries.to_string(), sort]))?;
    }
    let mut found = Vec::new();
    for _ in 0..RUNS {
        let one = measure(place, &log, entries)?;
        println!("{:.0} entries/s, at most {} MiB resident", one.0, one.1 / MIB);
        found.push(one);
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    let resident = found.iter().map(|one| one.1).max().unwrap_or(0) / MIB;
    Ok((found[RUNS / 2].0, resident))
}

/// Makes a monitor's directory anew, and returns it.
fn init(place: &Place, name: &str, origin: &str, source: &str, policy: &Path) -> Result<PathBuf> {
    let home = place.folder.join(name);
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    let (dir, policy) = (home.to_string_lossy().into_owned(), policy.to_string_lossy().into_owned());
    let words = ["init", "--json", &dir, "--origin", origin, "--source", source, "--policy", &policy];
    output(&mut command(&place.program("daybook-monitor"), &words))?;
    Ok(home)
}

/// Adds settings to the log that `monitor.toml` ends with, and to whatever follows.
fn configure(home: &Path, more: &str) -> Result<()> {
    let path = home.join("monitor.toml");
    let text = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(&path, format!("{text}{more}\n"))?)
}

/// Entries a second, and the most bytes of resident memory.
fn measure(place: &Place, log: &Path, entries: u64) -> Result<(f64, u64)> {
    let home = init(place, "monitor", "log.example/forged", &log.to_string_lossy(), &log.join("policy.txt"))?;
    let genesis = std::fs::read_to_string(log.join("genesis")).ok();
    if let Some(genesis) = &genesis {
        configure(&home, &format!("genesis = \"{}\"", genesis.trim()))?;
    }
    let started = Instant::now();
    let words = ["once", "--json", "--no-index", &home.to_string_lossy()];
    let mut child = command(&place.program("daybook-monitor"), &words).stdout(Stdio::piped()).spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let exit = loop {
        peak = peak.max(peak_bytes(&status_file).unwrap_or(0));
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let seconds = started.elapsed().as_secs_f64();
    let said: Value = serde_json::from_reader(child.stdout.take().context("a pipe")?)?;
    let known = &said["logs"][0];
    ensure!(known["verified"]["size"] == entries, "not verified: {said}");
    ensure!(genesis.is_none() || known["judged"] == entries, "not judged: {said}");
    ensure!(
        known["alarms"].as_array().is_some_and(|alarms| alarms.iter().all(|alarm| alarm["kind"] == "stale")),
        "an honest log is accused: {said}"
    );
    // A log that was forged a while ago is stale, and nothing else.
    if !matches!(exit.code(), Some(0 | 5)) {
        bail!("the monitor ended with {exit}: {said}");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = entries as f64 / seconds;
    Ok((rate, peak))
}

/// The peak of a process's resident memory so far.
fn peak_bytes(status_file: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status_file).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

//! `cargo xtask bench-monitor`: how fast a monitor verifies a large log that is served as files, and in how much
//! memory. The log is forged once and kept; each run starts from nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::run::{cargo, command, output, root, run};

/// Runs; the median is told.
const RUNS: usize = 3;
const MIB: u64 = 1 << 20;

pub(crate) fn bench_monitor(entries: u64, entry_bytes: u64, debug: bool) -> Result<()> {
    let profile: &[&str] = if debug { &[] } else { &["--release"] };
    run(&mut cargo(&[&["build", "--locked", "--package", "monitor"], profile].concat()))?;
    run(&mut cargo(&[&["build", "--locked", "--package", "tests", "--example", "forge"], profile].concat()))?;
    let built = root().join("target").join(if debug { "debug" } else { "release" });
    let place = root().join("target/bench-monitor");
    let log = place.join(format!("log-{entries}-{entry_bytes}"));
    let log_text = log.to_string_lossy().into_owned();
    if !log.join("policy.txt").exists() {
        println!("making a log of {entries} entries of {entry_bytes} bytes");
        let forge = built.join("examples/forge").to_string_lossy().into_owned();
        run(&mut command(&forge, &[&log_text, &entries.to_string(), &entry_bytes.to_string()]))?;
    }
    let program = built.join("daybook-monitor").to_string_lossy().into_owned();
    let mut found = Vec::new();
    for _ in 0..RUNS {
        let one = measure(&program, &place, &log, entries)?;
        println!("{:.0} entries/s, at most {} MiB resident", one.0, one.1 / MIB);
        found.push(one);
    }
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    let resident = found.iter().map(|one| one.1).max().unwrap_or(0) / MIB;
    println!("| Measure | Target | Measured |\n|---|---|---|");
    println!(
        "| verify {entries} entries of {entry_bytes} B, opaque, log as files | 1,000,000/s | {:.0}/s (median of {RUNS}) |",
        found[RUNS / 2].0
    );
    println!("| resident memory while doing so | under 200 MiB | {resident} MiB |");
    Ok(())
}

/// Entries a second, and the most bytes of resident memory.
fn measure(program: &str, place: &Path, log: &Path, entries: u64) -> Result<(f64, u64)> {
    let home = place.join("monitor");
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    let (home, source) = (home.to_string_lossy().into_owned(), log.to_string_lossy().into_owned());
    let policy = log.join("policy.txt").to_string_lossy().into_owned();
    let init =
        ["init", "--json", &home, "--origin", "log.example/forged", "--source", &source, "--policy", &policy];
    output(&mut command(program, &init))?;
    let started = Instant::now();
    let mut child = command(program, &["once", "--json", &home]).stdout(Stdio::piped()).spawn()?;
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
    ensure!(said["logs"][0]["verified"]["size"] == entries, "not verified: {said}");
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

//! `cargo xtask bench-witness`: the witness's measurements of docs/benchmarks.md, as a table.
//!
//! The load generator (`tests/examples/witness_load.rs`) runs on the same machine and takes its share of the processors.
//! The state is on a real disk, with the settings that survive a power cut.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::{data_sync, machine, number, resident_mib};
use crate::run::{cargo, command, output, root, run};

/// A witness that serves; killed when dropped.
struct Served {
    child: Child,
    address: String,
    start: Duration,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn bench_witness(logs: u32, rate: u32, seconds: u32) -> Result<()> {
    run(&mut cargo(&["build", "--release", "--locked", "--package", "witness"]))?;
    run(&mut cargo(&["build", "--release", "--locked", "--package", "tests", "--example", "witness_load"]))?;
    let place = root().join("target/bench/witness");
    match std::fs::remove_dir_all(&place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(&place)?,
    }
    let sync = data_sync(&place)?;
    let dir = place.join("state").to_string_lossy().into_owned();
    let list = place.join("list");
    output(&mut witness(&["init", "--json", "--name", "witness.example/bench", &dir]))?;
    std::fs::write(&list, output(&mut load(&["list", &logs.to_string()]))?)?;
    output(&mut witness(&["list", "pull", "--json", &dir, &list.to_string_lossy()]))?;
    let mut rows = vec![("one data sync of the machine, p50".to_owned(), "-", format!("{sync:.2} ms"))];

    let served = serve(&dir)?;
    let args = ["many", &served.address, &logs.to_string(), &rate.to_string(), &seconds.to_string()];
    let result: Value = serde_json::from_str(&output(&mut load(&args))?)?;
    let (found, refused) = (found(&result)?, &result["refused"]);
    let measure = format!("add-checkpoint, {logs} logs, both signatures, {rate}/s at random moments");
    rows.push((measure, "5,000/s, p99 under 100 ms", format!("{found}, {refused} refused")));
    let memory = format!("{:.0} MiB", resident_mib(served.child.id())?);
    rows.push((format!("resident memory at {logs} logs, after that"), "under 150 MiB", memory));
    drop(served);

    let served = serve(&dir)?;
    let start = format!("{:.2} s", served.start.as_secs_f64());
    rows.push((format!("cold start at {logs} logs, to the open listener"), "under 1 s", start));
    drop(served);

    // A state of its own, so that the log begins at nothing.
    let dir = place.join("lone").to_string_lossy().into_owned();
    output(&mut witness(&["init", "--json", "--name", "witness.example/lone", &dir]))?;
    std::fs::write(&list, output(&mut load(&["list", "1"]))?)?;
    output(&mut witness(&["list", "pull", "--json", &dir, &list.to_string_lossy()]))?;
    let served = serve(&dir)?;
    let result: Value =
        serde_json::from_str(&output(&mut load(&["one", &served.address, "0", &seconds.to_string()]))?)?;
    let p50 = number(&result["latency_ms"]["p50"])?;
    let found = format!("{p50:.2} ms, {:.1} data syncs, {} refused", p50 / sync, result["refused"]);
    rows.push(("one busy log, back to back, p50".to_owned(), "under 1.5 data syncs", found));

    println!("\n{}\n\n| Measure | Target | Measured |\n|---|---|---|", machine()?);
    for (measure, target, found) in rows {
        println!("| {measure} | {target} | {found} |");
    }
    Ok(())
}

fn found(result: &Value) -> Result<String> {
    let latency = &result["latency_ms"];
    let (rate, p50, p99) =
        (number(&result["requests_per_second"])?, number(&latency["p50"])?, number(&latency["p99"])?);
    Ok(format!("{rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"))
}

fn witness(args: &[&str]) -> Command {
    command(&root().join("target/release/daybook-witness").to_string_lossy(), args)
}

fn load(args: &[&str]) -> Command {
    command(&root().join("target/release/examples/witness_load").to_string_lossy(), args)
}

fn serve(dir: &str) -> Result<Served> {
    let started = Instant::now();
    let mut serving = witness(&["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", dir]);
    let mut child = serving.env("DAYBOOK_LOG", "warn").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
    let start = started.elapsed();
    let said: Value =
        serde_json::from_str(&line).with_context(|| format!("the witness did not start: {line}"))?;
    let address = said["url"].as_str().and_then(|url| url.strip_prefix("http://")).context("no url")?;
    Ok(Served { child, address: address.to_owned(), start })
}

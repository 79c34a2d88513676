//! `cargo xtask bench`: the measurements of docs/benchmarks.md, one after the other, as a table.
//!
//! The load generator runs on the same machine and takes its share of the processors. It counts only entries that
//! a check of the whole log finds afterwards.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod quorum;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{cargo, command, has, output, root, run};

const SYNCS: usize = 300;
const PAGE_BYTES: usize = 4096;
const MIB: f64 = 1024.0 * 1024.0;

/// One line of the table.
struct Row {
    measure: String,
    target: &'static str,
    found: String,
}

/// Only what a quorum adds.
pub(crate) fn quorum_alone(seconds: u32) -> Result<()> {
    build()?;
    let place = root().join("target/bench");
    std::fs::create_dir_all(&place)?;
    quorum::quorum(&place, seconds, &mut |measure, target, found| {
        println!("{measure}: {found} (target: {target})");
    })
}

fn build() -> Result<()> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--package",
        "daybook",
        "--package",
        "witness",
        "--bins",
    ]))
}

pub(crate) fn bench(large: u64, seconds: u32) -> Result<()> {
    build()?;
    run(&mut cargo(&["build", "--release", "--locked", "--package", "tests", "--example", "bare"]))?;
    let place = root().join("target/bench");
    std::fs::create_dir_all(&place)?;
    let mut rows = Vec::new();
    let mut row = |measure: String, target: &'static str, found: String| {
        println!("{measure}: {found} (target: {target})");
        rows.push(Row { measure, target, found });
    };
    let sync = data_sync(&place)?;
    row("one data sync of the machine, p50".to_owned(), "-", format!("{sync:.2} ms"));

    let empty = adds(&place, seconds, &mut row)?;
    lone(&place, seconds, sync, &mut row)?;
    quorum::quorum(&place, seconds, &mut row)?;
    reads(&place, seconds, &mut row)?;
    let mut log = batches(&place, large, &mut row)?;
    at_size(&mut log, large, seconds, empty, &mut row)?;
    println!("\n{}\n", machine()?);
    println!("| Measure | Target | Measured |\n|---|---|---|");
    for Row { measure, target, found } in rows {
        println!("| {measure} | {target} | {found} |");
    }
    Ok(())
}

type Report<'a> = dyn FnMut(String, &'static str, String) + 'a;

/// A log of its own for a measurement.
struct Log {
    dir: PathBuf,
    child: Child,
    url: String,
}

impl Log {
    fn make(place: &Path, name: &str) -> Result<Self> {
        Self::make_with(place, name, &[])
    }

    fn make_with(place: &Path, name: &str, args: &[&str]) -> Result<Self> {
        let dir = place.join(name);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
        let path = dir.to_string_lossy().into_owned();
        let words = ["init", "--json", "--origin", "log.example/bench", "--admission", "open", &path];
        output(&mut daybook(&[&words[..], args].concat()))?;
        let (child, url) = serve(&dir)?;
        Ok(Self { dir, child, url })
    }

    fn policy(&self) -> String {
        self.dir.join("policy.txt").to_string_lossy().into_owned()
    }

    fn load(&self, args: &[&str]) -> Result<Value> {
        let policy = self.policy();
        let all: Vec<&str> = ["bench", "--json", &self.url, "--policy", &policy]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        Ok(serde_json::from_str(&output(&mut daybook(&all))?)?)
    }

    fn resident_mib(&self) -> Result<f64> {
        resident_mib(self.child.id())
    }
}

/// The resident memory of a process.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024.0 / MIB)
}

impl Drop for Log {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daybook(args: &[&str]) -> Command {
    command(&root().join("target/release/daybook").to_string_lossy(), args)
}

fn serve(dir: &Path) -> Result<(Child, String)> {
    let path = dir.to_string_lossy().into_owned();
    let mut serving =
        daybook(&["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &path]);
    let mut child = serving.env("DAYBOOK_LOG", "warn").stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut line)?;
    let said: Value =
        serde_json::from_str(&line).with_context(|| format!("the log did not start: {line}"))?;
    Ok((child, said["url"].as_str().with_context(|| format!("the log did not start: {line}"))?.to_owned()))
}

/// The median of a 4 KiB write with fdatasync into a file that has its size already.
pub(crate) fn data_sync(place: &Path) -> Result<f64> {
    let path = place.join("sync");
    let mut file = std::fs::File::create(&path)?;
    file.write_all(&vec![0; SYNCS * PAGE_BYTES])?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for at in 0..SYNCS {
        let started = Instant::now();
        std::os::unix::fs::FileExt::write_all_at(&file, &[1; PAGE_BYTES], (at * PAGE_BYTES) as u64)?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    times.sort_by(f64::total_cmp);
    Ok(times[SYNCS / 2])
}

pub(crate) fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("{value} is no number"))
}

fn adds(place: &Path, seconds: u32, row: &mut Report<'_>) -> Result<f64> {
    let log = Log::make(place, "adds")?;
    let duration = format!("{seconds}s");
    let result = log.load(&["--writers", "512", "--duration", &duration])?;
    let (rate, p99) = (number(&result["entries_per_second"])?, number(&result["latency_ms"]["p99"])?);
    let found = format!("{rate:.0}/s, p99 {p99:.1} ms");
    row("`POST /add`, 1 KiB, 512 clients".to_owned(), "20,000/s, p99 under 75 ms", found);
    if has("wrk") {
        let theirs = wrk(place, &log.url, seconds)?;
        let found = format!("{theirs:.0}/s, {:+.0} % of ours", (theirs / rate - 1.0) * 100.0);
        row("the same with wrk".to_owned(), "within 10 %", found);
    } else {
        println!("wrk is not installed; the load generator is not compared with it");
    }
    Ok(rate)
}

/// Entries that differ: wrk's threads number them.
fn wrk(place: &Path, url: &str, seconds: u32) -> Result<f64> {
    let script = place.join("add.lua");
    let text = "local threads = 0\n\
        function setup(thread) thread:set(\"id\", threads); threads = threads + 1 end\n\
        local count = 0\n\
        local rest = string.rep(\"x\", 1000)\n\
        function request()\n\
        count = count + 1\n\
        local body = string.format(\"%08d-%015d\", id, count) .. rest\n\
        return wrk.format(\"POST\", \"/add\", {[\"Content-Type\"] = \"application/octet-stream\"}, body)\n\
        end\n";
    std::fs::write(&script, text)?;
    let path = script.to_string_lossy().into_owned();
    let duration = format!("-d{seconds}s");
    let said = output(&mut command("wrk", &["-t1", "-c512", &duration, "-s", &path, url]))?;
    if said.contains("Non-2xx") {
        bail!("wrk was refused:\n{said}");
    }
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    Ok(line.context("wrk prints no rate")?.trim().parse()?)
}

fn lone(place: &Path, seconds: u32, sync: f64, row: &mut Report<'_>) -> Result<()> {
    let log = Log::make(place, "lone")?;
    let result = log.load(&["--writers", "1", "--duration", &format!("{seconds}s")])?;
    let p50 = number(&result["latency_ms"]["p50"])?;
    let found = format!("{p50:.2} ms, {:.2} data syncs", p50 / sync);
    row("a lone client, one entry at a time, p50".to_owned(), "under 2 data syncs", found);
    Ok(())
}

fn reads(place: &Path, seconds: u32, row: &mut Report<'_>) -> Result<()> {
    let log = Log::make(place, "reads")?;
    // 30 bytes and 2 of length, 256 times, are 8 KiB; one million of them fit into the cache.
    log.load(&[
        "--writers",
        "4",
        "--batch",
        "1000",
        "--entry-bytes",
        "30",
        "--entries",
        "500000",
        "--duration",
        "60s",
    ])?;
    let args = ["--writers", "0", "--readers", "64", "--no-check", "--duration", &format!("{seconds}s")];
    let load = |url: &str| -> Result<f64> {
        let all: Vec<&str> = ["bench", "--json", url].into_iter().chain(args).collect();
        let result: Value = serde_json::from_str(&output(&mut daybook(&all))?)?;
        number(&result["reads_per_second"])
    };
    let files = ["checkpoint", "tile/entries/000"].map(|file| log.dir.join("public").join(file));
    let mut child = Command::new(root().join("target/release/examples/bare"))
        .args(&files)
        .stdout(Stdio::piped())
        .spawn()
        .context("the bare server")?;
    let mut url = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut url)?;
    // In turns, so that a slow minute of the machine does not count for one side.
    let mut shares = Vec::new();
    let mut ours = 0.0;
    for _ in 0..3 {
        ours = load(&log.url)?;
        shares.push(ours / load(url.trim_end())?);
    }
    child.kill()?;
    child.wait()?;
    shares.sort_by(f64::total_cmp);
    let found = format!("{ours:.0}/s, {:.0} % (median of 3)", shares[1] * 100.0);
    row("tile reads, 8 KiB, hot".to_owned(), "90 % of a bare hyper server", found);
    Ok(())
}

fn batches(place: &Path, large: u64, row: &mut Report<'_>) -> Result<Log> {
    let log = Log::make(place, "large")?;
    let part = (large / 2).to_string();
    let args = [
        "--writers",
        "8",
        "--batch",
        "1000",
        "--entry-bytes",
        "256",
        "--duration",
        "3600s",
        "--entries",
        &part,
    ];
    let result = log.load(&args)?;
    let rate = number(&result["entries_per_second"])?;
    let measure = format!("`POST /add-batch`, 256 B, {part} entries never seen");
    row(measure, "60,000/s", format!("{rate:.0}/s"));
    let mut resident = vec![log.resident_mib()?];
    let step = (large / 10).to_string();
    for _ in 0..5 {
        let more = [
            "--writers",
            "8",
            "--batch",
            "1000",
            "--entry-bytes",
            "256",
            "--duration",
            "3600s",
            "--no-check",
            "--entries",
            &step,
        ];
        log.load(&more)?;
        resident.push(log.resident_mib()?);
    }
    let shown: Vec<String> = resident.iter().map(|mib| format!("{mib:.0}")).collect();
    let measure = format!("resident memory while appending up to {large} entries");
    row(measure, "under 256 MiB, and flat", format!("{} MiB", shown.join(", ")));
    Ok(log)
}

fn at_size(log: &mut Log, large: u64, seconds: u32, empty: f64, row: &mut Report<'_>) -> Result<()> {
    // The empty log was not measured while gigabytes that were appended before went to the disk.
    run(&mut command("sync", &[]))?;
    let args = ["--writers", "512", "--no-check", "--duration", &format!("{seconds}s")];
    let rate = number(&log.load(&args)?["entries_per_second"])?;
    let found = format!("{rate:.0}/s, {:.2}", rate / empty);
    row(format!("throughput at {large} entries over throughput when empty"), "at least 0.9", found);

    log.child.kill()?;
    log.child.wait()?;
    // Until the first answered write, as a client sees it.
    let started = Instant::now();
    let (mut child, url) = serve(&log.dir)?;
    let answered = post(&url, started.elapsed().as_nanos());
    let restart = started.elapsed().as_secs_f64();
    child.kill()?;
    child.wait()?;
    answered?;
    row(
        format!("restart after kill -9 at {large} entries, to the first answered write"),
        "under 1 s",
        format!("{restart:.2} s"),
    );

    let started = Instant::now();
    let checked = output(&mut daybook(&["fsck", "--json", &log.dir.to_string_lossy()]))?;
    let seconds = started.elapsed().as_secs_f64();
    let checked: Value = serde_json::from_str(&checked)?;
    let entries = number(&checked["entries_good"])?;
    row(
        "`fsck` of mostly 256 B entries, one core".to_owned(),
        "500,000/s",
        format!("{:.0}/s", entries / seconds),
    );
    Ok(())
}

fn post(url: &str, unique: u128) -> Result<()> {
    let address = url.strip_prefix("http://").context("a URL")?;
    let mut stream = TcpStream::connect(address)?;
    let body = format!("after the restart {unique}");
    let head = "content-type: application/octet-stream\r\nconnection: close";
    write!(
        stream,
        "POST /add HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("the write was not answered: {answer}") }
}

pub(crate) fn machine() -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let commit = output(&mut command("git", &["rev-parse", "--short=12", "HEAD"]))?;
    let rustc = output(&mut command("rustc", &["--version"]))?;
    Ok(format!("{model}, {cores} cores; {}; commit {}", rustc.trim(), commit.trim()))
}

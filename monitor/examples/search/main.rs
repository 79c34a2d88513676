//! How fast verified entries are indexed with full text, and searched.
//!
//! ```text
//! cargo run --release -p monitor --example search -- DIR RECORDS ROUNDS
//! ```
//!
//! Makes `DIR/index.sqlite` with so many records, unless it is there, and asks it every sort of query so many times, each
//! with other words: the first page, and how many there are, as the search page does. Prints JSON.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod corpus;
mod queries;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use corpus::{Corpus, Numbers};
use monitor::index::query::Query;
use monitor::index::search::Page;
use monitor::index::write::{BATCH_ENTRIES_MAX, NewEntry};
use monitor::index::{Index, Writer};
use queries::SORTS;
use serde_json::{Value, json};
use tlog::hash::{Hash, leaf_hash};

const ORIGIN: &str = "log.example/search";
/// Entries of the first page, as the search page has them.
const ROWS: usize = 25;
/// Batches that are made ahead.
const AHEAD: usize = 4;

type Made = Vec<(Vec<u8>, Hash)>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, records, rounds] = arguments.as_slice() else { return Err("search DIR RECORDS ROUNDS".into()) };
    let (dir, records, rounds) = (PathBuf::from(dir), records.parse::<u64>()?, rounds.parse::<usize>()?);
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("index.sqlite");
    let indexing = index(&path, records)?;
    let searching = search(&path, rounds)?;
    println!("{}", json!({ "records": records, "indexing": indexing, "searching": searching }));
    Ok(())
}

/// Indexes what is missing; `null` where nothing is.
fn index(path: &Path, records: u64) -> Result<Value, Box<dyn Error>> {
    let mut writer = Writer::open(path)?;
    let begun = writer.begin(ORIGIN, 0)?.next;
    if begun >= records {
        return Ok(Value::Null);
    }
    // A head before everything, so that lateness is counted as it is in a monitor.
    writer.note_head(ORIGIN, 0, 1_451_606_400)?;
    let (sender, receiver) = sync_channel::<Made>(AHEAD);
    let maker = std::thread::spawn(move || {
        let corpus = Corpus::new();
        let mut next = begun;
        while next < records {
            let end = records.min(next + BATCH_ENTRIES_MAX as u64);
            let made = (next..end).map(|index| corpus.entry(index, records)).map(|bytes| {
                let leaf = leaf_hash(&bytes);
                (bytes, leaf)
            });
            if sender.send(made.collect()).is_err() {
                return;
            }
            next = end;
        }
    });
    let (started, mut next, mut bytes, mut waited) = (Instant::now(), begun, 0, Duration::ZERO);
    let mut own = None;
    loop {
        let before = Instant::now();
        let Ok(made) = receiver.recv() else { break };
        waited += before.elapsed();
        let entries: Vec<NewEntry<'_>> = (next..)
            .zip(&made)
            .map(|(index, (bytes, leaf))| NewEntry { index, bytes, leaf: *leaf })
            .collect();
        bytes += made.iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
        writer.append(ORIGIN, &entries)?;
        next += made.len() as u64;
        if next % (BATCH_ENTRIES_MAX as u64 * 25) == 0 {
            own = own.max(status_bytes("RssAnon:"));
            eprintln!("{next} records, {:.0}/s", (next - begun) as f64 / started.elapsed().as_secs_f64());
        }
    }
    maker.join().map_err(|_| "the maker failed")?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({
        "records": next - begun,
        "seconds": seconds,
        "records_per_second": (next - begun) as f64 / seconds,
        // Making the records takes its share of the processors; this is what the index itself waited for them.
        "seconds_waited_for_records": waited.as_secs_f64(),
        "entry_bytes": bytes as f64 / (next - begun) as f64,
        "file_bytes": std::fs::metadata(path)?.len(),
        "resident_bytes_max": status_bytes("VmHWM:"),
        // Without the pages of the index that are mapped, which the system takes back when it wants them.
        "own_bytes_max": own.max(status_bytes("RssAnon:")),
    }))
}

/// What the system says of this process's memory under this name.
fn status_bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn search(path: &Path, rounds: usize) -> Result<Value, Box<dyn Error>> {
    let (index, corpus, mut numbers) = (Index::open(path)?, Corpus::new(), Numbers::new(7));
    let mut all = Vec::new();
    let mut sorts = Vec::new();
    for sort in &SORTS {
        let (mut times, mut hits, mut slowest) = (Vec::new(), 0, (Duration::ZERO, String::new()));
        for round in 0..rounds {
            let text = sort.query(&corpus, &mut numbers);
            let query = Query::parse(&text);
            let page = if round % 4 == 3 { Page::Oldest(None) } else { Page::Newest(None) };
            let started = Instant::now();
            let (found, _) = index.search_and_count(&query, page, ROWS)?;
            let took = started.elapsed();
            hits += found.rows.len();
            if took > slowest.0 {
                slowest = (took, text);
            }
            times.push(took);
        }
        all.extend_from_slice(&times);
        sorts.push(json!({
            "sort": sort.name,
            "p50_ms": percentile(&mut times, 50),
            "p95_ms": percentile(&mut times, 95),
            "max_ms": percentile(&mut times, 100),
            "slowest": slowest.1,
            "rows": hits as f64 / rounds as f64,
        }));
    }
    Ok(json!({
        "queries": all.len(),
        "p50_ms": percentile(&mut all, 50),
        "p95_ms": percentile(&mut all, 95),
        "p99_ms": percentile(&mut all, 99),
        "max_ms": percentile(&mut all, 100),
        "sorts": sorts,
    }))
}

/// In milliseconds.
fn percentile(times: &mut [Duration], part: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * part).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

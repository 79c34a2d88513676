//! The minimal verifier of evidence, `deploy/verify_evidence.py`: a second opinion that shares no code with ours.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What it says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It proves something against the owner of one of the keys.
    Proved,
    /// It does not, and why.
    NotProved(String),
    /// It is no evidence file, and why.
    Malformed(String),
}

/// Its verdict on each file, with these keys.
///
/// # Panics
/// If it does not end by itself, or its exit code is not that of the worst verdict.
#[must_use]
pub fn verify(files: &[PathBuf], keys: &[String]) -> Vec<Said> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verify_evidence.py");
    let mut command = Command::new("python3");
    command.arg("-I").arg(script).args(files).args(keys.iter().flat_map(|key| ["--key", key]));
    let ended = command.output().expect("python3 starts");
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let said: Vec<Said> = text.lines().filter_map(verdict).collect();
    assert_eq!(said.len(), files.len(), "{ended:?}");
    let worst = said.iter().map(|said| match said {
        Said::Proved => 0,
        Said::NotProved(_) => 1,
        Said::Malformed(_) => 2,
    });
    assert_eq!(ended.status.code(), worst.max(), "{ended:?}");
    said
}

fn verdict(line: &str) -> Option<Said> {
    let after = |what: &str| line.strip_prefix(what).map(str::to_owned);
    after("PROVED: ")
        .map(|_| Said::Proved)
        .or_else(|| after("NOT PROVED: ").map(Said::NotProved))
        .or_else(|| after("MALFORMED: ").map(Said::Malformed))
}

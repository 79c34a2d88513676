//! `daybook-monitor fsck`: is what this monitor has kept still what it verified?

use std::path::PathBuf;

use clap::Args;
use record::evidence::file::EvidenceFile;
use serde::Serialize;
use tlog::tile::{Tile, hash_tiles};

use super::output::{EXIT_WRONG, Failure, Output};
use crate::case::Case;
use crate::folder::read;
use crate::store::Opened;
use crate::tiles::prove_tiles;

/// Tiles authenticated together; each time the right edge is read again.
const TILES_TOGETHER: usize = 256;

#[derive(Args, Debug)]
pub(super) struct Fsck {
    /// The monitor's directory; no monitor may be running in it.
    dir: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    good: bool,
    logs: Vec<CheckedLog>,
    evidence_files: usize,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct CheckedLog {
    origin: String,
    verified: Option<u64>,
    good: bool,
}

impl Fsck {
    pub(super) fn run(self, output: &Output) -> Result<i32, Failure> {
        let runtime = super::runtime()?;
        let monitor = super::open(&self.dir, &runtime)?;
        let mut findings = Vec::new();
        if let Opened::Damaged(aside, why) = &monitor.opened {
            findings.push(format!(
                "the database was damaged ({why}) and is now {}; the next run verifies everything again",
                aside.display()
            ));
        }
        let mut logs = Vec::new();
        for case in &monitor.cases {
            let before = findings.len();
            let verified = check_log(case, output, &mut findings);
            logs.push(CheckedLog {
                origin: case.origin().to_owned(),
                verified,
                good: findings.len() == before,
            });
        }
        let files = monitor.folder.evidence_files().map_err(Failure::failed)?;
        for file in &files {
            let parsed = read(file).ok().flatten().map(|bytes| EvidenceFile::parse(&bytes));
            let keys: Vec<_> = monitor
                .cases
                .iter()
                .flat_map(|case| {
                    [case.followed.trust.log_keys(), case.followed.trust.witness_keys()].concat()
                })
                .collect();
            let holds = matches!(&parsed, Some(Ok(evidence)) if evidence.verify(&keys).is_ok());
            if !holds {
                findings.push(format!("{} proves nothing against a log that is followed", file.display()));
            }
        }
        let checked = Checked { good: findings.is_empty(), logs, evidence_files: files.len(), findings };
        output.result(&checked, || text(&checked));
        Ok(if checked.good { 0 } else { EXIT_WRONG })
    }
}

/// Authenticates every kept hash against the verified head; where verification started later, from there on.
fn check_log(case: &Case, output: &Output, findings: &mut Vec<String>) -> Option<u64> {
    findings.extend(case.repaired().into_iter().map(|what| format!("{}: {what}", case.origin())));
    let Some(verified) = case.verified() else {
        let path = case.folder.verified(&case.followed.origin);
        if path.exists() {
            findings.push(format!(
                "{}: the database does not know the head that {} says was verified; the next run verifies everything again",
                case.origin(),
                path.display()
            ));
        }
        return None;
    };
    let head = verified.head();
    let start = u128::from(case.start().get());
    let kept = |tile: &Tile| {
        let end = u128::from(tile.index() * 256 + u64::from(tile.width())) << (8 * u32::from(tile.level()));
        end > start
    };
    let tiles: Vec<Tile> = hash_tiles(head.size).filter(kept).collect();
    let bar = output.bar(tiles.len() as u64, format!("checking {}", case.origin()));
    for group in tiles.chunks(TILES_TOGETHER) {
        if let Err(error) = prove_tiles(&case.archive, head, group.iter().copied()) {
            findings.push(format!(
                "{}: our own hashes: {error}; they are made anew at the next start",
                case.origin()
            ));
            break;
        }
        bar.inc(group.len() as u64);
    }
    bar.finish_and_clear();
    Some(head.size.get())
}

fn text(checked: &Checked) -> String {
    if !checked.good {
        return format!("WRONG:\n{}", checked.findings.join("\n"));
    }
    let logs = checked.logs.iter().map(|log| match log.verified {
        Some(size) => format!("{}: the hashes of {size} entries are right\n", log.origin),
        None => format!("{}: nothing is verified yet\n", log.origin),
    });
    format!("RIGHT:\n{}{} evidence files hold", logs.collect::<String>(), checked.evidence_files)
}

//! `daybook fsck`.

use clap::Args;
use serde::Serialize;

use super::failure::{EXIT_WRONG, Failure, unless_good};
use super::output::Output;
use super::trust::Trust;
use crate::fsck::{Finding, fsck};

/// Findings that are printed; the rest is counted.
const FINDINGS_SHOWN: usize = 50;

#[derive(Args, Debug)]
pub(super) struct Fsck {
    /// The log's URL, its directory, or a folder with a copy of its public files.
    source: String,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Checked {
    good: bool,
    origin: String,
    tree_size: u64,
    root_hash: String,
    entries_good: u64,
    bytes: u64,
    findings: Vec<Finding>,
}

impl Fsck {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let (source, checkpoint) = self.trust.open(&self.source)?;
        let head = checkpoint.head();
        let bar = output.bar(head.size.get(), "checking entries");
        let report = fsck(&source, head, &mut |_, _| (), &mut |checked| bar.set_position(checked))?;
        bar.finish_and_clear();
        let verdict = unless_good(&report);
        let checked = Checked {
            good: report.is_good(),
            origin: checkpoint.origin().to_string(),
            tree_size: head.size.get(),
            root_hash: head.root.to_base64(),
            entries_good: report.entries_good,
            bytes: report.bytes,
            findings: report.findings,
        };
        output.result(&checked, || text(&checked));
        // One document: the result has said already what is wrong.
        if output.json { verdict.map_err(|_| Failure::Shown(EXIT_WRONG)) } else { verdict }
    }
}

fn text(checked: &Checked) -> String {
    if checked.good {
        return format!(
            "RIGHT: all {} entries of {} hash to the signed root {}.",
            checked.tree_size, checked.origin, checked.root_hash
        );
    }
    let shown = checked.findings.iter().take(FINDINGS_SHOWN);
    let mut text: String = shown.map(|finding| format!("{}: {}\n", finding.path, finding.problem)).collect();
    if checked.findings.len() > FINDINGS_SHOWN {
        text.push_str(&format!(
            "... and {} more; --json lists all\n",
            checked.findings.len() - FINDINGS_SHOWN
        ));
    }
    format!("{text}{} of {} entries are right.", checked.entries_good, checked.tree_size)
}

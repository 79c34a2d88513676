//! `daybook-monitor compare`: our heads beside those of witnesses and other monitors.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{EXIT_WRONG, Failure, Output};
use crate::crosscheck::Other;

#[derive(Args, Debug)]
pub(super) struct Compare {
    /// The monitor's directory; no monitor may be running in it. A running one compares by itself.
    dir: PathBuf,
    /// Other monitors, besides those of monitor.toml.
    #[arg(value_name = "URL")]
    peers: Vec<String>,
}

#[derive(Serialize)]
struct Compared {
    agree: bool,
    logs: Vec<ComparedLog>,
}

#[derive(Serialize)]
struct ComparedLog {
    origin: String,
    verified: Option<u64>,
    others: Vec<Other>,
}

impl Compare {
    pub(super) fn run(self, output: &Output) -> Result<i32, Failure> {
        let runtime = super::runtime()?;
        let monitor = super::open(&self.dir, &runtime)?;
        let peers: Vec<String> = monitor.config.peers.iter().chain(&self.peers).cloned().collect();
        let mut logs = Vec::new();
        for case in &monitor.cases {
            let others = case.crosscheck(&monitor.network, &peers).map_err(Failure::failed)?;
            logs.push(ComparedLog {
                origin: case.origin().to_owned(),
                verified: case.verified().map(|verified| verified.head().size.get()),
                others,
            });
        }
        monitor.deliverer().deliver().map_err(Failure::failed)?;
        let contradiction = |other: &Other| other.answer == "contradiction";
        let agree = !logs.iter().any(|log| log.others.iter().any(contradiction));
        let compared = Compared { agree, logs };
        output.result(&compared, || text(&compared));
        Ok(if agree { 0 } else { EXIT_WRONG })
    }
}

fn text(compared: &Compared) -> String {
    let mut lines = Vec::new();
    for log in &compared.logs {
        let verified =
            log.verified.map_or("nothing verified yet".to_owned(), |size| format!("{size} entries"));
        lines.push(format!("{} ({verified})", log.origin));
        for other in &log.others {
            lines.push(format!("  {}: {}: {}", other.answer, other.url, other.detail));
            lines.extend(other.evidence.iter().map(|file| format!("    evidence: {file}")));
        }
        if log.others.is_empty() {
            lines.push("  nobody to compare with: name witnesses or peers in monitor.toml".to_owned());
        }
    }
    lines.join("\n")
}

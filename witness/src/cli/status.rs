//! `daybook-witness status`.

use std::path::PathBuf;

use clap::Args;
use daemon::clock::{Clock, SystemClock};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::init::{bastion_path, state_path, verifier_keys};
use crate::state::State;

#[derive(Args, Debug)]
pub(super) struct Status {
    /// The witness's directory. It may be serving.
    dir: PathBuf,
}

#[derive(Serialize)]
struct StatusJson {
    name: String,
    vkeys: Vec<String>,
    /// The first segment of the witness's paths at a bastion, and what a bastion's operator admits it by.
    bastion_path: String,
    commits: u64,
    logs: usize,
    cosigned_logs: usize,
    disabled_logs: usize,
    last_cosigned_at: u64,
    evidence: u64,
}

impl Status {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let keys = verifier_keys(&self.dir).map_err(Failure::failed)?;
        let state = State::open_reader(&state_path(&self.dir)).map_err(Failure::failed)?;
        let logs = state.logs().map_err(Failure::failed)?;
        let status = StatusJson {
            name: keys[0].name().to_string(),
            vkeys: keys.iter().map(ToString::to_string).collect(),
            bastion_path: bastion_path(&self.dir).map_err(Failure::failed)?,
            commits: state.identity().map_err(Failure::failed)?.generation,
            logs: logs.len(),
            cosigned_logs: logs.iter().filter(|log| log.head.cosigned_at > 0).count(),
            disabled_logs: logs.iter().filter(|log| log.disabled).count(),
            last_cosigned_at: logs.iter().map(|log| log.head.cosigned_at).max().unwrap_or(0),
            evidence: state.evidence_count().map_err(Failure::failed)?,
        };
        output.result(&status, || {
            let last = match status.last_cosigned_at {
                0 => "never".to_owned(),
                at => format!("{} seconds ago", (SystemClock.unix_millis() / 1000).saturating_sub(at)),
            };
            format!(
                "{}\n  {}\nLogs: {}, of which {} were cosigned and {} are disabled\nLast cosignature: {last}\n\
                 Contradictions found: {}\nPath at a bastion: /{}/",
                status.name,
                status.vkeys.join("\n  "),
                status.logs,
                status.cosigned_logs,
                status.disabled_logs,
                status.evidence,
                status.bastion_path
            )
        });
        Ok(())
    }
}

//! `daybook-witness log`: add, list, disable, enable.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use daemon::clock::{Clock, SystemClock};
use serde::Serialize;
use tlog::ids::Origin;
use tlog::vkey::VerifierKey;

use super::output::{Failure, Output};
use crate::init::{state_path, verifier_keys};
use crate::roster::check;
use crate::state::State;
use crate::state::roster::{Added, NewLog, origin_hash};

#[derive(Debug, Subcommand)]
pub(super) enum Log {
    /// Follow a log.
    Add(Add),
    /// The logs that are followed.
    List(List),
    /// Treat a log as unknown. What was cosigned of it is kept.
    Disable(Named),
    /// Follow a disabled log again.
    Enable(Named),
}

#[derive(Args, Debug)]
pub(super) struct Add {
    /// The witness's directory.
    dir: PathBuf,
    /// The log's verifier key; several if it signs with several.
    #[arg(required = true)]
    vkeys: Vec<VerifierKey>,
    /// The log's name, if it is not the key's.
    #[arg(long)]
    origin: Option<Origin>,
    /// How many checkpoints it may send in a day; as many as it likes if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..1 << 31))]
    qpd: Option<u32>,
    /// How to reach its operator.
    #[arg(long, default_value = "")]
    contact: String,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// The witness's directory.
    dir: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The witness's directory.
    dir: PathBuf,
    /// The log's name.
    origin: Origin,
}

#[derive(Serialize)]
struct AddedJson {
    origin: String,
    origin_hash: String,
    new: bool,
}

#[derive(Serialize)]
struct LogJson {
    origin: String,
    origin_hash: String,
    vkeys: Vec<String>,
    qpd: Option<u32>,
    contact: String,
    source: String,
    disabled: bool,
    size: u64,
    cosigned_at: u64,
}

#[derive(Serialize)]
struct ChangedJson {
    origin: String,
    disabled: bool,
}

impl Log {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Add(command) => command.run(output),
            Self::List(command) => command.run(output),
            Self::Disable(command) => command.run(true, output),
            Self::Enable(command) => command.run(false, output),
        }
    }
}

fn open(dir: &Path) -> Result<State, Failure> {
    State::open_beside(&state_path(dir)).map_err(Failure::failed)
}

impl Add {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { dir, vkeys, origin, qpd, contact } = self;
        let origin = match origin {
            Some(origin) => origin,
            None => vkeys[0].name().as_str().parse().map_err(Failure::malformed)?,
        };
        check(&origin, &vkeys, &verifier_keys(&dir).map_err(Failure::failed)?).map_err(Failure::malformed)?;
        let state = open(&dir)?;
        let source = "operator".to_owned();
        let log = NewLog { origin: origin.clone(), keys: vkeys, qpd, contact, source };
        let seconds = SystemClock.unix_millis() / 1000;
        let added = state.add_logs(&[log], seconds).map_err(Failure::failed)?;
        let new = match added.as_slice() {
            [Added::New] => true,
            [Added::Known] => {
                state.set_quota(origin.as_str(), qpd).map_err(Failure::failed)?;
                false
            }
            _ => {
                return Err(Failure::failed(format!(
                    "{origin} is followed with other keys, and what is followed is never changed: a log with a new \
                     key needs a new origin"
                )));
            }
        };
        let hash = origin_hash(origin.as_str()).to_string();
        let added = AddedJson { origin: origin.to_string(), origin_hash: hash, new };
        output.result(&added, || {
            let what = if new { "is followed from now on" } else { "was followed already; its quota is set" };
            format!("{origin} {what}.\nIts checkpoint will be at /{}/checkpoint", added.origin_hash)
        });
        Ok(())
    }
}

impl List {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let state = State::open_reader(&state_path(&self.dir)).map_err(Failure::failed)?;
        let rows = state.logs().map_err(Failure::failed)?;
        let logs: Vec<LogJson> = rows
            .into_iter()
            .map(|row| LogJson {
                origin_hash: origin_hash(&row.origin).to_string(),
                origin: row.origin,
                vkeys: row.vkeys.lines().map(str::to_owned).collect(),
                qpd: row.qpd,
                contact: row.contact,
                source: row.source,
                disabled: row.disabled,
                size: row.head.head.size.get(),
                cosigned_at: row.head.cosigned_at,
            })
            .collect();
        output.result(&logs, || {
            let mut text = String::new();
            for log in &logs {
                let (size, disabled) = (log.size, if log.disabled { " (disabled)" } else { "" });
                text.push_str(&format!("{size:>12}  {}{disabled}\n", log.origin));
            }
            format!("{text}{} logs", logs.len())
        });
        Ok(())
    }
}

impl Named {
    fn run(self, disabled: bool, output: &Output) -> Result<(), Failure> {
        let origin = self.origin;
        if !open(&self.dir)?.set_disabled(origin.as_str(), disabled).map_err(Failure::failed)? {
            return Err(Failure::failed(format!("no log {origin} is followed")));
        }
        let changed = ChangedJson { origin: origin.to_string(), disabled };
        output.result(&changed, || {
            let what = if disabled { "treated as unknown" } else { "followed again" };
            format!("{origin} is {what}.")
        });
        Ok(())
    }
}

//! `daybook init`.

use std::path::{Path, PathBuf};

use clap::Args;
use daemon::clock::{SystemClock, SystemRandom};
use serde::Serialize;
use tlog::ids::Origin;
use tlog::policy::Policy;

use super::failure::Failure;
use super::output::Output;
use crate::config::{Admission, Config};
use crate::cosign::Roster;
use crate::init::{NewLog, init};

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The directory to make.
    dir: PathBuf,
    /// The log's name for all time: a host name and path of yours, such as log.agency.example/2027.
    #[arg(long)]
    origin: Origin,
    /// What the log takes in; fixed for its life.
    #[arg(long, value_enum)]
    admission: Admission,
    /// A file on another volume, where the log keeps a copy of its head. It lets the log notice that it was
    /// restored from an old copy.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// The URL under which the public will reach the log.
    #[arg(long)]
    url: Option<String>,
    /// A trust policy (C2SP tlog-policy) that names the witnesses who must cosign, with their URLs; its `log` lines are
    /// replaced by this log's. Without it no witnesses are asked.
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    origin: String,
    keys: Vec<String>,
    policy: String,
    /// What the author of the policy should know about it.
    warnings: Vec<String>,
}

impl Init {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { dir, origin, admission, anchor, url, witness_policy } = self;
        let witnesses = witness_policy.as_deref().map(witnesses).transpose()?;
        let journal_segment = Config::default().storage.journal_segment;
        let new = NewLog { origin: origin.clone(), admission, anchor, url, witnesses, journal_segment };
        let made = init(&dir, &new, &SystemClock, &SystemRandom).map_err(Failure::failed)?;
        let warnings = made.policy.lint().iter().map(ToString::to_string).collect();
        let keys = made.keys.iter().map(ToString::to_string).collect();
        let policy = String::from_utf8_lossy(&made.policy.to_bytes()).into_owned();
        let made = Made { dir, origin: origin.to_string(), keys, policy, warnings };
        output.result(&made, || {
            let dir = made.dir.display();
            let keys = made.keys.iter().map(|key| format!("  {key}\n")).collect::<String>();
            let warnings = made.warnings.iter().map(|warning| format!("Note: {warning}.\n")).collect::<String>();
            format!(
                "Made the log {} in {dir}.\n\nIts keys, for those who check it:\n{keys}\n{warnings}\nHand out \
                 {dir}/policy.txt. Keep {dir}/keys to yourself.\nSettings are in {dir}/config.toml. Start it \
                 with: daybook serve {dir}",
                made.origin
            )
        });
        Ok(())
    }
}

/// Read and checked before anything is made.
fn witnesses(path: &Path) -> Result<Policy, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    let malformed =
        |error: &dyn std::fmt::Display| Failure::Malformed(format!("{}: {error}", path.display()));
    let policy = Policy::parse(&bytes).map_err(|error| malformed(&error))?;
    Roster::of(&policy).map_err(|error| malformed(&error))?;
    Ok(policy)
}

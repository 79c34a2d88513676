//! `daybook init`.

use std::path::PathBuf;

use clap::Args;
use daemon::clock::{SystemClock, SystemRandom};
use serde::Serialize;
use tlog::ids::Origin;

use super::failure::Failure;
use super::output::Output;
use crate::config::{Admission, Config};
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
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    origin: String,
    keys: Vec<String>,
    policy: String,
}

impl Init {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { dir, origin, admission, anchor, url } = self;
        let journal_segment = Config::default().storage.journal_segment;
        let new = NewLog { origin: origin.clone(), admission, anchor, url, journal_segment };
        let made = init(&dir, &new, &SystemClock, &SystemRandom).map_err(Failure::failed)?;
        let keys = made.keys.iter().map(ToString::to_string).collect();
        let made = Made { dir, origin: origin.to_string(), keys, policy: made.policy };
        output.result(&made, || {
            let dir = made.dir.display();
            let keys = made.keys.iter().map(|key| format!("  {key}\n")).collect::<String>();
            format!(
                "Made the log {} in {dir}.\n\nIts keys, for those who check it:\n{keys}\nHand out \
                 {dir}/policy.txt. Keep {dir}/keys to yourself.\nSettings are in {dir}/config.toml. Start it \
                 with: daybook serve {dir}",
                made.origin
            )
        });
        Ok(())
    }
}

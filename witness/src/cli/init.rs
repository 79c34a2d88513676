//! `daybook-witness init`.

use std::path::PathBuf;

use clap::Args;
use daemon::clock::{SystemClock, SystemRandom};
use serde::Serialize;
use tlog::ids::KeyName;

use super::output::{Failure, Output};
use crate::init::init;

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The directory to make.
    dir: PathBuf,
    /// The witness's name for all time: a host name and path of yours, such as witness.university.example/w1.
    #[arg(long)]
    name: KeyName,
    /// A small file on another volume that counts commits. It lets the witness notice that its state was rolled back.
    #[arg(long, value_name = "FILE")]
    counter: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    name: String,
    vkeys: Vec<String>,
}

impl Init {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self { dir, name, counter } = self;
        let keys =
            init(&dir, &name, counter.as_deref(), &SystemClock, &SystemRandom).map_err(Failure::failed)?;
        let vkeys = keys.iter().map(ToString::to_string).collect();
        let made = Made { dir, name: name.to_string(), vkeys };
        output.result(&made, || {
            let dir = made.dir.display();
            let keys = made.vkeys.iter().map(|key| format!("  {key}\n")).collect::<String>();
            format!(
                "Made the witness {} in {dir}.\n\nIts keys, for logs and for those who verify (Ed25519, then \
                 ML-DSA-44):\n{keys}\nKeep {dir}/keys to yourself, and never put an old copy of \
                 {dir}/state.sqlite back.\nAdd a log with: daybook-witness log add {dir} VKEY\nSettings are in \
                 {dir}/config.toml. Start it with: daybook-witness serve {dir}",
                made.name
            )
        });
        Ok(())
    }
}

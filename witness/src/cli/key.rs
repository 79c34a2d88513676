//! `daybook-witness key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daemon::clock::{SystemClock, SystemRandom};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::init::rotate;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Draw a new key pair and cosign with it from the next start on. The witness must be stopped.
    Rotate(Rotate),
}

#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// The witness's directory.
    dir: PathBuf,
}

#[derive(Serialize)]
struct Rotated {
    vkeys: Vec<String>,
}

impl Key {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self::Rotate(Rotate { dir }) = self;
        let keys = rotate(&dir, &SystemClock, &SystemRandom).map_err(Failure::failed)?;
        let rotated = Rotated { vkeys: keys.iter().map(ToString::to_string).collect() };
        output.result(&rotated, || {
            let keys = rotated.vkeys.iter().map(|key| format!("  {key}\n")).collect::<String>();
            format!(
                "The new keys, for logs and for those who verify:\n{keys}Policies that name the old ones do not count \
                 the new ones: tell everyone before you start the witness again."
            )
        });
        Ok(())
    }
}

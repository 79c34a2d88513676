//! `daybook-witness list`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use daemon::clock::{Clock, SystemClock};
use daemon::fetch::{FetchOptions, Fetcher};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::init::{state_path, verifier_keys};
use crate::lists::{apply, read};
use crate::state::State;

#[derive(Debug, Subcommand)]
pub(super) enum List {
    /// Follow every log on a list that is not followed yet.
    Pull(Pull),
}

#[derive(Args, Debug)]
pub(super) struct Pull {
    /// The witness's directory. It may be serving.
    dir: PathBuf,
    /// The list: a file, or an https:// URL.
    source: String,
}

#[derive(Serialize)]
struct Pulled {
    added: usize,
    known: usize,
    refused: Vec<String>,
    skipped: Vec<String>,
}

impl List {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self::Pull(Pull { dir, source }) = self;
        // Also makes sure that keys and state belong together.
        verifier_keys(&dir).map_err(Failure::failed)?;
        let state = State::open_beside(&state_path(&dir)).map_err(Failure::failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::failed)?;
        let fetcher = Fetcher::new(FetchOptions::default());
        let bytes = runtime.block_on(read(&source, &fetcher)).map_err(Failure::failed)?;
        let own = state.all_keys().map_err(Failure::failed)?;
        let seconds = SystemClock.unix_millis() / 1000;
        let applied = apply(&state, &own, &source, &bytes, seconds).map_err(Failure::failed)?;
        let pulled = Pulled {
            added: applied.added,
            known: applied.known,
            refused: applied.refused,
            skipped: applied.skipped,
        };
        output.result(&pulled, || {
            let mut text = format!("{} logs added, {} known", pulled.added, pulled.known);
            for refused in &pulled.refused {
                text.push_str(&format!("\nREFUSED {refused}"));
            }
            for skipped in &pulled.skipped {
                text.push_str(&format!("\nskipped {skipped}"));
            }
            text
        });
        Ok(())
    }
}

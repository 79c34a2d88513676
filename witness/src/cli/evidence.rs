//! `daybook-witness evidence`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tlog::hash::Hash;

use super::output::{Failure, Output};
use crate::init::state_path;
use crate::state::State;

/// Files that one call lists.
const LISTED_MAX: u32 = 100_000;

#[derive(Args, Debug)]
pub(super) struct Evidence {
    /// The witness's directory. It may be serving.
    dir: PathBuf,
    /// Print this evidence file instead of the list.
    id: Option<Hash>,
}

#[derive(Serialize)]
struct EntryJson {
    id: String,
    form: String,
    /// The accused log; null where it is this witness.
    origin: Option<String>,
    found: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct FileJson {
    id: String,
    file: String,
}

impl Evidence {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let state = State::open_reader(&state_path(&self.dir)).map_err(Failure::failed)?;
        if let Some(id) = self.id {
            let file = state.evidence_file(&id).map_err(Failure::failed)?;
            let file = file.ok_or_else(|| Failure::failed(format!("there is no evidence {id}")))?;
            let file = FileJson { id: id.to_string(), file: String::from_utf8_lossy(&file).into_owned() };
            output.result(&file, || file.file.trim_end_matches('\n').to_owned());
            return Ok(());
        }
        let entries = state.evidence(0, LISTED_MAX).map_err(Failure::failed)?;
        let entries: Vec<EntryJson> = entries
            .into_iter()
            .map(|entry| EntryJson {
                id: entry.id.to_string(),
                form: entry.kind,
                origin: entry.origin,
                found: entry.found,
                bytes: entry.bytes,
            })
            .collect();
        output.result(&entries, || {
            let line = |entry: &EntryJson| {
                let accused = entry.origin.as_deref().unwrap_or("this witness");
                format!("{}  {:<22} {accused}\n", entry.id, entry.form)
            };
            format!("{}{} found", entries.iter().map(line).collect::<String>(), entries.len())
        });
        Ok(())
    }
}

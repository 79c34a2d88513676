//! The witnesses: each a process of its own, with keys and a memory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::failure::Failure;
use super::children::{ANY_PORT, Process, free_address, run};

/// A witness: its directory, its keys, and its process while it runs.
pub(super) struct Witness {
    pub(super) name: &'static str,
    pub(super) url: String,
    program: PathBuf,
    folder: PathBuf,
    vkeys: Vec<String>,
    process: Option<Process>,
}

#[derive(Deserialize)]
struct Keys {
    vkeys: Vec<String>,
}

#[derive(Deserialize)]
struct Serving {
    witnesses: Vec<Reached>,
}

#[derive(Deserialize)]
struct Reached {
    url: String,
}

impl Witness {
    /// Makes a witness and starts it.
    pub(super) fn make(program: &Path, name: &'static str, folder: &Path) -> Result<Self, Failure> {
        let key_name = format!("{name}.example/witness");
        let keys: Keys =
            run(Command::new(program).args(["init", "--json", "--name", &key_name]).arg(folder))?;
        let mut witness = Self {
            name,
            url: format!("http://{}", free_address()?),
            program: program.to_owned(),
            folder: folder.to_owned(),
            vkeys: keys.vkeys,
            process: None,
        };
        witness.switch_on()?;
        Ok(witness)
    }

    /// Starts it, at the address that it had before.
    pub(super) fn switch_on(&mut self) -> Result<(), Failure> {
        let address = self.url.strip_prefix("http://").unwrap_or(ANY_PORT).to_owned();
        let mut command = Command::new(&self.program);
        command.args(["serve", "--json", "--listen", &address, "--admin", ANY_PORT]).arg(&self.folder);
        let (process, serving): (_, Serving) = Process::start(&mut command)?;
        let reached = serving.witnesses.into_iter().next();
        let reached =
            reached.ok_or_else(|| Failure::Failed("a witness does not say where it is".to_owned()))?;
        (self.process, self.url) = (Some(process), reached.url);
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn switch_off(&mut self) {
        self.process = None;
    }

    /// Makes it follow a log; it may be running.
    pub(super) fn follow(&self, log_key: &str) -> Result<(), Failure> {
        let mut command = Command::new(&self.program);
        command.args(["log", "add", "--json"]).arg(&self.folder).arg(log_key);
        run::<serde_json::Value>(&mut command).map(drop)
    }

    /// Its lines in a policy: its keys, any of which speaks for it.
    pub(super) fn policy_lines(&self) -> String {
        let (name, url) = (self.name, &self.url);
        let keys = self.vkeys.iter().zip(1..);
        let lines: String = keys.map(|(key, n)| format!("witness {name}-{n} {key} {url}\n")).collect();
        let members: String = (1..=self.vkeys.len()).map(|n| format!(" {name}-{n}")).collect();
        format!("{lines}group {name} any{members}\n")
    }
}

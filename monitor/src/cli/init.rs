//! `daybook-monitor init`.

use std::path::{Path, PathBuf};

use clap::Args;
use daemon::clock::{Clock, SystemClock};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::config::{Config, FILE_NAME};
use crate::newsroom::WATCHES_FILE;
use crate::watch::WatchStore;
use crate::watch::engine::begin;

/// Everything that can be set, with its defaults, and no log.
const TEMPLATE: &str = include_str!("../../../deploy/monitor.toml");

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The directory to make.
    dir: PathBuf,
    /// The name of a log to watch: the first line of its checkpoint.
    #[arg(long, requires = "source")]
    origin: Option<String>,
    /// Where the log is read: its URL, or a folder with a copy of its public files.
    #[arg(long, requires = "origin")]
    source: Vec<String>,
    /// The log's policy file; it is copied into the directory.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    policy: Option<PathBuf>,
    /// The log's verifier key, where there is no policy file.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// For a log of records: the leaf hash of its entry 0, in hex. Every statement is judged then.
    #[arg(long, value_name = "HASH", requires = "origin")]
    genesis: Option<String>,
}

#[derive(Serialize)]
struct Made {
    dir: PathBuf,
    config: PathBuf,
    logs: usize,
}

impl Init {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let config = self.dir.join(FILE_NAME);
        if config.exists() {
            let text = format!("{} is there already; edit it, or choose another directory", config.display());
            return Err(Failure::Failed(text));
        }
        std::fs::create_dir_all(&self.dir).map_err(file(&self.dir))?;
        let mut text = TEMPLATE.to_owned();
        if let Some(origin) = &self.origin {
            text.push_str(&self.log(origin)?);
        }
        std::fs::write(&config, text).map_err(file(&config))?;
        let (_, logs) = Config::load(&self.dir).map_err(|error| {
            // Nothing half made is left behind.
            let _ = std::fs::remove_file(&config);
            Failure::Malformed(error.to_string())
        })?;
        self.begin_watches().inspect_err(|_| {
            let _ = std::fs::remove_file(&config);
        })?;
        let made = Made { dir: self.dir.clone(), config, logs: logs.len() };
        output.result(&made, || {
            let dir = made.dir.display();
            let next = if made.logs == 0 {
                format!("Name the logs to watch in {}, then", made.config.display())
            } else {
                "Now".to_owned()
            };
            format!("Made a monitor in {dir}.\n{next} look once: daybook-monitor once {dir}\nor watch: daybook-monitor run {dir}")
        });
        Ok(())
    }

    /// Whoever adds a channel is told of misbehaviour without asking for it.
    fn begin_watches(&self) -> Result<(), Failure> {
        let store = WatchStore::open(&self.dir.join(WATCHES_FILE)).map_err(Failure::failed)?;
        begin(&store, SystemClock.unix_millis() / 1000).map_err(Failure::failed)?;
        Ok(())
    }

    fn log(&self, origin: &str) -> Result<String, Failure> {
        let quoted = |text: &str| toml_string(text);
        let sources: Vec<String> = self.source.iter().map(|source| quoted(&absolute(source))).collect();
        let trust = match (&self.policy, &self.key) {
            (Some(policy), _) => {
                let copy = self.dir.join("policy.txt");
                std::fs::copy(policy, &copy).map_err(file(policy))?;
                "policy = \"policy.txt\"".to_owned()
            }
            (None, Some(key)) => format!("key = {}", quoted(key)),
            (None, None) => {
                return Err(Failure::Malformed(
                    "whom shall be trusted? Give --policy FILE, or the log's key with --key VKEY. A log's own word \
                     is not enough"
                        .to_owned(),
                ));
            }
        };
        let (origin, sources) = (quoted(origin), sources.join(", "));
        let genesis = self.genesis.as_ref().map(|hash| format!("genesis = {}\n", quoted(hash)));
        let genesis = genesis.unwrap_or_default();
        Ok(format!("\n[[log]]\norigin = {origin}\nsource = [{sources}]\n{trust}\n{genesis}"))
    }
}

/// A folder is named from where the command was given.
fn absolute(source: &str) -> String {
    if source.contains("://") {
        return source.to_owned();
    }
    std::path::absolute(source).map_or_else(|_| source.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// A TOML basic string.
fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |error| Failure::Failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_origin_can_be_written_down() {
        for origin in ["log.example/a", "Go sum \"db\" \\ 1", "a b+c", "\u{7f}x"] {
            let text = format!("x = {}", toml_string(origin));
            let parsed: std::collections::BTreeMap<String, String> =
                daemon::config::load(&written(&text)).unwrap();
            assert_eq!(parsed["x"], origin);
        }
    }

    fn written(text: &str) -> PathBuf {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file.keep().unwrap().1
    }
}

//! `daybook-monitor` as people run it: its directory, and commands in it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::binary;

/// Runs a command to its end.
///
/// # Panics
/// Here and below, if anything of our own does not start.
#[must_use]
pub fn monitor(args: &[&str]) -> Output {
    Command::new(binary("daybook-monitor"))
        .args(args)
        .env("DAYBOOK_LOG", "error")
        .stdin(Stdio::null())
        .output()
        .expect("daybook-monitor starts")
}

/// The JSON document that a command printed.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"))
}

/// A path as an argument.
#[must_use]
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A monitor's directory for one log, made by `init`.
#[derive(Debug)]
pub struct Home {
    /// Where it lies; the policy is beside it.
    pub root: TempDir,
}

impl Home {
    /// Watches the log at this source.
    #[must_use]
    pub fn new(origin: &str, source: &str, policy: &str) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let file = root.path().join("given-policy.txt");
        std::fs::write(&file, policy).expect("written");
        let home = Self { root };
        let made =
            monitor(&["init", &home.dir(), "--origin", origin, "--source", source, "--policy", &text(&file)]);
        assert!(made.status.success(), "{made:?}");
        home
    }

    /// Adds settings of the log.
    #[must_use]
    pub fn with(self, settings: &str) -> Self {
        let file = self.root.path().join("monitor/monitor.toml");
        let toml = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(&file, format!("{toml}{settings}\n")).expect("written");
        self
    }

    /// The monitor's directory.
    #[must_use]
    pub fn dir(&self) -> String {
        text(&self.root.path().join("monitor"))
    }

    /// Looks once: the exit code, and what it says.
    #[must_use]
    pub fn once(&self) -> (i32, Value) {
        let output = monitor(&["once", "--json", &self.dir()]);
        (output.status.code().expect("it ends by itself"), json(&output))
    }
}

//! `monitor.toml`: which logs are followed, whom to trust for each, and how patient to be.
//!
//! An unknown key is an error. What a log says about itself is never configuration: keys and witnesses come from
//! the policy that is pinned here (CVE-2023-47122), and the origin must be one that the policy names.
//!
//! Absent on purpose: what was verified, which is [`crate::store`]'s, and opening the sources, [`crate::source`]'s.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{ConfigError, HumanDuration};
use serde::Deserialize;
use tlog::checkpoint::{CheckpointError, VerifiedCheckpoint};
use tlog::hash::Hash;
use tlog::ids::Origin;
use tlog::note::{Note, NoteError};
use tlog::policy::{Policy, PolicyParseError};
use tlog::vkey::VerifierKey;

use crate::channel::ChannelConfig;
use crate::trust::Trust;
use crate::web::front::WebConfig;

/// The file in a monitor's directory.
pub const FILE_NAME: &str = "monitor.toml";
/// The most logs that one monitor follows: each has a thread.
pub const LOGS_MAX: usize = 256;
/// The pause between two looks at a log that is read over a network.
pub const POLL: Duration = Duration::from_secs(10);
/// The same where every source is on this machine, and a look costs nobody anything.
pub const POLL_NEAR: Duration = Duration::from_secs(1);

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MonitorConfigError {
    /// The file, or one that it names, cannot be read or parsed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A policy is malformed.
    #[error("log {origin}: policy: {error}")]
    Policy {
        /// Which log.
        origin: String,
        /// What is wrong.
        error: PolicyParseError,
    },
    /// A pinned checkpoint cannot be used.
    #[error("log {origin}: the pinned checkpoint: {error}")]
    Pinned {
        /// Which log.
        origin: String,
        /// What is wrong.
        error: CheckpointError,
    },
    /// Something else about a log.
    #[error("log {origin}: {problem}")]
    Log {
        /// Which log.
        origin: String,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// Too many logs.
    #[error("{0} logs are configured; one monitor follows at most {LOGS_MAX}: start a second one")]
    TooMany(usize),
}

/// `monitor.toml` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the monitor answers others.
    pub listen: Listen,
    /// Metrics and health, for the operator alone.
    pub admin: Admin,
    /// How alerts leave.
    pub alerts: Alerts,
    /// Pages for people.
    pub web: WebConfig,
    /// Ways in which what watches find reaches people.
    pub channel: Vec<ChannelConfig>,
    /// Patience with servers.
    pub fetch: Fetch,
    /// Other monitors, whose heads are compared with ours.
    pub peers: Vec<String>,
    /// The logs.
    pub log: Vec<LogConfig>,
}

/// `[listen]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// PEM file of the certificate chain; with `tls_key`, the listener speaks TLS.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the private key.
    pub tls_key: Option<PathBuf>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8090)), tls_certificate: None, tls_key: None }
    }
}

/// `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port.
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8091)) }
    }
}

/// `[alerts]`. Every alert is also a log line and a line of `alerts.ndjson`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// A program and its arguments, started for each alert with the alert as JSON on its standard input.
    pub command: Vec<String>,
}

/// `[fetch]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// To connect.
    pub connect_timeout: HumanDuration,
    /// For one object, from the first byte of the request to the last of the answer.
    pub total_timeout: HumanDuration,
}

impl Default for Fetch {
    fn default() -> Self {
        let seconds = |count| HumanDuration(Duration::from_secs(count));
        Self { connect_timeout: seconds(10), total_timeout: seconds(60) }
    }
}

/// `[[log]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The log's name, the first line of its checkpoints.
    pub origin: String,
    /// Where it is read: URLs, or folders with a copy of its public files. The first is asked first; the others
    /// are asked for what it does not have, and for their checkpoints.
    pub source: Vec<String>,
    /// The policy file; relative to `monitor.toml`.
    pub policy: Option<PathBuf>,
    /// The policy itself.
    pub policy_text: Option<String>,
    /// The log's verifier key, for a log without witnesses.
    pub key: Option<VerifierKeyText>,
    /// A file with a checkpoint that is trusted already. Entries before it are not read.
    pub start: Option<PathBuf>,
    /// For a log of records: the leaf hash of its entry 0, in hex. Every statement is judged then.
    pub genesis: Option<String>,
    /// Pause between two looks; [`POLL`] if it is not told, or [`POLL_NEAR`] for a log on this machine.
    pub poll: Option<HumanDuration>,
    /// A checkpoint is stale when the time that its signers state is so long ago.
    #[serde(default = "default_stale")]
    pub stale_after: HumanDuration,
    /// For a log whose checkpoints state no time: it is stale when the tree has not grown for so long.
    pub unchanged_max: Option<HumanDuration>,
    /// An alert tells of what is to be verified or judged when it was not caught up with for so long.
    #[serde(default = "default_behind")]
    pub behind_after: HumanDuration,
    /// How long one object may not be answered, an entry that was verified, an attachment or a value, by a log that is
    /// heard otherwise, before that is an alarm.
    #[serde(default = "default_unanswered")]
    pub unanswered_max: HumanDuration,
    /// Whether the level 0 tiles are fetched as well and compared with the entries.
    #[serde(default = "default_true")]
    pub compare_tiles: bool,
    /// Monitoring prefixes of witnesses, whose heads are compared.
    #[serde(default)]
    pub witnesses: Vec<String>,
    /// For a log of records: what is outside its tree.
    #[serde(default)]
    pub values: crate::values::Settings,
}

/// A verifier key as text; parsed when it is used, so that the error can name the log.
pub type VerifierKeyText = String;

fn default_stale() -> HumanDuration {
    HumanDuration(Duration::from_secs(180))
}

fn default_behind() -> HumanDuration {
    HumanDuration(Duration::from_secs(3600))
}

fn default_unanswered() -> HumanDuration {
    HumanDuration(Duration::from_secs(24 * 3600))
}

fn default_true() -> bool {
    true
}

/// A log to follow, with everything that its configuration names read and checked.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Its name.
    pub origin: Origin,
    /// Whom to trust.
    pub trust: Trust,
    /// Where it is read.
    pub sources: Vec<String>,
    /// Where verification starts, if not at entry 0.
    pub pinned: Option<VerifiedCheckpoint>,
    /// See [`LogConfig::genesis`].
    pub genesis: Option<Hash>,
    /// Pause between two looks.
    pub poll: Duration,
    /// See [`LogConfig::stale_after`].
    pub stale_after: Duration,
    /// See [`LogConfig::unchanged_max`].
    pub unchanged_max: Option<Duration>,
    /// See [`LogConfig::behind_after`].
    pub behind_after: Duration,
    /// See [`LogConfig::unanswered_max`].
    pub unanswered_max: Duration,
    /// See [`LogConfig::compare_tiles`].
    pub compare_tiles: bool,
    /// Monitoring prefixes of witnesses.
    pub witnesses: Vec<String>,
    /// See [`LogConfig::values`].
    pub values: crate::values::Settings,
}

impl Config {
    /// Reads `monitor.toml` in a monitor's directory, and every file that it names.
    ///
    /// # Errors
    /// [`MonitorConfigError`] says which log and what to write.
    pub fn load(dir: &Path) -> Result<(Self, Vec<Followed>), MonitorConfigError> {
        let config: Self = daemon::config::load(&dir.join(FILE_NAME))?;
        let logs = config.followed(dir)?;
        Ok((config, logs))
    }

    /// The logs, with the files that they name read relative to `dir`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn followed(&self, dir: &Path) -> Result<Vec<Followed>, MonitorConfigError> {
        if self.log.len() > LOGS_MAX {
            return Err(MonitorConfigError::TooMany(self.log.len()));
        }
        let mut origins = BTreeSet::new();
        let mut logs = Vec::with_capacity(self.log.len());
        for log in &self.log {
            let followed = log.read(dir)?;
            if !origins.insert(followed.origin.clone()) {
                return Err(log.problem("is configured twice; put all its sources into one [[log]]"));
            }
            logs.push(followed);
        }
        Ok(logs)
    }
}

impl LogConfig {
    fn problem(&self, problem: impl Into<String>) -> MonitorConfigError {
        MonitorConfigError::Log { origin: self.origin.clone(), problem: problem.into() }
    }

    fn read(&self, dir: &Path) -> Result<Followed, MonitorConfigError> {
        let origin: Origin = self.origin.parse().map_err(|error| self.problem(format!("{error}")))?;
        if self.source.is_empty() {
            return Err(self.problem("has no source; write `source = [\"https://...\"]`"));
        }
        let poll = self.poll.unwrap_or(self.stale_after);
        if [poll, self.stale_after, self.unanswered_max].iter().any(|time| time.0.is_zero()) {
            return Err(
                self.problem("`poll`, `stale_after` and `unanswered_max` must be longer than nothing")
            );
        }
        let policy = self.read_policy(dir)?;
        let trust = Trust::new(&origin, policy).ok_or_else(|| {
            self.problem("the policy has no key of that name; a log's key is named as the log")
        })?;
        let pinned = self.start.as_ref().map(|file| self.read_pinned(&dir.join(file), &trust)).transpose()?;
        let genesis = self.genesis.as_ref().map(|hash| hash.parse::<Hash>()).transpose();
        let genesis = genesis.map_err(|error| self.problem(format!("`genesis`: {error}")))?;
        if genesis.is_some() && pinned.is_some() {
            return Err(self.problem("statements can only be judged from entry 0: drop `start` or `genesis`"));
        }
        if let Some(problem) = self.values.problem() {
            return Err(self.problem(problem));
        }
        Ok(Followed {
            origin,
            trust,
            sources: self.source.iter().map(|source| located(dir, source)).collect(),
            pinned,
            genesis,
            poll: self.poll.map_or_else(|| usual_poll(&self.source), |poll| poll.0),
            stale_after: self.stale_after.0,
            unchanged_max: self.unchanged_max.map(|longest| longest.0),
            behind_after: self.behind_after.0,
            unanswered_max: self.unanswered_max.0,
            compare_tiles: self.compare_tiles,
            witnesses: self.witnesses.clone(),
            values: self.values,
        })
    }

    fn read_policy(&self, dir: &Path) -> Result<Policy, MonitorConfigError> {
        let parse = |bytes: &[u8]| {
            let failed = |error| MonitorConfigError::Policy { origin: self.origin.clone(), error };
            Policy::parse(bytes).map_err(failed)
        };
        match (&self.policy, &self.policy_text, &self.key) {
            (Some(file), None, None) => parse(&read_file(&dir.join(file))?),
            (None, Some(text), None) => parse(text.as_bytes()),
            (None, None, Some(key)) => {
                let key: VerifierKey =
                    key.parse().map_err(|error| self.problem(format!("`key`: {error}")))?;
                Ok(Policy::of_log(key, None))
            }
            _ => Err(self.problem(
                "needs one of `policy` (a file), `policy_text` and `key`: whom to trust is never taken from the log",
            )),
        }
    }

    fn read_pinned(&self, file: &Path, trust: &Trust) -> Result<VerifiedCheckpoint, MonitorConfigError> {
        let failed = |error| MonitorConfigError::Pinned { origin: self.origin.clone(), error };
        let note = Note::parse(&read_file(file)?).map_err(|error: NoteError| failed(error.into()))?;
        trust.signed(&note).map_err(failed)
    }
}

/// The pause where none is configured.
fn usual_poll(sources: &[String]) -> Duration {
    if sources.iter().all(|source| is_near(source)) { POLL_NEAR } else { POLL }
}

/// Whether a source is a folder, or a URL that names this machine. Names other than `localhost` are not looked up.
fn is_near(source: &str) -> bool {
    if !source.contains("://") {
        return true;
    }
    let uri = source.parse::<http::Uri>();
    let host = uri.as_ref().ok().and_then(http::Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    source.starts_with("file://") || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A folder is relative to the configuration.
fn located(dir: &Path, source: &str) -> String {
    if source.contains("://") { source.to_owned() } else { dir.join(source).to_string_lossy().into_owned() }
}

fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_on_this_machine_is_looked_at_every_second_and_others_every_ten() {
        let poll = |sources: &[&str]| {
            usual_poll(&sources.iter().map(|&source| source.to_owned()).collect::<Vec<_>>())
        };
        for near in ["copy", "/srv/log", "file:///srv/log", "http://127.0.0.1:8080", "http://[::1]:8080/2027"]
        {
            assert_eq!(poll(&[near, "http://localhost:8080"]), POLL_NEAR, "{near}");
        }
        for far in [
            "https://log.example/2027",
            "http://10.0.0.7",
            "http://127.0.0.1.log.example",
            "http://[2001:db8::1]",
        ] {
            assert_eq!(poll(&["copy", far]), POLL, "{far}");
        }
    }
}

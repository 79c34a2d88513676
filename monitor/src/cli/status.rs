//! `daybook-monitor status`: what the running monitor knows. Without one nothing is known, and that is said.

use std::path::PathBuf;

use clap::Args;
use daemon::fetch::{FetchOptions, Fetcher};
use serde_json::Value;

use super::output::{EXIT_FAILED, Failure, Output};
use crate::config::Config;
use crate::source::Network;
use crate::verdict::State;

/// The longest answer of a monitor.
const STATUS_BYTES_MAX: usize = 16 << 20;
/// Open alarms shown for each log.
const ALARMS_SHOWN: usize = 10;

#[derive(Args, Debug)]
pub(super) struct Status {
    /// The monitor's directory.
    dir: PathBuf,
    /// The monitor's URL, where it is not the one of monitor.toml.
    #[arg(long)]
    url: Option<String>,
}

impl Status {
    pub(super) fn run(self, output: &Output) -> Result<i32, Failure> {
        let url = match self.url {
            Some(url) => url,
            None => {
                let (config, _) =
                    Config::load(&self.dir).map_err(|error| Failure::Malformed(error.to_string()))?;
                let scheme = if config.listen.tls_key.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", config.listen.address)
            }
        };
        let runtime = super::runtime()?;
        let network = Network::new(Fetcher::new(FetchOptions::default()), runtime.handle().clone());
        let url = format!("{}/status", url.trim_end_matches('/'));
        let not_running = |why: String| {
            Failure::Failed(format!(
                "no monitor answers at {url}, so nothing is known: {why}. Start it: daybook-monitor run {}",
                self.dir.display()
            ))
        };
        let bytes = network.get(&url, STATUS_BYTES_MAX).map_err(|error| not_running(error.to_string()))?;
        let bytes = bytes.ok_or_else(|| not_running("there is no /status".to_owned()))?;
        let status: Value = serde_json::from_slice(&bytes).map_err(|error| not_running(error.to_string()))?;
        output.result(&status, || text_of(&status));
        let known = State::ALL.into_iter().find(|state| status["state"] == state.name());
        Ok(known.map_or(EXIT_FAILED, State::exit_code))
    }
}

/// For people.
pub(super) fn text_of(status: &Value) -> String {
    let none = Vec::new();
    let logs = status["logs"].as_array().unwrap_or(&none);
    let mut lines = Vec::new();
    for log in logs {
        let text = |name: &str| log[name].as_str().unwrap_or("").to_owned();
        let (state, reason) = (text("state").to_uppercase(), text("reason"));
        let verified = match log["verified"]["size"].as_u64() {
            Some(size) => format!("{size} entries verified"),
            None => "nothing verified yet".to_owned(),
        };
        lines.push(format!("{state}: {} ({verified})", text("origin")));
        if !reason.is_empty() {
            lines.push(format!("  {reason}"));
        }
        if let (Some(rate), Some(left)) = (log["entries_per_second"].as_u64(), log["seconds_left"].as_u64()) {
            lines.push(format!("  {rate} entries a second; about {left} s left"));
        }
        for other in log["others"].as_array().unwrap_or(&none) {
            let part = |name: &str| other[name].as_str().unwrap_or("");
            if ["contradiction", "refused", "silent"].contains(&part("answer")) {
                lines.push(format!("  {}: {}: {}", part("answer"), part("url"), part("detail")));
            }
        }
        if let Some(count) = log["unchecked_attachments"].as_u64().filter(|count| *count > 0) {
            lines.push(format!(
                "  {count} attachments are longer than `values.bytes_max`, and are not checked"
            ));
        }
        for file in log["evidence"].as_array().unwrap_or(&none) {
            let file = file.as_str().unwrap_or("");
            lines.push(format!(
                "  evidence: {file}\n    check it: daybook-monitor verify-evidence {file} --policy FILE"
            ));
        }
        let alarms = log["alarms"].as_array().unwrap_or(&none);
        for alarm in alarms.iter().take(ALARMS_SHOWN) {
            let part = |name: &str| alarm[name].as_str().unwrap_or("");
            lines.push(format!("  alarm: {}: {} ({})", part("kind"), part("detail"), part("report")));
        }
        if alarms.len() > ALARMS_SHOWN {
            lines.push(format!("  and {} more alarms; --json lists all", alarms.len() - ALARMS_SHOWN));
        }
    }
    if lines.is_empty() { "No log is watched.".to_owned() } else { lines.join("\n") }
}

//! `daybook-monitor run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use daemon::logging::{self, Style};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::run::Addresses;

/// Logs that are named when the monitor starts.
const LOGS_NAMED_MAX: usize = 4;

#[derive(Args, Debug)]
pub(super) struct Run {
    /// The monitor's directory.
    dir: PathBuf,
    /// Listen here instead of where monitor.toml says.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Metrics and health here instead of where monitor.toml says.
    #[arg(long)]
    admin: Option<SocketAddr>,
}

#[derive(Serialize)]
struct Started {
    url: String,
    admin_url: String,
    logs: Vec<String>,
}

impl Run {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        logging::start(if output.json { Style::Json } else { Style::Human });
        let runtime = super::runtime()?;
        let mut monitor = super::open(&self.dir, &runtime)?;
        if monitor.cases.is_empty() {
            let text = "monitor.toml names no log; add a [[log]]: an example is in it".to_owned();
            return Err(Failure::Malformed(text));
        }
        monitor.config.listen.address = self.listen.unwrap_or(monitor.config.listen.address);
        monitor.config.admin.address = self.admin.unwrap_or(monitor.config.admin.address);
        let logs = monitor.cases.iter().map(|case| case.origin().to_owned()).collect();
        let ready = |addresses: Addresses| {
            let scheme = if addresses.tls { "https" } else { "http" };
            let started = Started {
                url: format!("{scheme}://{}", addresses.public),
                admin_url: format!("http://{}", addresses.admin),
                logs,
            };
            output.result(&started, || {
                format!(
                    "Watching {}.\nOpen {} in a browser. Ctrl+C ends it.\nMetrics and health: {}",
                    named(&started.logs),
                    started.url,
                    started.admin_url
                )
            });
        };
        runtime.block_on(crate::run::run(monitor, ready)).map_err(|error| super::failed(&error))
    }
}

/// The logs by name, where they are few.
fn named(logs: &[String]) -> String {
    if logs.len() > LOGS_NAMED_MAX { format!("{} logs", logs.len()) } else { logs.join(", ") }
}

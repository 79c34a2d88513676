//! `daybook serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use daemon::logging::{self, Style};
use serde::Serialize;
use tlog::policy::Warning;

use super::failure::Failure;
use super::output::Output;
use crate::config::Config;
use crate::log::{Log, OpenError};
use crate::serve::{Addresses, ServeError, serve};

#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The log's directory.
    dir: PathBuf,
    /// Listen here instead of where config.toml says. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Listen here for metrics and health.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Do not ask this witness, and do not wait at the start for what it knows. For one that is known to be wrong, or
    /// gone for good: if it is right, and this directory is an old copy, the log shows two trees and its name is lost.
    #[arg(long, value_name = "NAME")]
    without_witness: Vec<String>,
}

#[derive(Serialize)]
struct Listening {
    event: &'static str,
    origin: String,
    tree_size: u64,
    url: String,
    admin_url: String,
}

impl Serve {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        logging::start(if output.json { Style::Json } else { Style::Human });
        logging::end_on_panic();
        let mut config = Config::load(&self.dir.join("config.toml")).map_err(Failure::malformed)?;
        config.listen.address = self.listen.unwrap_or(config.listen.address);
        config.admin.address = self.admin.unwrap_or(config.admin.address);
        config.witnesses.left_out = self.without_witness;
        let bar = output.bar(0, "bringing the index up to date");
        let ready = |log: &Log, addresses: Addresses| {
            bar.finish_and_clear();
            announce(log, addresses, output);
        };
        serve(&self.dir, config, |size| bar.set_position(size), ready).map_err(|error| match error {
            ServeError::TlsHalf | ServeError::Open(OpenError::Policy(_)) => Failure::malformed(error),
            error => Failure::failed(error),
        })?;
        output.say("Stopped; everything is on disk.");
        Ok(())
    }
}

fn announce(log: &Log, addresses: Addresses, output: &Output) {
    // A log without witnesses was asked for at `init`, and is no news at each start.
    let warnings = log.policy.lint().into_iter().filter(|warning| *warning != Warning::NoWitnesses);
    warnings.for_each(|warning| tracing::warn!("policy.txt: {warning}"));
    let scheme = if addresses.tls { "https" } else { "http" };
    let listening = Listening {
        event: "listening",
        origin: log.signer.origin().to_string(),
        tree_size: log.published().head().size.get(),
        url: format!("{scheme}://{}", addresses.public),
        admin_url: format!("http://{}", addresses.admin),
    };
    output.result(&listening, || {
        format!(
            "{} with {} entries is served at {}\nMetrics and health: {}\nStop it with Ctrl-C.",
            listening.origin, listening.tree_size, listening.url, listening.admin_url
        )
    });
}

//! `daybook-witness serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use daemon::logging::{self, Style};
use serde::Serialize;

use super::output::{Failure, Output};
use crate::init::OpenError;
use crate::serve::{Addresses, Listening, ServeError, serve};

#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The witness's directory. With several, each is a witness of its own, under /1, /2 and so on.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// Listen here instead of where the first directory's config.toml says. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Listen here for metrics and health.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

#[derive(Serialize)]
struct Line {
    event: &'static str,
    url: String,
    admin_url: String,
    witnesses: Vec<WitnessLine>,
}

#[derive(Serialize)]
struct WitnessLine {
    name: String,
    url: String,
    vkeys: Vec<String>,
}

impl Serve {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        logging::start(if output.json { Style::Json } else { Style::Human });
        logging::end_on_panic();
        let listening = Listening { public: self.listen, admin: self.admin };
        serve(&self.dirs, listening, |addresses| announce(addresses, output)).map_err(
            |error| match error {
                ServeError::Open(_, OpenError::Settings(_)) | ServeError::Count => Failure::malformed(error),
                error => Failure::failed(error),
            },
        )?;
        output.say("Stopped; everything is on disk.");
        Ok(())
    }
}

fn announce(addresses: &Addresses, output: &Output) {
    let witness = |reached: &crate::serve::Reached| WitnessLine {
        name: reached.name.clone(),
        url: reached.url.clone(),
        vkeys: reached.vkeys.clone(),
    };
    let line = Line {
        event: "listening",
        url: addresses.url.clone(),
        admin_url: addresses.admin_url.clone(),
        witnesses: addresses.witnesses.iter().map(witness).collect(),
    };
    output.result(&line, || {
        let served: String =
            line.witnesses.iter().map(|w| format!("{} is served at {}\n", w.name, w.url)).collect();
        format!("{served}Metrics and health: {}\nStop it with Ctrl-C.", line.admin_url)
    });
}

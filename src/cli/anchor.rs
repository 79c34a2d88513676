//! `daybook anchor`: a new anchor for an existing log, on the operator's word that the directory is the newest.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use daemon::clock::{SystemClock, SystemRandom};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use crate::config::Config;
use crate::cosign::HttpCourier;
use crate::log::{Engine, System, open};
use crate::probe::Probe;
use crate::store::anchor::{Anchor, AnchoredHead};
use crate::store::disk::RealDisk;

#[derive(Args, Debug)]
pub(super) struct MakeAnchor {
    /// The log's directory; the log must not be running.
    dir: PathBuf,
    /// Where to make it, if not where config.toml says. It must not exist.
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,
    /// Confirms that this directory is the newest copy of the log that there is. If an older copy goes on, the
    /// log shows two trees, and its name is lost.
    #[arg(long, required = true)]
    this_is_the_newest_copy: bool,
}

#[derive(Serialize)]
struct Made {
    path: PathBuf,
    tree_size: u64,
}

impl MakeAnchor {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut config = Config::load(&self.dir.join("config.toml")).map_err(Failure::malformed)?;
        let path = self.path.or_else(|| config.anchor.path.take()).ok_or_else(|| {
            Failure::Malformed("config.toml names no anchor; give its place with --path".to_owned())
        })?;
        config.anchor.path = None;
        let disk = Arc::new(RealDisk::default());
        let courier = Arc::new(HttpCourier::new(config.witnesses.deadline.0));
        let system = System {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            disk: disk.clone(),
            courier,
            probe: Probe::none(),
        };
        let (log, Engine { sequencer, .. }) = open(&self.dir, config, &system).map_err(Failure::failed)?;
        let (head, time, seq) = (sequencer.head(), sequencer.committed_time(), sequencer.committed_seq());
        let head = AnchoredHead { head, time, seq };
        Anchor::create(&path, disk, log.signer.origin(), &head).map_err(Failure::failed)?;
        let made = Made { path, tree_size: head.head.size.get() };
        output.result(&made, || {
            let path = made.path.display();
            format!(
                "The anchor {path} now holds the head of {} entries.\nSet anchor.path in config.toml to it.",
                made.tree_size
            )
        });
        Ok(())
    }
}

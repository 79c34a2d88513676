//! `daybook-monitor once`: for people who want to know, for cron and for CI.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use daemon::logging::{self, Style};
use daemon::shutdown::Shutdown;

use super::output::{Failure, Output};
use super::status::text_of;
use crate::case::{Case, CaseError};
use crate::follow::Follower;
use crate::replay::{Replay, Step};
use crate::run::Monitor;
use crate::status::status_of;

/// Pause between two looks at how far it is.
const BAR_PAUSE: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(super) struct Once {
    /// The monitor's directory.
    dir: PathBuf,
    /// Do not ask witnesses and other monitors.
    #[arg(long)]
    no_crosscheck: bool,
}

impl Once {
    pub(super) fn run(self, output: &Output) -> Result<i32, Failure> {
        logging::start(if output.json { Style::Json } else { Style::Human });
        let runtime = super::runtime()?;
        let monitor = super::open(&self.dir, &runtime)?;
        let shutdown = Shutdown::new();
        let signals = runtime.block_on(async { shutdown.on_signals() });
        signals.map_err(|error| Failure::Failed(format!("signals cannot be handled: {error}")))?;
        let over = AtomicBool::new(false);
        let looked: Result<(), CaseError> = std::thread::scope(|scope| {
            scope.spawn(|| show_progress(output, &monitor.cases, &over));
            let work = |case: &Arc<Case>| look(case, &monitor, &shutdown, self.no_crosscheck);
            let running: Vec<_> = monitor.cases.iter().map(|case| scope.spawn(move || work(case))).collect();
            let results: Vec<_> = running.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            over.store(true, Ordering::Release);
            results.into_iter().try_for_each(|result| result.expect("a panic has ended the process"))
        });
        looked.map_err(Failure::failed)?;
        monitor.deliverer().deliver().map_err(Failure::failed)?;
        let status = status_of(&monitor.cases);
        output.result(&status, || text_of(&serde_json::to_value(&status).unwrap_or_default()));
        Ok(status.state.exit_code())
    }
}

/// What the others hold comes first, so that it is settled in the same round.
fn look(case: &Arc<Case>, monitor: &Monitor, shutdown: &Shutdown, alone: bool) -> Result<(), CaseError> {
    if !alone {
        case.crosscheck(&monitor.network, &monitor.config.peers)?;
    }
    let replay = Replay::open(Arc::clone(case))?;
    Follower::new(Arc::clone(case), shutdown.clone())?.round()?;
    if let Some(mut replay) = replay {
        while !shutdown.is_asked() && replay.step(Duration::ZERO)? == Step::Judged {}
    }
    Ok(())
}

fn show_progress(output: &Output, cases: &[Arc<Case>], over: &AtomicBool) {
    let bars: Vec<_> = cases.iter().map(|case| output.bar(0, case.origin().to_owned())).collect();
    while !over.load(Ordering::Acquire) {
        for (case, bar) in cases.iter().zip(&bars) {
            let facts = case.facts();
            bar.set_length(facts.signed);
            bar.set_position(facts.reached);
        }
        std::thread::sleep(BAR_PAUSE);
    }
    bars.iter().for_each(indicatif::ProgressBar::finish_and_clear);
}

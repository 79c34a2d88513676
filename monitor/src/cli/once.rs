//! `daybook-monitor once`: for people who want to know, for cron and for CI.
//!
//! Verification comes first and decides the exit code. Beside it what is verified is indexed; then watches look at it, and
//! what they find leaves by the channels. What goes wrong there is told, and changes no exit code.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use daemon::clock::{SystemClock, SystemRandom};
use daemon::logging::{self, Style};
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::output::{Failure, Output};
use super::status::text_of;
use crate::case::{Case, CaseError};
use crate::follow::Follower;
use crate::look;
use crate::newsroom::{Caught, Newsroom};
use crate::replay::{Replay, Step};
use crate::run::Monitor;
use crate::status::{Status, status_of};
use crate::values::Values;

/// Pause between two looks at how far it is.
const BAR_PAUSE: Duration = Duration::from_millis(100);

#[derive(Args, Debug)]
pub(super) struct Once {
    /// The monitor's directory.
    dir: PathBuf,
    /// Do not ask witnesses and other monitors.
    #[arg(long)]
    no_crosscheck: bool,
    /// Only verify: index nothing, look at no watches, deliver nothing but alerts of this monitor itself.
    #[arg(long)]
    no_index: bool,
}

/// What one look came to.
#[derive(Serialize)]
struct Looked {
    #[serde(flatten)]
    status: Status,
    /// Nothing where nothing was to be indexed.
    newsroom: Option<Caught>,
}

impl Once {
    pub(super) fn run(self, output: &Output) -> Result<i32, Failure> {
        logging::start_quiet(if output.json { Style::Json } else { Style::Human });
        let runtime = super::runtime()?;
        let monitor = super::open(&self.dir, &runtime)?;
        let shutdown = Shutdown::new();
        let signals = runtime.block_on(async { shutdown.on_signals() });
        signals.map_err(|error| Failure::Failed(format!("signals cannot be handled: {error}")))?;
        let newsroom = self.newsroom(&monitor)?;
        let caught = self.look(output, &monitor, newsroom, &shutdown, &runtime)?;
        let looked = Looked { status: status_of(&monitor.cases), newsroom: caught };
        output.result(&looked, || looked.text());
        Ok(looked.status.state.exit_code())
    }

    fn newsroom(&self, monitor: &Monitor) -> Result<Option<Newsroom>, Failure> {
        if self.no_index {
            return Ok(None);
        }
        let (config, listen) = (&monitor.config, monitor.config.listen.address);
        let (cases, store) = (&monitor.cases, &monitor.store);
        let opened = Newsroom::open(&monitor.folder, config, cases, store, listen, &SystemClock);
        opened.map(Some).map_err(Failure::failed)
    }

    fn look(
        &self,
        output: &Output,
        monitor: &Monitor,
        mut newsroom: Option<Newsroom>,
        shutdown: &Shutdown,
        runtime: &Runtime,
    ) -> Result<Option<Caught>, Failure> {
        let over = AtomicBool::new(false);
        let looked = std::thread::scope(|scope| {
            scope.spawn(|| show_progress(output, &monitor.cases, &over));
            let indexing = newsroom.as_mut().map(|newsroom| {
                let (bar, over) = (output.bar(0, "searchable".to_owned()), &over);
                let cases = &monitor.cases;
                scope.spawn(move || {
                    let caught = newsroom.index_along(over, shutdown, |reached| {
                        bar.set_length(cases.iter().map(|case| case.facts().reached).sum());
                        bar.set_position(reached);
                    });
                    bar.finish_and_clear();
                    caught
                })
            });
            let verified =
                look::at_all(&monitor.cases, &|case| once(case, monitor, shutdown, self.no_crosscheck));
            over.store(true, Ordering::Release);
            let caught = indexing.map(|thread| thread.join().expect("a panic has ended the process"));
            verified.map(|()| caught)
        });
        let mut caught = looked.map_err(Failure::failed)?;
        monitor.deliverer().deliver().map_err(Failure::failed)?;
        if let (Some(newsroom), Some(caught)) = (&newsroom, &mut caught) {
            newsroom.tell(caught, &SystemClock, runtime.handle());
        }
        Ok(caught)
    }
}

impl Looked {
    fn text(&self) -> String {
        let mut text = text_of(&serde_json::to_value(&self.status).unwrap_or_default());
        let Some(caught) = &self.newsroom else { return text };
        if caught.indexed > 0 {
            text.push_str(&format!("\n{} new entries can be searched", caught.indexed));
        }
        if caught.found > 0 || caught.delivered > 0 || caught.waiting > 0 {
            let Caught { found, delivered, waiting, .. } = caught;
            text.push_str(&format!(
                "\nwatches: {found} finds; messages: {delivered} delivered, {waiting} wait"
            ));
        }
        for trouble in &caught.troubles {
            text.push_str(&format!("\ntrouble: {trouble}"));
        }
        text
    }
}

/// What the others hold comes first, so that it is settled in the same round.
fn once(case: &Arc<Case>, monitor: &Monitor, shutdown: &Shutdown, alone: bool) -> Result<(), CaseError> {
    if !alone {
        case.crosscheck(&monitor.network, &monitor.config.peers)?;
    }
    let replay = Replay::open(Arc::clone(case))?;
    Follower::new(Arc::clone(case), shutdown.clone())?.round()?;
    if let Some(mut replay) = replay {
        while !shutdown.is_asked() && matches!(replay.step(Duration::ZERO)?, Step::Judged | Step::Waiting) {}
        drop(replay);
        if let Some(mut values) = Values::open(Arc::clone(case), Arc::new(SystemRandom))? {
            values.once(shutdown)?;
        }
    }
    Ok(())
}

fn show_progress(output: &Output, cases: &[Arc<Case>], over: &AtomicBool) {
    let bars: Vec<_> = cases.iter().map(|case| output.bar(0, case.origin().to_owned())).collect();
    while !over.load(Ordering::Acquire) {
        for (case, bar) in cases.iter().zip(&bars) {
            let facts = case.facts();
            let judged = facts.judged.filter(|_| facts.has_verified && facts.verified >= facts.signed);
            // Entries are verified first, then their statements are judged.
            bar.set_message(if judged.is_some() {
                format!("{}: judged", case.origin())
            } else {
                case.origin().to_owned()
            });
            bar.set_length(facts.signed);
            bar.set_position(judged.unwrap_or(facts.reached));
        }
        std::thread::sleep(BAR_PAUSE);
    }
    bars.iter().for_each(indicatif::ProgressBar::finish_and_clear);
}

//! What is outside the tree: attachments that records name, values that agencies show, and that what a tombstone erased
//! is gone.
//!
//! For logs of records that are read by URL. Everything is asked for at a settled pace and up to a settled size; what a
//! log does not answer is not held against it. What is wrong is an alarm ([`judge`]): nobody has signed that a file will be
//! there tomorrow. Values are compared and dropped; of what was shown the name is kept, never the value (`kept`).
//!
//! Versions that are new come before all others again, in order or at random; those in trouble take turns with them
//! (`pick`). What is not answered for longer than the log's `unanswered_max`, while the log is heard otherwise, is wrong
//! as well (`look`): else silence would be the way to erase something silently.

pub mod judge;
mod kept;
mod look;
mod pick;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Random;
use daemon::config::ByteSize;
use daemon::shutdown::Shutdown;
use serde::Deserialize;

use crate::case::{Case, CaseError};
use crate::replay::{Outside, Replay};
use crate::report::{LOST, MEMORY};
use crate::source::Network;
use kept::Kept;

/// Pause before a version in trouble is looked at again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);
/// Versions without an answer, one after the other, that end a look at once.
const OUTAGES_MAX: u32 = 3;
/// Pause when there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// The fastest pace that can be set, in requests a minute.
const PACE_MAX: u32 = 60_000;

/// `values` of a log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which versions are looked at.
    pub check: Check,
    /// The most requests in a minute.
    pub per_minute: u32,
    /// Attachments that are longer are not fetched.
    pub bytes_max: ByteSize,
}

/// Which versions are looked at.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Each when it is new, and then all of them again, round after round.
    All,
    /// Some, at random.
    Sample,
    /// None.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self { check: Check::All, per_minute: 60, bytes_max: ByteSize(64 << 20) }
    }
}

impl Settings {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let good = (1..=PACE_MAX).contains(&self.per_minute);
        (!good).then(|| format!("`values.per_minute` is a number from 1 to {PACE_MAX}"))
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(60) / self.per_minute
    }
}

/// The checks of one log. Owned by one thread.
pub struct Values {
    case: Arc<Case>,
    base: String,
    network: Network,
    random: Arc<dyn Random>,
    outside: Outside,
    kept: Kept,
    /// Whether a version in trouble comes next, if there is one.
    trouble_next: bool,
    /// The memory of what was shown is of another database, or new where there was one.
    lost: bool,
    /// A request of this step got no answer.
    unanswered: Cell<bool>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("case", &self.case).finish_non_exhaustive()
    }
}

/// A version that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Where it stands.
    pub index: u64,
    /// How many requests it took.
    pub requests: u32,
    /// Whether each was answered, rightly or not.
    pub answered: bool,
}

impl Values {
    /// The checks of a log; `None` where there is nothing to check, or nowhere to ask. Its replay must have been opened.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn open(case: Arc<Case>, random: Arc<dyn Random>) -> Result<Option<Self>, CaseError> {
        if case.followed.genesis.is_none() || case.followed.values.check == Check::Off {
            return Ok(None);
        }
        let Some((base, network)) = case.sources.iter().find_map(|source| {
            let (base, network) = source.remote()?;
            Some((base.to_owned(), network.clone()))
        }) else {
            return Ok(None);
        };
        let (kept, damage) = Kept::open(&Self::path(&case), case.now())?;
        note_loss(&case, &kept, damage)?;
        let lost = case.store.open_subjects(case.origin(), LOST)?.contains_key(MEMORY);
        let outside = Replay::outside(&case)?;
        let unanswered = Cell::new(false);
        let values =
            Self { case, base, network, random, outside, kept, trouble_next: false, lost, unanswered };
        values.learn_unchecked()?;
        Ok(Some(values))
    }

    fn learn_unchecked(&self) -> Result<(), CaseError> {
        let count = self.kept.count_unchecked()?;
        self.case.learn(|facts| facts.unchecked = count);
        Ok(())
    }

    fn verified(&self) -> u64 {
        self.case.verified().map_or(0, |verified| verified.head().size.get())
    }

    fn path(case: &Case) -> PathBuf {
        case.folder.log(&case.followed.origin).join("values.sqlite")
    }

    /// Looks at the next version; `None` if there is nothing to look at.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn step(&mut self) -> Result<Option<Looked>, CaseError> {
        let Some(index) = self.pick()? else { return Ok(None) };
        self.look_at(index).map(Some)
    }

    fn look_at(&mut self, index: u64) -> Result<Looked, CaseError> {
        self.unanswered.set(false);
        let requests = match self.read(index)? {
            Some(picked) => self.look(&picked)?,
            None => {
                self.unanswered.set(true);
                1
            }
        };
        Ok(Looked { index, requests, answered: !self.unanswered.get() })
    }

    /// Looks at once, with at most a minute's requests, at no version twice, and not beyond an outage.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn once(&mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        let mut left = self.case.followed.values.per_minute;
        let (mut seen, mut again, mut outages) = (BTreeSet::new(), 0, 0);
        // As many that were seen one after the other as there are: nothing else comes.
        while left > 0 && again <= seen.len() && outages < OUTAGES_MAX && !shutdown.is_asked() {
            let Some(index) = self.pick()? else { break };
            if !seen.insert(index) {
                again += 1;
                continue;
            }
            let looked = self.look_at(index)?;
            (again, outages) = (0, if looked.answered { 0 } else { outages + 1 });
            left = left.saturating_sub(looked.requests.max(1));
        }
        Ok(())
    }

    /// Looks, at its pace, until the end is asked for.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn run(mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        let pause = self.case.followed.values.pause();
        while !shutdown.is_asked() {
            let mut wait = match self.step()? {
                Some(looked) => pause * looked.requests.max(1),
                None => IDLE_PAUSE,
            };
            while !wait.is_zero() && !shutdown.is_asked() {
                let short = wait.min(IDLE_PAUSE);
                std::thread::sleep(short);
                wait -= short;
            }
        }
        Ok(())
    }
}

/// A memory that is not the one that belongs to the monitor's database was lost, or is of another one.
fn note_loss(case: &Case, kept: &Kept, damage: Option<String>) -> Result<(), CaseError> {
    let (made, known) = (kept.made_at()?, case.store.memory(case.origin())?);
    if damage.is_none() && known == Some(made) {
        return Ok(());
    }
    if known.is_some() || damage.is_some() {
        let why = damage.unwrap_or_else(|| "it is not the one that was here before".to_owned());
        let detail = format!(
            "which values were shown is not known any more: {why}. What vanished before it is made anew is not missed"
        );
        case.alarm(LOST, MEMORY, &detail)?;
    }
    Ok(case.store.set_memory(case.origin(), made)?)
}

//! Entries that ought not to be in the tree: an evidence file where two or three entries show it by themselves, else an
//! alarm.
//!
//! Which entry rules another one out the registry knows for keys ([`Registry::contradicted_by`]); for two statements that
//! follow the same one the chain is walked back, with our own hashes. What is looked for is bounded: a log that is full of
//! inadmissible entries is proved by its first ones.

use std::time::Duration;

use record::registry::{Chain, Refusal, Registry};
use record::statement::{Statement, StatementError};
use tlog::ids::LeafIndex;

use super::Replay;
use crate::accuse::Shown;
use crate::case::CaseError;
use crate::feed::Entry;
use crate::report::INADMISSIBLE;

/// Entries that have an alarm of their own; beyond, there is one for all.
const ALARMS_MAX: u64 = 1000;
/// Entries for which evidence is looked for.
const ACCUSED_MAX: u64 = 64;
/// Versions that are read to find the one that follows the same entry.
const VERSIONS_MAX: usize = 1000;
/// Pause before evidence that could not be made is tried again.
const AGAIN_PAUSE: Duration = Duration::from_secs(10);

/// Why an entry is not admissible.
pub(super) struct Refused {
    code: &'static str,
    why: String,
    /// The entry that rules it out, if the registry knows it.
    earlier: Option<u64>,
}

impl Refused {
    pub(super) fn new(registry: &Registry, statement: &Statement, refusal: &Refusal) -> Self {
        let earlier = registry.contradicted_by(statement, refusal).map(LeafIndex::get);
        Self { code: refusal.code(), why: refusal.to_string(), earlier }
    }
}

impl From<StatementError> for Refused {
    fn from(error: StatementError) -> Self {
        Self { code: error.code(), why: error.to_string(), earlier: None }
    }
}

fn subject(index: u64) -> String {
    format!("entry {index}")
}

impl Replay {
    /// Accuses the log, or raises the alarm, and steps over the entry. `false` if what would prove it may be there in a
    /// moment: then the entry is to be judged again, once.
    pub(super) fn inadmissible(&mut self, entry: &Entry<'_>, refused: &Refused) -> Result<bool, CaseError> {
        let Ok(index) = LeafIndex::new(entry.index) else { return Ok(true) };
        let count = self.ledger.count_inadmissible(entry.index, refused.earlier)?;
        let shown =
            if count <= ACCUSED_MAX { self.accuse(entry.index, refused.earlier)? } else { Shown::Nothing };
        match shown {
            Shown::Files(_) => self.ledger.settle_inadmissible(entry.index)?,
            Shown::Nothing => {
                self.ledger.settle_inadmissible(entry.index)?;
                self.alarm(entry, refused, count)?;
            }
            Shown::Later(_) if self.waited != Some(entry.index) => {
                self.waited = Some(entry.index);
                return Ok(false);
            }
            Shown::Later(_) => self.alarm(entry, refused, count)?,
        }
        self.registry.skip(index);
        Ok(true)
    }

    fn alarm(&self, entry: &Entry<'_>, refused: &Refused, count: u64) -> Result<(), CaseError> {
        let subject = if count > ALARMS_MAX { "more entries".to_owned() } else { subject(entry.index) };
        let detail = format!(
            "entry {} (leaf hash {}) is in the signed tree and is not admissible: {}: {}. Anyone with a full copy can \
             check it",
            entry.index, entry.leaf, refused.code, refused.why
        );
        if count <= ALARMS_MAX + 1 {
            self.ledger.set_alarm(entry.index, Some((&subject, &detail)))?;
            self.case.alarm(INADMISSIBLE, &subject, &detail)?;
            self.case.refresh_damage()?;
        }
        Ok(())
    }

    /// Raises the alarms again that are not open: they do not clear, and the database that has them may have been lost.
    pub(super) fn recall_alarms(&self) -> Result<(), CaseError> {
        let open = self.case.store.open_subjects(self.case.origin(), INADMISSIBLE)?;
        let mut alarms = self.ledger.alarms()?;
        alarms.retain(|(subject, _)| !open.contains_key(subject));
        self.case.alarm_all(INADMISSIBLE, &alarms)?;
        self.case.refresh_damage()
    }

    /// Looks again for evidence that could not be made when its entry was judged.
    pub(super) fn look_again(&mut self) -> Result<(), CaseError> {
        let now = self.case.clock.monotonic();
        if self.looked.is_some_and(|looked| now.saturating_sub(looked) < AGAIN_PAUSE) {
            return Ok(());
        }
        self.looked = Some(now);
        let Some(verified) = self.case.verified() else { return Ok(()) };
        for (index, earlier) in self.ledger.open_inadmissible(verified.head().size.get(), ACCUSED_MAX)? {
            match self.accuse(index, earlier)? {
                Shown::Later(_) => continue,
                Shown::Nothing => (),
                Shown::Files(_) => {
                    // An evidence file says now what the alarm said.
                    self.ledger.set_alarm(index, None)?;
                    self.case.clear_about(INADMISSIBLE, &[subject(index)])?;
                    self.case.refresh_damage()?;
                }
            }
            self.ledger.settle_inadmissible(index)?;
        }
        Ok(())
    }

    /// Evidence from the entry and the genesis, or with the one that rules it out.
    fn accuse(&self, index: u64, earlier: Option<u64>) -> Result<Shown, CaseError> {
        if index == 0 {
            return Ok(Shown::Nothing);
        }
        let mut shown = self.case.accuse_entries(&[0, index])?;
        if let (Shown::Nothing, Some(other)) = (&shown, earlier) {
            shown = self.accuse_pair(other, index)?;
        }
        if shown != Shown::Nothing {
            return Ok(shown);
        }
        match self.follows_the_same(index) {
            Ok(Some(other)) => self.accuse_pair(other, index),
            Ok(None) => Ok(Shown::Nothing),
            Err(why) => Ok(Shown::Later(why)),
        }
    }

    fn accuse_pair(&self, one: u64, other: u64) -> Result<Shown, CaseError> {
        // With the genesis it was tried before.
        if one == 0 || one == other {
            return Ok(Shown::Nothing);
        }
        self.case.accuse_entries(&[0, one.min(other), one.max(other)])
    }

    /// The entry of the same chain that names the same `previous`.
    fn follows_the_same(&self, index: u64) -> Result<Option<u64>, String> {
        let Some(statement) = self.statement(index)? else { return Ok(None) };
        let wanted = statement.body().previous();
        let mut at = self.ledger.latest(&Chain::of(statement.body()))?.map(|latest| latest.index.get());
        for _ in 0..VERSIONS_MAX {
            let Some(here) = at else { return Ok(None) };
            let Some(version) = self.statement(here)? else { return Ok(None) };
            let previous = version.body().previous();
            if previous == wanted {
                return Ok(Some(here));
            }
            let Some(leaf) = previous else { return Ok(None) };
            at = self.case.archive.find_before(&leaf, here).map_err(|error| error.to_string())?;
        }
        Ok(None)
    }

    /// The statement at an index; `None` if there is none.
    fn statement(&self, index: u64) -> Result<Option<Statement>, String> {
        let batch = self.case.reread(&(index..index + 1)).map_err(|error| error.to_string())?;
        let entry = batch.entries(index).next().ok_or("the entry is not in its bundle")?;
        Ok(Statement::parse(entry.bytes).ok())
    }
}

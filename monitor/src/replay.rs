//! Replays the registry of a log of records, and judges every statement with the function that admission uses.
//!
//! For logs whose genesis is pinned in the configuration. Entries come from the feed, in order and verified; those
//! that were missed are read again. No entry is stepped over: one that does not parse, or that the log ought not to
//! have admitted, is an alarm that does not clear, because anyone who replays the log finds it again. It is told with
//! the reason code; checking it takes the whole prefix, so it is checkable only with a full copy.
//!
//! Where the replay is, and the latest entry of every chain, are in a database of its own (`ledger`): losing it
//! costs time. Absent on purpose: clocks, attachments, quotas; what a log refuses for those reasons is nobody else's
//! to judge.

mod ledger;

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use record::registry::{Authentic, JudgeError, NotAllowed, Refusal, Registry, Signatures};
use record::statement::Statement;
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use crate::case::{Case, CaseError};
use crate::feed::{Batch, Entry, Next};
use crate::report::{GENESIS, INADMISSIBLE};
use ledger::{Ledger, LedgerHistory};

/// Threads that verify signatures ahead.
const THREADS: usize = 2;
/// Entries that have an alarm of their own; beyond, there is one for all.
const ALARMS_MAX: u64 = 1000;
/// How long to wait for new entries, before looking whether to end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause after entries could not be read again.
const UNREAD_PAUSE: Duration = Duration::from_secs(2);

/// An entry on its way to be judged.
enum Prepared {
    /// Parsed, and its signatures hold.
    Authentic(Box<Authentic>),
    /// Its key may be brought in by an entry just before it.
    Later(Box<Statement>),
    /// Refused whatever comes before it: the code, and in words.
    Refused(&'static str, String),
}

/// The replay of one log. Owned by one thread.
pub struct Replay {
    case: Arc<Case>,
    genesis: Hash,
    ledger: Ledger,
    registry: Registry,
    /// Entry 0 is not the pinned one: nothing after it can be judged.
    stopped: bool,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("case", &self.case).finish_non_exhaustive()
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Judged entries; there may be more.
    Judged,
    /// There was nothing to judge.
    Idle,
    /// Entries to judge could not be read again just now.
    Unread,
    /// There will be no more.
    Ended,
}

impl Replay {
    /// Takes the replay up where it was left; `None` for a log whose genesis is not pinned.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn open(case: Arc<Case>) -> Result<Option<Self>, CaseError> {
        let Some(genesis) = case.followed.genesis else { return Ok(None) };
        let path = case.folder.log(&case.followed.origin).join("records.sqlite");
        let ledger = Ledger::open(&path, case.now())?;
        let kept = ledger.snapshot()?;
        // Its statements were verified when they were judged; the snapshot has a hash of its own.
        let registry = kept.and_then(|(size, bytes)| {
            let mut registry = Registry::from_snapshot(&bytes, Signatures::Trust).ok()?;
            if registry.genesis() != Some(genesis) || registry.size().get() > size {
                return None;
            }
            if let Some(last) = size.checked_sub(1).filter(|last| *last >= registry.size().get()) {
                registry.skip(LeafIndex::new(last).ok()?);
            }
            Some(registry)
        });
        if registry.is_none() {
            ledger.clear()?;
        }
        let registry = registry.unwrap_or_default();
        case.feed.join();
        case.learn(|facts| facts.judged = Some(registry.size().get()));
        Ok(Some(Self { case, genesis, ledger, registry, stopped: false }))
    }

    /// Judges what comes next.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn step(&mut self, patience: Duration) -> Result<Step, CaseError> {
        if self.stopped {
            return Ok(Step::Idle);
        }
        let at = self.registry.size().get();
        let batch = match self.case.feed.next(at, patience) {
            Next::Entries(batch) => batch,
            Next::Missed(range) => match self.case.reread(&range) {
                Ok(batch) => Arc::new(batch),
                Err(error) => {
                    self.ledger.commit()?;
                    tracing::info!(origin = self.case.origin(), %error, "entries to judge cannot be read now");
                    return Ok(Step::Unread);
                }
            },
            Next::Nothing => {
                self.ledger.commit()?;
                return Ok(Step::Idle);
            }
            Next::Ended => {
                self.ledger.commit()?;
                return Ok(Step::Ended);
            }
        };
        self.judge_batch(&batch, at)
    }

    fn judge_batch(&mut self, batch: &Batch, from: u64) -> Result<Step, CaseError> {
        let entries: Vec<Entry<'_>> = batch.entries(from).collect();
        let prepared = self.prepare(&entries);
        let mut changed = false;
        for (entry, prepared) in entries.iter().zip(prepared) {
            if entry.index == 0 && entry.leaf != self.genesis {
                return self.wrong_genesis(entry.leaf);
            }
            match self.judge(entry, prepared) {
                Ok(changes) => changed |= changes,
                Err(Judged::Refused(code, why)) => self.inadmissible(entry, code, &why)?,
                Err(Judged::Unknown(why)) => {
                    // Nobody knows: the same entry is judged again, from here.
                    tracing::info!(origin = self.case.origin(), why, "an entry cannot be judged now");
                    self.keep(changed)?;
                    return Ok(Step::Unread);
                }
                Err(Judged::Failed(error)) => return Err(error),
            }
        }
        self.keep(changed)?;
        Ok(Step::Judged)
    }

    /// Parses and verifies signatures, on several threads.
    fn prepare(&self, entries: &[Entry<'_>]) -> Vec<Prepared> {
        let registry = &self.registry;
        let share = entries.len().div_ceil(THREADS).max(1);
        let mut all = Vec::with_capacity(entries.len());
        std::thread::scope(|scope| {
            let work = |share: &[Entry<'_>]| {
                share.iter().map(|entry| prepare_one(registry, entry.bytes)).collect::<Vec<_>>()
            };
            let running: Vec<_> =
                entries.chunks(share).map(|share| scope.spawn(move || work(share))).collect();
            for thread in running {
                all.extend(thread.join().expect("a panic has ended the process"));
            }
        });
        all
    }

    /// Judges one entry and takes it in. `true` if it changes the registry itself.
    fn judge(&mut self, entry: &Entry<'_>, prepared: Prepared) -> Result<bool, Judged> {
        let index = LeafIndex::new(entry.index).map_err(|_| Judged::Unknown("no such index".to_owned()))?;
        let authentic = match prepared {
            Prepared::Authentic(authentic) => *authentic,
            Prepared::Refused(code, why) => return Err(Judged::Refused(code, why)),
            Prepared::Later(statement) => self.registry.authenticate(*statement, Signatures::Check)?,
        };
        let history = LedgerHistory { ledger: &self.ledger, case: &self.case };
        let effect = match self.registry.judge(index, &authentic, &history) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Err(refusal.into()),
            Err(JudgeError::History(why)) => return Err(Judged::Unknown(why)),
        };
        self.ledger.set_latest(effect.chain(), effect.entry()).map_err(Judged::Failed)?;
        let changes = effect.changes_registry();
        self.registry.apply(effect);
        Ok(changes)
    }

    fn inadmissible(&mut self, entry: &Entry<'_>, code: &str, why: &str) -> Result<(), CaseError> {
        let count = self.ledger.count_inadmissible(entry.index)?;
        let subject =
            if count > ALARMS_MAX { "more entries".to_owned() } else { format!("entry {}", entry.index) };
        let detail = format!(
            "entry {} (leaf hash {}) is in the signed tree and is not admissible: {code}: {why}. Anyone with a full copy \
             can check it",
            entry.index, entry.leaf
        );
        if count <= ALARMS_MAX + 1 {
            self.case.alarm(INADMISSIBLE, &subject, &detail)?;
            self.case.refresh_damage()?;
        }
        if let Ok(index) = LeafIndex::new(entry.index) {
            self.registry.skip(index);
        }
        Ok(())
    }

    fn wrong_genesis(&mut self, found: Hash) -> Result<Step, CaseError> {
        self.stopped = true;
        let detail = format!(
            "entry 0 has the leaf hash {found}, and the pinned genesis is {}: no statement of this log is judged",
            self.genesis
        );
        self.case.alarm(GENESIS, "entry 0", &detail)?;
        self.case.refresh_damage()?;
        Ok(Step::Idle)
    }

    fn keep(&mut self, changed: bool) -> Result<(), CaseError> {
        let size = self.registry.size().get();
        let snapshot = changed.then(|| self.registry.to_snapshot());
        self.ledger.keep(size, snapshot.as_deref())?;
        self.case.learn(|facts| facts.judged = Some(size));
        Ok(())
    }

    /// The registry, as far as the log is judged.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Judges until the end is asked for.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn run(mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        while !shutdown.is_asked() {
            match self.step(PATIENCE)? {
                Step::Ended => break,
                Step::Unread => std::thread::sleep(UNREAD_PAUSE),
                Step::Idle if self.stopped => std::thread::sleep(PATIENCE),
                Step::Judged | Step::Idle => (),
            }
        }
        self.ledger.commit()
    }
}

/// Why an entry was not taken in.
enum Judged {
    /// It is not admissible.
    Refused(&'static str, String),
    /// It cannot be told now.
    Unknown(String),
    /// Nothing can be remembered.
    Failed(CaseError),
}

impl From<Refusal> for Judged {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.code(), refusal.to_string())
    }
}

fn prepare_one(registry: &Registry, bytes: &[u8]) -> Prepared {
    let statement = match Statement::parse(bytes) {
        Ok(statement) => statement,
        Err(error) => return Prepared::Refused(error.code(), error.to_string()),
    };
    match registry.authenticate(statement.clone(), Signatures::Check) {
        Ok(authentic) => Prepared::Authentic(Box::new(authentic)),
        Err(Refusal::NotAllowed(NotAllowed::UnknownKey(_))) => Prepared::Later(Box::new(statement)),
        Err(refusal) => Prepared::Refused(refusal.code(), refusal.to_string()),
    }
}

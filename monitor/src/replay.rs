//! Replays the registry of a log of records, and judges every statement with the function that admission uses.
//!
//! For logs whose genesis is pinned in the configuration. Entries come from the feed, in order and verified; those
//! that were missed are read again. No entry is stepped over: one that does not parse, or that the log ought not to
//! have admitted, is evidence where a few entries show it by themselves (`inadmissible`). Where that takes the whole
//! prefix it is an alarm with the reason code, which does not clear, because anyone who replays the log finds it again.
//!
//! Where the replay is, the latest entry of every chain, and which versions name something outside the tree are in a
//! database of its own (`ledger`): losing it costs time, and losing the monitor's loses no alarm that is raised here.
//! Absent on purpose: clocks and quotas; what a log refuses for those reasons is nobody else's to judge. What is outside
//! the tree is [`crate::values`]'.

mod inadmissible;
mod ledger;
mod outside;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use record::registry::{Authentic, Effect, JudgeError, NotAllowed, Refusal, Registry, Signatures};
use record::statement::{
    AttachmentContent, Body, Content, Erased, Record, Statement, StatementError, Tombstone,
};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use crate::case::{Case, CaseError};
use crate::feed::{Batch, Entry, Next};
use crate::report::{GENESIS, LOST, REPLAY};
use crate::reread::RereadError;
use inadmissible::Refused;
use ledger::{Ledger, LedgerHistory};

pub use outside::Outside;

/// Threads that verify signatures ahead.
const THREADS: usize = 2;
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
    /// No statement.
    Malformed(StatementError),
    /// Refused whatever comes before it.
    Refused(Box<Statement>, Refusal),
}

/// The replay of one log. Owned by one thread.
pub struct Replay {
    case: Arc<Case>,
    genesis: Hash,
    ledger: Ledger,
    registry: Registry,
    /// Entry 0 is not the pinned one: nothing after it can be judged.
    stopped: bool,
    /// The entry whose evidence was waited for already.
    waited: Option<u64>,
    /// When evidence was looked for again.
    looked: Option<Duration>,
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
    /// An entry is judged again in a moment, once; what proves it is not verified yet.
    Waiting,
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
        let (ledger, damage) = Ledger::open(&path_of(&case), case.now())?;
        if let Some(damage) = damage {
            let detail = format!(
                "the database of the replay cannot be gone on with: {damage}; everything is judged again"
            );
            case.alarm(LOST, REPLAY, &detail)?;
        }
        let registry = ledger.snapshot()?.and_then(|kept| restored(kept, genesis));
        // What was judged and is not known to be in the tree of this log may be of another one.
        let registry = registry
            .filter(|registry| case.verified().is_some() || registry.size().get() <= case.facts().reached);
        if registry.is_none() {
            ledger.clear()?;
        }
        let registry = registry.unwrap_or_default();
        case.feed.join();
        case.set_judged(registry.size().get());
        let replay = Self { case, genesis, ledger, registry, stopped: false, waited: None, looked: None };
        replay.recall_alarms()?;
        Ok(Some(replay))
    }

    /// Judges what comes next.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn step(&mut self, patience: Duration) -> Result<Step, CaseError> {
        if self.stopped {
            return Ok(Step::Idle);
        }
        self.look_again()?;
        let at = self.registry.size().get();
        let batch = match self.case.feed.next(at, patience) {
            Next::Entries(batch) => batch,
            Next::Missed(range) => match self.case.reread(&range) {
                Ok(batch) => Arc::new(batch),
                Err(RereadError::Forgotten(error)) => return Err(error),
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
                Err(Judged::Refused(refused)) => {
                    if !self.inadmissible(entry, &refused)? {
                        self.keep(changed)?;
                        return Ok(Step::Waiting);
                    }
                }
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
            Prepared::Malformed(error) => return Err(Judged::Refused(error.into())),
            Prepared::Refused(statement, refusal) => return Err(self.refused(&statement, &refusal)),
            Prepared::Later(statement) => {
                let authentic = self.registry.authenticate((*statement).clone(), Signatures::Check);
                authentic.map_err(|refusal| self.refused(&statement, &refusal))?
            }
        };
        let history = LedgerHistory { ledger: &self.ledger, case: &self.case };
        let effect = match self.registry.judge(index, &authentic, &history) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Err(self.refused(authentic.statement(), &refusal)),
            Err(JudgeError::History(why)) => return Err(Judged::Unknown(why)),
        };
        self.remember(authentic.statement(), &effect)?;
        let changes = effect.changes_registry();
        self.registry.apply(effect);
        Ok(changes)
    }

    fn refused(&self, statement: &Statement, refusal: &Refusal) -> Judged {
        Judged::Refused(Refused::new(&self.registry, statement, refusal))
    }

    /// Notes what an admitted statement is the latest of, and what it names or erases outside the tree.
    fn remember(&self, statement: &Statement, effect: &Effect) -> Result<(), Judged> {
        self.ledger.set_latest(effect.chain(), effect.entry())?;
        match statement.body() {
            Body::Record(record) if record.content.as_ref().is_some_and(names_outside) => {
                self.ledger.add_outside(effect.entry().index.get())?;
            }
            Body::Tombstone(tombstone) => {
                let commitments = self.erased_commitments(tombstone).map_err(Judged::Unknown)?;
                self.ledger.add_erased(effect.entry(), tombstone, &commitments)?;
            }
            _ => (),
        }
        Ok(())
    }

    /// The commitments of the attachments that a tombstone erases, which no version can show any more.
    fn erased_commitments(&self, tombstone: &Tombstone) -> Result<Vec<Hash>, String> {
        if !tombstone.erased.iter().any(|item| matches!(item, Erased::Attachment(_))) {
            return Ok(Vec::new());
        }
        let index = tombstone.entry.index.get();
        let batch = self.case.reread(&(index..index + 1)).map_err(|error| error.to_string())?;
        let entry = batch.entries(index).next().ok_or("the entry is not in its bundle")?;
        let version = Statement::parse(entry.bytes).map_err(|error| error.to_string())?;
        let Body::Record(Record { content: Some(content), .. }) = version.body() else {
            return Ok(Vec::new());
        };
        let erased = content.attachments.iter().filter_map(|attachment| match attachment.content {
            AttachmentContent::Erasable(commitment) => {
                let item = Erased::Attachment(attachment.name.clone());
                tombstone.erased.contains(&item).then_some(commitment)
            }
            AttachmentContent::Public(_) => None,
        });
        Ok(erased.collect())
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
        self.case.set_judged(size);
        Ok(())
    }

    /// What the replay of a log knows about things outside its tree. The replay must have been opened before.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn outside(case: &Case) -> Result<Outside, CaseError> {
        Outside::open(&path_of(case))
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
                Step::Waiting => std::thread::sleep(PATIENCE),
                Step::Idle if self.stopped => std::thread::sleep(PATIENCE),
                Step::Judged | Step::Idle => (),
            }
        }
        self.ledger.commit()
    }
}

/// The registry as it was kept, at the size to which it was judged; `None` if it is none of this log.
fn restored((size, bytes): (u64, Vec<u8>), genesis: Hash) -> Option<Registry> {
    // Its statements were verified when they were judged; the snapshot has a hash of its own.
    let mut registry = Registry::from_snapshot(&bytes, Signatures::Trust).ok()?;
    if registry.genesis() != Some(genesis) || registry.size().get() > size {
        return None;
    }
    if let Some(last) = size.checked_sub(1).filter(|last| *last >= registry.size().get()) {
        registry.skip(LeafIndex::new(last).ok()?);
    }
    Some(registry)
}

fn path_of(case: &Case) -> PathBuf {
    case.folder.log(&case.followed.origin).join("records.sqlite")
}

/// Why an entry was not taken in.
enum Judged {
    /// It is not admissible.
    Refused(Refused),
    /// It cannot be told now.
    Unknown(String),
    /// Nothing can be remembered.
    Failed(CaseError),
}

impl From<CaseError> for Judged {
    fn from(error: CaseError) -> Self {
        Self::Failed(error)
    }
}

/// Whether a version names something that is not in the tree.
fn names_outside(content: &Content) -> bool {
    !content.attachments.is_empty() || !content.erasable.is_empty() || content.sealed.is_some()
}

fn prepare_one(registry: &Registry, bytes: &[u8]) -> Prepared {
    let statement = match Statement::parse(bytes) {
        Ok(statement) => statement,
        Err(error) => return Prepared::Malformed(error),
    };
    match registry.authenticate(statement.clone(), Signatures::Check) {
        Ok(authentic) => Prepared::Authentic(Box::new(authentic)),
        Err(Refusal::NotAllowed(NotAllowed::UnknownKey(_))) => Prepared::Later(Box::new(statement)),
        Err(refusal) => Prepared::Refused(Box::new(statement), refusal),
    }
}

//! A log, opened: what the request handlers share, and the engine that moves it.
//!
//! [`open`] recovers the directory and returns both. The server runs the [`Engine`]'s parts on threads of their
//! own; tests step them by hand. The handlers only see [`Log`]: they submit, and they read what is published.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::{Clock, Random};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::leaf_hash;
use tlog::ids::{Origin, TreeHead, TreeSize, UnixMillis};
use tlog::policy::Policy;

use crate::config::{Admission, Config, Identity, IdentityError};
use crate::cosign::{
    Board, Candidate, Courier, Inbox, Roster, RosterError, Rounds, RoundsSettings, Tree, load_policy,
};
use crate::heads::{Heads, Published};
use crate::housekeeping::{Done, Housekeeper, HousekeepingError};
use crate::judge::Judge;
use crate::keys::{self, KeyError};
use crate::lookup::{Lookup, LookupError};
use crate::pool::{Decision, Outcome, PauseBy, Pending, Placed, Pool, PoolLimits, SubmitError};
use crate::probe::Probe;
use crate::publish::{self, Committed, Cosigner, PublishError, Publisher, TailLimits, Unpublished};
use crate::records::judge::RecordJudge;
use crate::records::{Records, replay};
use crate::recover::{self, RecoverError, Recovered, Sources};
use crate::reindex::{self, ReindexError};
use crate::sequencer::{BatchClock, Parts, Sequencer, SequencerError};
use crate::signer::{LogSigner, SignError};
use crate::space::Space;
use crate::store::anchor::AnchoredHead;
use crate::store::disk::Disk;
use crate::store::index::IndexFollower;
use crate::store::ledger::{Ledger, LedgerError};
use crate::store::lock::{FileLock, LockError};
use crate::store::tiles::TileStore;

/// Entries after which a batch takes no further submission.
const BATCH_ENTRIES_MAX: usize = 32_768;
/// Bytes after which a batch takes no further submission.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Bytes of statements by unknown signers that may wait, parsed: in memory twenty times as much at most.
const UNSETTLED_BYTES_MAX: usize = 4 << 20;
/// Committed heads that may wait for publication.
const UNPUBLISHED_HEADS_MAX: usize = 64;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// `log.toml` is missing or malformed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keys are missing or malformed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The trust policy cannot be enforced.
    #[error(transparent)]
    Policy(#[from] RosterError),
    /// The state on disk does not allow to go on.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The index cannot be opened.
    #[error(transparent)]
    Index(#[from] ReindexError),
    /// The first signature failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The first publication failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The folder of attachments cannot be used.
    #[error("the attachments cannot be opened: {0}")]
    Blobs(std::io::Error),
}

impl From<LedgerError> for OpenError {
    fn from(error: LedgerError) -> Self {
        Self::Recover(error.into())
    }
}

/// Why an engine stopped. Its process must end.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sequencer.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// The publisher.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Housekeeping.
    #[error(transparent)]
    Housekeeping(#[from] HousekeepingError),
}

/// What the request handlers share.
#[derive(Debug)]
pub struct Log {
    /// The log's directory.
    pub dir: PathBuf,
    /// What it takes in.
    pub admission: Admission,
    /// The operator's settings.
    pub config: Config,
    /// The keys' public halves, and the origin.
    pub signer: Arc<LogSigner>,
    /// What verifiers are given, and the log enforces.
    pub policy: Policy,
    /// How the witnesses stand, where the policy asks for them.
    pub board: Option<Arc<Board>>,
    /// Both heads.
    pub heads: Arc<Heads>,
    /// The waiting room.
    pub pool: Arc<Pool>,
    /// What is committed and not published.
    pub unpublished: Arc<Unpublished>,
    /// The public tree.
    pub tiles: Arc<TileStore>,
    /// Entries by index and by hash.
    pub lookup: Arc<Lookup>,
    /// Kept checkpoints.
    pub ledger: Arc<Ledger>,
    /// The index.
    pub index: Arc<IndexFollower>,
    /// Agencies and what belongs to them, where the log takes statements.
    pub records: Option<Records>,
    /// The leaf hash that entry 0 must have there, in hex.
    pub genesis: Option<String>,
    /// The number of this start.
    pub epoch: i64,
}

/// What moves a log.
#[derive(Debug)]
pub struct Engine {
    /// Commits.
    pub sequencer: Sequencer,
    /// Publishes.
    pub publisher: Publisher,
    /// Keeps healthy.
    pub housekeeper: Housekeeper,
    /// Held for life.
    pub lock: FileLock,
}

/// The system that a log runs on.
#[derive(Clone)]
pub struct System {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// File operations.
    pub disk: Arc<dyn Disk>,
    /// The way to the witnesses.
    pub courier: Arc<dyn Courier>,
    /// Where tests reach in.
    pub probe: Probe,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("System")
    }
}

/// Opens a log: takes the lock, recovers, and signs the recovered head again.
///
/// Without witnesses that head is published at once. With witnesses the checkpoint published last stays, the pool is
/// held, and the publisher goes on once they have said how much of this log they know.
///
/// # Errors
/// [`OpenError`]; nothing was signed that was not committed.
pub fn open(dir: &Path, config: Config, system: &System) -> Result<(Arc<Log>, Engine), OpenError> {
    let (identity, origin): (Identity, Origin) = Identity::load(dir)?;
    let lock = FileLock::take(&dir.join("lock"))?;
    let signer = Arc::new(keys::load(dir, &origin)?);
    let policy = load_policy(dir, &signer.verifier_keys()[0])?;
    let roster = Roster::of(&policy)?;
    let left_out: Result<Vec<_>, _> =
        config.witnesses.left_out.iter().map(|name| find(&roster, name)).collect();
    let left_out = left_out?;
    let ledger = Arc::new(Ledger::open(&dir.join("ledger.sqlite"))?);
    let tiles = Arc::new(TileStore::new(dir.join("public"), Arc::clone(&system.disk)));
    let anchor = config.anchor.path.as_deref();
    let sources =
        Sources { dir, anchor, disk: &system.disk, ledger: &ledger, tiles: &tiles, signer: &signer };
    let mut recovered = recover::recover(sources)?;

    let (head, time) = (recovered.journal.head(), recovered.journal.time());
    let committed = Candidate { checkpoint: signer.sign(head, time)?, time };
    let shown = first_shown(&signer, committed.clone(), recovered.shown.take(), roster.is_some())?;
    let note = Bytes::from(shown.checkpoint.note().to_bytes());
    let failed = |error| PublishError::Io { what: "writing the checkpoint", error };
    // With witnesses the publisher does it, in the round that shows the recovered head.
    if let (None, Some(anchor)) = (&roster, &mut recovered.anchor) {
        let anchored = AnchoredHead { head, time, seq: recovered.journal.seq() };
        anchor.write(&anchored).and_then(|()| anchor.sync()).map_err(PublishError::from)?;
    }
    tiles.write_checkpoint(&note).map_err(failed)?;
    let epoch = ledger.start_epoch(time)?;
    let published = Published { checkpoint: shown.checkpoint.clone(), note, time: shown.time };
    let heads = Arc::new(Heads::new(head.size, time, published));

    let limits = &config.limits;
    let index = Arc::new(reindex::open(dir, &tiles, head, limits.index_tail_entries_max)?);
    let records = match identity.admission {
        Admission::Open => None,
        Admission::Records => {
            let (disk, clock) = (Arc::clone(&system.disk), Arc::clone(&system.clock));
            let floor = config.storage.free_space_min;
            Some(Records::open(dir, disk, clock, floor).map_err(OpenError::Blobs)?)
        }
    };
    let lookup = Lookup::new(Arc::clone(&index), Arc::clone(&tiles), dir.join("index.condemned"));
    let tail = TailLimits { heads_max: UNPUBLISHED_HEADS_MAX, entries_max: limits.unpublished_entries_max };
    let pool = Arc::new(Pool::new(pool_limits(&config)));
    let unpublished = Arc::new(Unpublished::new(tail, shown.checkpoint.head().size));
    let rounds = roster.map(|roster| {
        let settings = RoundsSettings { deadline: config.witnesses.deadline.0, left_out };
        let keys = signer.verifier_keys().to_vec();
        let rounds =
            Rounds::new(roster, keys, settings, Arc::clone(&system.random), committed.clone(), shown);
        catch_up(&rounds, committed, recovered.journal.seq(), &heads, &unpublished);
        pool.pause(PauseBy::Witnesses, "its witnesses have not yet said how much of it they know");
        rounds
    });
    let log = Arc::new(Log {
        dir: dir.to_owned(),
        admission: identity.admission,
        signer,
        board: rounds.as_ref().map(|rounds| Arc::clone(rounds.board())),
        policy,
        heads,
        pool,
        unpublished,
        tiles,
        lookup: Arc::new(lookup),
        ledger,
        index,
        records,
        genesis: identity.genesis,
        epoch,
        config,
    });
    let engine = engine(&log, recovered, rounds, lock, system);
    Ok((log, engine))
}

fn find(roster: &Option<Roster>, name: &str) -> Result<usize, RosterError> {
    let none = || RosterError::NoSuchWitness(name.to_owned(), "none that counts".to_owned());
    roster.as_ref().ok_or_else(none)?.find(name)
}

/// The checkpoint that the world sees first. What was visible once is never replaced by something older, its
/// cosignatures included; and with witnesses nothing new is shown that they have not cosigned.
fn first_shown(
    signer: &LogSigner,
    committed: Candidate,
    shown: Option<VerifiedCheckpoint>,
    witnessed: bool,
) -> Result<Candidate, SignError> {
    let shown = shown.and_then(|checkpoint| {
        let time = checkpoint.tree_head_time()?;
        Some(Candidate { checkpoint, time })
    });
    match shown {
        Some(shown) if witnessed || shown.time == committed.time => Ok(shown),
        None if witnessed => {
            // Both copies are lost. The empty tree is the beginning of every other.
            let time = UnixMillis::new(0);
            Ok(Candidate { checkpoint: signer.sign(TreeHead::EMPTY, time)?, time })
        }
        _ => Ok(committed),
    }
}

/// Queues the recovered head if it was not published, or not under this policy.
fn catch_up(rounds: &Rounds, committed: Candidate, seq: u64, heads: &Heads, unpublished: &Unpublished) {
    let published = heads.published();
    let Candidate { mut checkpoint, time } = committed;
    if time == published.time {
        if rounds.policy().verify(published.checkpoint.note()).is_ok() {
            return;
        }
        checkpoint = published.checkpoint.clone();
    }
    unpublished.push(Committed { checkpoint, time, seq, objects: Vec::new(), waiters: Vec::new() });
}

fn pool_limits(config: &Config) -> PoolLimits {
    PoolLimits {
        entries_max: config.limits.pool_entries_max,
        bytes_max: config.limits.pool_bytes_max.as_usize(),
        unsettled_bytes_max: UNSETTLED_BYTES_MAX,
        batch_entries_max: BATCH_ENTRIES_MAX,
        batch_bytes_max: BATCH_BYTES_MAX,
    }
}

fn engine(
    log: &Arc<Log>,
    recovered: Recovered,
    rounds: Option<Rounds>,
    lock: FileLock,
    system: &System,
) -> Engine {
    let Recovered { journal, edge, auditor, applier, anchor, applied, .. } = recovered;
    let floor = log.config.storage.free_space_min;
    let space = Space::new(log.tiles.folder(), Arc::clone(&system.disk), Arc::clone(&log.pool), floor);
    let housekeeper = Housekeeper {
        pool: Arc::clone(&log.pool),
        heads: Arc::clone(&log.heads),
        applied,
        tiles: Arc::clone(&log.tiles),
        ledger: Arc::clone(&log.ledger),
        index: Arc::clone(&log.index),
        preparer: journal.preparer(),
        space: space.clone(),
        clock: Arc::clone(&system.clock),
        refresh: log.config.checkpoint.refresh.0,
        done: Done::default(),
    };
    let own_keys = log.signer.verifier_keys();
    let witnesses = log.policy.witnesses().iter().map(|witness| &witness.key);
    let publisher = Publisher::new(publish::Parts {
        queue: Arc::clone(&log.unpublished),
        heads: Arc::clone(&log.heads),
        pool: Arc::clone(&log.pool),
        tiles: Arc::clone(&log.tiles),
        ledger: Arc::clone(&log.ledger),
        anchor,
        clock: Arc::clone(&system.clock),
        keys: own_keys.iter().chain(witnesses).cloned().collect(),
        own_keys: own_keys.len(),
        cosigner: rounds.map(|rounds| Cosigner {
            rounds,
            courier: Arc::clone(&system.courier),
            inbox: Arc::new(Inbox::new(Arc::clone(&log.unpublished))),
            tree: Tree::new(log.tiles.folder()),
            fail_open: log.config.witnesses.fail_open,
        }),
        deadline: log.config.witnesses.deadline.0,
        dir: log.dir.clone(),
    });
    let sequencer = Sequencer::new(Parts {
        pool: Arc::clone(&log.pool),
        unpublished: Arc::clone(&log.unpublished),
        heads: Arc::clone(&log.heads),
        judge: Judge::new(Arc::clone(&log.lookup), edge.head().size, record_judge(log)),
        clock: BatchClock::new(Arc::clone(&system.clock), journal.time()),
        journal,
        journal_bytes_max: log.config.storage.journal_max.0,
        space,
        signer: Arc::clone(&log.signer),
        applier,
        index: Arc::clone(&log.index),
        edge,
        auditor,
        probe: system.probe.clone(),
    });
    Engine { sequencer, publisher, housekeeper, lock }
}

/// Its registry is empty until [`Engine::fill_index`] has replayed it.
fn record_judge(log: &Log) -> Option<RecordJudge> {
    let records = log.records.as_ref()?;
    Some(RecordJudge::new(Arc::clone(&log.index), Arc::clone(&records.views)))
}

impl Engine {
    /// Gives the index what it may not have, and replays the registry where there is one. Must be done before the
    /// sequencer takes its first batch.
    ///
    /// # Errors
    /// [`ReindexError`] if a part of the tree is missing, the index fails, or the entries do not make the registry that
    /// the log was made with.
    pub fn fill_index(&mut self, log: &Log, progress: impl FnMut(TreeSize)) -> Result<(), ReindexError> {
        let head = self.sequencer.head();
        reindex::fill(log, head, progress)?;
        if let Some(judge) = self.sequencer.records() {
            let registry = replay::registry(&log.index, &log.lookup, head.size)?;
            replay::check_genesis(&registry, log.genesis.as_deref())?;
            judge.load(registry, head.size);
        }
        if let Some(records) = &log.records {
            // Before anything is served: also what a vault that was put back from an older copy still has. What is not
            // published yet is carried out when it is: nothing is gone before everybody can see why.
            records.carry_out(&log.index, &log.lookup, log.published().head().size)?;
        }
        Ok(())
    }

    /// Commits and publishes whatever waits, without waiting for more. For tests and tools.
    ///
    /// # Errors
    /// [`EngineError`]; the engine must not be used again.
    pub fn step(&mut self) -> Result<(), EngineError> {
        // The results say only whether there was work.
        let _ = self.sequencer.step(Duration::ZERO)?;
        let _ = self.publisher.step(Duration::ZERO)?;
        Ok(())
    }
}

/// Why an entry was not stored, or why it is not known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The pool, or what came after it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It is not known whether the log holds the entry already.
    #[error(
        "the log cannot tell at the moment whether it holds this entry; nothing was stored, send it again later"
    )]
    Lookup(#[from] LookupError),
}

/// How a submission goes on after admission.
#[derive(Debug)]
pub enum Admitted {
    /// Every entry is in the published tree already.
    Known(Vec<Placed>),
    /// The sequencer will answer.
    Waiting(tokio::sync::oneshot::Receiver<Outcome>),
}

impl Log {
    /// The checkpoint that the world sees.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.heads.published()
    }

    /// Admits entries: looks for each in the log, answers at once if all are published, and puts the submission
    /// into the pool otherwise. Blocks for as long as the index takes to answer; never for a write.
    ///
    /// # Errors
    /// [`AddError`]; nothing was stored then.
    pub fn admit(&self, entries: Vec<Bytes>) -> Result<Admitted, AddError> {
        // Read before the search, so that the sequencer searches whatever is committed after it.
        let committed = self.heads.committed();
        let published = self.published().head().size;
        let mut known = Vec::new();
        let mut pending = Vec::with_capacity(entries.len());
        for entry in entries {
            let leaf = leaf_hash(&entry);
            let found = self.lookup.find(&leaf, committed)?;
            known.extend(found.filter(|index| index.get() < published.get()));
            let absent_below = if found.is_some() { TreeSize::ZERO } else { committed };
            pending.push(Pending { entry, leaf, identity: leaf, absent_below, statement: None });
        }
        if known.len() == pending.len() {
            return Ok(Admitted::Known(
                known.into_iter().map(|index| Placed { index, duplicate: true }).collect(),
            ));
        }
        Ok(Admitted::Waiting(self.pool.submit(pending)?))
    }

    /// Admits one entry if the index knows nothing like it. `None` says that the index proposes a place, which
    /// has to be compared with the stored entry: [`Log::admit`] does, and may block on the disk for it.
    ///
    /// # Errors
    /// [`AddError`]; nothing was stored then.
    pub fn admit_if_new(
        &self,
        entry: &Bytes,
    ) -> Result<Option<tokio::sync::oneshot::Receiver<Outcome>>, AddError> {
        // Read before the search, as in `admit`.
        let absent_below = self.heads.committed();
        let leaf = leaf_hash(entry);
        if self.lookup.proposes(&leaf, absent_below)? {
            return Ok(None);
        }
        let pending = Pending { entry: entry.clone(), leaf, identity: leaf, absent_below, statement: None };
        Ok(Some(self.pool.submit(vec![pending])?))
    }

    /// Adds entries and waits until the checkpoint that covers them is public.
    ///
    /// # Errors
    /// [`AddError`]; after [`SubmitError::Unknown`] the same bytes may be sent again.
    pub async fn add(&self, entries: Vec<Bytes>) -> Result<Vec<Placed>, AddError> {
        match self.admit(entries)? {
            Admitted::Known(placed) => Ok(placed),
            Admitted::Waiting(answer) => Ok(placed(answer.await.map_err(|_| SubmitError::Unknown)??)),
        }
    }
}

/// The places that a log of any bytes gave.
///
/// # Panics
/// If an entry was refused, which only statements are.
#[must_use]
pub fn placed(decisions: Vec<Decision>) -> Vec<Placed> {
    decisions
        .into_iter()
        .map(|decision| decision.expect("only statements are refused by the judge"))
        .collect()
}

//! One witness at work: from the bytes of a request to cosignatures that are durable.
//!
//! 1. The body is parsed, the log found, its signature verified.
//! 2. [`crate::judge`] compares with a copy of the head in memory.
//! 3. The checkpoint is cosigned, in memory.
//! 4. [`crate::writer`] moves the head from exactly what was judged against, with the whole note, in one commit.
//! 5. Only then do the cosignatures leave. A step that was lost to a faster one is answered as the conflict it is.
//!
//! Absent on purpose: HTTP ([`crate::service`]).

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::clock::Clock;
use tlog::checkpoint::Checkpoint;
use tlog::cosignature::Subtree;
use tlog::hash::Hash;
use tlog::note::{Note, SignatureLine};
use tlog::proof::{ProofError, check_subtree_consistency, plan_subtree_consistency};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::{AddCheckpoint, SignSubtree, WireError};

use crate::config::Config;
use crate::init::{OpenError, Opened};
use crate::judge::{self, Refusal, Signed};
use crate::keys::WitnessKeys;
use crate::logs::{Followed, Logs};
use crate::probe::{Point, Probe};
use crate::state::heads::Advance;
use crate::state::{State, StateError};
use crate::writer::{Busy, Moved, Queue, Writer, WriterMetrics};

/// Why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The request, the log, or the proof.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log has used up its checkpoints of the day.
    #[error("the log has sent as many checkpoints as it may send in a day")]
    OverQuota(Duration),
    /// The clock is behind the last cosignature.
    #[error("the witness's clock is behind its last cosignature")]
    Clock(Duration),
    /// Too much waits to be written.
    #[error("the witness is writing as much as it can")]
    Busy,
    /// Nobody knows whether the head was moved.
    #[error("the outcome is unknown: ask again for the size that this witness has")]
    Unknown,
}

impl AddError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::OverQuota(_) => "over_quota",
            Self::Clock(_) => "clock",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a subtree was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum SubtreeError {
    /// The request cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The checkpoint cannot be read, or its log is not known.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The range is no subtree of the checkpoint's tree.
    #[error("{0}")]
    Range(ProofError),
    /// None of our keys has cosigned the checkpoint.
    #[error("the checkpoint carries no valid cosignature of this witness")]
    NotCosigned,
    /// The proof does not hold.
    #[error("the subtree consistency proof does not hold: {0}")]
    Proof(ProofError),
}

impl SubtreeError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wire(_) => "malformed",
            Self::Refused(refusal) => refusal.code(),
            Self::Range(_) => "range",
            Self::NotCosigned => "not_cosigned",
            Self::Proof(_) => "bad_proof",
        }
    }
}

/// A witness.
pub struct Witness {
    /// Its directory.
    pub dir: PathBuf,
    /// The operator's settings.
    pub config: Config,
    /// The logs that it follows.
    pub logs: Logs,
    keys: WitnessKeys,
    all_keys: Vec<VerifierKey>,
    queue: Queue,
    /// For what the writer is not needed for.
    reader: Mutex<State>,
    clock: Arc<dyn Clock>,
    probe: Probe,
    /// Seconds since 1970 of the last cosignature; never goes back.
    last_second: AtomicU64,
    roster: Mutex<i64>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness")
            .field("name", &self.keys.name())
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Witness {
    /// A witness from its opened directory, and the writer that has to run for it. The lock stays with the writer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(
        opened: Opened,
        clock: Arc<dyn Clock>,
        probe: Probe,
        metrics: WriterMetrics,
    ) -> Result<(Self, Writer), OpenError> {
        let Opened { dir, config, keys, all_keys, logs: rows, state, counter, lock } = opened;
        let reader = State::open_reader(state.path())?;
        let roster = state.roster_version()?;
        let logs = Logs::default();
        logs.update(rows);
        let last_second = AtomicU64::new(logs.last_cosigned());
        let (writer, queue) = Writer::new(state, counter, probe.clone(), metrics, lock)?;
        let reader = Mutex::new(reader);
        let roster = Mutex::new(roster);
        let witness =
            Self { dir, config, logs, keys, all_keys, queue, reader, clock, probe, last_second, roster };
        Ok((witness, writer))
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> &WitnessKeys {
        &self.keys
    }

    /// Every key that it ever had, oldest first.
    #[must_use]
    pub fn all_keys(&self) -> &[VerifierKey] {
        &self.all_keys
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The time, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.unix_millis() / 1000
    }

    /// The clock that never goes back.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The time of the last cosignature, in seconds since 1970; 0 if there is none.
    #[must_use]
    pub fn last_cosigned(&self) -> u64 {
        self.last_second.load(Ordering::Acquire)
    }

    /// Why nothing can be cosigned at the moment.
    ///
    /// # Errors
    /// A sentence.
    pub fn readiness(&self) -> Result<(), String> {
        let behind = self.last_cosigned().saturating_sub(self.now());
        if behind <= 1 {
            Ok(())
        } else {
            Err(format!("The clock is {behind} seconds behind the last cosignature."))
        }
    }

    /// `add-checkpoint`: the cosignatures, durable.
    ///
    /// # Errors
    /// [`AddError`]; nothing was cosigned, as far as anyone outside will ever see.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<Vec<SignatureLine>, AddError> {
        let request = AddCheckpoint::parse(body).map_err(|error| self.unreadable(error, body))?;
        let log = self.known(&judge::claimed(&request.checkpoint)?)?;
        let signed = judge::open(&request.checkpoint, log.keys())?;
        self.compare(&log, &signed).await;
        let from = log.head().head;
        judge::judge(signed.head(), request.old, &request.proof, from)?;
        log.take_quota(signed.head() != from, self.monotonic()).map_err(AddError::OverQuota)?;
        let seconds = self.second().map_err(AddError::Clock)?;
        let lines = self.keys.cosign(signed.text(), signed.checkpoint(), seconds);
        // The log's lines were under a note before, and a note takes more than ours beside them.
        let note = signed.note(&lines).map_err(Refusal::NotSigned)?.to_bytes();
        // Failures at this point are for the writer to have.
        let _ = self.probe.at(Point::Judged);
        let step = Advance { log: log.id, from, to: signed.head(), seconds, note };
        match self.queue.advance(step, Arc::clone(&log)).await {
            Ok(Moved::Committed) => Ok(lines),
            Ok(Moved::Lost) => {
                self.compare(&log, &signed).await;
                Err(Self::lost(&log, &signed).into())
            }
            Ok(Moved::Unknown) => Err(AddError::Unknown),
            Err(Busy) => Err(AddError::Busy),
        }
    }

    /// What a request that lost to a faster one would have been told had it come a moment later.
    fn lost(log: &Followed, signed: &Signed) -> Refusal {
        let head = log.head().head;
        if judge::contradicts(signed.head(), head) {
            Refusal::SameSizeOtherRoot(head.size)
        } else {
            Refusal::Conflict(head.size)
        }
    }

    fn known(&self, claimed: &Checkpoint) -> Result<Arc<Followed>, Refusal> {
        let origin = claimed.origin().as_str();
        self.logs.get(origin).ok_or_else(|| Refusal::UnknownOrigin(origin.to_owned()))
    }

    /// A signature line of a trusted key that cannot be decoded does not verify; anything else is malformed.
    fn unreadable(&self, error: WireError, body: &[u8]) -> Refusal {
        let trusted = judge::undecodable_signature(&error, body).is_some_and(|(origin, name)| {
            let log = self.logs.get(origin);
            log.is_some_and(|log| log.keys().iter().any(|key| key.name().as_str() == name))
        });
        match error {
            WireError::Note(error) if trusted => Refusal::NotSigned(error),
            error => Refusal::Wire(error),
        }
    }

    /// The second to put into a cosignature: not zero, and never before one that was used. Requests that run side by
    /// side may see the second change between them; they are given the later one.
    fn second(&self) -> Result<u64, Duration> {
        let now = self.now().max(1);
        let last = self.last_second.fetch_max(now, Ordering::AcqRel).max(now);
        if now + 1 < last { Err(Duration::from_secs(last - now)) } else { Ok(last) }
    }

    /// `sign-subtree`: an ML-DSA-44 cosignature without a time.
    ///
    /// # Errors
    /// [`SubtreeError`].
    pub fn sign_subtree(&self, body: &[u8]) -> Result<SignatureLine, SubtreeError> {
        let request = SignSubtree::parse(body)?;
        let claimed = judge::claimed(&request.checkpoint)?;
        let head = claimed.head();
        plan_subtree_consistency(request.start, request.end, head.size).map_err(SubtreeError::Range)?;
        self.known(&claimed)?;
        if !self.is_cosigned(&request.checkpoint) {
            return Err(SubtreeError::NotCosigned);
        }
        check_subtree_consistency(request.start, request.end, &request.hash, &head, &request.proof)
            .map_err(SubtreeError::Proof)?;
        let SignSubtree { start, end, hash, .. } = request;
        let subtree = Subtree { origin: claimed.origin().clone(), start, end, hash };
        Ok(self.keys.cosign_subtree(&subtree))
    }

    /// Whether one of our keys, of today or of before a rotation, has cosigned the note.
    fn is_cosigned(&self, note: &Note) -> bool {
        note.verify(&self.all_keys).is_ok()
    }

    /// The note that was cosigned last for the log with this origin hash. Reads the disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn note_of(&self, origin_hash: &Hash) -> Result<Option<Vec<u8>>, StateError> {
        self.read(|state| state.note_of(origin_hash))
    }

    /// Takes over what the command line has changed in the roster. Reads the disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn refresh_roster(&self) -> Result<(), StateError> {
        let version = self.read(State::roster_version)?;
        let mut known = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != version {
            self.logs.update(self.read(State::logs)?);
            *known = version;
        }
        Ok(())
    }

    /// Reads the state. Blocks.
    ///
    /// # Errors
    /// What `work` says.
    pub fn read<T>(&self, work: impl FnOnce(&State) -> Result<T, StateError>) -> Result<T, StateError> {
        work(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

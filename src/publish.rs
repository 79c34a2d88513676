//! From a committed head to a public one: read back, anchor, have it cosigned, publish, answer.
//!
//! Commits go on while a round runs, so committed heads queue here; a round takes the newest and covers
//! all. Order matters: every object that the head needs is read back and compared before the checkpoint is
//! visible, the anchor is synced before, a cosigned checkpoint is durable before, and tickets are answered after.
//!
//! The queue is bounded. [`Unpublished::wait_for_room`] is asked before a batch is taken, so that what
//! cannot be published soon is refused while nothing has been promised. Who waits longer than the witnesses' deadline
//! is told that the outcome is unknown.
//!
//! Absent on purpose: signing, the tree itself, and who is asked to cosign ([`crate::cosign`]).

mod queue;

pub use queue::{Ended, TailLimits, Unpublished};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::Clock;
use tlog::checkpoint::{CheckpointError, VerifiedCheckpoint};
use tlog::crypto::sha256_independent;
use tlog::ids::{LeafIndex, TreeSize, UnixMillis};
use tlog::policy::PolicyError;
use tlog::tile::TilePath;
use tlog::vkey::VerifierKey;
use tokio::sync::oneshot;

use crate::audit::Digest;
use crate::cosign::{Candidate, CosignError, Courier, Gathering, Inbox, Rounds, Standing, Tree};
use crate::heads::{Heads, Published};
use crate::pool::{Decision, Outcome, PauseBy, Pool, SubmitError};
use crate::store::anchor::{Anchor, AnchorError, AnchoredHead};
use crate::store::ledger::{Ledger, LedgerError, PublishedRow};
use crate::store::tiles::TileStore;
use queue::Taken;

/// A head that the journal holds and the world does not know yet.
#[derive(Debug)]
pub struct Committed {
    /// The signed checkpoint, verified after signing.
    pub checkpoint: VerifiedCheckpoint,
    /// The clock reading of its batch.
    pub time: UnixMillis,
    /// The number of its journal record.
    pub seq: u64,
    /// What it added to the tree: path and audited digest.
    pub objects: Vec<(TilePath, Digest)>,
    /// Who waits for it.
    pub waiters: Vec<Waiter>,
}

/// A submission whose outcome is known and waits for publication.
#[derive(Debug)]
pub struct Waiter {
    /// The answer.
    pub decisions: Vec<Decision>,
    /// Where it goes.
    pub reply: oneshot::Sender<Outcome>,
}

/// Why a committed head could not be published. Any of these ends the process.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An object is not on disk as it was written.
    #[error("{0} does not read back as it was written; the checkpoint that needs it is withheld")]
    ReadBack(TilePath),
    /// The disk failed.
    #[error("{what} failed: {error}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The anchor failed.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A cosigned checkpoint could not be made durable.
    #[error("a cosigned checkpoint could not be kept, and is not published: {0}")]
    Ledger(#[from] LedgerError),
    /// A witness knows what this log does not.
    #[error(transparent)]
    Cosign(#[from] CosignError),
    /// What was put together from verified signatures does not verify.
    #[error("a cosigned checkpoint does not verify and is not published ({0}); check the machine's memory")]
    Assembled(#[from] CheckpointError),
    /// The policy does not accept what was about to be published.
    #[error(
        "the policy does not accept a checkpoint that seemed to have its quorum ({0}); it is not published"
    )]
    Policy(#[from] PolicyError),
}

/// The rounds with the witnesses, and what carries them.
#[derive(Debug)]
pub struct Cosigner {
    /// Who is asked what.
    pub rounds: Rounds,
    /// Carries it.
    pub courier: Arc<dyn Courier>,
    /// Where answers come in.
    pub inbox: Arc<Inbox>,
    /// For proofs.
    pub tree: Tree,
    /// Publish without a quorum when the deadline has passed.
    pub fail_open: bool,
}

/// What a publisher works with.
pub struct Parts {
    /// Where committed heads come from.
    pub queue: Arc<Unpublished>,
    /// Both heads.
    pub heads: Arc<Heads>,
    /// Taken up again once the witnesses have said enough.
    pub pool: Arc<Pool>,
    /// The public tree.
    pub tiles: Arc<TileStore>,
    /// Cosigned checkpoints are durable there before they are public.
    pub ledger: Arc<Ledger>,
    /// The copy of the head on another volume.
    pub anchor: Option<Anchor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The keys that sign and cosign: ours first.
    pub keys: Vec<VerifierKey>,
    /// How many of the keys are ours.
    pub own_keys: usize,
    /// The witnesses, where the policy asks for them.
    pub cosigner: Option<Cosigner>,
    /// How long a submission may wait for a quorum.
    pub deadline: Duration,
    /// Where evidence against ourselves is kept.
    pub dir: PathBuf,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Someone who waits, and since when.
#[derive(Debug)]
struct Waiting {
    waiter: Waiter,
    since: Duration,
}

/// Publishes committed heads. Runs on a thread of its own.
#[derive(Debug)]
pub struct Publisher {
    parts: Parts,
    /// The newest head that was taken and is not in a round yet.
    next: Option<Committed>,
    waiting: Vec<Waiting>,
    /// An orderly end waits for a round until then.
    ending: Option<Duration>,
}

impl Publisher {
    /// A publisher.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, next: None, waiting: Vec::new(), ending: None }
    }

    /// Does what there is to do, waiting at most `patience` for it. `Ok(Err(Ended))` once nothing more is to come.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was made public that does not hold, and nobody was answered.
    pub fn step(&mut self, patience: Duration) -> Result<Result<(), Ended>, PublishError> {
        let now = self.now();
        let due = self.parts.cosigner.as_ref().and_then(|cosigner| cosigner.rounds.next_due(now));
        let patience = due.map_or(patience, |due| patience.min(due.saturating_sub(now)));
        let Taken { mut heads, waiters, ended } = self.parts.queue.take(patience, self.is_unfinished());
        let now = self.now();
        let new = heads.iter_mut().flat_map(|head| std::mem::take(&mut head.waiters)).chain(waiters);
        self.waiting.extend(new.map(|waiter| Waiting { waiter, since: now }));
        for head in &heads {
            self.read_back(&head.objects)?;
        }
        if let Some(newest) = heads.pop() {
            self.next = Some(newest);
        }
        match self.parts.cosigner.take() {
            None => self.publish_alone()?,
            Some(mut cosigner) => {
                self.cosign(&mut cosigner)?;
                self.parts.cosigner = Some(cosigner);
            }
        }
        let published = self.parts.heads.published().head().size;
        self.answer(published, now);
        self.parts.queue.done(published, self.is_unfinished());
        Ok(if ended && self.is_over(now) { Err(Ended) } else { Ok(()) })
    }

    fn now(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    fn is_unfinished(&self) -> bool {
        let gathers = self.parts.cosigner.as_ref().is_some_and(|one| one.rounds.gathering().is_some());
        self.next.is_some() || gathers
    }

    /// An orderly end gives the last round its time, and no more: what is committed is published by the next start.
    fn is_over(&mut self, now: Duration) -> bool {
        let probing = self.parts.cosigner.as_ref().is_some_and(|cosigner| cosigner.rounds.is_probing());
        let until = *self.ending.get_or_insert(now + self.parts.deadline);
        !self.is_unfinished() || probing || now >= until
    }

    fn publish_alone(&mut self) -> Result<(), PublishError> {
        let Some(newest) = self.next.take() else { return Ok(()) };
        self.anchor(&newest)?;
        let note = Bytes::from(newest.checkpoint.note().to_bytes());
        self.show(Published { checkpoint: newest.checkpoint, note, time: newest.time })
    }

    fn anchor(&mut self, newest: &Committed) -> Result<(), PublishError> {
        if let Some(anchor) = &mut self.parts.anchor {
            let head = newest.checkpoint.head();
            anchor.write(&AnchoredHead { head, time: newest.time, seq: newest.seq })?;
            anchor.sync()?;
        }
        Ok(())
    }

    fn show(&self, published: Published) -> Result<(), PublishError> {
        let written = self.parts.tiles.write_checkpoint(&published.note);
        written.map_err(|error| PublishError::Io { what: "writing the checkpoint", error })?;
        self.parts.heads.publish(published);
        Ok(())
    }

    /// Takes in answers, begins rounds, sends letters and publishes, until nothing more happens by itself.
    fn cosign(&mut self, cosigner: &mut Cosigner) -> Result<(), PublishError> {
        loop {
            let now = self.now();
            let delivered = cosigner.inbox.take();
            for one in &delivered {
                let received = cosigner.rounds.receive(one, now, &cosigner.tree);
                received.map_err(|error| self.keep_evidence(error))?;
            }
            if cosigner.rounds.is_probing() {
                let sent = send(cosigner, now)?;
                if cosigner.rounds.is_probing() && !sent && delivered.is_empty() {
                    return Ok(());
                }
                continue;
            }
            self.parts.pool.resume(PauseBy::Witnesses);
            let moved = self.advance(cosigner, now)?;
            let sent = send(cosigner, now)?;
            if let Some(gathering) = cosigner.rounds.take_amended().cloned() {
                self.show_cosigned(&gathering)?;
            }
            if delivered.is_empty() && !moved && !sent {
                return Ok(());
            }
        }
    }

    /// Publishes what may be, and begins the next round. Whether anything of it happened.
    fn advance(&mut self, cosigner: &mut Cosigner, now: Duration) -> Result<bool, PublishError> {
        let standing = cosigner.rounds.standing(now);
        match standing {
            Standing::Open => return Ok(false),
            Standing::Idle => (),
            Standing::Late => cosigner.rounds.missed(now),
            Standing::Met => {
                let gathering = cosigner.rounds.gathering();
                let note = gathering.map(|one| one.note(&self.parts.keys[..self.parts.own_keys]));
                // A second opinion, by the code that readers use.
                note.map(|note| cosigner.rounds.policy().verify(&note)).transpose()?;
                self.publish_cosigned(cosigner)?;
            }
        }
        if standing == Standing::Late && cosigner.fail_open {
            self.publish_cosigned(cosigner)?;
        }
        let Some(newest) = self.next.take() else { return Ok(standing != Standing::Idle) };
        let candidate = Candidate { checkpoint: newest.checkpoint.clone(), time: newest.time };
        cosigner.rounds.begin(candidate, now);
        // The anchor's sync and the witnesses' run side by side.
        send(cosigner, now)?;
        self.anchor(&newest)?;
        Ok(true)
    }

    fn publish_cosigned(&self, cosigner: &mut Cosigner) -> Result<(), PublishError> {
        if let Some(gathering) = cosigner.rounds.gathering() {
            self.show_cosigned(gathering)?;
            cosigner.rounds.published();
        }
        Ok(())
    }

    /// Durable first: a cosignature that was visible is never taken back, not even by a power cut.
    fn show_cosigned(&self, gathering: &Gathering) -> Result<(), PublishError> {
        let note = gathering.note(&self.parts.keys[..self.parts.own_keys]);
        let checkpoint = VerifiedCheckpoint::verify(&note, &self.parts.keys)?;
        let (note, time) = (note.to_bytes(), gathering.time());
        self.parts.ledger.record_published(&PublishedRow {
            head: checkpoint.head(),
            time,
            note: note.clone(),
        })?;
        self.show(Published { checkpoint, note: note.into(), time })
    }

    /// A note of ours that contradicts our tree is worth more than anything else in the directory.
    fn keep_evidence(&self, error: CosignError) -> CosignError {
        let CosignError::Contradicted { witness, size, note, .. } = error else { return error };
        let path = self.parts.dir.join(format!("contradiction-{size}.checkpoint"));
        let kept = std::fs::write(&path, &note).is_ok().then_some(path);
        CosignError::Contradicted { witness, size, note, kept }
    }

    fn read_back(&self, objects: &[(TilePath, Digest)]) -> Result<(), PublishError> {
        for (path, digest) in objects {
            let stored = self
                .parts
                .tiles
                .read(path)
                .map_err(|error| PublishError::Io { what: "reading back a tile", error })?;
            if stored.is_none_or(|bytes| sha256_independent(&[&bytes]) != *digest) {
                return Err(PublishError::ReadBack(*path));
            }
        }
        Ok(())
    }

    /// Invariant 3: an answer leaves only when the published head covers it. Who has waited for the whole deadline is
    /// told that it is not known when that will be.
    fn answer(&mut self, published: TreeSize, now: Duration) {
        let deadline = self.parts.deadline;
        for Waiting { waiter, since } in std::mem::take(&mut self.waiting) {
            let covered =
                waiter.decisions.iter().filter_map(shown).all(|index| index.get() < published.get());
            // A client that went away is no error: its entry is in the tree, or will be.
            if covered {
                let _ = waiter.reply.send(Ok(waiter.decisions));
            } else if self.parts.cosigner.is_some() && now.saturating_sub(since) >= deadline {
                let _ = waiter.reply.send(Err(SubmitError::Unknown));
            } else {
                assert!(
                    self.parts.cosigner.is_some(),
                    "without witnesses every taken head is published at once"
                );
                self.waiting.push(Waiting { waiter, since });
            }
        }
    }
}

/// The entry that the answer to a decision shows.
fn shown(decision: &Decision) -> Option<LeafIndex> {
    match decision {
        Ok(placed) => Some(placed.index),
        Err(refused) => refused.shows(),
    }
}

/// Sends what is to be sent now; whether that was anything.
fn send(cosigner: &mut Cosigner, now: Duration) -> Result<bool, PublishError> {
    let letters = cosigner.rounds.letters(now, &mut cosigner.tree)?;
    let sent = !letters.is_empty();
    for letter in letters {
        cosigner.courier.send(letter, &cosigner.inbox);
    }
    Ok(sent)
}

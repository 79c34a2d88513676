//! Follows one log: looks at its checkpoint, ties it to what is known, rebuilds the tree from the entries.
//!
//! One round:
//! 1. every source's checkpoint is taken, kept and judged as any head is ([`crate::judge`]);
//! 2. the head that is served, or of those that wait the largest that the policy accepts, becomes the target;
//! 3. it is tied to the verified head and to those that wait before it, with tiles of the target's tree: a fork is
//!    found here, before anything else is read, and becomes evidence;
//! 4. the tree is rebuilt from the entry bytes up to it, and the root compared: a consistency proof alone is not
//!    enough (Yeti 2021);
//! 5. it is remembered, and then the heads and receipts that waited for it are settled.
//!
//! The verified head moves only in step 5. What was rebuilt before is remembered every few seconds, so that a
//! restart goes on near where it was. What is found wrong on the way stops the round, never the program.

mod advance;
mod begin;
mod damage;
mod finish;
mod tie;

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::Note;

use crate::case::{Case, CaseError};
use crate::edge::Edge;
use crate::rebuild::Damage;
use crate::report::{OWN, QUORUM, UNSIGNED, WITHHELD};
use crate::store::{RECALLED, WaitingHead};
use tie::Tie;

/// How often progress within a large backlog is made durable.
const COMMIT_PAUSE: Duration = Duration::from_secs(5);
/// Heads that are looked at in one round for one to verify next.
const CANDIDATES_MAX: usize = 256;

/// Follows one log. The only one that moves its verified head.
#[derive(Debug)]
pub struct Follower {
    case: Arc<Case>,
    /// Rebuilt so far; `None` before a pinned start was read.
    edge: Option<Edge>,
    shutdown: Shutdown,
    /// What is wrong, in this round.
    damages: Vec<Damage>,
    /// Why something was not read, in this round.
    unread: Option<String>,
    committed_at: Duration,
}

/// What the sources showed in a round.
#[derive(Debug, Default)]
struct Shown {
    largest: Option<VerifiedCheckpoint>,
    silence: Option<String>,
    unsigned: Vec<String>,
}

impl Follower {
    /// Takes up a log where it was left.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn new(case: Arc<Case>, shutdown: Shutdown) -> Result<Self, CaseError> {
        let row = case.store.log(case.origin())?;
        let edge = row.and_then(|row| Edge::from_peaks(row.reached, &row.peaks).ok());
        if let (Some(edge), Some(verified)) = (&edge, case.verified())
            && edge.size() == verified.head().size
            && edge.head() != verified.head()
        {
            tracing::error!(origin = case.origin(), "where our own tree ends is damaged");
            case.mark_damaged();
        }
        let committed_at = case.clock.monotonic();
        Ok(Self { case, edge, shutdown, damages: Vec::new(), unread: None, committed_at })
    }

    /// Looks, and verifies what there is to verify.
    ///
    /// # Errors
    /// [`CaseError`]: what was found could not be remembered. What is wrong with the log is no error.
    pub fn round(&mut self) -> Result<(), CaseError> {
        self.damages.clear();
        self.unread = None;
        if self.case.take_damaged() {
            self.start_again()?;
        } else {
            // An earlier process may have ended between the alarm and its end.
            self.case.clear(OWN, &[])?;
        }
        let shown = self.look()?;
        self.note_shown(&shown)?;
        if self.case.is_misbehaving() {
            // Everything is still kept; nothing moves.
            return Ok(());
        }
        if self.edge.is_none() {
            self.begin()?;
        }
        if let (Some(served), true) = (&shown.largest, self.edge.is_some()) {
            self.go_on(served)?;
        }
        self.finish(&shown)
    }

    /// Takes every source's checkpoint.
    fn look(&self) -> Result<Shown, CaseError> {
        let mut shown = Shown::default();
        for source in &self.case.sources {
            let name = source.name();
            let bytes = match source.checkpoint() {
                Ok(bytes) => bytes,
                Err(error) if error.is_senseless() => {
                    shown.unsigned.push(format!("{name}: {error}"));
                    continue;
                }
                Err(error) => {
                    shown.silence.get_or_insert_with(|| error.to_string());
                    continue;
                }
            };
            let signed = Note::parse(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|note| self.case.followed.trust.signed(&note).map_err(|error| error.to_string()));
            match signed {
                Err(error) => shown.unsigned.push(format!("{name} shows no checkpoint of this log: {error}")),
                Ok(checkpoint) => {
                    self.case.see(&checkpoint, &name)?;
                    let larger = |known: &VerifiedCheckpoint| checkpoint.head().size >= known.head().size;
                    if shown.largest.as_ref().is_none_or(larger) {
                        shown.largest = Some(checkpoint);
                    }
                }
            }
        }
        Ok(shown)
    }

    fn note_shown(&self, shown: &Shown) -> Result<(), CaseError> {
        let case = &self.case;
        for detail in &shown.unsigned {
            case.alarm(UNSIGNED, "checkpoint", detail)?;
        }
        let now = case.now();
        if case.facts().read_at.is_none() {
            // The first look of all: from here on there is something to miss.
            case.note_read()?;
        }
        case.learn(|facts| {
            facts.silence = None;
            if shown.largest.is_some() {
                facts.heard_at = Some(now);
            } else if shown.unsigned.is_empty() {
                facts.silence = shown.silence.clone();
            }
        });
        let Some(served) = &shown.largest else { return Ok(()) };
        case.clear(UNSIGNED, &shown.unsigned.iter().map(|_| "checkpoint".to_owned()).collect::<Vec<_>>())?;
        let lacking = case.followed.trust.accepts(served).err().map(|error| error.to_string());
        if let Some(lacking) = &lacking {
            case.alarm(QUORUM, "checkpoint", lacking)?;
        } else {
            case.clear(QUORUM, &[])?;
        }
        case.learn(|facts| facts.quorum = lacking);
        self.note_withheld(served)
    }

    /// A log that shows less than it has signed.
    fn note_withheld(&self, served: &VerifiedCheckpoint) -> Result<(), CaseError> {
        let case = &self.case;
        let size = served.head().size;
        let verified = case.verified().map(|verified| verified.head().size).filter(|known| *known > size);
        let shown_here = |one: &WaitingHead| one.source == RECALLED || self.is_shown_here(one);
        let waiting = case.store.pending(case.origin())?;
        let waiting =
            waiting.iter().rev().find(|one| one.head.size > size && (shown_here(one) || self.is_old(one)));
        let largest = verified.into_iter().chain(waiting.map(|one| one.head.size)).max();
        let reason = largest
            .map(|largest| format!("it shows a tree of {size} entries, and has signed one of {largest}"));
        match &reason {
            Some(reason) => case.alarm(WITHHELD, "checkpoint", reason)?,
            None => case.clear(WITHHELD, &[])?,
        }
        case.learn(|facts| facts.rolled_back = reason);
        Ok(())
    }

    /// Whether one of our sources was the first to show a head.
    fn is_shown_here(&self, waiting: &WaitingHead) -> bool {
        self.case.sources.iter().any(|source| source.name() == waiting.source)
    }

    /// Whether a head was seen so long ago that every source ought to show it.
    fn is_old(&self, waiting: &WaitingHead) -> bool {
        let patience = u64::try_from(self.case.followed.stale_after.as_millis()).unwrap_or(u64::MAX);
        self.case.now().saturating_sub(waiting.first_seen) > patience
    }

    /// Steps 2 to 5.
    fn go_on(&mut self, served: &VerifiedCheckpoint) -> Result<(), CaseError> {
        let verified = self.case.verified();
        if let Some(known) = &verified
            && known.head() == served.head()
            && self.case.followed.trust.accepts(served).is_ok()
        {
            // The same tree under newer signatures.
            self.case.set_verified(served.clone());
        }
        let Some(target) = self.target(served)? else { return Ok(()) };
        let larger = |known: &VerifiedCheckpoint| target.head().size > known.head().size;
        if !verified.as_ref().is_none_or(larger) {
            return Ok(());
        }
        self.case.learn(|facts| facts.signed = facts.signed.max(target.head().size.get()));
        let tied = match self.tie(&target)? {
            Tie::Holds => true,
            Tie::Unknown(damages) => {
                self.damages.extend(damages);
                false
            }
            Tie::Unread(why) => {
                self.unread = Some(why);
                return Ok(());
            }
            Tie::Forked => return Ok(()),
        };
        if self.advance(&target, tied)? { self.remember(target) } else { Ok(()) }
    }

    /// The head to verify next: the one that is served, else the largest accepted one that the log serves. One that only
    /// others have shown has time until a source shows it, or until it is old: whoever copies a log is a little behind.
    fn target(&self, served: &VerifiedCheckpoint) -> Result<Option<VerifiedCheckpoint>, CaseError> {
        let (case, size) = (&self.case, served.head().size);
        let verified = case.verified().map(|verified| verified.head().size);
        let is_new = |head: TreeHead| verified.is_none_or(|known| head.size > known);
        let is_accepted = |one: &VerifiedCheckpoint| case.followed.trust.accepts(one).is_ok();
        if is_new(served.head()) {
            // As it was kept it has every signature that was ever shown; if there was no room, it is here all the same.
            let kept = case.kept(served.head())?.unwrap_or_else(|| served.clone());
            if is_accepted(&kept) {
                return Ok(Some(kept));
            }
        }
        let may_be = |one: &WaitingHead| one.head.size <= size || self.is_shown_here(one) || self.is_old(one);
        let mut later = None;
        let waiting = case.store.pending(case.origin())?;
        let waiting = waiting.iter().rev().filter(|one| is_new(one.head) && may_be(one));
        for one in waiting.take(CANDIDATES_MAX) {
            let Some(checkpoint) = case.kept(one.head)?.filter(|kept| is_accepted(kept)) else { continue };
            if one.head.size <= size {
                return Ok(Some(checkpoint));
            }
            later.get_or_insert(checkpoint);
        }
        Ok(later)
    }

    /// Follows until the end is asked for. `wake` is told when there is something new to look at.
    ///
    /// # Errors
    /// As [`Follower::round`].
    pub fn run(mut self, wake: &std::sync::mpsc::Receiver<()>) -> Result<(), CaseError> {
        while !self.shutdown.is_asked() {
            self.round()?;
            if self.shutdown.is_asked() {
                break;
            }
            // Woken, timed out, or nobody is left to wake: each is a reason to look again.
            let _ = wake.recv_timeout(self.case.followed.poll);
        }
        if let Some(edge) = self.edge.clone()
            && edge.size() > TreeSize::ZERO
        {
            self.commit(&edge, true)?;
        }
        self.case.feed.end();
        Ok(())
    }
}

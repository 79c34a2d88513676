//! Follows one log: looks at its checkpoint, ties it to what is known, rebuilds the tree from the entries.
//!
//! One round:
//! 1. every source's checkpoint is taken, kept and judged as any head is ([`crate::judge`]);
//! 2. of the heads that wait, the largest that the policy accepts and that the log serves becomes the target;
//! 3. it is tied to the verified head and to those that wait before it, with tiles of the target's tree: a fork is
//!    found here, before anything else is read, and becomes evidence;
//! 4. the tree is rebuilt from the entry bytes up to it, and the root compared: a consistency proof alone is not
//!    enough (Yeti 2021);
//! 5. it is remembered, and then the heads and receipts that waited for it are settled.
//!
//! The verified head moves only in step 5. What was rebuilt before is remembered every few seconds, so that a
//! restart goes on near where it was. What is found wrong on the way stops the round, never the program.

mod tie;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::Note;
use tlog::tile::{TilePath, partial_tiles};
use tlog::tree::Frontier;
use tlog::verify_tiles::consistency_nodes;

use crate::case::{Case, CaseError, Pace};
use crate::edge::{Completed, Edge};
use crate::feed::{Batch, FEED_BYTES_MAX};
use crate::judge::{AnyOf, FORK};
use crate::rebuild::{Damage, Failure, Hashed, Span, Wanted, read_span, span_from};
use crate::source::Source;
use crate::store::{HeadRow, LogRow, Standing};
use crate::tiles::{Tiles, Unproved, prove_nodes};
use tie::Tie;

/// How often progress within a large backlog is made durable.
const COMMIT_PAUSE: Duration = Duration::from_secs(5);
/// Damaged objects that are looked at again in one round.
const RECHECKS_MAX: usize = 64;
/// Sort of alarm: bytes that the signed tree does not hold, or that are missing.
const DAMAGE: &str = "damage";
/// Sort of alarm: a checkpoint that the log did not sign.
const UNSIGNED: &str = "unsigned";
/// Sort of alarm: a head that is no longer shown.
const WITHHELD: &str = "withheld";
/// Sort of alarm: too few witnesses.
const QUORUM: &str = "quorum";
/// Sort of alarm: our own hashes.
pub(crate) const OWN: &str = "own-store";

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
        let patience = u64::try_from(case.followed.stale_after.as_millis()).unwrap_or(u64::MAX);
        let verified = case.verified().map(|verified| verified.head().size).filter(|known| *known > size);
        let shown_here = |row: &HeadRow| case.sources.iter().any(|source| source.name() == row.source);
        let old = |row: &HeadRow| case.now().saturating_sub(row.first_seen) > patience;
        let waiting = case.store.pending(case.origin())?;
        let waiting = waiting.iter().rev().find(|row| row.head.size > size && (shown_here(row) || old(row)));
        let largest = verified.into_iter().chain(waiting.map(|row| row.head.size)).max();
        let reason = largest
            .map(|largest| format!("it shows a tree of {size} entries, and has signed one of {largest}"));
        match &reason {
            Some(reason) => case.alarm(WITHHELD, "checkpoint", reason)?,
            None => case.clear(WITHHELD, &[])?,
        }
        case.learn(|facts| facts.rolled_back = reason);
        Ok(())
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
        match self.tie(&target)? {
            Tie::Holds => (),
            Tie::Unknown(damage) => self.damages.push(damage),
            Tie::Unread(why) => {
                self.unread = Some(why);
                return Ok(());
            }
            Tie::Forked => return Ok(()),
        }
        if self.advance(&target)? { self.remember(target) } else { Ok(()) }
    }

    /// The head to verify next: the largest accepted one that the log serves, else the largest of all.
    fn target(&self, served: &VerifiedCheckpoint) -> Result<Option<VerifiedCheckpoint>, CaseError> {
        let trust = &self.case.followed.trust;
        let mut found: Option<VerifiedCheckpoint> = None;
        for row in self.case.store.pending(self.case.origin())?.iter().rev() {
            let signed = Note::parse(&row.note).ok().and_then(|note| trust.signed(&note).ok());
            let Some(checkpoint) = signed.filter(|checkpoint| trust.accepts(checkpoint).is_ok()) else {
                continue;
            };
            if row.head.size <= served.head().size {
                return Ok(Some(checkpoint));
            }
            found.get_or_insert(checkpoint);
        }
        Ok(found)
    }

    /// Rebuilds the tree up to the target. `true` if it has the signed root.
    fn advance(&mut self, target: &VerifiedCheckpoint) -> Result<bool, CaseError> {
        let head = target.head();
        let Some(begun) = self.edge.clone() else { return Ok(false) };
        let (started, mut edge) = (self.case.clock.monotonic(), begun.clone());
        if edge.size() > head.size {
            // Rebuilt under a larger head that is not shown any more; this one is judged by our own hashes then.
            return Ok(false);
        }
        let case = Arc::clone(&self.case);
        while edge.size() < head.size {
            if self.shutdown.is_asked() || case.is_misbehaving() {
                self.commit(&edge, true)?;
                return Ok(false);
            }
            let wanted = Wanted {
                sources: &case.sources,
                head,
                compare_tiles: case.followed.compare_tiles,
                keep_bytes: if case.feed.is_wanted() { FEED_BYTES_MAX } else { 0 },
            };
            let span = read_span(&wanted, span_from(edge.next_bundle(), head.size));
            let (verified, complete) = (span.verified, span.stopped.is_none());
            self.take(span, &mut edge)?;
            if verified {
                // Every bundle of it was held against the signed tree.
                self.edge = Some(edge.clone());
                case.learn(|facts| facts.reached = edge.size().get());
                self.commit(&edge, false)?;
            }
            self.set_pace(started, begun.size(), edge.size(), head.size);
            if !complete {
                return Ok(false);
            }
        }
        if edge.head() == head {
            self.edge = Some(edge);
            return Ok(true);
        }
        self.damages.push(Damage::Root(head.size));
        self.edge = Some(begun);
        Ok(false)
    }

    /// Appends what was read, and writes its hashes down.
    fn take(&mut self, span: Span, edge: &mut Edge) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        let failed =
            |error| CaseError::Io(case.folder.hashes(&case.followed.origin).display().to_string(), error);
        let first = span.bundles.first().map_or(0, |hashed| hashed.bundle.index() * 256);
        let (mut leaves, mut completed): (Vec<_>, Vec<Completed>) = (Vec::new(), Vec::new());
        let mut broken = None;
        for Hashed { bundle, leaves: these, bytes } in span.bundles {
            if let Err(error) = edge.append(&these, |one| completed.push(one)) {
                broken = Some(Damage::Changed(error.0));
                break;
            }
            leaves.extend_from_slice(&these);
            if span.verified && case.feed.is_wanted() {
                let end = bundle.index() * 256 + these.len() as u64;
                match bytes {
                    Some(bytes) => case.feed.put(Batch::new(bundle.index(), bytes, these)),
                    None => case.feed.advance(end),
                }
            }
        }
        case.archive.write(0, first, &leaves).map_err(failed)?;
        let mut run = completed.as_slice();
        while let Some(one) = run.first() {
            // Neighbours of one level are written together.
            let alike = |at: &usize| run[*at].level == one.level && run[*at].index == one.index + *at as u64;
            let count = (1..run.len()).take_while(alike).count() + 1;
            let hashes: Vec<_> = run[..count].iter().map(|one| one.hash).collect();
            case.archive.write(one.level, one.index, &hashes).map_err(failed)?;
            run = &run[count..];
        }
        self.damages.extend(span.findings);
        self.damages.extend(broken);
        match span.stopped {
            Some(Failure::Damage(damage)) => self.damages.push(damage),
            Some(Failure::Read(error)) => self.unread = Some(error.to_string()),
            None => (),
        }
        Ok(())
    }

    fn set_pace(&self, started: Duration, begun: TreeSize, reached: TreeSize, target: TreeSize) {
        let seconds = self.case.clock.monotonic().saturating_sub(started).as_secs_f64();
        let (done, left) = (reached.get() - begun.get(), target.get() - reached.get());
        let pace = if left == 0 || done == 0 || seconds <= 0.0 {
            Pace::default()
        } else {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a rate and an estimate, both positive and far from any limit"
            )]
            let rate = (done as f64 / seconds) as u64;
            Pace { entries_per_second: Some(rate), seconds_left: left.checked_div(rate) }
        };
        self.case.set_pace(pace);
    }

    /// Makes progress durable, if it is time.
    fn commit(&mut self, edge: &Edge, now: bool) -> Result<(), CaseError> {
        let time = self.case.clock.monotonic();
        if !now && time.saturating_sub(self.committed_at) < COMMIT_PAUSE {
            return Ok(());
        }
        self.committed_at = time;
        let verified = self.case.verified().map(|known| (known.head(), known.note().to_bytes()));
        self.write_row(edge, verified)
    }

    fn write_row(&self, edge: &Edge, verified: Option<(TreeHead, Vec<u8>)>) -> Result<(), CaseError> {
        let case = &self.case;
        let path = case.folder.hashes(&case.followed.origin);
        case.archive.sync().map_err(CaseError::io(&path))?;
        let grown_at = case.facts().grown_at;
        let row =
            LogRow { verified, reached: edge.size(), peaks: edge.peaks(), start: case.start(), grown_at };
        Ok(case.store.set_log(case.origin(), &row)?)
    }

    /// Step 5. The hashes are durable first, then the database, then the copy of the head beside it.
    fn remember(&mut self, target: VerifiedCheckpoint) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        let (head, note) = (target.head(), target.note().to_bytes());
        let Some(edge) = self.edge.clone() else { return Ok(()) };
        let now = case.now();
        case.learn(|facts| facts.grown_at = Some(now));
        self.write_row(&edge, Some((head, note.clone())))?;
        let path = case.folder.verified(&case.followed.origin);
        case.folder
            .write(&PathBuf::from("logs").join(&case.hash).join("verified"), &note)
            .map_err(CaseError::io(&path))?;
        case.store.settle(case.origin(), head, Standing::Consistent)?;
        case.set_verified(target);
        case.set_pace(Pace::default());
        case.feed.advance(head.size.get());
        tracing::info!(origin = case.origin(), size = head.size.get(), "verified");
        case.settle_receipts()?;
        Ok(case.store.thin_heads(case.origin())?)
    }

    /// Ends a round: settles what waits, raises and clears alarms.
    fn finish(&mut self, shown: &Shown) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        if case.settle_pending()? && shown.largest.is_some() {
            case.clear(FORK, &[])?;
        }
        for damage in &self.damages {
            case.alarm(DAMAGE, &damage.subject(), &damage.to_string())?;
        }
        if self.unread.is_some() || shown.largest.is_none() {
            let unread = self.unread.clone();
            case.learn(|facts| facts.silence = unread.or(facts.silence.take()));
        } else {
            let mut still: Vec<String> = self.damages.iter().map(Damage::subject).collect();
            still.extend(self.recheck()?);
            case.clear(DAMAGE, &still)?;
        }
        let open = case.store.alarms(case.origin())?;
        let blocking = |kind: &str| matches!(kind, DAMAGE | UNSIGNED | FORK | OWN);
        let damage = open.into_iter().find(|alarm| alarm.cleared_at.is_none() && blocking(&alarm.kind));
        case.learn(|facts| facts.damage = damage.map(|alarm| alarm.detail));
        Ok(())
    }

    /// Looks again at objects that were damaged and lie under the verified head; those that still are.
    fn recheck(&self) -> Result<Vec<String>, CaseError> {
        let case = &self.case;
        let Some(verified) = case.verified() else { return Ok(Vec::new()) };
        let mut still = Vec::new();
        let open = case.store.alarms(case.origin())?;
        let open = open.iter().filter(|alarm| alarm.cleared_at.is_none() && alarm.kind == DAMAGE);
        for (alarm, at) in open.zip(0..) {
            let Ok(path) = alarm.subject.parse::<TilePath>() else { continue };
            if path.index() * 256 + u64::from(path.width()) > verified.head().size.get() {
                continue;
            }
            if at >= RECHECKS_MAX || !self.is_right(path) {
                still.push(alarm.subject.clone());
            }
        }
        Ok(still)
    }

    /// Whether the first source serves an object as the verified tree has it.
    fn is_right(&self, path: TilePath) -> bool {
        let tile = match path {
            TilePath::Hashes(tile) => tile,
            TilePath::Entries(bundle) => bundle.tile(),
        };
        let own = self.case.own_tiles();
        let Ok(mut expected) = own.tiles(&[tile]) else { return false };
        let read = self.case.sources.first().map(|source| source.read(&[path]));
        let (Some(Some(expected)), Some(Ok(mut read))) = (expected.pop(), read) else { return false };
        let Some(Some(bytes)) = read.pop() else { return false };
        match path {
            TilePath::Hashes(_) => bytes == expected,
            TilePath::Entries(bundle) => {
                let entries = tlog::bundle::entries(&bytes, bundle.width());
                entries.is_ok_and(|entries| {
                    let leaves = entries.iter().map(|entry| tlog::hash::leaf_hash(entry));
                    leaves.eq(expected
                        .as_chunks::<32>()
                        .0
                        .iter()
                        .map(|one| tlog::hash::Hash::from_bytes(*one)))
                })
            }
        }
    }

    /// The edge to start from: nothing, or the right edge of the pinned checkpoint.
    fn begin(&mut self) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        let Some(pinned) = case.followed.pinned.clone() else {
            self.edge = Some(Edge::default());
            return Ok(());
        };
        case.see(&pinned, "pinned")?;
        let head = pinned.head();
        let nodes = consistency_nodes(head.size, head.size).unwrap_or_default();
        let tiles = match prove_nodes(&AnyOf(&case.sources), head, &nodes) {
            Ok(tiles) => tiles,
            Err(Unproved::Read(error)) => {
                self.unread = Some(error.to_string());
                return Ok(());
            }
            Err(error) => {
                self.damages.push(Damage::Tiles(head.size, error.to_string()));
                return Ok(());
            }
        };
        let peaks: Option<Vec<_>> = nodes.iter().map(|node| tiles.node(*node)).collect();
        let peaks = peaks.unwrap_or_default();
        let (Ok(edge), Ok(_)) =
            (Edge::from_peaks(head.size, &peaks), Frontier::from_peaks(head.size, peaks.clone()))
        else {
            return Ok(());
        };
        let path = case.folder.hashes(&case.followed.origin);
        for tile in partial_tiles(head.size) {
            let hashes = tiles.hashes(tile).unwrap_or_default();
            case.archive.write(tile.level(), tile.index() * 256, hashes).map_err(CaseError::io(&path))?;
        }
        case.set_start(head.size);
        case.feed.advance(head.size.get());
        self.edge = Some(edge);
        self.remember(pinned)
    }

    /// Our own hashes are damaged: everything is read again, and must lead to the heads that were verified before.
    fn start_again(&mut self) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        if let Some(verified) = case.verified() {
            let note = verified.note().to_bytes();
            case.store.reopen(case.origin(), verified.head(), &note, case.now())?;
        }
        let detail = "our own copy of the hashes was damaged; everything is being read and verified again";
        case.alarm(OWN, "hashes", detail)?;
        let path = case.folder.hashes(&case.followed.origin);
        case.archive.clear().map_err(CaseError::io(&path))?;
        case.forget_verified();
        case.store.forget_log(case.origin())?;
        case.set_start(TreeSize::ZERO);
        self.edge = None;
        case.clear(OWN, &[])
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

    /// The sources, for those who read with it.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.case.sources
    }
}

//! One log as this monitor knows it: what all who deal with it share.
//!
//! The follower ([`crate::follow`]) is the only one that moves the verified head. Everybody may bring a signed head
//! ([`Case::see`], in [`crate::judge`]) or a receipt ([`crate::receipt`]); both only read what is verified.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::clock::Clock;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::TreeSize;
use tlog::note::Note;

use crate::archive::Archive;
use crate::config::Followed;
use crate::crosscheck::Other;
use crate::feed::Feed;
use crate::folder::{Folder, origin_hash};
use crate::report;
use crate::source::{Network, Source};
use crate::store::{Alarm, RECALLED, Store, StoreError};
use crate::verdict::{Facts, Patience, State, Verdict, judge};

/// How often it is remembered at most that all of a log was read.
const READ_MILLIS: u64 = 10_000;

/// Why a monitor cannot go on: what it finds could not be remembered. It ends, and says so.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error("{0}: {1}; is the disk full?")]
    Io(String, io::Error),
}

impl CaseError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |error| Self::Io(path.display().to_string(), error)
    }
}

/// How fast a backlog is worked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Entries a second, while there is a backlog.
    pub entries_per_second: Option<u64>,
    /// Seconds until it is worked off, at this rate.
    pub seconds_left: Option<u64>,
}

impl Pace {
    /// The pace at which so many were done in this time, and the time that those which are left take.
    #[must_use]
    pub fn of(done: u64, left: u64, spent: Duration) -> Self {
        let seconds = spent.as_secs_f64();
        if left == 0 || done == 0 || seconds <= 0.0 {
            return Self::default();
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate and an estimate, both positive and far from any limit"
        )]
        let rate = (done as f64 / seconds) as u64;
        Self { entries_per_second: Some(rate), seconds_left: left.checked_div(rate) }
    }
}

/// What is known of a log now.
#[derive(Clone, Debug, Default)]
struct Known {
    facts: Facts,
    verified: Option<VerifiedCheckpoint>,
    start: Option<TreeSize>,
    pace: Pace,
    /// When the statements that are judged now began to be, and at which: while they are a backlog.
    judging: Option<(Duration, u64)>,
    /// What the others said last.
    others: Vec<Other>,
    /// What was found damaged beside the database at the start, in words.
    repaired: Vec<String>,
}

/// One log.
pub struct Case {
    /// How it is followed.
    pub followed: Followed,
    /// Where it is read.
    pub sources: Vec<Source>,
    /// The hashes of its verified tree.
    pub archive: Archive,
    /// What must not be forgotten.
    pub store: Arc<Store>,
    /// The monitor's directory.
    pub folder: Folder,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Its verified entries, for consumers.
    pub feed: Feed,
    /// The name of its origin in paths.
    pub hash: String,
    /// Our own hashes turned out to be damaged; the follower makes them anew.
    damaged: AtomicBool,
    /// Whose turn it is to be proved, of the heads that do not fit.
    pub(crate) turn: AtomicUsize,
    /// Held while evidence is kept: its file and its row are of one mind.
    pub(crate) keeping: Mutex<()>,
    /// Written by the follower and by whoever finds evidence; read by everyone.
    known: Mutex<Known>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case").field("origin", &self.followed.origin).finish_non_exhaustive()
    }
}

impl Case {
    /// Opens what is kept of a log.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn open(
        followed: Followed,
        network: &Network,
        folder: &Folder,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CaseError> {
        let hashes = folder.hashes(&followed.origin);
        let archive = Archive::open(&hashes).map_err(CaseError::io(&hashes))?;
        let case = Self {
            sources: followed.sources.iter().map(|source| Source::open(source, network)).collect(),
            archive,
            store,
            folder: folder.clone(),
            clock,
            feed: Feed::default(),
            hash: origin_hash(&followed.origin),
            damaged: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            keeping: Mutex::new(()),
            known: Mutex::new(Known::default()),
            followed,
        };
        case.remember()?;
        Ok(case)
    }

    /// Takes up what the database and the files beside it say.
    fn remember(&self) -> Result<(), CaseError> {
        let row = self.store.log(self.origin())?;
        if let Some(row) = row {
            let verified = row.verified.as_ref().and_then(|(_, note)| self.own_note(note));
            self.feed.advance(row.reached.get());
            let mut known = self.known();
            known.start = Some(row.start);
            known.facts.reached = row.reached.get();
            known.facts.signed = row.reached.get();
            known.facts.grown_at = row.grown_at;
            drop(known);
            if let Some(verified) = verified {
                self.set_verified(verified);
            }
        }
        // What was verified before our database was lost is still signed.
        let recalled = self.recalled()?.map_or(0, TreeSize::get);
        let read_at = self.store.read_at(self.origin())?;
        self.learn(|facts| {
            facts.signed = facts.signed.max(recalled);
            facts.read_at = read_at;
        });
        self.recall_evidence()?;
        self.recall_reports()?;
        self.refresh_damage()
    }

    /// The reports of open alarms are there: an earlier process may have ended between the alarm and its report.
    fn recall_reports(&self) -> Result<(), CaseError> {
        let all = self.store.alarms(self.origin())?;
        for open in all.iter().filter(|alarm| alarm.cleared_at.is_none()) {
            let path = self.folder.root().join(&open.report);
            if !path.exists() {
                let (kind, subject, detail) = (&open.kind, &open.subject, &open.detail);
                let text = report::text(&self.followed.origin, kind, subject, detail, open.first_seen);
                self.folder.write(open.report.as_ref(), &text).map_err(CaseError::io(&path))?;
            }
        }
        Ok(())
    }

    /// The largest head that was verified before our database or our hashes were lost, and that nothing led to since.
    pub(crate) fn recalled(&self) -> Result<Option<TreeSize>, CaseError> {
        let waiting = self.store.pending(self.origin())?;
        Ok(waiting.iter().rev().find(|one| one.source == RECALLED).map(|one| one.head.size))
    }

    /// Lets a head wait that was verified before: everything must lead to it again.
    pub(crate) fn wait_again(&self, verified: &VerifiedCheckpoint) -> Result<(), CaseError> {
        let (head, note) = (verified.head(), verified.note().to_bytes());
        self.store.reopen(self.origin(), head, &note, self.now())?;
        self.learn(|facts| facts.signed = facts.signed.max(head.size.get()));
        Ok(())
    }

    /// A note that we wrote ourselves; it is verified again all the same.
    pub(crate) fn own_note(&self, bytes: &[u8]) -> Option<VerifiedCheckpoint> {
        self.followed.trust.signed(&Note::parse(bytes).ok()?).ok()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.followed.origin.as_str()
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.unix_millis()
    }

    /// The newest head that was verified.
    #[must_use]
    pub fn verified(&self) -> Option<VerifiedCheckpoint> {
        self.known().verified.clone()
    }

    /// Where verification started.
    #[must_use]
    pub fn start(&self) -> TreeSize {
        self.known().start.unwrap_or(TreeSize::ZERO)
    }

    /// What is known, for somebody who asks now.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.known().facts.clone()
    }

    /// How fast a backlog is worked off.
    ///
    /// Entries come first; where all are verified, statements are counted that are to be judged.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let known = self.known();
        let (Some((since, begun)), Some(judged)) = (known.judging, known.facts.judged) else {
            return known.pace;
        };
        if known.pace != Pace::default() || known.facts.signed > known.facts.verified {
            return known.pace;
        }
        let spent = self.clock.monotonic().saturating_sub(since);
        Pace::of(judged - begun, known.facts.verified.saturating_sub(judged), spent)
    }

    pub(crate) fn patience(&self) -> Patience {
        let followed = &self.followed;
        Patience {
            poll: followed.poll,
            stale_after: followed.stale_after,
            unchanged_max: followed.unchanged_max,
        }
    }

    /// State and reason, now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        judge(&self.facts(), &self.patience(), self.now())
    }

    /// What the others said last.
    #[must_use]
    pub fn others(&self) -> Vec<Other> {
        self.known().others.clone()
    }

    pub(crate) fn set_others(&self, others: Vec<Other>) {
        self.known().others = others;
    }

    /// What was found damaged beside the database at the start, in words.
    #[must_use]
    pub fn repaired(&self) -> Vec<String> {
        self.known().repaired.clone()
    }

    pub(crate) fn note_repair(&self, what: String) {
        self.known().repaired.push(what);
    }

    /// Nothing was left unread, now.
    pub(crate) fn note_read(&self) -> Result<(), CaseError> {
        let now = self.now();
        self.learn(|facts| {
            facts.read_at = Some(now);
            facts.unread = None;
        });
        let known = self.store.read_at(self.origin())?;
        if known.is_none_or(|known| now.abs_diff(known) >= READ_MILLIS) {
            self.store.set_read_at(self.origin(), now)?;
        }
        Ok(())
    }

    /// Whether the log was caught; its head does not move any more.
    #[must_use]
    pub fn is_misbehaving(&self) -> bool {
        self.verdict().state == State::Misbehaving
    }

    /// Changes what is known. No caller waits for anything while it does.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.known().facts);
    }

    pub(crate) fn set_pace(&self, pace: Pace) {
        self.known().pace = pace;
    }

    /// So many statements are judged.
    pub(crate) fn set_judged(&self, judged: u64) {
        let now = self.clock.monotonic();
        let mut known = self.known();
        known.facts.judged = Some(judged);
        let goes_on = known.judging.is_some_and(|(_, begun)| begun <= judged);
        if judged >= known.facts.verified {
            known.judging = None;
        } else if !goes_on {
            known.judging = Some((now, judged));
        }
    }

    pub(crate) fn set_start(&self, start: TreeSize) {
        self.known().start = Some(start);
    }

    pub(crate) fn set_verified(&self, checkpoint: VerifiedCheckpoint) {
        let time = self.followed.trust.time_of(&checkpoint);
        let size = checkpoint.head().size.get();
        let mut known = self.known();
        known.facts.verified = size;
        known.facts.has_verified = true;
        known.facts.reached = known.facts.reached.max(size);
        known.facts.signed = known.facts.signed.max(size);
        known.facts.head_time = time.or(known.facts.head_time);
        known.verified = Some(checkpoint);
    }

    /// Forgets that anything is verified: our own hashes are damaged.
    pub(crate) fn forget_verified(&self) {
        let mut known = self.known();
        known.facts.has_verified = false;
        known.facts.verified = 0;
        known.facts.reached = 0;
        known.verified = None;
    }

    /// Our own hashes do not belong to the tree that we verified.
    pub(crate) fn mark_damaged(&self) {
        self.damaged.store(true, Ordering::Release);
    }

    pub(crate) fn take_damaged(&self) -> bool {
        self.damaged.swap(false, Ordering::AcqRel)
    }

    /// Raises an alarm, with a report in a file of its own.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn alarm(&self, kind: &str, subject: &str, detail: &str) -> Result<(), CaseError> {
        let now = self.now();
        let file = report::file_name(self.origin(), kind, subject, now);
        let name = file.to_string_lossy();
        let alarm = Alarm { origin: self.origin(), kind, subject, detail, report: &name };
        if self.store.raise(&alarm, now)? {
            tracing::warn!(origin = self.origin(), kind, subject, detail, "alarm");
            let path = self.folder.root().join(&file);
            let text = report::text(&self.followed.origin, kind, subject, detail, now);
            self.folder.write(&file, &text).map_err(CaseError::io(&path))?;
        }
        Ok(())
    }

    /// Takes what is damaged from the alarms that are open.
    pub(crate) fn refresh_damage(&self) -> Result<(), CaseError> {
        let blocking = |kind: &str| {
            [
                report::DAMAGE,
                report::UNSIGNED,
                report::FORK,
                report::HEADS,
                report::OWN,
                report::INADMISSIBLE,
                report::GENESIS,
                report::ERASED,
                report::STILL_SHOWN,
                report::ALTERED,
            ]
            .contains(&kind)
        };
        let open = self.store.alarms(self.origin())?;
        let damage = open.into_iter().find(|alarm| alarm.cleared_at.is_none() && blocking(&alarm.kind));
        self.learn(|facts| facts.damage = damage.map(|alarm| alarm.detail));
        Ok(())
    }

    /// Clears the alarms of a sort that are about one of these.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn clear_about(&self, kind: &str, subjects: &[String]) -> Result<(), CaseError> {
        let open = self.store.alarms(self.origin())?.into_iter();
        let open = open.filter(|alarm| alarm.cleared_at.is_none() && alarm.kind == kind);
        let (about, others): (Vec<String>, Vec<String>) =
            open.map(|alarm| alarm.subject).partition(|subject| subjects.contains(subject));
        if about.is_empty() { Ok(()) } else { self.clear(kind, &others) }
    }

    /// Clears the alarms of a sort, except those about `but`.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn clear(&self, kind: &str, but: &[String]) -> Result<(), CaseError> {
        Ok(self.store.clear(self.origin(), kind, but, self.now())?)
    }
}

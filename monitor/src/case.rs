//! One log as this monitor knows it: what all who deal with it share.
//!
//! The follower ([`crate::follow`]) is the only one that moves the verified head. Everybody may bring a signed head
//! ([`Case::see`], in [`crate::judge`]) or a receipt ([`crate::receipt`]); both only read what is verified.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use daemon::clock::Clock;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::TreeSize;
use tlog::note::Note;
use tlog::tile::TilePath;

use crate::archive::Archive;
use crate::config::Followed;
use crate::crosscheck::Other;
use crate::feed::Feed;
use crate::folder::{Folder, origin_hash};
use crate::report;
use crate::reread::Unread;
use crate::source::{Network, Source};
use crate::store::{Alarm, RECALLED, Store, StoreError};
use crate::verdict::{Facts, Patience, SILENCE_MILLIS_MIN, State, Verdict, judge};

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

/// Sorts of alarm that make the state `damaged` while one is open.
const BLOCKING: [&str; 11] = [
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
    report::UNANSWERED,
];

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
    /// Bundles that were verified and are not answered now, and since when. Written by whoever reads them again.
    unread: Mutex<BTreeMap<TilePath, Unread>>,
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
            unread: Mutex::default(),
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
        self.write_missing_reports()?;
        self.recall_evidence()?;
        self.refresh_damage()
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

    pub(crate) fn unread(&self) -> MutexGuard<'_, BTreeMap<TilePath, Unread>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Whether the log answers: its last look was not long ago, and gave a signed checkpoint.
    #[must_use]
    pub(crate) fn is_heard(&self) -> bool {
        let facts = self.facts();
        let longest = u64::try_from((self.followed.poll * 3).as_millis()).unwrap_or(u64::MAX);
        let lately = |heard: u64| self.now().saturating_sub(heard) <= longest.max(SILENCE_MILLIS_MIN);
        facts.silence.is_none() && facts.heard_at.is_some_and(lately)
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
        self.alarm_all(kind, &[(subject.to_owned(), detail.to_owned())])
    }

    /// Raises an alarm about each of these, in one transaction.
    pub(crate) fn alarm_all(&self, kind: &str, about: &[(String, String)]) -> Result<(), CaseError> {
        let now = self.now();
        let named = about.iter().map(|(subject, _)| report::file_name(self.origin(), kind, subject, now));
        let files: Vec<PathBuf> = named.collect();
        let names: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
        let alarms: Vec<Alarm<'_>> = about
            .iter()
            .zip(&names)
            .map(|((subject, detail), report)| Alarm { origin: self.origin(), kind, subject, detail, report })
            .collect();
        let new = self.store.raise_all(&alarms, now)?;
        for ((alarm, file), _) in alarms.iter().zip(&files).zip(new).filter(|(_, new)| *new) {
            tracing::warn!(
                origin = alarm.origin,
                kind,
                subject = alarm.subject,
                detail = alarm.detail,
                "alarm"
            );
            self.write_report(file, (kind, alarm.subject, alarm.detail), now)?;
        }
        Ok(())
    }

    /// Remembers that there is a cause for an alarm about each of these, and tells nobody.
    pub(crate) fn remember_all(&self, kind: &str, about: &[(String, String)]) -> Result<(), CaseError> {
        let origin = self.origin();
        let alarms: Vec<Alarm<'_>> = about
            .iter()
            .map(|(subject, detail)| Alarm { origin, kind, subject, detail, report: "" })
            .collect();
        self.store.raise_all(&alarms, self.now())?;
        Ok(())
    }

    fn write_report(&self, file: &Path, about: (&str, &str, &str), at: u64) -> Result<(), CaseError> {
        let path = self.folder.root().join(file);
        let text = report::text(&self.followed.origin, about.0, about.1, about.2, at);
        self.folder.write(file, &text).map_err(CaseError::io(&path))?;
        Ok(())
    }

    /// Writes the reports of open alarms that are not there: a crash may have come between the two.
    fn write_missing_reports(&self) -> Result<(), CaseError> {
        for alarm in self.store.open_alarms(self.origin())? {
            let file = Path::new(&alarm.report);
            if !self.folder.root().join(file).exists() {
                self.write_report(file, (&alarm.kind, &alarm.subject, &alarm.detail), alarm.first_seen)?;
            }
        }
        Ok(())
    }

    /// Takes what is damaged from the alarms that are open.
    pub(crate) fn refresh_damage(&self) -> Result<(), CaseError> {
        let damage = self.store.newest_open(self.origin(), &BLOCKING)?;
        self.learn(|facts| facts.damage = damage);
        Ok(())
    }

    /// Clears the alarms of a sort that are about one of these.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn clear_about(&self, kind: &str, subjects: &[String]) -> Result<(), CaseError> {
        Ok(self.store.clear_about(self.origin(), kind, subjects, self.now())?)
    }

    /// Clears the alarms of a sort, except those about `but`.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn clear(&self, kind: &str, but: &[String]) -> Result<(), CaseError> {
        Ok(self.store.clear(self.origin(), kind, but, self.now())?)
    }
}

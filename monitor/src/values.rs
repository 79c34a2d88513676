//! What is outside the tree: attachments that records name, values that agencies show, and that what a tombstone erased
//! is gone.
//!
//! For logs of records that are read by URL. Everything is asked for at a settled pace and up to a settled size; what a
//! log does not answer is not held against it. What is wrong is an alarm ([`judge`]): nobody has signed that a file will be
//! there tomorrow. Values are compared and dropped; of what was shown the name is kept, never the value (`kept`).
//!
//! Versions that are new come first, then those that were in trouble, then all others again, in order or at random.

pub mod judge;
mod kept;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Random;
use daemon::config::ByteSize;
use daemon::fetch::{FetchError, Fetched};
use daemon::shutdown::Shutdown;
use http::{HeaderMap, StatusCode};
use record::erasable::{AttachmentOpening, Erasures, Place};
use record::statement::{Attachment, AttachmentContent, Body, Content, Record, Statement};
use serde::Deserialize;
use tlog::b64;
use tlog::hash::{Hash, sha256};

use crate::case::{Case, CaseError};
use crate::replay::{Outside, Replay};
use crate::report::{ALTERED, ERASED, STILL_SHOWN};
use crate::source::Network;
use judge::{Answer, Finding, Version, judge_attachment};
use kept::Kept;

/// The header in which an erasable attachment's opening comes.
const OPENING_HEADER: &str = "daybook-attachment";
/// The longest answer about the values of a version.
const DISCLOSURES_BYTES_MAX: usize = 16 << 20;
/// The longest answer that says that something is not there.
const REFUSAL_BYTES_MAX: usize = 1 << 20;
/// Pause before a version in trouble is looked at again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);
/// Pause when there is nothing to do.
const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// The fastest pace that can be set, in requests a minute.
const PACE_MAX: u32 = 60_000;

/// `values` of a log.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which versions are looked at.
    pub check: Check,
    /// The most requests in a minute.
    pub per_minute: u32,
    /// Attachments that are longer are not fetched.
    pub bytes_max: ByteSize,
}

/// Which versions are looked at.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Each when it is new, and then all of them again, round after round.
    All,
    /// Some, at random.
    Sample,
    /// None.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self { check: Check::All, per_minute: 60, bytes_max: ByteSize(64 << 20) }
    }
}

impl Settings {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let good = (1..=PACE_MAX).contains(&self.per_minute);
        (!good).then(|| format!("`values.per_minute` is a number from 1 to {PACE_MAX}"))
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(60) / self.per_minute
    }
}

/// The checks of one log. Owned by one thread.
pub struct Values {
    case: Arc<Case>,
    base: String,
    network: Network,
    random: Arc<dyn Random>,
    outside: Outside,
    kept: Kept,
    /// A request of this step got no answer.
    unanswered: Cell<bool>,
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Values").field("case", &self.case).finish_non_exhaustive()
    }
}

/// A version that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Where it stands.
    pub index: u64,
    /// How many requests it took.
    pub requests: u32,
    /// Whether each was answered, rightly or not.
    pub answered: bool,
}

/// What one look at a version came to.
#[derive(Default)]
struct Seen {
    requests: u32,
    findings: Vec<Finding>,
    /// What alarms could be about, and is known now.
    settled: Vec<String>,
}

/// A version that is looked at.
struct Picked {
    index: u64,
    leaf: Hash,
    statement: Statement,
}

impl Values {
    /// The checks of a log; `None` where there is nothing to check, or nowhere to ask. Its replay must have been opened.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn open(case: Arc<Case>, random: Arc<dyn Random>) -> Result<Option<Self>, CaseError> {
        if case.followed.genesis.is_none() || case.followed.values.check == Check::Off {
            return Ok(None);
        }
        let Some((base, network)) = case.sources.iter().find_map(|source| {
            let (base, network) = source.remote()?;
            Some((base.to_owned(), network.clone()))
        }) else {
            return Ok(None);
        };
        let kept = Kept::open(&Self::path(&case), case.now())?;
        let outside = Replay::outside(&case)?;
        Ok(Some(Self { case, base, network, random, outside, kept, unanswered: Cell::new(false) }))
    }

    fn path(case: &Case) -> PathBuf {
        case.folder.log(&case.followed.origin).join("values.sqlite")
    }

    /// Looks at the next version; `None` if there is nothing to look at.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn step(&mut self) -> Result<Option<Looked>, CaseError> {
        let Some(index) = self.pick()? else { return Ok(None) };
        self.unanswered.set(false);
        let requests = match self.read(index) {
            Some(picked) => self.look(&picked)?,
            None => {
                self.unanswered.set(true);
                1
            }
        };
        Ok(Some(Looked { index, requests, answered: !self.unanswered.get() }))
    }

    /// Which version is next.
    fn pick(&mut self) -> Result<Option<u64>, CaseError> {
        let mut mark = self.kept.mark()?;
        let verified = self.case.verified().map_or(0, |verified| verified.head().size.get());
        let known = |index: &u64| *index < verified;
        let pause = u64::try_from(TROUBLE_PAUSE.as_millis()).unwrap_or(u64::MAX);
        if let Some(index) = self.kept.trouble(self.case.now().saturating_sub(pause))? {
            self.kept.set_trouble(index, Some(self.case.now()))?;
            return Ok(Some(index));
        }
        if self.case.followed.values.check == Check::Sample {
            return self.pick_at_random(verified);
        }
        if let Some(index) = self.outside.from(mark.fresh)?.filter(known) {
            mark.fresh = index + 1;
            self.kept.set_mark(mark)?;
            return Ok(Some(index));
        }
        let next = match self.outside.from(mark.again)?.filter(known) {
            Some(index) => Some(index),
            None => self.outside.from(0)?.filter(known),
        };
        if let Some(index) = next {
            mark.again = index + 1;
            self.kept.set_mark(mark)?;
        }
        Ok(next)
    }

    fn pick_at_random(&self, verified: u64) -> Result<Option<u64>, CaseError> {
        if verified == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        let place = u64::from_le_bytes(bytes) % verified;
        let known = |index: &u64| *index < verified;
        match self.outside.from(place)?.filter(known) {
            Some(index) => Ok(Some(index)),
            None => Ok(self.outside.from(0)?.filter(known)),
        }
    }

    /// The version's statement. That it cannot be read now is nobody's fault here: whether the log serves its entries is
    /// looked at elsewhere.
    fn read(&self, index: u64) -> Option<Picked> {
        let batch = self.case.reread(&(index..index + 1)).ok()?;
        let entry = batch.entries(index).next()?;
        let statement = Statement::parse(entry.bytes).ok()?;
        Some(Picked { index, leaf: entry.leaf, statement })
    }

    /// Looks at a version, and once more before it says that something is gone: a tombstone may have come between.
    fn look(&mut self, picked: &Picked) -> Result<u32, CaseError> {
        let Body::Record(record) = picked.statement.body() else { return Ok(0) };
        let Some(content) = &record.content else { return Ok(0) };
        let mut seen = self.look_once(picked, record, content)?;
        if seen.findings.iter().any(|finding| finding.kind == ERASED) {
            let requests = seen.requests;
            seen = self.look_once(picked, record, content)?;
            seen.requests += requests;
        }
        self.tell(picked.index, &seen.findings, &seen.settled)?;
        Ok(seen.requests)
    }

    fn look_once(&self, picked: &Picked, record: &Record, content: &Content) -> Result<Seen, CaseError> {
        // Read before anything is asked: what the log erases meanwhile is not judged yet.
        let judged = self.outside.judged()?;
        let mut seen = Seen::default();
        for attachment in &content.attachments {
            seen.requests += 1;
            let path = blob_path(attachment);
            if let Some(finding) = self.look_at_attachment(record, attachment, judged, &path)? {
                seen.findings.extend(finding);
                seen.settled.push(path);
            }
        }
        if !content.erasable.is_empty() || content.sealed.is_some() {
            seen.requests += 1;
            self.look_at_values(picked, (record, content), judged, &mut seen)?;
        }
        Ok(seen)
    }

    /// `None` if nothing is known, else what is wrong.
    fn look_at_attachment(
        &self,
        record: &Record,
        attachment: &Attachment,
        judged: u64,
        path: &str,
    ) -> Result<Option<Option<Finding>>, CaseError> {
        if attachment.bytes > self.case.followed.values.bytes_max.0 {
            return Ok(None);
        }
        let erased = match attachment.content {
            AttachmentContent::Public(_) => false,
            AttachmentContent::Erasable(commitment) => self.outside.is_blob_erased(&commitment)?,
        };
        // A short file must not make a refusal too long to be read.
        let bytes_max = usize::try_from(attachment.bytes).unwrap_or(usize::MAX).max(REFUSAL_BYTES_MAX);
        let fetched = self.get(path, bytes_max);
        if let (Err(FetchError::TooLarge { .. }), false) = (&fetched, erased) {
            let detail = format!("the attachment {path} has more bytes than its record says");
            return Ok(Some(Some(Finding { kind: ALTERED, subject: path.to_owned(), detail })));
        }
        let Some(fetched) = fetched.ok() else { return Ok(None) };
        let Some(answer) = answer(&fetched) else { return Ok(None) };
        let expected = |body: &[u8]| what_is_wrong(record, attachment, body, &fetched.headers);
        Ok(Some(judge_attachment(path, &answer, erased, judged, expected)))
    }

    fn look_at_values(
        &self,
        picked: &Picked,
        (record, content): (&Record, &Content),
        judged: u64,
        seen: &mut Seen,
    ) -> Result<(), CaseError> {
        let erasures = self.outside.erasures(&picked.leaf)?;
        let before = self.kept.shown(&picked.leaf)?;
        let version = Version { leaf: &picked.leaf, record, content, erasures: &erasures, judged };
        let Ok(fetched) = self.get(&format!("records/{}/disclosures", picked.leaf), DISCLOSURES_BYTES_MAX)
        else {
            return Ok(());
        };
        let Some(answer) = answer(&fetched) else { return Ok(()) };
        let Some(shown) = version.judge(&answer, &before) else { return Ok(()) };
        self.kept.add_shown(&picked.leaf, shown.items.iter())?;
        seen.settled.extend(before.iter().chain(&shown.items).map(|item| version.subject(item)));
        let all = Erasures::default().remaining(content);
        seen.settled.extend(all.iter().map(|item| version.subject(&item.to_string())));
        seen.settled.extend(["/erasable", "/sealed"].map(|room| version.subject(room)));
        seen.findings.extend(shown.findings);
        Ok(())
    }

    fn get(&self, path: &str, bytes_max: usize) -> Result<Fetched, FetchError> {
        let url = format!("{}/{path}", self.base);
        let fetched = self.network.runtime.block_on(self.network.fetcher.get(&url, bytes_max));
        if fetched.is_err() {
            self.unanswered.set(true);
        }
        fetched
    }

    /// Raises alarms, and clears those about what is right again.
    fn tell(&self, index: u64, findings: &[Finding], settled: &[String]) -> Result<(), CaseError> {
        let case = &self.case;
        for finding in findings {
            let detail = format!("{} (entry {index})", finding.detail);
            case.alarm(finding.kind, &finding.subject, &detail)?;
        }
        for kind in [ERASED, STILL_SHOWN, ALTERED] {
            let wrong =
                |subject: &String| findings.iter().any(|one| one.kind == kind && one.subject == *subject);
            let right: Vec<String> = settled.iter().filter(|subject| !wrong(subject)).cloned().collect();
            case.clear_about(kind, &right)?;
        }
        if findings.is_empty() {
            self.kept.set_trouble(index, None)?;
        } else {
            self.kept.set_trouble(index, Some(case.now()))?;
        }
        case.refresh_damage()
    }

    /// Looks at once, with at most a minute's requests, at no version twice, and not beyond an outage.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn once(&mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        let mut left = self.case.followed.values.per_minute;
        let mut seen = BTreeSet::new();
        while left > 0 && !shutdown.is_asked() {
            let Some(looked) = self.step()?.filter(|looked| seen.insert(looked.index)) else { break };
            if !looked.answered {
                break;
            }
            left = left.saturating_sub(looked.requests.max(1));
        }
        Ok(())
    }

    /// Looks, at its pace, until the end is asked for.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn run(mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        let pause = self.case.followed.values.pause();
        while !shutdown.is_asked() {
            let mut wait = match self.step()? {
                Some(looked) => pause * looked.requests.max(1),
                None => IDLE_PAUSE,
            };
            while !wait.is_zero() && !shutdown.is_asked() {
                let short = wait.min(IDLE_PAUSE);
                std::thread::sleep(short);
                wait -= short;
            }
        }
        Ok(())
    }
}

/// An answer that counts; everything else is an outage.
fn answer(fetched: &Fetched) -> Option<Answer<'_>> {
    match fetched.status {
        StatusCode::OK => Some(Answer::Here(&fetched.body)),
        StatusCode::GONE => Some(Answer::Erased(&fetched.body)),
        StatusCode::NOT_FOUND => Some(Answer::NotThere),
        _ => None,
    }
}

fn blob_path(attachment: &Attachment) -> String {
    match attachment.content {
        AttachmentContent::Public(name) | AttachmentContent::Erasable(name) => format!("blobs/{name}"),
    }
}

/// What is wrong with an attachment's bytes, if anything.
fn what_is_wrong(
    record: &Record,
    attachment: &Attachment,
    body: &[u8],
    headers: &HeaderMap,
) -> Option<String> {
    if body.len() as u64 != attachment.bytes {
        return Some(format!("it has {} bytes, and {} were named", body.len(), attachment.bytes));
    }
    let expected = match attachment.content {
        AttachmentContent::Public(expected) => expected,
        AttachmentContent::Erasable(_) => match opening_of(headers) {
            Some(opening) if opening.place == Place::of(record) && opening.attachment() == *attachment => {
                opening.sha256
            }
            Some(_) => return Some("what comes with it opens another commitment".to_owned()),
            None => return Some("it comes without what opens its commitment".to_owned()),
        },
    };
    let found = sha256(body);
    (found != expected).then(|| format!("its SHA-256 is {found}"))
}

/// What opens the commitment to an erasable attachment, as it comes with it.
fn opening_of(headers: &HeaderMap) -> Option<AttachmentOpening> {
    let bytes = b64::decode(headers.get(OPENING_HEADER)?.to_str().ok()?)?;
    AttachmentOpening::parse(std::str::from_utf8(&bytes).ok()?).ok()
}

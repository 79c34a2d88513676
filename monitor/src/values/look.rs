//! A look at one version: what it names is asked for, and what comes of it is told.

use daemon::fetch::{FetchError, Fetched};
use http::{HeaderMap, StatusCode};
use record::erasable::{AttachmentOpening, Erasures, Place};
use record::statement::{Attachment, AttachmentContent, Body, Content, Record, Statement};
use tlog::b64;
use tlog::hash::{Hash, sha256};

use super::Values;
use super::judge::{Answer, Finding, Said, Version, judge_attachment};
use crate::case::CaseError;
use crate::report::{ALTERED, ERASED, STILL_SHOWN, UNANSWERED};
use crate::reread::RereadError;

/// The header in which an erasable attachment's opening comes.
const OPENING_HEADER: &str = "daybook-attachment";
/// The longest answer about the values of a version.
const DISCLOSURES_BYTES_MAX: usize = 16 << 20;
/// The longest answer that says that something is not there.
const REFUSAL_BYTES_MAX: usize = 1 << 20;
/// Of the time between two looks at most this part of the log's `unanswered_max` counts: a monitor that is seldom at work
/// has not seen what was between.
const SILENCE_PARTS: u64 = 3;
/// How far judging may be behind, in entries, before it is no wonder that a tombstone is not known.
const JUDGED_LAG_MAX: u64 = 16_384;
/// Why something that is gone is not settled.
const NO_TOMBSTONE: &str = "it names a tombstone that is not there";

/// What one look at a version came to.
#[derive(Default)]
struct Seen {
    requests: u32,
    findings: Vec<Finding>,
    /// What alarms could be about, and is known now.
    settled: Vec<String>,
    /// What was answered in a way that says something, or need not be.
    answered: Vec<String>,
    /// What was not, and why.
    unanswered: Vec<(String, String)>,
}

impl Seen {
    fn settle(&mut self, path: String) {
        self.answered.push(path.clone());
        self.settled.push(path);
    }
}

/// A version that is looked at.
pub(super) struct Picked {
    index: u64,
    leaf: Hash,
    statement: Statement,
}

impl Values {
    /// The version's statement; `None` if it cannot be read now. Whether the log serves its entries is told where they
    /// are read.
    pub(super) fn read(&self, index: u64) -> Result<Option<Picked>, CaseError> {
        let batch = match self.case.reread(&(index..index + 1)) {
            Ok(batch) => batch,
            Err(RereadError::Forgotten(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let Some(entry) = batch.entries(index).next() else { return Ok(None) };
        let Ok(statement) = Statement::parse(entry.bytes) else { return Ok(None) };
        Ok(Some(Picked { index, leaf: entry.leaf, statement }))
    }

    /// Looks at a version, and once more before it says that something is gone: a tombstone may have come between.
    pub(super) fn look(&mut self, picked: &Picked) -> Result<u32, CaseError> {
        let Body::Record(record) = picked.statement.body() else { return Ok(0) };
        let Some(content) = &record.content else { return Ok(0) };
        let mut seen = self.look_once(picked, record, content)?;
        if seen.findings.iter().any(|finding| finding.kind == ERASED) {
            let requests = seen.requests;
            seen = self.look_once(picked, record, content)?;
            seen.requests += requests;
        }
        self.note_silence(&mut seen)?;
        self.tell(picked.index, &seen)?;
        Ok(seen.requests)
    }

    fn look_once(&self, picked: &Picked, record: &Record, content: &Content) -> Result<Seen, CaseError> {
        // Read before anything is asked: what the log erases meanwhile is not judged yet.
        let judged = self.outside.judged()?;
        let mut seen = Seen::default();
        for attachment in &content.attachments {
            self.look_at_attachment((picked.index, record), attachment, judged, &mut seen)?;
        }
        if !content.erasable.is_empty() || content.sealed.is_some() {
            seen.requests += 1;
            self.look_at_values(picked, (record, content), judged, &mut seen)?;
        }
        Ok(seen)
    }

    fn look_at_attachment(
        &self,
        (index, record): (u64, &Record),
        attachment: &Attachment,
        judged: u64,
        seen: &mut Seen,
    ) -> Result<(), CaseError> {
        let path = blob_path(attachment);
        let too_long = attachment.bytes > self.case.followed.values.bytes_max.0;
        self.kept.set_unchecked(index, &path, too_long)?;
        if too_long {
            seen.answered.push(path);
            return Ok(());
        }
        seen.requests += 1;
        let erased = match attachment.content {
            AttachmentContent::Public(_) => false,
            AttachmentContent::Erasable(commitment) => self.outside.is_blob_erased(&commitment)?,
        };
        match self.ask_for(record, attachment, (&path, erased), judged) {
            Said::Nothing(_) if erased => seen.answered.push(path),
            Said::Waits if self.has_caught_up(judged) => {
                seen.unanswered.push((path, NO_TOMBSTONE.to_owned()));
            }
            Said::Waits => (),
            Said::Nothing(why) => seen.unanswered.push((path, why)),
            Said::Right => seen.settle(path),
            Said::Wrong(finding) => {
                seen.findings.push(finding);
                seen.settle(path);
            }
        }
        Ok(())
    }

    fn ask_for(
        &self,
        record: &Record,
        attachment: &Attachment,
        (path, erased): (&str, bool),
        judged: u64,
    ) -> Said {
        // A short file must not make a refusal too long to be read.
        let bytes_max = usize::try_from(attachment.bytes).unwrap_or(usize::MAX).max(REFUSAL_BYTES_MAX);
        let fetched = match self.get(path, bytes_max) {
            Ok(fetched) => fetched,
            Err(FetchError::TooLarge { .. }) if !erased => {
                let detail = format!("the attachment {path} has more bytes than its record says");
                return Said::Wrong(Finding { kind: ALTERED, subject: path.to_owned(), detail });
            }
            Err(error) => return Said::Nothing(error.to_string()),
        };
        let Some(answer) = answer(&fetched) else { return Said::Nothing(status(&fetched)) };
        let expected = |body: &[u8]| what_is_wrong(record, attachment, body, &fetched.headers);
        judge_attachment(path, &answer, erased, judged, expected)
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
        let path = format!("records/{}/disclosures", picked.leaf);
        let shown = self.get(&path, DISCLOSURES_BYTES_MAX).map_err(|error| error.to_string());
        let shown = shown.and_then(|fetched| {
            let answer = answer(&fetched).ok_or_else(|| status(&fetched))?;
            version.judge(&answer, &before).ok_or_else(|| "the answer makes no sense".to_owned())
        });
        let shown = match shown {
            Ok(shown) => shown,
            // What was never shown is not missed.
            Err(why) if version.is_owed(&before) => {
                seen.unanswered.push((path, why));
                return Ok(());
            }
            Err(_) => {
                seen.answered.push(path);
                return Ok(());
            }
        };
        self.kept.add_shown(&picked.leaf, shown.items.iter())?;
        let all = Erasures::default().remaining(content);
        let items = before.iter().chain(&shown.items).cloned().chain(all.iter().map(ToString::to_string));
        let items = items.chain(["/erasable", "/sealed"].map(str::to_owned));
        let settled = items.filter(|item| !shown.waits_for(item)).map(|item| version.subject(&item));
        seen.settled.extend(settled);
        if shown.waiting.is_empty() {
            seen.answered.push(path);
        } else if self.has_caught_up(judged) {
            seen.unanswered.push((path, NO_TOMBSTONE.to_owned()));
        }
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

    /// What is not answered for too long by a log that answers otherwise is wrong as well. An outage of all of it says
    /// nothing.
    fn note_silence(&self, seen: &mut Seen) -> Result<(), CaseError> {
        for path in &seen.answered {
            self.kept.end_silence(path)?;
        }
        let (now, most) = (self.case.now(), self.case.followed.unanswered_max);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        for (path, why) in &seen.unanswered {
            if !self.case.is_heard() {
                self.kept.pass_silence(path, now)?;
                continue;
            }
            let lasted = self.kept.add_silence(path, now, most / SILENCE_PARTS)?;
            if lasted >= most {
                let seconds = lasted / 1000;
                let detail = format!(
                    "{path} was not answered for {seconds} s and more, by a log that answers otherwise: {why}"
                );
                seen.findings.push(Finding { kind: UNANSWERED, subject: path.clone(), detail });
            }
        }
        Ok(())
    }

    /// Whether a tombstone that the log names and that is not judged yet is none of a backlog.
    fn has_caught_up(&self, judged: u64) -> bool {
        judged + JUDGED_LAG_MAX >= self.verified()
    }

    /// Raises alarms, and clears those about what is right again.
    fn tell(&self, index: u64, seen: &Seen) -> Result<(), CaseError> {
        let case = &self.case;
        for finding in &seen.findings {
            let detail = format!("{} (entry {index})", finding.detail);
            case.alarm(finding.kind, &finding.subject, &detail)?;
        }
        for kind in [ERASED, STILL_SHOWN, ALTERED] {
            let wrong = |subject: &String| {
                seen.findings.iter().any(|one| one.kind == kind && one.subject == *subject)
            };
            let right: Vec<String> = seen.settled.iter().filter(|subject| !wrong(subject)).cloned().collect();
            case.clear_about(kind, &right)?;
        }
        case.clear_about(UNANSWERED, &seen.answered)?;
        if !seen.findings.is_empty() || (!seen.unanswered.is_empty() && case.is_heard()) {
            self.kept.set_trouble(index, Some(case.now()))?;
        } else if seen.unanswered.is_empty() {
            self.kept.set_trouble(index, None)?;
        }
        self.learn_unchecked()?;
        case.refresh_damage()
    }
}

fn status(fetched: &Fetched) -> String {
    format!("it answers with status {}", fetched.status)
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

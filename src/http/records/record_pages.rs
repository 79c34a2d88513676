//! Pages for people about one record: its latest version, or all of them with what each changed.
//!
//! With a version stands what was said about it later: what of it was erased, and that its agency disowns it because the
//! key that signed it was stolen.

use std::fmt::Write;

use daemon::html::escape;
use daemon::problem::Problem;
use record::diff::{What, diff_versions};
use record::erasable::Erasures;
use record::ids::{AgencyId, RecordKey, RegisterId};
use record::json::Value as Json;
use record::statement::{AttachmentContent, Body, Content, Dispute, EntryRef, Erased, Record, Tombstone};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use super::pages::{record_path, register_path};
use super::query::{Entry, Item, Page, View};
use crate::http::html::{entry_link, link, own, table};
use crate::http::texts::{Language, Texts};
use crate::http::{App, Outcome, error};

/// Disputes of an agency that its records are compared with, the newest; beyond that the agency's own list tells.
const DISPUTES_MAX: usize = 1000;

/// What is said about versions after them.
struct Later {
    disputes: Vec<(LeafIndex, Dispute)>,
}

impl Later {
    fn of(view: &View<'_>, agency: &AgencyId) -> Result<Self, Problem> {
        Ok(Self { disputes: view.disputes(agency, DISPUTES_MAX)? })
    }

    /// That the agency disowns a version.
    fn disowned(&self, item: &Item, texts: &Texts) -> String {
        let signed =
            |dispute: &Dispute| item.statement.signatures().iter().any(|line| line.is_by(&dispute.key));
        let about = |dispute: &Dispute| (dispute.from..dispute.to).contains(&item.index) && signed(dispute);
        let disowning = self.disputes.iter().filter(|(_, dispute)| about(dispute));
        let said = disowning.map(|(index, dispute)| {
            let (entry, reason) = (entry_link(index), own(dispute.reason.as_str()));
            format!("<p><strong>{} {entry}.</strong> {}: {reason}</p>\n", texts.disowned, texts.reason)
        });
        said.collect()
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Text(text) => own(text),
        other => format!("<code dir=\"auto\">{}</code>", escape(&other.to_text())),
    }
}

fn code(text: &str) -> String {
    format!("<code dir=\"auto\">{}</code>", escape(text))
}

fn field_rows(record: &Record) -> Vec<Vec<String>> {
    let Some(content) = &record.content else { return Vec::new() };
    content.public.iter().map(|(name, value)| vec![own(name), shown(value)]).collect()
}

/// How a version differs from the one before it.
fn changes(before: Option<&Record>, now: &Record, texts: &Texts) -> String {
    if now.content.is_none() {
        return format!("<p>{}</p>\n", texts.withdrawn);
    }
    let Some(before) = before else {
        let rows = table(&[texts.field, texts.after], &field_rows(now), texts);
        return format!("<p>{}</p>\n{rows}", texts.first_version);
    };
    let rows: Vec<Vec<String>> = diff_versions(before, now)
        .iter()
        .map(|change| {
            let (from, to) = match &change.what {
                What::Added(to) => (String::new(), shown(to)),
                What::Removed(from) => (shown(from), String::new()),
                What::Changed { from, to } => (shown(from), shown(to)),
            };
            vec![code(&change.path), format!("<del>{from}</del>"), format!("<ins>{to}</ins>")]
        })
        .collect();
    if rows.is_empty() {
        return format!("<p>{}</p>\n", texts.nothing_public_changed);
    }
    table(&[texts.field, texts.before, texts.after], &rows, texts)
}

/// The attachments of a version: where each is, or which entry took it.
fn attachments(content: &Content, erasures: &Erasures, texts: &Texts) -> String {
    if content.attachments.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = content
        .attachments
        .iter()
        .map(|attachment| {
            let name = attachment.name.as_str();
            let erased = || erasures.of(&Erased::Attachment(attachment.name.clone()));
            let (name, note) = match attachment.content {
                AttachmentContent::Public(hash) => {
                    (link(&format!("/blobs/{hash}"), name), code(&hash.to_string()))
                }
                AttachmentContent::Erasable(hash) => match erased() {
                    Some(by) => {
                        (own(name), format!("{} ({} {})", texts.erased, texts.index, entry_link(by.index)))
                    }
                    None => (link(&format!("/blobs/{hash}"), name), texts.can_be_erased.to_owned()),
                },
            };
            vec![name, own(attachment.media.as_str()), attachment.bytes.to_string(), note]
        })
        .collect();
    let heads = [texts.attachment, texts.media_type, texts.bytes, ""];
    format!("<h3>{}</h3>\n{}", texts.attachments, table(&heads, &rows, texts))
}

/// What tombstones have taken from a version.
fn erased(tombstones: &[(EntryRef, Tombstone)], texts: &Texts) -> String {
    if tombstones.is_empty() {
        return String::new();
    }
    let row = |(at, tombstone): &(EntryRef, Tombstone)| {
        let erased: Vec<String> = tombstone.erased.iter().map(|erased| code(&erased.to_string())).collect();
        let (by, basis) = (entry_link(at.index), own(tombstone.basis.as_str()));
        vec![erased.join(" "), by, tombstone.at.to_string(), basis]
    };
    let rows: Vec<Vec<String>> = tombstones.iter().map(row).collect();
    let heads = [texts.field, texts.erased_by, texts.at, texts.legal_basis];
    format!("<h3>{}</h3>\n{}", texts.erasures, table(&heads, &rows, texts))
}

/// What of a version lies outside its public fields, and what was said about it later.
fn beside(
    view: &View<'_>,
    item: &Item,
    record: &Record,
    later: &Later,
    texts: &Texts,
) -> Result<String, Problem> {
    let Some(content) = &record.content else { return Ok(later.disowned(item, texts)) };
    let leaf = item.statement.leaf_hash();
    let can_be_erased = !content.erasable.is_empty() || content.sealed.is_some();
    let has_erasable = |attachment: &record::statement::Attachment| {
        matches!(attachment.content, AttachmentContent::Erasable(_))
    };
    let tombstones = match can_be_erased || content.attachments.iter().any(has_erasable) {
        true => view.tombstones(&leaf)?,
        false => Vec::new(),
    };
    let mut erasures = Erasures::default();
    tombstones.iter().for_each(|(at, tombstone)| erasures.add(*at, &tombstone.erased));
    let values = match can_be_erased {
        true => {
            let path = format!("/records/{leaf}/disclosures");
            format!("<p><a href=\"{path}\">{}</a></p>\n", texts.values_outside)
        }
        false => String::new(),
    };
    let (attached, gone) = (attachments(content, &erasures, texts), erased(&tombstones, texts));
    Ok(format!("{}{attached}{values}{gone}", later.disowned(item, texts)))
}

/// What proves a version.
fn facts(item: &Item, texts: &Texts) -> String {
    let names = item.statement.signatures().iter().map(|line| own(line.name().as_str()));
    format!(
        "<dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd><code>{}</code></dd></dl>\n",
        texts.at,
        item.statement.body().at(),
        texts.signed_by,
        names.collect::<Vec<_>>().join(", "),
        texts.receipt,
        entry_link(item.index),
        texts.leaf_hash,
        item.statement.leaf_hash(),
    )
}

/// What a page about a record is called: what it is, and the newest title on the page, which the key follows as a
/// line of its own; without a title, as where keys are opaque, what it is and the key.
pub(super) fn record_title(
    entries: &[Entry],
    what: &str,
    key: &RecordKey,
) -> Result<(String, String), Problem> {
    let mut newest = None;
    for entry in entries {
        let item = entry.item()?;
        let Body::Record(record) = item.statement.body() else { continue };
        let title = record.content.as_ref().and_then(|content| content.title.clone());
        newest = newest.max(title.map(|title| (entry.index, title.as_str().to_owned())));
    }
    Ok(match newest {
        Some((_, title)) => (format!("{what}: {title}"), format!("<p>{}</p>\n", own(key.as_str()))),
        None => (format!("{what}: {}", key.as_str()), String::new()),
    })
}

impl App {
    pub(super) fn record_page(
        &self,
        view: &View<'_>,
        (agency, register): (&AgencyId, &RegisterId),
        entry: &Entry,
        language: Language,
    ) -> Outcome {
        let texts = language.texts();
        let item = entry.item()?;
        let Body::Record(record) = item.statement.body() else { return Err(error::internal()) };
        let (title, line) = record_title(std::slice::from_ref(entry), texts.record, &record.key)?;
        let fields = match record.content {
            Some(_) => table(&[texts.field, texts.record], &field_rows(record), texts),
            None => format!("<p>{}</p>\n", texts.withdrawn),
        };
        let body = format!(
            "<p>{}</p>\n{line}{fields}{}{}<p><a href=\"{}/history\">{}</a></p>\n",
            link(&register_path(agency, register), register.as_str()),
            beside(view, &item, record, &Later::of(view, agency)?, texts)?,
            facts(&item, texts),
            record_path(record),
            texts.history,
        );
        Ok(self.html(view, &title, &body, language))
    }

    /// Each version with what it changed, in the order of the page.
    pub(super) fn history_sections(
        &self,
        view: &View<'_>,
        agency: &AgencyId,
        page: &Page,
        texts: &Texts,
    ) -> Result<String, Problem> {
        let (mut out, later) = (String::new(), Later::of(view, agency)?);
        for (at, entry) in page.entries.iter().enumerate() {
            let item = entry.item()?;
            let Body::Record(record) = item.statement.body() else { continue };
            let before = match record.previous {
                Some(previous) => self.version_before(view, page, at, &previous)?,
                None => None,
            };
            let before = before.as_ref().and_then(|item| match item.statement.body() {
                Body::Record(record) => Some(record),
                _ => None,
            });
            // Writing to a string does not fail.
            let _ = write!(
                out,
                "<section><h2>{} {}</h2>\n{}{}{}</section>\n",
                texts.index,
                item.index,
                changes(before, record, texts),
                beside(view, &item, record, &later, texts)?,
                facts(&item, texts)
            );
        }
        Ok(out)
    }

    /// The version with this leaf hash: beside the one at hand on the page, or on the page before it.
    fn version_before(
        &self,
        view: &View<'_>,
        page: &Page,
        at: usize,
        previous: &Hash,
    ) -> Result<Option<Item>, Problem> {
        let beside = [at.checked_sub(1), Some(at + 1)];
        let mut beside = beside.into_iter().flatten().filter_map(|at| page.entries.get(at));
        if let Some(entry) = beside.find(|entry| entry.leaf == *previous) {
            return entry.item().map(Some);
        }
        let found = self.log.lookup.find(previous, view.size).map_err(|cause| {
            tracing::error!(%cause, "an earlier version cannot be found");
            error::internal()
        })?;
        found.map(|index| view.item(index)).transpose()
    }
}

//! Pages for people: agencies, registers, records and their histories, readable without JavaScript.
//!
//! A page loads nothing from anywhere, and its content security policy says so. Everything that comes from a statement
//! is escaped, and stands in an element of its own with `dir="auto"`, so that text of any direction reads as it
//! should and cannot reorder what is around it.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, header};
use record::diff::{What, diff_versions};
use record::ids::{AgencyId, RecordKey, RegisterId};
use record::json::Value as Json;
use record::registry::{AgencyState, RegisterState};
use record::statement::{Body, Record};
use tlog::hash::sha256;

use super::query::{Item, Page, View};
use super::read::grant;
use super::route::{RegisterView, encode};
use super::texts::{CHINESE, ENGLISH, Texts};
use crate::http::answer::{Answer, Caching, answer};
use crate::http::page::{STYLE, escape};
use crate::http::{App, Outcome};

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// The default.
    English,
    /// Simplified.
    Chinese,
}

impl Language {
    /// The one that the client likes best.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let said = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let weight = |language: &str| {
            let weighted = said.split(',').filter_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let tag = parts.next()?.to_ascii_lowercase();
                let matches = tag == language || tag.starts_with(&format!("{language}-"));
                let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
                q.filter(|_| matches)
            });
            weighted.fold(0.0_f32, f32::max)
        };
        if weight("zh") > weight("en") { Self::Chinese } else { Self::English }
    }

    fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

/// Text of others, on its own.
fn own(text: &str) -> String {
    format!("<bdi dir=\"auto\">{}</bdi>", escape(text))
}

fn link(path: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(path), own(text))
}

fn table(heads: &[&str], rows: &[Vec<String>], texts: &Texts) -> String {
    if rows.is_empty() {
        return format!("<p>{}</p>\n", texts.nothing_here);
    }
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>\n")
}

fn entry_link(index: impl std::fmt::Display) -> String {
    format!("<a href=\"/entry/{index}\">{index}</a>")
}

fn register_path(agency: &AgencyId, register: &RegisterId) -> String {
    format!("/registers/{agency}/{register}")
}

fn record_path(record: &Record) -> String {
    let key = encode(record.key.as_str());
    format!("{}/records/{key}", register_path(&record.agency, &record.register))
}

fn more(page: &Page, texts: &Texts) -> String {
    let next = page.next.as_ref();
    next.map(|next| format!("<p><a href=\"?{}\">{}</a></p>\n", escape(next), texts.more)).unwrap_or_default()
}

fn shown(value: &Json) -> String {
    match value {
        Json::Text(text) => own(text),
        other => format!("<code dir=\"auto\">{}</code>", escape(&other.to_text())),
    }
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
            let code = format!("<code dir=\"auto\">{}</code>", escape(&change.path));
            vec![code, format!("<del>{from}</del>"), format!("<ins>{to}</ins>")]
        })
        .collect();
    if rows.is_empty() {
        return format!("<p>{}</p>\n", texts.nothing_public_changed);
    }
    table(&[texts.field, texts.before, texts.after], &rows, texts)
}

fn entry_rows(page: &Page) -> Vec<Vec<String>> {
    let row = |item: &Item| {
        let body = item.statement.body();
        let about = match body {
            Body::Record(record) => link(&record_path(record), record.key.as_str()),
            Body::Tombstone(tombstone) => own(tombstone.key.as_str()),
            Body::Register(register) => {
                link(&register_path(&register.agency, &register.register), register.title.as_str())
            }
            other => own(other.agency().as_str()),
        };
        vec![
            entry_link(item.index),
            body.kind().as_str().to_owned(),
            about,
            body.at().to_string(),
            format!("<code>{}</code>", item.statement.leaf_hash()),
        ]
    };
    page.items.iter().map(row).collect()
}

fn signers(item: &Item) -> String {
    let names: Vec<String> =
        item.statement.signatures().iter().map(|line| own(line.name().as_str())).collect();
    names.join(", ")
}

impl App {
    fn html(&self, view: &View<'_>, title: &str, body: &str, language: Language) -> Answer {
        let texts = language.texts();
        let page = format!(
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>\n\
             <nav><a href=\"/\">{}</a> · <a href=\"/agencies\">{}</a></nav>\n<h1>{}</h1>\n{body}\
             <footer><p>{}: {}. {}</p></footer>\n</body></html>\n",
            texts.tag,
            escape(title),
            own(self.log.signer.origin().as_str()),
            texts.agencies,
            own(title),
            texts.tree_size,
            view.size,
            texts.not_evidence,
        );
        let mut answer = answer("text/html; charset=utf-8", Caching::Never, page);
        let style = sha256(STYLE.as_bytes()).to_base64();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let headers = answer.headers_mut();
        let policy = HeaderValue::from_str(&policy).expect("the policy is a header value");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(texts.tag));
        answer
    }

    pub(super) fn agencies_page(&self, view: &View<'_>, language: Language) -> Answer {
        let texts = language.texts();
        let row = |(id, state): (&AgencyId, &AgencyState)| {
            vec![
                link(&format!("/agencies/{id}"), id.as_str()),
                own(state.title.as_str()),
                entry_link(state.since.index),
            ]
        };
        let rows: Vec<Vec<String>> = view.registry.agencies().map(row).collect();
        let body = table(&[texts.agency, texts.title, texts.since], &rows, texts);
        self.html(view, texts.agencies, &body, language)
    }

    pub(super) fn agency_page(
        &self,
        view: &View<'_>,
        id: &AgencyId,
        state: &AgencyState,
        page: &Page,
        language: Language,
    ) -> Answer {
        let texts = language.texts();
        let registers: Vec<Vec<String>> = state
            .registers()
            .map(|(register, state)| {
                let title = own(state.definition.title.as_str());
                vec![link(&register_path(id, register), register.as_str()), title]
            })
            .collect();
        let keys: Vec<Vec<String>> = view
            .registry
            .keys_of(id)
            .map(|key| {
                vec![
                    format!("<code>{}</code>", escape(&key.key.to_string())),
                    grant(&key.grant).to_owned(),
                    entry_link(key.since),
                    key.end.map(|end| entry_link(end.index())).unwrap_or_default(),
                ]
            })
            .collect();
        let heads = [texts.index, texts.kind, texts.title, texts.at, texts.leaf_hash];
        let body = format!(
            "<p>{}</p>\n<p>{}: {}</p>\n<h2>{}</h2>\n{}<h2>{}</h2>\n{}<h2>{}</h2>\n{}{}",
            own(id.as_str()),
            texts.quorum,
            state.quorum,
            texts.registers,
            table(&[texts.register, texts.title], &registers, texts),
            texts.keys,
            table(&[texts.keys, texts.may, texts.since, texts.until], &keys, texts),
            texts.entries,
            table(&heads, &entry_rows(page), texts),
            more(page, texts),
        );
        self.html(view, state.title.as_str(), &body, language)
    }

    pub(super) fn register_page(
        &self,
        view: &View<'_>,
        state: &RegisterState,
        page: &Page,
        language: Language,
    ) -> Answer {
        let texts = language.texts();
        let definition = &state.definition;
        let path = register_path(&definition.agency, &definition.register);
        let mut body = format!(
            "<dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd></dl>\n\
             <p><a href=\"{path}/entries\">{}</a></p>\n<h2>{}</h2>\n",
            texts.agency,
            link(&format!("/agencies/{}", definition.agency), definition.agency.as_str()),
            texts.licence,
            own(definition.licence.as_str()),
            texts.since,
            entry_link(state.since.index),
            texts.entries,
            texts.records,
        );
        body.push_str(&records_table(page, texts));
        body.push_str(&more(page, texts));
        self.html(view, definition.title.as_str(), &body, language)
    }

    pub(super) fn list_page(
        &self,
        view: &View<'_>,
        (agency, register, what): (&AgencyId, &RegisterId, &RegisterView),
        page: &Page,
        language: Language,
    ) -> Outcome {
        let texts = language.texts();
        let path = register_path(agency, register);
        let mut body = format!("<p>{}</p>\n", link(&path, register.as_str()));
        let title = match what {
            RegisterView::Record(key) => {
                let title = record_title(page, texts.record, key, &mut body);
                for item in &page.items {
                    self.record_section(item, &mut body, texts);
                }
                title
            }
            RegisterView::History(key) => {
                let title = record_title(page, texts.history, key, &mut body);
                self.history_sections(view, page, &mut body, texts)?;
                title
            }
            RegisterView::Records => {
                body.push_str(&records_table(page, texts));
                texts.records.to_owned()
            }
            RegisterView::Entries | RegisterView::Register => {
                let heads = [texts.index, texts.kind, texts.key, texts.at, texts.leaf_hash];
                body.push_str(&table(&heads, &entry_rows(page), texts));
                texts.entries.to_owned()
            }
        };
        body.push_str(&more(page, texts));
        Ok(self.html(view, &title, &body, language))
    }

    fn record_section(&self, item: &Item, body: &mut String, texts: &Texts) {
        let Body::Record(record) = item.statement.body() else { return };
        let fields = match record.content {
            Some(_) => table(&[texts.field, texts.record], &field_rows(record), texts),
            None => format!("<p>{}</p>\n", texts.withdrawn),
        };
        let history = format!("<p><a href=\"{}/history\">{}</a></p>\n", record_path(record), texts.history);
        // Writing to a string does not fail.
        let _ = write!(body, "{fields}{}{history}", facts(item, texts));
    }

    /// Each version with what it changed, oldest first.
    fn history_sections(
        &self,
        view: &View<'_>,
        page: &Page,
        body: &mut String,
        texts: &Texts,
    ) -> Result<(), daemon::problem::Problem> {
        for (at, item) in page.items.iter().enumerate() {
            let Body::Record(record) = item.statement.body() else { continue };
            // On the page, or on the one before it.
            let before = match record.previous {
                None => None,
                Some(previous) => {
                    let beside = [at.checked_sub(1), Some(at + 1)];
                    let mut beside = beside.into_iter().flatten().filter_map(|at| page.items.get(at));
                    let found = beside.find(|item| item.statement.leaf_hash() == previous).cloned();
                    match found {
                        Some(item) => Some(item),
                        None => self.earlier(view, &previous)?,
                    }
                }
            };
            let before = before.as_ref().and_then(|item| match item.statement.body() {
                Body::Record(record) => Some(record),
                _ => None,
            });
            let _ = write!(
                body,
                "<section><h2>{} {}</h2>\n{}{}</section>\n",
                texts.index,
                item.index,
                changes(before, record, texts),
                facts(item, texts)
            );
        }
        Ok(())
    }

    fn earlier(
        &self,
        view: &View<'_>,
        leaf: &tlog::hash::Hash,
    ) -> Result<Option<Item>, daemon::problem::Problem> {
        let found = self.log.lookup.find(leaf, view.size);
        let found = found.map_err(|cause| {
            tracing::error!(%cause, "an earlier version cannot be found");
            crate::http::error::internal()
        })?;
        found.map(|index| view.item(index)).transpose()
    }
}

/// What a page about a record is called: what it is, and the newest title on the page, which the key follows as a
/// line of its own; without a title, as where keys are opaque, what it is and the key.
fn record_title(page: &Page, what: &str, key: &RecordKey, body: &mut String) -> String {
    let titles = page.items.iter().filter_map(|item| match item.statement.body() {
        Body::Record(record) => Some((item.index, record.content.as_ref()?.title.as_ref()?)),
        _ => None,
    });
    let Some((_, title)) = titles.max_by_key(|(index, _)| *index) else {
        return format!("{what}: {}", key.as_str());
    };
    let _ = writeln!(body, "<p>{}</p>", own(key.as_str()));
    format!("{what}: {}", title.as_str())
}

fn records_table(page: &Page, texts: &Texts) -> String {
    let rows: Vec<Vec<String>> = page
        .items
        .iter()
        .filter_map(|item| match item.statement.body() {
            Body::Record(record) => Some((item, record)),
            _ => None,
        })
        .map(|(item, record)| {
            let title = match &record.content {
                None => texts.withdrawn.to_owned(),
                Some(content) => content.title.as_ref().map(|title| own(title.as_str())).unwrap_or_default(),
            };
            vec![
                link(&record_path(record), record.key.as_str()),
                title,
                record.at.to_string(),
                entry_link(item.index),
            ]
        })
        .collect();
    table(&[texts.key, texts.title, texts.at, texts.index], &rows, texts)
}

/// What proves a version.
fn facts(item: &Item, texts: &Texts) -> String {
    format!(
        "<dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd><code>{}</code></dd></dl>\n",
        texts.at,
        item.statement.body().at(),
        texts.signed_by,
        signers(item),
        texts.receipt,
        entry_link(item.index),
        texts.leaf_hash,
        item.statement.leaf_hash(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_weighs_more() {
        let of = |said: &'static str| {
            Language::of(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(said))]))
        };
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
        for chinese in ["zh", "zh-CN,zh;q=0.9,en;q=0.8", "fr, zh-Hant;q=0.5", "en;q=0.1,zh;q=0.2"] {
            assert_eq!(of(chinese), Language::Chinese, "{chinese}");
        }
        for english in ["en", "de", "en-GB,zh;q=0.9", "zh;q=0", "zhx"] {
            assert_eq!(of(english), Language::English, "{english}");
        }
    }

    #[test]
    fn text_of_others_is_escaped_and_keeps_its_direction_to_itself() {
        assert_eq!(own("<b>\u{5d0}"), "<bdi dir=\"auto\">&lt;b&gt;\u{5d0}</bdi>");
    }
}

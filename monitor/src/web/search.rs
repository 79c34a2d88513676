//! `/search`: what people type, and what is found.

use std::sync::Arc;

use axum::extract::{Query as Params, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use tlog::hash::sha256;

use super::layout::{Page, time};
use super::request::{Reader, query as query_string};
use super::texts::{Texts, fill};
use super::{App, Outcome, page, record};
use crate::index::Row;
use crate::index::amount::{grouped, shown};
use crate::index::extract::extract;
use crate::index::highlight::{Piece, pieces, snippet};
use crate::index::query::Query;
use crate::index::read::IndexedLog;
use crate::index::search::{COUNT_MAX, Page as Place};
use crate::index::text::Phrase;

/// Entries on a page.
const ROWS: usize = 25;
/// Bytes of text around what was found.
const SNIPPET_BYTES: usize = 280;

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The words.
    pub(super) q: String,
    /// Narrowed to a log.
    pub(super) log: String,
    /// To an agency.
    pub(super) agency: String,
    /// To a kind.
    pub(super) kind: String,
    /// From a day on.
    pub(super) from: String,
    /// Before a day.
    pub(super) to: String,
    /// From an amount on.
    pub(super) amount: String,
    /// `oldest`: in log order; otherwise newest first.
    pub(super) order: String,
    /// Where the page before ended.
    pub(super) at: Option<i64>,
}

impl Asked {
    /// All of it as one query that can be typed.
    pub(super) fn text(&self) -> String {
        let mut parts = vec![self.q.trim().to_owned()];
        let plain = |text: &str| text.replace(['"', '”', '“', '»', '」'], "");
        for (name, value) in [("log", &self.log), ("agency", &self.agency), ("kind", &self.kind)] {
            if !value.is_empty() {
                parts.push(format!("{name}:\"{}\"", plain(value)));
            }
        }
        for (name, value) in [("after:", &self.from), ("before:", &self.to), ("amount>=", &self.amount)] {
            if !value.is_empty() {
                parts.push(format!("{name}{}", value.replace(char::is_whitespace, "")));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join(" ")
    }

    pub(super) fn place(&self) -> Place {
        if self.order == "oldest" { Place::Oldest(self.at) } else { Place::Newest(self.at) }
    }

    fn link(&self, order: &str, at: Option<i64>) -> String {
        let at = at.map_or_else(String::new, |at| at.to_string());
        let pairs = [("q", self.text()), ("order", order.to_owned()), ("at", at)];
        let pairs = pairs.each_ref().map(|(name, value)| (*name, value.as_str()));
        format!("/search?{}", query_string(&pairs))
    }
}

/// `GET /search`
pub(super) async fn search(
    State(app): State<Arc<App>>,
    reader: Reader,
    Params(asked): Params<Asked>,
) -> Response {
    page(app, reader, move |app, reader| found(app, reader, &asked)).await
}

fn found(app: &App, reader: &Reader, asked: &Asked) -> Outcome {
    let texts = reader.lang.texts();
    let text = asked.text();
    let query = Query::parse(&text);
    let (hits, count) = app.index.search_and_count(&query, asked.place(), ROWS)?;
    let missing: u64 = app.index.logs()?.iter().map(IndexedLog::missing).sum();
    let feed = format!("/export/atom?{}", query_string(&[("q", &text)]));
    let page = Page { reader, title: texts.search, here: "/search", feed: Some(&feed) };
    let export =
        |form: &str| format!("/export/{form}?{}", query_string(&[("q", &text), ("order", &asked.order)]));
    Ok(page.render(&html! {
        h1 { (texts.search) }
        (search_box(texts, &text))
        (filters(texts, app, &text))
        @if query.cut { p role="status" { (texts.query_cut) } }
        @if missing > 0 { p.badge role="status" { (fill(texts.indexing_behind, &[&grouped(missing)])) } }
        p role="status" { (summary(texts, count, hits.rows.is_empty() && hits.next.is_none())) }
        div.actions {
            @if asked.order == "oldest" { a href=(asked.link("", None)) { (texts.newer_first) } }
            @else { a href=(asked.link("oldest", None)) { (texts.older_first) } }
            span { (texts.download) ": " a href=(export("csv")) { "CSV" } " " a href=(export("ndjson")) { "NDJSON" }
                @if text.contains("register:") { " " a href=(export("rsf")) { "RSF" } }
                @if text.is_empty() { " " a href="/export/sqlite" title=(texts.whole_index_help) { "SQLite" } }
            }
            a href=(feed) { (texts.feed) }
            @if !text.is_empty() { a href={ "/watches?" (query_string(&[("query", &text)])) } { (texts.watch_this) } }
        }
        (hit_list(texts, &hits.rows, &query.phrases()))
        @if hits.cut_short { p { (texts.cut_short) } }
        @if let Some(next) = hits.next {
            p { a.button rel="next" href=(asked.link(&asked.order, Some(next))) { (texts.next_page) } }
        }
    }))
}

fn summary(texts: &Texts, count: Option<u64>, nothing: bool) -> String {
    match count {
        _ if nothing => texts.no_hits.to_owned(),
        Some(count) if count > COUNT_MAX => fill(texts.hits_many, &[&grouped(COUNT_MAX)]),
        Some(count) => fill(texts.hits, &[&grouped(count)]),
        None => texts.hits_page.to_owned(),
    }
}

/// The box to type into, with its examples.
pub(super) fn search_box(texts: &Texts, text: &str) -> Markup {
    html! {
        form.search role="search" action="/search" method="get" {
            div.wide {
                label for="q" { (texts.search_label) }
                input id="q" name="q" type="search" dir="auto" value=(text) autocomplete="off" autocapitalize="none" spellcheck="false";
            }
            button type="submit" { (texts.search_button) }
        }
        details {
            summary { (texts.search_help) }
            dl {
                @for (example, meaning) in texts.search_examples {
                    dt { a href={ "/search?" (query_string(&[("q", example)])) } { code { (example) } } }
                    dd { (meaning) }
                }
            }
        }
    }
}

fn filters(texts: &Texts, app: &App, text: &str) -> Markup {
    let logs = app.logs();
    html! {
        details {
            summary { (texts.filter) }
            form.search action="/search" method="get" {
                input type="hidden" name="q" value=(text);
                @if logs.len() > 1 {
                    div {
                        label for="log" { (texts.log) }
                        select id="log" name="log" {
                            option value="" { (texts.all) }
                            @for log in &logs { option value=(log.origin) { (log.origin) } }
                        }
                    }
                }
                div { label for="agency" { (texts.agency) } input id="agency" name="agency" autocapitalize="none"; }
                div {
                    label for="kind" { (texts.kind) }
                    select id="kind" name="kind" {
                        option value="" { (texts.all) }
                        @for kind in ["record", "tombstone", "register", "agency", "dispute"] { option { (kind) } }
                    }
                }
                div { label for="from" { (texts.from_day) } input id="from" name="from" type="date"; }
                div { label for="to" { (texts.to_day) } input id="to" name="to" type="date"; }
                div { label for="amount" { (texts.amount_from) } input id="amount" name="amount" inputmode="decimal"; }
                button type="submit" { (texts.filter) }
            }
        }
    }
}

/// Entries, one under the other.
pub(super) fn hit_list(texts: &Texts, rows: &[Row], phrases: &[&Phrase]) -> Markup {
    html! {
        ol.hits { @for row in rows { li { (hit(texts, row, phrases)) } } }
    }
}

/// The name of a log in paths.
pub(super) fn log_hash(origin: &str) -> String {
    sha256(origin.as_bytes()).to_string()
}

/// What an entry is called.
pub(super) fn name(row: &Row) -> String {
    let key = || Some(format!("{} / {}", row.register.as_deref()?, row.key.as_deref()?));
    let kind = || {
        Some(format!("{} {}", row.kind.as_deref()?, row.action.as_deref().unwrap_or("")).trim().to_owned())
    };
    row.title.clone().or_else(key).or_else(kind).unwrap_or_else(|| format!("{} {}", row.form, row.index))
}

fn hit(texts: &Texts, row: &Row, phrases: &[&Phrase]) -> Markup {
    let document = extract(&row.bytes);
    html! {
        h2 dir="auto" { a href=(record::path(&log_hash(&row.origin), row.index)) { (marked(&pieces(&name(row), phrases))) } }
        p.where {
            @if let Some(kind) = row.kind.as_deref().filter(|kind| *kind != "record") { span { (kind) } }
            @if row.action.as_deref() == Some("withdraw") { span.badge { (texts.withdrawn) } }
            @if let Some(agency) = &row.agency { span dir="auto" { (agency) } }
            @if let (Some(register), Some(key)) = (&row.register, &row.key) { span dir="auto" { bdi { (register) } " / " bdi { (key) } } }
            @if let Some(seconds) = row.at_seconds { span { (time(seconds)) } }
            @if let Some(amount) = row.amount_thousandths { span { (shown(amount, row.currency.as_deref())) } }
            span { (row.origin) " #" (row.index) }
        }
        p.snippet dir="auto" { (marked(&snippet(document.said(), phrases, SNIPPET_BYTES))) }
    }
}

/// Pieces of text, what was looked for marked.
pub(super) fn marked(pieces: &[Piece]) -> Markup {
    html! {
        @for piece in pieces {
            @if piece.marked { mark { (piece.text) } } @else { (piece.text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_part_of_what_can_be_typed() {
        let asked = Asked {
            q: "bridge".to_owned(),
            agency: "a\" OR x:\"b".to_owned(),
            from: "2026-01-01".to_owned(),
            amount: "1 000".to_owned(),
            ..Asked::default()
        };
        assert_eq!(asked.text(), "bridge agency:\"a OR x:b\" after:2026-01-01 amount>=1000");
        assert_eq!(Asked::default().text(), "");
    }
}

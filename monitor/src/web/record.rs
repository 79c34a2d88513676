//! `/log/<log>/<index>`: an entry with its history, its proof, and what a court needs of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use maud::{Markup, html};
use serde_json::Value;
use tlog::hash::leaf_hash;

use super::layout::{Page, span, time, time_text};
use super::request::{Reader, encode};
use super::search::name;
use super::texts::{Texts, fill};
use super::view::{Inclusion, LogView};
use super::{App, Failure, Outcome, bundle, page, proof};
use crate::history::{Change, Event, Version, disputes, history, signers};
use crate::index::Row;
use crate::index::amount::shown;
use crate::index::extract::{content, extract, pointer};
use crate::index::read::Window;

/// Fields of a record that are shown in a table; the rest is in the entry as it was signed.
const FIELDS_SHOWN_MAX: usize = 500;

/// The address of an entry.
pub(super) fn path(hash: &str, index: u64) -> String {
    format!("/log/{hash}/{index}")
}

fn find(app: &App, hash: &str, index: u64) -> Result<(LogView, Row), Failure> {
    let log = app.log(hash)?;
    let row = app.index.entry(&log.origin, index)?.ok_or(Failure::NotFound)?;
    Ok((log, row))
}

/// `GET /log/<log>/<index>`
pub(super) async fn record(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, index)): Path<(String, u64)>,
) -> Response {
    page(app, reader, move |app, reader| one(app, reader, &hash, index)).await
}

fn one(app: &App, reader: &Reader, hash: &str, index: u64) -> Outcome {
    let texts = reader.lang.texts();
    let (log, row) = find(app, hash, index)?;
    let versions = history(&app.index, &row)?;
    let disowned = disputes(&app.index, &row)?;
    let window = app.index.window(&row.origin, row.index)?;
    let latest = versions.iter().rev().find(|version| version.row.kind.as_deref() == Some("record"));
    let is_record = row.kind.as_deref() == Some("record");
    let newer = latest.filter(|latest| is_record && latest.row.index > index).map(|latest| latest.row.index);
    let erased = versions.iter().any(|version| version.row.index == index && version.erased_later);
    let title = title(&row, &versions);
    let heading = title.clone().unwrap_or_else(|| name(&row));
    let inclusion = (app.verified.prove)(&row.origin, index);
    let page = Page { reader, title: &heading, here: "", feed: None };
    Ok(page.render(&html! {
        h1 dir="auto" { (heading) }
        @if let (Some(_), Some(register), Some(key)) = (&title, &row.register, &row.key) {
            p.where dir="auto" { bdi { (register) } " / " bdi { (key) } }
        }
        @if row.action.as_deref() == Some("withdraw") { p.badge { (texts.withdrawn) } }
        @if let Some(newer) = newer { p { (texts.superseded) " " a href=(path(hash, newer)) { (texts.latest_version) } } }
        @if erased { p.badge { (texts.erased_later) } }
        @for dispute in &disowned { p.badge { a href=(path(hash, dispute.index)) { (texts.disputed) } } }
        (facts(texts, &log, &row, window))
        (contents(texts, &row))
        @if versions.len() > 1 { (timeline(texts, hash, &row, &versions)) }
        h2 { (texts.citation) }
        p id="citation" {
            @let [before, title, after] = citation(texts, app, &log, &row, window);
            (before) bdi { (title) } (after)
        }
        div.actions {
            button.plain type="button" data-copy="citation" hidden { (texts.copy) }
            a.button href={ (path(hash, index)) "/bundle.zip" } { (texts.bundle) }
            a href={ (path(hash, index)) "/entry" } { (texts.entry) }
            a href={ (path(hash, index)) "/receipt" } { (texts.proof) }
        }
        p.soft { (texts.bundle_help) }
        section id="proof" {
            h2 { (texts.proof) }
            @match &inclusion {
                Ok(inclusion) => (proof::walk(texts, &leaf_hash(&row.bytes), inclusion)),
                Err(reason) => p { (fill(texts.proof_none, &[reason])) },
            }
        }
        h2 { (texts.raw) }
        (raw(texts, &row))
    }))
}

/// The entry's title; where it has none, as a withdrawal or a tombstone, the one that its record had then.
fn title(row: &Row, versions: &[Version]) -> Option<String> {
    let so_far = versions.iter().rev().filter(|version| version.row.index <= row.index);
    row.title.clone().or_else(|| so_far.filter_map(|version| version.row.title.clone()).next())
}

fn facts(texts: &Texts, log: &LogView, row: &Row, window: Window) -> Markup {
    let document = extract(&row.bytes);
    let signed_by = signers(&row.bytes);
    html! {
        dl {
            @if let Some(agency) = &row.agency {
                dt { (texts.agency) } dd dir="auto" { a href={ "/agency/" (log.hash) "/" (encode(agency)) } { (agency) } }
            }
            @if let Some(register) = &row.register { dt { (texts.register) } dd dir="auto" { (register) } }
            @if let Some(key) = &row.key { dt { (texts.key) } dd dir="auto" { (key) } }
            @if let Some(kind) = &row.kind { dt { (texts.kind) } dd { (kind) @if let Some(action) = &row.action { " (" (action) ")" } } }
            @if let Some(seconds) = row.at_seconds { dt { (texts.at) } dd { (time(seconds)) } }
            dt { (texts.logged) } dd { (logged(texts, window)) (lateness(texts, row)) }
            @if !document.amounts.is_empty() {
                dt { (texts.amounts) } dd {
                    @for amount in &document.amounts { div { (shown(amount.thousandths, amount.currency.as_deref())) " " span.soft { (amount.path) } } }
                }
            }
            @if !signed_by.is_empty() { dt { (texts.signed_by) } dd { (signed_by.join(", ")) } }
            dt { (texts.log) } dd { a href={ "/log/" (log.hash) } { (row.origin) } }
            dt { (texts.index) } dd { (row.index) }
            dt { (texts.leaf_hash) } dd.hash { (row.leaf) }
        }
    }
}

pub(super) fn logged(texts: &Texts, window: Window) -> String {
    match (window.after, window.before) {
        (Some(after), Some(before)) => fill(texts.logged_between, &[&time_text(after), &time_text(before)]),
        (None, Some(before)) => fill(texts.logged_before, &[&time_text(before)]),
        (Some(after), None) => fill(texts.logged_after, &[&time_text(after)]),
        (None, None) => texts.logged_unknown.to_owned(),
    }
}

fn lateness(texts: &Texts, row: &Row) -> Markup {
    let late = row.logged_after.zip(row.at_seconds).map_or(0, |(after, at)| after - at);
    html! {
        @if late > 0 { " · " (fill(texts.late_at_least, &[&span(texts, late.unsigned_abs())])) }
    }
}

fn contents(texts: &Texts, row: &Row) -> Markup {
    let Some(value) = content(&row.bytes) else { return html! {} };
    let mut rows = Vec::new();
    flatten(&value, "", &mut rows);
    html! {
        h2 { (texts.content) }
        div.scroll tabindex="0" role="group" aria-label=(texts.content) {
            table.fields {
                tbody { @for (path, value) in &rows { tr { th scope="row" dir="auto" { (path) } td dir="auto" { (value) } } } }
            }
        }
    }
}

fn flatten(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    if out.len() >= FIELDS_SHOWN_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(value, &pointer(path, name), out));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, item)| flatten(item, &pointer(path, &at.to_string()), out));
        }
        other => out.push((path.trim_start_matches('/').to_owned(), plain(other))),
    }
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn timeline(texts: &Texts, hash: &str, shown: &Row, versions: &[Version]) -> Markup {
    html! {
        h2 { (texts.history) }
        ol.versions {
            @for version in versions.iter().rev() {
                li {
                    h3 dir="auto" {
                        @if version.row.index == shown.index { (version_name(version)) }
                        @else { a href=(path(hash, version.row.index)) { (version_name(version)) } }
                    }
                    p.where {
                        @if let Some(seconds) = version.row.at_seconds { span { (time(seconds)) } }
                        span { (logged(texts, version.window)) (lateness(texts, &version.row)) }
                        @if version.erased_later { span.badge { (texts.erased_later) } }
                    }
                    (event(texts, &version.happened))
                }
            }
        }
    }
}

fn version_name(version: &Version) -> String {
    format!("#{} {}", version.row.index, version.row.title.as_deref().unwrap_or(""))
}

fn event(texts: &Texts, event: &Event) -> Markup {
    match event {
        Event::First => html! { p { (texts.first_version) } },
        Event::Withdrawn => html! { p.badge { (texts.withdrawn) } },
        Event::Erased { values, .. } => html! { p.badge { (fill(texts.erased, &[&values.join(", ")])) } },
        Event::Changed { changes } if changes.is_empty() => html! { p { (texts.no_change) } },
        Event::Changed { changes } => change_table(texts, changes),
    }
}

/// Old and new beside each other.
pub(super) fn change_table(texts: &Texts, changes: &[Change]) -> Markup {
    let side = |value: &Option<Value>| value.as_ref().map(plain);
    html! {
        div.scroll tabindex="0" role="group" aria-label=(texts.history) {
            table {
                thead { tr { th scope="col" { (texts.field) } th scope="col" { (texts.before) } th scope="col" { (texts.after) } } }
                tbody {
                    @for change in changes {
                        tr {
                            th scope="row" dir="auto" { (change.path.trim_start_matches('/')) }
                            td dir="auto" { @match side(&change.old) { Some(text) => del { (text) }, None => span.soft { (texts.absent) } } }
                            td dir="auto" { @match side(&change.new) { Some(text) => ins { (text) }, None => span.soft { (texts.absent) } } }
                        }
                    }
                }
            }
        }
    }
}

/// How to cite an entry: what stands before its title, the title, what stands after it.
fn citation(texts: &Texts, app: &App, log: &LogView, row: &Row, window: Window) -> [String; 3] {
    let who = row.agency.as_deref().map_or_else(String::new, |agency| format!("{agency}: "));
    let dated = row.at.as_deref().map_or_else(String::new, |at| format!(", {}", at.get(..10).unwrap_or(at)));
    let place = fill(texts.citation_text, &[&row.origin, &row.index.to_string()]);
    let address = format!("{}{}", app.address(), path(&log.hash, row.index));
    let (logged, leaf) = (logged(texts, window), &row.leaf);
    [format!("{who}“"), name(row), format!("”{dated}. {place} ({logged}), SHA-256 {leaf}. {address}")]
}

fn raw(texts: &Texts, row: &Row) -> Markup {
    match std::str::from_utf8(&row.bytes) {
        Ok(text) => html! { pre tabindex="0" dir="auto" { (text) } },
        Err(_) => html! { p { (fill(texts.raw_binary, &[&row.bytes.len().to_string()])) } },
    }
}

/// A file for the reader to keep: never shown, never run.
pub(super) fn download(name: &str, kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let disposition = format!("attachment; filename=\"{name}\"");
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).expect("names are plain"));
    response
}

/// A document for a program that reads it in place.
pub(super) fn inline(kind: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// `GET /log/<log>/<index>/entry`: the bytes.
pub(super) async fn entry(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, index)): Path<(String, u64)>,
) -> Response {
    page(app, reader, move |app, _| {
        let (_, row) = find(app, &hash, index)?;
        Ok(download(&format!("entry-{index}"), "application/octet-stream", row.bytes))
    })
    .await
}

fn proved(app: &App, row: &Row) -> Result<Inclusion, Failure> {
    (app.verified.prove)(&row.origin, row.index).map_err(|reason| {
        tracing::warn!(origin = row.origin, index = row.index, reason, "a receipt could not be made");
        Failure::Busy
    })
}

/// `GET /log/<log>/<index>/receipt`: the proof, in the C2SP tlog-proof format.
pub(super) async fn receipt(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, index)): Path<(String, u64)>,
) -> Response {
    page(app, reader, move |app, _| {
        let (_, row) = find(app, &hash, index)?;
        let receipt = proved(app, &row)?.receipt();
        Ok(download(&format!("entry-{index}.tlog-proof"), "text/plain; charset=utf-8", receipt))
    })
    .await
}

/// `GET /log/<log>/<index>/bundle.zip`: entry, receipt and policy together.
pub(super) async fn bundle(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, index)): Path<(String, u64)>,
) -> Response {
    page(app, reader, move |app, reader| {
        let (log, row) = find(app, &hash, index)?;
        let receipt = proved(app, &row)?.receipt();
        let window = app.index.window(&row.origin, row.index)?;
        let cited = citation(reader.lang.texts(), app, &log, &row, window).concat();
        let zip = bundle::zip(&bundle::files(index, &row.bytes, &receipt, &log.policy, &cited));
        Ok(download(&format!("entry-{index}.zip"), "application/zip", zip))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_title_bears_the_one_that_its_record_had_then() {
        let row = |index: u64, title: Option<&str>| Row {
            index,
            title: title.map(str::to_owned),
            ..Row::default()
        };
        let rows =
            [row(3, None), row(5, Some("Old")), row(8, Some("New")), row(9, None), row(12, Some("Later"))];
        let version = |row: Row| Version {
            row,
            happened: Event::First,
            window: Window::default(),
            erased_later: false,
        };
        let versions: Vec<Version> = rows.iter().cloned().map(version).collect();
        let titles: Vec<Option<String>> = rows.iter().map(|row| title(row, &versions)).collect();
        assert_eq!(
            titles.iter().map(Option::as_deref).collect::<Vec<_>>(),
            [None, Some("Old"), Some("New"), Some("New"), Some("Later")]
        );
        assert_eq!(title(&row(1, None), &[]), None);
    }
}

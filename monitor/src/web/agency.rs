//! `/agencies`: who publishes; `/agency/<log>/<agency>`: one of them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{Page, span, time};
use super::request::{Reader, encode, query as query_string};
use super::search::hit_list;
use super::texts::{Texts, fill};
use super::{App, Failure, Outcome, chart, page};
use crate::index::amount::grouped;
use crate::index::facet::Exact;
use crate::index::query::Query;
use crate::index::read::Published;
use crate::index::search::Page as Place;

/// Entries that are shown of an agency.
const NEWEST_ROWS: usize = 10;
const DAY_SECONDS: u64 = 86_400;

/// `GET /agencies`
pub(super) async fn list(State(app): State<Arc<App>>, reader: Reader) -> Response {
    page(app, reader, |app, reader| {
        let texts = reader.lang.texts();
        let mut tables = Vec::new();
        for log in app.logs() {
            let published = app.index.published(&log.origin, None)?;
            let table = table(texts, &agencies(published), texts.agency, |one| {
                Some(format!("/agency/{}/{}", log.hash, encode(&one.agency)))
            });
            tables.push(html! { h2 { (log.origin) } (table) });
        }
        let page = Page { reader, title: texts.agencies, here: "/agencies", feed: None };
        Ok(page.render(&html! {
            h1 { (texts.agencies) }
            p.lead { (texts.agencies_lead) }
            @for table in &tables { (table) }
            p.soft { (texts.late_note) }
        }))
    })
    .await
}

/// The registers of each agency together.
fn agencies(published: Vec<Published>) -> Vec<Published> {
    let mut agencies: Vec<Published> = Vec::new();
    for one in published {
        match agencies.last_mut().filter(|last| last.agency == one.agency) {
            Some(last) => {
                last.entries += one.entries;
                last.timed += one.timed;
                last.seconds_late += one.seconds_late;
                last.seconds_late_max = last.seconds_late_max.max(one.seconds_late_max);
                last.newest_at = last.newest_at.max(one.newest_at);
                last.newest = last.newest.max(one.newest);
            }
            None => agencies.push(Published { register: String::new(), ..one }),
        }
    }
    agencies
}

fn table(
    texts: &Texts,
    rows: &[Published],
    first: &str,
    link: impl Fn(&Published) -> Option<String>,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(first) {
            table {
                thead { tr {
                    th scope="col" { (first) }
                    th.number scope="col" { (texts.entries) }
                    th scope="col" { (texts.newest) }
                    th.number scope="col" { (texts.average_late) }
                    th.number scope="col" { (texts.worst_late) }
                } }
                tbody { @for row in rows { tr {
                    th scope="row" dir="auto" {
                        @let name = if row.register.is_empty() { &row.agency } else { &row.register };
                        @match link(row) { Some(to) => a href=(to) { (name) }, None => (name) }
                    }
                    td.number { (grouped(row.entries)) }
                    td { @if let Some(seconds) = row.newest_at { (time(seconds)) } }
                    td.number { @match row.seconds_late.checked_div(row.timed) { Some(late) => (span(texts, late)), None => "–" } }
                    td.number { @if row.timed > 0 { (span(texts, row.seconds_late_max)) } @else { "–" } }
                } } }
            }
        }
    }
}

/// `GET /agency/<log>/<agency>`
pub(super) async fn agency(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((hash, agency)): Path<(String, String)>,
) -> Response {
    page(app, reader, move |app, reader| one(app, reader, &hash, &agency)).await
}

fn one(app: &App, reader: &Reader, hash: &str, agency: &str) -> Outcome {
    let texts = reader.lang.texts();
    let log = app.log(hash)?;
    let published = app.index.published(&log.origin, Some(agency))?;
    if published.is_empty() {
        return Err(Failure::NotFound);
    }
    let months = app.index.months(&log.origin, agency)?;
    let of = Query::default().with(Exact::Log, &log.origin).with(Exact::Agency, agency);
    let newest = app.index.search(&of, Place::Newest(None), NEWEST_ROWS)?.rows;
    let keys =
        app.index.search(&of.clone().with(Exact::Kind, "agency"), Place::Newest(None), NEWEST_ROWS)?.rows;
    let typed = format!("agency:\"{agency}\" log:\"{}\"", log.origin);
    let all = format!("/search?{}", query_string(&[("q", &typed)]));
    let feed = |form: &str| format!("/feed/agency/{hash}/{}/{form}", encode(agency));
    let atom = feed("atom");
    let registers: Vec<Published> = published.into_iter().filter(|one| !one.register.is_empty()).collect();
    let volume: Vec<(String, u64)> =
        months.iter().map(|(month, entries, _)| (month.clone(), *entries)).collect();
    let late: Vec<(String, u64)> =
        months.iter().map(|(month, _, late)| (month.clone(), late / DAY_SECONDS)).collect();
    let page = Page { reader, title: agency, here: "", feed: Some(&atom) };
    Ok(page.render(&html! {
        h1 dir="auto" { (agency) }
        p.where {
            a href={ "/log/" (log.hash) } { (log.origin) }
            span { (texts.feed) ": " a href=(atom) { "Atom" } " " a href=(feed("json")) { "JSON" } }
            a href=(all) { (texts.all) }
        }
        h2 { (texts.registers) }
        (table(texts, &registers, texts.register, |one| {
            let typed = format!("agency:\"{agency}\" register:\"{}\"", one.register);
            Some(format!("/search?{}", query_string(&[("q", &typed)])))
        }))
        p.soft { (texts.late_note) }
        (by_month(texts.volume, texts.volume_alt, &volume))
        (by_month(texts.late_by_month, texts.late_by_month_alt, &late))
        @if !keys.is_empty() { h2 { (texts.key_changes) } (hit_list(texts, &keys, &[])) }
        h2 { (texts.newest_entries) }
        (hit_list(texts, &newest, &[]))
    }))
}

/// A chart, where there is more than one month and something to draw.
fn by_month(title: &str, alt: &str, bars: &[(String, u64)]) -> Markup {
    let drawn = bars.len() > 1 && bars.iter().any(|(_, value)| *value > 0);
    html! {
        @if drawn {
            h2 { (title) }
            (chart::bars(bars, &fill(alt, &[&bars[0].0, &bars[bars.len() - 1].0])))
        }
    }
}

//! `/agencies`: who publishes; `/agency/<log>/<agency>`: one of them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::chart::{BARS_MAX, Words};
use super::layout::{Page, span, time};
use super::request::{Reader, encode, query as query_string};
use super::search::hit_list;
use super::texts::{Texts, fill};
use super::{App, Failure, Outcome, chart, page};
use crate::index::amount::grouped;
use crate::index::facet::Exact;
use crate::index::query::Query;
use crate::index::read::{Month, Published};
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
    let volume = |month: &Month| Some(month.entries);
    let late = |month: &Month| month.seconds_late_max.map(|late| late / DAY_SECONDS);
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
        (by_month(texts, [texts.volume, texts.volume_alt, texts.entries], &months, volume))
        (by_month(texts, [texts.late_by_month, texts.late_by_month_alt, texts.delay_days], &months, late))
        @if !keys.is_empty() { h2 { (texts.key_changes) } (hit_list(texts, &keys, &[])) }
        h2 { (texts.newest_entries) }
        (hit_list(texts, &newest, &[]))
    }))
}

/// A chart, where there is more than one month and something to draw.
fn by_month(
    texts: &Texts,
    [heading, alt, column]: [&str; 3],
    months: &[Month],
    value: impl Fn(&Month) -> Option<u64>,
) -> Markup {
    let bars: Vec<(String, Option<u64>)> =
        with_gaps(months).iter().map(|month| (month.month.clone(), value(month))).collect();
    let drawn = bars.len() > 1 && bars.iter().any(|(_, value)| value.is_some_and(|value| value > 0));
    html! {
        @if drawn {
            @let title = fill(alt, &[&bars[0].0, &bars[bars.len() - 1].0]);
            h2 { (heading) }
            (chart::bars(&Words { texts, title: &title, columns: [texts.month, column] }, &bars))
        }
    }
}

/// The last months, with those between them in which nothing is dated; a date that is far from all others opens no gap.
fn with_gaps(months: &[Month]) -> Vec<Month> {
    let last = &months[months.len().saturating_sub(BARS_MAX)..];
    let number = |name: &str| {
        let (year, month) = name.split_once('-')?;
        (year.parse::<usize>().ok()? * 12 + month.parse::<usize>().ok()?).checked_sub(1)
    };
    let numbers: Option<Vec<usize>> = last.iter().map(|month| number(&month.month)).collect();
    let Some([first, .., end]) = numbers.as_deref() else { return last.to_vec() };
    if end.saturating_sub(*first) >= BARS_MAX {
        return last.to_vec();
    }
    let named = |number: usize| format!("{}-{:02}", number / 12, number % 12 + 1);
    let known = |name: &str| last.iter().find(|month| month.month == name).cloned();
    (*first..=*end)
        .map(named)
        .map(|name| known(&name).unwrap_or_else(|| Month { month: name, ..Month::default() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_without_entries_are_gaps_and_a_date_far_away_is_none() {
        let month = |name: &str| Month { month: name.to_owned(), entries: 2, seconds_late_max: Some(0) };
        let shown = |names: &[&str]| {
            let months: Vec<Month> = names.iter().map(|name| month(name)).collect();
            with_gaps(&months).into_iter().map(|month| (month.month, month.entries)).collect::<Vec<_>>()
        };
        let of = |months: &[(&str, u64)]| {
            months.iter().map(|(name, entries)| ((*name).to_owned(), *entries)).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&["2025-11", "2026-02"]),
            of(&[("2025-11", 2), ("2025-12", 0), ("2026-01", 0), ("2026-02", 2)])
        );
        assert_eq!(shown(&["2026-11", "9999-12"]), of(&[("2026-11", 2), ("9999-12", 2)]));
        assert_eq!(shown(&["-001234", "2026-12"]), of(&[("-001234", 2), ("2026-12", 2)]));
        assert_eq!(shown(&["2026-12"]), of(&[("2026-12", 2)]));
        assert!(shown(&[]).is_empty());
    }
}

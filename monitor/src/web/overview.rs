//! `/`: each log's state at a glance; `/log/<log>`: one log.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::chart::Words;
use super::layout::{Page, span, state, time, time_text};
use super::request::Reader;
use super::texts::{Texts, fill};
use super::view::LogView;
use super::{App, Failure, Outcome, chart, page, search};
use crate::index::amount::grouped;
use crate::index::query::Query;
use crate::index::search::Page as Place;

/// Entries that are shown of a log.
const NEWEST_ROWS: usize = 10;

/// `GET /`
pub(super) async fn overview(State(app): State<Arc<App>>, reader: Reader) -> Response {
    page(app, reader, |app, reader| {
        let texts = reader.lang.texts();
        let logs = app.logs();
        let mut cards = Vec::with_capacity(logs.len());
        for log in &logs {
            cards.push(card(app, texts, log)?);
        }
        let hits = app.index.search(&Query::default(), Place::Newest(None), NEWEST_ROWS)?;
        let page = Page { reader, title: texts.overview, here: "/", feed: None };
        Ok(page.render(&html! {
            h1 { (texts.overview) }
            p.lead { (texts.overview_lead) }
            (search::search_box(texts, ""))
            @if logs.is_empty() { p { (texts.no_logs) } }
            @for card in &cards { (card) }
            @if !hits.rows.is_empty() {
                h2 { (texts.newest_entries) }
                (search::hit_list(texts, &hits.rows, &[]))
            }
        }))
    })
    .await
}

/// `GET /log/<log>`
pub(super) async fn log(State(app): State<Arc<App>>, reader: Reader, Path(hash): Path<String>) -> Response {
    page(app, reader, move |app, reader| one_log(app, reader, &hash)).await
}

fn one_log(app: &App, reader: &Reader, hash: &str) -> Outcome {
    let texts = reader.lang.texts();
    let log = app.log(hash)?;
    let newest = Query::default().with(crate::index::facet::Exact::Log, &log.origin);
    let hits = app.index.search(&newest, Place::Newest(None), NEWEST_ROWS)?;
    let card = card(app, texts, &log)?;
    let page = Page { reader, title: &log.origin, here: "", feed: None };
    Ok(page.render(&html! {
        h1 { (log.origin) }
        (card)
        (witnesses(texts, &log))
        (others(texts, &log))
        h2 { (texts.newest_entries) }
        (search::hit_list(texts, &hits.rows, &[]))
        p { a href={ "/search?" (super::request::query(&[("q", &format!("log:\"{}\"", log.origin))])) } { (texts.all) } }
    }))
}

fn card(app: &App, texts: &Texts, log: &LogView) -> Result<Markup, Failure> {
    let indexed = app.index.logs()?.into_iter().find(|one| one.origin == log.origin);
    let next = indexed.map_or(0, |one| one.next);
    let verified = log.verified.as_ref().map_or(0, |(size, _)| *size);
    let growth = app.index.growth(&log.origin)?;
    let published = app.index.published(&log.origin, None)?;
    let timed: u64 = published.iter().map(|one| one.timed).sum();
    let late: u64 = published.iter().map(|one| one.seconds_late).sum();
    let late_max = published.iter().map(|one| one.seconds_late_max).max().unwrap_or(0);
    Ok(html! {
        section.panel {
            h2 { a href={ "/log/" (log.hash) } { (log.origin) } " " (state(texts, log.state)) }
            @if !log.reason.is_empty() { p { (log.reason) } }
            dl {
                dt { (texts.verified_entries) } dd { (grouped(verified)) }
                dt { (texts.indexed_entries) } dd {
                    (grouped(next))
                    @if next < verified { " " span.soft { (fill(texts.indexing_behind, &[&grouped(verified - next)])) } }
                }
                @if let Some(seconds) = log.head_time { dt { (texts.newest_head) } dd { (time(i64::try_from(seconds).unwrap_or(0))) } }
                @if let Some(rate) = log.entries_per_second { dt { (texts.rate) } dd { (grouped(rate)) } }
                @if let Some(left) = log.seconds_left { dt { (texts.time_left) } dd { (span(texts, left)) } }
                @if !log.witnesses.is_empty() {
                    @let signed = log.witnesses.iter().filter(|(_, seen)| seen.is_some()).count();
                    dt { (texts.witnesses) }
                    dd { (fill(texts.witnesses_signed, &[&signed.to_string(), &log.witnesses.len().to_string()])) }
                }
                dt { (texts.open_alarms) } dd {
                    @if log.alarms.is_empty() && log.evidence.is_empty() { (texts.no_alarms) }
                    @else { a.badge href="/evidence" { (log.alarms.len() + log.evidence.len()) } }
                }
                @if !published.is_empty() {
                    dt { (texts.publication) }
                    dd { @match late.checked_div(timed) {
                        Some(average) => (fill(texts.time_to_publication, &[&span(texts, average), &span(texts, late_max)])),
                        None => span.soft { (texts.time_to_publication_none) },
                    } }
                }
            }
            @if growth.len() > 1 {
                h3 { (texts.growth) }
                (growth_chart(texts, &growth))
            }
        }
    })
}

fn growth_chart(texts: &Texts, points: &[(u64, u64)]) -> Markup {
    let (first, last) = (points.first().map_or(0, |point| point.0), points.last().map_or(0, |point| point.0));
    let title = fill(texts.growth_alt, &[&time_text(first), &time_text(last)]);
    chart::line(&Words { texts, title: &title, columns: [texts.time, texts.entries] }, points)
}

/// What witnesses and other monitors were last seen to hold.
fn others(texts: &Texts, log: &LogView) -> Markup {
    let said = |answer: &'static str| {
        texts.answers.iter().find(|(code, _)| *code == answer).map_or(answer, |(_, text)| *text)
    };
    html! {
        @if !log.others.is_empty() {
            h2 { (texts.others) }
            div.scroll tabindex="0" role="group" aria-label=(texts.others) { table {
                thead { tr { th scope="col" { (texts.other) } th scope="col" { (texts.other_said) } } }
                tbody { @for (url, answer) in &log.others { tr {
                    th scope="row" { (url) }
                    td {
                        @if ["contradiction", "refused", "silent"].contains(answer) { span.badge { (said(answer)) } }
                        @else { (said(answer)) }
                    }
                } } }
            } }
        }
    }
}

fn witnesses(texts: &Texts, log: &LogView) -> Markup {
    html! {
        h2 { (texts.witnesses) }
        @if log.witnesses.is_empty() { p { (texts.no_witnesses) } }
        @else {
            div.scroll tabindex="0" role="group" aria-label=(texts.witnesses) { table {
                thead { tr { th scope="col" { (texts.witness) } th scope="col" { (texts.last_signed) } } }
                tbody { @for (name, seen) in &log.witnesses { tr {
                    th scope="row" { (name) }
                    td { @match seen {
                        Some(seconds) => (time(i64::try_from(*seconds).unwrap_or(0))),
                        None => span.badge { (texts.never) },
                    } }
                } } }
            } }
        }
        details { summary { (texts.policy) } p { (texts.policy_help) } pre { (log.policy) } }
    }
}

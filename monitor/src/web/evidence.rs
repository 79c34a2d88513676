//! `/evidence`: what logs were caught at, and open alarms; `/health`: whether this monitor itself works.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{Page, state, time, time_text};
use super::request::Reader;
use super::texts::{Texts, fill};
use super::{App, Failure, page};
use crate::index::amount::grouped;
use crate::watch::store::ChannelState;

/// `evidence/<id>.evidence` as an address.
fn address(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("/evidence/{}", super::request::encode(name.strip_suffix(".evidence").unwrap_or(name)))
}

/// `GET /evidence`
pub(super) async fn evidence(State(app): State<Arc<App>>, reader: Reader) -> Response {
    page(app, reader, |app, reader| {
        let texts = reader.lang.texts();
        let logs = app.logs();
        let none = logs.iter().all(|log| log.evidence.is_empty());
        let page = Page { reader, title: texts.evidence, here: "/evidence", feed: None };
        Ok(page.render(&html! {
            h1 { (texts.evidence) }
            p.lead { (texts.evidence_lead) }
            @if none { p { (texts.no_evidence) } }
            @for log in logs.iter().filter(|log| !log.evidence.is_empty()) {
                h2 { (log.origin) " " (state(texts, log.state)) }
                ul { @for one in &log.evidence { li {
                    a href=(address(&one.file)) { (texts.accusation(&one.form, &log.origin)) } " "
                    code { (one.file) }
                } } }
                p { (texts.evidence_check) ":" }
                pre { "daybook-monitor verify-evidence FILE --policy policy.txt" }
            }
            h2 { (texts.alarms) }
            @if logs.iter().all(|log| log.alarms.is_empty()) { p { (texts.no_alarms) } }
            @for log in logs.iter().filter(|log| !log.alarms.is_empty()) {
                h3 { (log.origin) }
                ul { @for alarm in &log.alarms {
                    li {
                        strong { (texts.alarm(&alarm.kind, &alarm.subject, &log.origin)) } ". " (alarm.detail) " "
                        span.soft { code { (alarm.kind) } " " (fill(texts.alarm_since, &[&time_text(alarm.first_seen / 1000)])) }
                    }
                } }
            }
        }))
    })
    .await
}

/// `GET /health`
pub(super) async fn health(State(app): State<Arc<App>>, reader: Reader) -> Response {
    page(app, reader, |app, reader| {
        let texts = reader.lang.texts();
        let (logs, indexed) = (app.logs(), app.index.logs()?);
        let troubles = app.desk.troubles.all();
        let channels = channels(app)?;
        let page = Page { reader, title: texts.health, here: "/health", feed: None };
        Ok(page.render(&html! {
            h1 { (texts.health) }
            p.lead { (texts.health_lead) }
            div.scroll tabindex="0" role="group" aria-label=(texts.health) { table {
                thead { tr {
                    th scope="col" { (texts.log) } th scope="col" { (texts.state) }
                    th.number scope="col" { (texts.verified_entries) } th.number scope="col" { (texts.indexed_entries) }
                } }
                tbody { @for log in &logs { tr {
                    th scope="row" { a href={ "/log/" (log.hash) } { (log.origin) } }
                    td { (state(texts, log.state)) " " (log.reason) }
                    td.number { (grouped(log.verified.as_ref().map_or(0, |(size, _)| *size))) }
                    td.number { (grouped(indexed.iter().find(|one| one.origin == log.origin).map_or(0, |one| one.next))) }
                } } }
            } }
            @for (part, trouble) in &troubles { p.badge role="alert" { (part) ": " (trouble) } }
            h2 { (texts.channels) }
            @if channels.is_empty() { p { (texts.no_channels) } }
            @else { (channel_table(texts, &channels, false)) }
            h2 { (texts.download) }
            p { a href="/export/sqlite" { (texts.whole_index) } " – " span.soft { (texts.whole_index_help) } }
        }))
    })
    .await
}

pub(super) fn channels(app: &App) -> Result<Vec<ChannelState>, Failure> {
    Ok(app.desk.channels.iter().map(|name| app.desk.engine.store.channel(name)).collect::<Result<_, _>>()?)
}

/// How the channels do; why they fail only for whoever may edit.
pub(super) fn channel_table(texts: &Texts, channels: &[ChannelState], why: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(texts.channels) { table {
            thead { tr {
                th scope="col" { (texts.channel) } th scope="col" { (texts.state) } th scope="col" { (texts.last_delivery) }
            } }
            tbody { @for channel in channels { tr {
                th scope="row" { (channel.name) }
                td {
                    @match &channel.error {
                        Some(error) => span.badge { (fill(texts.channel_failing, &[if why { error } else { "" }])) },
                        None => (texts.channel_ok),
                    }
                    @if channel.waiting > 0 { " · " (fill(texts.channel_waiting, &[&channel.waiting.to_string()])) }
                }
                td { @match channel.delivered_at { Some(at) => (time(i64::try_from(at).unwrap_or(0))), None => (texts.never) } }
            } } }
        } }
    }
}

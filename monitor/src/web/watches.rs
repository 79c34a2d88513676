//! `/watches`: what is watched and what was found; editing, for whoever holds the token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Form, FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access::{self, Right};
use super::evidence::{channel_table, channels};
use super::layout::{Page, time};
use super::request::{Reader, query as query_string};
use super::texts::Texts;
use super::{App, Failure, Outcome, page, record};
use crate::channel::feed::{Feed, Item};
use crate::history::Change;
use crate::watch::engine::EngineError;
use crate::watch::message::Found;
use crate::watch::rule::{Wanted, When, names, watch_for};
use crate::watch::store::{Hit, Watch};

/// The longest form: a list of names.
const FORM_BYTES_MAX: usize = 1 << 20;
/// How long a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
/// Finds on a watch's page.
const HITS_SHOWN_MAX: usize = 100;
/// Finds in a watch's feed.
const FEED_ITEMS_MAX: usize = 50;
/// Names of one import.
const IMPORT_NAMES_MAX: usize = 2_000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    form: String,
    token: String,
    name: String,
    when: String,
    query: String,
    pattern: String,
    days: String,
    since: String,
    channels: String,
    names: String,
}

impl Fields {
    fn channels(&self) -> Vec<String> {
        self.channels.split([' ', ',', ';']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn wanted(&self) -> Wanted {
        let query = self.query.trim().to_owned();
        let name = if self.name.trim().is_empty() { query.clone() } else { self.name.trim().to_owned() };
        Wanted {
            name,
            when: When::parse(&self.when).unwrap_or_default(),
            query,
            pattern: Some(self.pattern.clone()).filter(|pattern| !pattern.is_empty()),
            days: self.days.trim().parse().ok(),
            since: Some(self.since.trim().to_owned()).filter(|since| !since.is_empty()),
            channels: self.channels(),
        }
    }
}

/// Reads a form, bounded in size and time, and whether it is meant by whoever may.
async fn form<T: DeserializeOwned>(request: Request) -> Result<(HeaderMap, T), Failure> {
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(FORM_TIMEOUT, to_bytes(body, FORM_BYTES_MAX)).await;
    let Ok(Ok(bytes)) = read else {
        return Err(Failure::Refused("the form is too long, or took too long".to_owned()));
    };
    let headers = parts.headers.clone();
    let request = Request::from_parts(parts, Body::from(bytes));
    let Form(fields) =
        Form::<T>::from_request(request, &()).await.map_err(|error| Failure::Refused(error.body_text()))?;
    Ok((headers, fields))
}

async fn edit(
    app: Arc<App>,
    reader: Reader,
    request: Request,
    work: impl FnOnce(&App, &Fields) -> Outcome + Send + 'static,
) -> Response {
    let (headers, fields) = match form::<Fields>(request).await {
        Ok(read) => read,
        Err(failure) => return super::failed(&failure, &reader),
    };
    if !access::is_meant(&headers, &app.desk.token, &fields.form) {
        return super::failed(&Failure::Forbidden, &reader);
    }
    page(app, reader, move |app, _| work(app, &fields)).await
}

fn refused(error: EngineError) -> Failure {
    match error {
        EngineError::Rule(error) => Failure::Refused(error.to_string()),
        error => {
            tracing::error!(%error, "a watch could not be made");
            Failure::Internal
        }
    }
}

fn to(path: &str) -> Outcome {
    Ok(Redirect::to(path).into_response())
}

/// `POST /watches`
pub(super) async fn add(State(app): State<Arc<App>>, reader: Reader, request: Request) -> Response {
    edit(app, reader, request, |app, fields| {
        let id = app.desk.engine.add(&fields.wanted(), app.now()).map_err(refused)?;
        to(&format!("/watches/{id}"))
    })
    .await
}

/// `POST /watches/import`
pub(super) async fn import(State(app): State<Arc<App>>, reader: Reader, request: Request) -> Response {
    edit(app, reader, request, |app, fields| {
        let names = names(&fields.names);
        if names.is_empty() || names.len() > IMPORT_NAMES_MAX {
            return Err(Failure::Refused(format!("1 to {IMPORT_NAMES_MAX} names can be imported at a time")));
        }
        for name in &names {
            let wanted = watch_for(name, &fields.channels());
            app.desk.engine.add(&wanted, app.now()).map_err(refused)?;
        }
        to("/watches")
    })
    .await
}

/// `POST /watches/<id>/remove`
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    edit(app, reader, request, move |app, _| {
        app.desk.engine.store.remove(id)?;
        to("/watches")
    })
    .await
}

/// `POST /watches/<id>/test`
pub(super) async fn test(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<i64>,
    request: Request,
) -> Response {
    edit(app, reader, request, move |app, _| {
        if !app.desk.engine.test(id, app.now()).map_err(refused)? {
            return Err(Failure::NotFound);
        }
        to(&format!("/watches/{id}?tested=1"))
    })
    .await
}

/// `POST /watches/sign-in`
pub(super) async fn sign_in(State(app): State<Arc<App>>, reader: Reader, request: Request) -> Response {
    let fields = match form::<Fields>(request).await {
        Ok((_, fields)) => fields,
        Err(failure) => return super::failed(&failure, &reader),
    };
    if !access::is_token(&app.desk.token, &fields.token) {
        let detail = reader.lang.texts().wrong_token.to_owned();
        let mut response = super::failed(&Failure::Refused(detail), &reader);
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    let query = fields.query.trim();
    let to = if query.is_empty() {
        "/watches".to_owned()
    } else {
        format!("/watches?{}", query_string(&[("query", query)]))
    };
    signed(Some(&app.desk.token), &app, &to)
}

/// `POST /watches/sign-out`
pub(super) async fn sign_out(State(app): State<Arc<App>>) -> Response {
    signed(None, &app, "/watches")
}

fn signed(token: Option<&str>, app: &App, to: &str) -> Response {
    let cookie = access::set_cookie(token, app.desk.engine.address.starts_with("https://"));
    let mut response = Redirect::to(to).into_response();
    response
        .headers_mut()
        .append(header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("hex and constants"));
    response
}

/// `GET /watches`
pub(super) async fn list(State(app): State<Arc<App>>, reader: Reader, headers: HeaderMap) -> Response {
    page(app, reader, move |app, reader| {
        let texts = reader.lang.texts();
        let (watches, counts) = (app.desk.engine.store.watches()?, app.desk.engine.store.counts()?);
        let may = access::right(&headers, &app.desk.token) != Right::None;
        let channels = channels(app)?;
        let count = |id: i64| counts.iter().find(|(watch, _)| *watch == id).map_or(0, |(_, count)| *count);
        let page = Page { reader, title: texts.watches, here: "/watches", feed: None };
        Ok(page.render(&html! {
            h1 { (texts.watches) }
            p.lead { (texts.watches_lead) }
            @if watches.is_empty() { p { (texts.no_watches) } }
            @else { (table(texts, &watches, count)) }
            @if may && !channels.is_empty() { h2 { (texts.channels) } (channel_table(texts, &channels, true)) }
            @if may { (add_form(texts, app, &asked(reader))) } @else { (sign_in_form(texts, &asked(reader))) }
        }))
    })
    .await
}

fn when_name(texts: &Texts, when: When) -> &'static str {
    texts.watch_rules.iter().find(|(code, _)| *code == when.name()).map_or("", |(_, name)| *name)
}

fn table(texts: &Texts, watches: &[Watch], count: impl Fn(i64) -> u64) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(texts.watches) { table {
            thead { tr {
                th scope="col" { (texts.watch_name) } th scope="col" { (texts.watch_rule) }
                th scope="col" { (texts.watch_query) } th.number scope="col" { (texts.watch_hits) }
                th scope="col" { (texts.feed) }
            } }
            tbody { @for watch in watches { tr {
                th scope="row" dir="auto" { a href={ "/watches/" (watch.id) } { (watch.wanted.name) } }
                td { (when_name(texts, watch.wanted.when)) @if let Some(days) = watch.wanted.days { " (" (days) ")" } }
                td { code { (watch.wanted.query) } }
                td.number { (count(watch.id)) }
                td { a href={ "/feed/watch/" (watch.id) "/atom" } { "Atom" } " " a href={ "/feed/watch/" (watch.id) "/json" } { "JSON" } }
            } } }
        } }
    }
}

fn hidden(app: &App) -> Markup {
    html! { input type="hidden" name="form" value=(access::form_value(&app.desk.token)); }
}

/// The search that is to be watched.
fn asked(reader: &Reader) -> String {
    let asked = reader.here.split_once("query=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or(""));
    percent_decode(asked)
}

fn add_form(texts: &Texts, app: &App, query: &str) -> Markup {
    html! {
        section.panel {
            h2 { (texts.watch_add) }
            form.search action="/watches" method="post" {
                (hidden(app))
                div.wide { label for="query" { (texts.watch_query) } input id="query" name="query" value=(query) maxlength="2000" autocapitalize="none"; }
                div { label for="name" { (texts.watch_name) } input id="name" name="name" maxlength="200"; }
                div {
                    label for="when" { (texts.watch_rule) }
                    select id="when" name="when" { @for (code, name) in texts.watch_rules { option value=(code) { (name) } } }
                }
                div { label for="days" { (texts.watch_days) } input id="days" name="days" type="number" min="1" max="3650"; }
                div { label for="since" { (texts.from_day) } input id="since" name="since" type="date"; }
                div { label for="pattern" { (texts.watch_pattern) } input id="pattern" name="pattern" maxlength="1000" autocapitalize="none"; }
                (channels_field(texts, app, "channels"))
                button type="submit" { (texts.watch_add) }
            }
        }
        details {
            summary { (texts.watch_import) }
            form.search action="/watches/import" method="post" {
                (hidden(app))
                div.wide { label for="names" { (texts.watch_import_help) } textarea id="names" name="names" rows="6" {} }
                (channels_field(texts, app, "import-channels"))
                button type="submit" { (texts.watch_import) }
            }
        }
        form action="/watches/sign-out" method="post" { button.plain type="submit" { (texts.sign_out) } }
    }
}

fn channels_field(texts: &Texts, app: &App, id: &str) -> Markup {
    html! {
        div {
            label for=(id) { (texts.watch_channels) }
            input id=(id) name="channels" value=(app.desk.channels.join(" ")) aria-describedby={ (id) "-help" } autocapitalize="none";
            small.soft id={ (id) "-help" } { (texts.watch_channels_help) }
        }
    }
}

/// Whoever came to watch a search finds it open, and the search again behind it.
fn sign_in_form(texts: &Texts, query: &str) -> Markup {
    html! {
        details open[!query.is_empty()] {
            summary { (texts.sign_in) }
            form.search action="/watches/sign-in" method="post" {
                input type="hidden" name="query" value=(query);
                div.wide { label for="token" { (texts.token) } input id="token" name="token" type="password" autocomplete="current-password"; }
                button type="submit" { (texts.sign_in) }
            }
            p.soft { (texts.token_help) }
        }
    }
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (high, low) = (hex(bytes.next()), hex(bytes.next()));
                out.extend(high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()));
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(app: &App, id: i64) -> Result<Watch, Failure> {
    let watches = app.desk.engine.store.watches()?;
    watches.into_iter().find(|watch| watch.id == id).ok_or(Failure::NotFound)
}

/// `GET /watches/<id>`
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Response {
    page(app, reader, move |app, reader| one(app, reader, id, &headers)).await
}

fn one(app: &App, reader: &Reader, id: i64, headers: &HeaderMap) -> Outcome {
    let texts = reader.lang.texts();
    let watch = find(app, id)?;
    let hits = app.desk.engine.store.hits(id, HITS_SHOWN_MAX)?;
    let may = access::right(headers, &app.desk.token) != Right::None;
    let feed = format!("/feed/watch/{id}/atom");
    let search = format!("/search?{}", query_string(&[("q", &watch.wanted.query)]));
    let page = Page { reader, title: &watch.wanted.name, here: "", feed: Some(&feed) };
    Ok(page.render(&html! {
        h1 dir="auto" { (watch.wanted.name) }
        @if reader.here.contains("tested=1") { p role="status" { (texts.watch_tested) } }
        dl {
            dt { (texts.watch_rule) } dd { (when_name(texts, watch.wanted.when)) @if let Some(days) = watch.wanted.days { " (" (days) ")" } }
            dt { (texts.watch_query) } dd { a href=(search) { code { (watch.wanted.query) } } }
            @if let Some(since) = &watch.wanted.since { dt { (texts.from_day) } dd { (since) } }
            @if let Some(pattern) = &watch.wanted.pattern { dt { (texts.watch_pattern) } dd { code { (pattern) } } }
            dt { (texts.feed) } dd { a href=(feed) { "Atom" } " " a href={ "/feed/watch/" (id) "/json" } { "JSON Feed" } }
            @if may && !watch.wanted.channels.is_empty() { dt { (texts.watch_channels) } dd { (watch.wanted.channels.join(", ")) } }
        }
        @if may {
            div.actions {
                form action={ "/watches/" (id) "/test" } method="post" { (hidden(app)) button type="submit" { (texts.watch_test) } }
                form action={ "/watches/" (id) "/remove" } method="post" { (hidden(app)) button.plain type="submit" { (texts.watch_remove) } }
            }
        }
        h2 { (texts.watch_hits) }
        @if hits.is_empty() { p { (texts.watch_no_hits) } }
        ol.hits { @for hit in &hits { li { (hit_item(texts, hit)) } } }
        @if hits.len() >= HITS_SHOWN_MAX { p.soft { (texts.watch_searching) } }
    }))
}

fn hit_item(texts: &Texts, hit: &Hit) -> Markup {
    let found: Found = serde_json::from_str(&hit.body).unwrap_or_default();
    // The page on this monitor, under whatever name the reader has for it.
    let link = match (&found.log, found.index) {
        (Some(log), Some(index)) => Some(record::path(&super::search::log_hash(log), index)),
        (Some(_), None) => Some("/evidence".to_owned()),
        _ => None,
    };
    let changes: Vec<Change> = found
        .changes
        .iter()
        .map(|one| Change { path: one.path.clone(), old: one.old.clone(), new: one.new.clone() })
        .collect();
    html! {
        h2 dir="auto" { @match &link { Some(link) => a href=(link) { (found.title) }, None => (found.title) } }
        p.where {
            span { (texts.watch_events.iter().find(|(code, _)| *code == found.event).map_or(found.event.as_str(), |(_, name)| *name)) }
            @if hit.past { span { (texts.watch_past) } } @else { span { (time(i64::try_from(hit.at).unwrap_or(0))) } }
            @if let Some(agency) = &found.agency { span dir="auto" { (agency) } }
            @if let Some(log) = &found.log { span { (log) @if let Some(index) = found.index { " #" (index) } } }
        }
        @if changes.is_empty() { p.snippet dir="auto" { (found.text) } } @else { (record::change_table(texts, &changes)) }
    }
}

/// `GET /feed/watch/<id>/<form>`
pub(super) async fn feed(
    State(app): State<Arc<App>>,
    reader: Reader,
    Path((id, form)): Path<(i64, String)>,
) -> Response {
    page(app, reader, move |app, _| {
        let watch = find(app, id)?;
        let hits = app.desk.engine.store.hits(id, FEED_ITEMS_MAX)?;
        let address = &app.desk.engine.address;
        let feed = Feed {
            id: format!("{address}/feed/watch/{id}"),
            title: watch.wanted.name.clone(),
            page: format!("{address}/watches/{id}"),
            atom_address: format!("{address}/feed/watch/{id}/atom"),
            json_address: format!("{address}/feed/watch/{id}/json"),
            items: hits.iter().map(|hit| item(address, id, hit)).collect(),
            now: i64::try_from(watch.made_at).unwrap_or(0),
        };
        super::export::written(&form, &feed)
    })
    .await
}

fn item(address: &str, watch: i64, hit: &Hit) -> Item {
    let found: Found = serde_json::from_str(&hit.body).unwrap_or_default();
    Item {
        id: format!("{address}/feed/watch/{watch}#{}", hit.id),
        title: format!("{}: {}", found.event, found.title),
        link: found.link.clone(),
        updated: i64::try_from(hit.at).unwrap_or(0),
        author: found
            .agency
            .clone()
            .or_else(|| found.log.clone())
            .unwrap_or_else(|| "daybook-monitor".to_owned()),
        text: found.to_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_nonsense_harms_nobody() {
        assert_eq!(percent_decode(&super::super::request::encode("北京 \"a&b\"")), "北京 \"a&b\"");
        assert_eq!(percent_decode("a+b%"), "a b");
        assert_eq!(percent_decode("%zz%4"), "");
    }
}

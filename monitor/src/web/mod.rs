//! Pages for people: everything verified, searchable in a browser, without a script being needed.
//!
//! | Room | Does |
//! |---|---|
//! | [`view`] | what the pages ask of the part that verifies |
//! | [`texts`] | every text, in every language |
//! | [`front`] | one listener for programs and for people |
//! | `layout`, `overview`, `search`, `record`, `proof`, `agency`, `watches`, `evidence`, `export` | the pages |
//! | `download` | the whole index as a file |
//! | `access` | who may edit watches |
//! | `chart` | drawings |
//! | `assets` | style sheet and script |
//!
//! What comes from a log is escaped by construction: pages are made by a macro that escapes every value, and the
//! content security policy allows no script and no style but our own two files. Nothing is loaded from elsewhere.
//!
//! Absent on purpose: verification, and any way for a reader to change something without the token.

mod access;
mod agency;
mod assets;
mod bundle;
mod chart;
mod chinese;
mod download;
mod english;
mod evidence;
mod export;
pub mod front;
mod layout;
mod overview;
mod proof;
mod record;
mod request;
mod search;
#[cfg(test)]
mod tests;
pub mod texts;
pub mod view;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daemon::clock::Clock;
use http::{HeaderValue, StatusCode, header};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use crate::index::{Index, IndexError};
use crate::newsroom::Troubles;
use crate::watch::Engine;
use crate::watch::store::WatchError;
use download::Downloads;
use layout::Page;
use request::Reader;
use view::{LogView, Verified};

/// Pages that read the disk at the same time.
const PAGES_MAX: usize = 16;
/// Registers that are held in memory at the same time, to be made into a file.
const REGISTERS_MAX: usize = 1;
/// Pages that wait for their turn.
const WAITING_MAX: usize = 512;
/// How long a page may wait for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What the pages need.
#[derive(Debug)]
pub struct App {
    /// The index.
    pub index: Arc<Index>,
    /// The part that verifies.
    pub verified: Verified,
    /// Watches, and who may edit them.
    pub desk: Desk,
    downloads: Downloads,
    clock: ClockOf,
    turns: Semaphore,
    queue: Semaphore,
    /// Registers that are made into a file at the same time.
    registers: Semaphore,
}

/// Watches, and who may edit them.
pub struct Desk {
    /// The watches.
    pub engine: Engine,
    /// The names of the channels.
    pub channels: Vec<String>,
    /// Whoever holds it may edit.
    pub token: String,
    /// What is wrong at the moment.
    pub troubles: Troubles,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("channels", &self.channels).finish_non_exhaustive()
    }
}

struct ClockOf(Arc<dyn Clock>);

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// The pages as a service for the listener.
pub type Pages = TowerToHyperService<Router>;

/// Why there is no page.
#[derive(Debug)]
enum Failure {
    NotFound,
    Forbidden,
    Refused(String),
    Busy,
    Internal,
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        tracing::error!(%error, "a page could not be made");
        Self::Internal
    }
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        tracing::error!(%error, "a page could not be made");
        Self::Internal
    }
}

type Outcome = Result<Response, Failure>;

impl App {
    /// What the pages need.
    #[must_use]
    pub fn new(verified: Verified, desk: Desk, clock: Arc<dyn Clock>) -> Self {
        let (turns, queue) = (Semaphore::new(PAGES_MAX), Semaphore::new(PAGES_MAX + WAITING_MAX));
        let index = Arc::clone(&desk.engine.index);
        let downloads = Downloads::new(&index);
        let registers = Semaphore::new(REGISTERS_MAX);
        Self { index, verified, desk, downloads, clock: ClockOf(clock), turns, queue, registers }
    }

    /// The address under which readers reach this monitor.
    fn address(&self) -> &str {
        &self.desk.engine.address
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        self.clock.0.unix_millis() / 1000
    }

    fn logs(&self) -> Vec<LogView> {
        (self.verified.logs)()
    }

    /// A followed log, by its name in paths.
    fn log(&self, hash: &str) -> Result<LogView, Failure> {
        self.logs().into_iter().find(|log| log.hash == hash).ok_or(Failure::NotFound)
    }
}

/// Makes a page on a blocking thread, when its turn has come.
async fn page(
    app: Arc<App>,
    reader: Reader,
    work: impl FnOnce(&App, &Reader) -> Outcome + Send + 'static,
) -> Response {
    let asked = reader.clone();
    let outcome = async {
        let _place = app.queue.try_acquire().map_err(|_| Failure::Busy)?;
        let turn = tokio::time::timeout(WAIT_MAX, app.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Failure::Busy) };
        let shared = Arc::clone(&app);
        let made = tokio::task::spawn_blocking(move || work(&shared, &reader)).await;
        made.unwrap_or(Err(Failure::Internal))
    };
    match outcome.await {
        Ok(response) => response,
        Err(failure) => failed(&failure, &asked),
    }
}

fn failed(failure: &Failure, reader: &Reader) -> Response {
    let texts = reader.lang.texts();
    let (status, title, detail) = match failure {
        Failure::NotFound => (StatusCode::NOT_FOUND, texts.not_found, texts.not_found_detail),
        Failure::Forbidden => (StatusCode::FORBIDDEN, texts.forbidden, texts.forbidden_detail),
        Failure::Refused(detail) => (StatusCode::BAD_REQUEST, texts.bad_request, detail.as_str()),
        Failure::Busy => (StatusCode::SERVICE_UNAVAILABLE, texts.busy, texts.busy_detail),
        Failure::Internal => (StatusCode::INTERNAL_SERVER_ERROR, texts.failed, texts.failed_detail),
    };
    let page = Page { reader, title, here: "", feed: None };
    let mut response = page.render(&maud::html! { h1 { (title) } p { (detail) } });
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

/// The pages, as a router.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview::overview))
        .route("/search", get(search::search))
        .route("/log/{log}", get(overview::log))
        .route("/log/{log}/{index}", get(record::record))
        .route("/log/{log}/{index}/entry", get(record::entry))
        .route("/log/{log}/{index}/receipt", get(record::receipt))
        .route("/log/{log}/{index}/bundle.zip", get(record::bundle))
        .route("/agencies", get(agency::list))
        .route("/agency/{log}/{agency}", get(agency::agency))
        .route("/evidence", get(evidence::evidence))
        .route("/health", get(evidence::health))
        .route("/export/sqlite", get(download::index))
        .route("/export/{form}", get(export::export))
        .route("/feed/agency/{log}/{agency}/{form}", get(export::agency_feed))
        .route("/watches", get(watches::list).post(watches::add))
        .route("/watches/import", post(watches::import))
        .route("/watches/sign-in", post(watches::sign_in))
        .route("/watches/sign-out", post(watches::sign_out))
        .route("/watches/{id}", get(watches::watch))
        .route("/watches/{id}/remove", post(watches::remove))
        .route("/watches/{id}/test", post(watches::test))
        .route("/feed/watch/{id}/{form}", get(watches::feed))
        .route("/assets/{name}", get(assets::asset))
        .fallback(async |reader: Reader| failed(&Failure::NotFound, &reader))
        .layer(middleware::from_fn(guard))
        .with_state(app)
}

/// The pages, for the listener.
#[must_use]
pub fn pages(app: Arc<App>) -> Pages {
    TowerToHyperService::new(router(app))
}

/// Headers of every answer; and a language that was chosen is remembered.
async fn guard(request: Request, next: Next) -> Response {
    let chosen = request::chosen_language(request.uri());
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, layout::SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("cookie, accept-language"));
    }
    if let Some(lang) = chosen {
        let cookie = format!("lang={}; Path=/; Max-Age=31536000; SameSite=Lax", lang.code());
        headers.append(header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("a constant"));
    }
    response
}

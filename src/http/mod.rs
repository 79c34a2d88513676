//! The log over HTTP: the only room that knows methods, paths, headers and status codes.
//!
//! A request is parsed into a [`route::Route`] first; what is no route is 404, and only then the method is
//! looked at. What may touch the disk runs on blocking threads, a bounded number at a time, so that a slow disk
//! never stops the listener. Tiles and the checkpoint follow C2SP tlog-tiles; `/ct/v1` follows RFC 6962, 4.
//!
//! Absent on purpose: the metrics and health endpoints, which have a listener of their own ([`health`]).

mod add;
mod answer;
mod ct;
mod error;
mod events;
pub mod health;
mod html;
mod limiter;
mod page;
mod proof;
pub mod records;
pub mod route;
mod texts;
mod tiles;

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::{Clock, Random};
use daemon::listen::body::Budget;
use daemon::metrics::Metrics;
use daemon::problem::Problem;
use http::{HeaderValue, Method, Request, header};
use hyper::body::Incoming;
use prometheus::{Histogram, IntCounterVec};
use record::ids::AgencyId;
use tokio::sync::Semaphore;

use crate::log::Log;
use crate::prove::Prover;
use crate::reader::Reader;
pub use answer::AnswerBody;
use answer::{Answer, holding, length, without_body};
use limiter::Limiter;
use records::downloads::Downloads;
use records::receipts::ReceiptDesk;
use route::Route;
use texts::Language;

/// Requests that read the disk at the same time.
const DISK_READS_MAX: usize = 32;
/// Requests that wait for their turn to read the disk.
const DISK_READS_WAITING_MAX: usize = 2048;
/// Bodies of submissions that are on their way, all together.
const BODIES_BYTES_MAX: usize = 64 << 20;
/// Long answers that are on their way, all together.
const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// An answer up to this long is not counted.
const SHORT_ANSWER_BYTES: usize = 64 << 10;
/// A submission that is not published after this long is answered with "unknown"; it may still be.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a request gets, or why not.
type Outcome = Result<Answer, Problem>;

/// Everything that request handlers need.
pub struct App {
    log: Arc<Log>,
    reader: Arc<Reader>,
    prover: Prover<Arc<Reader>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    subscribers: Arc<Semaphore>,
    page: page::Page,
    turns: Semaphore,
    queue: Semaphore,
    bodies: Budget,
    answers: Budget,
    requests: IntCounterVec,
    responses: IntCounterVec,
    added: IntCounterVec,
    add_seconds: Histogram,
    networks: Limiter<IpAddr>,
    agencies: Limiter<AgencyId>,
    desk: ReceiptDesk,
    downloads: Arc<Downloads>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("log", &self.log.dir).finish_non_exhaustive()
    }
}

/// The service for the public listener.
#[derive(Clone, Debug)]
pub struct HttpService(Arc<App>);

impl HttpService {
    /// Serves this log.
    #[must_use]
    pub fn new(log: Arc<Log>, clock: &Arc<dyn Clock>, random: Arc<dyn Random>, metrics: &Metrics) -> Self {
        let limits = &log.config.limits;
        let reader = Arc::new(Reader::new(Arc::clone(&log.tiles), log.config.storage.tile_cache.0));
        Self(Arc::new(App {
            prover: Prover::new(Arc::clone(&reader)),
            reader,
            clock: Arc::clone(clock),
            random,
            subscribers: Arc::new(Semaphore::new(events::SUBSCRIBERS_MAX)),
            page: page::Page::new(&log),
            turns: Semaphore::new(DISK_READS_MAX),
            queue: Semaphore::new(DISK_READS_WAITING_MAX),
            bodies: Budget::new(BODIES_BYTES_MAX),
            answers: Budget::new(ANSWERS_BYTES_MAX),
            requests: metrics.counters("daybook_http_requests_total", "Requests by route.", "route"),
            responses: metrics.counters("daybook_http_responses_total", "Responses by status.", "status"),
            added: metrics.counters("daybook_entries_answered_total", "Entries by outcome.", "outcome"),
            add_seconds: metrics.seconds(
                "daybook_add_seconds",
                "From the last byte of a submission to its answer, in seconds.",
            ),
            networks: Limiter::new(limits.network_statements_per_second_max, Arc::clone(clock)),
            agencies: Limiter::new(limits.agency_statements_per_second_max, Arc::clone(clock)),
            desk: ReceiptDesk::default(),
            downloads: Downloads::new(limits.network_downloads_max),
            log,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for HttpService {
    type Response = http::Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let app = Arc::clone(&self.0);
        Box::pin(async move { Ok(app.respond(request).await) })
    }
}

impl App {
    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let head = *request.method() == Method::HEAD;
        let queried = request.uri().query().is_some();
        let reader = html::reads_pages(request.headers());
        let app = Arc::clone(&self);
        let outcome = app.route(request).await;
        let outcome = if head { outcome.map(without_body) } else { self.counted(outcome).await };
        let mut answer = outcome.unwrap_or_else(|problem| {
            let said = match reader {
                Some(language) => html::error_page(problem, language.texts()),
                None => problem.into_response().map(AnswerBody::Whole),
            };
            if head { without_body(said) } else { said }
        });
        if queried {
            answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        let nosniff = HeaderValue::from_static("nosniff");
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        self.responses.with_label_values(&[answer.status().as_str()]).inc();
        answer
    }

    /// Counts a long answer for as long as it is on its way: clients that read slowly must not fill the memory.
    async fn counted(&self, outcome: Outcome) -> Outcome {
        let answer = outcome?;
        let bytes = length(&answer);
        if bytes <= SHORT_ANSWER_BYTES {
            return Ok(answer);
        }
        let permit = self.answers.try_take(bytes).ok_or_else(|| self.busy())?;
        Ok(holding(answer, permit).await)
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let Some(route) = Route::parse(request.uri().path()) else {
            self.requests.with_label_values(&["none"]).inc();
            return Err(error::no_such_path());
        };
        self.requests.with_label_values(&[route.label()]).inc();
        let allowed = match (&route, request.method()) {
            (Route::Add | Route::AddBatch, method) => *method == Method::POST,
            (Route::Records(route), method) => {
                route.methods().split(", ").any(|allowed| allowed == method.as_str())
            }
            (_, method) => matches!(*method, Method::GET | Method::HEAD),
        };
        if !allowed {
            return Err(error::wrong_method(&route));
        }
        match route {
            Route::Checkpoint => Ok(self.checkpoint()),
            Route::Tile(path) => self.tile(path, request.headers()).await,
            Route::Add => self.add(request).await,
            Route::AddBatch => self.add_batch(request).await,
            Route::Inclusion { index, size } => {
                let json = answer::prefers_json(request.headers());
                self.on_disk(move |app| app.inclusion(index, size, json)).await
            }
            Route::Consistency { old, new } => {
                let json = answer::prefers_json(request.headers());
                self.on_disk(move |app| app.consistency(old, new, json)).await
            }
            Route::Entry(index) => {
                let form = proof::EntryForm::of(request.headers());
                self.on_disk(move |app| app.entry(index, form)).await
            }
            Route::EntryByHash(leaf) => {
                let form = proof::EntryForm::of(request.headers());
                self.on_disk(move |app| app.entry_by_hash(&leaf, form)).await
            }
            Route::Ct(call) => {
                let query = request.uri().query().unwrap_or("").to_owned();
                self.on_disk(move |app| app.ct(call, &query)).await
            }
            Route::Events => self.events(request.headers()),
            Route::Records(route) => self.records_route(route, request).await,
            Route::LogJson => Ok(self.page.json(&self.log.published())),
            Route::Start => Ok(self.page.html(&self.log.published(), Language::of(request.headers()))),
        }
    }

    /// Runs what reads the disk on a blocking thread, when its turn has come.
    async fn on_disk(self: Arc<Self>, work: impl FnOnce(&Self) -> Outcome + Send + 'static) -> Outcome {
        let Ok(_place) = self.queue.try_acquire() else { return Err(self.busy()) };
        self.run_blocking(work).await?
    }

    /// Runs work on a blocking thread when its turn has come, however long that takes. For what has to be answered.
    async fn run_blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(_turn) = self.turns.acquire().await else { return Err(self.busy()) };
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(|_| error::internal())
    }

    fn retry_seconds(&self, base: u32) -> u32 {
        daemon::problem::jittered_seconds(&*self.random, base)
    }

    fn busy(&self) -> Problem {
        error::busy(self.retry_seconds(1))
    }
}

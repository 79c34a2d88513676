//! A witness over HTTP: the only room that knows methods, paths, headers and status codes.
//!
//! | Method and path | Answer |
//! |---|---|
//! | `POST /add-checkpoint` | cosignature lines (C2SP tlog-witness) |
//! | `POST /sign-subtree` | a cosignature line without a time |
//! | `GET /<SHA-256 of the origin, hex>/checkpoint` | the note that was cosigned last |
//! | `GET /evidence`, `GET /evidence/<id>` | contradictions that were found |
//! | `POST /evidence` | suspect checkpoints, or an evidence file, from anyone |
//! | `GET /witness.json`, `GET /` | the witness about itself |
//!
//! Where one process runs several witnesses, each has a number before its paths: `/1/add-checkpoint`.
//!
//! Absent on purpose: metrics and health, which have a listener of their own.

mod answer;
mod error;
mod evidence;
mod page;
mod route;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::Random;
use daemon::listen::body::{BodyLimits, Budget, Held, read_body_within};
use daemon::metrics::Metrics;
use daemon::problem::Problem;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use prometheus::{Histogram, IntCounterVec};
use tlog::evidence::container::EVIDENCE_BYTES_MAX;
use tlog::hash::Hash;
use tokio::sync::Semaphore;

use crate::witness::{AddError, SubtreeError, Witness};
use answer::{Answer, Caching, TEXT, answer, without_body};
use route::Route;

/// The most bytes of a request to cosign: 16 signatures of 5 kB and a proof take less than half of it.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Memory for bodies that are on their way, of all requests together.
const BODIES_BYTES_MAX: usize = 32 << 20;
/// Memory for answers of more than [`SHORT_BYTES_MAX`] until their last byte is sent: who reads slowly holds it.
const ANSWERS_BYTES_MAX: usize = 64 << 20;
/// Shorter answers are not counted.
const SHORT_BYTES_MAX: usize = 16 * 1024;
/// Requests that read the state at the same time.
const DISK_READS_MAX: usize = 4;
/// Requests that wait for their turn to read the state.
const DISK_READS_WAITING_MAX: usize = 2048;
const BODY_IDLE: Duration = Duration::from_secs(10);
const BODY_TOTAL: Duration = Duration::from_secs(30);

/// What a request gets, or why not.
type Outcome = Result<Answer, Problem>;

/// What is counted.
#[derive(Clone, Debug)]
struct ServiceMetrics {
    requests: IntCounterVec,
    responses: IntCounterVec,
    checkpoints: IntCounterVec,
    subtrees: IntCounterVec,
    suspects: IntCounterVec,
    add_seconds: Histogram,
}

impl ServiceMetrics {
    fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counters("daybook_witness_requests_total", "Requests by route.", "route"),
            responses: metrics.counters("daybook_witness_responses_total", "Responses by status.", "status"),
            checkpoints: metrics.counters(
                "daybook_witness_add_checkpoint_total",
                "Checkpoints by outcome.",
                "outcome",
            ),
            subtrees: metrics.counters(
                "daybook_witness_sign_subtree_total",
                "Subtrees by outcome.",
                "outcome",
            ),
            suspects: metrics.counters(
                "daybook_witness_suspects_total",
                "Suspects sent in, by outcome.",
                "outcome",
            ),
            add_seconds: metrics.seconds(
                "daybook_witness_add_checkpoint_seconds",
                "From the last byte of a checkpoint to its answer, in seconds.",
            ),
        }
    }
}

/// Everything that request handlers need.
struct App {
    witnesses: Vec<Arc<Witness>>,
    random: Arc<dyn Random>,
    page: page::Page,
    bodies: Budget,
    answers: Budget,
    turns: Semaphore,
    queue: Semaphore,
    metrics: ServiceMetrics,
}

/// The service for the public listener.
#[derive(Clone)]
pub struct WitnessService(Arc<App>);

impl std::fmt::Debug for WitnessService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessService").field("witnesses", &self.0.witnesses).finish_non_exhaustive()
    }
}

/// What comes before the paths of the witness at this place of so many.
#[must_use]
pub fn prefix(at: usize, of: usize) -> String {
    if of == 1 { String::new() } else { format!("/{}", at + 1) }
}

impl WitnessService {
    /// Serves these witnesses.
    #[must_use]
    pub fn new(witnesses: Vec<Arc<Witness>>, random: Arc<dyn Random>, metrics: &Metrics) -> Self {
        Self(Arc::new(App {
            witnesses,
            random,
            page: page::Page::new(),
            bodies: Budget::new(BODIES_BYTES_MAX),
            answers: Budget::new(ANSWERS_BYTES_MAX),
            turns: Semaphore::new(DISK_READS_MAX),
            queue: Semaphore::new(DISK_READS_WAITING_MAX),
            metrics: ServiceMetrics::new(metrics),
        }))
    }

    /// The same for one of the witnesses alone, without a number before its paths: for bastions.
    #[must_use]
    pub fn of_one(&self, at: usize) -> Self {
        let app = &self.0;
        Self(Arc::new(App {
            witnesses: vec![Arc::clone(&app.witnesses[at])],
            random: Arc::clone(&app.random),
            page: page::Page::new(),
            bodies: app.bodies.clone(),
            answers: app.answers.clone(),
            turns: Semaphore::new(DISK_READS_MAX),
            queue: Semaphore::new(DISK_READS_WAITING_MAX),
            metrics: app.metrics.clone(),
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for WitnessService {
    type Response = Response<Full<Bytes>>;
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
        let app = Arc::clone(&self);
        let mut answer = match app.route(request).await {
            Ok(answer) => answer,
            Err(problem) => problem.into_response(),
        };
        let nosniff = HeaderValue::from_static("nosniff");
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        self.metrics.responses.with_label_values(&[answer.status().as_str()]).inc();
        if head { without_body(answer) } else { answer }
    }

    /// The witness that a path belongs to, and the path within it.
    fn find<'a>(&self, path: &'a str) -> Option<(Arc<Witness>, &'a str)> {
        if let [only] = self.witnesses.as_slice() {
            return Some((Arc::clone(only), path));
        }
        let (number, rest) = path.strip_prefix('/')?.split_once('/')?;
        let at = (0..self.witnesses.len()).find(|at| (at + 1).to_string() == number)?;
        Some((Arc::clone(&self.witnesses[at]), &path[path.len() - rest.len() - 1..]))
    }

    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let path = request.uri().path().to_owned();
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        if path == "/" && self.witnesses.len() > 1 {
            self.metrics.requests.with_label_values(&["start"]).inc();
            return if get {
                Ok(self.page.several(&self.witnesses))
            } else {
                Err(error::wrong_method("GET, HEAD"))
            };
        }
        let found = self.find(&path).and_then(|(witness, path)| Some((witness, Route::parse(path)?)));
        let Some((witness, route)) = found else {
            self.metrics.requests.with_label_values(&["none"]).inc();
            return Err(error::no_such_path());
        };
        self.metrics.requests.with_label_values(&[route.label()]).inc();
        let allowed =
            if *request.method() == Method::POST { route.takes_post() } else { get && route.takes_get() };
        if !allowed {
            return Err(error::wrong_method(route.methods()));
        }
        match route {
            Route::AddCheckpoint => self.add_checkpoint(&witness, request).await,
            Route::SignSubtree => self.sign_subtree(&witness, request).await,
            Route::Checkpoint(hash) => self.on_disk(move |_| checkpoint(&witness, &hash)).await,
            Route::Evidence if get => {
                let from = page::from_of(request.uri().query());
                self.on_disk(move |_| evidence::list(&witness, from)).await
            }
            Route::Evidence => self.take_suspects(&witness, request).await,
            Route::EvidenceFile(id) => self.on_disk(move |_| evidence::file(&witness, &id)).await,
            Route::Description => self.on_disk(move |_| Ok(page::json(&witness))).await,
            Route::Start => {
                let from = page::from_of(request.uri().query());
                self.on_disk(move |app| Ok(app.page.html(&witness, from))).await
            }
        }
    }

    async fn body(&self, request: Request<Incoming>, bytes_max: usize) -> Result<Held, Problem> {
        let limits = BodyLimits { bytes_max, idle: BODY_IDLE, total: BODY_TOTAL };
        read_body_within(request.into_body(), limits, &self.bodies).await.map_err(error::body)
    }

    async fn add_checkpoint(&self, witness: &Witness, request: Request<Incoming>) -> Outcome {
        let body = self.body(request, BODY_BYTES_MAX).await?;
        let timer = self.metrics.add_seconds.start_timer();
        let result = witness.add_checkpoint(&body.bytes).await;
        timer.observe_duration();
        let outcome = result.as_ref().map_or_else(AddError::code, |_| "cosigned");
        self.metrics.checkpoints.with_label_values(&[outcome]).inc();
        match result {
            Ok(lines) => Ok(answer::cosignatures(&lines)),
            Err(error) => error::add(&error, |base| self.jittered(base)),
        }
    }

    async fn sign_subtree(&self, witness: &Witness, request: Request<Incoming>) -> Outcome {
        let body = self.body(request, BODY_BYTES_MAX).await?;
        let result = witness.sign_subtree(&body.bytes);
        let outcome = result.as_ref().map_or_else(SubtreeError::code, |_| "cosigned");
        self.metrics.subtrees.with_label_values(&[outcome]).inc();
        result.map(|line| answer::cosignatures(&[line])).map_err(|error| error::subtree(&error))
    }

    async fn take_suspects(&self, witness: &Witness, request: Request<Incoming>) -> Outcome {
        let body = self.body(request, EVIDENCE_BYTES_MAX).await?;
        let result = witness.take_suspects(&body.bytes).await;
        let outcome = evidence::outcome(&result);
        self.metrics.suspects.with_label_values(&[outcome]).inc();
        result
            .map(|proof| evidence::taken(&proof))
            .map_err(|error| error::suspect(&error, |base| self.jittered(base)))
    }

    /// Runs what reads the disk on a blocking thread, when its turn has come.
    async fn on_disk(self: Arc<Self>, work: impl FnOnce(&Self) -> Outcome + Send + 'static) -> Outcome {
        let Ok(_place) = self.queue.try_acquire() else { return Err(error::busy(self.jittered(1))) };
        let Ok(_turn) = self.turns.acquire().await else { return Err(error::busy(self.jittered(1))) };
        let app = Arc::clone(&self);
        let outcome = tokio::task::spawn_blocking(move || work(&app)).await;
        self.bounded(outcome.map_err(|_| error::internal())??).await
    }

    /// Takes a long answer's bytes from the budget until the last of them is sent.
    async fn bounded(&self, answer: Answer) -> Outcome {
        let bytes = answer::length(&answer);
        if bytes <= SHORT_BYTES_MAX {
            return Ok(answer);
        }
        let permit = self.answers.try_take(bytes).ok_or_else(|| error::busy(self.jittered(1)))?;
        Ok(answer::holding(answer, permit).await)
    }

    fn jittered(&self, base: u32) -> u32 {
        daemon::problem::jittered_seconds(&*self.random, base)
    }
}

fn checkpoint(witness: &Witness, origin_hash: &Hash) -> Outcome {
    match witness.note_of(origin_hash) {
        Ok(Some(note)) => Ok(answer(TEXT, Caching::Seconds, note)),
        Ok(None) => Err(error::not_there(
            "This witness has cosigned no checkpoint of a log whose origin has this SHA-256.",
        )),
        Err(error) => Err(error::state(&error)),
    }
}

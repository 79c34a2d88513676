//! The monitor over HTTP, for programs: heads to compare, receipts to judge, states, evidence to take away.
//!
//! | Method and path | |
//! |---|---|
//! | `GET /heads/<origin hash>` | the newest verified head, a signed note |
//! | `POST /heads` | a signed note of a followed log: kept and judged |
//! | `POST /receipts` | a receipt and its entry: is it honoured? |
//! | `GET /status` | every log's state |
//! | `GET /evidence/<id>` | an evidence file |
//!
//! What is posted is believed as far as the log's own signature goes, and no further.

mod answer;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use daemon::listen::body::{BodyError, BodyLimits, read_body};
use daemon::problem::Problem;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use tlog::bundle::ENTRY_BYTES_MAX;
use tlog::hash::{Hash, leaf_hash};
use tlog::note::NOTE_BYTES_MAX;
use tokio::sync::Semaphore;

use crate::case::{Case, CaseError};
use crate::crosscheck::answer_of;
use crate::folder;
use crate::status::status_of;

/// The longest body: a receipt and an entry in base64, inside JSON.
const BODY_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX + 2 * ENTRY_BYTES_MAX;
/// Judgements at a time; they read the disk and may ask the log.
const JUDGEMENTS_MAX: usize = 8;
/// Judgements that wait for their turn.
const WAITING_MAX: usize = 256;

type Answer = Response<Full<Bytes>>;
type Outcome = Result<Answer, Problem>;

/// What handlers share.
#[derive(Debug)]
struct App {
    cases: Vec<Arc<Case>>,
    /// Tells each log's follower that there is something to look at, in the order of `cases`.
    wake: Vec<SyncSender<()>>,
    turns: Semaphore,
    queue: Semaphore,
}

/// The service for the public listener.
#[derive(Clone, Debug)]
pub struct HttpService(Arc<App>);

/// The body of `POST /receipts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptBody {
    /// The text of a C2SP tlog-proof.
    receipt: String,
    /// The entry, in base64.
    entry: Option<String>,
    /// Its leaf hash in hex, instead of the entry.
    leaf_hash: Option<String>,
}

/// Whether a path is one of this service; the others are pages.
#[must_use]
pub fn is_mine(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("heads" | "receipts" | "status"), _) => true,
        (Some("evidence"), id) => id.is_some(),
        _ => false,
    }
}

impl HttpService {
    /// Serves what is known of these logs.
    #[must_use]
    pub fn new(cases: Vec<Arc<Case>>, wake: Vec<SyncSender<()>>) -> Self {
        let (turns, queue) = (Semaphore::new(JUDGEMENTS_MAX), Semaphore::new(WAITING_MAX));
        Self(Arc::new(App { cases, wake, turns, queue }))
    }
}

impl hyper::service::Service<Request<Incoming>> for HttpService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let app = Arc::clone(&self.0);
        Box::pin(async move {
            let head = *request.method() == Method::HEAD;
            let answer = app.route(request).await.unwrap_or_else(Problem::into_response);
            Ok(if head { answer.map(|_| Full::default()) } else { answer })
        })
    }
}

impl App {
    async fn route(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let path = request.uri().path().to_owned();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (parts.as_slice(), reads, request.method() == Method::POST) {
            (["heads", hash], true, _) => self.head(hash),
            (["status"], true, _) => Ok(answer::json(&status_of(&self.cases))),
            (["evidence", id], true, _) => {
                let id = id.to_string();
                self.on_disk(move |app| app.evidence(&id)).await
            }
            (["heads"], _, true) => {
                let body = body(request).await?;
                self.on_disk(move |app| app.judge_head(&body)).await
            }
            (["receipts"], _, true) => {
                let body = body(request).await?;
                self.on_disk(move |app| app.judge_receipt(&body)).await
            }
            (["heads" | "evidence", _] | ["status"], ..) => Err(answer::wrong_method("GET, HEAD")),
            (["heads" | "receipts"], ..) => Err(answer::wrong_method("POST")),
            _ => Err(answer::no_such_path()),
        }
    }

    /// Runs what reads the disk or the network on a blocking thread, when its turn has come.
    async fn on_disk(self: Arc<Self>, work: impl FnOnce(&Self) -> Outcome + Send + 'static) -> Outcome {
        let Ok(_place) = self.queue.try_acquire() else { return Err(answer::busy()) };
        let Ok(_turn) = self.turns.acquire().await else { return Err(answer::busy()) };
        let app = Arc::clone(&self);
        tokio::task::spawn_blocking(move || work(&app)).await.map_err(|_| answer::internal())?
    }

    fn head(&self, hash: &str) -> Outcome {
        let case = self.cases.iter().find(|case| case.hash == hash).ok_or_else(answer::no_such_log)?;
        match case.verified() {
            Some(verified) => Ok(answer::text(verified.note().to_bytes())),
            None => Err(answer::nothing_verified()),
        }
    }

    fn evidence(&self, id: &str) -> Outcome {
        let known = id.parse::<Hash>().map_err(|_| answer::no_such_path())?;
        let case = self.cases.first().ok_or_else(answer::no_such_path)?;
        let file = case.folder.evidence().join(format!("{known}.evidence"));
        if let Ok(Some(bytes)) = folder::read(&file) {
            return Ok(answer::text(bytes));
        }
        // Somebody has moved the file; what it proves is still known.
        let kept = case.store.evidence_bytes(&known.to_string()).map_err(|error| failed(&error.into()))?;
        kept.map(answer::text).ok_or_else(answer::no_such_path)
    }

    fn judge_head(&self, body: &[u8]) -> Outcome {
        let note = tlog::note::Note::parse(body).map_err(|error| answer::malformed(&error.to_string()))?;
        let origin = note.text().lines().next().unwrap_or("");
        let at = self.cases.iter().position(|case| case.origin() == origin);
        let at = at.ok_or_else(answer::no_such_log)?;
        let seen = self.cases[at].show(body, "posted").map_err(|error| failed(&error))?;
        let seen = seen.map_err(|why| answer::not_signed(&why))?;
        // A full channel means that the follower is about to look anyway.
        let _ = self.wake.get(at).map(|wake| wake.try_send(()));
        let (judgement, detail, evidence) = answer_of(&seen);
        Ok(answer::json(&serde_json::json!({
            "origin": origin, "answer": judgement, "detail": detail, "evidence": evidence,
        })))
    }

    fn judge_receipt(&self, body: &[u8]) -> Outcome {
        let body: ReceiptBody =
            serde_json::from_slice(body).map_err(|error| answer::malformed(&error.to_string()))?;
        let leaf = match (&body.entry, &body.leaf_hash) {
            (Some(entry), None) => {
                let entry = STANDARD.decode(entry).map_err(|_| answer::malformed("`entry` is not base64"))?;
                leaf_hash(&entry)
            }
            (None, Some(hash)) => {
                hash.parse().map_err(|_| answer::malformed("`leaf_hash` is not 64 lowercase hex digits"))?
            }
            _ => return Err(answer::malformed("one of `entry` and `leaf_hash` is needed")),
        };
        let origin = tlog::tlog_proof::TlogProof::parse(body.receipt.as_bytes())
            .map_err(|error| answer::malformed(&error.to_string()))?;
        let origin = origin.checkpoint.text().lines().next().unwrap_or("").to_owned();
        let case = self.cases.iter().find(|case| case.origin() == origin).ok_or_else(answer::no_such_log)?;
        let judged = case.receipt(leaf, body.receipt.as_bytes()).map_err(|error| failed(&error))?;
        Ok(answer::json(&judged))
    }
}

fn failed(error: &CaseError) -> Problem {
    tracing::error!(%error, "a judgement could not be remembered");
    answer::internal()
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let limits = BodyLimits {
        bytes_max: BODY_BYTES_MAX,
        idle: Duration::from_secs(10),
        total: Duration::from_secs(60),
    };
    let refused = |error| match error {
        BodyError::TooLarge(bytes_max) => answer::too_large(bytes_max),
        BodyError::TooSlow | BodyError::Broken => answer::too_slow(),
        BodyError::Busy => answer::busy(),
    };
    read_body(request.into_body(), limits).await.map_err(refused)
}

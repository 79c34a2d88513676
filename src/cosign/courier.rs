//! Carries requests to witnesses and brings answers back, without understanding either.
//!
//! [`HttpCourier`] does it over HTTP, on a runtime of its own, so that a flood of readers never delays a round.
//! Connections are kept alive; each request has a deadline and a bound on its answer. Tests have a courier that asks
//! witnesses in process and asserts that no head is shown that is not durable.
//!
//! Absent on purpose: repetition. A request is tried once; [`super::Rounds`] decides whether it is sent again.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use daemon::fetch::{FetchError, FetchOptions, Fetched, Fetcher};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use tlog::note::NOTE_BYTES_MAX;
use tokio::runtime::Runtime;

use crate::publish::Unpublished;

/// The longest answer to `add-checkpoint`: more cosignatures than any witness has keys.
const COSIGNATURES_BYTES_MAX: usize = 128 * 1024;
/// The content type of a request; the specification asks for none.
const REQUEST_TYPE: &str = "text/plain; charset=utf-8";

/// What a witness is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `POST URL/add-checkpoint` with this body.
    AddCheckpoint(Bytes),
    /// `GET URL/HASH/checkpoint`: the checkpoint that the witness holds; the hash of the origin in hex.
    Checkpoint(String),
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Told again with the answer.
    pub number: u64,
    /// The witness, by place among the operators of the roster.
    pub witness: usize,
    /// Its submission prefix.
    pub url: String,
    /// What it is asked.
    pub request: Request,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Retry-After`, where it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Not in time.
    TimedOut,
    /// No connection, or a broken one.
    Network,
    /// The answer is longer than any honest one.
    TooLarge,
}

/// An answer, or why there is none.
pub type Delivery = Result<Raw, Undelivered>;

/// A delivery and the letter that it belongs to.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The letter's number.
    pub number: u64,
    /// The witness.
    pub witness: usize,
    /// What came.
    pub delivery: Delivery,
}

/// Carries letters. Each is answered exactly once, at any time, from any thread.
pub trait Courier: Send + Sync + std::fmt::Debug {
    /// Sends a letter and returns at once.
    fn send(&self, letter: Letter, inbox: &Arc<Inbox>);
}

/// Where answers wait for the publisher.
#[derive(Debug)]
pub struct Inbox {
    /// Filled by the courier, emptied by the publisher; at most one for each witness.
    delivered: Mutex<Vec<Delivered>>,
    publisher: Arc<Unpublished>,
}

impl Inbox {
    /// An inbox that wakes the publisher of this queue.
    #[must_use]
    pub fn new(publisher: Arc<Unpublished>) -> Self {
        Self { delivered: Mutex::default(), publisher }
    }

    /// Puts an answer in.
    pub fn put(&self, number: u64, witness: usize, delivery: Delivery) {
        let delivered = Delivered { number, witness, delivery };
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).push(delivered);
        self.publisher.nudge();
    }

    /// Takes what is there.
    #[must_use]
    pub fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Over HTTP.
#[derive(Debug)]
pub struct HttpCourier {
    options: FetchOptions,
    /// Made with the first letter.
    network: OnceLock<Option<(Runtime, Fetcher)>>,
}

impl HttpCourier {
    /// A courier that waits at most `deadline` for an answer.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let options = FetchOptions { connect_timeout: deadline, total_timeout: deadline };
        Self { options, network: OnceLock::new() }
    }

    fn network(&self) -> Option<&(Runtime, Fetcher)> {
        let make = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).thread_name("witnesses").enable_all().build();
            let report = |error: &std::io::Error| tracing::error!(%error, "the witnesses cannot be reached");
            Some((runtime.inspect_err(report).ok()?, Fetcher::new(self.options)))
        };
        self.network.get_or_init(make).as_ref()
    }
}

impl Drop for HttpCourier {
    fn drop(&mut self) {
        if let Some((runtime, _)) = self.network.take().flatten() {
            // May be dropped where blocking is not allowed; requests under way have no reader any more.
            runtime.shutdown_background();
        }
    }
}

impl Courier for HttpCourier {
    fn send(&self, letter: Letter, inbox: &Arc<Inbox>) {
        let Some((runtime, fetcher)) = self.network() else {
            return inbox.put(letter.number, letter.witness, Err(Undelivered::Network));
        };
        let (fetcher, inbox) = (fetcher.clone(), Arc::clone(inbox));
        drop(runtime.spawn(async move {
            let delivery = carry(&fetcher, &letter).await;
            inbox.put(letter.number, letter.witness, delivery);
        }));
    }
}

async fn carry(fetcher: &Fetcher, letter: &Letter) -> Delivery {
    let fetched = match &letter.request {
        Request::AddCheckpoint(body) => {
            let url = format!("{}/add-checkpoint", letter.url);
            fetcher.post(&url, REQUEST_TYPE, body.clone(), COSIGNATURES_BYTES_MAX).await
        }
        Request::Checkpoint(hash) => {
            fetcher.get_once(&format!("{}/{hash}/checkpoint", letter.url), NOTE_BYTES_MAX).await
        }
    };
    fetched.map(raw).map_err(|error| {
        tracing::debug!(%error, "a witness did not answer");
        match error {
            FetchError::TimedOut(_) => Undelivered::TimedOut,
            FetchError::TooLarge { .. } => Undelivered::TooLarge,
            FetchError::Url(_) | FetchError::Network { .. } | FetchError::Encoding(_) => Undelivered::Network,
        }
    })
}

fn raw(fetched: Fetched) -> Raw {
    let text = |name| fetched.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    Raw {
        status: fetched.status.as_u16(),
        content_type: text(CONTENT_TYPE).map(str::to_owned),
        retry_after: text(RETRY_AFTER).and_then(|value| value.parse().ok()).map(Duration::from_secs),
        body: fetched.body,
    }
}

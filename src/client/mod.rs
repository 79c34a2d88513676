//! A client of a log of records: posts statements, reads agencies, registers and histories, checks receipts.
//!
//! | Part | Does |
//! |---|---|
//! | [`post`] | statements in, outcomes out; sends the same bytes again where that is safe |
//! | [`read`] | what the log says of agencies, registers and records |
//! | [`receipt`] | entries with their receipts, held against a policy |
//! | [`draft`] | a statement that waits for signatures, in a file |
//! | [`standing`] | who has signed a draft, and who still has to |
//!
//! What [`read`] returns is the log's word: enough to write a statement that it then takes or refuses, and never enough to
//! believe something. What is to be believed comes with a receipt.

pub mod draft;
pub mod post;
pub mod read;
pub mod receipt;
pub mod standing;

use std::time::Duration;

use bytes::Bytes;
use daemon::fetch::{FetchError, FetchOptions, Fetched, Fetcher};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use tlog::ids::Origin;
use tlog::policy::Policy;
use tokio::runtime::Runtime;

pub use self::post::{InTheWay, Placed, Posted, Refusal};
pub use self::read::{AgencyFacts, Item, KeyFacts, RegisterFacts};
pub use self::receipt::Entered;

/// Times a request that the log may want again is sent.
const ATTEMPTS_MAX: u32 = 6;
/// The longest wait between two of them.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The wait after the first, where the log does not name one; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_millis(200);
/// How long an answer may take: a log with witnesses waits for them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest answer that is not a stream of outcomes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why something is not known, or may not have been done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log answers with an error that says nothing about the statement.
    #[error("{0}")]
    Problem(Refusal),
    /// The log answers something that this program does not understand.
    #[error("{url} answers {what}; is this a Daybook log that takes records?")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is odd.
        what: String,
    },
    /// The log is another one than it should be.
    #[error("the log calls itself {found}, and the policy is for {}; is the URL right?", .expected.join(", "))]
    OtherLog {
        /// What it calls itself.
        found: String,
        /// What the policy knows.
        expected: Vec<String>,
    },
    /// A receipt does not prove what it should. Keep it: it may show that the log misbehaves.
    #[error("the log's receipt is not good: {0}")]
    Receipt(String),
    /// The process cannot make a runtime.
    #[error("the network cannot be used: {0}")]
    Runtime(std::io::Error),
}

/// A log of records behind a URL.
#[derive(Debug)]
pub struct Client {
    base: String,
    fetcher: Fetcher,
    runtime: Runtime,
}

impl Client {
    /// A client of the log at this URL.
    ///
    /// # Errors
    /// [`ClientError::Runtime`].
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let options = FetchOptions { total_timeout: ANSWER_TIMEOUT, ..Default::default() };
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            fetcher: Fetcher::new(options),
            runtime: runtime.map_err(ClientError::Runtime)?,
        })
    }

    /// The log's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// What the log calls itself, if the policy knows it under that name.
    ///
    /// # Errors
    /// [`ClientError::OtherLog`], or it cannot be asked.
    pub fn origin(&self, policy: Option<&Policy>) -> Result<Origin, ClientError> {
        let document = self.get_json("log.json")?.ok_or_else(|| self.odd("log.json", "404"))?;
        let said = document["origin"].as_str().unwrap_or_default().to_owned();
        if document["admission"] != "records" {
            return Err(self.odd("log.json", "that it takes other things than records"));
        }
        if let Some(policy) = policy
            && !policy.logs().iter().any(|log| log.key.name().as_str() == said)
        {
            let expected = policy.logs().iter().map(|log| log.key.name().to_string()).collect();
            return Err(ClientError::OtherLog { found: said, expected });
        }
        said.parse().map_err(|_| self.odd("log.json", "an origin that is none"))
    }

    fn odd(&self, path: &str, what: impl Into<String>) -> ClientError {
        ClientError::Answer { url: format!("{}/{path}", self.base), what: what.into() }
    }

    /// A document; none where nothing is there.
    fn get_json(&self, path: &str) -> Result<Option<Value>, ClientError> {
        let url = format!("{}/{path}", self.base);
        let answer = self.runtime.block_on(self.fetcher.get_with(&url, accept_json(), ANSWER_BYTES_MAX))?;
        self.document(path, &answer)
    }

    fn document(&self, path: &str, answer: &Fetched) -> Result<Option<Value>, ClientError> {
        match answer.status {
            StatusCode::OK => {
                let document = serde_json::from_slice(&answer.body);
                document.map(Some).map_err(|_| self.odd(path, "no JSON"))
            }
            StatusCode::NOT_FOUND if Refusal::is_problem(answer) => Ok(None),
            _ => Err(ClientError::Problem(Refusal::of(answer))),
        }
    }

    /// Sends a request until the log has answered it, or has said "later" too often. Only for requests that may be sent
    /// again without harm.
    fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Fetched, ClientError> {
        let url = format!("{}/{path}", self.base);
        let mut wait = WAIT_FIRST;
        for attempt in 1.. {
            let send = self.fetcher.send(method.clone(), &url, headers, body.clone(), ANSWER_BYTES_MAX);
            let sent = self.runtime.block_on(send);
            let again = match &sent {
                Ok(answer) if is_later(answer.status) => retry_after(answer),
                Err(FetchError::Network { .. } | FetchError::TimedOut(_)) => None,
                _ => return Ok(sent?),
            };
            if attempt == ATTEMPTS_MAX {
                return Ok(sent?);
            }
            pause(again.unwrap_or(wait));
            wait *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// Uploads a body to a path that names it, such as an attachment, under the header `Daybook-Upload`.
    ///
    /// # Errors
    /// [`ClientError::Problem`] if the log refuses it.
    pub fn put(
        &self,
        path: &str,
        upload: &str,
        more: &[(&'static str, String)],
        body: &Bytes,
    ) -> Result<(), ClientError> {
        let path = path.trim_start_matches('/');
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let pairs = more.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in pairs.chain([(crate::records::upload::UPLOAD_HEADER, upload)]) {
            let value =
                HeaderValue::from_str(value).map_err(|_| self.odd(path, "a header of other letters"))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let answer = self.send(&Method::PUT, path, &headers, body)?;
        if answer.status.is_success() { Ok(()) } else { Err(ClientError::Problem(Refusal::of(&answer))) }
    }
}

fn accept_json() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, JSON);
    headers
}

/// Busy, or too much at a time: nothing was decided, come back.
fn is_later(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

fn retry_after(answer: &Fetched) -> Option<Duration> {
    let seconds = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn pause(wait: Duration) {
    std::thread::sleep(wait.min(WAIT_MAX));
}

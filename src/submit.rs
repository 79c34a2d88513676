//! Submits entries to a log over HTTP. The same bytes can be sent again without harm, so a refusal that says
//! "later", and an answer that is lost, are tried again a few times.
//!
//! Absent on purpose: belief. An index is the log's word until a receipt has been checked.

use std::time::Duration;

use bytes::Bytes;
use daemon::fetch::{FetchError, FetchOptions, Fetched, Fetcher};
use http::{StatusCode, header};
use tlog::bundle::{self, BundleError};
use tlog::ids::LeafIndex;
use tokio::runtime::Runtime;

/// Attempts before a submission is given up.
const ATTEMPTS_MAX: u32 = 6;
/// The longest wait between two of them.
const WAIT_MAX: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ENTRY_TYPE: &str = "application/octet-stream";

/// Why entries were not added, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The log refuses.
    #[error("the log answers {0}: {1}")]
    Refused(StatusCode, String),
    /// The log answers something else than indexes.
    #[error("the log's answer is not the list of {0} indexes that it should be")]
    Answer(usize),
    /// An entry is too long.
    #[error(transparent)]
    Entry(#[from] BundleError),
    /// The process cannot make a runtime.
    #[error("the network cannot be used: {0}")]
    Runtime(std::io::Error),
}

/// Submits to one log.
#[derive(Debug)]
pub struct Submitter {
    base: String,
    fetcher: Fetcher,
    runtime: Runtime,
}

impl Submitter {
    /// Submits to the log at this URL.
    ///
    /// # Errors
    /// [`SubmitError::Runtime`].
    pub fn new(url: &str) -> Result<Self, SubmitError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            fetcher: Fetcher::new(FetchOptions {
                total_timeout: Duration::from_secs(90),
                ..Default::default()
            }),
            runtime: runtime.map_err(SubmitError::Runtime)?,
        })
    }

    /// Adds one entry.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn add(&self, entry: &[u8]) -> Result<LeafIndex, SubmitError> {
        let answer = self.post("add", &Bytes::copy_from_slice(entry))?;
        indexes(&answer, 1)?.pop().ok_or(SubmitError::Answer(1))
    }

    /// Adds entries in one piece.
    ///
    /// # Errors
    /// [`SubmitError`]; none or all were added.
    pub fn add_batch<E: AsRef<[u8]>>(&self, entries: &[E]) -> Result<Vec<LeafIndex>, SubmitError> {
        let mut body = Vec::new();
        entries.iter().try_for_each(|entry| bundle::push_entry(&mut body, entry.as_ref()))?;
        let answer = self.post("add-batch", &body.into())?;
        indexes(&answer, entries.len())
    }

    fn post(&self, path: &str, body: &Bytes) -> Result<Fetched, SubmitError> {
        let url = format!("{}/{path}", self.base);
        let mut wait = Duration::from_millis(200);
        for attempt in 1.. {
            let posted =
                self.runtime.block_on(self.fetcher.post(&url, ENTRY_TYPE, body.clone(), ANSWER_BYTES_MAX));
            let again = match &posted {
                Ok(answer) if answer.status == StatusCode::OK => return Ok(posted?),
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => retry_after(answer),
                Ok(answer) => return Err(refused(answer)),
                Err(FetchError::Network { .. } | FetchError::TimedOut(_)) => None,
                Err(_) => return Err(posted.err().map_or(SubmitError::Answer(0), SubmitError::from)),
            };
            if attempt == ATTEMPTS_MAX {
                return Err(refused(&posted?));
            }
            std::thread::sleep(again.unwrap_or(wait).min(WAIT_MAX));
            wait *= 2;
        }
        unreachable!("the last attempt returns")
    }
}

fn retry_after(answer: &Fetched) -> Option<Duration> {
    let seconds = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn refused(answer: &Fetched) -> SubmitError {
    let document: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let detail = document.and_then(|document| document["detail"].as_str().map(str::to_owned));
    let detail = detail.unwrap_or_else(|| "no reason given; is this a Daybook log?".to_owned());
    SubmitError::Refused(answer.status, detail)
}

fn indexes(answer: &Fetched, count: usize) -> Result<Vec<LeafIndex>, SubmitError> {
    let text = std::str::from_utf8(&answer.body).map_err(|_| SubmitError::Answer(count))?;
    let all: Result<Vec<LeafIndex>, _> = text.lines().map(str::parse).collect();
    all.ok().filter(|all| all.len() == count).ok_or(SubmitError::Answer(count))
}

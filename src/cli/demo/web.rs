//! Plain requests, and waiting for a condition.

use std::time::Duration;

use bytes::Bytes;
use daemon::fetch::{FetchOptions, Fetched, Fetcher};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::super::failure::Failure;

const BYTES_MAX: usize = 1 << 20;
/// How often a condition is looked at, and how many times.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 600;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl From<Fetched> for Answer {
    fn from(fetched: Fetched) -> Self {
        Self { status: fetched.status.as_u16(), body: fetched.body }
    }
}

impl Answer {
    /// What a problem document says to people.
    pub(super) fn detail(&self) -> String {
        let document: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        document.and_then(|document| document["detail"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The document, if that is what was asked for.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|_| Failure::Failed(format!("status {}: {}", self.status, self.detail())))
    }
}

/// A client.
pub(super) struct Web {
    runtime: Runtime,
    fetcher: Fetcher,
}

impl Web {
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let fetcher = Fetcher::new(FetchOptions::default());
        Ok(Self { runtime: runtime.map_err(Failure::failed)?, fetcher })
    }

    /// GET, without repetition: a 503 is an answer like others here.
    pub(super) fn get(&self, url: &str) -> Result<Answer, Failure> {
        let fetched = self.runtime.block_on(self.fetcher.get_once(url, BYTES_MAX));
        fetched.map(Answer::from).map_err(Failure::failed)
    }

    /// POST, once.
    pub(super) fn post(&self, url: &str, kind: &'static str, body: Vec<u8>) -> Result<Answer, Failure> {
        let posted = self.runtime.block_on(self.fetcher.post(url, kind, body.into(), BYTES_MAX));
        posted.map(Answer::from).map_err(Failure::failed)
    }

    /// Looks again and again until there is something.
    pub(super) fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        for _ in 0..LOOKS_MAX {
            if let Some(found) = look()? {
                return Ok(found);
            }
            std::thread::sleep(PAUSE);
        }
        Err(Failure::Failed(format!("it took too long until {what}")))
    }

    /// Looks again and again until the condition holds.
    pub(super) fn wait_until(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        self.wait_for(what, || Ok(holds()?.then_some(())))
    }
}

//! `POST /add` and `POST /add-batch`: entries in, indexes out once the covering checkpoint is public.
//!
//! ```text
//! /add         body: the entry, 1..=65535 bytes           answer: "4711\n"
//! /add-batch   body: (u16 length, entry)*, big-endian      answer: one index a line, in order
//! ```
//!
//! With `Accept: application/json` the answer says which were duplicates as well. A batch takes its places in
//! one piece: it is stored whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::listen::body::{BodyError, BodyLimits, Held, read_body_within};
use daemon::problem::Problem;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use serde::Serialize;
use tlog::bundle::{self, ENTRY_BYTES_MAX};

use super::answer::{BYTES, Caching, TEXT, answer, json, prefers_json};
use super::{ANSWER_TIMEOUT, App, Outcome, error};
use crate::config::Admission;
use crate::log::{AddError, Admitted, placed};
use crate::pool::{Decision, Placed, SubmitError};

/// Between two pieces of a body.
pub(super) const BODY_IDLE: Duration = Duration::from_secs(10);
const BODY_TOTAL: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct PlacedJson {
    index: u64,
    duplicate: bool,
}

impl From<&Placed> for PlacedJson {
    fn from(placed: &Placed) -> Self {
        Self { index: placed.index.get(), duplicate: placed.duplicate }
    }
}

impl App {
    pub(super) async fn add(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        self.is_open()?;
        let as_json = prefers_json(request.headers());
        let body = self.body(request, ENTRY_BYTES_MAX, &[BYTES]).await?;
        if body.bytes.is_empty() {
            return Err(error::not_an_entry("The body is empty. An entry has 1 to 65535 bytes."));
        }
        let timer = self.add_seconds.start_timer();
        let admitted = match self.log.admit_if_new(&body.bytes).map_err(|error| self.add_failed(&error))? {
            Some(answer) => Admitted::Waiting(answer),
            None => self.admit(vec![body.bytes.clone()]).await?,
        };
        // From here on the entry is the pool's, which counts it by itself.
        drop(body);
        let placed = self.wait(admitted).await?;
        timer.observe_duration();
        let [placed] = placed.as_slice() else { return Err(error::internal()) };
        Ok(match as_json {
            true => json(Caching::Never, &PlacedJson::from(placed)),
            false => answer(TEXT, Caching::Never, format!("{}\n", placed.index)),
        })
    }

    pub(super) async fn add_batch(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        self.is_open()?;
        let as_json = prefers_json(request.headers());
        let bytes_max = self.log.config.limits.batch_bytes_max.as_usize();
        let body = self.body(request, bytes_max, &[BYTES]).await?;
        let entries = self.split(&body.bytes)?;
        let timer = self.add_seconds.start_timer();
        let admitted = self.admit(entries).await?;
        drop(body);
        let placed = self.wait(admitted).await?;
        timer.observe_duration();
        if as_json {
            return Ok(json(Caching::Never, &placed.iter().map(PlacedJson::from).collect::<Vec<_>>()));
        }
        let lines: String = placed.iter().map(|placed| format!("{}\n", placed.index)).collect();
        Ok(answer(TEXT, Caching::Never, lines))
    }

    fn is_open(&self) -> Result<(), Problem> {
        match self.log.admission {
            Admission::Open => Ok(()),
            Admission::Records => Err(error::not_there(
                "This log takes signed statements of enrolled agencies only, at /records; raw entries cannot be added.",
            )),
        }
    }

    /// Reads a whole body of one of these types.
    pub(super) async fn body(
        &self,
        request: Request<Incoming>,
        bytes_max: usize,
        kinds: &[&str],
    ) -> Result<Held, Problem> {
        check_kind(request.headers(), kinds)?;
        let length = request.body().size_hint().exact();
        if length.is_none() && request.version() <= Version::HTTP_11 {
            let detail = "The request has no Content-Length. Send one: the log does not take chunked bodies.";
            return Err(Problem::new(
                StatusCode::LENGTH_REQUIRED,
                "length-required",
                "Length required",
                detail,
            ));
        }
        let limits = BodyLimits { bytes_max, idle: BODY_IDLE, total: BODY_TOTAL };
        let read = read_body_within(request.into_body(), limits, &self.bodies).await;
        read.map_err(|error| self.body_failed(error))
    }

    pub(super) fn body_failed(&self, error: BodyError) -> Problem {
        error::body(error, |base| self.retry_seconds(base))
    }

    fn split(&self, body: &Bytes) -> Result<Vec<Bytes>, Problem> {
        let entries = bundle::split(body).map_err(|error| {
            let detail = format!("The body is not a list of entries with 16-bit lengths: {error}.");
            error::malformed(detail)
        })?;
        if let Some(at) = entries.iter().position(|entry| entry.is_empty()) {
            return Err(error::not_an_entry(format!("Entry {at} of the batch is empty.")));
        }
        let entries_max = self.log.config.limits.batch_entries_max;
        if entries.is_empty() {
            return Err(error::malformed("The batch is empty."));
        }
        if entries.len() > entries_max {
            let detail = format!("The batch has {} entries; at most {entries_max} are taken.", entries.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail));
        }
        Ok(entries.into_iter().map(|entry| body.slice_ref(entry)).collect())
    }

    async fn admit(self: &Arc<Self>, entries: Vec<Bytes>) -> Result<Admitted, Problem> {
        let log = Arc::clone(&self.log);
        let admitted = tokio::task::spawn_blocking(move || log.admit(entries)).await;
        admitted.map_err(|_| error::internal())?.map_err(|error| self.add_failed(&error))
    }

    async fn wait(&self, admitted: Admitted) -> Result<Vec<Placed>, Problem> {
        let placed = placed(self.wait_for_all(admitted).await?);
        let duplicates = placed.iter().filter(|placed| placed.duplicate).count();
        self.added.with_label_values(&["duplicate"]).inc_by(duplicates as u64);
        self.added.with_label_values(&["new"]).inc_by((placed.len() - duplicates) as u64);
        Ok(placed)
    }

    /// Waits until what was admitted is decided and public.
    pub(super) async fn wait_for_all(&self, admitted: Admitted) -> Result<Vec<Decision>, Problem> {
        let outcome = match admitted {
            Admitted::Known(placed) => Ok(placed.into_iter().map(Ok).collect()),
            Admitted::Waiting(answer) => match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(SubmitError::Unknown),
            },
        };
        outcome.map_err(|error| self.add_failed(&AddError::Submit(error)))
    }

    pub(super) fn add_failed(&self, failure: &AddError) -> Problem {
        let label = match failure {
            AddError::Submit(failure) => failure.code(),
            AddError::Lookup(failure) => failure.code(),
        };
        self.added.with_label_values(&[label]).inc();
        error::add(failure, |base| self.retry_seconds(base))
    }
}

/// The body is what it is, byte for byte: of one of these types, and without content coding.
pub(super) fn check_kind(headers: &HeaderMap, kinds: &[&str]) -> Result<(), Problem> {
    let unsupported = |detail: String| {
        let (status, title) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type");
        Problem::new(status, "unsupported-media-type", title, detail)
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    for said in headers.get_all(header::CONTENT_TYPE).iter().map(text) {
        let kind = said.split(';').next().unwrap_or("").trim();
        if !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            return Err(unsupported(format!(
                "The body must be {}, and the request says {said:?}. With curl: \
                 -H 'Content-Type: {}' --data-binary @FILE.",
                kinds.join(" or "),
                kinds[0]
            )));
        }
    }
    for coding in headers.get_all(header::CONTENT_ENCODING).iter().map(text) {
        if !coding.trim().eq_ignore_ascii_case("identity") {
            return Err(unsupported(format!(
                "The body must be the entry itself, and the request says that it is encoded with {coding:?}."
            )));
        }
    }
    Ok(())
}

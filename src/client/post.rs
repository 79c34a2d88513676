//! Posts statements. The same bytes can be sent again without harm: the log answers with the entry that is there.
//!
//! So an answer that is lost, a 503 and a 429 are tried again, a bounded number of times, after the log's
//! `Retry-After`. A refusal is an outcome, not an error.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use daemon::fetch::{FetchError, Fetched};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

use super::{ATTEMPTS_MAX, Client, ClientError, JSON, WAIT_FIRST, is_later, pause};

/// A statement that is in the log.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its place.
    pub index: LeafIndex,
    /// Its leaf hash, computed here.
    pub leaf: Hash,
    /// Whether it was there before.
    pub duplicate: bool,
    /// Its receipt, not verified; none where the log sent none.
    pub receipt: Option<TlogProof>,
}

/// The entry that a statement would have had to follow, or to differ from.
#[derive(Clone, Debug)]
pub struct InTheWay {
    /// Its place.
    pub index: LeafIndex,
    /// Its bytes; none in a batch.
    pub entry: Option<Vec<u8>>,
    /// Its receipt, not verified; none in a batch.
    pub receipt: Option<TlogProof>,
}

/// A problem document: why the log does not do what it was asked.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The end of its `type`, such as `not-allowed`.
    pub kind: String,
    /// The stable code, such as `key_revoked`.
    pub reason: Option<String>,
    /// JSON Pointer to the field at fault.
    pub field: Option<String>,
    /// A sentence for people.
    pub detail: String,
    /// The entry in the way. For `stale` without it nothing is there yet.
    pub latest: Option<Box<InTheWay>>,
}

/// What became of a statement.
#[derive(Clone, Debug)]
pub enum Posted {
    /// It is in the log.
    Placed(Placed),
    /// It is not, and will not be as it is.
    Refused(Refusal),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.reason.as_deref().unwrap_or(&self.kind);
        write!(f, "the log answers {} {code}: {}", self.status, self.detail)
    }
}

impl Refusal {
    pub(super) fn is_problem(answer: &Fetched) -> bool {
        answer.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json")
    }

    pub(super) fn of(answer: &Fetched) -> Self {
        let document = serde_json::from_slice(&answer.body).unwrap_or_default();
        Self { status: answer.status.as_u16(), ..Self::of_document(&document) }
    }

    fn of_document(document: &Value) -> Self {
        let text = |name: &str| document[name].as_str().map(str::to_owned);
        let kind = text("type").unwrap_or_default();
        Self {
            status: document["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
            kind: kind.strip_prefix(daemon::problem::TYPE_PREFIX).unwrap_or("unknown").to_owned(),
            reason: text("reason"),
            field: text("field"),
            detail: text("detail").unwrap_or_else(|| "no reason given; is this a Daybook log?".to_owned()),
            latest: in_the_way(&document["latest"]).map(Box::new),
        }
    }

    /// Whether another statement took the place.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.kind == "stale"
    }

    /// Whether it is about the statement: the same bytes would be refused again.
    fn is_final(&self) -> bool {
        matches!(self.status, 403 | 409 | 413 | 422 | 424)
    }
}

fn in_the_way(latest: &Value) -> Option<InTheWay> {
    let index = LeafIndex::new(latest["index"].as_u64()?).ok()?;
    let entry = latest["entry"].as_str().and_then(|entry| STANDARD.decode(entry).ok());
    let receipt = latest["receipt"].as_str().and_then(|text| TlogProof::parse(text.as_bytes()).ok());
    Some(InTheWay { index, entry, receipt })
}

impl Client {
    /// Posts a statement.
    ///
    /// # Errors
    /// [`ClientError`]: it is not known whether the log has it, or it does not take anything now. Send the same bytes
    /// again.
    pub fn post(&self, statement: &[u8]) -> Result<Posted, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, JSON);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let answer = self.send(&Method::POST, "records", &headers, &Bytes::copy_from_slice(statement))?;
        if answer.status != StatusCode::OK {
            let refusal = Refusal::of(&answer);
            return match Refusal::is_problem(&answer) && refusal.is_final() {
                true => Ok(Posted::Refused(refusal)),
                false => Err(ClientError::Problem(refusal)),
            };
        }
        let document: Value =
            serde_json::from_slice(&answer.body).map_err(|_| self.odd("records", "no JSON"))?;
        Ok(Posted::Placed(self.placed(&document, statement)?))
    }

    fn placed(&self, document: &Value, statement: &[u8]) -> Result<Placed, ClientError> {
        let leaf = leaf_hash(statement);
        if document["leaf_hash"].as_str() != Some(&leaf.to_string()) {
            return Err(self.odd("records", "another leaf hash than the statement's"));
        }
        let index = document["index"].as_u64().and_then(|index| LeafIndex::new(index).ok());
        let receipt = document["receipt"].as_str().map(|text| TlogProof::parse(text.as_bytes()));
        Ok(Placed {
            index: index.ok_or_else(|| self.odd("records", "no index"))?,
            leaf,
            duplicate: document["duplicate"] == true,
            receipt: receipt.transpose().map_err(|error| ClientError::Receipt(error.to_string()))?,
        })
    }

    /// Posts statements, of which later ones may build on earlier ones. Outcomes are in their order.
    ///
    /// # Errors
    /// As [`Client::post`]; all may be sent again.
    pub fn post_batch<S: AsRef<[u8]>>(&self, statements: &[S]) -> Result<Vec<Posted>, ClientError> {
        let mut done: Vec<Posted> = Vec::with_capacity(statements.len());
        let mut wait = WAIT_FIRST;
        for attempt in 1.. {
            let rest = &statements[done.len()..];
            let stopped = match self.post_some(rest, &mut done) {
                Ok(None) => return Ok(done),
                Ok(Some(later)) => ClientError::Problem(later),
                Err(error @ ClientError::Fetch(FetchError::Network { .. } | FetchError::TimedOut(_))) => {
                    error
                }
                Err(error) => return Err(error),
            };
            if attempt == ATTEMPTS_MAX {
                return Err(stopped);
            }
            pause(wait);
            wait *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// Posts a stream once, and takes outcomes up to the first that says "later". What comes after that one may build on
    /// it, and is sent again with it.
    fn post_some<S: AsRef<[u8]>>(
        &self,
        statements: &[S],
        done: &mut Vec<Posted>,
    ) -> Result<Option<Refusal>, ClientError> {
        let mut body = Vec::new();
        for statement in statements {
            let pushed = bundle::push_entry(&mut body, statement.as_ref());
            pushed.map_err(|error| self.odd("records/batch", error.to_string()))?;
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let answer = self.send(&Method::POST, "records/batch?receipts=true", &headers, &body.into())?;
        if answer.status != StatusCode::OK {
            return Err(ClientError::Problem(Refusal::of(&answer)));
        }
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut found = 0;
        for (statement, line) in statements.iter().zip(lines) {
            let outcome: Value = serde_json::from_slice(line)
                .map_err(|_| self.odd("records/batch", "a line that is no JSON"))?;
            found += 1;
            if outcome["problem"].is_null() {
                done.push(Posted::Placed(self.placed(&outcome, statement.as_ref())?));
                continue;
            }
            let refusal = Refusal::of_document(&outcome["problem"]);
            let status = StatusCode::from_u16(refusal.status).unwrap_or_default();
            if refusal.is_final() {
                done.push(Posted::Refused(refusal));
            } else if is_later(status) || status == StatusCode::REQUEST_TIMEOUT {
                return Ok(Some(refusal));
            } else {
                return Err(ClientError::Problem(refusal));
            }
        }
        match found == statements.len() {
            true => Ok(None),
            false => Err(self.odd("records/batch", format!("{found} outcomes for {}", statements.len()))),
        }
    }
}

//! `POST /records`: one statement in, its receipt out, once the checkpoint that covers it is public.
//!
//! ```text
//! body: the signed statement, as it becomes the leaf          answer: the receipt (C2SP tlog-proof)
//! ```
//!
//! With `Accept: application/json` the answer is `{"index", "leaf_hash", "duplicate", "receipt"}`. The same statement
//! again has the same index. A refusal is a problem document; where another entry is in the way, it comes with it,
//! and with its receipt.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use daemon::problem::Problem;
use http::Request;
use hyper::body::Incoming;
use record::statement::STATEMENT_BYTES_MAX;
use serde::Serialize;
use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;

use super::problem;
use crate::http::answer::{BYTES, Caching, TEXT, answer, json, prefers_json};
use crate::http::proof::receipt;
use crate::http::{App, Outcome, error};
use crate::log::{AddError, Admitted};
use crate::pool::{Decision, Placed, SubmitError};
use crate::records::admit::{Examined, NotTaken, examine, may_have_attachments};
use crate::records::text_hash;

/// What may be sent as a statement.
const STATEMENT_TYPES: [&str; 2] = [BYTES, "text/plain"];

/// Every tombstone begins like this.
const TOMBSTONE: &[u8] = b"daybook/tombstone/";

/// Whether a statement may be a tombstone.
pub(super) fn is_tombstone(statement: &[u8]) -> bool {
    statement.starts_with(TOMBSTONE)
}

#[derive(Serialize)]
struct Accepted {
    index: u64,
    leaf_hash: String,
    duplicate: bool,
    receipt: String,
}

impl App {
    pub(super) async fn post_record(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        let as_json = prefers_json(request.headers());
        let body = self.body(request, STATEMENT_BYTES_MAX, &STATEMENT_TYPES).await?;
        // From admission on the statement is the pool's, which counts it by itself.
        let bytes = body.bytes.clone();
        let timer = self.add_seconds.start_timer();
        let leaf = leaf_hash(&bytes);
        let decision = if is_tombstone(&bytes) {
            // To the end, also if the client goes away: what the tombstone says must come true.
            let deciding = tokio::spawn(Arc::clone(&self).decide_and_erase(bytes));
            deciding.await.map_err(|_| error::internal())??
        } else {
            self.decide(bytes).await?
        };
        drop(body);
        timer.observe_duration();
        self.count_decisions(std::slice::from_ref(&decision));
        let placed = match decision {
            Ok(placed) => placed,
            Err(refused) => {
                return Err(self.with_entry(problem::refused(&refused), "latest", refused.shows()).await);
            }
        };
        let receipt = self.receipt_of(placed.index).await?;
        Ok(match as_json {
            true => json(
                Caching::Never,
                &Accepted {
                    index: placed.index.get(),
                    leaf_hash: leaf.to_string(),
                    duplicate: placed.duplicate,
                    receipt,
                },
            ),
            false => answer(TEXT, Caching::Never, receipt),
        })
    }

    async fn decide(self: &Arc<Self>, bytes: Bytes) -> Result<Decision, Problem> {
        Ok(match self.examined(bytes).await? {
            Examined::Known(index) => Ok(Placed { index, duplicate: true }),
            Examined::New(pending) => {
                self.count_against_agency(&pending, 1)?;
                let waiting = self.log.pool.submit(vec![*pending]);
                let waiting = waiting.map_err(|error| self.add_failed(&AddError::Submit(error)))?;
                let mut decisions = self.wait_for_all(Admitted::Waiting(waiting)).await?;
                decisions.pop().ok_or_else(error::internal)?
            }
        })
    }

    /// Where the outcome is unknown, nothing waits here for the tombstone's publication: [`crate::records::upkeep`] does.
    async fn decide_and_erase(self: Arc<Self>, bytes: Bytes) -> Result<Decision, Problem> {
        let decision = self.decide(bytes).await?;
        if let Ok(placed) = &decision {
            self.carry_out_tombstones(vec![placed.index]).await?;
        }
        Ok(decision)
    }

    /// Destroys what published tombstones say is gone. No tombstone is acknowledged before that: `entries` are those that are
    /// about to be.
    pub(super) async fn carry_out_tombstones(
        self: &Arc<Self>,
        entries: Vec<LeafIndex>,
    ) -> Result<(), Problem> {
        let carried_out = self.run_blocking(move |app| {
            let size = app.log.published().head().size;
            let records = app.records()?;
            match records.carry_out(&app.log.index, &app.log.lookup, size) {
                Err(cause) if !records.eraser.has_carried_out(&entries) => {
                    tracing::error!(%cause, "a tombstone is in the log and cannot be carried out");
                    Err(error::add(&AddError::Submit(SubmitError::Unknown), |base| app.retry_seconds(base)))
                }
                _ => Ok(()),
            }
        });
        carried_out.await?
    }

    /// Examines a statement: here if the index answers from memory, on a blocking thread if an entry or attachments have
    /// to be looked at.
    async fn examined(self: &Arc<Self>, bytes: Bytes) -> Result<Examined, Problem> {
        let committed = self.log.heads.committed();
        let known = text_hash(&bytes).map(|text| self.log.index.lookup_text(&text, committed));
        let examined = match known {
            Some(Ok(None)) | None if !may_have_attachments(&bytes) => {
                examine(&self.log, self.records()?, bytes)
            }
            _ => {
                let app = Arc::clone(self);
                let work = move || Ok(examine(&app.log, app.records()?, bytes));
                tokio::task::spawn_blocking(work).await.map_err(|_| error::internal())??
            }
        };
        match examined {
            Ok(examined) => Ok(examined),
            Err(reason) => Err(self.not_taken(&reason).await),
        }
    }

    async fn not_taken(self: &Arc<Self>, reason: &NotTaken) -> Problem {
        self.added.with_label_values(&[reason.code()]).inc();
        let shown = match reason {
            NotTaken::Refused(refused) => refused.shows(),
            _ => None,
        };
        match problem::not_taken(reason) {
            Some(problem) => self.with_entry(problem, "latest", shown).await,
            None => self.failed(reason),
        }
    }

    /// The log does not know, which is not the statement's fault.
    pub(super) fn failed(&self, reason: &NotTaken) -> Problem {
        tracing::error!(%reason, "a statement cannot be examined");
        error::lookup_failed(self.retry_seconds(error::RETRY_CLOSED_SECONDS))
    }

    /// The entry that is in the way, with its receipt. Without it if it cannot be had: the refusal stands.
    pub(super) async fn with_entry(
        self: &Arc<Self>,
        problem: Problem,
        name: &str,
        shown: Option<LeafIndex>,
    ) -> Problem {
        let Some(index) = shown else { return problem };
        let found = self.run_blocking(move |app| {
            let published = app.log.published();
            let (entry, inclusion) = app.prover.entry(index, published.head())?;
            let receipt = receipt(index, inclusion.proof, published.checkpoint.note().clone());
            Ok::<_, crate::prove::ProveError>((entry, inclusion.leaf, receipt))
        });
        match found.await {
            Ok(Ok((entry, leaf, receipt))) => problem.with(
                name,
                serde_json::json!({
                    "index": index.get(),
                    "leaf_hash": leaf.to_string(),
                    "entry": STANDARD.encode(&entry),
                    "receipt": receipt,
                }),
            ),
            Ok(Err(cause)) => {
                tracing::error!(%cause, %index, "the entry that a refusal names cannot be shown");
                problem
            }
            Err(_) => problem,
        }
    }

    pub(super) fn count_decisions(&self, decisions: &[Decision]) {
        for decision in decisions {
            let label = match decision {
                Ok(Placed { duplicate: true, .. }) => "duplicate",
                Ok(_) => "new",
                Err(refused) => refused.code(),
            };
            self.added.with_label_values(&[label]).inc();
        }
    }

    pub(super) fn count_against_agency(
        &self,
        pending: &crate::pool::Pending,
        count: usize,
    ) -> Result<(), Problem> {
        let Some(admitted) = &pending.statement else { return Ok(()) };
        let crate::records::Admitted::Authentic(authentic) = &**admitted else { return Ok(()) };
        let agency = authentic.statement().body().agency().clone();
        self.agencies.take(agency, count).map_err(problem::too_many_of_agency)
    }
}

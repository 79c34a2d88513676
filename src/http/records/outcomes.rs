//! The outcomes of a stream of statements, as they become known, in order.
//!
//! A group is what was submitted together. Its outcomes are written once what it placed is public, and what its tombstones
//! erase is destroyed; receipts are made for a whole group at a time, under one checkpoint.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use daemon::problem::Problem;
use serde_json::{Value, json};
use tlog::ids::LeafIndex;
use tokio::sync::{mpsc, oneshot};

use super::problem;
use crate::http::{ANSWER_TIMEOUT, App, error};
use crate::log::AddError;
use crate::pool::{self, Decision, Placed, SubmitError};

/// One statement of a group.
pub(super) enum Slot {
    /// It is in the log already, under this leaf hash.
    Placed(String, Placed),
    /// It is not taken.
    Refused(Value),
    /// The judge's next decision is its outcome.
    Judged(String),
}

impl Slot {
    fn placed(&self) -> Option<&Placed> {
        match self {
            Self::Placed(_, placed) => Some(placed),
            Self::Refused(_) | Self::Judged(_) => None,
        }
    }
}

/// A group whose outcomes come in order.
pub(super) struct Group {
    pub(super) slots: Vec<Slot>,
    pub(super) answer: Option<oneshot::Receiver<pool::Outcome>>,
    /// Something is to be erased before this group is answered.
    pub(super) erases: bool,
}

/// An entry, or why there is none.
type Line = Result<(String, Placed), Value>;

impl App {
    pub(super) async fn write_outcomes(
        self: Arc<Self>,
        mut groups: mpsc::Receiver<Group>,
        pieces: mpsc::Sender<io::Result<Bytes>>,
        receipts: bool,
    ) {
        let mut listening = true;
        while let Some(group) = groups.recv().await {
            // What was taken is carried out to its end, also if the client has gone.
            let lines = self.decided(group).await;
            if !listening {
                continue;
            }
            let receipts = if receipts { self.receipts(&lines).await } else { Vec::new() };
            let (mut receipts, mut out) = (receipts.into_iter(), Vec::new());
            for line in lines {
                let value = match line {
                    Ok((leaf, placed)) => accepted(&leaf, placed, receipts.next()),
                    Err(refused) => refused,
                };
                serde_json::to_writer(&mut out, &value).expect("an outcome has a JSON form");
                out.push(b'\n');
            }
            listening = pieces.send(Ok(out.into())).await.is_ok();
        }
    }

    /// Waits for what was decided, and carries out what it erases.
    async fn decided(self: &Arc<Self>, group: Group) -> Vec<Line> {
        let Group { slots, answer, erases } = group;
        let decided = match answer {
            None => Ok(Vec::new()),
            Some(answer) => match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => Err(SubmitError::Unknown),
            },
        };
        let mut decided = decided.map_err(|error| self.add_failed(&AddError::Submit(error)));
        let mut known = Ok(());
        if erases {
            let placed = slots.iter().filter_map(Slot::placed);
            let judged = decided.iter().flatten().filter_map(|decision| decision.as_ref().ok());
            let entries = placed.chain(judged).map(|placed| placed.index).collect();
            known = self.carry_out_tombstones(entries).await;
            decided = decided.and_then(|decisions| known.clone().map(|()| decisions));
        }
        let mut decisions = decided.inspect(|decisions| self.count_decisions(decisions)).map(Vec::into_iter);
        let line = |slot| match (slot, &mut decisions) {
            (Slot::Placed(leaf, placed), _) => match &known {
                Ok(()) => Ok((leaf, placed)),
                Err(problem) => Err(failure(problem)),
            },
            (Slot::Refused(value), _) => Err(value),
            (Slot::Judged(leaf), Ok(decisions)) => match decisions.next() {
                Some(decision) => line_of(leaf, decision),
                None => Err(failure(&error::internal())),
            },
            (Slot::Judged(_), Err(problem)) => Err(failure(problem)),
        };
        slots.into_iter().map(line).collect()
    }

    /// A receipt for each entry of the lines, in order; `null` for all where they cannot be made at the moment.
    async fn receipts(self: &Arc<Self>, lines: &[Line]) -> Vec<Value> {
        let indexes: Vec<LeafIndex> = lines.iter().flatten().map(|(_, placed)| placed.index).collect();
        let count = indexes.len();
        let made = self.run_blocking(move |app| app.make_receipts(&indexes));
        match made.await {
            Ok(Ok(receipts)) => receipts.into_iter().map(Value::from).collect(),
            Ok(Err(cause)) => {
                tracing::error!(%cause, "the receipts of a batch cannot be made");
                vec![Value::Null; count]
            }
            Err(_) => vec![Value::Null; count],
        }
    }
}

impl Group {
    pub(super) fn of(slots: Vec<Slot>) -> Self {
        Self { slots, answer: None, erases: false }
    }

    pub(super) fn failed(count: usize, problem: &Problem) -> Self {
        Self::of((0..count).map(|_| Slot::Refused(failure(problem))).collect())
    }
}

fn accepted(leaf: &str, placed: Placed, receipt: Option<Value>) -> Value {
    let mut outcome =
        json!({ "index": placed.index.get(), "leaf_hash": leaf, "duplicate": placed.duplicate });
    if let Some(receipt) = receipt {
        outcome["receipt"] = receipt;
    }
    outcome
}

pub(super) fn failure(problem: &Problem) -> Value {
    json!({ "problem": problem.to_json() })
}

/// The entry in the way is named, and not shown: its receipt is at `/entry/<index>`.
fn line_of(leaf: String, decision: Decision) -> Line {
    match decision {
        Ok(placed) => Ok((leaf, placed)),
        Err(refused) => {
            let problem = problem::refused(&refused);
            Err(failure(&match refused.shows() {
                Some(index) => problem.with("latest", json!({ "index": index.get() })),
                None => problem,
            }))
        }
    }
}

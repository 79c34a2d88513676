//! `POST /records/batch`: a stream of statements in, a stream of outcomes out, in order.
//!
//! ```text
//! body:    (u16 length, statement)*, big-endian, of any length; chunked or not
//! answer:  one JSON object a line, with `?receipts=true` the receipt in it
//!          {"index":7,"leaf_hash":"...","duplicate":false}
//!          {"problem":{"type":"urn:daybook:problem:inadmissible","status":422,"reason":"...",...}}
//! ```
//!
//! Outcomes are sent while the body still comes. A bad statement does not sink the others. Whoever does not read the
//! outcomes is not read from either: between the two a bounded number of statements is under way. A body that
//! cannot be cut into statements ends the stream with a problem; what came before it has its outcomes. The answer is
//! written by [`super::outcomes`].

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use daemon::listen::ClientAddress;
use daemon::listen::body::BodyError;
use daemon::problem::Problem;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tlog::hash::leaf_hash;
use tokio::sync::{mpsc, oneshot};

use super::outcomes::{Group, Slot, failure};
use super::post::is_tombstone;
use super::problem;
use crate::http::add::{BODY_IDLE, check_kind};
use crate::http::answer::{BYTES, Caching, stream};
use crate::http::limiter::network;
use crate::http::{App, Outcome, error};
use crate::log::AddError;
use crate::pool;
use crate::pool::{Pending, Placed, SubmitError};
use crate::records::admit::{Examined, NotTaken, examine};

/// Statements that are examined and submitted together.
const GROUP_STATEMENTS_MAX: usize = 256;
/// Bytes of them.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Groups under way at a time.
const GROUPS_MAX: usize = 8;
/// Pieces of the answer that wait for the client.
const PIECES_MAX: usize = 4;
/// How often, and how long apart, a group is offered to a pool that is full.
const OFFERS_MAX: u32 = 200;
const OFFER_PAUSE: Duration = Duration::from_millis(50);

const NDJSON: &str = "application/x-ndjson";

impl App {
    pub(super) fn post_records(self: Arc<Self>, request: Request<Incoming>) -> Outcome {
        check_kind(request.headers(), &[BYTES])?;
        let receipts = wants_receipts(request.uri().query())?;
        let client = request.extensions().get().map(|ClientAddress(address)| network(*address));
        let (pieces, answer) = mpsc::channel(PIECES_MAX);
        let (groups, in_order) = mpsc::channel(GROUPS_MAX);
        let (reader, writer) = (Arc::clone(&self), self);
        tokio::spawn(async move {
            if let Err(problem) = reader.read_groups(request.into_body(), client, &groups).await {
                // If the writer has gone, the client has.
                let _ = groups.send(Group::of(vec![Slot::Refused(failure(&problem))])).await;
            }
        });
        tokio::spawn(writer.write_outcomes(in_order, pieces, receipts));
        Ok(stream(NDJSON, Caching::Never, answer))
    }

    async fn read_groups(
        self: &Arc<Self>,
        mut body: Incoming,
        client: Option<std::net::IpAddr>,
        groups: &mpsc::Sender<Group>,
    ) -> Result<(), Problem> {
        let mut buffer = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(BODY_IDLE, body.frame())
                .await
                .map_err(|_| self.body_failed(BodyError::TooSlow))?;
            let ended = frame.is_none();
            if let Some(frame) = frame {
                let frame = frame.map_err(|_| problem::wrong_form("The body broke off."))?;
                buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            loop {
                let statements = cut(&mut buffer)?;
                if statements.is_empty() {
                    break;
                }
                if let Some(client) = client {
                    let taken = self.networks.take(client, statements.len());
                    taken.map_err(problem::too_many_from_network)?;
                }
                let group = self.group(statements).await;
                if groups.send(group).await.is_err() {
                    return Ok(());
                }
            }
            if ended && buffer.is_empty() {
                return Ok(());
            }
            if ended {
                return Err(problem::wrong_form("The body ends in the middle of a statement."));
            }
        }
    }

    /// Examines statements on a blocking thread and submits what is new, together and in order.
    async fn group(self: &Arc<Self>, statements: Vec<Bytes>) -> Group {
        let count = statements.len();
        let erases = statements.iter().any(|statement| is_tombstone(statement));
        let examined = self.run_blocking(move |app| {
            let Some(records) = &app.log.records else { return Vec::new() };
            let examine = |bytes: Bytes| {
                let leaf = leaf_hash(&bytes).to_string();
                (leaf, examine(&app.log, records, bytes))
            };
            statements.into_iter().map(examine).collect()
        });
        let Ok(examined) = examined.await else { return Group::failed(count, &error::internal()) };
        let (mut slots, mut pending) = (Vec::with_capacity(count), Vec::new());
        for (leaf, examined) in examined {
            slots.push(match examined {
                Ok(Examined::Known(index)) => Slot::Placed(leaf, Placed { index, duplicate: true }),
                Ok(Examined::New(new)) => match self.count_against_agency(&new, 1) {
                    Ok(()) => {
                        pending.push(*new);
                        Slot::Judged(leaf)
                    }
                    Err(problem) => Slot::Refused(failure(&problem)),
                },
                Err(reason) => Slot::Refused(failure(&self.reason(&reason))),
            });
        }
        if pending.is_empty() {
            return Group { slots, answer: None, erases };
        }
        match self.offer(pending).await {
            Ok(answer) => Group { slots, answer: Some(answer), erases },
            Err(error) => Group::failed(count, &self.add_failed(&AddError::Submit(error))),
        }
    }

    fn reason(&self, reason: &NotTaken) -> Problem {
        self.added.with_label_values(&[reason.code()]).inc();
        problem::not_taken(reason).unwrap_or_else(|| self.failed(reason))
    }

    /// Waits for room in the pool: a stream is slowed down where a request would be refused.
    async fn offer(&self, pending: Vec<Pending>) -> Result<oneshot::Receiver<pool::Outcome>, SubmitError> {
        for _ in 0..OFFERS_MAX {
            match self.log.pool.submit(pending.clone()) {
                Err(SubmitError::PoolFull) => tokio::time::sleep(OFFER_PAUSE).await,
                other => return other,
            }
        }
        Err(SubmitError::PoolFull)
    }
}

/// Whether the query asks for receipts.
fn wants_receipts(query: Option<&str>) -> Result<bool, Problem> {
    match query.unwrap_or("") {
        "" | "receipts=false" => Ok(false),
        "receipts=true" => Ok(true),
        _ => Err(problem::wrong_form("The query is receipts=true, or there is none.")),
    }
}

/// Takes whole statements from the front of the buffer, as many as make a group.
fn cut(buffer: &mut BytesMut) -> Result<Vec<Bytes>, Problem> {
    let (mut statements, mut bytes) = (Vec::new(), 0);
    while statements.len() < GROUP_STATEMENTS_MAX && bytes < GROUP_BYTES_MAX {
        let Some(length) = buffer.first_chunk::<2>() else { break };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            return Err(problem::wrong_form("A statement of the body has no bytes."));
        }
        if buffer.len() < 2 + length {
            break;
        }
        buffer.advance(2);
        statements.push(buffer.split_to(length).freeze());
        bytes += length;
    }
    Ok(statements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_where_their_lengths_say_and_wait_until_they_are_whole() {
        let mut buffer = BytesMut::from(&b"\0\x03abc\0\x02d"[..]);
        assert_eq!(cut(&mut buffer).unwrap(), [Bytes::from_static(b"abc")]);
        assert!(cut(&mut buffer).unwrap().is_empty());
        buffer.extend_from_slice(b"e\0");
        assert_eq!(cut(&mut buffer).unwrap(), [Bytes::from_static(b"de")]);
        assert_eq!(&buffer[..], b"\0");
        buffer.extend_from_slice(b"\0");
        assert_eq!(cut(&mut buffer).unwrap_err().kind(), "malformed");
    }
}

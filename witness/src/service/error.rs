//! From what went wrong to a status and a problem document. Each `type` is stable; docs/http.md lists them.
//!
//! Faults of our own are told in general words; the details go to the operator's log.

use std::time::Duration;

use daemon::listen::body::BodyError;
use daemon::problem::Problem;
use http::StatusCode;

use super::Outcome;
use super::answer::conflict;
use crate::judge::Refusal;
use crate::state::StateError;
use crate::suspects::SuspectError;
use crate::witness::{AddError, SubtreeError};

pub(super) fn no_such_path() -> Problem {
    not_there("Nothing is at this path. See / for what is here.")
}

pub(super) fn not_there(detail: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

pub(super) fn wrong_method(methods: &'static str) -> Problem {
    let detail = format!("This path takes {methods}.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        .allow(methods)
}

pub(super) fn busy(seconds: u32) -> Problem {
    let detail = "The witness is answering as many requests as it can. Try again after the time given.";
    unavailable("busy", "Busy", detail).retry_after(seconds)
}

pub(super) fn internal() -> Problem {
    let detail = "The witness failed in a way that it should not. Its operator can find out why in its log.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
}

pub(super) fn state(error: &StateError) -> Problem {
    tracing::error!(%error, "the state cannot be read");
    internal()
}

fn unavailable(kind: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, detail)
}

/// A refusal as the specification maps it. A conflict is an answer with a form of its own.
pub(super) fn refusal(refusal: &Refusal) -> Outcome {
    let (status, kind, title) = match refusal {
        Refusal::Conflict(size) => return Ok(conflict(*size)),
        Refusal::Wire(_) | Refusal::Malformed(_) => {
            (StatusCode::BAD_REQUEST, "malformed", "Malformed request")
        }
        Refusal::OldTooLarge(..) => (StatusCode::BAD_REQUEST, "old-too-large", "Old size too large"),
        Refusal::UnknownOrigin(_) => (StatusCode::NOT_FOUND, "unknown-log", "Unknown log"),
        Refusal::NotSigned(_) => (StatusCode::FORBIDDEN, "not-signed", "Not signed by the log"),
        Refusal::EmptyRoot | Refusal::SameSizeOtherRoot(_) | Refusal::Proof(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "inconsistent", "Not consistent")
        }
    };
    debug_assert_eq!(status.as_u16(), refusal.status());
    Err(Problem::new(status, kind, title, sentence(&refusal.to_string())))
}

pub(super) fn add(error: &AddError, jittered: impl Fn(u32) -> u32) -> Outcome {
    let detail = sentence(&error.to_string());
    Err(match error {
        AddError::Refused(refused) => return refusal(refused),
        AddError::OverQuota(wait) => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "over-quota", "Over quota", detail)
                .retry_after(whole_seconds(*wait))
        }
        AddError::Clock(wait) => {
            unavailable("clock", "Clock behind", detail).retry_after(whole_seconds(*wait))
        }
        AddError::Busy => unavailable("busy", "Busy", detail).retry_after(jittered(1)),
        AddError::Unknown => {
            unavailable("outcome-unknown", "Outcome unknown", detail).retry_after(jittered(1))
        }
    })
}

pub(super) fn subtree(error: &SubtreeError) -> Problem {
    let detail = sentence(&error.to_string());
    match error {
        SubtreeError::Wire(_) | SubtreeError::Range(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
        }
        SubtreeError::Refused(Refusal::UnknownOrigin(_)) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-log", "Unknown log", detail)
        }
        SubtreeError::Refused(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
        }
        SubtreeError::NotCosigned => {
            Problem::new(StatusCode::FORBIDDEN, "not-cosigned", "Not cosigned here", detail)
        }
        SubtreeError::Proof(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "inconsistent", "Not consistent", detail)
        }
    }
}

pub(super) fn suspect(error: &SuspectError, jittered: impl Fn(u32) -> u32) -> Problem {
    let detail = sentence(&error.to_string());
    let nothing =
        |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "proves-nothing", "Proves nothing", detail);
    match error {
        SuspectError::Refused(Refusal::UnknownOrigin(_)) | SuspectError::Stranger(_) => {
            Problem::new(StatusCode::NOT_FOUND, "unknown-log", "Unknown log", detail)
        }
        SuspectError::Refused(Refusal::NotSigned(_)) | SuspectError::Nothing(_) => nothing(detail),
        SuspectError::Malformed(_)
        | SuspectError::File(_)
        | SuspectError::Note(_)
        | SuspectError::Refused(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
        }
        SuspectError::State(cause) => state(cause),
        SuspectError::Busy => unavailable("busy", "Busy", detail).retry_after(jittered(1)),
    }
}

pub(super) fn body(error: BodyError) -> Problem {
    let (status, kind, title) = match error {
        BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow"),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
        BodyError::Busy => return busy(1),
    };
    Problem::new(status, kind, title, sentence(&error.to_string()))
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// Our errors are phrases; a detail is a sentence.
fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

//! From what went wrong to a problem document. Each `type` is stable; docs/http.md lists them.
//!
//! Faults of our own are told in general words; the details go to the operator's log.

use daemon::listen::body::BodyError;
use daemon::problem::Problem;
use http::StatusCode;

use super::route::Route;
use crate::log::AddError;
use crate::pool::SubmitError;
use crate::prove::ProveError;

/// Base of `Retry-After` when the pool is full.
pub(super) const RETRY_BUSY_SECONDS: u32 = 1;
/// Base of `Retry-After` when writing has been stopped.
pub(super) const RETRY_CLOSED_SECONDS: u32 = 10;

pub(super) fn no_such_path() -> Problem {
    let detail = "Nothing is at this path. See / for what is here; numbers have no leading zeros, and tile \
                  indexes have groups of three digits such as x001/234.";
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

pub(super) fn wrong_method(route: &Route) -> Problem {
    let (methods, detail) = match route {
        Route::Add | Route::AddBatch => ("POST", "Use POST, with the entry as the body."),
        Route::Records(route) => (route.methods(), "This path takes other methods; Allow names them."),
        _ => ("GET, HEAD", "Use GET: this path is only read."),
    };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        .allow(methods)
}

pub(super) fn not_there(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

pub(super) fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
}

/// What was sent can be read, and is no entry.
pub(super) fn not_an_entry(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not-an-entry", "Not an entry", detail)
}

pub(super) fn busy(seconds: u32) -> Problem {
    let detail = "The log is answering as many requests as it can. Try again after the time given.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail).retry_after(seconds)
}

pub(super) fn internal() -> Problem {
    let detail =
        "The log failed in a way that it should not. Its operator can find out why in the server's log.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
}

pub(super) fn prove(error: &ProveError) -> Problem {
    match error {
        ProveError::OutOfTree(..) => Problem::new(
            StatusCode::BAD_REQUEST,
            "out-of-tree",
            "Not in the tree",
            sentence(&error.to_string()),
        ),
        ProveError::Order(..) => malformed(sentence(&error.to_string())),
        ProveError::NotPublished(..) => Problem::new(
            StatusCode::NOT_FOUND,
            "not-published",
            "Not published",
            sentence(&error.to_string()),
        ),
        ProveError::Missing(_) | ProveError::Read(_) | ProveError::Damaged(_) => {
            tracing::error!(%error, "the stored tree is damaged: run `daybook fsck` on the directory");
            let detail = "The log cannot prove this at the moment: what it has stored does not match its \
                          checkpoint. Its operator has to repair it. Keep your receipts.";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", "Damaged", detail)
        }
    }
}

pub(super) fn add(error: &AddError, seconds: impl Fn(u32) -> u32) -> Problem {
    let detail = error.to_string();
    let unavailable =
        |kind, title| Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind, title, sentence(&detail));
    match error {
        AddError::Submit(SubmitError::PoolFull) => {
            unavailable("busy", "Busy").retry_after(seconds(RETRY_BUSY_SECONDS))
        }
        AddError::Submit(SubmitError::Closed(_)) => {
            unavailable("not-taking-entries", "Not taking entries").retry_after(seconds(RETRY_CLOSED_SECONDS))
        }
        AddError::Submit(SubmitError::Unknown) => {
            unavailable("outcome-unknown", "Outcome unknown").retry_after(seconds(RETRY_BUSY_SECONDS))
        }
        AddError::Lookup(cause) => {
            tracing::error!(%cause, "it cannot be told whether an entry is in the log");
            unavailable("lookup-failed", "Lookup failed").retry_after(seconds(RETRY_CLOSED_SECONDS))
        }
    }
}

pub(super) fn lookup_failed(seconds: u32) -> Problem {
    let detail =
        "The log cannot tell at the moment whether it holds this; nothing was stored, send it again later.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "lookup-failed", "Lookup failed", detail)
        .retry_after(seconds)
}

pub(super) fn body(error: BodyError, seconds: impl Fn(u32) -> u32) -> Problem {
    let (status, kind, title) = match error {
        BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
        BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow"),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
        BodyError::Busy => return busy(seconds(RETRY_BUSY_SECONDS)),
    };
    Problem::new(status, kind, title, sentence(&error.to_string()))
}

/// Our errors are phrases; a detail is a sentence.
pub(super) fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

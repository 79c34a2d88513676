//! Answers and problems of the monitor's service.

use bytes::Bytes;
use daemon::problem::Problem;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::Answer;

fn answer(body: Vec<u8>, kind: &'static str) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

pub(super) fn text(body: Vec<u8>) -> Answer {
    answer(body, "text/plain; charset=utf-8")
}

pub(super) fn json(value: &impl Serialize) -> Answer {
    answer(serde_json::to_vec(value).expect("answers have a JSON form"), "application/json")
}

pub(super) fn no_such_path() -> Problem {
    let detail = "There is /heads/<origin hash>, /heads, /receipts, /status and /evidence/<id>.";
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

pub(super) fn no_such_log() -> Problem {
    let detail = "This monitor does not follow that log.";
    Problem::new(StatusCode::NOT_FOUND, "unknown-log", "Unknown log", detail)
}

pub(super) fn nothing_verified() -> Problem {
    let detail = "No head of that log is verified yet; come back later.";
    Problem::new(StatusCode::NOT_FOUND, "not-verified", "Not verified", detail)
}

pub(super) fn not_signed(why: &str) -> Problem {
    let detail = format!("The note is no head that the log has signed: {why}.");
    Problem::new(StatusCode::FORBIDDEN, "not-signed", "Not signed", detail)
}

pub(super) fn malformed(why: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed",
        "Malformed",
        format!("The body cannot be read: {why}."),
    )
}

pub(super) fn wrong_method(allow: &'static str) -> Problem {
    let detail = format!("Use {allow} here.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
        .allow(allow)
}

pub(super) fn busy() -> Problem {
    let detail = "Too many judgements wait. Come back in a moment.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail).retry_after(2)
}

pub(super) fn internal() -> Problem {
    let detail = "The monitor failed. Its operator finds the reason in its log.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal failure", detail)
}

pub(super) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("The body may have {bytes_max} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
}

pub(super) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Too slow", "The body took too long.")
}

//! Problem documents (RFC 9457): every error a server answers with.
//!
//! ```text
//! HTTP/1.1 503 Service Unavailable
//! Content-Type: application/problem+json
//! Retry-After: 2
//!
//! {"type":"urn:daybook:problem:busy","title":"...","status":503,"detail":"..."}
//! ```
//!
//! `type` is stable and meant for programs, `detail` is a sentence for people that says what to do. Internal
//! detail never goes into either.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::clock::Random;

/// The start of every problem type.
pub const TYPE_PREFIX: &str = "urn:daybook:problem:";

/// An error for a client.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    retry_after_seconds: Option<u32>,
    allow: Option<&'static str>,
    members: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// A problem of this status; `kind` ends its `type`, `title` names it, `detail` says what to do.
    #[must_use]
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let members = serde_json::Map::new();
        Self { status, kind, title, detail: detail.into(), retry_after_seconds: None, allow: None, members }
    }

    /// Asks the client to come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Names the methods that are allowed, for 405.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Adds a member of its own to the document (RFC 9457, 3.2).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The document, where it is part of another answer.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).expect("a problem document has a JSON form")
    }

    fn document(&self) -> Document<'_> {
        Document {
            kind: format!("{TYPE_PREFIX}{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            members: &self.members,
        }
    }

    /// The last part of the type, also the metric label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What to do about it, a sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response. Never cacheable.
    #[must_use]
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let (parts, body) = self.parts();
        Response::from_parts(parts, Full::new(body))
    }

    fn parts(self) -> (http::response::Parts, Bytes) {
        let body = serde_json::to_vec(&self.document()).expect("a problem document has a JSON form");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        response.into_parts()
    }

    /// The response as bytes of HTTP/1.1 that end the connection, for where there is no HTTP machinery.
    #[must_use]
    pub fn to_http1(&self) -> Vec<u8> {
        let (parts, body) = self.clone().parts();
        let mut bytes = format!("HTTP/1.1 {}\r\nconnection: close\r\n", parts.status).into_bytes();
        for (name, value) in &parts.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a serde_json::Map<String, serde_json::Value>,
}

/// A `Retry-After` between `base` and twice that, so that clients do not come back together.
#[must_use]
pub fn jittered_seconds(random: &dyn Random, base: u32) -> u32 {
    let mut byte = [0];
    random.fill(&mut byte);
    base + base * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn a_problem_carries_its_headers_and_is_not_cached() {
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", "Try \"later\".").retry_after(3);
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn retry_after_is_spread_between_once_and_twice_the_base() {
        let drawn: std::collections::BTreeSet<_> =
            (0..500).map(|_| jittered_seconds(&SystemRandom, 10)).collect();
        assert!(drawn.len() > 5 && drawn.iter().all(|seconds| (10..=20).contains(seconds)), "{drawn:?}");
    }
}

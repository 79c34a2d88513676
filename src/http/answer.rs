//! Answers: bodies with their types, caching, and which form a client prefers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};
use serde::Serialize;

/// A complete response.
pub(super) type Answer = Response<Full<Bytes>>;

/// How long an answer stays true.
#[derive(Clone, Copy)]
pub(super) enum Caching {
    /// For ever: tiles never change.
    Forever,
    /// For a second: the checkpoint.
    Second,
    /// Not at all.
    Never,
}

impl Caching {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Forever => "public, max-age=31536000, immutable",
            Self::Second => "public, max-age=1",
            Self::Never => "no-store",
        })
    }
}

pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// An answer that anyone may read, scripts on other sites included: everything in a log is public.
pub(super) fn answer(kind: &'static str, caching: Caching, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, caching.header());
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

pub(super) fn json(caching: Caching, value: &impl Serialize) -> Answer {
    let mut body = serde_json::to_vec(value).expect("answers have a JSON form");
    body.push(b'\n');
    answer(JSON, caching, body)
}

/// The answer to HEAD: the headers of GET, its length included, and no body.
pub(super) fn without_body(answer: Answer) -> Answer {
    let (mut parts, body) = answer.into_parts();
    let length = http_body::Body::size_hint(&body.boxed()).exact().unwrap_or(0);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, Full::default())
}

fn accepts(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name);
    let mut items = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    items.any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
        // A weight of zero means "not acceptable".
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|q| q.parse() == Ok(0.0));
        named && !refused
    })
}

/// Whether the client names JSON among what it accepts.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    accepts(headers, header::ACCEPT, JSON)
}

/// Whether the client names this type among what it accepts.
pub(super) fn prefers(headers: &HeaderMap, kind: &str) -> bool {
    accepts(headers, header::ACCEPT, kind)
}

/// Whether the client takes gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    accepts(headers, header::ACCEPT_ENCODING, "gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_where_it_is_asked_for() {
        let takes = |value: &'static str| {
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]))
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate,gzip"));
        assert!(
            !takes("") && !takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.000") && !takes("xgzip")
        );
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}

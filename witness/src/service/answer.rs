//! Answers: bodies with their types and caching.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use tlog::ids::TreeSize;
use tlog::note::SignatureLine;

/// A complete response.
pub(super) type Answer = Response<Full<Bytes>>;

/// How long an answer stays true.
#[derive(Clone, Copy)]
pub(super) enum Caching {
    /// For ever: what a hash names.
    Forever,
    /// For a few seconds.
    Seconds,
    /// Not at all.
    Never,
}

impl Caching {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Forever => "public, max-age=31536000, immutable",
            Self::Seconds => "public, max-age=5",
            Self::Never => "no-store",
        })
    }
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
/// Compared as a whole by clients: nothing may follow it.
const SIZE: &str = "text/x.tlog.size";

/// An answer that anyone may read, scripts on other sites included: all that a witness says is public.
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

/// "a sequence of one or more note signature lines".
pub(super) fn cosignatures(lines: &[SignatureLine]) -> Answer {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    answer(TEXT, Caching::Never, body)
}

/// "the tree size of the latest cosigned checkpoint in decimal, followed by a newline".
pub(super) fn conflict(size: TreeSize) -> Answer {
    let mut answer = answer(SIZE, Caching::Never, format!("{size}\n"));
    *answer.status_mut() = StatusCode::CONFLICT;
    answer
}

/// The answer to HEAD: the headers of GET, its length included, and no body.
pub(super) fn without_body(answer: Answer) -> Answer {
    let length = length(&answer);
    let (mut parts, _) = answer.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(parts, Full::default())
}

/// The length of a body.
pub(super) fn length(answer: &Answer) -> usize {
    let length = hyper::body::Body::size_hint(answer.body()).exact();
    length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}

/// The answer with something that is dropped together with the last of its bytes.
pub(super) async fn holding(answer: Answer, what: impl Send + 'static) -> Answer {
    struct Holding<T>(Bytes, T);
    impl<T> AsRef<[u8]> for Holding<T> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
    Response::from_parts(parts, Full::new(Bytes::from_owner(Holding(bytes, what))))
}

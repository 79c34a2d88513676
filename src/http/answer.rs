//! Answers: bodies with their types, caching, and which form a client prefers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use tokio::sync::mpsc;

/// A response.
pub(super) type Answer = Response<AnswerBody>;

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it.
    Whole(Full<Bytes>),
    /// What comes through the channel, until it closes; an error breaks the connection off.
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl<B: Into<Bytes>> From<B> for AnswerBody {
    fn from(bytes: B) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Stream(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

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
    let mut answer = Response::new(AnswerBody::from(body));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, caching.header());
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// A stream of pieces as they come.
pub(super) fn stream(
    kind: &'static str,
    caching: Caching,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
) -> Answer {
    let mut answer = answer(kind, caching, Bytes::new());
    *answer.body_mut() = AnswerBody::Stream(pieces);
    answer
}

pub(super) fn json(caching: Caching, value: &impl Serialize) -> Answer {
    let mut body = serde_json::to_vec(value).expect("answers have a JSON form");
    body.push(b'\n');
    answer(JSON, caching, body)
}

/// The answer to HEAD: the headers of GET, its length included, and no body.
pub(super) fn without_body(answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact();
    let (mut parts, _) = answer.into_parts();
    if let Some(length) = length {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, AnswerBody::from(Bytes::new()))
}

/// The length of a body; 0 for a stream, which has little in memory at a time.
pub(super) fn length(answer: &Answer) -> usize {
    let length = answer.body().size_hint().exact();
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
    let body = match body {
        AnswerBody::Whole(body) => {
            let bytes = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            AnswerBody::from(Bytes::from_owner(Holding(bytes, what)))
        }
        stream => stream,
    };
    Response::from_parts(parts, body)
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
    fn what_an_answer_holds_goes_with_its_last_byte() {
        let held = std::sync::Arc::new(());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = answer(BYTES, Caching::Forever, vec![7; 100]);
        let answer = runtime.block_on(holding(answer, std::sync::Arc::clone(&held)));
        assert_eq!((length(&answer), std::sync::Arc::strong_count(&held)), (100, 2));
        let bytes = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
        let part = bytes.slice(40..50);
        drop(bytes);
        assert_eq!(std::sync::Arc::strong_count(&held), 2, "a part is still on its way");
        drop(part);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }

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

//! Request bodies, bounded in size, in idle time and in total time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// How long a body may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The most bytes.
    pub bytes_max: usize,
    /// Between two pieces.
    pub idle: Duration,
    /// In all.
    pub total: Duration,
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed. Answer 413.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// It stopped coming, or came too slowly. Answer 408.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The client broke off. No answer can reach it.
    #[error("the body broke off")]
    Broken,
}

/// Reads a whole body.
///
/// # Errors
/// [`BodyError`]; a body that declares too great a length is refused before a byte of it is read.
pub async fn read_body<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    limits: BodyLimits,
) -> Result<Bytes, BodyError> {
    let declared = body.size_hint().lower();
    if declared > limits.bytes_max as u64 {
        return Err(BodyError::TooLarge(limits.bytes_max));
    }
    // The first piece is mostly there already, and mostly all there is.
    let first = next(&mut body, limits).await?;
    if body.is_end_stream() {
        return first.map_or(Ok(Bytes::new()), |bytes| check(bytes, limits));
    }
    let rest = collect(body, first.unwrap_or_default(), limits);
    tokio::time::timeout(limits.total, rest).await.map_err(|_| BodyError::TooSlow)?
}

fn check(bytes: Bytes, limits: BodyLimits) -> Result<Bytes, BodyError> {
    if bytes.len() <= limits.bytes_max { Ok(bytes) } else { Err(BodyError::TooLarge(limits.bytes_max)) }
}

async fn collect<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    first: Bytes,
    limits: BodyLimits,
) -> Result<Bytes, BodyError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limits.bytes_max);
    let mut all = BytesMut::with_capacity(first.len() + expected);
    all.extend_from_slice(&check(first, limits)?);
    while let Some(bytes) = next(&mut body, limits).await? {
        if all.len() + bytes.len() > limits.bytes_max {
            return Err(BodyError::TooLarge(limits.bytes_max));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(all.freeze())
}

/// The next piece of data; trailers are skipped.
async fn next<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    limits: BodyLimits,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        let frame = tokio::time::timeout(limits.idle, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

//! Request bodies, bounded in size, in idle time, in total time, and in the memory that all of them take together.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    /// Other bodies take all the memory there is for them. Answer 503.
    #[error("too many bodies are on their way at the moment")]
    Busy,
}

/// Memory for bodies that are on their way, shared by all requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes bytes, waiting at most so long for others to give some back.
    async fn take(&self, bytes: usize, patience: Duration) -> Result<OwnedSemaphorePermit, BodyError> {
        let count = u32::try_from(bytes).map_err(|_| BodyError::Busy)?;
        let taken = tokio::time::timeout(patience, Arc::clone(&self.0).acquire_many_owned(count)).await;
        taken.ok().and_then(Result::ok).ok_or(BodyError::Busy)
    }

    /// Takes bytes if they are there.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

/// A body, and the memory that it takes from its [`Budget`] until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The body.
    pub bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body.
///
/// # Errors
/// [`BodyError`]; a body that declares too great a length is refused before a byte of it is read.
pub async fn read_body<B: Body<Data = Bytes> + Unpin>(
    body: B,
    limits: BodyLimits,
) -> Result<Bytes, BodyError> {
    // A budget that one body cannot exceed bounds nothing else.
    let held = read_body_within(body, limits, &Budget::new(limits.bytes_max)).await?;
    Ok(held.bytes)
}

/// Reads a whole body within a budget. What arrives in one piece is the listener's memory already and is not
/// counted; the rest is taken from the budget as it arrives, so that only bytes that were sent hold any of it.
///
/// # Errors
/// As [`read_body`], and [`BodyError::Busy`].
pub async fn read_body_within<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    limits: BodyLimits,
    budget: &Budget,
) -> Result<Held, BodyError> {
    let declared = body.size_hint().lower();
    if declared > limits.bytes_max as u64 {
        return Err(BodyError::TooLarge(limits.bytes_max));
    }
    // The first piece is mostly there already, and mostly all there is.
    let first = next(&mut body, limits).await?;
    if body.is_end_stream() {
        let bytes = check(first.unwrap_or_default(), limits)?;
        return Ok(Held { bytes, _permit: None });
    }
    let rest = collect(body, first.unwrap_or_default(), limits, budget);
    tokio::time::timeout(limits.total, rest).await.map_err(|_| BodyError::TooSlow)?
}

fn check(bytes: Bytes, limits: BodyLimits) -> Result<Bytes, BodyError> {
    if bytes.len() <= limits.bytes_max { Ok(bytes) } else { Err(BodyError::TooLarge(limits.bytes_max)) }
}

async fn collect<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    first: Bytes,
    limits: BodyLimits,
    budget: &Budget,
) -> Result<Held, BodyError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limits.bytes_max);
    let mut permit = budget.take(first.len(), limits.idle).await?;
    let mut all = BytesMut::with_capacity(first.len() + expected);
    all.extend_from_slice(&check(first, limits)?);
    while let Some(bytes) = next(&mut body, limits).await? {
        if all.len() + bytes.len() > limits.bytes_max {
            return Err(BodyError::TooLarge(limits.bytes_max));
        }
        permit.merge(budget.take(bytes.len(), limits.idle).await?);
        all.extend_from_slice(&bytes);
    }
    Ok(Held { bytes: all.freeze(), _permit: Some(permit) })
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// A body that arrives in these pieces.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    const LIMITS: BodyLimits =
        BodyLimits { bytes_max: 10, idle: Duration::from_millis(5), total: Duration::from_secs(5) };

    fn read(pieces: &[&'static [u8]], budget: &Budget) -> Result<Held, BodyError> {
        let body = Pieces(pieces.iter().map(|piece| Bytes::from_static(piece)).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(read_body_within(body, LIMITS, budget))
    }

    #[test]
    fn bodies_share_a_budget_and_give_it_back() {
        let budget = Budget::new(10);
        let held = read(&[b"1234", b"567"], &budget).unwrap();
        assert_eq!(&held.bytes[..], b"1234567");
        assert_eq!(read(&[b"12", b"34"], &budget).unwrap_err(), BodyError::Busy);
        assert_eq!(&read(&[b"in one piece"[..9].as_ref()], &budget).unwrap().bytes[..], b"in one pi");
        drop(held);
        read(&[b"12", b"34"], &budget).unwrap();
    }

    #[test]
    fn a_body_is_refused_at_the_first_byte_too_many() {
        let budget = Budget::new(100);
        read(&[b"12345", b"67890"], &budget).unwrap();
        assert_eq!(read(&[b"12345", b"678901"], &budget).unwrap_err(), BodyError::TooLarge(10));
        assert_eq!(read(&[b"12345678901"], &budget).unwrap_err(), BodyError::TooLarge(10));
        assert!(read(&[], &budget).unwrap().bytes.is_empty());
    }
}

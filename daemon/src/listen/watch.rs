//! Watches the bytes of a connection, so that one that stands still or crawls can be cut off.
//!
//! One timer a connection, not one a request: the stream counts bytes as they move, and
//! [`Watch::too_slow`] looks at the counters once in a while.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::RATE_BYTES_PER_SECOND_MIN;

/// Looks at the counters this many times in an idle timeout.
const LOOKS: u32 = 4;

#[derive(Debug, Default)]
struct Counters {
    read: AtomicU64,
    written: AtomicU64,
    /// The peer's window was full at some time since the last look.
    blocked: AtomicBool,
}

/// A stream whose progress is counted.
pub(super) struct Watched<I> {
    inner: I,
    counters: Arc<Counters>,
}

/// The other end of a [`Watched`].
pub(super) struct Watch {
    counters: Arc<Counters>,
}

impl<I> Watched<I> {
    pub(super) fn new(inner: I) -> (Self, Watch) {
        let counters = Arc::new(Counters::default());
        (Self { inner, counters: Arc::clone(&counters) }, Watch { counters })
    }
}

impl Watch {
    /// Returns when nothing has moved for `idle`, or when the peer reads more slowly than it must.
    pub(super) async fn too_slow(&self, idle: Duration) {
        let interval = idle / LOOKS;
        let mut seen =
            (self.counters.read.load(Ordering::Relaxed), self.counters.written.load(Ordering::Relaxed));
        let mut still = 0;
        loop {
            self.counters.blocked.store(false, Ordering::Relaxed);
            tokio::time::sleep(interval).await;
            let now =
                (self.counters.read.load(Ordering::Relaxed), self.counters.written.load(Ordering::Relaxed));
            still = if now == seen { still + 1 } else { 0 };
            let least = RATE_BYTES_PER_SECOND_MIN.saturating_mul(interval.as_secs());
            let crawling = self.counters.blocked.load(Ordering::Relaxed) && now.1 - seen.1 < least;
            if still >= LOOKS || crawling {
                return;
            }
            seen = now;
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.counters.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl<I> Watched<I> {
    fn note(&self, result: &Poll<std::io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.counters.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => (),
            Poll::Pending => self.counters.blocked.store(true, Ordering::Relaxed),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

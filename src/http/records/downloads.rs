//! Attachments on their way to readers, a piece at a time.
//!
//! A reader that takes nothing holds a place and a little memory, never a thread: a piece is read on a blocking thread
//! when its turn has come, and then it waits for the reader by itself. Places are bounded, in all and for each network.
//! A download that stands still is ended together with its connection, because on HTTP/2 bytes of others, or mere
//! pings, keep the connection moving.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use daemon::listen::{ClientAddress, HangUp};
use daemon::problem::Problem;
use http::{Extensions, HeaderValue, header};
use tokio::sync::mpsc;

use crate::http::App;
use crate::http::answer::{Answer, BYTES, Caching, answer, stream};
use crate::http::limiter::network;

/// Attachments on their way at a time. With a piece that waits, one in hand and one that HTTP/2 has taken, all of them hold
/// about 100 MiB.
const DOWNLOADS_MAX: usize = 512;
/// Pieces of a download that wait for its reader.
const PIECES_MAX: usize = 1;
/// A reader has to take a piece in this time; that is about half of the least rate of a connection.
const STALL: Duration = Duration::from_secs(120);

/// Who downloads what at the moment.
#[derive(Debug)]
pub(in crate::http) struct Downloads {
    /// 0 for no limit.
    per_network_max: usize,
    stall: Duration,
    /// Held only to count.
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A place for one download, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    downloads: Arc<Downloads>,
    network: Option<IpAddr>,
    hang_up: Option<HangUp>,
}

impl Downloads {
    /// So many at a time for one network, 0 for as many as there are places.
    pub(in crate::http) fn new(per_network_max: usize) -> Arc<Self> {
        Arc::new(Self { per_network_max, stall: STALL, counts: Mutex::default() })
    }

    /// A place for the client of a request; none if there is none left, for it or at all.
    fn take(self: &Arc<Self>, request: &Extensions) -> Option<Place> {
        let network = request.get().map(|ClientAddress(address)| network(*address));
        let mut counts = self.lock();
        if counts.total >= DOWNLOADS_MAX {
            return None;
        }
        if let Some(network) = network {
            let count = counts.by_network.entry(network).or_insert(0);
            if self.per_network_max > 0 && *count >= self.per_network_max {
                return None;
            }
            *count += 1;
        }
        counts.total += 1;
        Some(Place { downloads: Arc::clone(self), network, hang_up: request.get().cloned() })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.downloads.lock();
        counts.total -= 1;
        let Some(network) = self.network else { return };
        if let Some(count) = counts.by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&network);
            }
        }
    }
}

impl Place {
    /// Passes a piece on. Whether there is to be another one.
    async fn send(&self, pieces: &mpsc::Sender<io::Result<Bytes>>, piece: io::Result<Bytes>) -> bool {
        let failed = piece.is_err();
        match tokio::time::timeout(self.downloads.stall, pieces.send(piece)).await {
            Ok(sent) => sent.is_ok() && !failed,
            Err(_) => {
                if let Some(hang_up) = &self.hang_up {
                    hang_up.hang_up();
                }
                false
            }
        }
    }
}

impl App {
    /// A place for a download by the client of this request.
    pub(super) fn download_place(&self, request: &Extensions) -> Result<Place, Problem> {
        self.downloads.take(request).ok_or_else(|| self.busy())
    }

    /// An attachment of so many bytes, piece by piece as `next` reads them. An error breaks the connection off.
    pub(super) fn download<N>(
        self: &Arc<Self>,
        place: Place,
        caching: Caching,
        length: u64,
        next: N,
    ) -> Answer
    where
        N: FnMut() -> io::Result<Option<Bytes>> + Send + 'static,
    {
        let mut found = if length == 0 {
            answer(BYTES, caching, Bytes::new())
        } else {
            let (pieces, body) = mpsc::channel(PIECES_MAX);
            tokio::spawn(Arc::clone(self).send_pieces(place, pieces, next));
            stream(BYTES, caching, body)
        };
        let headers = found.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        // What an agency uploads must never run as part of this site.
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        headers
            .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        found
    }

    async fn send_pieces<N>(
        self: Arc<Self>,
        place: Place,
        pieces: mpsc::Sender<io::Result<Bytes>>,
        mut next: N,
    ) where
        N: FnMut() -> io::Result<Option<Bytes>> + Send + 'static,
    {
        loop {
            let read = self.run_blocking(move |_| {
                let piece = next();
                (next, piece)
            });
            // What cannot be read to its end is shorter than it was said to be, which the client sees.
            let Ok((again, piece)) = read.await else { return };
            next = again;
            let Some(piece) = piece.transpose() else { return };
            if !place.send(&pieces, piece).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(client: &str) -> Extensions {
        let mut request = Extensions::new();
        request.insert(ClientAddress(client.parse().unwrap()));
        request
    }

    #[test]
    fn places_are_bounded_for_a_network_and_in_all_and_come_back() {
        let downloads = Downloads::new(4);
        let held: Vec<Place> = (0..4).filter_map(|_| downloads.take(&request("192.0.2.1"))).collect();
        assert_eq!(held.len(), 4);
        assert!(downloads.take(&request("192.0.2.77")).is_none(), "the same network");
        let other = downloads.take(&request("192.0.3.1"));
        assert!(other.is_some(), "another network");
        drop((held, other));
        assert!(downloads.lock().by_network.is_empty());
        let many: Vec<Place> = (0..=DOWNLOADS_MAX)
            .filter_map(|at| downloads.take(&request(&format!("10.{}.{}.1", at / 256, at % 256))))
            .collect();
        assert_eq!(many.len(), DOWNLOADS_MAX);
    }

    #[test]
    fn a_reader_that_takes_nothing_loses_its_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let stall = Duration::from_millis(20);
        let downloads = Arc::new(Downloads { per_network_max: 1, stall, counts: Mutex::default() });
        runtime.block_on(async {
            let place = downloads.take(&request("192.0.2.1")).unwrap();
            let (pieces, mut body) = mpsc::channel(PIECES_MAX);
            let piece = || Ok(Bytes::from_static(b"piece"));
            assert!(place.send(&pieces, piece()).await, "there is room for one");
            assert!(!place.send(&pieces, piece()).await, "and nobody takes it");
            assert!(body.recv().await.is_some());
            assert!(!place.send(&pieces, Err(io::ErrorKind::NotFound.into())).await, "an error is the last");
            drop(body);
            assert!(!place.send(&pieces, piece()).await, "the reader has gone");
        });
    }
}

//! `/export/sqlite`: the whole index as a file that other tools open as it is.
//!
//! A copy that is whole (`VACUUM INTO`, beside the writer) is made when it is asked for, and handed to everyone who asks
//! while somebody reads it. It has no name once it is made, so it is gone with its last reader, whatever happens to the
//! process. Bounded: one copy is made at a time, a pause apart, and only while the disk has room for it and more;
//! verification must never find the disk full because somebody downloads.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::request::Reader;
use super::{App, Failure, failed};
use crate::index::{Index, IndexError};

/// Downloads at a time.
const DOWNLOADS_MAX: usize = 4;
/// A copy is handed to others for so long.
const COPY_SECONDS_MAX: u64 = 600;
/// From one copy to the next.
const PAUSE_SECONDS_MIN: u64 = 60;
/// What must be free beside the copy, in bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;
/// The copy while it is made, in the monitor's directory.
const COPY_FILE: &str = "index.sqlite.download";

/// A copy, as it was at one moment.
#[derive(Debug)]
struct Snapshot {
    file: File,
    bytes: u64,
}

/// The newest copy, as long as somebody reads it.
#[derive(Debug, Default)]
struct Newest {
    made_at: u64,
    copy: Weak<Snapshot>,
}

/// Downloads of the index.
#[derive(Debug)]
pub(super) struct Downloads {
    path: PathBuf,
    places: Arc<Semaphore>,
    /// Held while a copy is made, so that one is made at a time.
    newest: Mutex<Option<Newest>>,
}

impl Downloads {
    /// Downloads of this index. What an earlier process left behind is removed.
    pub(super) fn new(index: &Index) -> Self {
        let path = index.path().with_file_name(COPY_FILE);
        // Most often there is none.
        let _ = std::fs::remove_file(&path);
        Self { path, places: Arc::new(Semaphore::new(DOWNLOADS_MAX)), newest: Mutex::new(None) }
    }

    /// The newest copy, or a new one.
    fn copy(&self, index: &Index, now: u64) -> Result<Arc<Snapshot>, Failure> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newest.as_ref() {
            let age = now.saturating_sub(known.made_at);
            if let Some(copy) = known.copy.upgrade().filter(|_| age < COPY_SECONDS_MAX) {
                return Ok(copy);
            }
            if age < PAUSE_SECONDS_MIN {
                return Err(Failure::Busy);
            }
        }
        let copy = Arc::new(self.make(index)?);
        *newest = Some(Newest { made_at: now, copy: Arc::downgrade(&copy) });
        Ok(copy)
    }

    fn make(&self, index: &Index) -> Result<Snapshot, Failure> {
        let refused = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, path = %self.path.display(), "the index could not be copied");
            Failure::Internal
        };
        let needed = index.bytes().map_err(|error| refused(&error))?.saturating_add(FREE_BYTES_MIN);
        let free = free_bytes(&self.path).map_err(|error| refused(&error))?;
        if free < needed {
            tracing::warn!(free, needed, "the index is not copied: the disk has too little room");
            return Err(Failure::Busy);
        }
        let made = index.copy_to(&self.path).and_then(|()| open(&self.path));
        // Its name goes whether or not it is whole; a reader keeps the file.
        let _ = std::fs::remove_file(&self.path);
        made.map_err(|error| refused(&error))
    }
}

fn open(path: &Path) -> Result<Snapshot, IndexError> {
    let failed = |error| IndexError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok(Snapshot { file, bytes })
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// `GET /export/sqlite`
pub(super) async fn index(State(app): State<Arc<App>>, reader: Reader) -> Response {
    let Ok(place) = Arc::clone(&app.downloads.places).try_acquire_owned() else {
        return failed(&Failure::Busy, &reader);
    };
    let shared = Arc::clone(&app);
    let made = tokio::task::spawn_blocking(move || shared.downloads.copy(&shared.index, shared.now())).await;
    match made.unwrap_or(Err(Failure::Internal)) {
        Ok(copy) => answer(copy, place),
        Err(failure) => failed(&failure, &reader),
    }
}

fn answer(copy: Arc<Snapshot>, place: OwnedSemaphorePermit) -> Response {
    let bytes = copy.bytes;
    let mut response = Response::new(Body::new(SnapshotBody { copy, at: 0, reading: None, _place: place }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    let disposition = HeaderValue::from_static("attachment; filename=\"daybook-index.sqlite\"");
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    response
}

/// A copy on its way, read piece by piece on blocking threads.
struct SnapshotBody {
    copy: Arc<Snapshot>,
    at: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    _place: OwnedSemaphorePermit,
}

fn read(copy: &Snapshot, at: u64) -> io::Result<Bytes> {
    let left = usize::try_from(copy.bytes - at).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(READ_BYTES)];
    copy.file.read_exact_at(&mut piece, at)?;
    Ok(piece.into())
}

impl HttpBody for SnapshotBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at == self.copy.bytes {
            return Poll::Ready(None);
        }
        let (copy, at) = (Arc::clone(&self.copy), self.at);
        let reading =
            self.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || read(&copy, at)));
        let piece = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other).flatten();
        self.reading = None;
        Poll::Ready(Some(piece.map(|piece| {
            self.at += piece.len() as u64;
            Frame::data(piece)
        })))
    }
}

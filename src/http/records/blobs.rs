//! `PUT` and `GET /blobs/<sha256>`: public attachments. Erasable ones are at their commitments ([`super::attachments`]).
//!
//! An upload carries a note that a live key of an agency has signed ([`crate::records::upload`]). Its bytes go to the
//! disk as they come, are hashed on the way, and have a name only once the hash is the name. `GET` streams them.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use daemon::listen::body::BodyError;
use daemon::problem::Problem;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tlog::hash::Hash;
use tokio::sync::mpsc;

use super::problem;
use crate::http::add::{BODY_IDLE, check_kind};
use crate::http::answer::{Answer, BYTES, Caching, answer, json, stream};
use crate::http::{App, Outcome, error};
use crate::log::AddError;
use crate::pool::SubmitError;
use crate::records::upload::{UPLOAD_HEADER, Upload};
use crate::space::SetAside;
use crate::store::blobs::BlobError;

/// Pieces that wait between the network and the disk.
pub(super) const PIECES_MAX: usize = 4;
/// Bytes read from the disk at a time.
const READ_BYTES: u64 = 64 * 1024;

impl App {
    /// The note that allows an upload to this path, checked.
    pub(super) fn upload_note(&self, request: &Request<Incoming>, path: &str) -> Result<Upload, Problem> {
        let registry = self.records()?.views.newest();
        let header = request.headers().get(UPLOAD_HEADER).map(HeaderValue::as_bytes);
        let now = i64::try_from(self.clock.unix_millis() / 1000).unwrap_or(i64::MAX);
        let upload =
            Upload::verify(header, &registry, path, now).map_err(|reason| problem::upload(&reason))?;
        self.agencies.take(upload.agency.clone(), 1).map_err(problem::too_many_of_agency)?;
        // Nothing is written below the floor of free space, whoever wants it.
        if let Some(reason) = self.log.pool.paused() {
            return Err(self.add_failed(&AddError::Submit(SubmitError::Closed(reason))));
        }
        Ok(upload)
    }

    /// Room for what an upload has announced.
    pub(super) fn set_aside(&self, bytes: u64) -> Result<SetAside, Problem> {
        self.records()?.room.set_aside(bytes).map_err(|reason| self.no_room(reason))
    }

    /// Status 503: the disk would be fuller than the operator wants it.
    pub(super) fn no_room(&self, reason: String) -> Problem {
        self.add_failed(&AddError::Submit(SubmitError::Closed(reason)))
    }

    /// Why what came could not be written.
    pub(super) fn not_written(&self, cause: &io::Error) -> Problem {
        tracing::error!(%cause, "an attachment cannot be stored");
        match cause.kind() {
            io::ErrorKind::StorageFull => self.no_room(cause.to_string()),
            _ => error::internal(),
        }
    }

    pub(super) async fn put_blob(self: Arc<Self>, hash: Hash, request: Request<Incoming>) -> Outcome {
        check_kind(request.headers(), &[BYTES])?;
        let upload = self.upload_note(&request, &format!("/blobs/{hash}"))?;
        if upload.sha256 != hash {
            let detail = "The upload note names other bytes than the path.";
            return Err(error::malformed(detail));
        }
        let bytes_max = self.log.config.limits.attachment_bytes_max.0;
        if upload.bytes > bytes_max {
            return Err(problem::attachment_too_large(bytes_max));
        }
        let room = self.set_aside(upload.bytes)?;
        let (pieces, incoming) = mpsc::channel(PIECES_MAX);
        let app = Arc::clone(&self);
        let written = tokio::task::spawn_blocking(move || app.keep_blob(&hash, incoming, room));
        let came = self.pass_on(request.into_body(), upload.bytes, pieces).await;
        let written = written.await.map_err(|_| error::internal())?;
        came?;
        match written {
            Ok(bytes) => {
                Ok(json(Caching::Never, &serde_json::json!({ "sha256": hash.to_string(), "bytes": bytes })))
            }
            Err(BlobError::OtherBytes { found, .. }) => Err(problem::other_bytes(&hash, &found)),
            Err(BlobError::Io(cause)) => Err(self.not_written(&cause)),
        }
    }

    /// Passes a body of so many bytes on. A body that ends early or goes on is not passed on to its end, and the bytes
    /// that were are forgotten.
    pub(super) async fn pass_on(
        &self,
        mut body: Incoming,
        expected: u64,
        pieces: mpsc::Sender<Option<Bytes>>,
    ) -> Result<(), Problem> {
        let mut seen = 0;
        loop {
            let frame = tokio::time::timeout(BODY_IDLE, body.frame()).await;
            let frame = frame.map_err(|_| self.body_failed(BodyError::TooSlow))?;
            let Some(frame) = frame else { break };
            let bytes =
                frame.map_err(|_| self.body_failed(BodyError::Broken))?.into_data().unwrap_or_default();
            seen += bytes.len() as u64;
            if seen > expected {
                return Err(problem::other_length(expected));
            }
            if pieces.send(Some(bytes)).await.is_err() {
                // The disk has failed, and says so itself.
                return Ok(());
            }
        }
        if seen != expected {
            return Err(problem::other_length(expected));
        }
        let _ = pieces.send(None).await;
        Ok(())
    }

    fn keep_blob(
        &self,
        hash: &Hash,
        mut pieces: mpsc::Receiver<Option<Bytes>>,
        mut room: SetAside,
    ) -> Result<u64, BlobError> {
        let none = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let records = self.log.records.as_ref().ok_or_else(none)?;
        let mut incoming = records.blobs.begin()?;
        loop {
            match pieces.blocking_recv() {
                Some(Some(bytes)) => {
                    incoming.write(&bytes)?;
                    room.written(bytes.len() as u64)?;
                }
                Some(None) => break,
                // Broken off: what came is dropped.
                None => return Err(none().into()),
            }
        }
        let bytes = incoming.bytes();
        records.blobs.finish(incoming, hash, records.now_seconds())?;
        Ok(bytes)
    }

    /// A public attachment, or an erasable one by its commitment.
    pub(super) async fn get_blob(self: Arc<Self>, name: Hash) -> Outcome {
        let opened = self.run_blocking(move |app| {
            let blobs = &app.records()?.blobs;
            let failed = |cause: io::Error| {
                tracing::error!(%cause, "an attachment cannot be read");
                error::internal()
            };
            let length = blobs.length(&name).map_err(failed)?;
            Ok::<_, Problem>(length.zip(blobs.open_blob(&name).map_err(failed)?))
        });
        let Some((length, mut file)) = opened.await?? else { return self.get_attachment(name).await };
        let next = move || {
            let mut piece = Vec::new();
            file.by_ref().take(READ_BYTES).read_to_end(&mut piece)?;
            Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
        };
        Ok(download(Caching::Forever, length, next))
    }
}

/// An attachment piece by piece, read on a thread of its own. An error breaks the connection off.
pub(super) fn download(
    caching: Caching,
    length: u64,
    mut next: impl FnMut() -> io::Result<Option<Bytes>> + Send + 'static,
) -> Answer {
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        while let Some(piece) = next().transpose() {
            let failed = piece.is_err();
            if pieces.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    let mut found = match length {
        0 => answer(BYTES, caching, Bytes::new()),
        _ => stream(BYTES, caching, body),
    };
    let headers = found.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    // What an agency uploads must never run as part of this site.
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    found
}

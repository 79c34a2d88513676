//! `PUT` and `GET /blobs/<sha256>`: public attachments. Erasable ones are at their commitments ([`super::attachments`]).
//!
//! An upload carries a note that a live key of an agency has signed ([`crate::records::upload`]). Its bytes go to the
//! disk as they come, are hashed on the way, and have a name only once the hash is the name. `GET` streams them
//! ([`super::downloads`]).

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use daemon::listen::body::BodyError;
use daemon::problem::Problem;
use http::{Extensions, HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tlog::hash::Hash;

use super::problem;
use crate::http::add::{BODY_IDLE, check_kind};
use crate::http::answer::{BYTES, Caching, json};
use crate::http::{App, Outcome, error};
use crate::log::AddError;
use crate::pool::SubmitError;
use crate::records::upload::{UPLOAD_HEADER, Upload};
use crate::space::SetAside;
use crate::store::blobs::{BlobError, Incoming as Blob};

/// So many bytes of an upload are written at a time.
const PIECE_BYTES: usize = 64 * 1024;
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
        let begun = self.run_blocking(|app| Ok::<_, Problem>(app.records()?.blobs.begin()));
        let begun = begun.await??.map_err(|cause| self.not_written(&cause))?;
        let incoming = self.take_in(request.into_body(), upload.bytes, room, begun, Blob::write).await?;
        let bytes = incoming.bytes();
        let kept = self.run_blocking(move |app| {
            let records = app.records()?;
            match records.blobs.finish(incoming, &hash, records.now_seconds()) {
                Ok(()) => Ok(()),
                Err(BlobError::OtherBytes { found, .. }) => Err(problem::other_bytes(&hash, &found)),
                Err(BlobError::Io(cause)) => Err(app.not_written(&cause)),
            }
        });
        kept.await??;
        Ok(json(Caching::Never, &serde_json::json!({ "sha256": hash.to_string(), "bytes": bytes })))
    }

    /// Writes a body of so many bytes to where it comes in, on a blocking thread whenever a piece has gathered; what waits
    /// for the client is the request alone. Of a body that ends early or goes on, what came is dropped.
    pub(super) async fn take_in<I: Send + 'static>(
        self: &Arc<Self>,
        mut body: Incoming,
        expected: u64,
        mut room: SetAside,
        mut incoming: I,
        write: fn(&mut I, &[u8]) -> io::Result<()>,
    ) -> Result<I, Problem> {
        let (mut gathered, mut seen, mut ended) = (Vec::new(), 0_u64, false);
        while !ended {
            let frame = tokio::time::timeout(BODY_IDLE, body.frame()).await;
            let frame = frame.map_err(|_| self.body_failed(BodyError::TooSlow))?;
            match frame {
                Some(frame) => {
                    let frame = frame.map_err(|_| self.body_failed(BodyError::Broken))?;
                    gathered.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                None => ended = true,
            }
            if seen + gathered.len() as u64 > expected {
                return Err(problem::other_length(expected));
            }
            if gathered.len() >= PIECE_BYTES || ended {
                let piece = std::mem::take(&mut gathered);
                seen += piece.len() as u64;
                let wrote = self.run_blocking(move |_| {
                    write(&mut incoming, &piece)?;
                    room.written(piece.len() as u64)?;
                    Ok((incoming, room))
                });
                (incoming, room) = wrote.await?.map_err(|cause: io::Error| self.not_written(&cause))?;
            }
        }
        if seen == expected { Ok(incoming) } else { Err(problem::other_length(expected)) }
    }

    /// A public attachment, or an erasable one by its commitment.
    pub(super) async fn get_blob(self: Arc<Self>, name: Hash, request: &Extensions) -> Outcome {
        let place = self.download_place(request)?;
        let opened = self.run_blocking(move |app| {
            let blobs = &app.records()?.blobs;
            let failed = |cause: io::Error| {
                tracing::error!(%cause, "an attachment cannot be read");
                error::internal()
            };
            let length = blobs.length(&name).map_err(failed)?;
            Ok::<_, Problem>(length.zip(blobs.open_blob(&name).map_err(failed)?))
        });
        let Some((length, mut file)) = opened.await?? else { return self.get_attachment(name, place).await };
        let next = move || {
            let mut piece = Vec::new();
            file.by_ref().take(READ_BYTES).read_to_end(&mut piece)?;
            Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
        };
        Ok(self.download(place, Caching::Forever, length, next))
    }
}

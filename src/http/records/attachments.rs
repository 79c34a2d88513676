//! `PUT` and `GET /blobs/<commitment>`: erasable attachments.
//!
//! ```text
//! PUT   Daybook-Upload: as for a public one        Daybook-Attachment: what opens the commitment, in base64
//! GET   the file                                   Daybook-Attachment: the same, to check the file with
//! ```
//!
//! Anybody may read one, from when a published version names it until a published tombstone takes it; then the answer is 410
//! with the tombstone's receipt, whether that is carried out already or not, and a download that is under way ends. What only some may read does not belong here. Nothing of an
//! answer is kept by anybody between.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use daemon::problem::Problem;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use hyper::body::Incoming as Body;
use record::erasable::AttachmentOpening;
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use super::downloads::Place;
use super::problem;
use crate::http::add::check_kind;
use crate::http::answer::{BYTES, Caching, json};
use crate::http::{App, Outcome, error};
use crate::records::lists::Lists;
use crate::records::marks;
use crate::store::vault::VaultError;
use crate::store::vault::attachments::KeepError;
use crate::store::vault::file::{Incoming, Outgoing};

/// The header that carries what opens the commitment, up and down.
pub(super) const ATTACHMENT_HEADER: HeaderName = HeaderName::from_static("daybook-attachment");

/// What is known of a commitment.
enum Found {
    /// A tombstone has taken it.
    Erased(LeafIndex),
    /// It is there, and a published version names it.
    Shown(Box<(AttachmentOpening, Outgoing)>),
    /// Nobody is to know of it.
    Nothing,
}

fn failed(cause: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%cause, "an erasable attachment cannot be kept or read");
    error::internal()
}

impl App {
    pub(super) async fn put_attachment(self: Arc<Self>, commitment: Hash, request: Request<Body>) -> Outcome {
        check_kind(request.headers(), &[BYTES])?;
        let upload = self.upload_note(&request, &format!("/blobs/{commitment}"))?;
        let opening = opening(request.headers())?;
        if (opening.commitment(), opening.sha256, opening.bytes) != (commitment, upload.sha256, upload.bytes)
        {
            return Err(problem::opening_differs());
        }
        if opening.place.agency != upload.agency {
            return Err(problem::not_the_agencys(&upload.agency));
        }
        let bytes_max = self.log.config.limits.attachment_bytes_max.0;
        if upload.bytes > bytes_max {
            return Err(problem::attachment_too_large(bytes_max));
        }
        self.refuse_erased(opening.clone()).await?;
        let room = self.set_aside(upload.bytes)?;
        let begun = self
            .run_blocking(move |app| Ok::<_, Problem>(app.records()?.vault.begin(&commitment, &*app.random)));
        let begun = begun.await??.map_err(|cause| self.not_written(&cause))?;
        let incoming = self.take_in(request.into_body(), upload.bytes, room, begun, Incoming::write).await?;
        let written = self.run_blocking(move |app| {
            let records = app.records()?;
            Ok::<_, Problem>(records.vault.keep(incoming, &opening, records.now_seconds()))
        });
        match written.await?? {
            Ok(()) => {}
            Err(KeepError::OtherBytes { wanted, found }) => {
                return Err(problem::other_bytes(&wanted, &found));
            }
            Err(KeepError::Erased(_)) => return Err(problem::erased()),
            Err(KeepError::Io(cause)) => return Err(self.not_written(&cause)),
            Err(cause) => return Err(failed(&cause)),
        }
        let kept = serde_json::json!({ "commitment": commitment.to_string(), "bytes": upload.bytes });
        Ok(json(Caching::Never, &kept))
    }

    async fn refuse_erased(self: &Arc<Self>, opening: AttachmentOpening) -> Result<(), Problem> {
        let erased = self.run_blocking(move |app| app.tombstone_of(&opening.commitment(), Some(&opening)));
        match erased.await?? {
            Some(tombstone) => Err(self.with_entry(problem::erased(), "tombstone", Some(tombstone)).await),
            None => Ok(()),
        }
    }

    /// The tombstone that has taken an attachment, carried out or published and about to be.
    fn tombstone_of(
        &self,
        commitment: &Hash,
        opening: Option<&AttachmentOpening>,
    ) -> Result<Option<LeafIndex>, Problem> {
        let records = self.records()?;
        let taken = records.vault.erased(commitment).map_err(|cause| failed(&cause))?;
        let (None, Some(opening)) = (taken, opening) else { return Ok(taken) };
        let size = self.log.published().head().size;
        let taken = records.eraser.takes(&self.log.index, &self.log.lookup, size, opening);
        taken.map_err(|cause| failed(&cause))
    }

    pub(super) async fn get_attachment(self: Arc<Self>, commitment: Hash, place: Place) -> Outcome {
        let found = self.run_blocking(move |app| app.find_attachment(&commitment)).await??;
        let (opening, mut outgoing) = match found {
            Found::Shown(found) => *found,
            Found::Nothing => {
                return Err(error::not_there(format!("The log shows no attachment {commitment}.")));
            }
            Found::Erased(tombstone) => {
                return Err(self.with_entry(problem::erased(), "tombstone", Some(tombstone)).await);
            }
        };
        let (app, told) = (Arc::clone(&self), opening.clone());
        let next = move || {
            // A tombstone that is published meanwhile ends the download.
            match app.tombstone_of(&commitment, Some(&told)) {
                Ok(None) => (),
                Ok(Some(_)) => return Err(io::ErrorKind::NotFound.into()),
                Err(_) => return Err(io::ErrorKind::Other.into()),
            }
            let chunk = outgoing.next_chunk().map_err(|cause| {
                tracing::error!(%cause, %commitment, "an erasable attachment cannot be read to its end");
                io::Error::other(cause)
            })?;
            Ok(chunk.map(Bytes::from))
        };
        let mut answer = self.download(place, Caching::Never, opening.bytes, next);
        let headers = answer.headers_mut();
        let opening = HeaderValue::from_str(&STANDARD.encode(opening.to_text()));
        headers.insert(ATTACHMENT_HEADER, opening.map_err(|_| error::internal())?);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_name(ATTACHMENT_HEADER));
        Ok(answer)
    }

    fn find_attachment(&self, commitment: &Hash) -> Result<Found, Problem> {
        let records = self.records()?;
        if let Some(tombstone) = self.tombstone_of(commitment, None)? {
            return Ok(Found::Erased(tombstone));
        }
        let lists = Lists::new(&self.log.index, self.log.published().head().size);
        let named = lists.at(&marks::attachment(commitment), 0).map_err(|cause| failed(&cause))?;
        let Some(index) = named else { return Ok(Found::Nothing) };
        let found = records.vault.attachment(commitment);
        // Asked for again: what a tombstone took meanwhile is not damaged.
        let opening = found.as_ref().ok().and_then(Option::as_ref).map(|(opening, _)| opening);
        if let Some(tombstone) = self.tombstone_of(commitment, opening)? {
            return Ok(Found::Erased(tombstone));
        }
        match found {
            Ok(Some(found)) => Ok(Found::Shown(Box::new(found))),
            Ok(None) => {
                records.damaged();
                tracing::error!(%index, %commitment, "an erasable attachment is gone, and no tombstone took it");
                Ok(Found::Nothing)
            }
            Err(cause @ (VaultError::File(_) | VaultError::Store(_) | VaultError::Opening(_))) => {
                records.damaged();
                tracing::error!(%index, %commitment, %cause, "an erasable attachment is damaged; put it back from a backup");
                Err(error::internal())
            }
            Err(cause) => Err(failed(&cause)),
        }
    }
}

fn opening(headers: &HeaderMap) -> Result<AttachmentOpening, Problem> {
    let header = headers.get(ATTACHMENT_HEADER).and_then(|value| STANDARD.decode(value.as_bytes()).ok());
    let text = header.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| AttachmentOpening::parse(&text).ok()).ok_or_else(|| {
        error::malformed(
            "The header Daybook-Attachment is not the base64 of what opens an attachment's commitment, which begins with \
             daybook/erasable-attachment/v1.",
        )
    })
}

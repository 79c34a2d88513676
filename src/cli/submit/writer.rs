//! From a record to a signed statement: attachments uploaded, salts drawn and kept, `previous` set.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use daemon::clock::{Random, SystemRandom};
use record::erasable::{AttachmentOpening, Place};
use record::ids::{AgencyId, RecordKey};
use record::registry::Chain;
use record::statement::{
    Attachment, AttachmentContent, Body, Content, FieldClass, Record, Register, Statement,
};
use tlog::hash::{Hash, sha256};

use super::super::ceremony;
use super::super::desk::Desk;
use super::super::failure::Failure;
use crate::clerk::entry::{Enclosed, Entry};
use crate::clerk::files;
use crate::clerk::input::Item;
use crate::clerk::values::{self, Values};
use crate::client::draft::Draft;
use crate::officer::Officer;
use crate::records::upload::Upload;

/// Opens the commitment to an erasable attachment that is uploaded.
const ATTACHMENT_HEADER: &str = "daybook-attachment";

/// Writes statements for one register.
pub(in super::super) struct Writer<'a> {
    pub(super) desk: &'a Desk,
    pub(super) officers: &'a [Officer],
    pub(super) definition: &'a Register,
    /// Attachments that this run has uploaded.
    uploaded: RefCell<HashSet<Hash>>,
}

impl<'a> Writer<'a> {
    pub(in super::super) fn new(desk: &'a Desk, officers: &'a [Officer], definition: &'a Register) -> Self {
        Self { desk, officers, definition, uploaded: RefCell::default() }
    }

    /// A record's chain.
    pub(super) fn chain(&self, key: &RecordKey) -> Chain {
        Chain::Record(self.definition.agency.clone(), self.definition.register.clone(), key.clone())
    }

    /// A statement on top of the latest version in the log, signed, its values kept beside `stem`.
    pub(in super::super) fn draft(&self, item: &Item, stem: &Path) -> Result<Draft, Failure> {
        let latest = match &item.entry.key {
            Some(key) => self.desk.client.latest(&self.chain(key)).map_err(ceremony::failed)?,
            None => None,
        };
        self.write(item, stem, latest.map(|latest| latest.entry.leaf))
    }

    /// A statement that follows this one.
    pub(super) fn write(&self, item: &Item, stem: &Path, previous: Option<Hash>) -> Result<Draft, Failure> {
        let Register { agency, register, .. } = self.definition;
        let entry = &item.entry;
        let wrong = |problem: String| Failure::Malformed(format!("{}: {problem}", item.name));
        let key = key(entry);
        let place = Place { agency: agency.clone(), register: register.clone(), key: key.clone() };
        let drawn = Values::draw(entry, self.definition, &SystemRandom);
        let drawn = drawn.map_err(|error| wrong(error.to_string()))?;
        let content = match entry.withdraws {
            true => None,
            false => {
                let mut content = Content {
                    title: entry.title.clone(),
                    schema: self.definition.schema.clone(),
                    public: entry.public.clone(),
                    attachments: self.enclose(&place, &entry.enclosed)?,
                    ..Content::default()
                };
                drawn.commit(&place, &mut content);
                Some(content)
            }
        };
        let body = Body::Record(Record {
            agency: place.agency,
            register: place.register,
            key,
            at: entry.at.unwrap_or_else(|| self.desk.now()),
            log: self.desk.origin.clone(),
            previous: entry.previous.or(previous),
            content,
        });
        let mut draft = Draft::new(&body).map_err(|error| wrong(error.to_string()))?;
        self.officers.iter().for_each(|officer| draft.sign(officer));
        // The size, and anything else that would be refused once it is too late to be told.
        let statement = draft.statement().map_err(|error| wrong(error.to_string()))?;
        drawn.keep(stem, &statement.identity()).map_err(Failure::failed)?;
        Ok(draft)
    }

    /// Uploads the files of a record. They must be there before the statement that names them.
    fn enclose(&self, place: &Place, enclosed: &[Enclosed]) -> Result<Vec<Attachment>, Failure> {
        enclosed.iter().map(|file| self.enclose_one(place, file)).collect()
    }

    fn enclose_one(&self, place: &Place, file: &Enclosed) -> Result<Attachment, Failure> {
        if file.class == FieldClass::Erasable {
            let opening = AttachmentOpening {
                place: place.clone(),
                name: file.name.clone(),
                media: file.media.clone(),
                bytes: file.bytes,
                salt: values::salt(&SystemRandom),
                sha256: file.sha256,
            };
            let header = (ATTACHMENT_HEADER, STANDARD.encode(opening.to_text()));
            self.upload_file(file, &opening.commitment(), &[header])?;
            return Ok(opening.attachment());
        }
        if !self.uploaded.borrow().contains(&file.sha256) {
            self.upload_file(file, &file.sha256, &[])?;
            self.uploaded.borrow_mut().insert(file.sha256);
        }
        let content = AttachmentContent::Public(file.sha256);
        let (name, media) = (file.name.clone(), file.media.clone());
        Ok(Attachment { name, media, bytes: file.bytes, content })
    }

    fn upload_file(
        &self,
        file: &Enclosed,
        name: &Hash,
        headers: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        let bytes: Bytes = files::read(&file.file).map_err(Failure::failed)?.into();
        if sha256(&bytes) != file.sha256 {
            let message = format!("{}: changed while it was being read; start again", file.file.display());
            return Err(Failure::Failed(message));
        }
        let path = format!("/blobs/{name}");
        upload(self.desk, self.officers, (&self.definition.agency, &path), headers, &bytes)
    }
}

/// The key, drawn where the clerk gives none: the input was refused if it needed one.
fn key(entry: &Entry) -> RecordKey {
    entry.key.clone().unwrap_or_else(|| {
        let mut bytes = [0; 16];
        SystemRandom.fill(&mut bytes);
        RecordKey::opaque(bytes)
    })
}

/// Uploads a body, signed for by the first of the keys.
fn upload(
    desk: &Desk,
    officers: &[Officer],
    (agency, path): (&AgencyId, &str),
    headers: &[(&'static str, String)],
    body: &Bytes,
) -> Result<(), Failure> {
    let officer = officers.first().ok_or_else(|| Failure::malformed("an upload needs --signer FILE"))?;
    let note = Upload {
        log: desk.origin.to_string(),
        agency: agency.clone(),
        path: path.to_owned(),
        sha256: sha256(body),
        bytes: body.len() as u64,
        at: desk.now(),
    };
    let header = note.to_header(vec![officer.sign(&note.to_text())]);
    desk.client.put(path, &header, headers, body).map_err(ceremony::failed)
}

/// Whether values of a draft wait to be uploaded, which needs a key.
pub(super) fn check_signer(draft: &Draft, officers: &[Officer], stem: &Path) -> Result<bool, Failure> {
    let statement = draft.statement().map_err(Failure::malformed)?;
    let waiting = values::waiting(stem, &statement.identity()).map_err(Failure::failed)?;
    if !waiting.is_empty() && officers.is_empty() {
        let message = format!(
            "{}: has values of erasable fields to upload, which a key of the agency signs for: give --signer FILE",
            stem.display()
        );
        return Err(Failure::Malformed(message));
    }
    Ok(!waiting.is_empty())
}

/// Uploads the values of erasable fields of a statement that is in the log, and forgets them here.
pub(super) fn upload_values(
    desk: &Desk,
    officers: &[Officer],
    statement: &Statement,
    stem: &Path,
) -> Result<(), Failure> {
    let identity = statement.identity();
    let waiting = values::waiting(stem, &identity).map_err(Failure::failed)?;
    if waiting.is_empty() {
        return Ok(());
    }
    let path = format!("/records/{}/disclosures", statement.leaf_hash());
    for document in waiting {
        let place = (statement.body().agency(), path.as_str());
        upload(desk, officers, place, &[], &document.into_bytes().into())?;
    }
    values::uploaded(stem, &identity).map_err(Failure::failed)
}

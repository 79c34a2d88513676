//! `PUT` and `GET /records/<leaf hash>/disclosures`: values outside the tree that an agency shows, until they are erased.
//!
//! `PUT` takes one document at a time, authorised like an attachment: the value of an erasable field
//! (`daybook/erasable-value/v1`), or a disclosure of sealed fields. It is checked against the commitments of the
//! statement, and kept encrypted, as many of a version as [`crate::store::vault::values`] says. `GET` shows what is there,
//! and for what was erased the tombstone; where nothing is left the answer is 410 with the tombstone's receipt.

use std::sync::Arc;

use daemon::problem::Problem;
use http::Request;
use hyper::body::Incoming;
use record::erasable::store::{FILE_NONCE_BYTES, KEY_BYTES};
use record::erasable::{Erasures, opens_field, parse_field};
use record::sealed::disclosure::{DISCLOSURE_BYTES_MAX, Disclosure};
use record::statement::{Body, Erased, Record};
use serde_json::{Value, json};
use tlog::hash::{Hash, sha256};
use tlog::ids::{LeafIndex, TreeSize};

use super::problem;
use super::query::{Item, Query};
use crate::http::answer::{BYTES, Caching, json as json_answer};
use crate::http::{App, Outcome, error};
use crate::records::erase::{self, is_erased};
use crate::store::vault::VaultError;
use crate::store::vault::values::{Held, Put};

/// The first line of an erasable field's value.
const FIELD_KIND: &str = "daybook/erasable-value/v1\n";
const DOCUMENT_TYPES: [&str; 3] = [BYTES, "text/plain", "application/json"];

/// A document that belongs to a version.
struct Document {
    /// What it shows, a JSON Pointer a line, and its hash where several may show the same.
    item: String,
    commitment: Hash,
    bytes: Vec<u8>,
}

/// Why a document is not kept.
enum PutError {
    Vault(VaultError),
    /// It cannot be told whether it is erased.
    Erasures(Problem),
}

impl From<VaultError> for PutError {
    fn from(cause: VaultError) -> Self {
        Self::Vault(cause)
    }
}

fn vault_failed(cause: &VaultError) -> Problem {
    tracing::error!(%cause, "an erasable value cannot be kept or read");
    error::internal()
}

impl App {
    pub(super) async fn put_disclosure(self: Arc<Self>, leaf: Hash, request: Request<Incoming>) -> Outcome {
        let upload = self.upload_note(&request, &format!("/records/{leaf}/disclosures"))?;
        let body = self.body(request, DISCLOSURE_BYTES_MAX, &DOCUMENT_TYPES).await?;
        let bytes = body.bytes.to_vec();
        if sha256(&bytes) != upload.sha256 || bytes.len() as u64 != upload.bytes {
            return Err(problem::other_bytes(&upload.sha256, &sha256(&bytes)));
        }
        self.on_disk(move |app| app.keep_disclosure(&leaf, &upload.agency, bytes)).await
    }

    fn keep_disclosure(&self, leaf: &Hash, agency: &record::ids::AgencyId, bytes: Vec<u8>) -> Outcome {
        let (item, record) = self.version(leaf)?;
        if record.agency != *agency {
            return Err(problem::not_the_agencys(agency));
        }
        let document = document(leaf, &record, bytes).ok_or_else(problem::does_not_open)?;
        let (mut key, mut nonce) = ([0; KEY_BYTES], [0; FILE_NONCE_BYTES]);
        self.random.fill(&mut key);
        self.random.fill(&mut nonce);
        let Document { item: name, commitment, bytes } = document;
        let records = self.records()?;
        let _room = records.room.set_aside(bytes.len() as u64).map_err(|reason| self.no_room(reason))?;
        // Up to the committed head: a start carries out tombstones before anything is served, and all others are carried out
        // after they were committed.
        let is_gone = || {
            let erasures = self.erasures(leaf, self.log.heads.committed()).map_err(PutError::Erasures)?;
            Ok(is_erased(&erasures, &name))
        };
        match records.vault.put::<PutError>(leaf, &name, &commitment, &bytes, (key, nonce), is_gone) {
            Ok(Put::Kept) => (),
            Ok(Put::Erased) => return Err(problem::erased()),
            Ok(Put::Full) => return Err(problem::shows_enough()),
            Err(PutError::Vault(cause)) => return Err(vault_failed(&cause)),
            Err(PutError::Erasures(problem)) => return Err(problem),
        }
        let kept =
            json!({ "index": item.index.get(), "leaf_hash": leaf.to_string(), "shows": pointers(&name) });
        Ok(json_answer(Caching::Never, &kept))
    }

    pub(super) async fn get_disclosures(self: Arc<Self>, leaf: Hash) -> Outcome {
        let app = Arc::clone(&self);
        let gone = std::sync::OnceLock::new();
        let gone = Arc::new(gone);
        let told = Arc::clone(&gone);
        let outcome = self.on_disk(move |app| {
            let (item, record) = app.version(&leaf)?;
            let values = app.records()?.vault.of(&leaf).map_err(|cause| vault_failed(&cause))?;
            // Asked for after the values: what is gone from there is erased by one of these.
            let erasures = app.erasures(&leaf, app.log.published().head().size)?;
            let content = record.content.as_ref();
            let remaining = content.map(|content| erasures.remaining(content)).unwrap_or_default();
            let erased = content.map(|content| erased_items(content, &erasures)).unwrap_or_default();
            if let (true, Some((_, tombstone))) = (remaining.is_empty(), erased.first()) {
                let _ = told.set(tombstone.index);
                return Err(problem::erased());
            }
            let shown = app.shown(&leaf, values, &erasures)?;
            let erased: Vec<Value> = erased
                .iter()
                .map(|(item, tombstone)| {
                    let (index, leaf) = (tombstone.index.get(), tombstone.leaf.to_string());
                    json!({ "item": item, "tombstone": { "index": index, "leaf_hash": leaf } })
                })
                .collect();
            let body = json!({
                "index": item.index.get(),
                "leaf_hash": leaf.to_string(),
                "disclosures": shown,
                "erased": erased,
            });
            Ok(json_answer(Caching::Never, &body))
        });
        match (outcome.await, gone.get()) {
            (Err(problem), Some(tombstone)) => {
                Err(app.with_entry(problem, "tombstone", Some(*tombstone)).await)
            }
            (outcome, _) => outcome,
        }
    }

    /// The published version of a record with this leaf hash.
    fn version(&self, leaf: &Hash) -> Result<(Item, Record), Problem> {
        let view = self.view(Query::default())?;
        let found = self.log.lookup.find(leaf, view.size).map_err(|cause| {
            tracing::error!(%cause, "an entry cannot be looked up");
            error::internal()
        })?;
        let none = || error::not_there(format!("No published version of a record has the leaf hash {leaf}."));
        let index: LeafIndex = found.ok_or_else(none)?;
        let item = view.item(index)?;
        match item.statement.body() {
            Body::Record(record) => {
                let record = record.clone();
                Ok((item, record))
            }
            _ => Err(none()),
        }
    }

    /// What is kept of a version and not erased. What is damaged is left out, and told to the operator.
    fn shown(&self, leaf: &Hash, values: Vec<Held>, erasures: &Erasures) -> Result<Vec<Value>, Problem> {
        let records = self.records()?;
        let show = |(item, value): Held| match value {
            _ if is_erased(erasures, &item) => None,
            Ok(bytes) => {
                Some(json!({ "shows": pointers(&item), "document": String::from_utf8_lossy(&bytes) }))
            }
            Err(cause) => {
                records.damaged();
                tracing::error!(%cause, %leaf, item, "a value is damaged and is not shown; its agency can show it again");
                None
            }
        };
        Ok(values.into_iter().filter_map(show).collect())
    }

    fn erasures(&self, leaf: &Hash, size: TreeSize) -> Result<Erasures, Problem> {
        erase::erasures(&self.log.index, &self.log.lookup, leaf, size).map_err(|cause| {
            tracing::error!(%cause, "the tombstones of a version cannot be read");
            error::internal()
        })
    }
}

/// `None` for a document that opens no commitment of the version.
fn document(leaf: &Hash, record: &Record, bytes: Vec<u8>) -> Option<Document> {
    let content = record.content.as_ref()?;
    if bytes.starts_with(FIELD_KIND.as_bytes()) {
        let opening = parse_field(std::str::from_utf8(&bytes).ok()?).ok()?;
        let commitment = content.erasable.get(opening.name.as_str()).copied()?;
        let item = Erased::Field(opening.name.clone()).to_string();
        return opens_field(record, &opening).then_some(Document { item, commitment, bytes });
    }
    let disclosure = Disclosure::parse(&bytes).ok()?;
    if disclosure.statement().leaf_hash() != *leaf {
        return None;
    }
    let mut item: String = disclosure
        .fields()
        .iter()
        .map(|field| format!("{}\n", Erased::Sealed(field.opening.name.clone())))
        .collect();
    item.push_str(&format!("#{}", sha256(&bytes)));
    Some(Document { item, commitment: content.sealed?.root, bytes })
}

fn pointers(item: &str) -> Vec<&str> {
    item.lines().filter(|line| line.starts_with('/')).collect()
}

/// What of a version was erased, with the tombstone of each.
fn erased_items(
    content: &record::statement::Content,
    erasures: &Erasures,
) -> Vec<(String, record::statement::EntryRef)> {
    let all = Erasures::default().remaining(content);
    all.iter().filter_map(|item| Some((item.to_string(), erasures.of(item)?))).collect()
}

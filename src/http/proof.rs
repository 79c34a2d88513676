//! Proofs and entries: `/proof/...` and `/entry/...`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};
use tlog::note::Note;
use tlog::tlog_proof::TlogProof;

use super::answer::{BYTES, Caching, JSON, TEXT, answer, json, prefers};
use super::{App, Outcome, error};
use crate::heads::Published;
use crate::prove::Inclusion;

/// How an entry is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryForm {
    /// Index, hash, entry and receipt in one document: the default.
    Json,
    /// The entry's bytes.
    Bytes,
    /// The receipt.
    Receipt,
}

impl EntryForm {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if prefers(headers, JSON) {
            Self::Json
        } else if prefers(headers, BYTES) {
            Self::Bytes
        } else if prefers(headers, "text/plain") {
            Self::Receipt
        } else {
            Self::Json
        }
    }
}

#[derive(Serialize)]
struct InclusionJson {
    index: u64,
    tree_size: u64,
    leaf_hash: String,
    root_hash: String,
    hashes: Vec<String>,
    /// `null` where the checkpoint of this size is not kept.
    receipt: Option<String>,
}

#[derive(Serialize)]
struct ConsistencyJson {
    old_size: u64,
    old_root_hash: String,
    new_size: u64,
    new_root_hash: String,
    hashes: Vec<String>,
}

#[derive(Serialize)]
struct EntryJson {
    index: u64,
    leaf_hash: String,
    entry: String,
    receipt: String,
}

fn base64_all(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_base64).collect()
}

fn lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| format!("{}\n", hash.to_base64())).collect()
}

pub(super) fn receipt(index: LeafIndex, proof: Vec<Hash>, checkpoint: Note) -> String {
    let bytes = TlogProof { extra: None, index, proof, checkpoint }.to_bytes();
    String::from_utf8(bytes).expect("a receipt without extra data is text")
}

impl App {
    pub(super) fn inclusion(&self, index: LeafIndex, size: TreeSize, as_json: bool) -> Outcome {
        let published = self.log.published();
        let found = self.prover.inclusion(index, size, published.head());
        let Inclusion { leaf, head, proof } = found.map_err(|error| error::prove(&error))?;
        let hash_lines = lines(&proof);
        let hashes = base64_all(&proof);
        let receipt =
            self.kept_checkpoint(&published, size, &head.root).map(|note| receipt(index, proof, note));
        if as_json {
            let document = InclusionJson {
                index: index.get(),
                tree_size: size.get(),
                leaf_hash: leaf.to_base64(),
                root_hash: head.root.to_base64(),
                hashes,
                receipt,
            };
            return Ok(json(Caching::Never, &document));
        }
        Ok(answer(TEXT, Caching::Never, receipt.unwrap_or(hash_lines)))
    }

    /// The checkpoint of that size, if it was published and kept. A ledger that fails costs receipts, not proofs.
    fn kept_checkpoint(&self, published: &Published, size: TreeSize, root: &Hash) -> Option<Note> {
        if size == published.head().size {
            return Some(published.checkpoint.note().clone());
        }
        let row = match self.log.ledger.at_size(size) {
            Ok(row) => row?,
            Err(error) => {
                tracing::warn!(%error, "an older checkpoint cannot be read");
                return None;
            }
        };
        (row.head.root == *root).then(|| Note::parse(&row.note).ok())?
    }

    pub(super) fn consistency(&self, old: TreeSize, new: TreeSize, as_json: bool) -> Outcome {
        let published = self.log.published();
        let found = self.prover.consistency(old, new, published.head());
        let (old_head, new_head, proof) = found.map_err(|error| error::prove(&error))?;
        if as_json {
            let document = ConsistencyJson {
                old_size: old.get(),
                old_root_hash: old_head.root.to_base64(),
                new_size: new.get(),
                new_root_hash: new_head.root.to_base64(),
                hashes: base64_all(&proof),
            };
            return Ok(json(Caching::Never, &document));
        }
        Ok(answer(TEXT, Caching::Never, lines(&proof)))
    }

    pub(super) fn entry(&self, index: LeafIndex, form: EntryForm) -> Outcome {
        let published = self.log.published();
        if index.get() >= published.head().size.get() {
            let size = published.head().size;
            return Err(error::not_there(format!(
                "Entry {index} is not published; the log has {size} entries."
            )));
        }
        let found = self.prover.entry(index, published.head()).map_err(|error| error::prove(&error))?;
        Ok(entry_answer(index, found, &published, form))
    }

    pub(super) fn entry_by_hash(&self, leaf: &Hash, form: EntryForm) -> Outcome {
        let published = self.log.published();
        let found = self.log.lookup.find(leaf, published.head().size);
        match found {
            Ok(Some(index)) => self.entry(index, form),
            Ok(None) => Err(error::not_there(format!("No published entry has the leaf hash {leaf}."))),
            Err(failure) => {
                tracing::error!(error = %failure, "an entry cannot be looked up");
                Err(error::internal())
            }
        }
    }
}

fn entry_answer(
    index: LeafIndex,
    (entry, inclusion): (Bytes, Inclusion),
    published: &Published,
    form: EntryForm,
) -> super::Answer {
    let receipt = || receipt(index, inclusion.proof.clone(), published.checkpoint.note().clone());
    match form {
        EntryForm::Bytes => answer(BYTES, Caching::Forever, entry),
        EntryForm::Receipt => answer(TEXT, Caching::Never, receipt()),
        EntryForm::Json => json(
            Caching::Never,
            &EntryJson {
                index: index.get(),
                leaf_hash: inclusion.leaf.to_string(),
                entry: STANDARD.encode(&entry),
                receipt: receipt(),
            },
        ),
    }
}

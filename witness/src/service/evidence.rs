//! Evidence over HTTP: the list, the files, and what anyone sends in.

use http::StatusCode;
use serde::Serialize;
use tlog::hash::Hash;

use super::Outcome;
use super::answer::{Answer, Caching, TEXT, answer, json};
use super::error;
use crate::state::State;
use crate::state::evidence::{EvidenceEntry, Kept};
use crate::suspects::{Proof, SuspectError};
use crate::witness::Witness;

/// Entries in one answer.
const LISTED_MAX: u32 = 1000;

#[derive(Serialize)]
struct ListJson {
    total: u64,
    evidence: Vec<EntryJson>,
}

#[derive(Serialize)]
struct EntryJson {
    id: String,
    form: String,
    /// The accused log; null where it is this witness.
    origin: Option<String>,
    found: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct TakenJson<'a> {
    id: &'a str,
    form: &'static str,
    kept: bool,
}

impl From<EvidenceEntry> for EntryJson {
    fn from(entry: EvidenceEntry) -> Self {
        let EvidenceEntry { id, origin, kind, found, bytes } = entry;
        Self { id: id.to_string(), form: kind, origin, found, bytes }
    }
}

/// What is kept, from the `from`th on.
pub(super) fn list(witness: &Witness, from: usize) -> Outcome {
    let offset = u32::try_from(from).unwrap_or(u32::MAX);
    let read = |state: &State| Ok((state.evidence_count()?, state.evidence(offset, LISTED_MAX)?));
    let (total, entries) = witness.read(read).map_err(|cause| error::state(&cause))?;
    let evidence = entries.into_iter().map(EntryJson::from).collect();
    Ok(json(Caching::Seconds, &ListJson { total, evidence }))
}

/// One file.
pub(super) fn file(witness: &Witness, id: &Hash) -> Outcome {
    let file = witness.read(|state| state.evidence_file(id)).map_err(|cause| error::state(&cause))?;
    let file = file.ok_or_else(|| error::not_there("There is no such evidence here; see /evidence."))?;
    Ok(answer(TEXT, Caching::Forever, file))
}

/// The metric label.
pub(super) fn outcome(result: &Result<Proof, SuspectError>) -> &'static str {
    match result {
        Ok(Proof { kept: Some(Kept::New), .. }) => "kept",
        Ok(Proof { kept: Some(Kept::Known), .. }) => "known",
        Ok(Proof { kept: Some(Kept::Full), .. }) => "full",
        Ok(Proof { kept: None, .. }) | Err(SuspectError::State(_) | SuspectError::Busy) => "failed",
        Err(SuspectError::Nothing(_) | SuspectError::Stranger(_) | SuspectError::Refused(_)) => "nothing",
        Err(SuspectError::Malformed(_) | SuspectError::File(_) | SuspectError::Note(_)) => "malformed",
    }
}

/// 201 if it is new here; 200 if it is known, or proved and not kept because there is enough against this log.
pub(super) fn taken(proof: &Proof) -> Answer {
    let kept = matches!(proof.kept, Some(Kept::New | Kept::Known));
    let mut answer = json(Caching::Never, &TakenJson { id: &proof.id, form: proof.form, kept });
    if proof.kept == Some(Kept::New) {
        *answer.status_mut() = StatusCode::CREATED;
    }
    answer
}

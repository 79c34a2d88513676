//! From a refusal to a problem document.
//!
//! | Status | Type | `reason` |
//! |---|---|---|
//! | 403 | `not-allowed` | which rule about keys, such as `key_revoked` |
//! | 409 | `stale` | `stale_previous`; with `latest` |
//! | 409 | `other-signatures` | `other_signatures`; with `latest` |
//! | 409 | `clock` | `at_in_the_future`, `delegation_over`: by this log's clock, which is no rule of the log |
//! | 409 | `shows-enough` | `shows_enough`: as many documents of a version as the log keeps |
//! | 422 | `inadmissible` | the rule, such as `key_prefix` |
//! | 424 | `attachment-missing` | `attachment_missing`: not a rule of the log, and no monitor's business |
//! | 429 | `too-many` | |
//!
//! What is at fault, [`super::fault`] names.

use daemon::config::ByteSize;
use daemon::problem::Problem;
use http::StatusCode;
use record::ids::AgencyId;
use record::registry::{Refusal, RefusalClass};
use tlog::hash::Hash;

use super::fault::Fault;
use crate::http::error::{self, sentence};
use crate::records::Refused;
use crate::records::admit::NotTaken;
use crate::records::upload::{UPLOAD_HEADER, UploadError};
use crate::store::vault::values::{VERSION_BYTES_MAX, VERSION_DOCUMENTS_MAX};

pub(super) fn refused(refused: &Refused) -> Problem {
    let detail = sentence(&refused.to_string());
    let (status, kind, title) = match refused {
        Refused::Late(_) => return Fault::of_refused(refused).tell(clock(detail, refused.code())),
        Refused::OtherSignatures(_) => (StatusCode::CONFLICT, "other-signatures", "Known text"),
        Refused::Registry(refusal) => match refusal.class() {
            RefusalClass::NotAllowed => (StatusCode::FORBIDDEN, "not-allowed", "Not allowed"),
            RefusalClass::Stale => (StatusCode::CONFLICT, "stale", "Stale"),
            RefusalClass::Inadmissible => (StatusCode::UNPROCESSABLE_ENTITY, "inadmissible", "Inadmissible"),
        },
    };
    let problem = Problem::new(status, kind, title, detail).with("reason", refused.code());
    let problem = Fault::of_refused(refused).tell(problem);
    match refused {
        Refused::Registry(Refusal::Stale(None)) => problem.with("latest", serde_json::Value::Null),
        _ => problem,
    }
}

/// `None` for a failure of the log, which the caller knows how to answer.
pub(super) fn not_taken(reason: &NotTaken) -> Option<Problem> {
    let detail = sentence(&reason.to_string());
    let code = reason.code();
    Some(match reason {
        NotTaken::Refused(refusal) => refused(refusal),
        NotTaken::Form(form) => {
            let problem =
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "inadmissible", "Inadmissible", detail)
                    .with("reason", code);
            Fault::of_form(form).tell(problem)
        }
        NotTaken::Early(_) => clock(detail, code).with("field", "/at"),
        NotTaken::AttachmentMissing { name, hash } => {
            let title = "Attachment missing";
            Problem::new(StatusCode::FAILED_DEPENDENCY, "attachment-missing", title, detail)
                .with("reason", code)
                .with("field", "/attachments")
                .with("attachment", name.as_str())
                .with("upload", format!("/blobs/{hash}"))
        }
        NotTaken::AttachmentErased { name, .. } => {
            let title = "Attachment erased";
            Problem::new(StatusCode::FAILED_DEPENDENCY, "attachment-missing", title, detail)
                .with("reason", code)
                .with("field", "/attachments")
                .with("attachment", name.as_str())
        }
        NotTaken::AttachmentLength { name, .. } | NotTaken::AttachmentOther { name, .. } => {
            let title = "Attachment differs";
            Problem::new(StatusCode::FAILED_DEPENDENCY, "attachment-differs", title, detail)
                .with("reason", code)
                .with("field", "/attachments")
                .with("attachment", name.as_str())
        }
        NotTaken::Blobs(_) | NotTaken::Vault(_) | NotTaken::Erase(_) | NotTaken::Lookup(_) => return None,
    })
}

fn clock(detail: String, reason: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "clock", "Clock", detail).with("reason", reason)
}

/// Status 403: the upload is nobody's who may.
pub(super) fn upload(reason: &UploadError) -> Problem {
    let detail = sentence(&reason.to_string());
    Problem::new(StatusCode::FORBIDDEN, "not-allowed", "Not allowed", detail)
        .with("reason", reason.code())
        .with("header", UPLOAD_HEADER)
}

pub(super) fn not_the_agencys(agency: &AgencyId) -> Problem {
    let detail = format!("The record is not one of {agency}'s.");
    Problem::new(StatusCode::FORBIDDEN, "not-allowed", "Not allowed", detail)
        .with("reason", "other_agency")
        .with("header", UPLOAD_HEADER)
}

pub(super) fn attachment_too_large(bytes_max: u64) -> Problem {
    let detail = format!("An attachment has at most {bytes_max} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
}

pub(super) fn other_length(expected: u64) -> Problem {
    error::malformed(format!("The upload note names {expected} bytes, and another number came."))
}

pub(super) fn other_bytes(wanted: &Hash, found: &Hash) -> Problem {
    let detail = format!("The bytes that came have the SHA-256 {found}; {wanted} was announced.");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "other-bytes", "Other bytes", detail)
        .with("reason", "other_bytes")
}

pub(super) fn does_not_open() -> Problem {
    not_opening("The document opens no commitment of this version of the record.")
}

pub(super) fn opening_differs() -> Problem {
    not_opening(
        "What the header Daybook-Attachment says does not give the commitment in the path, or names other bytes than the \
         upload note.",
    )
}

fn not_opening(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "does-not-open", "Does not open", detail)
        .with("reason", "does_not_open")
}

/// Status 409: the version has as many documents as are kept of one.
pub(super) fn shows_enough() -> Problem {
    let detail = format!(
        "The log keeps at most {VERSION_DOCUMENTS_MAX} documents of a version, and {} in all. Nothing was stored. Show more          sealed fields in one disclosure.",
        ByteSize(VERSION_BYTES_MAX)
    );
    Problem::new(StatusCode::CONFLICT, "shows-enough", "Shows enough", detail).with("reason", "shows_enough")
}

/// Status 410; `tombstone` is added by whoever has it at hand.
pub(super) fn erased() -> Problem {
    let detail = "These values were erased. The tombstone says what, when and on which legal basis.";
    Problem::new(StatusCode::GONE, "erased", "Erased", detail)
}

pub(super) fn too_many_from_network(seconds: u32) -> Problem {
    too_many("This network sends more than the log takes from one.", seconds)
}

pub(super) fn too_many_of_agency(seconds: u32) -> Problem {
    too_many("This agency sends more than the log takes from one.", seconds)
}

fn too_many(what: &str, seconds: u32) -> Problem {
    let detail = format!("{what} Nothing was stored; send the same again after the time given.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many", detail).retry_after(seconds)
}

pub(super) fn wrong_form(detail: impl Into<String>) -> Problem {
    error::malformed(detail)
}

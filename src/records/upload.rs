//! Who may upload what: a small note, signed by a live key of an agency, that goes with the upload in a header.
//!
//! ```text
//! daybook/upload/v1
//! log.gov.example/2026
//! treasury.gov.example
//! /blobs/<sha256 of the body>
//! <sha256 of the body>
//! 48213
//! 2026-11-23T09:00:00Z
//!
//! — treasury.gov.example/publisher BASE64
//! ```
//!
//! Lines: kind, origin of the log, agency, path, SHA-256 and length of the body, time. The header `Daybook-Upload` is the
//! note in base64. It is bound to the log, the path and the bytes, so nobody else can use it for anything else, and
//! using it twice changes nothing; it is good for some minutes around its time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::ids::AgencyId;
use record::registry::Registry;
use record::time::UtcTime;
use tlog::hash::Hash;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::VerifierKey;

/// The header that carries the note.
pub const UPLOAD_HEADER: &str = "daybook-upload";
const KIND: &str = "daybook/upload/v1";
/// How far the note's time may be from the server's.
const AGE_SECONDS_MAX: i64 = 600;

/// What is to be uploaded, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The log's origin.
    pub log: String,
    /// Who uploads.
    pub agency: AgencyId,
    /// Where to.
    pub path: String,
    /// SHA-256 of the body.
    pub sha256: Hash,
    /// Bytes of the body.
    pub bytes: u64,
    /// When the note was signed.
    pub at: UtcTime,
}

/// Why an upload is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// There is no note.
    #[error(
        "an upload needs the header Daybook-Upload, a note that a key of the agency has signed, in base64"
    )]
    Missing,
    /// The header is no note of this kind.
    #[error(
        "the header Daybook-Upload is not the base64 of a signed note of seven lines that begins with {KIND}"
    )]
    Malformed,
    /// The note is for something else.
    #[error("the upload note is for {0} {1:?}, and not for this upload")]
    Other(&'static str, String),
    /// The note is too old, or from the future.
    #[error("the upload note is of {0}, more than ten minutes from the server's time; sign a new one")]
    Time(UtcTime),
    /// The log does not know the agency.
    #[error("the log has no agency {0}")]
    Agency(AgencyId),
    /// No live key of the agency signed.
    #[error("no live key of {0} has signed the upload note")]
    Signature(AgencyId),
}

impl UploadError {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "upload_missing",
            Self::Malformed => "upload_malformed",
            Self::Other(..) => "upload_other",
            Self::Time(_) => "upload_time",
            Self::Agency(_) => "unknown_agency",
            Self::Signature(_) => "upload_signature",
        }
    }
}

impl Upload {
    /// The text to sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { log, agency, path, sha256, bytes, at } = self;
        format!("{KIND}\n{log}\n{agency}\n{path}\n{sha256}\n{bytes}\n{at}\n")
    }

    /// The value of the header.
    ///
    /// # Panics
    /// If there are no signatures.
    #[must_use]
    pub fn to_header(&self, signatures: Vec<SignatureLine>) -> String {
        let note = Note::new(self.to_text(), signatures).expect("an upload with a signature is a note");
        STANDARD.encode(note.to_bytes())
    }

    /// Parses a header's value and verifies that a live key of the agency signed it lately, for this log and path.
    ///
    /// # Errors
    /// [`UploadError`].
    pub fn verify(
        header: Option<&[u8]>,
        registry: &Registry,
        path: &str,
        now_seconds: i64,
    ) -> Result<Self, UploadError> {
        let bytes = STANDARD.decode(header.ok_or(UploadError::Missing)?);
        let note = Note::parse(&bytes.map_err(|_| UploadError::Malformed)?);
        let note = note.map_err(|_| UploadError::Malformed)?;
        let upload = Self::parse_text(note.text()).ok_or(UploadError::Malformed)?;
        let origin = registry.log().map(|log| log.as_str().to_owned()).unwrap_or_default();
        if upload.log != origin {
            return Err(UploadError::Other("the log", upload.log));
        }
        if upload.path != path {
            return Err(UploadError::Other("the path", upload.path));
        }
        if upload.at.unix_seconds().abs_diff(now_seconds) > AGE_SECONDS_MAX.unsigned_abs() {
            return Err(UploadError::Time(upload.at));
        }
        if registry.agency(&upload.agency).is_none() {
            return Err(UploadError::Agency(upload.agency));
        }
        let live = registry.keys_of(&upload.agency).filter(|state| state.is_live());
        let keys: Vec<VerifierKey> = live.map(|state| state.key.clone()).collect();
        match note.verify(&keys) {
            Ok(_) => Ok(upload),
            Err(_) => Err(UploadError::Signature(upload.agency)),
        }
    }

    fn parse_text(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
        let [KIND, log, agency, path, sha256, bytes, at] = lines.as_slice() else { return None };
        let upload = Self {
            log: (*log).to_owned(),
            agency: agency.parse().ok()?,
            path: (*path).to_owned(),
            sha256: sha256.parse().ok()?,
            bytes: bytes.parse().ok()?,
            at: at.parse().ok()?,
        };
        (upload.to_text() == text).then_some(upload)
    }
}

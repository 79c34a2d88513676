//! Signed notes (C2SP signed-note): a text and the signatures under it.
//!
//! ```text
//! This is an example message.
//!
//! — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
//! ```
//!
//! The text is whatever stands above the last empty line, and must be ignored until [`Note::verify`] says that
//! a trusted key signed it. Limits are checked before any cryptography.
//!
//! What the text means is elsewhere: checkpoints in [`crate::checkpoint`].

use std::fmt;

use crate::b64;
use crate::checkpoint;
use crate::cosignature;
use crate::crypto;
use crate::ids::{KeyName, UnixMillis};
use crate::vkey::{KeyKind, VerifierKey};

/// The longest note in bytes.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// The most signatures under one note; the specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 64;
/// The most keys that one verification takes.
pub const KEYS_MAX: usize = 256;

/// Why bytes are no note, or why a note is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("the note has {0} bytes; at most {NOTE_BYTES_MAX} are accepted")]
    TooLong(usize),
    /// Not UTF-8, or a control character other than newline.
    #[error("a note is UTF-8 text without control characters other than newline")]
    Characters,
    /// No text, no empty line, or no signature after it.
    #[error("a note is a text, an empty line, and signature lines, each ending in a newline")]
    Shape,
    /// A line after the last empty line is no signature line.
    #[error("line {0} after the text is not a signature line: expected `\u{2014} <key name> <base64>`")]
    Line(usize),
    /// The base64 of a signature line is not canonical, or shorter than a key ID and one byte.
    #[error("the signature of {0:?} is not canonical base64 of a key ID and a signature")]
    Encoding(KeyName),
    /// More than [`SIGNATURES_MAX`] signatures, or [`KEYS_MAX`] keys.
    #[error("too many signatures or keys: {0}")]
    TooMany(usize),
    /// A known key's signature does not verify.
    #[error("the signature by {0} (key ID {1:08x}) does not verify")]
    BadSignature(KeyName, u32),
    /// No known key signed.
    #[error("no trusted key has signed this note")]
    NoTrustedSignature,
}

impl NoteError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::Characters => "characters",
            Self::Shape => "shape",
            Self::Line(_) => "line",
            Self::Encoding(_) => "encoding",
            Self::TooMany(_) => "too_many",
            Self::BadSignature(..) => "bad_signature",
            Self::NoTrustedSignature => "no_trusted_signature",
        }
    }
}

/// One signature under a note.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignatureLine {
    name: KeyName,
    id: u32,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// A signature, without the key ID that precedes it in the encoding.
    #[must_use]
    pub fn new(name: KeyName, id: u32, signature: Vec<u8>) -> Self {
        Self { name, id, signature }
    }

    /// Whose.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// By which key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The bytes after the key ID.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether the key has this name and ID.
    #[must_use]
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.id == key.id() && self.name == *key.name()
    }

    /// Bytes of the line with its newline.
    fn bytes(&self) -> usize {
        let blob = (4 + self.signature.len()).div_ceil(3) * 4;
        "\u{2014} ".len() + self.name.as_str().len() + 1 + blob + 1
    }

    /// Parses one line, without its newline. `number` counts from 1, for the message.
    pub(crate) fn parse(line: &str, number: usize) -> Result<Self, NoteError> {
        let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
        let (name, blob) = parts.ok_or(NoteError::Line(number))?;
        let name: KeyName = name.parse().map_err(|_| NoteError::Line(number))?;
        let bytes = b64::decode(blob);
        match bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<4>()) {
            Some((id, signature)) if !signature.is_empty() => {
                Ok(Self { name, id: u32::from_be_bytes(*id), signature: signature.to_vec() })
            }
            _ => Err(NoteError::Encoding(name)),
        }
    }
}

impl fmt::Display for SignatureLine {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blob = [&self.id.to_be_bytes(), self.signature.as_slice()].concat();
        write!(f, "\u{2014} {} {}", self.name, b64::encode(&blob))
    }
}

/// A signature that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The key that made it.
    pub key: &'a VerifierKey,
    /// The line it stands in.
    pub line: &'a SignatureLine,
    /// A cosignature's time, in seconds since 1970.
    pub cosigned_at: Option<u64>,
    /// A tree head signature's time.
    pub tree_head_time: Option<UnixMillis>,
}

/// A text and its signatures. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// A note from its parts.
    ///
    /// # Errors
    /// [`NoteError`] if the parts could not be told apart again after formatting.
    pub fn new(text: String, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        let note = Self { text, signatures };
        match Self::parse(&note.to_bytes()) {
            Ok(again) if again == note => Ok(note),
            Ok(_) => Err(NoteError::Shape),
            Err(error) => Err(error),
        }
    }

    /// Parses a note. Accepts only bytes that [`Note::to_bytes`] gives back.
    ///
    /// # Errors
    /// [`NoteError`] says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        // To the end, without a branch for each byte, which is several times as fast.
        if note.bytes().fold(false, |found, byte| found | ((byte < 0x20) & (byte != b'\n'))) {
            return Err(NoteError::Characters);
        }
        let blank = note.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape)?;
        let count = lines.split('\n').count();
        if count > SIGNATURES_MAX {
            return Err(NoteError::TooMany(count));
        }
        let signatures: Result<_, _> =
            lines.split('\n').zip(1..).map(|(line, number)| SignatureLine::parse(line, number)).collect();
        Ok(Self { text: text.to_owned(), signatures: signatures? })
    }

    /// The note as it is stored and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\n", self.text);
        for line in &self.signatures {
            out.push_str(&line.to_string());
            out.push('\n');
        }
        out.into_bytes()
    }

    /// The text, with its final newline. Means nothing before verification.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in the order of the note.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The same text with another list of signatures.
    ///
    /// # Errors
    /// [`NoteError`] if the note could not be read again: too many signatures or none, one that is empty, or more
    /// than [`NOTE_BYTES_MAX`] in all.
    pub fn with_signatures(&self, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        match signatures.len() {
            0 => return Err(NoteError::Shape),
            1..=SIGNATURES_MAX => (),
            many => return Err(NoteError::TooMany(many)),
        }
        if let Some(empty) = signatures.iter().find(|line| line.signature.is_empty()) {
            return Err(NoteError::Encoding(empty.name.clone()));
        }
        let bytes = self.text.len() + 1 + signatures.iter().map(SignatureLine::bytes).sum::<usize>();
        if bytes > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(bytes));
        }
        Ok(Self { text: self.text.clone(), signatures })
    }

    /// Verifies every signature by one of `keys`, matched by name and ID; others are ignored.
    ///
    /// Cost: at most one verification for each signature line.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if one of them fails, whatever the others say, and
    /// [`NoteError::NoTrustedSignature`] if there is none.
    pub fn verify<'a>(&'a self, keys: &'a [VerifierKey]) -> Result<Vec<Verified<'a>>, NoteError> {
        if keys.len() > KEYS_MAX {
            return Err(NoteError::TooMany(keys.len()));
        }
        let mut verified = Vec::new();
        for line in &self.signatures {
            if let Some(key) = keys.iter().find(|key| line.is_by(key)) {
                let bad = || NoteError::BadSignature(line.name.clone(), line.id);
                verified.push(verify_line(&self.text, line, key).ok_or_else(bad)?);
            }
        }
        if verified.is_empty() { Err(NoteError::NoTrustedSignature) } else { Ok(verified) }
    }
}

fn verify_line<'a>(text: &str, line: &'a SignatureLine, key: &'a VerifierKey) -> Option<Verified<'a>> {
    let (mut cosigned_at, mut tree_head_time) = (None, None);
    match key.kind() {
        KeyKind::Ed25519 => {
            crypto::verify_ed25519(key.ed25519()?, text.as_bytes(), &line.signature).then_some(())?;
        }
        KeyKind::EcdsaP256 => {
            crypto::verify_p256(key.material(), text.as_bytes(), &line.signature).then_some(())?;
        }
        KeyKind::TreeHeadP256 => {
            tree_head_time = Some(checkpoint::verify_tree_head(text, key, &line.signature)?);
        }
        KeyKind::CosignatureEd25519 | KeyKind::CosignatureMlDsa44 => {
            cosigned_at = Some(cosignature::verify(text, key, &line.signature)?);
        }
    }
    Some(Verified { key, line, cosigned_at, tree_head_time })
}

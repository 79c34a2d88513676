//! A statement that waits for signatures, in a file that officers hand from one to the next.
//!
//! ```text
//! daybook/agency/v1
//! {"action":"enrol","agency":"treasury.gov.example",...}
//!
//! — treasury.gov.example/clerk BASE64
//! ```
//!
//! The text alone, or the text with some of its signatures. Once all are there the file is, byte for byte, the statement
//! that the log takes; so a draft needs no format of its own.

use std::path::Path;

use record::statement::{Body, STATEMENT_BYTES_MAX, Statement, StatementError};
use tlog::note::{Note, SignatureLine};
use tlog::vkey::VerifierKey;

use crate::clerk::files::{self, FileError};
use crate::officer::Officer;

/// Why a file is no draft.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no statement, signed or not.
    #[error("{0}: neither a statement's text nor a statement with signatures: {1}")]
    Form(String, StatementError),
}

/// A statement's text and the signatures that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    text: String,
    body: Body,
    signatures: Vec<SignatureLine>,
}

impl Draft {
    /// A draft without signatures.
    ///
    /// # Errors
    /// [`StatementError`] if the body could not be read back, and so must not be signed.
    pub fn new(body: &Body) -> Result<Self, StatementError> {
        let text = body.to_text();
        Ok(Self { body: Body::parse_text(&text)?, text, signatures: Vec::new() })
    }

    /// Parses a text, or a text with signatures in any order.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::TooLong(bytes.len()));
        }
        let (text, signatures) = match Note::parse(bytes) {
            Ok(note) => (note.text().to_owned(), note.signatures().to_vec()),
            Err(error) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.contains("\n\n") => (text.to_owned(), Vec::new()),
                _ => return Err(error.into()),
            },
        };
        Ok(Self { body: Body::parse_text(&text)?, text, signatures })
    }

    /// Whether bytes look like a draft at all: a statement begins with its kind.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(b"daybook/")
    }

    /// Reads a draft.
    ///
    /// # Errors
    /// [`DraftError`] names the file.
    pub fn read(path: &Path) -> Result<Self, DraftError> {
        let bytes = files::read(path)?;
        Self::parse(&bytes).map_err(|error| DraftError::Form(path.display().to_string(), error))
    }

    /// Writes the draft, whole or not at all. It holds no secret.
    ///
    /// # Errors
    /// [`DraftError::File`].
    pub fn write(&self, path: &Path) -> Result<(), DraftError> {
        Ok(files::replace(path, &self.to_bytes())?)
    }

    /// The file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self.statement() {
            Ok(statement) => statement.to_bytes(),
            Err(_) => self.text.clone().into_bytes(),
        }
    }

    /// Adds an officer's signature. Again it changes nothing.
    pub fn sign(&mut self, officer: &Officer) {
        let key = officer.verifier_key();
        self.signatures.retain(|line| !line.is_by(&key));
        self.signatures.push(officer.sign(&self.text));
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures so far.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Whether this key has signed, and the signature is good.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.signatures.iter().any(|line| line.is_by(key) && self.holds(key, line))
    }

    /// Whether a signature line verifies under a key.
    pub(super) fn holds(&self, key: &VerifierKey, line: &SignatureLine) -> bool {
        let note = Note::new(self.text.clone(), vec![line.clone()]);
        note.is_ok_and(|note| note.verify(std::slice::from_ref(key)).is_ok())
    }

    /// The statement, as the log takes it.
    ///
    /// # Errors
    /// [`StatementError`] if there is no signature, or too many.
    pub fn statement(&self) -> Result<Statement, StatementError> {
        Statement::assemble(&self.text, self.signatures.clone())
    }
}

#[cfg(test)]
mod tests {
    use daemon::clock::SystemRandom;

    use super::*;
    use crate::officer::Algorithm;

    const TEXT: &str = "daybook/agency/v1\n{\"action\":\"revoke\",\"agency\":\"a.example\",\"at\":\"2026-11-23T09:00:00Z\",\
        \"keys\":[\"a.example/one+1e0b3d5a+AR4Ky3iAGRhZmCXu1q8s+MSKNUfVtKVOIf2ZXZVa8A5T\"],\"log\":\"log.example\",\
        \"previous\":null,\"reason\":\"lost\"}\n";

    #[test]
    fn a_draft_is_its_text_until_it_is_signed_and_the_statement_itself_then() {
        let key =
            Officer::draw(&"a.example/one".parse().unwrap(), Algorithm::Ed25519, &SystemRandom).unwrap();
        let text = TEXT.replace(
            "a.example/one+1e0b3d5a+AR4Ky3iAGRhZmCXu1q8s+MSKNUfVtKVOIf2ZXZVa8A5T",
            &key.verifier_key().to_string(),
        );
        let mut draft = Draft::parse(text.as_bytes()).unwrap();
        assert_eq!(draft.to_bytes(), text.as_bytes());
        assert!(!draft.is_signed_by(&key.verifier_key()));
        draft.sign(&key);
        draft.sign(&key);
        assert_eq!(draft.signatures().len(), 1, "an officer signs once");
        assert!(draft.is_signed_by(&key.verifier_key()));
        let bytes = draft.to_bytes();
        assert_eq!(Statement::parse(&bytes).unwrap().to_bytes(), bytes);
        assert_eq!(Draft::parse(&bytes).unwrap(), draft);
        let altered = String::from_utf8(bytes).unwrap().replace("lost", "sold");
        let altered = Draft::parse(altered.as_bytes()).unwrap();
        assert!(!altered.is_signed_by(&key.verifier_key()), "a changed text is not signed");
    }

    #[test]
    fn a_statement_has_as_many_bytes_as_an_entry_and_not_one_more() {
        let key =
            Officer::draw(&"a.example/one".parse().unwrap(), Algorithm::Ed25519, &SystemRandom).unwrap();
        let statement = |letters: usize| {
            let text = format!(
                "daybook/record/v1\n{{\"agency\":\"a.example\",\"at\":\"2026-11-23T09:00:00Z\",\"key\":\"GB\",\"log\":\
                 \"log.example\",\"previous\":null,\"public\":{{\"text\":\"{}\"}},\"register\":\"country\"}}\n",
                "x".repeat(letters)
            );
            Statement::assemble(&text, vec![key.sign(&text)])
        };
        let rest = statement(0).unwrap().to_bytes().len();
        let longest = statement(STATEMENT_BYTES_MAX - rest).unwrap().to_bytes();
        assert_eq!(longest.len(), STATEMENT_BYTES_MAX);
        assert!(Statement::parse(&longest).is_ok() && Draft::parse(&longest).is_ok());
        let error = statement(STATEMENT_BYTES_MAX - rest + 1).unwrap_err();
        assert_eq!(error, StatementError::TooLong(STATEMENT_BYTES_MAX + 1));
        assert_eq!((error.code(), error.path()), ("statement_too_long", None));
        let longer = [longest, b"\n".to_vec()].concat();
        assert_eq!(Statement::parse(&longer), Err(StatementError::TooLong(STATEMENT_BYTES_MAX + 1)));
        assert_eq!(Draft::parse(&longer), Err(StatementError::TooLong(STATEMENT_BYTES_MAX + 1)));
    }

    #[test]
    fn what_is_no_statement_is_no_draft() {
        for bad in ["", "daybook/agency/v1\n", "daybook/agency/v1\n{}\n", "{\"key\":\"GB\"}\n"] {
            assert!(Draft::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}

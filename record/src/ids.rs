//! The small values of statements: agencies, registers, keys of records, times, texts.
//!
//! Each has one spelling and cannot hold anything else. Identifiers that appear in key names and paths are lowercase
//! ASCII, so that none looks like another.

use std::fmt;
use std::str::FromStr;

/// Longest agency identifier in bytes.
pub const AGENCY_BYTES_MAX: usize = 100;
/// Longest register identifier, and longest last part of a key's name, in bytes.
pub const REGISTER_BYTES_MAX: usize = 64;
/// Longest key of a record in bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest title, licence, media type or schema identifier in bytes.
pub const LINE_BYTES_MAX: usize = 512;
/// Longest reason or legal basis in bytes.
pub const REASON_BYTES_MAX: usize = 4096;
/// Hex digits of an opaque key: 128 bits.
pub const OPAQUE_KEY_DIGITS: usize = 32;

/// The form that a text does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Form {
    /// Of an agency.
    #[error("a domain name in lowercase, at most {AGENCY_BYTES_MAX} bytes")]
    Agency,
    /// Of a register.
    #[error("1 to {REGISTER_BYTES_MAX} of a-z, 0-9 and inner hyphens")]
    Register,
    /// Of a record's key.
    #[error("1 to {KEY_BYTES_MAX} bytes without control characters and outer spaces")]
    Key,
    /// Of a time.
    #[error("a UTC time of the form 2026-11-23T09:00:00Z")]
    Time,
    /// Of a date.
    #[error("a date of the form 2026-11-23")]
    Date,
    /// Of a line of text.
    #[error("1 to {LINE_BYTES_MAX} bytes without control characters and outer spaces")]
    Line,
    /// Of a reason.
    #[error("1 to {REASON_BYTES_MAX} bytes without control characters and outer spaces")]
    Reason,
    /// Of a hash.
    #[error("64 lowercase hex digits")]
    Hash,
    /// Of a nonce.
    #[error("32 lowercase hex digits")]
    Nonce,
    /// Of a log's origin.
    #[error("a log's origin, one line of 1 to 255 bytes")]
    Origin,
    /// Of a verifier key that signs statements.
    #[error("a verifier key of type Ed25519 (0x01) or P-256 (0x02)")]
    VerifierKey,
    /// Of a verifier key's name.
    #[error(
        "a key whose name is the agency, a slash, and 1 to {REGISTER_BYTES_MAX} of a-z, 0-9, inner . _ -"
    )]
    KeyName,
    /// Of a JSON Pointer to something erasable.
    #[error("/erasable/<field>, /attachments/<name>, /sealed or /sealed/<field>")]
    Erased,
    /// Of a media type.
    #[error("a media type such as application/pdf, in lowercase")]
    Media,
}

impl Form {
    /// The metric label.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Agency => "form_agency",
            Self::Register => "form_register",
            Self::Key => "form_key",
            Self::Time => "form_time",
            Self::Date => "form_date",
            Self::Line => "form_line",
            Self::Reason => "form_reason",
            Self::Hash => "form_hash",
            Self::Nonce => "form_nonce",
            Self::Origin => "form_origin",
            Self::VerifierKey => "form_verifier_key",
            Self::KeyName => "form_key_name",
            Self::Erased => "form_erased",
            Self::Media => "form_media",
        }
    }
}

/// An agency: a domain name in lowercase, `treasury.gov.example`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgencyId(String);

/// A register of an agency: `country`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterId(String);

/// What names a thing in a register: `GB`, or 32 hex digits where the register's keys are opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(String);

/// One line of text for people: a title, a licence, a media type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(String);

/// A longer text for people: a reason, a legal basis.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(String);

fn is_label(text: &str, inner: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(first, last)| plain(*first) && plain(*last));
    ends && bytes.iter().all(|byte| plain(*byte) || inner.contains(byte))
}

/// Whether `name` may stand after the agency and the slash in a key's name.
#[must_use]
pub fn is_key_label(name: &str) -> bool {
    name.len() <= REGISTER_BYTES_MAX && is_label(name, b"._-")
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    (1..=bytes_max).contains(&text.len()) && text.trim() == text && !text.chars().any(control)
}

impl FromStr for AgencyId {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        let fits = text.len() <= AGENCY_BYTES_MAX && text.split('.').all(|label| is_label(label, b"-"));
        if fits { Ok(Self(text.to_owned())) } else { Err(Form::Agency) }
    }
}

impl FromStr for RegisterId {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        let fits = text.len() <= REGISTER_BYTES_MAX && is_label(text, b"-");
        if fits { Ok(Self(text.to_owned())) } else { Err(Form::Register) }
    }
}

impl FromStr for RecordKey {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        if is_text(text, KEY_BYTES_MAX) { Ok(Self(text.to_owned())) } else { Err(Form::Key) }
    }
}

impl FromStr for Line {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        if is_text(text, LINE_BYTES_MAX) { Ok(Self(text.to_owned())) } else { Err(Form::Line) }
    }
}

impl FromStr for Reason {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        if is_text(text, REASON_BYTES_MAX) { Ok(Self(text.to_owned())) } else { Err(Form::Reason) }
    }
}

impl AgencyId {
    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a key of this name belongs to the agency: `treasury.gov.example/publisher`.
    #[must_use]
    pub fn owns_key_name(&self, name: &str) -> bool {
        let label = name.strip_prefix(self.as_str()).and_then(|rest| rest.strip_prefix('/'));
        label.is_some_and(is_key_label)
    }
}

impl RegisterId {
    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RecordKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The opaque key of 128 bits, which the caller draws at random.
    #[must_use]
    pub fn opaque(random: [u8; 16]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether it has the form of an opaque key.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        self.0.len() == OPAQUE_KEY_DIGITS && self.0.bytes().all(hex)
    }
}

impl Line {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RegisterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_lowercase_ascii() {
        for good in ["gov.example", "a", "1.2", "a-b.example", &"a".repeat(100)] {
            assert_eq!(good.parse::<AgencyId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "a..b", "-a", "a-", "A.b", "a_b", "a/b", "\u{430}.example", &"a".repeat(101)] {
            assert_eq!(bad.parse::<AgencyId>(), Err(Form::Agency), "{bad:?}");
        }
        for bad in ["", "-", "a.b", "A", "a b", &"a".repeat(65)] {
            assert_eq!(bad.parse::<RegisterId>(), Err(Form::Register), "{bad:?}");
        }
    }

    #[test]
    fn texts_carry_no_control_characters_and_no_outer_space() {
        for good in ["GB", "local authority:1", "\u{5d0}\u{5d1}", "\u{4e2d}\u{6587}"] {
            assert!(good.parse::<RecordKey>().is_ok(), "{good:?}");
        }
        for bad in ["", " a", "a ", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "\u{3000}a", &"x".repeat(257)] {
            assert_eq!(bad.parse::<RecordKey>(), Err(Form::Key), "{bad:?}");
        }
    }

    #[test]
    fn a_key_name_belongs_to_one_agency() {
        let agency: AgencyId = "gov.example".parse().unwrap();
        assert!(agency.owns_key_name("gov.example/unit-1.a_b"));
        for other in ["gov.example", "gov.example/", "gov.example/a/b", "gov.example.evil/a", "gov.example/A"]
        {
            assert!(!agency.owns_key_name(other), "{other}");
        }
    }

    #[test]
    fn opaque_keys_are_128_bits_of_lowercase_hex() {
        assert!(RecordKey::opaque([0xab; 16]).is_opaque());
        for bad in ["GB", &"A".repeat(32), &"a".repeat(31), &"a".repeat(33)] {
            assert!(!bad.parse::<RecordKey>().unwrap().is_opaque());
        }
    }
}

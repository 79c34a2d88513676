//! Statements: what agencies sign, and byte for byte what the log's leaves are.
//!
//! ```text
//! daybook/record/v1
//! {"agency":"treasury.gov.example","at":"2026-11-23T09:00:00Z","key":"GB",...}
//!
//! — treasury.gov.example/publisher BASE64
//! ```
//!
//! A C2SP signed note of at most 65,535 bytes: the kind, one line of canonical JSON, an empty line, signatures
//! sorted by key name and key ID, each once. [`Statement::parse`] accepts only bytes that [`Statement::to_bytes`] gives
//! back, and says which field is in the way otherwise.
//!
//! Nothing here says that a signature is good or that its key may sign: that is [`crate::registry`].
//! Specification: `docs/spec/record.md`.

pub mod agency;
pub mod amend;
pub(crate) mod fields;
pub mod record;
pub mod register;

use tlog::bundle::ENTRY_BYTES_MAX;
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::Origin;
use tlog::note::{Note, NoteError, SignatureLine};
use tlog::vkey::VerifierKey;

pub use self::agency::{Agency, AgencyAction, Genesis, KeyGrant, KeySet, Role};
pub use self::amend::{Dispute, EntryRef, Erased, Tombstone};
pub use self::fields::{FieldError, Problem};
pub use self::record::{Attachment, AttachmentContent, Content, Record, Sealed};
pub use self::register::{Calendar, FieldClass, FieldRule, FieldType, KeyRule, Period, Register};
use crate::ids::AgencyId;
use crate::json::{JsonError, Object, Value};
use crate::statement::fields::Fields;
use crate::time::UtcTime;

/// The longest statement in bytes.
pub const STATEMENT_BYTES_MAX: usize = ENTRY_BYTES_MAX;
const KIND_PREFIX: &str = "daybook/";
const KIND_SUFFIX: &str = "/v1";
/// How much of an unknown first line a message shows.
pub(crate) const KIND_CHARS_SHOWN: usize = 80;

/// Why bytes are no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Longer than [`STATEMENT_BYTES_MAX`].
    #[error(
        "the statement has {0} bytes; at most {STATEMENT_BYTES_MAX} are accepted: make its content an attachment"
    )]
    TooLong(usize),
    /// Not a signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The first line is no kind that this version knows.
    #[error(
        "the first line {0:?} is none of daybook/{{genesis,agency,register,record,tombstone,dispute}}/v1"
    )]
    Kind(String),
    /// The text has not exactly two lines.
    #[error("the text of a statement is two lines, its kind and its JSON; this one has {0}")]
    Lines(usize),
    /// The second line is not canonical JSON.
    #[error("the second line is not canonical JSON (RFC 8785): {0}")]
    Json(#[from] JsonError),
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Signatures are not sorted by key name and ID, or a key stands there twice.
    #[error("signature {0} is out of order: sort by key name and key ID, each key once")]
    SignatureOrder(usize),
}

impl StatementError {
    /// The metric label, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "statement_too_long",
            Self::Note(_) => "note",
            Self::Kind(_) => "kind",
            Self::Lines(_) => "lines",
            Self::Json(error) => error.problem.code(),
            Self::Field(error) => error.problem.code(),
            Self::SignatureOrder(_) => "signature_order",
        }
    }

    /// JSON Pointer to the field at fault, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Json(error) => Some(&error.path),
            Self::Field(error) => Some(&error.path),
            _ => None,
        }
    }
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The first entry of a log.
    Genesis(Genesis),
    /// About an agency's keys.
    Agency(Agency),
    /// About a register.
    Register(Register),
    /// A version of a record.
    Record(Record),
    /// Values of a record were destroyed.
    Tombstone(Tombstone),
    /// An agency disowns what a stolen key signed.
    Dispute(Dispute),
}

/// The kind of a statement, without what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `daybook/genesis/v1`
    Genesis,
    /// `daybook/agency/v1`
    Agency,
    /// `daybook/register/v1`
    Register,
    /// `daybook/record/v1`
    Record,
    /// `daybook/tombstone/v1`
    Tombstone,
    /// `daybook/dispute/v1`
    Dispute,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Genesis, Self::Agency, Self::Register, Self::Record, Self::Tombstone, Self::Dispute];

    /// The word in its first line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Agency => "agency",
            Self::Register => "register",
            Self::Record => "record",
            Self::Tombstone => "tombstone",
            Self::Dispute => "dispute",
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let word = line.strip_prefix(KIND_PREFIX)?.strip_suffix(KIND_SUFFIX)?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Body {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Genesis(_) => Kind::Genesis,
            Self::Agency(_) => Kind::Agency,
            Self::Register(_) => Kind::Register,
            Self::Record(_) => Kind::Record,
            Self::Tombstone(_) => Kind::Tombstone,
            Self::Dispute(_) => Kind::Dispute,
        }
    }

    /// The log that it counts in.
    #[must_use]
    pub fn log(&self) -> &Origin {
        match self {
            Self::Genesis(body) => &body.log,
            Self::Agency(body) => &body.log,
            Self::Register(body) => &body.log,
            Self::Record(body) => &body.log,
            Self::Tombstone(body) => &body.log,
            Self::Dispute(body) => &body.log,
        }
    }

    /// The agency that it is about; for `genesis` the registrar.
    #[must_use]
    pub fn agency(&self) -> &AgencyId {
        match self {
            Self::Genesis(body) => &body.registrar,
            Self::Agency(body) => &body.agency,
            Self::Register(body) => &body.agency,
            Self::Record(body) => &body.agency,
            Self::Tombstone(body) => &body.agency,
            Self::Dispute(body) => &body.agency,
        }
    }

    /// The time that it gives itself.
    #[must_use]
    pub fn at(&self) -> UtcTime {
        match self {
            Self::Genesis(body) => body.at,
            Self::Agency(body) => body.at,
            Self::Register(body) => body.at,
            Self::Record(body) => body.at,
            Self::Tombstone(body) => body.at,
            Self::Dispute(body) => body.at,
        }
    }

    /// The leaf hash of the statement that it follows; none for the first of its chain.
    #[must_use]
    pub fn previous(&self) -> Option<Hash> {
        match self {
            Self::Genesis(_) => None,
            Self::Agency(body) => body.previous,
            Self::Register(body) => body.previous,
            Self::Record(body) => body.previous,
            Self::Tombstone(body) => body.previous,
            Self::Dispute(body) => body.previous,
        }
    }

    /// The keys that it brings in, each of which signs it.
    #[must_use]
    pub fn brings_in(&self) -> Vec<&VerifierKey> {
        match self {
            Self::Genesis(body) => body.keys.brings_in(),
            Self::Agency(body) => body.action.brings_in(),
            _ => Vec::new(),
        }
    }

    /// The members of its second line.
    #[must_use]
    pub fn to_object(&self) -> Object {
        match self {
            Self::Genesis(body) => body.write(),
            Self::Agency(body) => body.write(),
            Self::Register(body) => body.write(),
            Self::Record(body) => body.write(),
            Self::Tombstone(body) => body.write(),
            Self::Dispute(body) => body.write(),
        }
    }

    /// The text to sign, with its final newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        let json = Value::Object(self.to_object()).to_text();
        format!("{KIND_PREFIX}{}{KIND_SUFFIX}\n{json}\n", self.kind().as_str())
    }

    /// Parses a text that is to be signed, or was.
    ///
    /// # Errors
    /// [`StatementError`] for text that [`Body::to_text`] does not give back.
    pub fn parse_text(text: &str) -> Result<Self, StatementError> {
        let lines = text.strip_suffix('\n').unwrap_or(text);
        let (first, json) = lines.split_once('\n').ok_or(StatementError::Lines(1))?;
        let unknown = || StatementError::Kind(first.chars().take(KIND_CHARS_SHOWN).collect());
        let kind = Kind::from_line(first).ok_or_else(unknown)?;
        if json.contains('\n') || !text.ends_with('\n') {
            return Err(StatementError::Lines(lines.split('\n').count()));
        }
        let fields = Fields::new(Value::parse(json)?)?;
        Ok(match kind {
            Kind::Genesis => Self::Genesis(Genesis::read(fields)?),
            Kind::Agency => Self::Agency(Agency::read(fields)?),
            Kind::Register => Self::Register(Register::read(fields)?),
            Kind::Record => Self::Record(Record::read(fields)?),
            Kind::Tombstone => Self::Tombstone(Tombstone::read(fields)?),
            Kind::Dispute => Self::Dispute(Dispute::read(fields)?),
        })
    }
}

/// A statement. Nothing is verified by having one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    note: Note,
    body: Body,
    leaf: Hash,
}

impl Statement {
    /// Parses a leaf.
    ///
    /// Cost: one pass over the bytes and one hash of them.
    ///
    /// # Errors
    /// [`StatementError`] names what is wrong, with the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(StatementError::TooLong(bytes.len()));
        }
        let note = Note::parse(bytes)?;
        check_order(note.signatures())?;
        let body = Body::parse_text(note.text())?;
        Ok(Self { note, body, leaf: leaf_hash(bytes) })
    }

    /// A statement from a text and signatures in any order.
    ///
    /// # Errors
    /// [`StatementError`] if the two make no statement.
    pub fn assemble(text: &str, mut signatures: Vec<SignatureLine>) -> Result<Self, StatementError> {
        signatures.sort_by(|a, b| (a.name(), a.id()).cmp(&(b.name(), b.id())));
        Self::parse(&Note::new(text.to_owned(), signatures)?.to_bytes())
    }

    /// The leaf.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// The signatures, sorted by key name and ID.
    #[must_use]
    pub fn signatures(&self) -> &[SignatureLine] {
        self.note.signatures()
    }

    /// The hash of the leaf, `SHA-256(0x00 || bytes)`: what `previous` names.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        self.leaf
    }

    /// What is unique in the log: SHA-256 of the text. Signatures are not part of it.
    #[must_use]
    pub fn identity(&self) -> Hash {
        sha256(self.note.text().as_bytes())
    }
}

fn check_order(signatures: &[SignatureLine]) -> Result<(), StatementError> {
    let place = |line: &SignatureLine| (line.name().clone(), line.id());
    let unsorted = signatures.windows(2).position(|pair| place(&pair[0]) >= place(&pair[1]));
    unsorted.map_or(Ok(()), |at| Err(StatementError::SignatureOrder(at + 2)))
}

fn put_previous(out: &mut Object, previous: Option<Hash>) {
    out.insert("previous", previous.map_or(Value::Null, |hash| Value::Text(hash.to_string())));
}

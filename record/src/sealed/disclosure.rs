//! A disclosure: some sealed fields of one version, with the proof that the agency signed exactly these values.
//!
//! ```text
//! daybook/disclosure/v1
//! {"fields":[{"name":..,"place":3,"salt":..,"type":..,"value":..}],"proof":[HASH,..],"statement":".."}
//! ```
//!
//! `statement` is the whole leaf as a string, so the document stands alone; that the leaf is in a log is shown by its
//! receipt. `place` is the field's place among the leaves, in ascending order; `proof` are the missing nodes, level by
//! level from the leaves, left to right.

use tlog::hash::Hash;

use super::{SealedValues, field_hash, tree};
use crate::json::{Number, Object, Value};
use crate::opening::Opening;
use crate::statement::fields::{Fields, Read, hash, integer, list, text};
use crate::statement::record::SEALED_LEAVES_MAX;
use crate::statement::{Body, Sealed, Statement, StatementError};

const KIND: &str = "daybook/disclosure/v1";
/// The longest disclosure in bytes: a statement, and as many fields as its record's limits allow to be useful.
pub const DISCLOSURE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a disclosure shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// Longer than [`DISCLOSURE_BYTES_MAX`].
    #[error("the disclosure has {0} bytes; at most {DISCLOSURE_BYTES_MAX} are accepted")]
    TooLong(usize),
    /// The document is malformed.
    #[error("the disclosure is malformed: {0}")]
    Document(StatementError),
    /// The statement in it is malformed.
    #[error("the statement inside the disclosure is malformed: {0}")]
    Statement(StatementError),
    /// The statement seals nothing.
    #[error("the statement inside the disclosure is no record with sealed fields")]
    NothingSealed,
    /// Places do not ascend, or are beyond the tree.
    #[error("/fields: the places do not ascend, or are beyond the {0} leaves of the tree")]
    Places(u16),
    /// One salt for two fields.
    #[error("/fields: two fields have one salt; salts are independent")]
    SaltTwice,
    /// One field twice.
    #[error("/fields: the field {0:?} is disclosed twice")]
    FieldTwice(String),
    /// More or fewer hashes than the places need.
    #[error("/proof: {found} hashes; these places need {needed}")]
    ProofLength {
        /// As many as needed.
        needed: usize,
        /// As many as there are.
        found: usize,
    },
    /// The values are not those that were sealed.
    #[error("the values are not those that the agency sealed: their hashes do not lead to the signed root")]
    Root,
    /// The agency has no such field to disclose.
    #[error("no field {0:?} was sealed in this version")]
    NoField(String),
    /// The kept values belong to another version.
    #[error("the kept values do not belong to this statement: their root is another")]
    OtherVersion,
}

impl DisclosureError {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "disclosure_too_long",
            Self::Document(error) | Self::Statement(error) => error.code(),
            Self::NothingSealed => "nothing_sealed",
            Self::Places(_) => "places",
            Self::SaltTwice => "salt_twice",
            Self::FieldTwice(_) => "field_twice",
            Self::ProofLength { .. } => "proof_length",
            Self::Root => "sealed_root",
            Self::NoField(_) => "no_field",
            Self::OtherVersion => "other_version",
        }
    }
}

/// A field and its place among the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    /// The field with its value and salt.
    pub opening: Opening,
    /// Its place.
    pub place: u16,
}

/// A disclosure whose values were checked against the root that the statement signs.
///
/// The statement's signatures and its place in a log are checked elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    statement: Statement,
    fields: Vec<Disclosed>,
    proof: Vec<Hash>,
}

fn sealed_of(statement: &Statement) -> Result<Sealed, DisclosureError> {
    let content = match statement.body() {
        Body::Record(record) => record.content.as_ref(),
        _ => None,
    };
    content.and_then(|content| content.sealed).ok_or(DisclosureError::NothingSealed)
}

fn disclosed(value: Value) -> Read<Disclosed> {
    let mut fields = Fields::new(value)?;
    let place = fields.required("place", integer(0, i64::from(SEALED_LEAVES_MAX) - 1))?;
    let opening = Opening::read(&mut fields)?;
    fields.finish()?;
    Ok(Disclosed { opening, place: u16::try_from(place).expect("in range") })
}

impl Disclosure {
    /// Discloses fields of a version.
    ///
    /// # Errors
    /// [`DisclosureError::OtherVersion`], [`DisclosureError::NoField`], [`DisclosureError::FieldTwice`].
    pub fn new(statement: Statement, values: &SealedValues, names: &[&str]) -> Result<Self, DisclosureError> {
        if sealed_of(&statement)? != values.commitment() {
            return Err(DisclosureError::OtherVersion);
        }
        let tree = values.tree();
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let opening = values.openings.iter().find(|opening| opening.name.as_str() == *name);
            let opening = opening.ok_or_else(|| DisclosureError::NoField((*name).to_owned()))?;
            let place = tree.place_of(&field_hash(&values.nonce, opening)).expect("the tree is over it");
            let place = u16::try_from(place).expect("at most 1024 leaves");
            fields.push(Disclosed { opening: opening.clone(), place });
        }
        fields.sort_by_key(|field| field.place);
        let places: Vec<usize> = fields.iter().map(|field| usize::from(field.place)).collect();
        let proof = if places.is_empty() { Vec::new() } else { tree.prove(&places) };
        Self::checked(statement, fields, proof)
    }

    /// Parses a document and checks it: an altered value, a moved field, a hash too many, all are refused.
    ///
    /// # Errors
    /// [`DisclosureError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DisclosureError> {
        if bytes.len() > DISCLOSURE_BYTES_MAX {
            return Err(DisclosureError::TooLong(bytes.len()));
        }
        let malformed = |error| DisclosureError::Document(error);
        let document = std::str::from_utf8(bytes).map_err(|_| malformed(StatementError::Lines(0)))?;
        let mut members = Fields::of_text(KIND, document).map_err(malformed)?;
        let (fields, proof, leaf) = Self::read(&mut members)
            .and_then(|read| members.finish().map(|()| read))
            .map_err(|error| malformed(error.into()))?;
        let statement = Statement::parse(leaf.as_bytes()).map_err(DisclosureError::Statement)?;
        Self::checked(statement, fields, proof)
    }

    fn read(members: &mut Fields) -> Read<(Vec<Disclosed>, Vec<Hash>, String)> {
        let most = usize::from(SEALED_LEAVES_MAX);
        let fields = members.required("fields", list(1, most, disclosed))?;
        let proof = members.required("proof", list(0, most, hash))?;
        Ok((fields, proof, members.required("statement", text)?))
    }

    fn checked(
        statement: Statement,
        fields: Vec<Disclosed>,
        proof: Vec<Hash>,
    ) -> Result<Self, DisclosureError> {
        let sealed = sealed_of(&statement)?;
        let leaves = usize::from(sealed.leaves);
        for (at, field) in fields.iter().enumerate() {
            let before = || fields[..at].iter().map(|other| &other.opening);
            if before().any(|other| other.name == field.opening.name) {
                return Err(DisclosureError::FieldTwice(field.opening.name.to_string()));
            }
            if before().any(|other| other.salt == field.opening.salt) {
                return Err(DisclosureError::SaltTwice);
            }
        }
        let places: Vec<usize> = fields.iter().map(|field| usize::from(field.place)).collect();
        let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || places.last().is_none_or(|last| *last >= leaves) {
            return Err(DisclosureError::Places(sealed.leaves));
        }
        let needed = tree::proof_length(&places, leaves);
        if proof.len() != needed {
            return Err(DisclosureError::ProofLength { needed, found: proof.len() });
        }
        let hashes: Vec<Hash> =
            fields.iter().map(|field| field_hash(&sealed.nonce, &field.opening)).collect();
        if !tree::verify(&sealed.root, &places, &hashes, leaves, &proof) {
            return Err(DisclosureError::Root);
        }
        Ok(Self { statement, fields, proof })
    }

    /// The document.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let field = |field: &Disclosed| {
            let mut out = field.opening.write();
            out.insert("place", Value::Number(Number::from_i64(field.place.into()).expect("small")));
            Value::Object(out)
        };
        let leaf = String::from_utf8(self.statement.to_bytes()).expect("a note is UTF-8");
        let mut out = Object::new();
        out.insert("fields", Value::List(self.fields.iter().map(field).collect()));
        out.insert("proof", Value::List(self.proof.iter().map(|hash| hash.to_string().into()).collect()));
        out.insert("statement", leaf);
        format!("{KIND}\n{}\n", Value::Object(out).to_text()).into_bytes()
    }

    /// The statement, whose leaf hash a receipt must be for.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The fields, by place.
    #[must_use]
    pub fn fields(&self) -> &[Disclosed] {
        &self.fields
    }
}

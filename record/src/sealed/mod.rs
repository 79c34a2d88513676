//! Sealed fields: one root in the leaf, and values that are shown one by one to whom the agency chooses.
//!
//! ```text
//! leaf     SHA-256(0x00 || "daybook/sealed/v1\n" nonce "\n" name "\n" type "\n" salt "\n" value "\n")
//! padding  the same with name, type and value empty
//! node     SHA-256(0x01 || left || right)
//! ```
//!
//! Nonce and salt in hex, the value as canonical JSON. The leaves are padded to the number that the register's
//! definition gives, sorted by their hashes, and put under a tree of that many leaves: neither number nor place says
//! which fields there are. Salts come from the caller, one for each leaf, padding included.
//!
//! [`seal`] makes the tree; [`SealedValues`] is what the agency keeps, secret, to make a [`Disclosure`] later.

pub mod disclosure;
mod tree;

pub use self::disclosure::{Disclosed, Disclosure, DisclosureError};
use self::tree::Tree;
use crate::json::{Object, Value};
use crate::opening::{Opening, Salt};
use crate::statement::Sealed;
use crate::statement::StatementError;
use crate::statement::fields::{FieldError, Fields, Problem, decode_nonce, encode_hex, list, nonce, sorted};
use crate::statement::record::{SEALED_LEAVES_MAX, SEALED_LEAVES_MIN};
use tlog::hash::{Hash, leaf_hash};

const VALUES_KIND: &str = "daybook/sealed-values/v1";
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

/// Why fields cannot be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a power of two in range, or too few for the fields.
    #[error(
        "{fields} sealed fields do not fit a tree of {leaves} leaves, a power of two from {SEALED_LEAVES_MIN} to {SEALED_LEAVES_MAX}"
    )]
    Leaves {
        /// Leaves asked for.
        leaves: usize,
        /// Fields to seal.
        fields: usize,
    },
    /// A salt stands in two places.
    #[error("a salt is used twice; draw each from the system's random source")]
    SaltTwice,
    /// A field stands in two places, or they are not sorted.
    #[error("the field {0:?} is given twice, or the fields are not sorted by name")]
    FieldTwice(String),
    /// A value is not of its type.
    #[error("the value of {0:?} is not of its declared type")]
    Type(String),
}

/// Everything that opens a sealed tree. Secret: kept encrypted, and destroyed to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValues {
    nonce: [u8; NONCE_BYTES],
    openings: Vec<Opening>,
    padding: Vec<Salt>,
}

/// The leaf's hash of a field.
fn field_hash(nonce: &[u8; NONCE_BYTES], opening: &Opening) -> Hash {
    let value = opening.value.to_text();
    commitment(nonce, opening.name.as_str(), opening.kind.as_str(), &opening.salt, &value)
}

fn commitment(nonce: &[u8; NONCE_BYTES], name: &str, kind: &str, salt: &Salt, value: &str) -> Hash {
    let (nonce, salt) = (encode_hex(nonce), salt.to_hex());
    leaf_hash(format!("daybook/sealed/v1\n{nonce}\n{name}\n{kind}\n{salt}\n{value}\n").as_bytes())
}

/// Seals fields, sorted by name, under a tree of as many leaves as there are `openings` and `padding` together.
///
/// The nonce is drawn for this version of the record, and each salt for its leaf.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    nonce: [u8; NONCE_BYTES],
    openings: Vec<Opening>,
    padding: Vec<Salt>,
) -> Result<SealedValues, SealError> {
    let leaves = openings.len() + padding.len();
    let range = usize::from(SEALED_LEAVES_MIN)..=usize::from(SEALED_LEAVES_MAX);
    if !leaves.is_power_of_two() || !range.contains(&leaves) {
        return Err(SealError::Leaves { leaves, fields: openings.len() });
    }
    if let Some(pair) = openings.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(SealError::FieldTwice(pair[1].name.to_string()));
    }
    if let Some(other) = openings.iter().find(|opening| !opening.kind.admits(&opening.value)) {
        return Err(SealError::Type(other.name.to_string()));
    }
    let mut salts: Vec<Salt> = openings.iter().map(|opening| opening.salt).chain(padding.clone()).collect();
    salts.sort_unstable();
    if salts.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(SealError::SaltTwice);
    }
    Ok(SealedValues { nonce, openings, padding })
}

impl SealedValues {
    /// What the record's statement carries.
    #[must_use]
    pub fn commitment(&self) -> Sealed {
        let leaves = u16::try_from(self.openings.len() + self.padding.len()).expect("checked when sealed");
        Sealed { leaves, nonce: self.nonce, root: self.tree().root() }
    }

    /// The fields.
    #[must_use]
    pub fn openings(&self) -> &[Opening] {
        &self.openings
    }

    fn tree(&self) -> Tree {
        let fields = self.openings.iter().map(|opening| field_hash(&self.nonce, opening));
        let padding = self.padding.iter().map(|salt| commitment(&self.nonce, "", "", salt, ""));
        let mut leaves: Vec<Hash> = fields.chain(padding).collect();
        leaves.sort_unstable();
        Tree::new(&leaves)
    }

    /// The text that is kept, secret: its kind, and a line of canonical JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = Object::new();
        out.insert(
            "fields",
            Value::List(self.openings.iter().map(|opening| opening.write().into()).collect()),
        );
        out.insert("nonce", encode_hex(&self.nonce));
        out.insert("padding", Value::List(self.padding.iter().map(|salt| salt.to_hex().into()).collect()));
        format!("{VALUES_KIND}\n{}\n", Value::Object(out).to_text())
    }

    /// The inverse of [`SealedValues::to_text`].
    ///
    /// # Errors
    /// [`StatementError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let mut fields = Fields::of_text(VALUES_KIND, text)?;
        let leaves = usize::from(SEALED_LEAVES_MAX);
        let opening = |value| {
            let mut inner = Fields::new(value)?;
            let opening = Opening::read(&mut inner)?;
            inner.finish().map(|()| opening)
        };
        let openings =
            |value| sorted(list(0, leaves, opening)(value)?, |opening: &Opening| opening.name.clone());
        let openings = fields.required("fields", openings)?;
        let nonce = fields.required("nonce", nonce)?;
        let padding = fields.required("padding", list(0, leaves, Salt::read))?;
        fields.finish()?;
        let conflict = |_| FieldError::at("padding", Problem::Conflict("makes no tree with these fields"));
        Ok(seal(nonce, openings, padding).map_err(conflict)?)
    }
}

/// The nonce from 32 lowercase hex digits.
#[must_use]
pub fn parse_nonce(hex: &str) -> Option<[u8; NONCE_BYTES]> {
    decode_nonce(hex)
}

#[cfg(test)]
mod tests;

//! The hashes of RFC 6962, section 2.1: SHA-256 with one byte of domain separation.
//!
//! A leaf is `SHA-256(0x00 || entry)`, an inner node `SHA-256(0x01 || left || right)`, the empty tree
//! `SHA-256("")`. In text a hash is base64 where a C2SP format says so, else lowercase hex.
//!
//! The second SHA-256 implementation, for cross-checks, is [`crate::crypto::sha256_independent`].

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::b64;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash.
///
/// ```
/// use tlog::hash::{Hash, leaf_hash};
/// let leaf = leaf_hash(b"");
/// assert_eq!(leaf.to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
/// assert_eq!(Hash::from_base64(&leaf.to_base64()), Ok(leaf));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

/// The text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not canonical base64 of 32 bytes.
    #[error("not a hash: expected 44 characters of canonical base64")]
    Base64,
    /// Not 64 lowercase hex digits.
    #[error("not a hash: expected 64 lowercase hex digits")]
    Hex,
}

impl Hash {
    /// The root of the empty tree, SHA-256 of the empty string.
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Canonical base64, 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        b64::encode(&self.0)
    }

    /// The inverse of [`Hash::to_base64`].
    ///
    /// # Errors
    /// [`HashError::Base64`] for any other text.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        let bytes = b64::decode(text).ok_or(HashError::Base64)?;
        bytes.try_into().map(Self).map_err(|_| HashError::Base64)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != HASH_BYTES || !rest.is_empty() {
            return Err(HashError::Hex);
        }
        let mut bytes = [0; HASH_BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or(HashError::Hex)? << 4 | digit(*low).ok_or(HashError::Hex)?;
        }
        Ok(Self(bytes))
    }
}

/// The hash of a leaf: `SHA-256(0x00 || entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 1 + 2 * HASH_BYTES];
    input[1..=HASH_BYTES].copy_from_slice(&left.0);
    input[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash(Sha256::digest(input).into())
}

/// SHA-256 without a prefix.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing_and_not_of_an_empty_leaf() {
        assert_eq!(sha256(b""), Hash::EMPTY_ROOT);
        assert_ne!(leaf_hash(b""), Hash::EMPTY_ROOT);
    }

    #[test]
    fn leaf_and_node_are_separated_by_their_first_byte() {
        let (left, right) = (leaf_hash(b"L123456"), leaf_hash(b"N123456"));
        let mut joined = vec![1];
        joined.extend(left.as_bytes());
        joined.extend(right.as_bytes());
        assert_eq!(node_hash(&left, &right), sha256(&joined));
        assert_ne!(leaf_hash(&joined[1..]), node_hash(&left, &right));
    }

    #[test]
    fn hex_and_base64_are_strict() {
        let hash = leaf_hash(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_string().to_uppercase().parse::<Hash>(), Err(HashError::Hex));
        assert_eq!(hash.to_string()[1..].parse::<Hash>(), Err(HashError::Hex));
        assert_eq!(Hash::from_base64("AA=="), Err(HashError::Base64));
        let text = hash.to_base64();
        assert_eq!(Hash::from_base64(&text[..43]), Err(HashError::Base64));
    }
}

//! The small values that everything passes around: sizes, indexes, times, names, heads.
//!
//! Each is a newtype that cannot hold anything its specification forbids. Numbers parse from ASCII decimal
//! without sign or leading zeroes, the only form the C2SP texts allow.
//!
//! A [`TreeHead`] travels as one value, so that a size never meets another tree's root.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;

/// The largest tree size, 2^63 - 1: what every specification and every peer can hold.
pub const SIZE_MAX: u64 = i64::MAX as u64;
/// Longest origin and key name in bytes: the length prefix of an ML-DSA cosignature has one byte.
pub const NAME_BYTES_MAX: usize = 255;

/// A value that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not ASCII decimal without sign and leading zeroes, or beyond 2^63 - 1.
    #[error("expected a decimal number from 0 to 2^63-1 without sign or leading zeroes")]
    Number,
    /// Not an origin line.
    #[error("an origin is one line of 1 to 255 bytes without control characters")]
    Origin,
    /// Not a key name.
    #[error("a key name has 1 to 255 bytes, and no spaces, plus signs or control characters")]
    KeyName,
}

fn parse_decimal(text: &str) -> Result<u64, IdError> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    let value = text.parse().map_err(|_| IdError::Number)?;
    if canonical && value <= SIZE_MAX { Ok(value) } else { Err(IdError::Number) }
}

/// The number of leaves of a tree, 0 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeSize(u64);

/// The place of a leaf, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(u64);

impl TreeSize {
    /// The empty tree.
    pub const ZERO: Self = Self(0);

    /// A size.
    ///
    /// # Errors
    /// [`IdError::Number`] beyond 2^63 - 1.
    pub const fn new(size: u64) -> Result<Self, IdError> {
        if size <= SIZE_MAX { Ok(Self(size)) } else { Err(IdError::Number) }
    }

    /// The number of leaves.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl LeafIndex {
    /// An index.
    ///
    /// # Errors
    /// [`IdError::Number`] beyond 2^63 - 2: a tree with that leaf would be too large.
    pub const fn new(index: u64) -> Result<Self, IdError> {
        if index < SIZE_MAX { Ok(Self(index)) } else { Err(IdError::Number) }
    }

    /// The index.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TreeSize {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(parse_decimal(text)?)
    }
}

impl FromStr for LeafIndex {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(parse_decimal(text)?)
    }
}

/// Milliseconds since 1970-01-01 00:00:00 UTC, the time of RFC 6962.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// A time.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In whole seconds, as cosignatures count.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// The name of a log, first line of its checkpoints (tlog-checkpoint, "Note text").
///
/// Any line that may stand in a note; ours are at most 255 bytes so that ML-DSA cosignatures can carry them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

/// The name of a key (signed-note, "Format"): no Unicode spaces, no plus sign, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl Origin {
    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.bytes().any(|byte| byte < 0x20);
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::Origin) }
    }
}

impl FromStr for KeyName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |c: char| c >= '\u{20}' && c != '+' && !c.is_whitespace();
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError::KeyName) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tree, by size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves.
    pub size: TreeSize,
    /// The Merkle tree hash over them.
    pub root: Hash,
}

impl TreeHead {
    /// The tree without leaves.
    pub const EMPTY: Self = Self { size: TreeSize::ZERO, root: Hash::EMPTY_ROOT };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_one_form() {
        assert_eq!("0".parse::<TreeSize>().unwrap().get(), 0);
        assert_eq!("9223372036854775807".parse::<TreeSize>().unwrap().get(), SIZE_MAX);
        for refused in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "9223372036854775808", "0x1", "१"] {
            assert_eq!(refused.parse::<TreeSize>(), Err(IdError::Number), "{refused:?}");
        }
        assert!("9223372036854775807".parse::<LeafIndex>().is_err());
    }

    #[test]
    fn names_refuse_what_would_break_a_note() {
        for refused in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "a\tb"] {
            assert!(refused.parse::<KeyName>().is_err(), "{refused:?}");
        }
        assert!("a b+c".parse::<Origin>().is_ok());
        for refused in ["", "a\nb", "a\tb", &"x".repeat(256)] {
            assert!(refused.parse::<Origin>().is_err(), "{refused:?}");
        }
    }
}

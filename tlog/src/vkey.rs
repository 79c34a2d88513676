//! Verifier keys (C2SP signed-note, "Verifier keys").
//!
//! ```text
//! <name>+<key ID, 8 hex digits>+base64(type byte || public key)
//! example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//! ```
//!
//! The public key is 32 bytes for Ed25519 (0x01, 0x04), 1312 for ML-DSA-44 (0x06), and the DER
//! `SubjectPublicKeyInfo` for P-256 (0x02, 0x05). The key ID is the start of
//! `SHA-256(name || 0x0A || type || public key)`, except that 0x02 hashes the DER alone, and 0x05 puts the
//! RFC 6962 log ID, SHA-256 of the DER, in the place of the key.

use std::fmt;
use std::str::FromStr;

use crate::b64;
use crate::crypto::{self, ML_DSA_44_KEY_BYTES};
use crate::hash::sha256;
use crate::ids::KeyName;

/// What a key signs, by the type byte of the signed-note specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Ed25519 over the note text.
    Ed25519 = 0x01,
    /// ECDSA over P-256 over the note text.
    EcdsaP256 = 0x02,
    /// Timestamped Ed25519 cosignature.
    CosignatureEd25519 = 0x04,
    /// RFC 6962 `TreeHeadSignature` by P-256.
    TreeHeadP256 = 0x05,
    /// Timestamped ML-DSA-44 cosignature.
    CosignatureMlDsa44 = 0x06,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::CosignatureEd25519,
        Self::TreeHeadP256,
        Self::CosignatureMlDsa44,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether it makes cosignatures, with a timestamp.
    #[must_use]
    pub fn is_cosignature(self) -> bool {
        matches!(self, Self::CosignatureEd25519 | Self::CosignatureMlDsa44)
    }
}

/// Why text is not a usable verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not three parts, or a part is malformed.
    #[error("not a verifier key: expected <name>+<8 hex digits>+<base64>")]
    Format,
    /// A type this library does not know.
    #[error("verifier key {0:?} has signature type {1:#04x}, which is not supported")]
    Kind(String, u8),
    /// The public key is not a good one of its type.
    #[error("verifier key {0:?} holds no acceptable public key of its type")]
    Material(String),
    /// The key ID does not belong to the name and the key.
    #[error("verifier key {0:?} has key ID {1}, but its name and key give {2}")]
    Id(String, String, String),
}

/// A public key, its name, and what it signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    id: u32,
    kind: KeyKind,
    material: Vec<u8>,
}

impl VerifierKey {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`VkeyError::Material`] if the bytes are not a good public key of that kind.
    pub fn new(name: KeyName, kind: KeyKind, material: Vec<u8>) -> Result<Self, VkeyError> {
        let good = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureEd25519 => {
                material.as_slice().try_into().is_ok_and(crypto::is_ed25519_key)
            }
            KeyKind::EcdsaP256 | KeyKind::TreeHeadP256 => crypto::is_p256_spki(&material),
            KeyKind::CosignatureMlDsa44 => material.len() == ML_DSA_44_KEY_BYTES,
        };
        if !good {
            return Err(VkeyError::Material(name.to_string()));
        }
        let id = key_id(&name, kind, &material);
        Ok(Self { name, id, kind, material })
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's ID, an identifier and no hash to rely on.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key, encoded as its kind says.
    #[must_use]
    pub fn material(&self) -> &[u8] {
        &self.material
    }

    /// Whether both wrap the same public key, whatever their names and kinds.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.material == other.material
    }

    /// The Ed25519 public key, for the kinds that have one.
    pub(crate) fn ed25519(&self) -> Option<&[u8; crypto::ED25519_KEY_BYTES]> {
        self.material.as_slice().try_into().ok()
    }
}

fn key_id(name: &KeyName, kind: KeyKind, material: &[u8]) -> u32 {
    let mut input = name.as_str().as_bytes().to_vec();
    input.extend([b'\n', kind as u8]);
    match kind {
        KeyKind::EcdsaP256 => input = material.to_vec(),
        KeyKind::TreeHeadP256 => input.extend(sha256(material).as_bytes()),
        _ => input.extend(material),
    }
    let hash = sha256(&input);
    let first = hash.as_bytes().first_chunk::<4>().expect("a hash has 32 bytes");
    u32::from_be_bytes(*first)
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[self.kind as u8], self.material.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, b64::encode(&typed))
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Format);
        };
        let name: KeyName = name.parse().map_err(|_| VkeyError::Format)?;
        let typed = b64::decode(key).ok_or(VkeyError::Format)?;
        let (byte, material) = typed.split_first().ok_or(VkeyError::Format)?;
        let kind = KeyKind::from_byte(*byte).ok_or_else(|| VkeyError::Kind(name.to_string(), *byte))?;
        let parsed = Self::new(name, kind, material.to_vec())?;
        let expected = format!("{:08x}", parsed.id);
        if id.len() != expected.len() || !id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(VkeyError::Format);
        }
        if id == expected {
            Ok(parsed)
        } else {
            Err(VkeyError::Id(parsed.name.to_string(), id.to_owned(), expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn the_example_of_the_specification_round_trips() {
        let key: VerifierKey = EXAMPLE.parse().unwrap();
        assert_eq!(
            (key.kind(), key.id(), key.name().as_str()),
            (KeyKind::Ed25519, 0x530d_903a, "example.com/foo")
        );
        assert_eq!(key.to_string(), EXAMPLE);
    }

    #[test]
    fn a_wrong_id_a_wrong_type_or_another_spelling_is_refused() {
        for (from, to) in [
            ("530d903a", "530d903b"),
            ("530d903a", "530D903A"),
            ("530d903a", "30d903a"),
            ("example.com", "example .com"),
            ("U2k", "U2l"),
            ("+Aek", "+Cek"),
            ("+Aek", "+A+k"),
            ("example.com/foo+", "+"),
        ] {
            let text = EXAMPLE.replace(from, to);
            assert!(text.parse::<VerifierKey>().is_err(), "{text}");
        }
        assert!(EXAMPLE[..60].parse::<VerifierKey>().is_err());
        assert!(format!("{EXAMPLE}\n").parse::<VerifierKey>().is_err());
    }

    #[test]
    fn one_key_under_two_names_or_kinds_is_recognised() {
        let key: VerifierKey = EXAMPLE.parse().unwrap();
        let name = "example.com/other".parse().unwrap();
        let other = VerifierKey::new(name, KeyKind::CosignatureEd25519, key.material().to_vec()).unwrap();
        assert!(key.same_key(&other));
        assert_ne!(key.id(), other.id());
    }
}

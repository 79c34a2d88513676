//! Signing keys: deterministic, named, and wiped from memory when dropped.
//!
//! Each signer makes one kind of signature line. What a log signs with is deterministic: Ed25519 by construction,
//! ECDSA by RFC 6979, so that the same input gives the same bytes. ML-DSA-44 cosignatures may differ each time.
//!
//! Keys are 32-byte seeds or PKCS#8 documents. Making a seed needs a random source and is the caller's.
//! No secret ever reaches `Debug` or an error message.

use std::fmt;

use ed25519_dalek::Signer as _;
use ml_dsa::MlDsa44;
use p256::pkcs8::EncodePublicKey as _;
use pkcs8::{DecodePrivateKey, EncodePrivateKey};
use zeroize::Zeroizing;

use crate::checkpoint::{Checkpoint, join_tree_head_signature, tree_head_message};
use crate::cosignature::{Subtree, ed25519_message, ml_dsa_message, subtree_of};
use crate::crypto::MlDsa44Secret;
use crate::ids::{KeyName, TreeHead, UnixMillis};
use crate::note::SignatureLine;
use crate::vkey::{KeyKind, VerifierKey};

/// Bytes of a seed, for every algorithm.
pub const SEED_BYTES: usize = 32;

/// Why there is no key. Says nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Not a PKCS#8 document of a key of the expected algorithm.
    #[error("not a PKCS#8 private key of the expected algorithm")]
    Pkcs8,
    /// The seed is no private key of the curve; one in 2^32 is not.
    #[error("these 32 bytes are no private key of this curve; draw others")]
    Seed,
}

/// A secret and the verifier key that goes with it.
struct Named<S> {
    secret: S,
    key: VerifierKey,
}

impl<S> fmt::Debug for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {:08x})", self.key.name(), self.key.id())
    }
}

impl<S> Named<S> {
    fn new(secret: S, name: KeyName, kind: KeyKind, material: Vec<u8>) -> Self {
        let key = VerifierKey::new(name, kind, material).expect("a key pair's public half is a good key");
        Self { secret, key }
    }

    fn line(&self, signature: Vec<u8>) -> SignatureLine {
        SignatureLine::new(self.key.name().clone(), self.key.id(), signature)
    }
}

impl Named<ed25519_dalek::SigningKey> {
    fn ed25519(secret: ed25519_dalek::SigningKey, name: KeyName, kind: KeyKind) -> Self {
        let material = secret.verifying_key().to_bytes().to_vec();
        Self::new(secret, name, kind, material)
    }
}

impl Named<p256::ecdsa::SigningKey> {
    fn p256(secret: p256::ecdsa::SigningKey, name: KeyName, kind: KeyKind) -> Self {
        let public = p256::PublicKey::from(secret.verifying_key());
        let spki = public.to_public_key_der().expect("a public key has a DER form");
        Self::new(secret, name, kind, spki.as_bytes().to_vec())
    }

    /// RFC 6979 with SHA-256; of the two values of `s` the low one, in minimal DER.
    fn der(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::Signature = self.secret.sign(message);
        signature.normalize_s().to_der().as_bytes().to_vec()
    }
}

fn ed25519_from_pkcs8(der: &[u8]) -> Result<ed25519_dalek::SigningKey, SignerError> {
    ed25519_dalek::SigningKey::from_pkcs8_der(der).map_err(|_| SignerError::Pkcs8)
}

fn p256_from_pkcs8(der: &[u8]) -> Result<p256::ecdsa::SigningKey, SignerError> {
    p256::ecdsa::SigningKey::from_pkcs8_der(der).map_err(|_| SignerError::Pkcs8)
}

fn p256_from_seed(seed: &[u8; SEED_BYTES]) -> Result<p256::ecdsa::SigningKey, SignerError> {
    p256::ecdsa::SigningKey::from_slice(seed).map_err(|_| SignerError::Seed)
}

fn to_pkcs8(secret: &impl EncodePrivateKey) -> Zeroizing<Vec<u8>> {
    let document = secret.to_pkcs8_der().expect("a private key has a PKCS#8 form");
    Zeroizing::new(document.as_bytes().to_vec())
}

/// Signs notes with Ed25519 (0x01).
#[derive(Debug)]
pub struct Ed25519Signer(Named<ed25519_dalek::SigningKey>);

impl Ed25519Signer {
    /// From the 32 bytes of RFC 8032's private key.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; SEED_BYTES]) -> Self {
        Self(Named::ed25519(ed25519_dalek::SigningKey::from_bytes(seed), name, KeyKind::Ed25519))
    }

    /// From a PKCS#8 document (RFC 8410).
    ///
    /// # Errors
    /// [`SignerError::Pkcs8`].
    pub fn from_pkcs8_der(name: KeyName, der: &[u8]) -> Result<Self, SignerError> {
        Ok(Self(Named::ed25519(ed25519_from_pkcs8(der)?, name, KeyKind::Ed25519)))
    }

    /// The PKCS#8 document.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        to_pkcs8(&self.0.secret)
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.key.clone()
    }

    /// Signs a note text, its final newline included.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignatureLine {
        self.0.line(self.0.secret.sign(text.as_bytes()).to_bytes().to_vec())
    }
}

/// Signs notes with ECDSA over P-256 (0x02).
#[derive(Debug)]
pub struct EcdsaP256Signer(Named<p256::ecdsa::SigningKey>);

impl EcdsaP256Signer {
    /// From the 32 bytes of the private scalar.
    ///
    /// # Errors
    /// [`SignerError::Seed`] if they are none.
    pub fn from_seed(name: KeyName, seed: &[u8; SEED_BYTES]) -> Result<Self, SignerError> {
        Ok(Self(Named::p256(p256_from_seed(seed)?, name, KeyKind::EcdsaP256)))
    }

    /// From a PKCS#8 document (RFC 5915 inside RFC 5958).
    ///
    /// # Errors
    /// [`SignerError::Pkcs8`].
    pub fn from_pkcs8_der(name: KeyName, der: &[u8]) -> Result<Self, SignerError> {
        Ok(Self(Named::p256(p256_from_pkcs8(der)?, name, KeyKind::EcdsaP256)))
    }

    /// The PKCS#8 document.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        to_pkcs8(&self.0.secret)
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.key.clone()
    }

    /// Signs a note text.
    #[must_use]
    pub fn sign(&self, text: &str) -> SignatureLine {
        self.0.line(self.0.der(text.as_bytes()))
    }
}

/// Signs tree heads as RFC 6962 does, into note signatures (0x05). Its name must be the log's origin.
#[derive(Debug)]
pub struct TreeHeadSigner(Named<p256::ecdsa::SigningKey>);

impl TreeHeadSigner {
    /// From the 32 bytes of the private scalar.
    ///
    /// # Errors
    /// [`SignerError::Seed`] if they are none.
    pub fn from_seed(name: KeyName, seed: &[u8; SEED_BYTES]) -> Result<Self, SignerError> {
        Ok(Self(Named::p256(p256_from_seed(seed)?, name, KeyKind::TreeHeadP256)))
    }

    /// From a PKCS#8 document.
    ///
    /// # Errors
    /// [`SignerError::Pkcs8`].
    pub fn from_pkcs8_der(name: KeyName, der: &[u8]) -> Result<Self, SignerError> {
        Ok(Self(Named::p256(p256_from_pkcs8(der)?, name, KeyKind::TreeHeadP256)))
    }

    /// The PKCS#8 document.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        to_pkcs8(&self.0.secret)
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.key.clone()
    }

    /// Signs a tree head of the log that bears this key's name.
    #[must_use]
    pub fn sign(&self, head: TreeHead, time: UnixMillis) -> SignatureLine {
        let der = self.0.der(&tree_head_message(&head, time));
        self.0.line(join_tree_head_signature(time, &der))
    }
}

/// Makes Ed25519 cosignatures (0x04).
#[derive(Debug)]
pub struct CosignerEd25519(Named<ed25519_dalek::SigningKey>);

impl CosignerEd25519 {
    /// From the 32 bytes of RFC 8032's private key.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; SEED_BYTES]) -> Self {
        Self(Named::ed25519(ed25519_dalek::SigningKey::from_bytes(seed), name, KeyKind::CosignatureEd25519))
    }

    /// From a PKCS#8 document (RFC 8410).
    ///
    /// # Errors
    /// [`SignerError::Pkcs8`].
    pub fn from_pkcs8_der(name: KeyName, der: &[u8]) -> Result<Self, SignerError> {
        Ok(Self(Named::ed25519(ed25519_from_pkcs8(der)?, name, KeyKind::CosignatureEd25519)))
    }

    /// The PKCS#8 document.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        to_pkcs8(&self.0.secret)
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.key.clone()
    }

    /// Cosigns a checkpoint text, extension lines included, at a time in seconds.
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64) -> SignatureLine {
        let signature = self.0.secret.sign(&ed25519_message(text, seconds)).to_bytes();
        self.0.line([&seconds.to_be_bytes()[..], &signature].concat())
    }
}

/// Makes ML-DSA-44 cosignatures (0x06) on checkpoints and subtrees.
#[derive(Debug)]
pub struct CosignerMlDsa44(Named<MlDsa44Secret>);

impl CosignerMlDsa44 {
    /// From the 32-byte seed of FIPS 204, algorithm 6.
    #[must_use]
    pub fn from_seed(name: KeyName, seed: &[u8; SEED_BYTES]) -> Self {
        let secret = MlDsa44Secret::from_seed(seed);
        let material = secret.public_key();
        Self(Named::new(secret, name, KeyKind::CosignatureMlDsa44, material))
    }

    /// From a PKCS#8 document that holds the seed (RFC 9881, section 6).
    ///
    /// # Errors
    /// [`SignerError::Pkcs8`].
    pub fn from_pkcs8_der(name: KeyName, der: &[u8]) -> Result<Self, SignerError> {
        let secret = ml_dsa::SigningKey::<MlDsa44>::from_pkcs8_der(der).map_err(|_| SignerError::Pkcs8)?;
        let seed = Zeroizing::new((*secret.as_seed()).into());
        Ok(Self::from_seed(name, &seed))
    }

    /// The PKCS#8 document, with the seed alone.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        to_pkcs8(&ml_dsa::SigningKey::<MlDsa44>::from_seed(&(*self.0.secret.seed()).into()))
    }

    /// The key that verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.key.clone()
    }

    /// Cosigns a checkpoint at a time in seconds. Extension lines are not covered.
    #[must_use]
    pub fn cosign(&self, checkpoint: &Checkpoint, seconds: u64) -> SignatureLine {
        self.cosign_at(&subtree_of(checkpoint), seconds)
    }

    /// Cosigns a subtree, without a time.
    #[must_use]
    pub fn cosign_subtree(&self, subtree: &Subtree) -> SignatureLine {
        self.cosign_at(subtree, 0)
    }

    fn cosign_at(&self, subtree: &Subtree, seconds: u64) -> SignatureLine {
        let signature = self.sign_message(&ml_dsa_message(self.0.key.name(), seconds, subtree));
        self.0.line([&seconds.to_be_bytes()[..], &signature].concat())
    }

    pub(crate) fn sign_message(&self, message: &[u8]) -> Vec<u8> {
        self.0.secret.sign(message)
    }
}

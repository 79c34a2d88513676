//! The one module that knows cryptographic back ends.
//!
//! Tree heads are signed deterministically by the RustCrypto crates. Verification in volume (P-256, ML-DSA-44) and
//! ML-DSA-44 signing are by aws-lc-rs where it builds and by RustCrypto on wasm; the two are tested against each
//! other. AWS-LC draws the randomness of its ML-DSA signatures itself, which is the one exception to "no
//! randomness" in this crate.
//! Ed25519 is accepted by `verify_strict` on every target: small-order keys and malleable signatures are refused,
//! so that all verifiers agree.
//!
//! SHA-256 exists twice on purpose: [`crate::hash`] builds trees with one implementation,
//! [`sha256_independent`] is the other, and checks every batch before its head is signed.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use zeroize::Zeroizing;

/// Bytes of an Ed25519 public key.
pub const ED25519_KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
pub const ED25519_SIGNATURE_BYTES: usize = 64;
/// Bytes of an ML-DSA-44 public key (FIPS 204, table 2).
pub const ML_DSA_44_KEY_BYTES: usize = 1312;
/// Bytes of the seed of an ML-DSA-44 private key.
pub const ML_DSA_44_SEED_BYTES: usize = 32;
/// Bytes of an ML-DSA-44 signature (FIPS 204, table 2).
pub const ML_DSA_44_SIGNATURE_BYTES: usize = 2420;

/// Verifies Ed25519, strictly: canonical key and signature, no small-order points.
#[must_use]
pub fn verify_ed25519(key: &[u8; ED25519_KEY_BYTES], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (Ed25519Key::from_bytes(key), ed25519_dalek::Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

/// Whether the bytes are a canonical Ed25519 public key that is not of small order.
#[must_use]
pub fn is_ed25519_key(key: &[u8; ED25519_KEY_BYTES]) -> bool {
    // The point is encoded again because decoding accepts a coordinate that is not reduced.
    Ed25519Key::from_bytes(key)
        .is_ok_and(|parsed| !parsed.is_weak() && parsed.to_edwards().compress().as_bytes() == key)
}

/// Whether the bytes are the canonical `SubjectPublicKeyInfo` DER of a P-256 key with an uncompressed point.
#[must_use]
pub fn is_p256_spki(spki: &[u8]) -> bool {
    p256::PublicKey::from_public_key_der(spki)
        .and_then(|key| key.to_public_key_der())
        .is_ok_and(|again| again.as_bytes() == spki)
}

/// Verifies ECDSA over P-256 and SHA-256, the signature in ASN.1 DER.
#[must_use]
pub fn verify_p256(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    backend::verify_p256(spki, message, signature)
}

/// Whether a P-256 signature is in its one canonical form: minimal DER and the low `s` of the two.
#[must_use]
pub fn is_canonical_p256_signature(signature: &[u8]) -> bool {
    let Ok(parsed) = p256::ecdsa::Signature::from_der(signature) else { return false };
    parsed.normalize_s() == parsed && parsed.to_der().as_bytes() == signature
}

/// The one canonical form of a P-256 signature, which holds exactly if the given one does; `None` if it is not DER.
#[must_use]
pub fn canonical_p256_signature(signature: &[u8]) -> Option<Vec<u8>> {
    let parsed = p256::ecdsa::Signature::from_der(signature).ok()?;
    Some(parsed.normalize_s().to_der().as_bytes().to_vec())
}

/// Verifies ML-DSA-44 with an empty context (FIPS 204, algorithm 3).
#[must_use]
pub fn verify_ml_dsa_44(key: &[u8; ML_DSA_44_KEY_BYTES], message: &[u8], signature: &[u8]) -> bool {
    backend::verify_ml_dsa_44(key, message, signature)
}

/// An ML-DSA-44 private key, ready to sign. It keeps its seed, which is the form that it is stored in.
pub(crate) struct MlDsa44Secret {
    seed: Zeroizing<[u8; ML_DSA_44_SEED_BYTES]>,
    key: backend::MlDsa44Key,
}

impl MlDsa44Secret {
    /// Expands a seed (FIPS 204, algorithm 6).
    pub(crate) fn from_seed(seed: &[u8; ML_DSA_44_SEED_BYTES]) -> Self {
        Self { seed: Zeroizing::new(*seed), key: backend::MlDsa44Key::from_seed(seed) }
    }

    pub(crate) fn seed(&self) -> &[u8; ML_DSA_44_SEED_BYTES] {
        &self.seed
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.key.public_key()
    }

    /// Signs with an empty context (FIPS 204, algorithm 2); with fresh randomness where the back end has some.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }
}

/// SHA-256 over the concatenation, by another implementation than [`crate::hash`]'s where the target has one.
#[must_use]
pub fn sha256_independent(parts: &[&[u8]]) -> [u8; 32] {
    backend::sha256(parts)
}

/// The RustCrypto back end: the only one on wasm, and the other opinion in tests elsewhere.
#[cfg(any(test, target_family = "wasm"))]
pub(crate) mod portable {
    use ml_dsa::signature::Keypair as _;
    use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa44, SigningKey, VerifyingKey};
    use p256::ecdsa::signature::Verifier;
    use p256::pkcs8::DecodePublicKey;

    pub(crate) fn verify_p256(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let key = p256::ecdsa::VerifyingKey::from_public_key_der(spki);
        let signature = p256::ecdsa::Signature::from_der(signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
    }

    pub(crate) fn verify_ml_dsa_44(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = EncodedVerifyingKey::<MlDsa44>::try_from(key) else { return false };
        let Ok(signature) = EncodedSignature::<MlDsa44>::try_from(signature) else { return false };
        let Some(signature) = ml_dsa::Signature::<MlDsa44>::decode(&signature) else { return false };
        VerifyingKey::<MlDsa44>::decode(&key).verify_with_context(message, &[], &signature)
    }

    /// Signs by the deterministic variant.
    pub(crate) struct MlDsa44Key(SigningKey<MlDsa44>);

    impl MlDsa44Key {
        pub(crate) fn from_seed(seed: &[u8; super::ML_DSA_44_SEED_BYTES]) -> Self {
            Self(SigningKey::from_seed(&(*seed).into()))
        }

        pub(crate) fn public_key(&self) -> Vec<u8> {
            self.0.verifying_key().encode().to_vec()
        }

        pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
            let signature = self.0.expanded_key().sign_deterministic(message, &[]);
            signature.expect("an empty context is never too long").encode().to_vec()
        }
    }
}

#[cfg(target_family = "wasm")]
mod backend {
    use sha2::{Digest, Sha256};

    pub(super) use super::portable::{MlDsa44Key, verify_ml_dsa_44, verify_p256};

    pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
    }
}

#[cfg(not(target_family = "wasm"))]
mod backend {
    use aws_lc_rs::digest::{Context, SHA256};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
    };

    pub(super) fn verify_p256(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).verify(message, signature).is_ok()
    }

    pub(super) fn verify_ml_dsa_44(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ML_DSA_44, key).verify(message, signature).is_ok()
    }

    pub(super) struct MlDsa44Key(PqdsaKeyPair);

    impl MlDsa44Key {
        pub(super) fn from_seed(seed: &[u8; super::ML_DSA_44_SEED_BYTES]) -> Self {
            Self(PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed).expect("every 32 bytes are a seed"))
        }

        pub(super) fn public_key(&self) -> Vec<u8> {
            self.0.public_key().as_ref().to_vec()
        }

        pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
            let mut signature = vec![0; super::ML_DSA_44_SIGNATURE_BYTES];
            let length = self.0.sign(message, &mut signature);
            let length = length.expect("a whole key signs, and the buffer has the length of a signature");
            assert_eq!(length, signature.len(), "ML-DSA-44 signatures have one length");
            signature
        }
    }

    pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::sign::{CosignerMlDsa44, EcdsaP256Signer};

    #[test]
    fn both_sha256_implementations_agree() {
        for length in [0, 1, 55, 56, 63, 64, 65, 1000, 65_536] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let (left, right) = bytes.split_at(length / 3);
            assert_eq!(sha256_independent(&[left, right]), *sha256(&bytes).as_bytes());
        }
    }

    #[test]
    fn both_p256_back_ends_agree_on_good_and_flipped_signatures() {
        let signer = EcdsaP256Signer::from_seed("a.example".parse().unwrap(), &[7; 32]).unwrap();
        let (key, line) = (signer.verifier_key(), signer.sign("text\n"));
        for bit in 0..line.signature().len() * 8 {
            let mut bad = line.signature().to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let portable = portable::verify_p256(key.material(), b"text\n", &bad);
            assert_eq!((verify_p256(key.material(), b"text\n", &bad), portable), (false, false), "bit {bit}");
        }
        assert!(verify_p256(key.material(), b"text\n", line.signature()));
        assert!(portable::verify_p256(key.material(), b"text\n", line.signature()));
        assert!(is_canonical_p256_signature(line.signature()));
    }

    #[test]
    fn both_ml_dsa_back_ends_agree_on_good_and_flipped_signatures() {
        let signer = CosignerMlDsa44::from_seed("w.example".parse().unwrap(), &[9; 32]);
        let key: [u8; ML_DSA_44_KEY_BYTES] = signer.verifier_key().material().try_into().unwrap();
        let signature = signer.sign_message(b"message");
        assert!(verify_ml_dsa_44(&key, b"message", &signature));
        assert!(portable::verify_ml_dsa_44(&key, b"message", &signature));
        for bit in (0..signature.len() * 8).step_by(997) {
            let mut bad = signature.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !verify_ml_dsa_44(&key, b"message", &bad)
                    && !portable::verify_ml_dsa_44(&key, b"message", &bad)
            );
        }
    }

    #[test]
    fn both_ml_dsa_back_ends_make_the_same_key_of_a_seed_and_accept_each_others_signatures() {
        for seed in [[0; 32], [7; 32], [0xff; 32]] {
            let (ours, other) = (MlDsa44Secret::from_seed(&seed), portable::MlDsa44Key::from_seed(&seed));
            assert_eq!(ours.public_key(), other.public_key());
            let key: [u8; ML_DSA_44_KEY_BYTES] = ours.public_key().try_into().unwrap();
            for signature in [ours.sign(b"message"), other.sign(b"message")] {
                assert!(verify_ml_dsa_44(&key, b"message", &signature));
                assert!(portable::verify_ml_dsa_44(&key, b"message", &signature));
                assert!(!verify_ml_dsa_44(&key, b"other", &signature));
                assert!(!portable::verify_ml_dsa_44(&key, b"other", &signature));
            }
        }
    }

    #[test]
    fn small_order_and_unreduced_ed25519_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(!is_ed25519_key(&identity));
        assert!(!is_ed25519_key(&[0; 32]));
        // y = p + 1, the identity written with an unreduced coordinate.
        let mut unreduced = [0xff; 32];
        (unreduced[0], unreduced[31]) = (0xee, 0x7f);
        assert!(!is_ed25519_key(&unreduced));
        // y = p + 3 would be a point with y = 3 if it is on the curve at all; either way it is not canonical.
        (0xed..=0xff).for_each(|low| {
            unreduced[0] = low;
            assert!(!is_ed25519_key(&unreduced), "low byte {low:#x}");
        });
    }
}

//! Timestamped cosignatures (C2SP tlog-cosignature): Ed25519 (0x04) and ML-DSA-44 (0x06).
//!
//! Both are `timestamp (u64, big-endian) || signature` in a note's signature line. What is signed differs:
//!
//! ```text
//! Ed25519      "cosignature/v1\n" "time " <decimal seconds> "\n" <the whole note text>
//! ML-DSA-44    "subtree/v1\n\0" u8 length || cosigner name, u64 time, u8 length || origin, u64 start, u64 end, hash
//! ```
//!
//! An ML-DSA cosignature commits to the cosigner's name and covers subtrees; it does not cover extension lines.

use crate::checkpoint::Checkpoint;
use crate::crypto::{self, ED25519_SIGNATURE_BYTES, ML_DSA_44_KEY_BYTES, ML_DSA_44_SIGNATURE_BYTES};
use crate::hash::Hash;
use crate::ids::{KeyName, Origin, SIZE_MAX};
use crate::vkey::{KeyKind, VerifierKey};

/// A subtree of a log, as an ML-DSA cosignature names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// The log.
    pub origin: Origin,
    /// Index of the first leaf.
    pub start: u64,
    /// Index after the last leaf; the tree size for a checkpoint.
    pub end: u64,
    /// Hash of the subtree; the root for a checkpoint.
    pub hash: Hash,
}

/// The message that an Ed25519 cosigner signs.
#[must_use]
pub fn ed25519_message(text: &str, seconds: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{text}").into_bytes()
}

/// The message that an ML-DSA-44 cosigner signs.
#[must_use]
pub fn ml_dsa_message(cosigner: &KeyName, seconds: u64, subtree: &Subtree) -> Vec<u8> {
    let mut message = b"subtree/v1\n\0".to_vec();
    push_opaque(&mut message, cosigner.as_str());
    message.extend(seconds.to_be_bytes());
    push_opaque(&mut message, subtree.origin.as_str());
    message.extend(subtree.start.to_be_bytes());
    message.extend(subtree.end.to_be_bytes());
    message.extend(subtree.hash.as_bytes());
    message
}

fn push_opaque(message: &mut Vec<u8>, text: &str) {
    message.push(u8::try_from(text.len()).expect("names and origins have at most 255 bytes"));
    message.extend(text.as_bytes());
}

/// The subtree that a checkpoint stands for: the whole tree.
#[must_use]
pub fn subtree_of(checkpoint: &Checkpoint) -> Subtree {
    let head = checkpoint.head();
    Subtree { origin: checkpoint.origin().clone(), start: 0, end: head.size.get(), hash: head.root }
}

/// Verifies a cosignature on a checkpoint text; the time in seconds if it holds.
pub(crate) fn verify(text: &str, key: &VerifierKey, signature: &[u8]) -> Option<u64> {
    let checkpoint = Checkpoint::parse(text).ok()?;
    let (seconds, signature) = split(key.kind(), signature)?;
    let holds = match key.kind() {
        KeyKind::CosignatureEd25519 => {
            crypto::verify_ed25519(key.ed25519()?, &ed25519_message(text, seconds), signature)
        }
        _ => verify_ml_dsa(key, seconds, &subtree_of(&checkpoint), signature),
    };
    holds.then_some(seconds)
}

/// Verifies an ML-DSA-44 cosignature on a subtree; the time in seconds, 0 where none is stated.
///
/// Returns `None` if it does not hold, if the key is of another kind, or if a subtree that does not start at 0
/// comes with a time.
#[must_use]
pub fn verify_subtree(key: &VerifierKey, subtree: &Subtree, signature: &[u8]) -> Option<u64> {
    if key.kind() != KeyKind::CosignatureMlDsa44 {
        return None;
    }
    let (seconds, signature) = split(key.kind(), signature)?;
    let holds = (subtree.start == 0 || seconds == 0) && verify_ml_dsa(key, seconds, subtree, signature);
    holds.then_some(seconds)
}

fn verify_ml_dsa(key: &VerifierKey, seconds: u64, subtree: &Subtree, signature: &[u8]) -> bool {
    let Ok(material) = <&[u8; ML_DSA_44_KEY_BYTES]>::try_from(key.material()) else { return false };
    crypto::verify_ml_dsa_44(material, &ml_dsa_message(key.name(), seconds, subtree), signature)
}

fn split(kind: KeyKind, signature: &[u8]) -> Option<(u64, &[u8])> {
    let (time, signature) = signature.split_first_chunk::<8>()?;
    let length = match kind {
        KeyKind::CosignatureEd25519 => ED25519_SIGNATURE_BYTES,
        _ => ML_DSA_44_SIGNATURE_BYTES,
    };
    let seconds = u64::from_be_bytes(*time);
    (signature.len() == length && seconds <= SIZE_MAX).then_some((seconds, signature))
}

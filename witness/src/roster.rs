//! Which keys a log may have.
//!
//! Ed25519 (0x01), ECDSA on P-256 (0x02) and ML-DSA-44 (0x06) sign checkpoints of logs. 0x04 is for witnesses alone,
//! and RFC 6962 tree heads (0x05) do not cover the origin. A log with the witness's own key or name would let the
//! log's operator speak in the witness's name, or the witness in the log's.

use tlog::ids::Origin;
use tlog::vkey::{KeyKind, VerifierKey};

/// Keys of one log.
pub const KEYS_PER_LOG_MAX: usize = 8;

/// Why a log cannot be followed with these keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// A key that signs something else.
    #[error(
        "the key {0} is for cosignatures or tree heads (type {1:#04x}); give the key that signs the log's checkpoints"
    )]
    Kind(String, u8),
    /// The witness's own key.
    #[error("the key {0} is this witness's own")]
    OwnKey(String),
    /// The witness's own name.
    #[error("{0} is this witness's own name, and cannot be a log's")]
    OwnName(String),
    /// None, too many, or one twice.
    #[error("a log has between 1 and {KEYS_PER_LOG_MAX} keys, each once")]
    Count,
}

/// Checks the name and the keys of a log against the witness's own.
///
/// # Errors
/// [`KeyRefusal`].
pub fn check(origin: &Origin, keys: &[VerifierKey], own: &[VerifierKey]) -> Result<(), KeyRefusal> {
    if own.iter().any(|own| own.name().as_str() == origin.as_str()) {
        return Err(KeyRefusal::OwnName(origin.to_string()));
    }
    let twice = keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key));
    if keys.is_empty() || keys.len() > KEYS_PER_LOG_MAX || twice {
        return Err(KeyRefusal::Count);
    }
    for key in keys {
        let name = key.name().to_string();
        if matches!(key.kind(), KeyKind::CosignatureEd25519 | KeyKind::TreeHeadP256) {
            return Err(KeyRefusal::Kind(name, key.kind() as u8));
        }
        if own.iter().any(|own| own.same_key(key)) {
            return Err(KeyRefusal::OwnKey(name));
        }
        if own.iter().any(|own| own.name() == key.name()) {
            return Err(KeyRefusal::OwnName(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::sign::{CosignerEd25519, CosignerMlDsa44, Ed25519Signer};

    #[test]
    fn a_log_has_neither_the_witnesss_key_nor_its_name_nor_a_cosignature_key() {
        let name = |name: &str| name.parse().unwrap();
        let origin: Origin = "l.example".parse().unwrap();
        let own = [CosignerEd25519::from_seed(name("w.example"), &[1; 32]).verifier_key()];
        let log = Ed25519Signer::from_seed(name("l.example"), &[2; 32]).verifier_key();
        let modern = CosignerMlDsa44::from_seed(name("l.example"), &[3; 32]).verifier_key();
        assert_eq!(check(&origin, &[log.clone(), modern], &own), Ok(()));
        let same = Ed25519Signer::from_seed(name("l.example"), &[1; 32]).verifier_key();
        assert!(matches!(check(&origin, &[same], &own), Err(KeyRefusal::OwnKey(_))));
        let named = Ed25519Signer::from_seed(name("w.example"), &[2; 32]).verifier_key();
        assert!(matches!(check(&origin, &[named], &own), Err(KeyRefusal::OwnName(_))));
        let cosigner = CosignerEd25519::from_seed(name("l.example"), &[2; 32]).verifier_key();
        assert!(matches!(check(&origin, &[cosigner], &own), Err(KeyRefusal::Kind(_, 4))));
        assert_eq!(check(&origin, &[log.clone(), log], &own), Err(KeyRefusal::Count));
        assert_eq!(check(&origin, &[], &own), Err(KeyRefusal::Count));
        let origin: Origin = "w.example".parse().unwrap();
        assert!(matches!(check(&origin, &[], &own), Err(KeyRefusal::OwnName(_))));
    }
}

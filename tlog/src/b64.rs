//! Base64 as the specifications mean it: RFC 4648 section 4, padded, and canonical.
//!
//! A decoder that accepts non-zero trailing bits or missing padding lets two different texts stand for the
//! same bytes; this one refuses both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Encodes with padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes canonical base64; `None` for anything that does not encode back to the same text.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    (encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_text_decodes() {
        assert_eq!(decode("AQI=").unwrap(), [1, 2]);
        for refused in ["AQI", "AQJ=", "AQI= ", "AQI=\n", "AQ-_", "=", "AQI=="] {
            assert_eq!(decode(refused), None, "{refused:?}");
        }
        assert_eq!(decode("").unwrap(), b"");
    }
}

//! A self-signed X.509 certificate for an Ed25519 key: the envelope that TLS wants a bare key to come in.
//!
//! Nobody checks it but for the key and the signature, so it names one host, is valid for ever, and has no extension
//! but that name.

use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Context-specific, constructed: `[0]` holds the version, `[3]` the extensions.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_3: u8 = 0xa3;
/// Context-specific `[2]`, a DNS name among the subject's other names.
const DNS_NAME: u8 = 0x82;

/// 1.3.101.112, Ed25519 (RFC 8410).
const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];
/// 2.5.4.3, common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 2.5.29.17, the subject's other names.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// The key cannot make such a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key")]
pub struct NotEd25519;

/// Makes the certificate of a key, in the name of a host.
///
/// # Errors
/// [`NotEd25519`].
pub fn self_signed(key: &dyn SigningKey, host: &str) -> Result<CertificateDer<'static>, NotEd25519> {
    let signer = key.choose_scheme(&[SignatureScheme::ED25519]).ok_or(NotEd25519)?;
    let public = key.public_key().ok_or(NotEd25519)?;
    let algorithm = element(SEQUENCE, &element(OBJECT_ID, &ED25519));
    let common_name = element(
        SEQUENCE,
        &[element(OBJECT_ID, &COMMON_NAME), element(UTF8_STRING, host.as_bytes())].concat(),
    );
    let name = element(SEQUENCE, &element(SET, &common_name));
    let validity = [element(UTC_TIME, b"700101000000Z"), element(GENERALIZED_TIME, b"99991231235959Z")];
    let names = element(SEQUENCE, &element(DNS_NAME, host.as_bytes()));
    let extension =
        element(SEQUENCE, &[element(OBJECT_ID, &SUBJECT_ALT_NAME), element(OCTET_STRING, &names)].concat());
    let signed = element(
        SEQUENCE,
        &[
            element(CONTEXT_0, &element(INTEGER, &[2])),
            element(INTEGER, &[1]),
            algorithm.clone(),
            name.clone(),
            element(SEQUENCE, &validity.concat()),
            name,
            public.to_vec(),
            element(CONTEXT_3, &element(SEQUENCE, &extension)),
        ]
        .concat(),
    );
    let signature = signer.sign(&signed).map_err(|_| NotEd25519)?;
    // A bit string begins with the number of bits that are not used in its last byte.
    let signature = element(BIT_STRING, &[&[0], signature.as_slice()].concat());
    Ok(element(SEQUENCE, &[signed, algorithm, signature].concat()).into())
}

/// Tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).map_or(&length[7..], |at| &length[at..]);
    if content.len() >= 0x80 {
        out.push(0x80 | u8::try_from(significant.len()).expect("at most 8"));
    }
    out.extend_from_slice(significant);
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_the_shortest_form() {
        for (length, head) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (255, vec![4, 0x81, 255]),
            (256, vec![4, 0x82, 1, 0]),
        ] {
            let made = element(OCTET_STRING, &vec![7; length]);
            assert_eq!(made[..head.len()], head, "{length}");
            assert_eq!(made.len(), head.len() + length);
        }
    }
}

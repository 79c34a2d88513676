//! What a witness says: the bytes of an answer to `add-checkpoint`, parsed and verified.
//!
//! A cosignature counts only if it is by a key that the policy has for this witness, verifies over the very text that
//! was sent, and states a time. Lines by other keys are ignored, as the specification asks for; a line under a known
//! key that does not verify is ignored as well and never stored.

use std::time::Duration;

use tlog::ids::TreeSize;
use tlog::note::{Note, SignatureLine};
use tlog::vkey::VerifierKey;
use tlog::witness_wire::parse_cosignatures;

use super::courier::{Delivery, Raw, Undelivered};

/// The content type that tells the size a witness knows.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// Why a witness has not cosigned. None of these says anything about our tree that we would have to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Trouble {
    /// No answer in time.
    #[error("does not answer in time")]
    TimedOut,
    /// No connection.
    #[error("cannot be reached")]
    Network,
    /// An endless answer.
    #[error("answers with more than a witness has to say")]
    TooLarge,
    /// 404.
    #[error("does not know this log; ask its operator to add it")]
    UnknownLog,
    /// 403.
    #[error("does not accept this log's key")]
    NotAccepted,
    /// 422.
    #[error("says that our tree does not continue the one it has cosigned")]
    ProofRefused,
    /// 429 or 503.
    #[error("asks us to come back later")]
    Busy,
    /// Any other status.
    #[error("answers with an error")]
    Status,
    /// An answer that the specification does not allow.
    #[error("answers with something that is no answer")]
    Malformed,
    /// 200, and no signature of its keys verifies.
    #[error("answers without a cosignature that verifies")]
    NoSignature,
    /// It knows more than it was just shown, and no more than it was ever shown.
    #[error("is ahead of what it was asked for")]
    Ahead,
    /// Its size changes with every answer.
    #[error("names another size with every answer")]
    Unsteady,
}

impl Trouble {
    /// The metric label.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Network => "network",
            Self::TooLarge => "too_large",
            Self::UnknownLog => "unknown_log",
            Self::NotAccepted => "not_accepted",
            Self::ProofRefused => "proof_refused",
            Self::Busy => "busy",
            Self::Status => "status",
            Self::Malformed => "malformed",
            Self::NoSignature => "no_signature",
            Self::Ahead => "ahead",
            Self::Unsteady => "unsteady",
        }
    }
}

/// A useful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Verified cosignatures, at least one, each with the place of its key.
    Cosigned(Vec<(usize, SignatureLine)>),
    /// 409: the size that the witness has cosigned.
    Holds(TreeSize),
}

/// Why there is no useful answer, and how long the witness asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) trouble: Trouble,
    pub(super) retry_after: Option<Duration>,
}

/// Reads the answer to a checkpoint with this text, from a witness with these keys.
pub(super) fn read(
    delivery: &Delivery,
    text: &str,
    keys: &[(usize, VerifierKey)],
) -> Result<Answer, Refused> {
    let refused = |trouble| Refused { trouble, retry_after: None };
    let raw = delivery.as_ref().map_err(|undelivered| {
        refused(match undelivered {
            Undelivered::TimedOut => Trouble::TimedOut,
            Undelivered::Network => Trouble::Network,
            Undelivered::TooLarge => Trouble::TooLarge,
        })
    })?;
    match raw.status {
        200 => cosignatures(raw, text, keys).map(Answer::Cosigned).map_err(refused),
        409 => held_size(raw).map(Answer::Holds).ok_or(refused(Trouble::Malformed)),
        403 => Err(refused(Trouble::NotAccepted)),
        404 => Err(refused(Trouble::UnknownLog)),
        422 => Err(refused(Trouble::ProofRefused)),
        429 | 503 => Err(Refused { trouble: Trouble::Busy, retry_after: raw.retry_after }),
        _ => Err(refused(Trouble::Status)),
    }
}

/// `<size>\n`, and nothing else.
fn held_size(raw: &Raw) -> Option<TreeSize> {
    let kind = raw.content_type.as_deref()?.split(';').next()?.trim();
    let size = std::str::from_utf8(&raw.body).ok()?.strip_suffix('\n')?;
    size.parse().ok().filter(|_| kind.eq_ignore_ascii_case(SIZE_TYPE))
}

fn cosignatures(
    raw: &Raw,
    text: &str,
    keys: &[(usize, VerifierKey)],
) -> Result<Vec<(usize, SignatureLine)>, Trouble> {
    let lines = parse_cosignatures(&raw.body).map_err(|_| Trouble::Malformed)?;
    let mut good: Vec<(usize, SignatureLine)> = Vec::new();
    for line in lines {
        let Some((place, key)) = keys.iter().find(|(_, key)| line.is_by(key)) else { continue };
        if good.iter().all(|(known, _)| known != place) && verifies(text, key, &line) {
            good.push((*place, line));
        }
    }
    if good.is_empty() { Err(Trouble::NoSignature) } else { Ok(good) }
}

/// "The cosignature MUST NOT omit the timestamp, i.e. the timestamp MUST NOT be zero."
pub(super) fn verifies(text: &str, key: &VerifierKey, line: &SignatureLine) -> bool {
    let Ok(note) = Note::new(text.to_owned(), vec![line.clone()]) else { return false };
    let verified = note.verify(std::slice::from_ref(key));
    verified.is_ok_and(|verified| verified.iter().any(|one| one.cosigned_at.is_some_and(|time| time > 0)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tlog::sign::{CosignerEd25519, CosignerMlDsa44};

    use super::*;

    const TEXT: &str = "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    const TIME: u64 = 1_790_000_000;

    fn signer(seed: u8) -> CosignerEd25519 {
        CosignerEd25519::from_seed("w.example".parse().unwrap(), &[seed; 32])
    }

    fn keys() -> Vec<(usize, VerifierKey)> {
        let ml = CosignerMlDsa44::from_seed("w.example".parse().unwrap(), &[1; 32]);
        vec![(4, signer(1).verifier_key()), (7, ml.verifier_key())]
    }

    fn answer(status: u16, kind: Option<&str>, body: &str) -> Delivery {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(Raw { status, content_type: kind.map(str::to_owned), retry_after: None, body })
    }

    fn said(body: &str) -> Result<Answer, Trouble> {
        read(&answer(200, None, body), TEXT, &keys()).map_err(|refused| refused.trouble)
    }

    #[test]
    fn only_verified_signatures_by_known_keys_are_taken() {
        let (good, foreign) = (signer(1).cosign(TEXT, TIME), signer(2).cosign(TEXT, TIME));
        assert_eq!(said(&format!("{foreign}\n{good}\n")), Ok(Answer::Cosigned(vec![(4, good.clone())])));
        assert_eq!(said(&format!("{foreign}\n")), Err(Trouble::NoSignature), "unknown keys are ignored");
        let other_text = signer(1).cosign(&TEXT.replace("log", "hog"), TIME);
        assert_eq!(said(&format!("{other_text}\n")), Err(Trouble::NoSignature));
        // A forged line under the witness's own name never gets in, whatever its place.
        let forged = SignatureLine::new(good.name().clone(), good.id(), vec![7; 72]);
        assert_eq!(said(&format!("{forged}\n{good}\n")), Ok(Answer::Cosigned(vec![(4, good)])));
    }

    #[test]
    fn a_cosignature_without_a_time_does_not_count() {
        assert_eq!(said(&format!("{}\n", signer(1).cosign(TEXT, 0))), Err(Trouble::NoSignature));
    }

    #[test]
    fn two_keys_of_one_witness_are_two_lines_and_one_key_is_one() {
        let checkpoint = tlog::checkpoint::Checkpoint::parse(TEXT).unwrap();
        let ml = CosignerMlDsa44::from_seed("w.example".parse().unwrap(), &[1; 32]);
        let (one, two) = (signer(1).cosign(TEXT, TIME), ml.cosign(&checkpoint, TIME));
        let again = signer(1).cosign(TEXT, TIME + 1);
        let Ok(Answer::Cosigned(lines)) = said(&format!("{one}\n{again}\n{two}\n")) else {
            panic!("cosigned")
        };
        assert_eq!(lines, [(4, one), (7, two)]);
    }

    #[test]
    fn bodies_that_are_no_signature_lines_are_malformed() {
        let good = signer(1).cosign(TEXT, TIME);
        for body in
            [String::new(), "\n".to_owned(), good.to_string(), format!("{good}\r\n"), format!("{good}\nx\n")]
        {
            assert_eq!(said(&body), Err(Trouble::Malformed), "{body:?}");
        }
    }

    #[test]
    fn a_conflict_states_a_size_as_the_specification_writes_it() {
        let read =
            |kind, body| read(&answer(409, kind, body), TEXT, &keys()).map_err(|refused| refused.trouble);
        let kind = Some("text/x.tlog.size");
        assert_eq!(read(kind, "17\n"), Ok(Answer::Holds(TreeSize::new(17).unwrap())));
        assert_eq!(read(kind, "0\n"), Ok(Answer::Holds(TreeSize::ZERO)));
        for body in ["17", "17\n\n", "017\n", "+17\n", " 17\n", "", "9223372036854775808\n", "seventeen\n"] {
            assert_eq!(read(kind, body), Err(Trouble::Malformed), "{body:?}");
        }
        for kind in [None, Some("text/plain")] {
            assert_eq!(read(kind, "17\n"), Err(Trouble::Malformed), "{kind:?}");
        }
    }

    #[test]
    fn every_other_status_has_its_class() {
        let cases = [
            (403, Trouble::NotAccepted),
            (404, Trouble::UnknownLog),
            (422, Trouble::ProofRefused),
            (429, Trouble::Busy),
            (503, Trouble::Busy),
            (500, Trouble::Status),
            (204, Trouble::Status),
            (301, Trouble::Status),
        ];
        for (status, trouble) in cases {
            let refused = read(&answer(status, None, ""), TEXT, &keys()).unwrap_err();
            assert_eq!(refused.trouble, trouble, "{status}");
        }
    }
}

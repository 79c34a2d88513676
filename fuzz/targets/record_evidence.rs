//! Evidence about records that parses gives back its bytes, and verifying it ends.
#![no_main]

use record::evidence::RecordEvidence;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(evidence) = RecordEvidence::parse(bytes) {
        assert_eq!(evidence.to_bytes(), bytes);
        let _ = evidence.verify(&[evidence.accused().clone()]);
    }
});

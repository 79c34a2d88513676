//! An evidence file that parses gives back the bytes that it was parsed from, and one that verifies says so in words.
//! The same for alarm reports; nothing is both.
#![no_main]

use tlog::evidence::report::Report;
use tlog::evidence::{Evidence, EvidenceParseError};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = Report::parse(bytes) {
        assert_eq!(report.to_bytes(), bytes);
        assert_eq!(Evidence::parse(bytes), Err(EvidenceParseError::AlarmReport));
    }
    if let Ok(evidence) = Evidence::parse(bytes) {
        assert_eq!(evidence.to_bytes(), bytes);
        if let Ok(contradiction) = evidence.verify(std::slice::from_ref(evidence.accused())) {
            let [one, other] = contradiction.signed();
            assert_ne!(one.head, other.head);
            assert!(contradiction.to_string().contains(contradiction.origin().as_str()));
        }
    }
});

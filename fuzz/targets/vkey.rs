//! A verifier key that parses prints as it was.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<tlog::vkey::VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
});

//! A disclosure that verifies gives back its bytes, and so do the kept values that disclosures are made of.
#![no_main]

use record::sealed::{Disclosure, SealedValues};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(disclosure) = Disclosure::parse(bytes) {
        assert_eq!(disclosure.to_bytes(), bytes);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(values) = SealedValues::parse(text)
    {
        assert_eq!(values.to_text(), text);
    }
});

//! A disclosure that verifies gives back its bytes, and so do the kept values that disclosures are made of, and what opens
//! erasable fields and attachments.
#![no_main]

use record::erasable::{AttachmentOpening, field_to_text, parse_field};
use record::sealed::{Disclosure, SealedValues};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(disclosure) = Disclosure::parse(bytes) {
        assert_eq!(disclosure.to_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(values) = SealedValues::parse(text) {
        assert_eq!(values.to_text(), text);
    }
    if let Ok(opening) = parse_field(text) {
        assert_eq!(field_to_text(&opening), text);
    }
    if let Ok(opening) = AttachmentOpening::parse(text) {
        assert_eq!(opening.to_text(), text);
    }
});

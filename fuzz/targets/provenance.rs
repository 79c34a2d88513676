//! A provenance that parses gives back the bytes that it was parsed from, and its entries ascend.
#![no_main]

use record::provenance::Provenance;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(provenance) = Provenance::parse(bytes) {
        assert!(provenance.to_bytes() == bytes);
        assert!(provenance.entries.is_sorted_by(|one, other| one.index < other.index));
    }
});

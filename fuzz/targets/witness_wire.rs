//! A request to a witness that parses gives back the bytes that it was parsed from.
#![no_main]

use tlog::witness_wire::{AddCheckpoint, SignSubtree, parse_cosignatures};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    if let Ok(request) = SignSubtree::parse(bytes) {
        assert_eq!(request.to_bytes(), bytes);
    }
    if let Ok(lines) = parse_cosignatures(bytes) {
        let again: String = lines.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(again.as_bytes(), bytes);
    }
});

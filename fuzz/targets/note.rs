//! A note that parses gives back the bytes that it was parsed from.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = tlog::note::Note::parse(bytes) {
        assert_eq!(note.to_bytes(), bytes);
    }
});

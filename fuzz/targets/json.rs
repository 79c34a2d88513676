//! Canonical JSON that parses gives back its text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(value) = record::json::Value::parse(text)
    {
        assert_eq!(value.to_text(), text);
    }
});

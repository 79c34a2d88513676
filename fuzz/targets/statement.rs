//! A statement that parses gives back the bytes that it was parsed from, and its text the body that it was read as.
#![no_main]

use record::statement::{Body, Statement};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::parse(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
        assert_eq!(statement.body().to_text(), statement.text());
    }
    // Most inputs have no signature; the text alone is reached more often.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(body) = Body::parse_text(text)
    {
        assert_eq!(body.to_text(), text);
    }
});

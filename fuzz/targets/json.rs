//! Canonical JSON that parses gives back its text. JSON in any form that is read says the same when it is written canonically,
//! and to another reader too.
#![no_main]

use record::json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = Value::read(text);
    if let Ok(value) = Value::parse(text) {
        assert_eq!(value.to_text(), text);
        assert_eq!(read.as_ref(), Ok(&value));
    }
    if let Ok(value) = read {
        let canonical = value.to_text();
        assert_eq!(Value::parse(&canonical).as_ref(), Ok(&value));
    }
});

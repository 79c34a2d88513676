//! A tile path has one spelling.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<tlog::tile::TilePath>() {
        assert_eq!(path.to_string(), text);
    }
});

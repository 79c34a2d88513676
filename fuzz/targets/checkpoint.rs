//! A checkpoint that parses gives back the text that it was parsed from.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = tlog::checkpoint::Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
});

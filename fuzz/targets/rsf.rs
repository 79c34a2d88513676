//! A register's line that parses prints as it was, and no file makes the replay panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        for line in text.split('\n') {
            if let Ok(command) = line.parse::<record::rsf::Command>() {
                assert_eq!(command.to_string(), line);
            }
        }
    }
    let _ = record::rsf::replay(bytes);
});

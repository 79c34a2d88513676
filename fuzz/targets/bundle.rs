//! A bundle that splits into entries is made of exactly these.
#![no_main]

use tlog::bundle::{push_entry, split};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(entries) = split(bytes) {
        let mut again = Vec::new();
        for entry in entries {
            push_entry(&mut again, entry).expect("what was split is short enough");
        }
        assert_eq!(again, bytes);
    }
});

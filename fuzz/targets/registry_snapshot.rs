//! A snapshot that restores is the snapshot of what it restored. The hash at its end is put right first.
#![no_main]

use record::registry::{Registry, Signatures};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = [bytes, tlog::hash::sha256(bytes).as_bytes()].concat();
    if let Ok(registry) = Registry::from_snapshot(&bytes, Signatures::Trust) {
        assert_eq!(registry.to_snapshot(), bytes);
    }
});

//! Names, numbers and hashes that parse print as they were.
#![no_main]

use tlog::hash::Hash;
use tlog::ids::{KeyName, LeafIndex, Origin, TreeSize};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(origin) = text.parse::<Origin>() {
        assert_eq!(origin.to_string(), text);
    }
    if let Ok(name) = text.parse::<KeyName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(index) = text.parse::<LeafIndex>() {
        assert_eq!(index.to_string(), text);
    }
    if let Ok(size) = text.parse::<TreeSize>() {
        assert_eq!(size.to_string(), text);
    }
    if let Ok(hash) = text.parse::<Hash>() {
        assert_eq!(hash.to_string(), text);
    }
    if let Ok(hash) = Hash::from_base64(text) {
        assert_eq!(hash.to_base64(), text);
    }
});

//! A receipt that parses gives back the bytes that it was parsed from.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = tlog::tlog_proof::TlogProof::parse(bytes) {
        assert_eq!(receipt.to_bytes(), bytes);
    }
});

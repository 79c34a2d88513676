//! A policy that parses has a canonical form that parses to the same policy.
#![no_main]

use tlog::policy::Policy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(policy) = Policy::parse(bytes) {
        let canonical = policy.to_bytes();
        let again = Policy::parse(&canonical).expect("the canonical form parses");
        assert_eq!(again.to_bytes(), canonical);
        let _ = policy.lint();
    }
});

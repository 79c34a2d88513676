//! What a signature says about itself is what it was made of, and no signature makes a verification panic.
#![no_main]

use tlog::checkpoint::{VerifiedCheckpoint, split_tree_head_signature};
use tlog::note::Note;
use tlog::sign::Ed25519Signer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((time, signature)) = split_tree_head_signature(bytes) {
        assert!(bytes.starts_with(&time.get().to_be_bytes()) && bytes.ends_with(signature));
    }
    // One key of a log, one signature that is anything.
    let signer = Ed25519Signer::from_seed("a".parse().expect("a name"), &[1; 32]);
    if let Ok(note) = Note::parse(bytes) {
        let _ = VerifiedCheckpoint::verify(&note, &[signer.verifier_key()]);
    }
});

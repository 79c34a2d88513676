//! Notes, keys, checkpoints, cosignatures, proofs and wire bodies: the specifications' MUSTs and examples.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use proptest::prelude::*;
use tlog::checkpoint::*;
use tlog::cosignature::{Subtree, verify_subtree};
use tlog::hash::{Hash, leaf_hash, node_hash};
use tlog::ids::*;
use tlog::note::*;
use tlog::policy::Policy;
use tlog::sign::*;
use tlog::tlog_proof::*;
use tlog::vkey::{KeyKind, VerifierKey};
use tlog::witness_wire::*;

const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn size(n: u64) -> TreeSize {
    TreeSize::new(n).unwrap()
}

fn log() -> Ed25519Signer {
    Ed25519Signer::from_seed(name("log.example/1"), &[1; 32])
}

fn checkpoint() -> Checkpoint {
    let head = TreeHead { size: size(7), root: leaf_hash(b"root") };
    Checkpoint::new("log.example/1".parse().unwrap(), head)
}

fn signed(lines: Vec<SignatureLine>) -> Note {
    Note::new(checkpoint().to_text(), lines).unwrap()
}

#[test]
fn the_example_of_the_signed_note_specification_verifies() {
    let note = Note::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(note.to_bytes(), EXAMPLE.as_bytes());
    let keys = [EXAMPLE_KEY.parse::<VerifierKey>().unwrap()];
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
}

#[test]
fn every_bit_of_the_example_counts() {
    let keys = [EXAMPLE_KEY.parse::<VerifierKey>().unwrap()];
    for bit in 0..EXAMPLE.len() * 8 {
        let mut bad = EXAMPLE.as_bytes().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let accepted = Note::parse(&bad).and_then(|note| note.verify(&keys).map(|found| found.len()));
        assert!(accepted.is_err(), "bit {bit}");
    }
}

#[test]
fn malformed_notes_are_refused() {
    let line = &EXAMPLE[EXAMPLE.find('\u{2014}').unwrap()..];
    for bad in [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        format!("text\n{line}"),
        format!("text\n\n{}", line.trim_end()),
        format!("text\r\n\n{line}"),
        format!("text\t\n\n{line}"),
        format!("text\u{1}\n\n{line}"),
        format!("text\n\n{line}\n"),
        format!("text\n\n{line}junk\n"),
        format!("text\n\n- {}", &line[4..]),
        format!("text\n\n{}", line.replace(" example.com/foo ", "  ")),
        format!("text\n\n{}", line.replace("example.com/foo", "example.com+foo")),
        format!("text\n\n{}", line.replace("example.com/foo", "example.com\u{2003}foo")),
        format!("text\n\n{}", line.replace("aQM=", "aQN=")),
        format!("text\n\n{}", line.replace("aQM=", "aQM")),
        "text\n\n\u{2014} a AAAAAA==\n".to_owned(),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(Note::parse(b"\xff\n\n"), Err(NoteError::Characters));
    let encoding = Note::parse(format!("text\n\n{}", line.replace("aQM=", "aQN=")).as_bytes());
    assert_eq!(encoding, Err(NoteError::Encoding(name("example.com/foo"))));
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let note = Note::new("one\n\ntwo\n".to_owned(), vec![log().sign("one\n\ntwo\n")]).unwrap();
    assert_eq!(Note::parse(&note.to_bytes()).unwrap().text(), "one\n\ntwo\n");
}

#[test]
fn sixteen_signatures_of_5_kb_are_accepted_and_too_many_are_not() {
    let line = |i: u32| SignatureLine::new(name("w.example"), i, vec![7; 5000]);
    assert!(Note::new("text\n".to_owned(), (0..16).map(line).collect()).is_ok());
    let short = |i: u32| SignatureLine::new(name("w.example"), i, vec![7; 64]);
    assert!(Note::new("text\n".to_owned(), (0..64).map(short).collect()).is_ok());
    let many = Note::new("text\n".to_owned(), (0..65).map(short).collect());
    assert_eq!(many, Err(NoteError::TooMany(65)));
    assert_eq!(Note::parse(&vec![b'x'; NOTE_BYTES_MAX + 1]), Err(NoteError::TooLong(NOTE_BYTES_MAX + 1)));
}

#[test]
fn unknown_keys_are_ignored_even_with_a_known_name_or_id() {
    let text = checkpoint().to_text();
    let good = log().sign(&text);
    let same_name = Ed25519Signer::from_seed(name("log.example/1"), &[2; 32]).sign(&text);
    let same_id = SignatureLine::new(name("other.example"), good.id(), vec![9; 64]);
    let note = signed(vec![same_name.clone(), same_id.clone(), good]);
    assert_eq!(note.verify(&[log().verifier_key()]).unwrap().len(), 1);
    let note = signed(vec![same_name, same_id]);
    assert_eq!(note.verify(&[log().verifier_key()]), Err(NoteError::NoTrustedSignature));
}

#[test]
fn a_known_key_that_fails_rejects_the_note_in_either_order() {
    let good = log().sign(&checkpoint().to_text());
    let bad = SignatureLine::new(good.name().clone(), good.id(), vec![9; 64]);
    for lines in [vec![good.clone(), bad.clone()], vec![bad, good.clone()]] {
        assert!(matches!(signed(lines).verify(&[log().verifier_key()]), Err(NoteError::BadSignature(..))));
    }
    assert_eq!(signed(vec![good.clone(), good]).verify(&[log().verifier_key()]).unwrap().len(), 2);
}

#[test]
fn checkpoints_have_one_form() {
    let text = checkpoint().to_text();
    assert_eq!(Checkpoint::parse(&text).unwrap(), checkpoint());
    for (from, to) in [
        ("\n7\n", "\n07\n"),
        ("\n7\n", "\n+7\n"),
        ("\n7\n", "\n\n"),
        ("\n7\n", "\n-1\n"),
        ("log.example/1", ""),
    ] {
        assert!(Checkpoint::parse(&text.replace(from, to)).is_err(), "{to:?}");
    }
    assert!(Checkpoint::parse(&text[..text.len() - 1]).is_err());
    assert!(Checkpoint::parse(&text.replace('=', "")).is_err());
    assert!(Checkpoint::parse(&format!("{text}\n")).is_err(), "extension lines must not be empty");
    let extended = format!("{text}extension 1\nextension 2\n");
    let parsed = Checkpoint::parse(&extended).unwrap();
    assert_eq!((parsed.extensions().len(), parsed.to_text()), (2, extended));
}

#[test]
fn a_tree_head_signature_speaks_of_origin_size_root_and_time() {
    let signer = TreeHeadSigner::from_seed(name("log.example/1"), &[3; 32]).unwrap();
    let time = UnixMillis::new(1_790_000_000_123);
    let line = signer.sign(checkpoint().head(), time);
    assert_eq!(line, signer.sign(checkpoint().head(), time), "signing is deterministic");
    let keys = [log().verifier_key(), signer.verifier_key()];
    let beside = |text: &str, line: SignatureLine| {
        let note = Note::new(text.to_owned(), vec![log().sign(text), line]).unwrap();
        VerifiedCheckpoint::verify(&note, &keys)
    };
    let text = checkpoint().to_text();
    assert_eq!(beside(&text, line.clone()).unwrap().tree_head_time(), Some(time));
    for bit in 0..line.signature().len() * 8 {
        let mut bad = line.signature().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let bad = SignatureLine::new(line.name().clone(), line.id(), bad);
        assert!(beside(&text, bad).is_err(), "bit {bit}");
    }
    let extended = beside(&format!("{text}more\n"), line);
    assert!(extended.is_err(), "it must not have extension lines");
}

#[test]
fn a_tree_head_signature_alone_does_not_make_a_checkpoint_of_the_log() {
    // static-ct-api: "a TreeHeadSignature does not cover the log's identity, so the origin line is unauthenticated".
    let signer = TreeHeadSigner::from_seed(name("log.example/1"), &[8; 32]).unwrap();
    let keys = [log().verifier_key(), signer.verifier_key()];
    let by_tree_head = signer.sign(checkpoint().head(), UnixMillis::new(5));
    let alone = VerifiedCheckpoint::verify(&signed(vec![by_tree_head.clone()]), &keys);
    assert_eq!(alone.unwrap_err(), CheckpointError::Note(NoteError::NoTrustedSignature));
    let both = signed(vec![by_tree_head, log().sign(&checkpoint().to_text())]);
    let both = VerifiedCheckpoint::verify(&both, &keys).unwrap();
    assert_eq!(both.tree_head_time(), Some(UnixMillis::new(5)));
}

#[test]
fn an_ml_dsa_key_that_bears_the_logs_name_is_a_key_of_the_log_and_any_other_is_a_witness() {
    for (named, accepted) in [("log.example/1", true), ("witness.example/1", false)] {
        let signer = CosignerMlDsa44::from_seed(name(named), &[9; 32]);
        let note = signed(vec![signer.cosign(&checkpoint(), 7)]);
        let verified = VerifiedCheckpoint::verify(&note, &[signer.verifier_key()]);
        assert_eq!(verified.is_ok(), accepted, "{named}: {verified:?}");
    }
}

#[test]
fn a_note_never_outgrows_what_can_be_read_again() {
    let text = format!("{}{}", checkpoint().to_text(), "x\n".repeat(NOTE_BYTES_MAX / 2 - 300));
    let note = Note::new(text.clone(), vec![log().sign(&text)]).unwrap();
    let witness = CosignerMlDsa44::from_seed(name("witness.example/1"), &[9; 32]);
    let more = [note.signatures(), &[witness.cosign(&checkpoint(), 7)]].concat();
    assert!(matches!(note.with_signatures(more), Err(NoteError::TooLong(_))));
    let empty = SignatureLine::new(name("a.example"), 7, Vec::new());
    assert_eq!(note.with_signatures(vec![empty]), Err(NoteError::Encoding(name("a.example"))));
}

#[test]
fn cosignatures_carry_their_time_and_cover_what_they_must() {
    let ed25519 = CosignerEd25519::from_seed(name("w.example/1"), &[4; 32]);
    let ml_dsa = CosignerMlDsa44::from_seed(name("w.example/1"), &[5; 32]);
    let text = checkpoint().to_text();
    let lines = vec![
        log().sign(&text),
        ed25519.cosign(&text, 1_790_000_000),
        ml_dsa.cosign(&checkpoint(), 1_790_000_001),
    ];
    let keys = [log().verifier_key(), ed25519.verifier_key(), ml_dsa.verifier_key()];
    let verified = VerifiedCheckpoint::verify(&signed(lines.clone()), &keys).unwrap();
    let times: Vec<_> = verified.cosignatures().iter().map(|one| one.seconds).collect();
    assert_eq!(times, [1_790_000_000, 1_790_000_001]);
    // Extension lines are covered by Ed25519 cosignatures and not by ML-DSA ones.
    let extended = format!("{text}extension\n");
    let with = |line: SignatureLine| Note::new(extended.clone(), vec![log().sign(&extended), line]).unwrap();
    assert!(VerifiedCheckpoint::verify(&with(lines[1].clone()), &keys).is_err());
    assert!(VerifiedCheckpoint::verify(&with(lines[2].clone()), &keys).is_ok());
    // A time is part of what is signed.
    for (line, bits) in [(&lines[1], 72 * 8), (&lines[2], 64 + 200)] {
        for bit in 0..bits {
            let mut bad = line.signature().to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let bad = SignatureLine::new(line.name().clone(), line.id(), bad);
            assert!(
                VerifiedCheckpoint::verify(&signed(vec![lines[0].clone(), bad]), &keys).is_err(),
                "bit {bit}"
            );
        }
    }
    // Cosignatures alone are no log's checkpoint.
    assert!(VerifiedCheckpoint::verify(&signed(lines[1..].to_vec()), &keys).is_err());
}

#[test]
fn a_subtree_cosignature_has_no_time() {
    let ml_dsa = CosignerMlDsa44::from_seed(name("w.example/1"), &[5; 32]);
    let subtree =
        Subtree { origin: "log.example/1".parse().unwrap(), start: 8, end: 13, hash: leaf_hash(b"s") };
    let line = ml_dsa.cosign_subtree(&subtree);
    assert_eq!(verify_subtree(&ml_dsa.verifier_key(), &subtree, line.signature()), Some(0));
    let other = Subtree { end: 12, ..subtree.clone() };
    assert_eq!(verify_subtree(&ml_dsa.verifier_key(), &other, line.signature()), None);
    let mut timed = line.signature().to_vec();
    timed[7] = 1;
    assert_eq!(verify_subtree(&ml_dsa.verifier_key(), &subtree, &timed), None);
}

#[test]
fn the_empty_tree_has_one_root() {
    for (root, good) in [(Hash::EMPTY_ROOT, true), (leaf_hash(b""), false)] {
        let head = TreeHead { size: TreeSize::ZERO, root };
        let text = Checkpoint::new("log.example/1".parse().unwrap(), head).to_text();
        let note = Note::new(text.clone(), vec![log().sign(&text)]).unwrap();
        assert_eq!(VerifiedCheckpoint::verify(&note, &[log().verifier_key()]).is_ok(), good);
    }
}

#[test]
fn keys_survive_pkcs8_and_never_show_in_debug() {
    let signer = TreeHeadSigner::from_seed(name("log.example/1"), &[3; 32]).unwrap();
    let again = TreeHeadSigner::from_pkcs8_der(name("log.example/1"), &signer.to_pkcs8_der()).unwrap();
    assert_eq!(again.verifier_key(), signer.verifier_key());
    let again = Ed25519Signer::from_pkcs8_der(name("log.example/1"), &log().to_pkcs8_der()).unwrap();
    assert_eq!(again.verifier_key(), log().verifier_key());
    assert!(Ed25519Signer::from_pkcs8_der(name("x"), &signer.to_pkcs8_der()).is_err());
    assert!(TreeHeadSigner::from_pkcs8_der(name("x"), &[1; 40]).is_err());
    assert_eq!(
        format!("{:?}", log()),
        format!("Ed25519Signer(Signer(log.example/1 {:08x}))", log().verifier_key().id())
    );
}

#[test]
fn p256_signatures_follow_rfc_6979() {
    // Appendix A.2.5, message "sample" with SHA-256.
    let seed = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721".parse::<Hash>().unwrap();
    let signer = EcdsaP256Signer::from_seed(name("a.example"), seed.as_bytes()).unwrap();
    let line = signer.sign("sample");
    let signature: String = line.signature().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        signature.contains("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"),
        "{signature}"
    );
    // s = f7cb1c94... is the high one of the two; the low one is n - s.
    assert!(
        signature.contains("0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9"),
        "{signature}"
    );
}

#[test]
fn verifier_keys_of_every_kind_round_trip() {
    let n = || name("k.example");
    for key in [
        Ed25519Signer::from_seed(n(), &[1; 32]).verifier_key(),
        EcdsaP256Signer::from_seed(n(), &[1; 32]).unwrap().verifier_key(),
        TreeHeadSigner::from_seed(n(), &[1; 32]).unwrap().verifier_key(),
        CosignerEd25519::from_seed(n(), &[1; 32]).verifier_key(),
        CosignerMlDsa44::from_seed(n(), &[1; 32]).verifier_key(),
    ] {
        assert_eq!(key.to_string().parse::<VerifierKey>().unwrap(), key);
        assert!(key.material().len() > 31 && KeyKind::ALL.contains(&key.kind()));
    }
}

fn receipt() -> (TlogProof, Policy, Hash) {
    let (leaf, sibling) = (leaf_hash(b"entry"), leaf_hash(b"sibling"));
    let head = TreeHead { size: size(2), root: node_hash(&sibling, &leaf) };
    let text = Checkpoint::new("log.example/1".parse().unwrap(), head).to_text();
    let checkpoint = Note::new(text.clone(), vec![log().sign(&text)]).unwrap();
    let proof =
        TlogProof { extra: None, index: LeafIndex::new(1).unwrap(), proof: vec![sibling], checkpoint };
    (proof, Policy::of_log(log().verifier_key(), None), leaf)
}

#[test]
fn a_receipt_proves_the_entry_in_hand_and_no_other() {
    let (proof, policy, leaf) = receipt();
    assert_eq!(proof.verify(&leaf, &policy).unwrap().head().size.get(), 2);
    assert!(matches!(proof.verify(&leaf_hash(b"other"), &policy), Err(TlogProofError::Proof(_))));
    let stranger = Ed25519Signer::from_seed(name("log.example/1"), &[8; 32]).verifier_key();
    assert!(matches!(proof.verify(&leaf, &Policy::of_log(stranger, None)), Err(TlogProofError::Policy(_))));
    let other_name = Ed25519Signer::from_seed(name("other.example"), &[1; 32]).verifier_key();
    assert!(proof.verify(&leaf, &Policy::of_log(other_name, None)).is_err());
}

#[test]
fn receipts_have_one_form() {
    let (mut proof, _, _) = receipt();
    for extra in [None, Some(b"opaque".to_vec())] {
        proof.extra = extra;
        assert_eq!(TlogProof::parse(&proof.to_bytes()).unwrap(), proof);
    }
    let text = String::from_utf8(proof.to_bytes()).unwrap();
    for (from, to) in [
        ("@v1", "@v2"),
        ("index 1", "index 01"),
        ("index 1", "index  1"),
        ("index 1\n", ""),
        ("index 1", "index 1\nindex 1"),
        ("extra ", "extra  "),
        ("extra b", "extra"),
        ("index 1", "Index 1"),
        ("\n\nlog", "\nlog"),
    ] {
        assert!(TlogProof::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from:?} to {to:?}");
    }
    proof.proof = vec![Hash::EMPTY_ROOT; 64];
    assert_eq!(TlogProof::parse(&proof.to_bytes()), Err(TlogProofError::TooLong));
}

#[test]
fn wire_bodies_have_one_form() {
    let (proof, _, _) = receipt();
    let add =
        AddCheckpoint { old: size(1), proof: proof.proof.clone(), checkpoint: proof.checkpoint.clone() };
    assert_eq!(AddCheckpoint::parse(&add.to_bytes()).unwrap(), add);
    let sign =
        SignSubtree { start: 0, end: 1, hash: Hash::EMPTY_ROOT, proof: vec![], checkpoint: proof.checkpoint };
    assert_eq!(SignSubtree::parse(&sign.to_bytes()).unwrap(), sign);
    let text = String::from_utf8(add.to_bytes()).unwrap();
    for first in [
        "old 01",
        "old +1",
        "old 1 x",
        "old 1 ",
        "old  1",
        "old 9223372036854775808",
        "old",
        "Old 1",
        "old 1\r",
    ] {
        assert!(AddCheckpoint::parse(text.replacen("old 1", first, 1).as_bytes()).is_err(), "{first:?}");
    }
    let long = AddCheckpoint { proof: vec![Hash::EMPTY_ROOT; 64], ..add.clone() };
    assert_eq!(AddCheckpoint::parse(&long.to_bytes()), Err(WireError::TooLong));
    let longest = AddCheckpoint { proof: vec![Hash::EMPTY_ROOT; 63], ..add };
    assert!(AddCheckpoint::parse(&longest.to_bytes()).is_ok());
    let lines = format!("{}\n", log().sign("x\n"));
    assert_eq!(parse_cosignatures(lines.as_bytes()).unwrap().len(), 1);
    assert!(parse_cosignatures(lines.trim_end().as_bytes()).is_err());
    assert!(parse_cosignatures(b"").is_err());
}

proptest! {
    #[test]
    fn what_parses_as_a_note_formats_to_the_same_bytes(text in "[ -~é\n]{0,60}", tail in "[ -~\n—]{0,60}") {
        let bytes = format!("{text}\n\n\u{2014} {tail}\n");
        if let Ok(note) = Note::parse(bytes.as_bytes()) {
            prop_assert_eq!(note.to_bytes(), bytes.as_bytes());
        }
    }

    #[test]
    fn signed_texts_round_trip(text in "[ -~é]{0,40}\n", seed: [u8; 32]) {
        let signer = Ed25519Signer::from_seed(name("p.example"), &seed);
        let note = Note::new(text.clone(), vec![signer.sign(&text)]).unwrap();
        let again = Note::parse(&note.to_bytes()).unwrap();
        prop_assert_eq!(again.verify(&[signer.verifier_key()]).unwrap().len(), 1);
    }
}

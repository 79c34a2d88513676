//! Policy files, quorums and their lint.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use tlog::checkpoint::Checkpoint;
use tlog::hash::leaf_hash;
use tlog::ids::{KeyName, TreeHead, TreeSize};
use tlog::note::{Note, SignatureLine};
use tlog::policy::*;
use tlog::sign::*;

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

fn log() -> Ed25519Signer {
    Ed25519Signer::from_seed(name("log.example"), &[1; 32])
}

fn witness(number: u8) -> CosignerEd25519 {
    CosignerEd25519::from_seed(name(&format!("w{number}.example")), &[100 + number; 32])
}

fn header(witnesses: u8) -> String {
    let mut text = format!("log {}\n", log().verifier_key());
    for number in 1..=witnesses {
        text.push_str(&format!("witness W{number} {}\n", witness(number).verifier_key()));
    }
    text
}

fn parse(rest: &str) -> Result<Policy, PolicyParseError> {
    Policy::parse(format!("{}{rest}", header(6)).as_bytes())
}

fn note(witnesses: &[u8]) -> Note {
    let head = TreeHead { size: TreeSize::new(9).unwrap(), root: leaf_hash(b"r") };
    let text = Checkpoint::new("log.example".parse().unwrap(), head).to_text();
    let mut lines = vec![log().sign(&text)];
    lines.extend(witnesses.iter().map(|number| witness(*number).cosign(&text, 1_790_000_000)));
    Note::new(text, lines).unwrap()
}

#[test]
fn the_two_level_example_of_the_specification_is_evaluated_as_described() {
    let policy =
        parse("group X 2 W1 W2 W3\n\tgroup  Y any W4 W5 W6 \ngroup X-and-Y all X Y\nquorum X-and-Y\n")
            .unwrap();
    for (witnesses, met) in [
        (&[1, 2, 4][..], true),
        (&[2, 3, 6], true),
        (&[1, 2, 3, 4, 5, 6], true),
        (&[1, 4, 5, 6], false),
        (&[1, 2, 3], false),
        (&[], false),
    ] {
        assert_eq!(policy.verify(&note(witnesses)).is_ok(), met, "{witnesses:?}");
    }
    assert_eq!(Policy::parse(&policy.to_bytes()).unwrap(), policy);
}

#[test]
fn one_key_that_signs_twice_counts_once() {
    let policy = parse("group g 2 W1 W2\nquorum g\n").unwrap();
    let text = note(&[]).text().to_owned();
    let lines: Vec<SignatureLine> =
        vec![log().sign(&text), witness(1).cosign(&text, 5), witness(1).cosign(&text, 6)];
    let refused = policy.verify(&Note::new(text, lines).unwrap()).unwrap_err();
    assert_eq!(refused, PolicyError::Quorum { found: 1, known: 6 });
}

#[test]
fn a_forged_cosignature_of_a_known_witness_rejects_the_note() {
    let policy = parse("quorum none\n").unwrap();
    let good = note(&[1]);
    let mut lines = good.signatures().to_vec();
    let bad = SignatureLine::new(lines[1].name().clone(), lines[1].id(), vec![0; 72]);
    lines.push(bad);
    assert!(policy.verify(&good).is_ok());
    assert!(policy.verify(&good.with_signatures(lines).unwrap()).is_err());
}

#[test]
fn a_log_key_signs_only_for_its_own_origin() {
    let other = Ed25519Signer::from_seed(name("other.example"), &[1; 32]);
    let text = note(&[]).text().to_owned();
    let note = Note::new(text.clone(), vec![other.sign(&text)]).unwrap();
    let policy = Policy::of_log(other.verifier_key(), None);
    assert_eq!(policy.verify(&note).unwrap_err(), PolicyError::NoLog("log.example".to_owned()));
}

#[test]
fn a_witness_that_bears_the_name_of_a_log_is_refused_in_either_order() {
    // An ML-DSA-44 cosignature under the log's own name would be taken for the log's signature.
    let log = format!("log {}", log().verifier_key());
    let namesake = CosignerMlDsa44::from_seed(name("log.example"), &[77; 32]).verifier_key();
    let witness = format!("witness w {namesake}");
    for (lines, line) in [([&log, &witness], 2), ([&witness, &log], 2)] {
        let text = format!("{}\n{}\nquorum none\n", lines[0], lines[1]);
        let refused = Policy::parse(text.as_bytes());
        let problem = Problem::LogName("log.example".to_owned());
        assert_eq!(refused, Err(PolicyParseError::Line { line, problem }));
    }
}

#[test]
fn comments_whitespace_urls_and_opaque_octets_are_allowed() {
    let mut bytes = b" \t# a comment with \xff\n\n".to_vec();
    bytes.extend(header(1).as_bytes());
    bytes.extend(b"group \xe2\x84\xaa any W1 \t\nquorum \xe2\x84\xaa\n");
    let policy = Policy::parse(&bytes).unwrap();
    assert_eq!(policy.groups()[0].name, b"\xe2\x84\xaa");
    let with_url = format!("log {} https://log.example/\nquorum none\n", log().verifier_key());
    assert_eq!(
        Policy::parse(with_url.as_bytes()).unwrap().logs()[0].url.as_deref(),
        Some(&b"https://log.example/"[..])
    );
}

#[test]
fn every_broken_line_is_named() {
    let key = witness(1).verifier_key();
    for bad in [
        "quorum nobody\n".to_owned(),
        "quorum none\nquorum none\n".to_owned(),
        "quorum none extra\n".to_owned(),
        "group g 0 W1\nquorum g\n".to_owned(),
        "group g 3 W1 W2\nquorum g\n".to_owned(),
        "group g 01 W1\nquorum g\n".to_owned(),
        "group g +1 W1\nquorum g\n".to_owned(),
        "group g any\nquorum g\n".to_owned(),
        "group g any W1 W1\nquorum g\n".to_owned(),
        "group g any W1\ngroup h any W1\nquorum h\n".to_owned(),
        "group g any h\ngroup h any W1\nquorum g\n".to_owned(),
        "group g any none\nquorum g\n".to_owned(),
        "group none any W1\nquorum none\n".to_owned(),
        "group W1 any W2\nquorum none\n".to_owned(),
        format!("witness W1 {}\nquorum none\n", witness(9).verifier_key()),
        format!("witness none {}\nquorum none\n", witness(9).verifier_key()),
        format!("witness W9 {key}\nquorum none\n"),
        format!("witness W9 {}\nquorum none\n", log().verifier_key()),
        format!("log {}\nquorum none\n", log().verifier_key()),
        format!("log {key}\nquorum none\n"),
        "log nonsense\nquorum none\n".to_owned(),
        "Quorum none\n".to_owned(),
        "quorum none\u{1}\n".to_owned(),
        "quorum none\r\n".to_owned(),
    ] {
        let error = parse(&bad).expect_err(&bad);
        assert!(matches!(error, PolicyParseError::Line { line, .. } if line > 7), "{bad:?}: {error}");
    }
    assert_eq!(parse(""), Err(PolicyParseError::NoQuorum));
    assert_eq!(Policy::parse(b"quorum none"), Err(PolicyParseError::Unterminated));
    assert_eq!(Policy::parse(b""), Err(PolicyParseError::NoQuorum));
}

#[test]
fn thirty_two_of_each_are_accepted() {
    let mut text = String::new();
    for number in 0..32_u8 {
        let log = Ed25519Signer::from_seed(name(&format!("l{number}")), &[number; 32]).verifier_key();
        text.push_str(&format!(
            "log {log}\nwitness W{number} {}\ngroup g{number} any W{number}\n",
            witness(number).verifier_key()
        ));
    }
    text.push_str("quorum g31\n");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len(), policy.groups().len()), (32, 32, 32));
}

#[test]
fn the_lint_knows_when_a_split_view_is_not_excluded() {
    let low =
        |rest: &str| parse(rest).unwrap().lint().iter().any(|w| matches!(w, Warning::LowThreshold { .. }));
    assert!(low("group g 2 W1 W2 W3\nquorum g\n"), "2 of 3 needs 3");
    assert!(!low("group g 3 W1 W2 W3\nquorum g\n"));
    assert!(!low("group g 3 W1 W2 W3 W4\nquorum g\n"), "3 of 4 is enough");
    assert!(low("group g 2 W1 W2 W3 W4\nquorum g\n"));
    assert!(low("group x any W1 W2\ngroup g all x W3\nquorum g\n"), "a nested group counts too");
    assert!(!low("group unused any W1 W2\nquorum W3\n"));
    let warnings = parse("quorum none\n").unwrap().lint();
    assert!(warnings.contains(&Warning::NoWitnesses));
}

#[test]
fn the_lint_takes_two_keys_of_one_operator_for_one() {
    let second = CosignerMlDsa44::from_seed(name("w1.example"), &[7; 32]).verifier_key();
    let with = |rest: &str| parse(&format!("witness W1b {second}\n{rest}")).unwrap().lint();
    let one = with("group one any W1 W1b\ngroup g 3 one W2 W3 W4\nquorum g\n");
    assert!(
        !one.iter().any(|w| matches!(w, Warning::SameOperator(..) | Warning::LowThreshold { .. })),
        "{one:?}"
    );
    let two = with("group g 3 W1 W1b W2 W3\nquorum g\n");
    assert!(two.contains(&Warning::SameOperator("W1".to_owned(), "W1b".to_owned())), "{two:?}");
}

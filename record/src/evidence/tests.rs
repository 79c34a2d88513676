use tlog::hash::node_hash;
use tlog::ids::TreeHead;
use tlog::proof::plan_inclusion;
use tlog::sign::Ed25519Signer;

use super::*;
use crate::registry::tests::world::{
    LOG, REGISTRAR, Signer, World, about, country, enrol, genesis, key_set, officer, record, signed, signers,
};
use crate::registry::{Refusal, Signatures};
use crate::statement::{AgencyAction, Body, Statement};

fn log_signer() -> Ed25519Signer {
    Ed25519Signer::from_seed(LOG.parse().unwrap(), &[1; 32])
}

fn keys() -> Vec<VerifierKey> {
    vec![log_signer().verifier_key()]
}

/// RFC 6962, section 2.1, word for word.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// A log that took everything: its checkpoint, and proofs of some entries.
fn shown(entries: &[Vec<u8>], places: &[u64]) -> (Note, Vec<ProvedEntry>) {
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let size = TreeSize::new(leaves.len() as u64).unwrap();
    let head = TreeHead { size, root: root(&leaves) };
    let text = tlog::checkpoint::Checkpoint::new(LOG.parse().unwrap(), head).to_text();
    let note = Note::new(text.clone(), vec![log_signer().sign(&text)]).unwrap();
    let proved = places.iter().map(|place| {
        let index = LeafIndex::new(*place).unwrap();
        let plan = plan_inclusion(index, size).unwrap();
        let of = |range: std::ops::Range<u64>| root(&leaves[range.start as usize..range.end as usize]);
        let hashes: Vec<Hash> = plan.nodes().iter().map(|node| of(node.leaves())).collect();
        let proof = plan.finish(&hashes).unwrap();
        ProvedEntry { index, entry: entries[*place as usize].clone(), proof }
    });
    (note, proved.collect())
}

/// The world's log with entries that it should not have taken, and the evidence from some of them.
fn evidence(world: &World, bad: &[Vec<u8>], places: &[u64]) -> Result<RecordEvidence, NoFinding> {
    let entries = [&world.entries[..], bad].concat();
    let (note, proved) = shown(&entries, places);
    RecordEvidence::new(&keys(), &note, proved)
}

fn proves(world: &World, bad: &[Vec<u8>], places: &[u64], form: Form) {
    let made = evidence(world, bad, places).unwrap_or_else(|error| panic!("{form:?}: {error}"));
    let bytes = made.to_bytes();
    let read = RecordEvidence::parse(&bytes).unwrap();
    assert_eq!((&read, read.to_bytes()), (&made, bytes.clone()));
    let contradiction = read.verify(&keys()).unwrap();
    assert_eq!(contradiction.form, form);
    assert!(contradiction.to_string().contains(form.summary()));
    assert!(matches!(read.verify(&[]), Err(NoFinding::OtherKey(_))));
    // Under another form's name it proves nothing.
    for other in Form::ALL.into_iter().filter(|other| *other != form) {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let renamed =
            text.replacen(&format!("form {}\n", form.as_str()), &format!("form {}\n", other.as_str()), 1);
        let renamed = RecordEvidence::parse(renamed.as_bytes()).unwrap();
        assert_eq!(renamed.verify(&keys()), Err(NoFinding::OtherForm(form.as_str())));
    }
}

fn publisher() -> Vec<Signer> {
    signers("a.gov.example", &["publisher"])
}

#[test]
fn an_entry_and_the_genesis_can_be_enough() {
    let world = World::new();
    proves(&world, &[b"not a statement".to_vec()], &[0, 5], Form::Malformed);
    let registrar = signers(REGISTRAR, &["one", "two", "three"]);
    proves(&world, &[signed(&genesis(&registrar), &registrar).to_bytes()], &[0, 5], Form::Genesis);
    let mut other = record("a.gov.example", "country", "GB", None, "{}");
    other.log = "log.gov.example/2025".parse().unwrap();
    proves(&world, &[signed(&Body::Record(other), &publisher()).to_bytes()], &[0, 5], Form::OtherLog);
    let bob = signers("b.gov.example", &["bob-p256"]);
    let foreign = signed(&country("GB", None, "x"), &bob).to_bytes();
    proves(&world, &[foreign], &[0, 5], Form::ForeignKey);
}

#[test]
fn two_entries_rule_each_other_out() {
    let mut world = World::new();
    let first = world.admit(&country("GB", None, "Britain"), &publisher());
    let late = signed(&country("GB", None, "Atlantis"), &publisher()).to_bytes();
    proves(&world, &[late], &[0, 5, 6], Form::ForkedChain);
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let id = "a.gov.example".parse().unwrap();
    let latest = world.registry.agency(&id).unwrap().latest.leaf;
    let reason = "Stolen.".parse().unwrap();
    let revoke = AgencyAction::Revoke { keys: vec![publisher()[0].key()], reason };
    world.admit(&about("a.gov.example", Some(latest), revoke), &officers);
    let forged = signed(&country("GB", Some(first.leaf), "x"), &publisher());
    let refusal = world.judge(forged.clone()).expect_err("refused");
    assert_eq!(world.registry.contradicted_by(&forged, &refusal), Some(LeafIndex::new(6).unwrap()));
    proves(&world, &[forged.to_bytes()], &[0, 6, 7], Form::EndedKey);
    // The same text under other signatures.
    let alice = signed(&country("GB", None, "Britain"), &officers[..1]).to_bytes();
    proves(&world, &[alice], &[0, 5, 7], Form::Repeated);
    // A key that comes in again under another name.
    let same = Signer::from_seed("m.gov.example/m", "a.gov.example/alice");
    let registrar = signers(REGISTRAR, &["one", "two"]);
    let enrolment = enrol("m.gov.example", key_set(vec![officer(&same)], 1, None));
    let twice = signed(&enrolment, registrar.iter().chain([&same]));
    let refusal = world.judge(twice.clone()).expect_err("refused");
    assert_eq!(world.registry.contradicted_by(&twice, &refusal), Some(LeafIndex::new(1).unwrap()));
    proves(&world, &[twice.to_bytes()], &[0, 1, 7], Form::KeyTwice);
    // A signature that does not verify under the key that entry 1 brought in.
    let body = country("FR", None, "France");
    let line = officers[0].sign("another text\n");
    let bad = Statement::assemble(&body.to_text(), vec![line]).unwrap();
    let refusal = world.registry.authenticate(bad.clone(), Signatures::Check).expect_err("refused");
    assert_eq!(world.registry.contradicted_by(&bad, &refusal), Some(LeafIndex::new(1).unwrap()));
    proves(&world, &[bad.to_bytes()], &[0, 1, 7], Form::BadSignature);
}

#[test]
fn honest_entries_prove_nothing_in_whatever_combination() {
    let mut world = World::new();
    let first = world.admit(&country("GB", None, "Britain"), &publisher());
    world.admit(&country("GB", Some(first.leaf), "United Kingdom"), &publisher());
    world.admit(&country("FR", None, "France"), &publisher());
    let size = world.entries.len() as u64;
    for later in 1..size {
        assert_eq!(evidence(&world, &[], &[0, later]), Err(NoFinding::NoContradiction), "{later}");
        for earlier in 1..later {
            let found = evidence(&world, &[], &[0, earlier, later]);
            assert_eq!(found, Err(NoFinding::NoContradiction), "{earlier} {later}");
        }
    }
}

#[test]
fn a_delegation_that_is_renewed_is_not_a_key_twice() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let unit = signers("a.gov.example", &["unit"]);
    for until in ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"] {
        let action = AgencyAction::Delegate {
            key: unit[0].key(),
            registers: vec!["country".parse().unwrap()],
            until: until.parse().unwrap(),
        };
        let latest = world.registry.agency(&id).unwrap().latest.leaf;
        world.admit(&about("a.gov.example", Some(latest), action), officers.iter().chain(&unit));
    }
    assert_eq!(evidence(&world, &[], &[0, 5, 6]), Err(NoFinding::NoContradiction));
}

#[test]
fn nothing_is_proved_without_genesis_signature_proof_or_order() {
    let world = World::new();
    let bad = [b"not a statement".to_vec()];
    assert_eq!(evidence(&world, &bad, &[5]), Err(NoFinding::Places));
    assert_eq!(evidence(&world, &bad, &[1, 5]), Err(NoFinding::Places));
    assert_eq!(evidence(&world, &bad, &[0, 1, 2, 5]), Err(NoFinding::Places));
    let newer = country("GB", None, "x").to_text().replace("record/v1", "record/v2");
    let newer = format!("{newer}\n{}\n", publisher()[0].sign(&newer)).into_bytes();
    assert_eq!(evidence(&world, &[newer], &[0, 5]), Err(NoFinding::Newer(LeafIndex::new(5).unwrap())));
    // A log of anything else promised nothing.
    let raw = World { entries: vec![b"bytes".to_vec()], ..World::empty() };
    assert!(matches!(evidence(&raw, &bad, &[0, 1]), Err(NoFinding::NoGenesis(_))));
    let entries = [&world.entries[..], &bad].concat();
    let (note, proved) = shown(&entries, &[0, 5]);
    let other = Ed25519Signer::from_seed(LOG.parse().unwrap(), &[2; 32]).verifier_key();
    assert_eq!(RecordEvidence::new(&[other], &note, proved.clone()), Err(NoFinding::NotSigned));
    let mut moved = proved;
    moved[1].index = LeafIndex::new(4).unwrap();
    assert!(matches!(RecordEvidence::new(&keys(), &note, moved), Err(NoFinding::Proof(..))));
}

#[test]
fn a_file_is_read_in_one_form_only_and_a_flipped_character_proves_nothing() {
    let world = World::new();
    let bytes = evidence(&world, &[b"not a statement".to_vec()], &[0, 5]).unwrap().to_bytes();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let proved = RecordEvidence::parse(&bad).is_ok_and(|read| {
            assert_eq!(read.to_bytes(), bad);
            read.verify(&keys()).is_ok()
        });
        assert!(!proved, "byte {at}");
    }
    let text = String::from_utf8(bytes).unwrap();
    for (from, to) in [
        ("entries 0 5", "entries 0 05"),
        ("entries 0 5", "entries 0"),
        ("entries 0 5", "entries 5 0"),
        ("entries 0 5", "entries 0 5 6"),
        ("record-malformed", "record-unheard-of"),
        ("record-malformed", "log-two-roots"),
        ("\nentry ", "\nhash "),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(RecordEvidence::parse(changed.as_bytes()).is_err(), "{to}");
    }
    let refusal = Refusal::Stale(None);
    let statement = Statement::parse(&world.entries[1]).unwrap();
    assert_eq!(world.registry.contradicted_by(&statement, &refusal), None);
}

/// One file for each form, for `tests/vectors/record/evidence.json`.
fn examples() -> Vec<RecordEvidence> {
    let mut world = World::new();
    let first = world.admit(&country("GB", None, "Britain"), &publisher());
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let latest = world.registry.agency(&"a.gov.example".parse().unwrap()).unwrap().latest.leaf;
    let reason = "Stolen.".parse().unwrap();
    let revoke = AgencyAction::Revoke { keys: vec![publisher()[0].key()], reason };
    world.admit(&about("a.gov.example", Some(latest), revoke), &officers);
    let registrar = signers(REGISTRAR, &["one", "two", "three"]);
    let mut elsewhere = record("a.gov.example", "country", "FR", None, "{}");
    elsewhere.log = "log.gov.example/2025".parse().unwrap();
    let same = Signer::from_seed("m.gov.example/m", "a.gov.example/alice");
    let enrolment = enrol("m.gov.example", key_set(vec![officer(&same)], 1, None));
    let france = country("FR", None, "France");
    let bad = Statement::assemble(&france.to_text(), vec![officers[0].sign("another text\n")]).unwrap();
    let cases: Vec<(Vec<u8>, &[u64])> = vec![
        (b"not a statement".to_vec(), &[0, 7]),
        (signed(&genesis(&registrar), &registrar).to_bytes(), &[0, 7]),
        (signed(&Body::Record(elsewhere), &officers[..1]).to_bytes(), &[0, 7]),
        (signed(&france, &signers("b.gov.example", &["bob-p256"])).to_bytes(), &[0, 7]),
        (signed(&country("GB", None, "Britain"), &officers[..1]).to_bytes(), &[0, 5, 7]),
        (signed(&country("GB", None, "Atlantis"), &officers[..1]).to_bytes(), &[0, 5, 7]),
        (signed(&enrolment, registrar[..2].iter().chain([&same])).to_bytes(), &[0, 1, 7]),
        (signed(&country("GB", Some(first.leaf), "x"), &publisher()).to_bytes(), &[0, 6, 7]),
        (bad.to_bytes(), &[0, 1, 7]),
    ];
    cases.into_iter().map(|(entry, places)| evidence(&world, &[entry], places).unwrap()).collect()
}

#[test]
fn evidence_vectors() {
    let examples = examples();
    let forms: Vec<Form> = examples.iter().map(RecordEvidence::form).collect();
    assert_eq!(forms, Form::ALL, "one for each");
    let example = |example: &RecordEvidence| {
        let summary = example.verify(&keys()).unwrap().summary();
        let file = String::from_utf8(example.to_bytes()).unwrap();
        let id = example.id().to_string();
        serde_json::json!({"form": example.form().as_str(), "id": id, "summary": summary, "file": file})
    };
    let key = keys()[0].to_string();
    let all = serde_json::json!({"key": key, "proved": examples.iter().map(example).collect::<Vec<_>>()});
    let text = serde_json::to_string_pretty(&all).unwrap() + "\n";
    expect_test::expect_file!["../../../tests/vectors/record/evidence.json"].assert_eq(&text);
}

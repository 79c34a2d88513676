//! Evidence about records through the command line: each form is proved under the log's key, and under no other, by our
//! programs and by the one in Python, which also reads statements as we do.

use std::path::Path;

use record::evidence::RecordEvidence;
use serde_json::Value;
use tests::liar::{Keys, Tree};
use tests::minimal::{self, Said};
use tests::server::daybook;
use tlog::b64;
use tlog::evidence::{SignedHead, container};
use tlog::hash::Hash;
use tlog::note::Note;
use tlog::policy::Policy;

const OTHER: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/record/evidence.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON")
}

#[test]
fn every_form_about_records_is_proved_under_the_logs_key_and_no_other() {
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("a folder");
    let key = vectors["key"].as_str().expect("a key");
    let proved = vectors["proved"].as_array().expect("a list");
    assert_eq!(proved.len(), 9);
    for case in proved {
        let path = folder.path().join("it.evidence");
        std::fs::write(&path, case["file"].as_str().expect("a file")).expect("written");
        let path = path.to_string_lossy();
        let ended = daybook(&["verify-evidence", &path, "--key", key, "--json"]);
        assert_eq!(ended.status.code(), Some(0), "{}", case["form"]);
        let said: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let file = &said["files"][0];
        for name in ["form", "id", "summary"] {
            assert_eq!(file[name], case[name], "{name}");
        }
        assert_eq!((file["about"].as_str(), file["role"].as_str()), (Some("records"), Some("log")));
        let text = daybook(&["verify-evidence", &path, "--key", key]);
        let text = String::from_utf8(text.stdout).expect("UTF-8");
        assert!(text.contains(case["summary"].as_str().expect("a sentence")), "{text}");
        let stranger = daybook(&["verify-evidence", &path, "--key", OTHER]);
        assert_eq!(stranger.status.code(), Some(1));
        let python = |key: &str| minimal::verify(&[(&*path).into()], &[key.to_owned()]);
        assert_eq!(python(key), [Said::Proved], "{}", case["form"]);
        assert!(matches!(python(OTHER)[0], Said::NotProved(_)));
    }
}

/// Every value inside a value, by its pointer.
fn pointers(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{here}/{name}"), out));
        }
        Value::Array(items) => {
            items.iter().zip(0..).for_each(|(value, at)| pointers(value, &format!("{here}/{at}"), out));
        }
        _ => (),
    }
}

/// Statements like this one that are wrong in one place, or right in another way.
fn altered(leaf: &str) -> Vec<String> {
    let (text, signatures) = leaf.split_once("\n\n").expect("a note");
    let (kind, json) = text.split_once('\n').expect("two lines");
    let body: Value = serde_json::from_str(json).expect("JSON");
    let mut places = Vec::new();
    pointers(&body, "", &mut places);
    let mut all = vec![leaf.to_owned(), leaf.replacen("/v1", "/v2", 1), leaf.replacen("daybook", "day", 1)];
    all.push(format!("{kind}\n{json}\n{json}\n\n{signatures}"));
    all.push(format!("{kind}\n {json}\n\n{signatures}"));
    let instead =
        [Value::Null, 7.into(), (-1).into(), 0.5.into(), "x y".into(), "".into(), Value::Array(Vec::new())];
    for place in places.iter().filter(|place| !place.is_empty()) {
        let (parent, name) = place.rsplit_once('/').expect("a pointer");
        let mut without = body.clone();
        match without.pointer_mut(parent).expect("it is there") {
            Value::Object(members) => drop(members.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().expect("a place"))),
            _ => unreachable!("only these have members"),
        }
        let mut bodies = vec![without];
        for value in &instead {
            let mut other = body.clone();
            *other.pointer_mut(place).expect("it is there") = value.clone();
            bodies.push(other);
        }
        for body in bodies {
            let json = record::json::Value::from_serde(&body).expect("JSON").to_text();
            all.push(format!("{kind}\n{json}\n\n{signatures}"));
        }
    }
    all
}

#[test]
fn what_is_no_statement_for_us_is_none_for_the_program_in_python() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/record/statements.json");
    let vectors: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON");
    let leaves = |name: &str| -> Vec<String> {
        let cases = vectors[name].as_array().expect("a list").iter();
        cases.map(|case| case["leaf"].as_str().expect("a leaf").to_owned()).collect()
    };
    let log = leaves("log");
    let every = log.iter().flat_map(|leaf| altered(leaf)).enumerate();
    let some = every.filter(|(at, _)| at % 3 == 0).map(|(_, leaf)| leaf);
    let candidates: Vec<String> = some.chain(leaves("malformed")).chain(leaves("refused")).collect();
    assert!(candidates.len() > 300, "{}", candidates.len());

    let keys = Keys::new("log.gov.example/2026");
    let policy = Policy::parse(keys.policy(false).as_bytes()).expect("a policy");
    let key = policy.logs()[0].key.clone();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for (number, candidate) in candidates.iter().enumerate() {
        let mut tree = Tree::default();
        tree.push(log[0].clone().into_bytes());
        tree.push(candidate.clone().into_bytes());
        let note = Note::parse(&keys.sign(tree.head(), &[], 0)).expect("a note");
        let head = SignedHead::by(&key, &note).expect("signed");
        let mut blocks = head.blocks().to_vec();
        for (entry, at) in tree.entries.iter().zip(0..) {
            let proof = tree.inclusion(at).into_iter().map(|hash: Hash| hash.to_base64());
            blocks.push(std::iter::once(format!("entry {}", b64::encode(entry))).chain(proof).collect());
        }
        let header = [format!("accused {key}"), "entries 0 1".to_owned()];
        let bytes = container::format("record-malformed", &header, &blocks);
        let ours = RecordEvidence::parse(&bytes).expect("well-formed").verify(std::slice::from_ref(&key));
        expected.push(ours.map(|_| ()));
        files.push(folder.path().join(format!("{number}.evidence")));
        std::fs::write(&files[number], bytes).expect("written");
    }
    let (proved, not): (Vec<_>, Vec<_>) = expected.iter().partition(|ours| ours.is_ok());
    assert!(proved.len() > 100 && not.len() > 15, "{} and {}", proved.len(), not.len());
    let said = minimal::verify(&files, &[key.to_string()]);
    for ((theirs, ours), candidate) in said.iter().zip(&expected).zip(&candidates) {
        assert_eq!(*theirs == Said::Proved, ours.is_ok(), "{ours:?} and {theirs:?}: {candidate}");
    }
}

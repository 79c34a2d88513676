//! When an entry was entered, as `daybook verify` tells it offline from what witnesses say under a receipt.

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::agency::{arg, expect};
use tests::liar::{Keys, Tree};
use tlog::checkpoint::Checkpoint;
use tlog::ids::LeafIndex;
use tlog::note::{Note, SignatureLine};
use tlog::sign::CosignerEd25519;
use tlog::tlog_proof::TlogProof;

const ORIGIN: &str = "log.example/times";
/// 2026-11-23T09:30:00Z.
const FIRST: u64 = tests::START / 1000;
const MINUTE: u64 = 60;

/// Files of somebody who verifies, beside a log of nine entries.
struct Scene {
    folder: TempDir,
    keys: Keys,
    tree: Tree,
}

impl Scene {
    /// The policy asks for two of three witnesses, or for none.
    fn new(witnessed: bool) -> Self {
        let scene =
            Self { folder: TempDir::new().expect("a folder"), keys: Keys::new(ORIGIN), tree: Tree::of(9) };
        scene.write("policy.txt", scene.keys.policy(witnessed).as_bytes());
        scene.write("entry", b"entry 4");
        scene
    }

    fn path(&self, name: &str) -> String {
        arg(&self.folder.path().join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    /// The checkpoint of the first entries, with the signature of the log, and of each of these witnesses at its time.
    fn checkpoint(&self, size: usize, seen: &[(usize, u64)]) -> Note {
        let head = self.tree.first(size).head();
        let text = Checkpoint::new(ORIGIN.parse().expect("an origin"), head).to_text();
        let note = |cosigners: &[usize], seconds| {
            Note::parse(&self.keys.sign(head, cosigners, seconds)).expect("a note")
        };
        let mut lines = note(&[], 0).signatures().to_vec();
        lines.extend(
            seen.iter().map(|(witness, seconds)| note(&[*witness], *seconds).signatures()[1].clone()),
        );
        Note::new(text, lines).expect("a note")
    }

    /// Writes the receipt of entry 4 under that checkpoint, with more signatures if there are any.
    fn receipt(&self, seen: &[(usize, u64)], more: impl IntoIterator<Item = SignatureLine>) {
        let plain = self.checkpoint(9, seen);
        let lines = plain.signatures().iter().cloned().chain(more).collect();
        let checkpoint = plain.with_signatures(lines).expect("a note");
        let index = LeafIndex::new(4).expect("an index");
        let receipt = TlogProof { extra: None, index, proof: self.tree.inclusion(4), checkpoint };
        self.write("entry.tlog-proof", &receipt.to_bytes());
    }

    /// What is said, for people and for programs; the two must end with this code.
    fn verify(&self, code: i32, more: &[&str]) -> (String, Value) {
        let (entry, policy) = (self.path("entry"), self.path("policy.txt"));
        let arguments = [&["verify", entry.as_str(), "--policy", &policy][..], more].concat();
        let text = expect(code, &arguments);
        let document = expect(code, &[&arguments[..], &["--json"]].concat());
        (text, serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document}")))
    }
}

#[test]
fn an_entry_was_entered_at_the_latest_when_the_first_witness_saw_it() {
    let scene = Scene::new(true);
    scene.receipt(&[(0, FIRST + MINUTE), (1, FIRST)], []);
    let (text, document) = scene.verify(0, &[]);
    assert!(text.starts_with("RIGHT: "), "{text}");
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "  seen by witness witness-2.example at 2026-11-23T09:31:00Z",
            "  seen by witness witness-3.example at 2026-11-23T09:30:00Z",
            "  entered 2026-11-23T09:30:00Z at the latest",
        ]
    );
    assert_eq!(document["logged_before"], "2026-11-23T09:30:00Z");
    assert_eq!(document.get("logged_after"), None, "{document}");
    assert_eq!(
        document["witnesses"],
        json!([
            { "name": "witness-2.example", "at": "2026-11-23T09:31:00Z" },
            { "name": "witness-3.example", "at": "2026-11-23T09:30:00Z" },
        ])
    );
}

#[test]
fn an_older_checkpoint_without_the_entry_says_when_it_was_not_there_yet() {
    let scene = Scene::new(true);
    scene.receipt(&[(0, FIRST), (1, FIRST + MINUTE)], []);
    let earlier = scene.path("earlier");
    let hour_before = [(0, FIRST - 61 * MINUTE), (2, FIRST - 60 * MINUTE)];
    scene.write("earlier", &scene.checkpoint(4, &hour_before).to_bytes());
    let (text, document) = scene.verify(0, &["--earlier", &earlier]);
    assert!(text.ends_with("\n  entered between 2026-11-23T08:30:00Z and 2026-11-23T09:30:00Z\n"), "{text}");
    assert_eq!(document["logged_after"], "2026-11-23T08:30:00Z");
    assert_eq!(document["logged_before"], "2026-11-23T09:30:00Z");
    // A tree that reaches to the entry says nothing about the time before it.
    scene.write("earlier", &scene.checkpoint(5, &hour_before).to_bytes());
    let (text, document) = scene.verify(1, &["--earlier", &earlier]);
    assert!(text.starts_with("WRONG: ") && text.contains("may hold entry 4 already"), "{text}");
    assert_eq!(document["exit_code"], 1);
}

#[test]
fn a_witness_with_several_keys_is_one_witness_and_its_first_time_counts() {
    let scene = Scene::new(true);
    let second = CosignerEd25519::from_seed("witness-2.example".parse().expect("a name"), &[9; 32]);
    let policy = scene.keys.policy(true).replace(
        "group all 2 w0 w1 w2\n",
        &format!("witness w9 {}\ngroup w any w0 w9\ngroup all 2 w w1 w2\n", second.verifier_key()),
    );
    scene.write("policy.txt", policy.as_bytes());
    let text = scene.checkpoint(9, &[]).text().to_owned();
    scene.receipt(&[(0, FIRST + MINUTE), (1, FIRST + 2 * MINUTE)], [second.cosign(&text, FIRST)]);
    let (text, document) = scene.verify(0, &[]);
    assert!(text.ends_with("\n  entered 2026-11-23T09:30:00Z at the latest\n"), "{text}");
    assert_eq!(
        document["witnesses"],
        json!([
            { "name": "witness-2.example", "at": "2026-11-23T09:30:00Z" },
            { "name": "witness-3.example", "at": "2026-11-23T09:32:00Z" },
        ])
    );
}

#[test]
fn without_witnesses_there_is_no_time_and_a_stranger_gives_none() {
    let scene = Scene::new(false);
    let stranger = CosignerEd25519::from_seed("stranger.example".parse().expect("a name"), &[9; 32]);
    let text = scene.checkpoint(9, &[]).text().to_owned();
    scene.receipt(&[], [stranger.cosign(&text, FIRST)]);
    let (text, document) = scene.verify(0, &[]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(document.get("logged_before"), None, "{document}");
    assert_eq!(document["witnesses"], json!([]));
    // Where the policy asks for witnesses, a receipt that none has seen is not accepted at all.
    scene.write("policy.txt", scene.keys.policy(true).as_bytes());
    let (text, document) = scene.verify(1, &[]);
    assert!(text.contains("quorum of witnesses is not met"), "{text}");
    assert_eq!(document["exit_code"], 1);
}

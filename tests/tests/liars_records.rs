//! A log of records that lies about what it admitted: where two or three entries show it there is an evidence file, which
//! four programs verify; where it takes a full copy, an alarm.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use monitor::replay::{Replay, Step};
use monitor::verdict::State;
use record::statement::{AgencyAction, Body, Statement};
use serde_json::Value;
use tests::binaries::binary;
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::minimal::{self, Said};
use tests::records::{Office, Signer, World, previous, sign};
use tests::watch::Watch;
use tlog::hash::{leaf_hash, sha256};
use tlog::sign::Ed25519Signer;

const LOG: &str = "log.gov.example/2026";

/// A log of records with its keys, two agencies, and a monitor that judges it.
struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
    world: World,
    treasury: Office,
    health: Office,
    tree: Tree,
}

impl Scene {
    fn new() -> Self {
        let (keys, log, world) = (Keys::new(LOG), Liar::start(), World::new(LOG));
        let (treasury, health) = (Office::new("treasury.example"), Office::new("health.example"));
        let mut tree = Tree::default();
        for entry in [
            world.genesis(),
            world.enrol(&treasury),
            world.open(&treasury, "country"),
            world.put(&treasury, "country", "GB", None, r#"{"name":"Britain"}"#),
            world.enrol(&health),
        ] {
            tree.push(entry);
        }
        let config = format!("genesis = \"{}\"", leaf_hash(&tree.entries[0]));
        let watch = Watch::new(LOG, &[log.url()], &keys.policy(true), &config);
        Self { keys, log, watch, world, treasury, health, tree }
    }

    fn put(&self, key: &str, after: Option<&[u8]>, public: &str) -> Vec<u8> {
        self.world.put(&self.treasury, "country", key, after.and_then(previous), public)
    }

    fn serve(&self) {
        self.log.serve(&self.tree, self.keys.sign(self.tree.head(), &[0, 1], self.watch.seconds()));
    }

    fn replay(&self) -> Replay {
        Replay::open(Arc::clone(self.watch.case())).expect("a replay").expect("a pinned genesis")
    }

    /// Serves the tree, verifies and judges it.
    fn judge(&mut self) -> State {
        self.serve();
        let mut replay = self.replay();
        self.watch.round();
        while replay.step(Duration::ZERO).expect("the monitor goes on") == Step::Judged {}
        self.watch.verdict().state
    }

    /// The log takes this entry, and one good one after it, and is caught with evidence of this form.
    fn proves(mut self, entry: Vec<u8>, form: &str) {
        assert_eq!(self.judge(), State::Verified, "before: {:?}", self.watch.verdict());
        self.tree.push(entry);
        let after = self.put("DE", None, "{}");
        self.tree.push(after);
        assert_eq!(self.judge(), State::Misbehaving, "{form}: {:?}", self.watch.verdict());
        assert_eq!(self.watch.evidence(), [form]);
        assert!(self.watch.alarms().is_empty(), "evidence says it: {:?}", self.watch.alarms());
        assert_eq!(self.replay().registry().size().get(), self.tree.entries.len() as u64);
        four_programs_agree(&self.watch.evidence_files()[0], form, &self.keys.policy(true));
        self.watch.restart();
        assert_eq!(self.watch.verdict().state, State::Misbehaving, "a restart clears nothing");
        assert_eq!(self.watch.evidence(), [form]);
    }
}

/// The same verdict in the same words from three programs, and the same verdict from the minimal one.
fn four_programs_agree(file: &Path, form: &str, policy: &str) {
    let (shown, folder) = (file.to_string_lossy(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("policy.txt");
    std::fs::write(&path, policy).expect("written");
    let path = path.to_string_lossy();
    let ask = |program: &str| {
        let arguments = ["verify-evidence", &shown, "--policy", &path, "--json"];
        let answer = Command::new(binary(program)).args(arguments).output().expect("it starts");
        assert_eq!(answer.status.code(), Some(0), "{program}: {answer:?}");
        serde_json::from_slice::<Value>(&answer.stdout).expect("JSON")
    };
    let verdict = ask("daybook");
    assert_eq!(verdict["files"][0]["form"], form);
    assert_eq!(verdict, ask("daybook-monitor"));
    assert_eq!(verdict, ask("daybook-witness"));
    let key = policy.split_whitespace().nth(1).expect("the log's key");
    assert_eq!(minimal::verify(&[file.to_owned()], &[key.to_owned()]), [Said::Proved]);
}

#[test]
fn an_entry_that_is_no_statement_is_proved() {
    Scene::new().proves(b"not a statement".to_vec(), "record-malformed");
}

/// The operator enters what an agency never signed: the text alone, or with the empty line below which signatures stand.
#[test]
fn a_statement_that_nobody_signed_is_proved_and_says_nothing() {
    let unsigned = |body: &Body, end: &str| format!("{}{end}", body.to_text()).into_bytes();
    let record = |scene: &Scene| {
        Body::Record(scene.world.record_body(&scene.treasury, "country", "FR", None, r#"{"name":"France"}"#))
    };
    // With this one the publisher could not sign what comes after it.
    let revoke = |scene: &Scene| {
        let (keys, reason) = (vec![scene.treasury.publisher.key()], "Stolen.".parse().expect("a reason"));
        let latest = previous(&scene.tree.entries[1]);
        scene.world.agency_body(&scene.treasury, latest, AgencyAction::Revoke { keys, reason })
    };
    for end in ["", "\n"] {
        let scene = Scene::new();
        let entry = unsigned(&record(&scene), end);
        scene.proves(entry, "record-malformed");
        let scene = Scene::new();
        let entry = unsigned(&revoke(&scene), end);
        scene.proves(entry, "record-malformed");
        // The agency signs the very text afterwards: what nobody signed is in nobody's way.
        let mut scene = Scene::new();
        let body = record(&scene);
        scene.tree.push(unsigned(&body, end));
        let signed = sign(&body, &[&scene.treasury.publisher]);
        let next = scene.put("FR", Some(&signed), "{}");
        scene.tree.push(signed);
        scene.tree.push(next);
        assert_eq!(scene.judge(), State::Misbehaving, "{:?}", scene.watch.verdict());
        assert_eq!(scene.watch.evidence(), ["record-malformed"]);
        assert!(scene.watch.alarms().is_empty(), "{:?}", scene.watch.alarms());
    }
}

#[test]
fn a_second_genesis_is_proved() {
    let scene = Scene::new();
    let second = scene.world.genesis();
    scene.proves(second, "record-genesis");
}

#[test]
fn a_statement_for_another_log_is_proved() {
    let scene = Scene::new();
    let other = World::new("log.gov.example/2025").put(&scene.treasury, "country", "FR", None, "{}");
    scene.proves(other, "record-other-log");
}

#[test]
fn a_statement_that_another_agency_signed_is_proved() {
    let scene = Scene::new();
    let body = Body::Record(scene.world.record_body(&scene.treasury, "country", "FR", None, "{}"));
    let forged = sign(&body, &[&scene.health.publisher]);
    scene.proves(forged, "record-foreign-key");
}

#[test]
fn a_statement_that_is_there_twice_is_proved() {
    let scene = Scene::new();
    let again = scene.tree.entries[3].clone();
    scene.proves(again, "record-repeated");
}

#[test]
fn a_lost_update_is_proved_however_long_the_history_is() {
    let mut scene = Scene::new();
    for version in 0..20 {
        let last = scene.tree.entries.iter().rev().find(|entry| is_of(entry, "GB")).expect("a version");
        let next = scene.put("GB", Some(last), &format!("{{\"version\":{version}}}"));
        scene.tree.push(next);
        let between = scene.put(&format!("K{version}"), None, "{}");
        scene.tree.push(between);
    }
    let first = scene.tree.entries[3].clone();
    let lost = scene.put("GB", Some(&first), r#"{"version":"another"}"#);
    scene.proves(lost, "record-forked-chain");
}

fn is_of(entry: &[u8], key: &str) -> bool {
    let statement = Statement::parse(entry).expect("a statement");
    matches!(statement.body(), Body::Record(record) if record.key.as_str() == key)
}

#[test]
fn a_second_enrolment_of_an_agency_is_proved() {
    let scene = Scene::new();
    let mut impostor = Office::new("impostor.example");
    impostor.id = scene.treasury.id.clone();
    impostor.officers =
        ["x1", "x2", "x3"].map(|name| Signer::ed25519(&format!("treasury.example/{name}"))).into();
    impostor.publisher = Signer::ed25519("treasury.example/x4");
    let forged = scene.world.enrol(&impostor);
    scene.proves(forged, "record-forked-chain");
}

#[test]
fn a_key_that_is_brought_in_twice_is_proved() {
    let scene = Scene::new();
    let mut thief = Office::new("thief.example");
    let seed = *sha256(b"treasury.example/officer-1").as_bytes();
    let name = "thief.example/officer-1".parse().expect("a name");
    thief.officers[0] = Signer::Ed25519(Ed25519Signer::from_seed(name, &seed));
    let enrolment = scene.world.enrol(&thief);
    scene.proves(enrolment, "record-key-twice");
}

#[test]
fn a_statement_by_a_revoked_key_is_proved() {
    let mut scene = Scene::new();
    let action = AgencyAction::Revoke {
        keys: vec![scene.treasury.publisher.key()],
        reason: "Stolen.".parse().expect("a reason"),
    };
    let latest = previous(&scene.tree.entries[1]);
    let revoke = sign(&scene.world.agency_body(&scene.treasury, latest, action), &scene.treasury.quorum());
    scene.tree.push(revoke);
    let forged = scene.put("GB", Some(&scene.tree.entries[3].clone()), "{}");
    assert_eq!(scene.judge(), State::Verified, "{:?}", scene.watch.verdict());
    scene.tree.push(forged);
    assert_eq!(scene.judge(), State::Misbehaving, "{:?}", scene.watch.verdict());
    assert_eq!(scene.watch.evidence(), ["record-ended-key"]);
    four_programs_agree(&scene.watch.evidence_files()[0], "record-ended-key", &scene.keys.policy(true));
}

#[test]
fn a_signature_that_does_not_verify_is_proved() {
    let scene = Scene::new();
    let body = Body::Record(scene.world.record_body(&scene.treasury, "country", "FR", None, "{}"));
    let line = scene.treasury.publisher.sign("another text\n");
    let forged = Statement::assemble(&body.to_text(), vec![line]).expect("a statement").to_bytes();
    scene.proves(forged, "record-bad-signature");
}

#[test]
fn what_takes_a_full_copy_to_see_is_an_alarm_and_accuses_nobody() {
    let thief = Signer::ed25519("treasury.example/officer-9");
    let scene = Scene::new();
    let record = |key: &str| scene.world.record_body(&scene.treasury, "country", key, None, "{}");
    let by_the_thief = sign(&Body::Record(record("FR")), &[&thief]);
    let mut nowhere = record("FR");
    nowhere.register = "planet".parse().expect("a register");
    let no_register = sign(&Body::Record(nowhere), &[&scene.treasury.publisher]);
    let follows_nothing = scene.put("FR", Some(b"an entry that is not there"), "{}");
    let too_few = Body::Register(scene.world.register_body(&scene.treasury, "planet", None));
    let too_few = sign(&too_few, &[&scene.treasury.officers[0]]);
    let later = String::from_utf8(scene.put("FR", None, "{}")).expect("text");
    let text = later.split_once("\n\n").expect("a note").0.replace("record/v1", "record/v2") + "\n";
    let line = scene.treasury.publisher.sign(&text);
    let newer = format!("{text}\n{line}\n").into_bytes();
    for (code, entry) in [
        ("unknown_key", by_the_thief),
        ("unknown_register", no_register),
        ("stale_previous", follows_nothing),
        ("quorum", too_few),
        ("kind", newer),
    ] {
        let mut scene = Scene::new();
        scene.tree.push(entry);
        let after = scene.put("DE", None, "{}");
        scene.tree.push(after);
        assert_eq!(scene.judge(), State::Damaged, "{code}: {:?}", scene.watch.verdict());
        assert_eq!(scene.watch.alarms(), ["inadmissible"]);
        assert!(scene.watch.verdict().reason.contains(code), "{:?}", scene.watch.verdict());
        assert!(scene.watch.evidence().is_empty(), "{code}");
    }
}

#[test]
fn evidence_that_cannot_be_had_yet_is_made_once_its_entries_are_verified() {
    let mut scene = Scene::new();
    scene.tree.push(b"not a statement".to_vec());
    for number in 0..300 {
        let put = scene.put(&format!("K{number}"), None, "{}");
        scene.tree.push(put);
    }
    scene.serve();
    scene.log.reply("tile/entries/001.p/50", Reply::Body(404, Vec::new()));
    let mut replay = scene.replay();
    scene.watch.round();
    assert_eq!(scene.watch.verified(), None, "the second bundle is missing");
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.push(replay.step(Duration::ZERO).expect("the monitor goes on"));
    }
    assert_eq!(steps.iter().filter(|step| **step == Step::Waiting).count(), 1, "{steps:?}");
    assert!(scene.watch.evidence().is_empty(), "not under a head that is not verified");
    assert!(scene.watch.alarms().contains(&"inadmissible".to_owned()), "{:?}", scene.watch.alarms());
    scene.log.heal();
    scene.watch.round();
    scene.watch.clock.advance(Duration::from_secs(11));
    while replay.step(Duration::ZERO).expect("the monitor goes on") == Step::Judged {}
    assert_eq!(scene.watch.evidence(), ["record-malformed"]);
    assert_eq!(scene.watch.verdict().state, State::Misbehaving);
    assert!(!scene.watch.alarms().contains(&"inadmissible".to_owned()), "the file says it now");
}

#[test]
fn a_log_full_of_inadmissible_entries_is_proved_by_its_first_ones_and_told_in_bounds() {
    let mut scene = Scene::new();
    for number in 0..100 {
        scene.tree.push(format!("junk {number}").into_bytes());
    }
    assert_eq!(scene.judge(), State::Misbehaving);
    assert_eq!(scene.watch.evidence().len(), 64);
    let alarms = scene.watch.case().store.alarms(LOG).expect("alarms");
    assert_eq!(alarms.len(), 36, "the others are alarms");
}

//! A log of records, replayed: every statement is judged as admission does, none is stepped over, and what ought not
//! to be there is found in a tree that is otherwise right.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monitor::replay::{Replay, Step};
use monitor::verdict::State;
use record::statement::{
    Agency, AgencyAction, Body, Content, Genesis, KeyGrant, KeyRule, KeySet, Record, Register, Role,
    Statement,
};
use tests::liar::{Keys, Liar, Tree};
use tests::watch::Watch;
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::sign::Ed25519Signer;

const LOG: &str = "log.gov.example/2026";
const REGISTRAR: &str = "registrar.gov.example";
const AGENCY: &str = "treasury.gov.example";

fn signer(name: &str) -> Ed25519Signer {
    Ed25519Signer::from_seed(name.parse().expect("as in the fixture"), sha256(name.as_bytes()).as_bytes())
}

fn registrars() -> Vec<Ed25519Signer> {
    ["one", "three", "two"].map(|name| signer(&format!("{REGISTRAR}/{name}"))).into()
}

fn officer() -> Ed25519Signer {
    signer(&format!("{AGENCY}/officer"))
}

fn key_set(signers: &[Ed25519Signer], quorum: u8) -> KeySet {
    let grant = |signer: &Ed25519Signer| KeyGrant { key: signer.verifier_key(), role: Role::Officer };
    KeySet { keys: signers.iter().map(grant).collect(), quorum, recovery: None }
}

fn signed(body: &Body, by: &[&Ed25519Signer]) -> Vec<u8> {
    let text = body.to_text();
    let lines = by.iter().map(|signer| signer.sign(&text)).collect();
    Statement::assemble(&text, lines).expect("as in the fixture").to_bytes()
}

fn genesis() -> Vec<u8> {
    let registrars = registrars();
    let body = Body::Genesis(Genesis {
        at: "2026-01-01T00:00:00Z".parse().expect("as in the fixture"),
        log: LOG.parse().expect("as in the fixture"),
        registrar: REGISTRAR.parse().expect("as in the fixture"),
        title: "Registrar".parse().expect("as in the fixture"),
        keys: key_set(&registrars, 2),
    });
    signed(&body, &registrars.iter().collect::<Vec<_>>())
}

fn enrol() -> Vec<u8> {
    let body = Body::Agency(Agency {
        agency: AGENCY.parse().expect("as in the fixture"),
        at: "2026-01-02T00:00:00Z".parse().expect("as in the fixture"),
        log: LOG.parse().expect("as in the fixture"),
        previous: None,
        action: AgencyAction::Enrol {
            title: "Treasury".parse().expect("as in the fixture"),
            keys: key_set(&[officer()], 1),
        },
    });
    let (registrars, officer) = (registrars(), officer());
    signed(&body, &[&registrars[0], &registrars[1], &officer])
}

fn register() -> Vec<u8> {
    let body = Body::Register(Register {
        agency: AGENCY.parse().expect("as in the fixture"),
        register: "country".parse().expect("as in the fixture"),
        at: "2026-01-03T00:00:00Z".parse().expect("as in the fixture"),
        log: LOG.parse().expect("as in the fixture"),
        previous: None,
        title: "Countries".parse().expect("as in the fixture"),
        licence: "OGL-UK-3.0".parse().expect("as in the fixture"),
        approvals: 0,
        keys: KeyRule::Public,
        prefix: None,
        fields: BTreeMap::new(),
        attachments: Vec::new(),
        schema: None,
        calendar: None,
    });
    signed(&body, &[&officer()])
}

fn record_by(by: &Ed25519Signer, log: &str, key: &str, previous: Option<Hash>, name: &str) -> Vec<u8> {
    let public = [("name".to_owned(), record::json::Value::from(name))].into_iter().collect();
    let body = Body::Record(Record {
        agency: AGENCY.parse().expect("as in the fixture"),
        register: "country".parse().expect("as in the fixture"),
        key: key.parse().expect("as in the fixture"),
        at: "2026-02-01T00:00:00Z".parse().expect("as in the fixture"),
        log: log.parse().expect("as in the fixture"),
        previous,
        content: Some(Content { public, ..Content::default() }),
    });
    signed(&body, &[by])
}

fn country(key: &str, previous: Option<Hash>, name: &str) -> Vec<u8> {
    record_by(&officer(), LOG, key, previous, name)
}

/// A small log, in order: three that set it up, and two versions of one record.
fn good() -> Tree {
    let mut tree = Tree::default();
    for entry in [genesis(), enrol(), register(), country("GB", None, "Britain")] {
        tree.push(entry);
    }
    let first = leaf_hash(&tree.entries[3]);
    tree.push(country("GB", Some(first), "United Kingdom"));
    tree
}

struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
}

fn scene(genesis: Hash) -> Scene {
    let (keys, log) = (Keys::new(LOG), Liar::start());
    let config = format!("genesis = \"{genesis}\"");
    let watch = Watch::new(LOG, &[log.url()], &keys.policy(true), &config);
    Scene { keys, log, watch }
}

impl Scene {
    /// Verifies a tree and judges it, as far as it goes.
    fn judge(&mut self, tree: &Tree) -> State {
        self.log.serve(tree, self.keys.sign(tree.head(), &[0, 1], self.watch.seconds()));
        let mut replay = Replay::open(Arc::clone(self.watch.case()))
            .expect("as in the fixture")
            .expect("a pinned genesis");
        self.watch.round();
        assert_eq!(self.watch.verified(), Some(tree.entries.len() as u64), "{:?}", self.watch.verdict());
        while replay.step(Duration::ZERO).expect("as in the fixture") == Step::Judged {}
        self.watch.verdict().state
    }
}

fn pinned() -> Hash {
    leaf_hash(&genesis())
}

#[test]
fn a_log_of_admissible_statements_is_verified_and_judging_goes_on_where_it_was() {
    let mut scene = scene(pinned());
    let mut tree = good();
    for size in [1, 3, 5] {
        assert_eq!(scene.judge(&tree.first(size)), State::Verified, "{:?}", scene.watch.verdict());
        scene.watch.restart();
    }
    let latest = leaf_hash(&tree.entries[4]);
    tree.push(country("GB", Some(latest), "Britain again"));
    assert_eq!(scene.judge(&tree), State::Verified, "the chain was kept: {:?}", scene.watch.verdict());
    let replay =
        Replay::open(Arc::clone(scene.watch.case())).expect("as in the fixture").expect("as in the fixture");
    assert_eq!(replay.registry().size().get(), 6);
    assert_eq!(replay.registry().agencies().len(), 2);
    assert!(scene.watch.alarms().is_empty() && scene.watch.evidence().is_empty());
}

#[test]
fn verified_is_not_said_before_every_statement_is_judged() {
    let mut scene = scene(pinned());
    let tree = good();
    scene.log.serve(&tree, scene.keys.sign(tree.head(), &[0, 1], scene.watch.seconds()));
    let _replay = Replay::open(Arc::clone(scene.watch.case())).expect("as in the fixture");
    assert_eq!(scene.watch.round().state, State::Behind);
    assert_eq!(scene.watch.verified(), Some(5), "judging never delays verification");
}

#[test]
fn judging_shows_its_rate_and_the_time_that_is_left_as_verification_does() {
    let mut scene = scene(pinned());
    let mut tree = good();
    (0..700).for_each(|number| tree.push(country(&format!("K{number}"), None, "one of many")));
    scene.log.serve(&tree, scene.keys.sign(tree.head(), &[0, 1], scene.watch.seconds()));
    let mut replay =
        Replay::open(Arc::clone(scene.watch.case())).expect("as in the fixture").expect("as in the fixture");
    assert_eq!(scene.watch.round().state, State::Behind);
    let pace = |scene: &Scene| {
        let pace = scene.watch.case().pace();
        (pace.entries_per_second, pace.seconds_left)
    };
    assert_eq!(replay.step(Duration::ZERO).expect("as in the fixture"), Step::Judged);
    assert_eq!(pace(&scene), (None, None), "one bundle is no rate");
    scene.watch.clock.advance(Duration::from_secs(10));
    assert_eq!(replay.step(Duration::ZERO).expect("as in the fixture"), Step::Judged);
    assert_eq!(pace(&scene), (Some(25), Some(7)), "256 in ten seconds, and 193 are left");
    while replay.step(Duration::ZERO).expect("as in the fixture") == Step::Judged {}
    assert_eq!((scene.watch.round().state, pace(&scene)), (State::Verified, (None, None)));
}

#[test]
fn what_ought_not_to_be_admitted_is_an_alarm_that_stays_and_what_follows_is_judged_all_the_same() {
    let thief = signer(&format!("{AGENCY}/officer-2"));
    let cases = [
        ("unknown_key", record_by(&thief, LOG, "FR", None, "France")),
        ("stale_previous", country("GB", Some(leaf_hash(b"nothing")), "it follows nothing that was there")),
    ];
    for (code, entry) in cases {
        let mut scene = scene(pinned());
        let mut tree = good();
        tree.push(entry);
        tree.push(country("DE", None, "Germany"));
        assert_eq!(scene.judge(&tree), State::Damaged, "{code}");
        let reason = scene.watch.verdict().reason;
        assert!(reason.contains(code) && reason.contains("entry 5"), "{code}: {reason}");
        assert_eq!(scene.watch.alarms(), ["inadmissible"]);
        assert!(scene.watch.evidence().is_empty());
        let latest = leaf_hash(&tree.entries[6]);
        tree.push(country("DE", Some(latest), "Deutschland"));
        assert_eq!(scene.judge(&tree), State::Damaged, "it does not clear");
        scene.watch.restart();
        assert_eq!(scene.judge(&tree), State::Damaged);
        let alarms = scene.watch.case().store.alarms(LOG).expect("as in the fixture");
        assert_eq!(alarms.len(), 1, "what follows is admissible: {alarms:?}");
        let replay = Replay::open(Arc::clone(scene.watch.case()))
            .expect("as in the fixture")
            .expect("as in the fixture");
        assert_eq!(replay.registry().size().get(), 8, "no entry is stepped over");
    }
}

#[test]
fn a_log_that_begins_otherwise_than_pinned_is_not_judged_and_not_called_right() {
    let mut scene = scene(leaf_hash(b"another genesis"));
    assert_eq!(scene.judge(&good()), State::Damaged);
    assert_eq!(scene.watch.alarms(), ["genesis"]);
}

fn with_an_inadmissible_entry() -> Tree {
    let mut tree = good();
    tree.push(country("GB", Some(leaf_hash(b"nothing")), "it follows nothing that was there"));
    tree
}

const DATABASE: [&str; 3] = ["monitor.sqlite", "monitor.sqlite-wal", "monitor.sqlite-shm"];

#[test]
fn the_loss_of_the_database_does_not_make_an_inadmissible_entry_admissible() {
    let (mut scene, tree) = (scene(pinned()), with_an_inadmissible_entry());
    assert_eq!(scene.judge(&tree), State::Damaged);
    scene.watch.end();
    for file in DATABASE {
        // Two of them may not be there.
        let _ = std::fs::remove_file(scene.watch.dir().join(file));
    }
    scene.watch.restart();
    assert_eq!(scene.judge(&tree), State::Damaged, "{:?}", scene.watch.verdict());
    assert!(scene.watch.alarms().contains(&"inadmissible".to_owned()), "{:?}", scene.watch.alarms());
}

#[test]
fn an_older_copy_of_the_database_does_not_make_an_inadmissible_entry_admissible() {
    let (mut scene, tree) = (scene(pinned()), with_an_inadmissible_entry());
    let before = tree.first(5);
    assert_eq!(scene.judge(&before), State::Verified, "{:?}", scene.watch.verdict());
    scene.watch.end();
    let database = scene.watch.dir().join(DATABASE[0]);
    let copy = std::fs::read(&database).expect("as in the fixture");
    scene.watch.restart();
    assert_eq!(scene.judge(&tree), State::Damaged);
    scene.watch.end();
    std::fs::write(&database, copy).expect("as in the fixture");
    scene.watch.restart();
    assert_eq!(scene.judge(&tree), State::Damaged, "{:?}", scene.watch.verdict());
    assert_eq!(scene.watch.alarms(), ["inadmissible"]);
    let alarms = scene.watch.case().store.alarms(LOG).expect("as in the fixture");
    scene.watch.restart();
    assert_eq!(scene.judge(&tree), State::Damaged);
    assert_eq!(scene.watch.case().store.alarms(LOG).expect("as in the fixture"), alarms, "told once");
}

/// Damages a page in the middle of a database.
fn break_middle_page(path: &Path) {
    let mut bytes = std::fs::read(path).expect("as in the fixture");
    let pages = bytes.len() / 4096;
    assert!(pages > 2, "{pages} pages");
    bytes[pages / 2 * 4096] ^= 0x55;
    std::fs::write(path, bytes).expect("as in the fixture");
}

#[test]
fn a_lost_replay_is_made_again() {
    let mut scene = scene(pinned());
    let tree = good();
    assert_eq!(scene.judge(&tree), State::Verified);
    let folder = scene.watch.dir().join("logs").join(sha256(LOG.as_bytes()).to_string());
    let path = folder.join("records.sqlite");
    let breaks: [fn(&Path); 2] = [break_middle_page, |path| {
        let mut bytes = std::fs::read(path).expect("as in the fixture");
        bytes[..64].fill(0x33);
        std::fs::write(path, bytes).expect("as in the fixture");
    }];
    for damage in breaks {
        scene.watch.end();
        damage(&path);
        scene.watch.restart();
        assert_eq!(scene.judge(&tree), State::Verified, "{:?}", scene.watch.verdict());
        assert_eq!(scene.watch.alarms(), ["state-lost"], "it is said");
        assert_eq!(scene.judge(&tree), State::Verified);
        assert!(scene.watch.alarms().is_empty(), "everything is judged again");
        // Each copy that is moved aside has a name of its own.
        scene.watch.clock.advance(Duration::from_secs(1));
    }
}

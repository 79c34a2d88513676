//! Erasing where something goes wrong between a tombstone and its end, against the real executable: witnesses that are
//! away, another program that has the vault's files open, values that are shown meanwhile; and what is damaged or too much.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use rusqlite::Connection;
use tests::cosigners::{Mood, Witnesses};
use tests::letters::{ALL, FIELDS, Letter, VaultKeys, open, post, vault_keys};
use tests::records::{Office, World};
use tests::server::{Answer, ORIGIN, Server, Site};
use tests::{all_bytes, contains};
use tlog::hash::leaf_hash;
use tlog::tlog_proof::TlogProof;

/// Looks at a condition again and again, for a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

struct Scene {
    server: Server,
    site: Site,
    world: World,
    office: Office,
}

impl Scene {
    fn new() -> Self {
        Self::around(Site::new("records"))
    }

    fn around(site: Site) -> Self {
        let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
        let server = site.start();
        let scene = Self { server, site, world, office };
        eventually("the log is ready", || scene.server.admin("/readyz").status == 200);
        for statement in open(&scene.world, &scene.office) {
            post(&statement).good(scene.server.address());
        }
        scene
    }

    fn letter(&self, key: &str) -> (Letter, u64) {
        let letter = Letter::new(&self.world, &self.office, key);
        let index = letter.publish(&self.office, self.server.address());
        (letter, index)
    }

    fn read(&self, letter: &Letter) -> Answer {
        letter.read().send(self.server.address()).unwrap()
    }

    fn read_shown(&self, letter: &Letter) -> Answer {
        letter.read_shown().send(self.server.address()).unwrap()
    }

    /// Whether any of these keys is in any file of the vault.
    fn has_any(&self, keys: &[&[u8; 32]]) -> bool {
        let bytes = all_bytes(&self.site.dir().join("vault"));
        keys.iter().any(|key| contains(&bytes, *key))
    }

    fn vault(&self, file: &str) -> Connection {
        Connection::open(self.site.dir().join("vault").join(file)).unwrap()
    }

    /// The answer is "erased", with the receipt of this tombstone.
    fn is_gone(&self, answer: &Answer, tombstone: &[u8]) {
        assert_eq!(answer.status, 410, "{}", answer.text());
        let receipt = answer.json()["tombstone"]["receipt"].as_str().unwrap().to_owned();
        let receipt = TlogProof::parse(receipt.as_bytes()).unwrap();
        receipt.verify(&leaf_hash(tombstone), &self.site.policy()).unwrap();
    }
}

fn unknown(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["type"], "urn:daybook:problem:outcome-unknown");
}

#[test]
fn a_tombstone_whose_quorum_came_late_is_carried_out_though_nobody_sends_it_again() {
    let witnesses = Witnesses::new(3);
    let addresses = witnesses.listen();
    let policy = witnesses.policy(2, |at| format!("http://{}", addresses[at]));
    let site = Site::with("records", Some(&policy));
    site.configure("deadline = \"5s\"", "deadline = \"1s\"");
    let origin = ORIGIN.parse().unwrap();
    witnesses.accept(daybook::keys::load(&site.dir(), &origin).unwrap().verifier_keys());
    let scene = Scene::around(site);
    let (letter, index) = scene.letter("A");
    let all: VaultKeys = vault_keys(&scene.site.dir());
    let keys = letter.keys(&all);
    assert_eq!(keys.len(), 3, "of the attachment and of two fields");

    witnesses.set_all(&Mood::Down);
    let tombstone = letter.tombstone(&scene.world, &scene.office, index, &ALL);
    unknown(&post(&tombstone).send(scene.server.address()).unwrap());
    assert_eq!(scene.read(&letter).status, 200, "it is not public");
    assert!(scene.has_any(&keys));

    witnesses.set_all(&Mood::Honest);
    eventually("the attachment is erased", || scene.read(&letter).status == 410);
    scene.is_gone(&scene.read(&letter), &tombstone);
    scene.is_gone(&scene.read_shown(&letter), &tombstone);
    eventually("the keys are destroyed", || !scene.has_any(&keys));
    assert!(all_bytes(&scene.site.dir().join("vault/attachments")).is_empty(), "and the file");
}

#[test]
fn what_a_published_tombstone_names_is_shown_to_nobody_while_it_cannot_be_erased_and_erased_when_it_can() {
    let scene = Scene::new();
    let (letter, index) = scene.letter("A");
    let all = vault_keys(&scene.site.dir());
    // Those of the fields come first.
    let key = &letter.keys(&all)[FIELDS.len()..];
    let writer = scene.vault("values.sqlite");
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tombstone = letter.tombstone(&scene.world, &scene.office, index, &ALL[..1]);
    unknown(&post(&tombstone).send(scene.server.address()).unwrap());
    scene.is_gone(&scene.read(&letter), &tombstone);
    let again = letter.upload(&scene.office).send(scene.server.address()).unwrap();
    scene.is_gone(&again, &tombstone);
    assert!(scene.has_any(key), "it is still there");
    eventually("it is told", || scene.server.metric("daybook_erasures_overdue").as_deref() == Some("1"));
    assert_ne!(scene.server.metric("daybook_erase_failures_total").as_deref(), Some("0"));

    writer.execute_batch("ROLLBACK").unwrap();
    eventually("the key is destroyed", || !scene.has_any(key));
    eventually("it is told", || scene.server.metric("daybook_erasures_overdue").as_deref() == Some("0"));
    scene.is_gone(&scene.read(&letter), &tombstone);
    post(&tombstone).good(scene.server.address());
    assert!(
        FIELDS.iter().all(|field| letter.is_shown(&scene.read_shown(&letter), field)),
        "nothing else is lost"
    );
}

#[test]
fn what_was_deleted_while_another_program_read_is_in_no_file_once_that_has_ended() {
    let scene = Scene::new();
    let (letter, index) = scene.letter("A");
    let all = vault_keys(&scene.site.dir());
    let keys = letter.keys(&all);
    let reader = scene.vault("keys.sqlite");
    reader.execute_batch("BEGIN; SELECT * FROM key; SELECT * FROM attachment;").unwrap();
    let tombstone = letter.tombstone(&scene.world, &scene.office, index, &ALL);
    unknown(&post(&tombstone).send(scene.server.address()).unwrap());
    assert!(scene.has_any(&keys), "deleted, and still in a file: not acknowledged");
    reader.execute_batch("COMMIT").unwrap();
    post(&tombstone).good(scene.server.address());
    assert!(!scene.has_any(&keys), "acknowledged is erased");
}

#[test]
fn a_value_that_is_shown_while_its_tombstone_comes_is_refused_or_erased() {
    let scene = Scene::new();
    let to = scene.server.address();
    let (mut kept, mut letters) = (0, Vec::new());
    for round in 0..12 {
        let letter = Letter::new(&scene.world, &scene.office, &format!("L{round}"));
        letter.upload(&scene.office).good(to);
        let answer = post(&letter.statement).good(to);
        let tombstone =
            letter.tombstone(&scene.world, &scene.office, answer.json()["index"].as_u64().unwrap(), &ALL);
        std::thread::scope(|scope| {
            let shows: Vec<_> = FIELDS
                .map(|field| letter.show(&scene.office, field))
                .into_iter()
                .map(|call| scope.spawn(move || call.send(to).unwrap().status))
                .collect();
            // The two are about as long under way, now the one and now the other a little longer.
            std::thread::sleep(Duration::from_millis(round));
            post(&tombstone).good(to);
            for status in shows.into_iter().map(|show| show.join().unwrap()) {
                assert!(status == 200 || status == 410, "{status}");
                kept += usize::from(status == 200);
            }
        });
        scene.is_gone(&scene.read_shown(&letter), &tombstone);
        letters.push(letter);
    }
    let left = vault_keys(&scene.site.dir());
    assert!(letters.iter().all(|letter| letter.keys(&left).is_empty()), "{kept} were kept before");
}

#[test]
fn a_damaged_value_hides_no_other_and_is_told_and_its_agency_can_show_it_again() {
    let scene = Scene::new();
    let (letter, _) = scene.letter("A");
    let damaged = scene.vault("keys.sqlite");
    damaged.execute("UPDATE key SET key = zeroblob(32) WHERE item = '/erasable/name'", []).unwrap();
    let shown = scene.read_shown(&letter);
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(FIELDS.map(|field| letter.is_shown(&shown, field)), [false, true]);
    assert_eq!(scene.server.metric("daybook_values_damaged_total").as_deref(), Some("1"));
    letter.show(&scene.office, "name").good(scene.server.address());
    let shown = scene.read_shown(&letter);
    assert_eq!(FIELDS.map(|field| letter.is_shown(&shown, field)), [true, true]);
    assert_eq!(scene.server.metric("daybook_values_damaged_total").as_deref(), Some("1"));
}

#[test]
fn a_version_that_shows_as_much_as_is_kept_of_one_shows_no_more() {
    let scene = Scene::new();
    let (letter, _) = scene.letter("A");
    let to = scene.server.address();
    let values = scene.vault("values.sqlite");
    let fill = "UPDATE value SET sealed = zeroblob(5 * 1024 * 1024) WHERE item = '/erasable/note'";
    values.execute(fill, []).unwrap();
    values.execute("DELETE FROM value WHERE item = '/erasable/name'", []).unwrap();
    let refused = letter.show(&scene.office, "name").send(to).unwrap();
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(refused.json()["type"], "urn:daybook:problem:shows-enough");
    assert_eq!(refused.json()["reason"], "shows_enough");
    let (other, _) = scene.letter("B");
    assert!(other.is_shown(&scene.read_shown(&other), "name"), "another version has its own limit");
}

//! A log of records that keeps silent about what is outside its tree, or has lost what its statements point at, and a
//! monitor that has lost its own memory: silence is told as well, in the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use monitor::replay::Replay;
use monitor::values::Values;
use monitor::verdict::State;
use record::statement::{Body, Content};
use serde_json::json;
use tests::liar::Reply;
use tests::outside::{LOG, PERSON, Scene, blob, chance};
use tests::records::sign;
use tlog::hash::sha256;

#[test]
fn what_is_not_answered_for_too_long_by_a_log_that_answers_otherwise_is_an_alarm() {
    let never = json!({ "tombstone": { "index": 1_000_000 } }).to_string().into_bytes();
    let cases = [
        (true, Reply::Body(403, Vec::new())),
        (true, Reply::Body(500, Vec::new())),
        (true, Reply::Body(302, Vec::new())),
        (true, Reply::Body(410, never.clone())),
        (false, Reply::Body(200, b"{}".to_vec())),
        (false, Reply::Body(500, Vec::new())),
        (false, Reply::Body(410, never)),
    ];
    for (is_file, reply) in cases {
        let mut scene = Scene::with("unanswered_max = \"10m\"");
        let documents = scene.documents();
        scene.serve(&documents, &[]);
        scene.is_well();
        let path = if is_file { blob() } else { scene.values_path(PERSON) };
        scene.log.reply(&path, reply);
        for _ in 0..9 {
            scene.is_well();
        }
        scene.look();
        scene.look();
        scene.alarms("unanswered", &path);
        scene.serve(&documents, &[]);
        scene.is_well();
    }
}

#[test]
fn values_of_which_some_wait_for_a_tombstone_that_never_comes_are_an_alarm() {
    let mut scene = Scene::with("unanswered_max = \"10m\"");
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    scene.serve(&documents[1..], &[]);
    scene.alarms("erased", "/erasable/name");
    scene.serve(&documents[1..], &[("/erasable/name", 1_000_000)]);
    scene.alarms("erased", "/erasable/name");
    for _ in 0..12 {
        assert_eq!(scene.look(), State::Damaged, "a promise clears nothing");
    }
    assert_eq!(scene.watch.alarms(), ["erased", "unanswered"]);
    scene.serve(&documents, &[]);
    scene.is_well();
}

#[test]
fn an_outage_of_the_whole_log_is_not_held_against_its_files() {
    let mut scene = Scene::with("unanswered_max = \"10m\"");
    scene.serve(&[], &[]);
    scene.is_well();
    scene.log.reply(&blob(), Reply::Body(500, Vec::new()));
    scene.is_well();
    scene.log.reply("checkpoint", Reply::Body(500, Vec::new()));
    for _ in 0..20 {
        scene.look();
        assert!(!scene.watch.alarms().contains(&"unanswered".to_owned()), "{:?}", scene.watch.alarms());
    }
    scene.log.script().replies.remove("checkpoint");
    for _ in 0..5 {
        scene.is_well();
    }
}

#[test]
fn what_agencies_never_showed_is_not_missed_however_the_log_answers() {
    let mut scene = Scene::with("unanswered_max = \"2m\"");
    scene.serve(&[], &[]);
    scene.log.reply(&scene.values_path(PERSON), Reply::Body(403, Vec::new()));
    for _ in 0..6 {
        scene.is_well();
    }
}

#[test]
fn files_that_are_gone_do_not_keep_new_ones_from_being_looked_at() {
    let mut scene = Scene::with("values = { per_minute = 8 }");
    let gone: Vec<String> = (0..12).map(|at| scene.file(&format!("K{at}"), &[at; 9])).collect();
    scene.serve(&[], &[]);
    for _ in 0..12 {
        scene.look();
    }
    assert!(gone.iter().all(|path| scene.log.script().asked.contains(path)));
    assert_eq!(scene.watch.alarms(), ["erased"]);
    let new = scene.file("NEW", b"a new file");
    scene.serve(&[], &[]);
    scene.look();
    assert!(scene.log.script().asked.contains(&new), "{:?}", scene.log.script().asked);
}

/// The database with the memory of what was shown.
fn memory(scene: &Scene) -> PathBuf {
    let folder = sha256(LOG.as_bytes()).to_string();
    scene.watch.dir().join("logs").join(folder).join("values.sqlite")
}

fn break_middle_page(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a database");
    let pages = bytes.len() / 4096;
    assert!(pages > 2, "{pages} pages");
    bytes[pages / 2 * 4096] ^= 0x55;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_memory_of_values_that_is_damaged_or_gone_is_said_and_made_anew() {
    let breaks: [fn(&Path); 2] =
        [break_middle_page, |path| std::fs::remove_file(path).expect("it was there")];
    for damage in breaks {
        let mut scene = Scene::new();
        let documents = scene.documents();
        scene.serve(&documents, &[]);
        scene.is_well();
        scene.watch.end();
        damage(&memory(&scene));
        scene.watch.clock.advance(std::time::Duration::from_secs(1));
        scene.watch.restart();
        drop(Replay::open(Arc::clone(scene.watch.case())).expect("a replay"));
        let values = Values::open(Arc::clone(scene.watch.case()), chance()).expect("it is made anew");
        assert_eq!(scene.watch.alarms(), ["state-lost"]);
        drop(values);
        scene.watch.restart();
        assert_eq!(scene.watch.alarms(), ["state-lost"], "until everything was looked at again");
        scene.is_well();
        scene.serve(&documents[1..], &[]);
        scene.alarms("erased", "/erasable/name");
    }
}

#[test]
fn a_tombstone_of_an_entry_that_the_log_has_lost_is_not_waited_for_in_silence() {
    let mut scene = Scene::new();
    for at in 0..300 {
        let mut record = scene.world.record_body(&scene.office, "person", &format!("K{at}"), None, "{}");
        record.content = Some(Content { sealed: Some(scene.sealed.commitment()), ..Content::default() });
        scene.tree.push(sign(&Body::Record(record), &[&scene.office.publisher]));
    }
    scene.serve(&[], &[]);
    scene.is_well();
    let index = scene.erase(&["/erasable/name"]);
    scene.serve(&[], &[("/erasable/name", index)]);
    scene.log.reply("tile/entries/000", Reply::Body(404, Vec::new()));
    scene.alarms("damage", "tile/entries/000");
    scene.log.script().replies.remove("tile/entries/000");
    scene.is_well();
}

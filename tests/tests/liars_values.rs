//! A log of records that loses, changes, or goes on showing what is outside its tree. Nobody has signed that a file will
//! be there tomorrow, so each is an alarm that passes with its cause, and an outage is none.

use std::sync::Arc;

use monitor::replay::Replay;
use monitor::values::Values;
use record::erasable::{AttachmentOpening, field_to_text};
use record::opening::Salt;
use record::statement::{Body, EntryRef};
use serde_json::json;
use tests::liar::Reply;
use tests::outside::{FILE, PERSON, PHOTO, Scene, answer, blob, chance, opening, shown};
use tests::records::sign;
use tlog::hash::sha256;
use tlog::ids::LeafIndex;

#[test]
fn an_honest_log_with_files_and_values_is_verified_and_so_is_one_that_shows_nothing() {
    let mut scene = Scene::new();
    scene.serve(&[], &[]);
    scene.is_well();
    assert!(scene.log.script().asked.contains(&blob()), "the file was asked for");
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    scene.watch.restart();
    scene.is_well();
}

#[test]
fn a_file_that_is_gone_cut_long_or_changed_is_an_alarm_until_it_is_there_again() {
    let mut changed = FILE.to_vec();
    changed[3] ^= 1;
    let long = [FILE, b"and more"].concat();
    let refusal = vec![b' '; FILE.len() + 1];
    for (reply, kind) in [
        (Reply::Body(404, Vec::new()), "erased"),
        (Reply::Body(404, refusal), "erased"),
        (Reply::Body(410, Vec::new()), "erased"),
        (Reply::Body(410, json!({ "tombstone": { "index": 1 } }).to_string().into_bytes()), "erased"),
        (Reply::Body(200, changed), "altered"),
        (Reply::Body(200, FILE[1..].to_vec()), "altered"),
        (Reply::Body(200, Vec::new()), "altered"),
        (Reply::Body(200, long), "altered"),
        (Reply::Endless, "altered"),
    ] {
        let mut scene = Scene::new();
        scene.serve(&[], &[]);
        scene.is_well();
        scene.log.reply(&blob(), reply);
        scene.alarms(kind, &blob());
        scene.serve(&[], &[]);
        scene.is_well();
    }
}

#[test]
fn outages_say_nothing_about_files_and_values() {
    let outages = [
        Reply::Body(500, Vec::new()),
        Reply::Body(503, Vec::new()),
        Reply::Body(429, Vec::new()),
        Reply::Body(302, Vec::new()),
        Reply::Body(403, Vec::new()),
        Reply::CutShort(FILE[..4].to_vec()),
        Reply::Drip,
        Reply::Hangup,
    ];
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    for reply in outages {
        scene.serve(&documents, &[]);
        scene.log.reply(&blob(), reply.clone());
        scene.log.reply(&scene.values_path(PERSON), reply);
        scene.is_well();
    }
    scene.serve(&documents, &[]);
    scene.log.reply(&scene.values_path(PERSON), Reply::Body(200, b"<html>Please log in</html>".to_vec()));
    scene.is_well();
    scene.serve(&documents, &[]);
    scene.log.reply(&scene.values_path(PERSON), Reply::Endless);
    scene.is_well();
}

#[test]
fn a_value_that_was_shown_and_vanishes_without_a_tombstone_is_an_alarm() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    let path = scene.values_path(PERSON);
    for (reply, about) in [
        (Reply::Body(200, answer(&documents[1..], &[])), "/erasable/name"),
        (Reply::Body(200, answer(&documents[..2], &[])), "/sealed/salary"),
        (Reply::Body(200, answer(&documents[1..], &[("/erasable/name", 1)])), "entry 1"),
        (Reply::Body(404, Vec::new()), "was shown before"),
        (Reply::Body(410, Vec::new()), "the log names no tombstone"),
        (Reply::Body(410, json!({ "tombstone": { "index": 2 } }).to_string().into_bytes()), "entry 2"),
    ] {
        scene.serve(&documents, &[]);
        scene.is_well();
        scene.log.reply(&path, reply);
        scene.alarms("erased", about);
    }
    scene.serve(&documents, &[]);
    scene.is_well();
}

#[test]
fn a_tombstone_that_is_not_judged_yet_may_explain_what_is_gone() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    let next = scene.tree.entries.len() as u64;
    scene.serve(&documents[1..], &[("/erasable/name", next)]);
    scene.is_well();
    let erased = scene.erase(&["/erasable/name"]);
    assert_eq!(erased, next);
    scene.serve(&documents[1..], &[("/erasable/name", next)]);
    scene.is_well();
}

#[test]
fn what_a_tombstone_erased_must_not_be_shown_any_more() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    let index = scene.erase(&["/erasable/name", "/sealed"]);
    scene.serve(&documents, &[]);
    scene.alarms("still-shown", "is still shown");
    scene.serve(&documents[1..2], &[("/erasable/name", index), ("/sealed", index)]);
    scene.is_well();
    let all = scene.tree.entries.len() as u64;
    let mut second = scene.world.tombstone_body(
        &scene.office,
        "person",
        "B",
        EntryRef { index: LeafIndex::new(PERSON).expect("an index"), leaf: scene.leaf(PERSON) },
        &["/erasable/note"],
    );
    if let Body::Tombstone(tombstone) = &mut second {
        tombstone.previous = Some(scene.leaf(index));
    }
    scene.tree.push(sign(&second, &scene.office.quorum()));
    scene.serve(&[], &[]);
    let gone = json!({ "tombstone": { "index": all } }).to_string().into_bytes();
    scene.log.reply(&scene.values_path(PERSON), Reply::Body(410, gone));
    scene.is_well();
}

#[test]
fn an_erasable_attachment_is_there_until_it_is_erased_and_what_comes_with_it_opens_its_commitment() {
    let mut scene = Scene::new();
    scene.serve(&[], &[]);
    scene.is_well();
    let path = scene.photo_path();
    assert!(scene.log.script().asked.contains(&path));
    let salted = AttachmentOpening { salt: Salt::new([78; 32]), ..scene.photo.clone() };
    let other = AttachmentOpening { sha256: sha256(b"b face"), ..scene.photo.clone() };
    for (reply, kind) in [
        (Reply::Body(404, Vec::new()), "erased"),
        (Reply::Body(410, Vec::new()), "erased"),
        (Reply::Body(200, PHOTO.to_vec()), "altered"),
        (shown(&salted, PHOTO), "altered"),
        (shown(&other, b"b face"), "altered"),
        (shown(&scene.photo.clone(), b"b face"), "altered"),
    ] {
        scene.log.reply(&path, reply);
        scene.alarms(kind, &path);
        scene.serve(&[], &[]);
        scene.is_well();
    }
    let index = scene.erase(&["/attachments/photo.jpg"]);
    scene.serve(&[], &[("/attachments/photo.jpg", index)]);
    scene.alarms("still-shown", &path);
    scene.log.reply(&path, Reply::Body(410, Vec::new()));
    scene.is_well();
    scene.log.reply(&path, Reply::Body(404, Vec::new()));
    scene.is_well();
}

#[test]
fn a_value_that_opens_no_commitment_is_an_alarm() {
    let mut scene = Scene::new();
    let lie = field_to_text(&opening("name", "Somebody Else", 1));
    scene.serve(&[lie], &[]);
    scene.alarms("altered", "opens none of its commitments");
    let documents = scene.documents();
    let altered = documents[2].replace("120000", "120001");
    assert_ne!(altered, documents[2]);
    scene.serve(&[altered], &[]);
    scene.alarms("altered", "/sealed");
    scene.serve(&documents, &[]);
    scene.is_well();
}

#[test]
fn values_are_never_kept_only_that_they_were_shown() {
    let mut scene = Scene::new();
    let documents = scene.documents();
    scene.serve(&documents, &[]);
    scene.is_well();
    scene.watch.end();
    let mut files = vec![scene.watch.dir().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files
                .extend(std::fs::read_dir(&path).expect("a folder").map(|file| file.expect("a file").path()));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in ["Ada Lovelace", "a secret note", "120000", "a face"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[test]
fn nothing_is_asked_for_where_it_is_switched_off_and_no_file_beyond_the_limit() {
    let mut scene = Scene::with("values = { check = \"off\" }");
    scene.serve(&[], &[]);
    scene.log.reply(&blob(), Reply::Body(404, Vec::new()));
    scene.watch.round();
    let _replay = Replay::open(Arc::clone(scene.watch.case())).expect("a replay");
    assert!(Values::open(Arc::clone(scene.watch.case()), chance()).expect("ok").is_none());
    let mut scene = Scene::with("values = { check = \"sample\", per_minute = 100, bytes_max = \"10\" }");
    scene.serve(&[], &[]);
    scene.log.reply(&blob(), Reply::Body(404, Vec::new()));
    for _ in 0..20 {
        scene.is_well();
    }
    let script = scene.log.script();
    assert!(!script.asked.contains(&blob()), "longer than is fetched");
    drop(script);
    let status = monitor::status::status_of(&scene.watch.monitor().cases);
    assert_eq!(status.logs[0].unchecked_attachments, 1, "and that is shown");
    assert!(scene.log.script().asked.contains(&scene.values_path(PERSON)), "every place comes up");
}

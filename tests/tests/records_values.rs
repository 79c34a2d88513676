//! Attachments, values outside the tree, and erasing them, against the real executable; and the stream of events.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use daybook::records::upload::Upload;
use record::erasable::{Place, field_to_text};
use record::opening::{Opening, Salt};
use record::sealed::{Disclosure, seal};
use record::statement::{
    Attachment, AttachmentContent, Body, Content, EntryRef, FieldClass, FieldRule, FieldType, Statement,
};
use tests::agency::Clerk;
use tests::records::{Office, sign};
use tests::server::{Answer, Server};
use tests::uploads::{header, put, put_with, upload};
use tlog::hash::{Hash, leaf_hash, sha256};
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

/// A log with an agency and its register `person`, which has erasable and sealed fields.
fn scene() -> Clerk {
    let clerk = Clerk::new();
    let mut register = clerk.world.register_body(&clerk.office, "person", None);
    let rule = |class| FieldRule { class, kind: FieldType::String, required: false };
    register.fields.insert("name".to_owned(), rule(FieldClass::Erasable));
    register.fields.insert("note".to_owned(), rule(FieldClass::Erasable));
    register.fields.insert("salary".to_owned(), rule(FieldClass::Sealed));
    clerk.post_good(&sign(&Body::Register(register), &clerk.office.quorum()));
    clerk
}

/// A register for files alone.
fn open_files(clerk: &Clerk) {
    let mut register = clerk.world.register_body(&clerk.office, "file", None);
    register.attachments = vec![FieldClass::Public];
    clerk.post_good(&sign(&Body::Register(register), &clerk.office.quorum()));
}

/// Uploads something under a note that may say something else.
fn put_as(clerk: &Clerk, path: &str, body: &[u8], upload: &Upload) -> Answer {
    put_with(clerk.server(), path, body, &header(&clerk.office, upload))
}

fn opening(name: &str, value: &str, salt: u8) -> Opening {
    Opening {
        name: name.parse().unwrap(),
        kind: FieldType::String,
        value: value.into(),
        salt: Salt::new([salt; 32]),
    }
}

fn blob_path(bytes: &[u8]) -> String {
    format!("/blobs/{}", sha256(bytes))
}

#[test]
fn an_attachment_is_taken_from_agencies_alone_and_only_if_its_bytes_are_its_name() {
    let scene = scene();
    open_files(&scene);
    let contents: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let path = blob_path(&contents);
    let attachment = Attachment {
        name: "report.pdf".parse().unwrap(),
        media: "application/pdf".parse().unwrap(),
        bytes: contents.len() as u64,
        content: AttachmentContent::Public(sha256(&contents)),
    };
    let statement = scene.world.attach(&scene.office, "file", "A", vec![attachment.clone()]);
    let missing = scene.post(&statement);
    assert_eq!(missing.status, 424, "{}", missing.text());
    assert_eq!(missing.json()["type"], "urn:daybook:problem:attachment-missing", "not inadmissible");
    assert_eq!(missing.json()["upload"], path);

    let good = upload(&scene.office, &path, &contents);
    let refused = |answer: Answer, status: u16, reason: &str| {
        assert_eq!(answer.status, status, "{reason}: {}", answer.text());
        assert_eq!(answer.json()["reason"], reason);
    };
    let unsigned = scene.server().send("PUT", &path, &[], b"abc");
    refused(unsigned, 403, "upload_missing");
    refused(put_with(scene.server(), &path, &contents, "AAAA"), 403, "upload_malformed");
    let elsewhere = Upload { log: "log.example/other".to_owned(), ..good.clone() };
    refused(put_as(&scene, &path, &contents, &elsewhere), 403, "upload_other");
    let other_path = Upload { path: "/blobs/x".to_owned(), ..good.clone() };
    refused(put_as(&scene, &path, &contents, &other_path), 403, "upload_other");
    let old = Upload { at: "2020-01-01T00:00:00Z".parse().unwrap(), ..good.clone() };
    refused(put_as(&scene, &path, &contents, &old), 403, "upload_time");
    let stranger = Office::new("health.example");
    let foreign = good.to_header(vec![stranger.publisher.sign(&good.to_text())]);
    refused(put_with(scene.server(), &path, &contents, &foreign), 403, "upload_signature");
    let mut altered = contents.clone();
    altered[77] ^= 1;
    refused(put_as(&scene, &path, &altered, &good), 422, "other_bytes");
    assert_eq!(put_as(&scene, &path, &contents[1..], &good).status, 400);
    assert_eq!(scene.server().get(&path).status, 404, "nothing was kept");

    let kept = put_as(&scene, &path, &contents, &good);
    assert_eq!(kept.status, 200, "{}", kept.text());
    assert_eq!(put_as(&scene, &path, &contents, &good).status, 200, "again is the same");
    let read = scene.server().get(&path);
    assert_eq!((read.status, read.header("content-disposition")), (200, "attachment"));
    assert!(read.body == contents && read.header("cache-control").contains("immutable"));
    let wrong = Attachment { bytes: 5, ..attachment };
    let wrong = scene.world.attach(&scene.office, "file", "B", vec![wrong]);
    assert_eq!(scene.post(&wrong).json()["type"], "urn:daybook:problem:attachment-differs");
    assert_eq!(scene.post(&statement).status, 200);
    let large = Upload { bytes: 1 << 40, ..good };
    assert_eq!(put_as(&scene, &path, &contents, &large).status, 413);
}

/// A record with two erasable fields and a sealed one; its leaf hash.
fn person(scene: &Clerk, openings: &[Opening]) -> (Vec<u8>, Hash, record::sealed::SealedValues) {
    let mut record = scene.world.record_body(&scene.office, "person", "A", None, "{}");
    let place = Place::of(&record);
    let erasable = openings.iter().map(|opening| (opening.name.to_string(), place.commit_field(opening)));
    let sealed = vec![opening("salary", "120000", 9)];
    let padding = (0..15).map(|at| Salt::new([100 + at; 32])).collect();
    let values = seal([5; 16], sealed, padding).unwrap();
    let sealed = Some(values.commitment());
    record.content = Some(Content { erasable: erasable.collect(), sealed, ..Content::default() });
    let statement = sign(&Body::Record(record), &[&scene.office.publisher]);
    let leaf = leaf_hash(&statement);
    (statement, leaf, values)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    tests::copy_all(from, to);
}

#[test]
fn what_a_tombstone_erases_is_gone_for_good_and_its_record_stays() {
    let mut scene = scene();
    let openings = [opening("name", "Ada Lovelace", 1), opening("note", "secret note", 2)];
    let (statement, leaf, values) = person(&scene, &openings);
    assert_eq!(scene.post(&statement).status, 200);
    let path = format!("/records/{leaf}/disclosures");
    for opening in &openings {
        let kept = put(scene.server(), &scene.office, &path, field_to_text(opening).as_bytes());
        assert_eq!(kept.status, 200, "{}", kept.text());
    }
    let disclosure = Disclosure::new(Statement::parse(&statement).unwrap(), &values, &["salary"]).unwrap();
    let shown = put(scene.server(), &scene.office, &path, &disclosure.to_bytes());
    assert_eq!((shown.status, &shown.json()["shows"][0]), (200, &"/sealed/salary".into()));
    let lie = field_to_text(&opening("name", "Somebody Else", 1));
    assert_eq!(put(scene.server(), &scene.office, &path, lie.as_bytes()).json()["reason"], "does_not_open");
    let all = scene.server().get(&path).json();
    assert_eq!(all["disclosures"].as_array().unwrap().len(), 3);
    assert!(all.to_string().contains("Ada Lovelace") && all.to_string().contains("120000"));

    let vault = scene.site.dir().join("vault");
    let before = scene.site.root().join("old-vault");
    copy(&vault, &before);
    let entry = EntryRef { index: LeafIndex::new(3).unwrap(), leaf };
    let tombstone = |erased: &[&str]| scene.world.tombstone_body(&scene.office, "person", "A", entry, erased);
    let alone = sign(&tombstone(&["/erasable/name"]), &[&scene.office.officers[0]]);
    assert_eq!(scene.post(&alone).json()["reason"], "quorum", "one officer does not erase");
    let first = sign(&tombstone(&["/erasable/name"]), &scene.office.quorum());
    assert_eq!(scene.post(&first).status, 200);
    let left = scene.server().get(&path).json();
    assert!(!left.to_string().contains("Ada Lovelace") && left.to_string().contains("secret note"));
    assert_eq!(left["erased"][0]["item"], "/erasable/name");
    assert_eq!(left["erased"][0]["tombstone"]["index"], 4);
    let again = put(scene.server(), &scene.office, &path, field_to_text(&openings[0]).as_bytes());
    assert_eq!((again.status, &again.json()["type"]), (410, &"urn:daybook:problem:erased".into()));

    // A vault that is put back from an older copy loses it again before anything is served.
    scene.restart_after(|_| copy(&before, &vault));
    let served = scene.server().get(&path).json();
    assert!(!served.to_string().contains("Ada Lovelace") && served.to_string().contains("secret note"));

    let Body::Tombstone(mut second) = tombstone_of(&scene, entry, &["/erasable/note", "/sealed"]) else {
        panic!("a tombstone");
    };
    second.previous = Some(leaf_hash(&first));
    let second = sign(&Body::Tombstone(second), &scene.office.quorum());
    assert_eq!(scene.post(&second).status, 200);
    let gone = scene.server().get(&path);
    assert_eq!(gone.status, 410, "{}", gone.text());
    let shown = &gone.json()["tombstone"];
    let receipt = TlogProof::parse(shown["receipt"].as_str().unwrap().as_bytes()).unwrap();
    let index = shown["index"].as_u64().unwrap();
    let expected = if index == 4 { &first } else { &second };
    receipt.verify(&leaf_hash(expected), &scene.site.policy()).unwrap();
    let proof = scene.server().send("GET", "/entry/3", &[("accept", "text/plain")], b"");
    let proof = TlogProof::parse(proof.text().as_bytes()).unwrap();
    proof.verify(&leaf, &scene.site.policy()).expect("proofs of the original leaf go on verifying");
    assert_eq!(scene.post(&second).status, 200, "the same tombstone again");
}

fn tombstone_of(scene: &Clerk, entry: EntryRef, erased: &[&str]) -> Body {
    scene.world.tombstone_body(&scene.office, "person", "A", entry, erased)
}

/// Reads events until one of this kind has come so often; all that came.
fn events(server: &Server, last: Option<u64>, kind: &str, count: usize) -> Vec<String> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
    write!(stream, "GET /events HTTP/1.1\r\nhost: x\r\n{last}\r\n").unwrap();
    let (mut seen, mut found) = (Vec::new(), 0);
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if line.starts_with("event: ") || line.starts_with("id: ") || line.starts_with("data: ") {
            found += usize::from(line == format!("event: {kind}"));
            seen.push(line);
            if found == count && seen.last().is_some_and(|line| line.starts_with("data: ")) {
                return seen;
            }
        }
    }
    panic!("the stream ended: {seen:?}");
}

#[test]
fn events_tell_of_entries_and_checkpoints_and_go_on_after_the_last_one_seen() {
    let scene = scene();
    let all = events(scene.server(), Some(0), "checkpoint", 1);
    let ids: Vec<&str> = all.iter().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["1", "2"], "after entry 0");
    assert!(all.last().unwrap().contains("\"tree_size\":3"), "{all:?}");
    open_files(&scene);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| events(scene.server(), None, "entry", 1));
        // Until the watcher is there: what is published before it came is not news.
        for _ in 0..200 {
            if watcher.is_finished() {
                break;
            }
            let key = format!("K{}", scene.server().checkpoint(&scene.site.policy()).head().size);
            let put = scene.world.attach(&scene.office, "file", &key, Vec::new());
            assert_eq!(scene.post(&put).status, 200);
        }
        let seen = watcher.join().unwrap();
        assert!(seen.iter().any(|line| line.contains("leaf_hash")), "{seen:?}");
    });
    assert_eq!(scene.server().send("GET", "/events", &[("last-event-id", "x")], b"").status, 400);
}

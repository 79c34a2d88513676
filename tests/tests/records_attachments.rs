//! Erasable attachments against the real executable: uploaded first, read by anybody, and gone for good.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::statement::{Body, Content, EntryRef, FieldClass, FieldRule, FieldType, Record, Statement};
use rusqlite::Connection;
use tests::agency::Clerk;
use tests::records::{Office, sign};
use tests::server::{Answer, Site, daybook};
use tests::uploads::{put, put_erasable, put_erasable_to, upload};
use tests::{all_bytes, contains, copy_all};
use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;
use tlog::tlog_proof::TlogProof;

const LETTER: &[u8] = b"Dear Ada Lovelace, your benefit is 1,234 a month.";

/// A log with an agency and its register `letter`, which takes attachments of both kinds and has an erasable field.
fn scene() -> Clerk {
    let clerk = Clerk::new();
    let mut register = clerk.world.register_body(&clerk.office, "letter", None);
    register.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    let rule = FieldRule { class: FieldClass::Erasable, kind: FieldType::String, required: false };
    register.fields.insert("name".to_owned(), rule);
    clerk.post_good(&sign(&Body::Register(register), &clerk.office.quorum()));
    clerk
}

fn letter(clerk: &Clerk, key: &str) -> Record {
    clerk.world.record_body(&clerk.office, "letter", key, None, "{}")
}

/// A version of a record with these attachments.
fn with(clerk: &Clerk, record: &Record, openings: &[&AttachmentOpening]) -> Vec<u8> {
    let attachments = openings.iter().map(|opening| opening.attachment()).collect();
    let content = Some(Content { attachments, ..record.content.clone().unwrap() });
    sign(&Body::Record(Record { content, ..record.clone() }), &[&clerk.office.publisher])
}

fn enclose(clerk: &Clerk, opening: &AttachmentOpening, contents: &[u8]) -> Answer {
    put_erasable(clerk.server(), &clerk.office, opening, contents)
}

/// A tombstone of the version of `A` that is entry `index`.
fn tombstone(clerk: &Clerk, index: u64, statement: &[u8], erased: &[&str]) -> Vec<u8> {
    let entry = EntryRef { index: LeafIndex::new(index).unwrap(), leaf: leaf_hash(statement) };
    let body = clerk.world.tombstone_body(&clerk.office, "letter", "A", entry, erased);
    sign(&body, &clerk.office.quorum())
}

/// Every key that the vault has.
fn vault_keys(site: &Site) -> Vec<Vec<u8>> {
    let keys = Connection::open(site.dir().join("vault/keys.sqlite")).unwrap();
    let mut query = keys.prepare("SELECT key FROM key UNION ALL SELECT key FROM attachment").unwrap();
    let keys: Result<Vec<_>, _> = query.query_map([], |row| row.get(0)).unwrap().collect();
    keys.unwrap()
}

fn blob(opening: &AttachmentOpening) -> String {
    format!("/blobs/{}", opening.commitment())
}

fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{reason}: {}", answer.text());
    assert_eq!(answer.json()["reason"], reason, "{}", answer.text());
}

#[test]
fn an_erasable_attachment_is_uploaded_before_the_statement_that_names_it_and_read_by_anybody_after() {
    let mut scene = scene();
    let record = letter(&scene, "A");
    let opening = tests::uploads::erasable(&record, "letter.pdf", LETTER, 7);
    let statement = with(&scene, &record, &[&opening]);
    let missing = scene.post(&statement);
    refused(&missing, 424, "attachment_missing");
    assert_eq!(missing.json()["upload"], blob(&opening));
    assert_eq!(scene.server().get(&blob(&opening)).status, 404);

    assert_eq!(enclose(&scene, &opening, LETTER).status, 200);
    assert_eq!(scene.server().get(&blob(&opening)).status, 404, "no version names it, so nobody is shown it");
    assert_eq!(enclose(&scene, &opening, LETTER).status, 200, "again is the same");
    let answer = scene.post(&statement);
    assert_eq!(answer.status, 200, "{}", answer.text());
    for _ in 0..2 {
        let read = scene.server().get(&blob(&opening));
        assert_eq!((read.status, read.header("cache-control")), (200, "no-store"));
        assert!(read.body == LETTER && read.header("content-disposition") == "attachment");
        let text = STANDARD.decode(read.header("daybook-attachment")).unwrap();
        let told = AttachmentOpening::parse(std::str::from_utf8(&text).unwrap()).unwrap();
        let Body::Record(named) = Statement::parse(&statement).unwrap().body().clone() else { panic!() };
        assert!(told.is_of(&named) && told.sha256 == tlog::hash::sha256(&read.body), "a reader can check it");
        let head = scene.server().send("HEAD", &blob(&opening), &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, &*LETTER.len().to_string()));
        scene.restart_after(|_| ());
    }
    let everything = all_bytes(&scene.site.dir());
    assert!(!contains(&everything, LETTER) && !contains(&everything, opening.salt.to_hex().as_bytes()));
}

#[test]
fn an_upload_that_is_not_what_its_commitment_says_is_refused_and_leaves_nothing() {
    let scene = scene();
    let record = letter(&scene, "A");
    let opening = tests::uploads::erasable(&record, "letter.pdf", LETTER, 7);
    let path = blob(&opening);
    let send =
        |text: &str, contents: &[u8]| put_erasable_to(scene.server(), &scene.office, &path, text, contents);
    let text = STANDARD.encode(opening.to_text());
    assert_eq!(send("AAAA", LETTER).status, 400);
    let salted = AttachmentOpening { salt: Salt::new([8; 32]), ..opening.clone() };
    refused(&send(&STANDARD.encode(salted.to_text()), LETTER), 422, "does_not_open");
    let renamed = AttachmentOpening { name: "other.pdf".parse().unwrap(), ..opening.clone() };
    refused(&send(&STANDARD.encode(renamed.to_text()), LETTER), 422, "does_not_open");
    refused(&send(&text, b"other contents"), 422, "does_not_open");
    // The note names the right bytes, and others come.
    let note = tests::uploads::header(&scene.office, &upload(&scene.office, &path, LETTER));
    let mut altered = LETTER.to_vec();
    altered[9] ^= 1;
    let headers = [("daybook-upload", note.as_str()), ("daybook-attachment", text.as_str())];
    refused(&scene.server().send("PUT", &path, &headers, &altered), 422, "other_bytes");
    assert_eq!(scene.server().send("PUT", &path, &headers, &altered[1..]).status, 400);
    let unsigned = scene.server().send("PUT", &path, &headers[1..], LETTER);
    refused(&unsigned, 403, "upload_missing");
    let health = Office::new("health.example");
    assert_eq!(scene.post(&scene.world.enrol(&health)).status, 200);
    let foreign = put_erasable(scene.server(), &health, &opening, LETTER);
    refused(&foreign, 403, "other_agency");
    refused(&scene.post(&with(&scene, &record, &[&opening])), 424, "attachment_missing");
    let folder = scene.site.dir().join("vault/attachments");
    assert!(all_bytes(&folder).is_empty(), "nothing was kept");
    assert_eq!(put(scene.server(), &scene.office, &path, LETTER).status, 400, "it is no public attachment");
}

#[test]
fn nobody_can_name_another_records_attachment_and_erase_it_then() {
    let scene = scene();
    let (record, other) = (letter(&scene, "A"), letter(&scene, "B"));
    let opening = tests::uploads::erasable(&record, "letter.pdf", LETTER, 7);
    assert_eq!(enclose(&scene, &opening, LETTER).status, 200);
    assert_eq!(scene.post(&with(&scene, &record, &[&opening])).status, 200);
    refused(&scene.post(&with(&scene, &other, &[&opening])), 424, "attachment_other");
    let mut attachment = opening.attachment();
    attachment.bytes += 1;
    let content = Some(Content { attachments: vec![attachment], ..Content::default() });
    let longer = sign(&Body::Record(Record { content, ..letter(&scene, "A") }), &[&scene.office.publisher]);
    refused(&scene.post(&longer), 424, "attachment_other");
    assert_eq!(scene.server().get(&blob(&opening)).body, LETTER);
}

/// A record with an attachment and an erasable field, both there; its index is 3.
fn person(scene: &Clerk) -> (Vec<u8>, AttachmentOpening, Opening) {
    let mut record = letter(scene, "A");
    let value = Opening {
        name: "name".parse().unwrap(),
        kind: FieldType::String,
        value: "Ada Lovelace of Ockham Park".into(),
        salt: Salt::new([0x5a; 32]),
    };
    let commitment = Place::of(&record).commit_field(&value);
    record.content.as_mut().unwrap().erasable.insert("name".to_owned(), commitment);
    let opening = tests::uploads::erasable(&record, "letter.pdf", LETTER, 0x6b);
    assert_eq!(enclose(scene, &opening, LETTER).status, 200);
    let statement = with(scene, &record, &[&opening]);
    let answer = scene.post(&statement);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let path = format!("/records/{}/disclosures", leaf_hash(&statement));
    let kept = put(scene.server(), &scene.office, &path, field_to_text(&value).as_bytes());
    assert_eq!(kept.status, 200, "{}", kept.text());
    (statement, opening, value)
}

const ERASED: [&str; 2] = ["/attachments/letter.pdf", "/erasable/name"];

fn is_gone(answer: &Answer, tombstone: &[u8], site: &Site) {
    assert_eq!(answer.status, 410, "{}", answer.text());
    let document = answer.json();
    assert_eq!(document["type"], "urn:daybook:problem:erased");
    let receipt = document["tombstone"]["receipt"].as_str().unwrap();
    let receipt = TlogProof::parse(receipt.as_bytes()).unwrap();
    receipt.verify(&leaf_hash(tombstone), &site.policy()).unwrap();
}

#[test]
fn what_a_tombstone_takes_is_in_no_file_of_the_log_in_no_export_and_in_no_copy_made_after() {
    let mut scene = scene();
    let (statement, opening, value) = person(&scene);
    let keys = vault_keys(&scene.site);
    assert_eq!(keys.len(), 2, "one for the field, one for the attachment");
    let dir = scene.site.dir();
    let before = all_bytes(&dir);
    assert!(keys.iter().all(|key| contains(&before, key)), "the keys lie in a file");

    let alone = scene.world.tombstone_body(
        &scene.office,
        "letter",
        "A",
        EntryRef { index: LeafIndex::new(3).unwrap(), leaf: leaf_hash(&statement) },
        &ERASED,
    );
    refused(&scene.post(&sign(&alone, &[&scene.office.officers[0]])), 403, "quorum");
    let tombstone = tombstone(&scene, 3, &statement, &ERASED);
    let answer = scene.post(&tombstone);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let secrets: Vec<Vec<u8>> = [
        LETTER.to_vec(),
        b"Ada Lovelace".to_vec(),
        opening.salt.to_hex().into_bytes(),
        value.salt.to_hex().into_bytes(),
        vec![0x5a; 32],
        vec![0x6b; 32],
        opening.sha256.as_bytes().to_vec(),
        opening.sha256.to_string().into_bytes(),
    ]
    .into_iter()
    .chain(keys)
    .collect();
    let audit = |folder: &Path, what: &str| {
        let bytes = all_bytes(folder);
        for secret in &secrets {
            assert!(!contains(&bytes, secret), "{what}: {}", String::from_utf8_lossy(secret));
        }
    };
    audit(&dir, "while the log serves");
    is_gone(&scene.server().get(&blob(&opening)), &tombstone, &scene.site);
    assert!(vault_keys(&scene.site).is_empty() && all_bytes(&dir.join("vault/attachments")).is_empty());
    let copy = scene.site.root().join("copy");
    copy_all(&dir, &copy);
    audit(&copy, "a copy made after");
    for (form, name) in [("ndjson", "all.ndjson"), ("tiles", "mirror")] {
        let out = scene.site.root().join("exports").join(name);
        std::fs::create_dir_all(out.parent().unwrap()).unwrap();
        let out = out.to_string_lossy().into_owned();
        let policy = scene.site.policy_path();
        let made =
            daybook(&["export", &scene.server().url(), "--format", form, "--out", &out, "--policy", &policy]);
        assert!(made.status.success(), "{made:?}");
    }
    audit(&scene.site.root().join("exports"), "an export");
    assert_eq!(scene.server.take().unwrap().stop(), 0);
    audit(&dir, "when the log is stopped");
    scene.restart_after(|_| ());
    audit(&dir, "after a start");
    is_gone(&scene.server().get(&blob(&opening)), &tombstone, &scene.site);
    let disclosures = format!("/records/{}/disclosures", leaf_hash(&statement));
    is_gone(&scene.server().get(&disclosures), &tombstone, &scene.site);
    is_gone(&enclose(&scene, &opening, LETTER), &tombstone, &scene.site);
    let mut next = letter(&scene, "A");
    next.previous = Some(leaf_hash(&statement));
    refused(&scene.post(&with(&scene, &next, &[&opening])), 424, "attachment_erased");
    let receipt = scene.server().send("GET", "/entry/3", &[("accept", "text/plain")], b"");
    let receipt = TlogProof::parse(receipt.text().as_bytes()).unwrap();
    receipt.verify(&leaf_hash(&statement), &scene.site.policy()).expect("the statement stays");
}

#[test]
fn an_older_vault_that_is_put_back_serves_nothing_that_was_erased_since() {
    let mut scene = scene();
    let (statement, opening, _) = person(&scene);
    let keys = vault_keys(&scene.site);
    let vault = scene.site.dir().join("vault");
    let older = scene.site.root().join("older-vault");
    copy_all(&vault, &older);
    let tombstone = tombstone(&scene, 3, &statement, &ERASED);
    assert_eq!(scene.post(&tombstone).status, 200);
    scene.restart_after(|_| {
        std::fs::remove_dir_all(&vault).unwrap();
        copy_all(&older, &vault);
        assert!(keys.iter().all(|key| contains(&all_bytes(&vault), key)), "it has everything again");
    });
    is_gone(&scene.server().get(&blob(&opening)), &tombstone, &scene.site);
    let bytes = all_bytes(&vault);
    assert!(keys.iter().all(|key| !contains(&bytes, key)), "the keys are destroyed again");
    assert!(all_bytes(&vault.join("attachments")).is_empty(), "and the file");
}

#[test]
fn an_attachment_that_a_later_version_names_as_well_is_taken_from_both() {
    let scene = scene();
    let record = letter(&scene, "A");
    let opening = tests::uploads::erasable(&record, "letter.pdf", LETTER, 7);
    assert_eq!(enclose(&scene, &opening, LETTER).status, 200);
    let first = with(&scene, &record, &[&opening]);
    assert_eq!(scene.post(&first).status, 200);
    let mut amended = record.clone();
    amended.previous = Some(leaf_hash(&first));
    amended.at = "2026-11-24T09:00:00Z".parse().unwrap();
    let second = with(&scene, &amended, &[&opening]);
    assert_eq!(scene.post(&second).status, 200);
    let tombstone = tombstone(&scene, 4, &second, &["/attachments/letter.pdf"]);
    assert_eq!(scene.post(&tombstone).status, 200);
    is_gone(&scene.server().get(&blob(&opening)), &tombstone, &scene.site);
}

#[test]
fn a_download_that_is_under_way_ends_when_a_tombstone_takes_it() {
    let scene = scene();
    // More than the buffers of both ends hold.
    let contents: Vec<u8> = (0..12_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let record = letter(&scene, "A");
    let opening = tests::uploads::erasable(&record, "letter.pdf", &contents, 7);
    assert_eq!(enclose(&scene, &opening, &contents).status, 200);
    let statement = with(&scene, &record, &[&opening]);
    assert_eq!(scene.post(&statement).status, 200);
    let mut stream = TcpStream::connect(scene.server().address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {} HTTP/1.1\r\nhost: x\r\n\r\n", blob(&opening)).unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"));
    let tombstone = tombstone(&scene, 3, &statement, &["/attachments/letter.pdf"]);
    assert_eq!(scene.post(&tombstone).status, 200);
    let mut rest = Vec::new();
    // It ends by an error or an early end, and never comes to its last byte.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < contents.len() - 1000, "{} of {}", rest.len(), contents.len());
}

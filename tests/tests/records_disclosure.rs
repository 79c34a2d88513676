//! Sealed fields are shown one by one and checked offline; what a court wants gone is gone, and says so.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::erasable::{AttachmentOpening, Place, field_to_text};
use record::opening::{Opening, Salt};
use record::sealed::{SealedValues, seal};
use record::statement::{Body, Content, FieldClass, FieldRule, FieldType};
use serde_json::Value;
use tests::agency::{Clerk, expect};
use tests::records::sign;
use tests::server::{ORIGIN, daybook};
use tlog::hash::{leaf_hash, sha256};

const NAME: &str = "treasury.example/person";

fn opening(name: &str, value: &str, salt: u8) -> Opening {
    Opening {
        name: name.parse().unwrap(),
        kind: FieldType::String,
        value: value.into(),
        salt: Salt::new([salt; 32]),
    }
}

/// Entry 3: `A`, with `bonus` and `salary` sealed and `name` and `note` erasable; the agency's files beside.
fn person() -> (Clerk, String) {
    let clerk = Clerk::new();
    let mut register = clerk.world.register_body(&clerk.office, "person", None);
    let rule = |class| FieldRule { class, kind: FieldType::String, required: false };
    for (field, class) in [
        ("name", FieldClass::Erasable),
        ("note", FieldClass::Erasable),
        ("salary", FieldClass::Sealed),
        ("bonus", FieldClass::Sealed),
    ] {
        register.fields.insert(field.to_owned(), rule(class));
    }
    clerk.post_good(&sign(&Body::Register(register), &clerk.office.quorum()));
    let mut record = clerk.world.record_body(&clerk.office, "person", "A", None, "{}");
    let place = Place::of(&record);
    let open = [opening("name", "Ada Lovelace", 1), opening("note", "a secret note", 2)];
    let erasable = open.iter().map(|opening| (opening.name.to_string(), place.commit_field(opening)));
    let sealed = vec![opening("bonus", "7", 8), opening("salary", "120000", 9)];
    let padding = (0..14).map(|at| Salt::new([100 + at; 32])).collect();
    let values: SealedValues = seal([5; 16], sealed, padding).unwrap();
    let sealed = Some(values.commitment());
    record.content = Some(Content { erasable: erasable.collect(), sealed, ..Content::default() });
    let statement = sign(&Body::Record(record), &[&clerk.office.publisher]);
    assert_eq!(clerk.post_good(&statement), 3);
    for opening in &open {
        put(&clerk, &statement, field_to_text(opening).as_bytes());
    }
    let file = clerk.arg("a.statement");
    std::fs::write(&file, &statement).unwrap();
    let receipt = clerk.server().send("GET", "/entry/3", &[("accept", "text/plain")], b"");
    std::fs::write(format!("{file}.tlog-proof"), &receipt.body).unwrap();
    let secret = format!("{file}.sealed");
    std::fs::write(&secret, values.to_text()).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    (clerk, file)
}

/// Uploads a document of the version.
fn put(clerk: &Clerk, statement: &[u8], document: &[u8]) {
    upload(clerk, &format!("/records/{}/disclosures", leaf_hash(statement)), document, &[]);
}

fn upload(clerk: &Clerk, path: &str, body: &[u8], more: &[(&str, &str)]) {
    let upload = daybook::records::upload::Upload {
        log: ORIGIN.to_owned(),
        agency: clerk.office.id.clone(),
        path: path.to_owned(),
        sha256: sha256(body),
        bytes: body.len() as u64,
        at: daybook::client::read::now(&daemon::clock::SystemClock),
    };
    let header = upload.to_header(vec![clerk.office.publisher.sign(&upload.to_text())]);
    let headers = [("content-type", "application/octet-stream"), ("daybook-upload", header.as_str())];
    let answer = clerk.server().send("PUT", path, &[&headers, more].concat(), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn chosen_fields_are_shown_and_every_forgery_of_the_document_is_refused_in_its_own_words() {
    let (mut clerk, file) = person();
    let [out, both] = ["salary.disclosure", "both.disclosure"].map(|name| clerk.arg(name));
    let url = clerk.url();
    let provenance = clerk.arg("provenance");
    clerk.run(0, &["get", &url, "3", "--out", &clerk.arg("x"), "--provenance", &provenance]);
    expect(0, &["disclose", &file, "--field", "salary", "--out", &out]);
    expect(0, &["disclose", &file, "--field", "salary", "--field", "bonus", "--out", &both]);
    let unknown = expect(2, &["disclose", &file, "--field", "name", "--out", &clerk.arg("never")]);
    assert!(unknown.contains("it has bonus, salary"), "{unknown}");
    drop(clerk.server.take());

    let said = clerk.run(0, &["verify-disclosure", &out, "--provenance", &provenance]);
    for words in
        ["RIGHT", "salary = \"120000\"", "entry 3 of log.example/http", "the signature holds", "key A"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("bonus") && !std::fs::read_to_string(&out).unwrap().contains("bonus"));
    let document = |path: &str| -> Value {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str(text.lines().nth(1).unwrap()).unwrap()
    };
    let attack = |from: &str, code: i32, words: &str, alter: &dyn Fn(&mut Value)| {
        let mut json = document(from);
        alter(&mut json);
        let forged = clerk.arg("forged.disclosure");
        std::fs::write(&forged, format!("daybook/disclosure/v1\n{json}\n")).unwrap();
        std::fs::copy(format!("{out}.tlog-proof"), format!("{forged}.tlog-proof")).unwrap();
        let said = clerk.run(code, &["verify-disclosure", &forged]);
        assert!(said.contains(words) && !said.contains("RIGHT"), "{words}: {said}");
    };
    attack(&out, 1, "not those that the agency sealed", &|json| json["fields"][0]["value"] = "999999".into());
    attack(&out, 1, "not those that the agency sealed", &|json| json["fields"][0]["name"] = "bonus".into());
    attack(&out, 1, "not those that the agency sealed", &|json| {
        let place = json["fields"][0]["place"].as_u64().unwrap();
        json["fields"][0]["place"] = ((place + 1) % 16).into();
    });
    attack(&out, 1, "places do not ascend, or are beyond", &|json| json["fields"][0]["place"] = 16.into());
    attack(&out, 1, "these places need 4", &|json| {
        let hash = json["proof"][0].clone();
        json["proof"].as_array_mut().unwrap().push(hash);
    });
    attack(&both, 1, "two fields have one salt", &|json| {
        json["fields"][1]["salt"] = json["fields"][0]["salt"].clone();
    });
    attack(&both, 1, "is disclosed twice", &|json| json["fields"][1] = json["fields"][0].clone());
    attack(&out, 1, "is not of the type", &|json| json["fields"][0]["value"] = 1.into());
    attack(&out, 2, "malformed", &|json| json["more"] = 1.into());
    // Another version under the same receipt.
    let other = clerk.world.put(&clerk.office, "person", "B", None, "{}");
    attack(&out, 1, "no record with sealed fields", &|json| {
        json["statement"] = String::from_utf8(other.clone()).unwrap().into();
    });
    let receipt = std::fs::read_to_string(format!("{out}.tlog-proof")).unwrap();
    std::fs::write(format!("{out}.tlog-proof"), receipt.replacen("index 3", "index 2", 1)).unwrap();
    let said = clerk.run(1, &["verify-disclosure", &out]);
    assert!(said.contains("does not prove this entry"), "{said}");
}

#[test]
fn what_opens_sealed_fields_must_be_the_agencys_alone_and_of_this_version() {
    let (clerk, file) = person();
    let (secret, out) = (format!("{file}.sealed"), clerk.arg("out"));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = expect(3, &["disclose", &file, "--field", "salary", "--out", &out]);
    assert!(said.contains("a.statement.sealed"), "{said}");
    let padding = (0..15).map(|at| Salt::new([50 + at; 32])).collect();
    let other = seal([6; 16], vec![opening("salary", "120000", 9)], padding).unwrap();
    std::fs::write(&secret, other.to_text()).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = expect(2, &["disclose", &file, "--field", "salary", "--out", &out]);
    assert!(said.contains("do not belong to this statement"), "{said}");
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn the_agency_shows_a_disclosure_to_everybody_at_the_log() {
    let (clerk, file) = person();
    let (url, key, out) = (clerk.url(), clerk.arg("publisher.pem"), clerk.arg("out"));
    let shown = clerk.json(
        0,
        &["disclose", &file, "--field", "salary", "--out", &out, "--publish", &url, "--signer", &key],
    );
    let path = shown["published"].as_str().unwrap().strip_prefix(&url).unwrap().to_owned();
    assert!(clerk.server().get(&path).text().contains("120000"));
}

#[test]
fn an_erasure_takes_two_officers_in_turn_and_then_reads_answer_with_the_tombstone() {
    let (clerk, _) = person();
    let url = clerk.url();
    let [one, two, draft] = ["officer-1.pem", "officer-2.pem", "tombstone.txt"].map(|name| clerk.arg(name));
    let basis = "GDPR, Art. 17; order 12 C 34/26";
    let erase = ["erase", &url, NAME, "A", "--basis", basis, "--at", "2026-11-24T08:00:00Z"];
    let what = ["--what", "/erasable/name", "--what", "/sealed/salary"];
    let waiting = clerk.json(0, &[&erase[..], &what, &["--signer", &one, "--out", &draft]].concat());
    assert_eq!((&waiting["tombstone"]["entered"], &waiting["entry"]), (&false.into(), &3.into()));
    let path = format!("/records/{}/disclosures", waiting["leaf_hash"].as_str().unwrap());
    assert!(clerk.server().get(&path).text().contains("Ada Lovelace"), "one officer erases nothing");
    expect(0, &["cosign", &draft, "--signer", &two]);
    clerk.run(0, &["submit", &url, &draft]);
    let left = clerk.server().get(&path);
    assert!(!left.text().contains("Ada Lovelace") && left.text().contains("a secret note"));
    // Asked again, it is not entered again, and says what readers are answered.
    let again = clerk.json(0, &[&erase[..], &["--what", "/erasable/name", "--signer", &one]].concat());
    assert_eq!(again["tombstone"], Value::Null);
    assert_eq!(again["reads"][0]["status"], 200);
    assert_eq!(again["reads"][0]["gone"][0]["tombstone"], 4);

    // Both at once, for the rest: nothing is left, and every read answers 410 with the tombstone.
    let rest = ["--what", "/erasable/note", "--what", "/sealed"];
    let out = clerk.arg("rest.txt");
    let done =
        clerk.run(0, &[&erase[..], &rest, &["--signer", &one, "--signer", &two, "--out", &out]].concat());
    for words in ["is entry 5", "is answered with 410", "with the tombstone's receipt, which verifies"] {
        assert!(done.contains(words), "{words}: {done}");
    }
    clerk.run(0, &["verify", &out]);
    let history = clerk.json(0, &["history", &url, NAME, "A"]);
    assert_eq!(history["tombstones"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(history["versions"][0]["erased"].as_array().unwrap().len(), 4, "{history}");
    let tombstone = history["tombstones"].as_array().unwrap().last().unwrap();
    assert_eq!(tombstone["signed"]["by"].as_array().unwrap().len(), 2);
    assert_eq!((&tombstone["of"], &tombstone["basis"]), (&3.into(), &basis.into()));
    let whole = clerk.json(0, &["history", &url, NAME, "A", "--whole"]);
    assert_eq!(whole["tombstones"].as_array().unwrap().len(), 2);
    assert_eq!(whole["versions"][0]["erased"].as_array().unwrap().len(), 4, "{whole}");
    let proof = clerk.server().send("GET", "/entry/3", &[("accept", "text/plain")], b"");
    assert!(proof.text().starts_with("c2sp.org/tlog-proof"), "the original leaf stays proved");
}

#[test]
fn a_file_that_is_erased_is_answered_with_the_tombstone() {
    let clerk = Clerk::new();
    let mut register = clerk.world.register_body(&clerk.office, "file", None);
    register.attachments = vec![FieldClass::Erasable];
    clerk.post_good(&sign(&Body::Register(register), &clerk.office.quorum()));
    let bytes = b"a file that names somebody";
    let opening = AttachmentOpening {
        place: Place::of(&clerk.world.record_body(&clerk.office, "file", "A", None, "{}")),
        name: "letter.txt".parse().unwrap(),
        media: "text/plain".parse().unwrap(),
        bytes: bytes.len() as u64,
        salt: Salt::new([7; 32]),
        sha256: sha256(bytes),
    };
    let path = format!("/blobs/{}", opening.commitment());
    let opened = STANDARD.encode(opening.to_text());
    upload(&clerk, &path, bytes, &[("daybook-attachment", opened.as_str())]);
    clerk.post_good(&clerk.world.attach(&clerk.office, "file", "A", vec![opening.attachment()]));
    assert_eq!(clerk.server().get(&path).body, bytes);
    let url = clerk.url();
    let [one, two, out] = ["officer-1.pem", "officer-2.pem", "tombstone.txt"].map(|name| clerk.arg(name));
    let erase =
        ["erase", &url, "treasury.example/file", "A", "--basis", "GDPR", "--what", "/attachments/letter.txt"];
    let done = clerk.json(0, &[&erase[..], &["--signer", &one, "--signer", &two, "--out", &out]].concat());
    let read = &done["reads"][0];
    assert_eq!((&read["path"], &read["status"]), (&path.as_str().into(), &410.into()), "{done}");
    assert_eq!((&read["receipt_verified"], &read["gone"][0]["tombstone"]), (&true.into(), &4.into()));
    assert_eq!(clerk.server().get(&path).status, 410);
    let history = clerk.json(0, &["history", &url, "treasury.example/file", "A"]);
    assert_eq!(history["versions"][0]["erased"][0]["item"], "/attachments/letter.txt");
}

#[test]
fn an_erasure_of_what_is_not_there_is_refused_before_anything_is_signed() {
    let (clerk, _) = person();
    let (url, one) = (clerk.url(), clerk.arg("officer-1.pem"));
    let erase = ["erase", &url, NAME, "A", "--basis", "GDPR", "--signer", &one];
    let refused = clerk.run(2, &[&erase[..], &["--what", "/erasable/address"]].concat());
    assert!(refused.contains("can be erased: /erasable/name, /erasable/note, /sealed"), "{refused}");
    clerk.run(2, &[&erase[..], &["--what", "/public/name"]].concat());
    clerk.run(2, &[&erase[..], &["--what", "/erasable/name", "--entry", "2"]].concat());
    let said = daybook(&["erase", &url, NAME, "A", "--what", "/erasable/name", "--policy", "x"]);
    assert_eq!(said.status.code(), Some(2), "without a legal basis nothing is erased");
    assert_eq!(clerk.server().checkpoint(&clerk.site.policy()).head().size.get(), 4);
}

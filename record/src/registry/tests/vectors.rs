//! The test vectors of `docs/spec/record.md`: written by these tests, and read back as another implementation would.
//!
//! `UPDATE_EXPECT=1 cargo test -p record vectors` writes the files under `tests/vectors/record/`.

use expect_test::expect_file;
use serde_json::{Value as Json, json};
use tlog::hash::{Hash, sha256};
use tlog::ids::LeafIndex;
use tlog::note::SignatureLine;

use super::bad_behaviour::with_high_s;
use super::world::{
    LOG, REGISTRAR, Signer, World, about, country, enrol, genesis, key_set, officer, record, register,
    signed, signers,
};
use crate::erasable::{Place, store};
use crate::json::Value;
use crate::opening::{Opening, Salt};
use crate::registry::{Chain, RefusalClass, Signatures};
use crate::sealed::{Disclosure, SealedValues, seal};
use crate::statement::{
    AgencyAction, Attachment, AttachmentContent, Body, Dispute, FieldClass, FieldRule, FieldType, KeyRule,
    Register, Statement, Tombstone,
};

const AGENCY: &str = "a.gov.example";

fn pretty(value: &Json) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn salt(number: usize) -> Salt {
    Salt::new(*sha256(format!("salt {number}").as_bytes()).as_bytes())
}

fn opening(name: &str, kind: FieldType, value: &str, salt: Salt) -> Opening {
    Opening { name: name.parse().unwrap(), kind, value: Value::parse(value).unwrap(), salt }
}

fn grants() -> Register {
    let mut grants = register(AGENCY, "grants");
    grants.keys = KeyRule::Opaque;
    for (name, class, kind, required) in [
        ("amount", FieldClass::Public, FieldType::Decimal, true),
        ("beneficiary", FieldClass::Erasable, FieldType::String, false),
        ("income", FieldClass::Sealed, FieldType::Decimal, false),
        ("children", FieldClass::Sealed, FieldType::Integer, false),
    ] {
        grants.fields.insert(name.to_owned(), FieldRule { class, kind, required });
    }
    grants.attachments = vec![FieldClass::Erasable, FieldClass::Public];
    grants.previous = None;
    grants
}

fn sealed_values() -> SealedValues {
    let openings = vec![
        opening("children", FieldType::Integer, "3", salt(0)),
        opening("income", FieldType::Decimal, "\"21400.00\"", salt(1)),
    ];
    seal(*b"sixteen byte nce", openings, (2..16).map(salt).collect()).unwrap()
}

fn grant() -> crate::statement::Record {
    let mut grant = record(AGENCY, "grants", &"0123456789abcdef".repeat(2), None, r#"{"amount":"1200.00"}"#);
    let place = Place::of(&grant);
    let beneficiary = opening("beneficiary", FieldType::String, "\"\u{5e2}\u{5d3}\u{5d4}\"", salt(100));
    let (name, media) = ("letter.pdf".parse().unwrap(), "application/pdf".parse().unwrap());
    let letter = place.commit_attachment(&name, &media, 9, &salt(101), &sha256(b"%PDF-1.7\n"));
    let content = grant.content.as_mut().unwrap();
    content.sealed = Some(sealed_values().commitment());
    content.erasable.insert("beneficiary".to_owned(), place.commit_field(&beneficiary));
    content.attachments = vec![
        Attachment { name, media, bytes: 9, content: AttachmentContent::Erasable(letter) },
        Attachment {
            name: "rules.txt".parse().unwrap(),
            media: "text/plain".parse().unwrap(),
            bytes: 6,
            content: AttachmentContent::Public(sha256(b"rules\n")),
        },
    ];
    grant
}

fn latest_of_a(world: &World) -> Option<Hash> {
    world.registry.agency(&AGENCY.parse().unwrap()).map(|state| state.latest.leaf)
}

fn revoke_publisher(world: &World) -> Body {
    let keys = vec![signers(AGENCY, &["publisher"])[0].key()];
    about(
        AGENCY,
        latest_of_a(world),
        AgencyAction::Revoke { keys, reason: "A laptop was stolen.".parse().unwrap() },
    )
}

fn dispute(from: u64, to: u64, signer: &Signer) -> Body {
    Body::Dispute(Dispute {
        agency: AGENCY.parse().unwrap(),
        at: "2026-03-03T00:00:00Z".parse().unwrap(),
        log: LOG.parse().unwrap(),
        previous: None,
        key: signer.key(),
        from: LeafIndex::new(from).unwrap(),
        to: LeafIndex::new(to).unwrap(),
        reason: "A laptop was stolen.".parse().unwrap(),
    })
}

/// A log with every kind of statement.
fn log() -> World {
    let mut world = World::new();
    let officers = signers(AGENCY, &["alice", "amir"]);
    let publisher = signers(AGENCY, &["publisher"]);
    let first = world.admit(&country("GB", None, "Britain"), &publisher);
    let second = world.admit(&country("GB", Some(first.leaf), "United Kingdom"), &publisher);
    world.admit(&Body::Register(grants()), &officers);
    let grant = grant();
    let entry = world.admit(&Body::Record(grant.clone()), &publisher);
    let tombstone = Tombstone {
        agency: grant.agency,
        register: grant.register,
        key: grant.key,
        at: "2026-03-01T00:00:00Z".parse().unwrap(),
        log: grant.log,
        previous: None,
        entry,
        erased: vec!["/attachments/letter.pdf".parse().unwrap(), "/erasable/beneficiary".parse().unwrap()],
        basis: "Court of Appeal, case 12/2026".parse().unwrap(),
    };
    world.admit(&Body::Tombstone(tombstone), &officers);
    world.admit(&revoke_publisher(&world), &officers);
    world.admit(&dispute(first.index.get(), second.index.get() + 1, &publisher[0]), &officers);
    let bob = signers("b.gov.example", &["bob-p256"]);
    world.admit(&Body::Record(record("b.gov.example", "budget", "2026", None, r#"{"total":1e-7}"#)), &bob);
    let mut withdrawn = record(AGENCY, "country", "GB", Some(second.leaf), "{}");
    withdrawn.content = None;
    world.admit(&Body::Record(withdrawn), &officers[..1]);
    let [new, next] = [("alice", "alice 2027"), ("recovery", "recovery 2027")]
        .map(|(name, seed)| Signer::from_seed(&format!("{AGENCY}/{name}"), seed));
    let recovery = signers(AGENCY, &["recovery"]);
    let action = AgencyAction::Recover {
        keys: key_set(vec![officer(&new)], 1, Some(&next)),
        reason: "The safe burnt down.".parse().unwrap(),
    };
    world.admit(&about(AGENCY, latest_of_a(&world), action), [&recovery[0], &new, &next]);
    world
}

/// The log when it had so many entries.
fn log_at(size: usize) -> World {
    let mut world = World::empty();
    for entry in log().entries.iter().take(size) {
        world.submit_statement(Statement::parse(entry).unwrap()).unwrap();
    }
    world
}

/// Statements that a log of so many entries refuses.
fn refused() -> Vec<(&'static str, usize, Statement)> {
    let publisher = signers(AGENCY, &["publisher"]);
    let officers = signers(AGENCY, &["alice", "amir"]);
    let bob = signers("b.gov.example", &["bob-p256"]);
    let registrar = signers(REGISTRAR, &["one", "two", "three"]);
    let mallory = signers("m.gov.example", &["mallory"]);
    let mut other_log = record(AGENCY, "country", "FR", None, "{}");
    other_log.log = "log.gov.example/2025".parse().unwrap();
    let fr = country("FR", None, "France");
    let mut no_grant = grant();
    no_grant.content.as_mut().unwrap().public = crate::json::Object::new();
    let enrolment = enrol("m.gov.example", key_set(vec![officer(&mallory[0])], 1, None));
    let borrowed = Signer::from_seed("m.gov.example/x", &format!("{AGENCY}/alice"));
    let budget = Body::Record(record("b.gov.example", "budget", "2027", None, "{}"));
    let with = |body: &Body, lines: Vec<SignatureLine>| Statement::assemble(&body.to_text(), lines).unwrap();
    let forged = officers[1].sign("another text\n");
    let territory = Body::Register(register(AGENCY, "territory"));
    vec![
        ("the first entry is no genesis", 0, signed(&fr, &publisher)),
        ("a genesis that one of its keys did not sign", 0, signed(&genesis(&registrar), &registrar[..2])),
        ("a second genesis", 5, signed(&genesis(&registrar), &registrar)),
        ("another log's statement", 5, signed(&Body::Record(other_log), &publisher)),
        ("an agency signs for another's register", 5, signed(&fr, &bob)),
        ("a key that nobody has", 5, signed(&fr, &mallory)),
        ("a publisher opens a register", 5, signed(&territory, &publisher)),
        ("one officer for a quorum of two", 5, signed(&territory, &officers[..1])),
        (
            "one of two signatures does not verify",
            5,
            with(&territory, vec![officers[0].sign(&territory.to_text()), forged]),
        ),
        ("a signature with a high S", 5, with(&budget, vec![with_high_s(&bob[0].sign(&budget.to_text()))])),
        ("an agency enrols itself", 5, signed(&enrolment, &mallory)),
        ("a new key that did not sign", 5, signed(&enrolment, &registrar[..2])),
        (
            "a key of another agency",
            5,
            signed(
                &enrol("m.gov.example", key_set(vec![officer(&borrowed)], 1, None)),
                registrar[..2].iter().chain([&borrowed]),
            ),
        ),
        ("previous is null though there is a version", 6, signed(&country("GB", None, "x"), &publisher)),
        (
            "previous of another key",
            6,
            signed(&country("FR", log_at(6).history_latest("GB"), "France"), &publisher),
        ),
        ("a required public field is missing", 8, signed(&Body::Record(no_grant), &publisher)),
        ("a dispute of a live key", 9, signed(&dispute(5, 7, &publisher[0]), &officers)),
        ("a revoked key", 11, signed(&fr, &publisher)),
        ("a key that was recovered away", 15, signed(&fr, &officers[..1])),
    ]
}

impl World {
    fn history_latest(&self, key: &str) -> Option<Hash> {
        let chain = Chain::Record(AGENCY.parse().unwrap(), "country".parse().unwrap(), key.parse().unwrap());
        self.latest(&chain).map(|entry| entry.leaf)
    }
}

fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let publisher = signers(AGENCY, &["publisher"]);
    let text = country("GB", None, "x").to_text();
    let changed = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        format!("{changed}\n{}\n", publisher[0].sign(&changed)).into_bytes()
    };
    let territory = Body::Register(register(AGENCY, "territory")).to_text();
    let reversed: Vec<String> = signers(AGENCY, &["amir", "alice"])
        .iter()
        .map(|signer| signer.sign(&territory).to_string())
        .collect();
    let line = publisher[0].sign(&text);
    vec![
        ("no signature", text.clone().into_bytes()),
        ("another version of the kind", changed("daybook/record/v1", "daybook/record/v2")),
        ("a third line", changed("}\n", "}\n{}\n")),
        ("white space", changed("{\"agency\"", "{ \"agency\"")),
        ("a needless escape", changed("\"x\"", "\"\\u0078\"")),
        ("a member twice", changed("\"previous\":null", "\"previous\":null,\"previous\":null")),
        ("members out of order", changed("\"previous\":null", "\"previous\":null,\"other\":1")),
        ("an unknown member", changed("\"register\":\"country\"", "\"register\":\"country\",\"zz\":1")),
        ("a number written differently", changed("\"x\"", "1.0")),
        ("an exponent that is not needed", changed("\"x\"", "1e3")),
        ("an integer beyond 2^53-1", changed("\"x\"", "9007199254740992")),
        ("a fraction of a second", changed("00:00:00Z", "00:00:00.5Z")),
        ("an offset instead of Z", changed("00:00:00Z", "00:00:00+00:00")),
        ("a day that is none", changed("2026-02-01", "2026-02-29")),
        ("a missing member", changed("\"key\":\"GB\",", "")),
        ("a member of another type", changed("\"key\":\"GB\"", "\"key\":1")),
        ("the default said aloud", changed("{\"agency\"", "{\"action\":\"put\",\"agency\"")),
        ("an agency in capitals", changed("a.gov.example\"", "A.gov.example\"")),
        ("a signature twice", format!("{text}\n{line}\n{line}\n").into_bytes()),
        ("signatures out of order", format!("{territory}\n{}\n", reversed.join("\n")).into_bytes()),
    ]
}

#[test]
fn statement_vectors() {
    let world = log();
    let keys = [
        (REGISTRAR, &["one", "two", "three"][..]),
        (AGENCY, &["alice", "amir", "ann", "publisher", "recovery"]),
        ("b.gov.example", &["bob-p256"]),
    ];
    let keys: Vec<Json> = keys
        .iter()
        .flat_map(|(agency, names)| signers(agency, names))
        .map(|signer| {
            let key = signer.key();
            json!({"seed": sha256(key.name().as_str().as_bytes()).to_string(), "verifier_key": key.to_string()})
        })
        .collect();
    let entries: Vec<Json> = world
        .entries
        .iter()
        .map(|entry| {
            let statement = Statement::parse(entry).unwrap();
            json!({
                "leaf": text(entry),
                "leaf_hash": statement.leaf_hash().to_string(),
                "identity": statement.identity().to_string(),
                "chain": Chain::of(statement.body()).id().to_string(),
            })
        })
        .collect();
    let refused: Vec<Json> = refused()
        .into_iter()
        .map(|(name, after, statement)| {
            let leaf = text(&statement.to_bytes());
            let refusal = log_at(after).judge(statement).expect_err(name);
            json!({"name": name, "after": after, "leaf": leaf, "class": class(refusal.class()), "code": refusal.code()})
        })
        .collect();
    let malformed: Vec<Json> = malformed()
        .into_iter()
        .map(|(name, leaf)| {
            let error = Statement::parse(&leaf).expect_err(name);
            json!({"name": name, "leaf": text(&leaf), "code": error.code(), "path": error.path()})
        })
        .collect();
    let all = json!({"keys": keys, "log": entries, "refused": refused, "malformed": malformed});
    expect_file!["../../../../tests/vectors/record/statements.json"].assert_eq(&pretty(&all));
}

fn class(class: RefusalClass) -> &'static str {
    match class {
        RefusalClass::NotAllowed => "not allowed",
        RefusalClass::Stale => "stale",
        RefusalClass::Inadmissible => "inadmissible",
    }
}

#[test]
fn the_statement_vectors_hold_when_read_from_the_file() {
    let file: Json =
        serde_json::from_str(include_str!("../../../../tests/vectors/record/statements.json")).unwrap();
    let list = |name: &str| file[name].as_array().unwrap().clone();
    let leaf = |case: &Json| case["leaf"].as_str().unwrap().as_bytes().to_vec();
    let mut worlds = vec![World::empty()];
    for case in list("log") {
        let statement = Statement::parse(&leaf(&case)).unwrap();
        assert_eq!(statement.leaf_hash().to_string(), case["leaf_hash"]);
        assert_eq!(statement.identity().to_string(), case["identity"]);
        let mut world = worlds.last().unwrap().clone();
        world.submit_statement(statement).unwrap();
        worlds.push(world);
    }
    for case in list("refused") {
        let world = &worlds[usize::try_from(case["after"].as_u64().unwrap()).unwrap()];
        let statement = Statement::parse(&leaf(&case)).unwrap();
        assert_eq!(world.judge(statement).expect_err("refused").code(), case["code"], "{}", case["name"]);
    }
    for case in list("malformed") {
        let error = Statement::parse(&leaf(&case)).expect_err("refused");
        assert_eq!(
            (error.code(), json!(error.path())),
            (case["code"].as_str().unwrap(), case["path"].clone())
        );
    }
    let full = worlds.last().unwrap();
    assert!(
        full.registry.authenticate(Statement::parse(&full.entries[0]).unwrap(), Signatures::Check).is_ok()
    );
    let codes: std::collections::BTreeSet<String> =
        list("refused").iter().map(|case| case["code"].to_string()).collect();
    assert!(codes.len() >= 12, "the refusals differ: {codes:?}");
}

#[test]
fn sealed_vectors() {
    let values = sealed_values();
    let statement = signed(&Body::Record(grant()), &signers(AGENCY, &["publisher"]));
    let disclosures: Vec<Json> = [&["income"][..], &["children", "income"]]
        .iter()
        .map(|names| {
            let disclosure = Disclosure::new(statement.clone(), &values, names).unwrap();
            json!({"fields": names, "document": text(&disclosure.to_bytes())})
        })
        .collect();
    let good = disclosures[0]["document"].as_str().unwrap().to_owned();
    let both = disclosures[1]["document"].as_str().unwrap().to_owned();
    let salts = [salt(0).to_hex(), salt(1).to_hex()];
    let refused: Vec<Json> = [
        ("an altered value", good.replace("21400.00", "21400.01")),
        ("another type", good.replace("\"type\":\"decimal\"", "\"type\":\"string\"")),
        ("another field", good.replace("\"name\":\"income\"", "\"name\":\"outcome\"")),
        ("a moved field", moved(&good)),
        (
            "a hash too many",
            good.replace("],\"statement\"", &format!(",\"{}\"],\"statement\"", "0".repeat(64))),
        ),
        ("a salt used twice", both.replace(&salts[0], &salts[1])),
        ("white space", good.replace("{\"fields\"", "{ \"fields\"")),
    ]
    .into_iter()
    .map(|(name, document)| {
        let error = Disclosure::parse(document.as_bytes()).expect_err(name);
        json!({"name": name, "document": document, "code": error.code()})
    })
    .collect();
    let sealed = values.commitment();
    let all = json!({
        "kept": values.to_text(),
        "commitment": {"leaves": sealed.leaves, "nonce": hex(&sealed.nonce), "root": sealed.root.to_string()},
        "disclosures": disclosures,
        "refused": refused,
    });
    expect_file!["../../../../tests/vectors/record/sealed.json"].assert_eq(&pretty(&all));
}

/// The document with its field one place further, or one back from the last.
fn moved(document: &str) -> String {
    let at = document.find("\"place\":").unwrap() + 8;
    let digits = document[at..].find(',').unwrap();
    let place: u16 = document[at..at + digits].parse().unwrap();
    let other = if place == 15 { 14 } else { place + 1 };
    format!("{}{other}{}", &document[..at], &document[at + digits..])
}

#[test]
fn erasable_vectors() {
    let grant = grant();
    let place = Place::of(&grant);
    let beneficiary = opening("beneficiary", FieldType::String, "\"\u{5e2}\u{5d3}\u{5d4}\"", salt(100));
    let commitment = place.commit_field(&beneficiary);
    let kept = crate::erasable::field_to_text(&beneficiary);
    let (key, nonce) = (*sha256(b"record key").as_bytes(), [9; store::FILE_NONCE_BYTES]);
    let file = store::encrypt(&store::RecordSecret::new(key), nonce, &commitment, kept.as_bytes());
    let long = vec![0x61; store::CHUNK_BYTES + 1];
    let long_file = store::encrypt(&store::RecordSecret::new(key), nonce, &commitment, &long);
    let all = json!({
        "agency": place.agency.as_str(),
        "register": place.register.as_str(),
        "key": place.key.as_str(),
        "field": {"kept": kept, "commitment": commitment.to_string()},
        "attachment": {
            "name": "letter.pdf",
            "media": "application/pdf",
            "bytes": 9,
            "salt": salt(101).to_hex(),
            "sha256": sha256(b"%PDF-1.7\n").to_string(),
            "commitment": place
                .commit_attachment(
                    &"letter.pdf".parse().unwrap(),
                    &"application/pdf".parse().unwrap(),
                    9,
                    &salt(101),
                    &sha256(b"%PDF-1.7\n"),
                )
                .to_string(),
        },
        "stored": [
            {
                "secret": hex(&key),
                "nonce": hex(&nonce),
                "commitment": commitment.to_string(),
                "plain": kept,
                "file": hex(&file),
            },
            {
                "secret": hex(&key),
                "nonce": hex(&nonce),
                "commitment": commitment.to_string(),
                "plain": "the letter a, 65,537 times",
                "file_sha256": sha256(&long_file).to_string(),
            },
        ],
    });
    expect_file!["../../../../tests/vectors/record/erasable.json"].assert_eq(&pretty(&all));
}

#[test]
fn json_vectors() {
    let numbers: Vec<Json> = [
        0x0000_0000_0000_0000_u64,
        0x8000_0000_0000_0000,
        0x0000_0000_0000_0001,
        0x3eb0_c6f7_a0b5_ed8c,
        0x3eb0_c6f7_a0b5_ed8d,
        0x4314_3ff3_c1cb_0959,
        0x41b3_de43_5555_5553,
        0x3ff8_0000_0000_0000,
        0x433f_ffff_ffff_ffff,
        0x4340_0000_0000_0000,
        0x444b_1ae4_d6e2_ef50,
        0x7fef_ffff_ffff_ffff,
    ]
    .into_iter()
    .map(|bits| {
        let number = crate::json::Number::from_f64(f64::from_bits(bits));
        json!({"bits": format!("{bits:016x}"), "text": number.map(|number| number.to_string())})
    })
    .collect();
    let refused: Vec<Json> = [
        " 1",
        "1.0",
        "1e3",
        "1E-7",
        "-0",
        "01",
        "9007199254740992",
        "1e+21",
        "1e400",
        "\"\\/\"",
        "\"\\u000a\"",
        "\"\\u000F\"",
        "\"\\ud83d\\ude00\"",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
        "[1,]",
        "nul",
    ]
    .into_iter()
    .map(|text| json!({"text": text, "code": Value::parse(text).expect_err(text).problem.code()}))
    .collect();
    let accepted: Vec<&str> = vec![
        "null",
        "1e-7",
        "-9007199254740991",
        "{\"\u{1f600}\":1,\"\u{fb33}\":2}",
        "\"\\u000f\\n\u{20ac}/\u{7f}\"",
        "[[],{},\"\"]",
    ];
    for text in &accepted {
        assert_eq!(Value::parse(text).unwrap().to_text(), *text);
    }
    let all = json!({"numbers": numbers, "accepted": accepted, "refused": refused});
    expect_file!["../../../../tests/vectors/record/json.json"].assert_eq(&pretty(&all));
}

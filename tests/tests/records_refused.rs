//! Everything that must not get into a log of records, sent to the real executable over HTTP: each is refused with the reason
//! that the specification gives, leaves no trace in the tree, and is in nobody's way.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::cell::RefCell;
use std::sync::Arc;

use record::statement::{AgencyAction, Body, FieldClass, FieldRule, FieldType, Statement};
use tests::records::{Office, Signer, World, previous, sign};
use tests::server::{Answer, ORIGIN, Server, Site};
use tlog::hash::leaf_hash;
use tlog::note::{Note, SignatureLine};

/// A served log with an enrolled agency and its register `country`: three entries.
struct Scene {
    /// Only `None` between two lives.
    server: Option<Server>,
    site: Site,
    world: World,
    office: Arc<Office>,
    /// What was answered with 200, in order.
    taken: RefCell<Vec<Vec<u8>>>,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new("records");
        let server = Some(site.start());
        let world = World::new(ORIGIN);
        let office = Arc::new(Office::new("treasury.example"));
        let taken = RefCell::new(vec![world.genesis()]);
        let scene = Self { server, site, world, office, taken };
        scene.takes(&scene.world.enrol(&scene.office));
        scene.takes(&scene.world.open(&scene.office, "country"));
        scene
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn post(&self, statement: &[u8]) -> Answer {
        self.server().send("POST", "/records", &[("content-type", "text/plain")], statement)
    }

    fn takes(&self, statement: &[u8]) {
        let answer = self.post(statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.taken.borrow_mut().push(statement.to_vec());
    }

    /// Alone, and in a batch.
    fn refuses(&self, statement: &[u8], status: u16, reason: &str) {
        let answer = self.post(statement);
        let document = answer.json();
        assert_eq!((answer.status, &document["reason"]), (status, &reason.into()), "{document}");
        assert!(document["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{document}");
        let at_fault = ["field", "signature", "line"].iter().any(|place| document.get(place).is_some());
        assert!(at_fault, "it says what is at fault: {document}");
        let Ok(length) = u16::try_from(statement.len()) else { return };
        let body = [&length.to_be_bytes(), statement].concat();
        let answer = self.server().post("/records/batch", &body);
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(said.contains(&format!("\"reason\":\"{reason}\"")), "{said}");
    }

    fn put(&self, key: &str, before: Option<&[u8]>, public: &str) -> Vec<u8> {
        self.world.put(&self.office, "country", key, before.and_then(previous), public)
    }

    fn agency(&self, office: &Office, before: &[u8], action: AgencyAction) -> Body {
        self.world.agency_body(office, previous(before), action)
    }

    fn city(&self) -> Body {
        Body::Register(self.world.register_body(&self.office, "city", None))
    }
}

impl Drop for Scene {
    /// The log holds what it has answered for, and nothing else.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let taken = self.taken.borrow();
        let head = self.server().checkpoint(&self.site.policy()).head();
        assert_eq!(head.size.get(), taken.len() as u64);
        for (index, statement) in taken.iter().enumerate() {
            let path = format!("/entry/{index}");
            let entry = self.server().send("GET", &path, &[("accept", "application/octet-stream")], b"");
            assert!(entry.body == *statement, "entry {index}");
        }
    }
}

#[test]
fn an_agency_signs_for_another_agencys_register() {
    let scene = Scene::new();
    let other = Office::new("health.example");
    scene.takes(&scene.world.enrol(&other));
    let body = Body::Record(scene.world.record_body(&scene.office, "country", "GB", None, "{}"));
    scene.refuses(&sign(&body, &[&other.publisher]), 403, "other_agency");
    let mut redefined = scene.world.register_body(&scene.office, "country", None);
    redefined.previous = previous(&scene.world.open(&scene.office, "country"));
    scene.refuses(&sign(&Body::Register(redefined), &other.quorum()), 403, "other_agency");
    let stranger = Signer::ed25519("stranger.example/key");
    scene.refuses(&sign(&body, &[&stranger]), 403, "unknown_key");
    // The signature of another key under the publisher's name.
    let (text, own) = (body.to_text(), scene.office.publisher.key());
    let line = other.publisher.sign(&text);
    let forged = SignatureLine::new(own.name().clone(), own.id(), line.signature().to_vec());
    let forged = Statement::assemble(&text, vec![forged]).unwrap().to_bytes();
    scene.refuses(&forged, 403, "bad_signature");
}

#[test]
fn a_rotated_key_signs_on_and_a_revoked_one_signs_after_its_revocation() {
    let mut scene = Scene::new();
    let enrolment = scene.world.enrol(&scene.office);
    let before = scene.put("GB", None, "{}");
    scene.takes(&before);
    let new = Signer::ed25519("treasury.example/publisher-2");
    let rotate = scene.office.replace_publisher(&new);
    let body = scene.agency(&scene.office, &enrolment, rotate);
    let office = Arc::clone(&scene.office);
    let rotated = sign(&body, &[&office.officers[0], &office.officers[1], &new]);
    scene.takes(&rotated);
    scene.refuses(&scene.put("GB", Some(&before), r#"{"a":1}"#), 403, "key_retired");
    let by_new = |key: &str| {
        let body = Body::Record(World::new(ORIGIN).record_body(&office, "country", key, None, "{}"));
        sign(&body, &[&new])
    };
    let admitted = by_new("FR");
    scene.takes(&admitted);
    let revoke = AgencyAction::Revoke { keys: vec![new.key()], reason: "lost".parse().unwrap() };
    scene.takes(&sign(&scene.agency(&office, &rotated, revoke), &office.quorum()));
    scene.refuses(&by_new("DE"), 403, "key_revoked");
    scene.server.take().unwrap().kill();
    scene.server = Some(scene.site.start());
    scene.refuses(&by_new("DE"), 403, "key_revoked");
    assert_eq!(scene.post(&admitted).status, 200, "what was admitted before stands");
}

#[test]
fn one_officer_signs_twice_for_a_quorum_of_two() {
    let scene = Scene::new();
    let body = scene.city();
    let one = &scene.office.officers[0];
    scene.refuses(&sign(&body, &[one]), 403, "quorum");
    let line = one.sign(&body.to_text());
    let twice = Note::new(body.to_text(), vec![line.clone(), line.clone()]).unwrap().to_bytes();
    scene.refuses(&twice, 422, "signature_order");
    // Under another name it is another key, which nobody has enrolled.
    let renamed = SignatureLine::new(
        "treasury.example/officer-9".parse().unwrap(),
        line.id(),
        line.signature().to_vec(),
    );
    let renamed = Statement::assemble(&body.to_text(), vec![line, renamed]).unwrap().to_bytes();
    scene.refuses(&renamed, 403, "unknown_key");
    // Nor can one person's key be enrolled as two officers.
    let twin = Office::new("twin.example");
    let enrolment = Statement::parse(&scene.world.enrol(&twin)).unwrap();
    let Body::Agency(mut agency) = enrolment.body().clone() else { panic!("an enrolment") };
    let AgencyAction::Enrol { keys, .. } = &mut agency.action else { panic!("an enrolment") };
    keys.keys[1].key = keys.keys[0].key.clone();
    let doubled = Body::Agency(agency).to_text();
    let signers = scene.world.registrar.quorum().into_iter().chain([&twin.officers[0], &twin.officers[2]]);
    let lines = signers.chain([&twin.publisher]).map(|signer| signer.sign(&doubled)).collect();
    let doubled = Note::new(doubled, lines).unwrap().to_bytes();
    assert_eq!(scene.post(&doubled).status, 422);
}

#[test]
fn a_statement_for_another_logs_origin_is_replayed_here() {
    let scene = Scene::new();
    let elsewhere = World::new("log.example/elsewhere");
    scene.refuses(&elsewhere.put(&scene.office, "country", "GB", None, "{}"), 422, "other_log");
    scene.refuses(&elsewhere.open(&scene.office, "city"), 422, "other_log");
    scene.refuses(&elsewhere.enrol(&Office::new("health.example")), 422, "other_log");
    scene.refuses(&elsewhere.genesis(), 422, "genesis");
}

#[test]
fn previous_is_of_another_key() {
    let scene = Scene::new();
    let other = scene.put("FR", None, "{}");
    scene.takes(&other);
    scene.refuses(&scene.put("GB", Some(&other), "{}"), 409, "stale_previous");
    let enrolment = scene.world.enrol(&scene.office);
    scene.refuses(&scene.put("FR", Some(&enrolment), "{}"), 409, "stale_previous");
}

#[test]
fn a_leaf_parses_and_is_not_canonical() {
    let scene = Scene::new();
    let put = String::from_utf8(scene.put("GB", None, r#"{"a":1}"#)).unwrap();
    let text = Note::parse(put.as_bytes()).unwrap().text().to_owned();
    let variants = [
        (r#"{"a":1}"#, r#"{"a": 1}"#, "json_white_space"),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, "json_number"),
        (r#"{"a":1}"#, r#"{"a":9007199254740993}"#, "json_number_range"),
        (r#"{"a":1}"#, r#"{"a":1,"a":1}"#, "json_duplicate"),
        (r#"{"a":1}"#, r#"{"b":1,"a":1}"#, "json_order"),
        (r#"{"a":1}"#, "{\"\\u0061\":1}", "json_escape"),
        (r#""register""#, r#""rank":1,"register""#, "field_unknown"),
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00+00:00", "form_time"),
        ("2026-11-23T09:00:00Z", "2026-02-30T09:00:00Z", "form_time"),
    ];
    for (from, to, reason) in variants {
        let variant = text.replace(from, to);
        assert_ne!(variant, text);
        let note = Note::new(variant.clone(), vec![scene.office.publisher.sign(&variant)]).unwrap();
        scene.refuses(&note.to_bytes(), 422, reason);
    }
    let long = scene.put("GB", None, &format!(r#"{{"a":"{}"}}"#, "x".repeat(65_100)));
    assert!(long.len() < 65_536);
    scene.takes(&long);
}

#[test]
fn a_registers_public_schema_is_broken() {
    let scene = Scene::new();
    let mut register = scene.world.register_body(&scene.office, "city", None);
    let rule = FieldRule { class: FieldClass::Public, kind: FieldType::String, required: true };
    register.fields.insert("name".to_owned(), rule);
    scene.takes(&sign(&Body::Register(register), &scene.office.quorum()));
    let put = |key: &str, public: &str| scene.world.put(&scene.office, "city", key, None, public);
    scene.takes(&put("1", r#"{"name":"Oslo"}"#));
    for (public, reason, field) in [
        (r#"{"name":1}"#, "content_type", "/public/name"),
        (r#"{}"#, "content_required", "/public/name"),
        (r#"{"name":"Oslo","other":1}"#, "content_undeclared", "/public/other"),
    ] {
        let bad = put("2", public);
        scene.refuses(&bad, 422, reason);
        assert_eq!(scene.post(&bad).json()["field"], field);
    }
}

#[test]
fn an_agency_enrols_itself() {
    let scene = Scene::new();
    let other = Office::new("health.example");
    let enrolment = Statement::parse(&scene.world.enrol(&other)).unwrap();
    let own: Vec<SignatureLine> = enrolment
        .signatures()
        .iter()
        .filter(|line| line.name().as_str().starts_with("health"))
        .cloned()
        .collect();
    let alone = Statement::assemble(enrolment.text(), own.clone()).unwrap().to_bytes();
    scene.refuses(&alone, 403, "quorum");
    // Nor do officers of an agency that is no registrar enrol it.
    let officers = scene.office.quorum().into_iter().map(|signer| signer.sign(enrolment.text()));
    let by_agency = Statement::assemble(enrolment.text(), officers.chain(own).collect()).unwrap();
    scene.refuses(&by_agency.to_bytes(), 403, "other_agency");
    scene.takes(&scene.world.enrol(&other));
}

#[test]
fn a_signature_is_altered_without_changing_its_meaning_and_submitted_first() {
    let scene = Scene::new();
    let body = scene.city();
    let text = body.to_text();
    let [one, two, p256] = scene.office.officers.as_slice() else { panic!("three officers") };
    let good = sign(&body, &[one, p256]);
    let line = p256.sign(&text);
    let signature = p256::ecdsa::Signature::from_der(line.signature()).unwrap();
    let (r, s) = signature.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let high = SignatureLine::new(line.name().clone(), line.id(), high.to_der().as_bytes().to_vec());
    let high = Statement::assemble(&text, vec![one.sign(&text), high]).unwrap().to_bytes();
    scene.refuses(&high, 422, "signature_form");
    let mut long = line.signature().to_vec();
    long.push(0);
    let long = SignatureLine::new(line.name().clone(), line.id(), long);
    let long = Statement::assemble(&text, vec![one.sign(&text), long]).unwrap().to_bytes();
    scene.refuses(&long, 422, "signature_form");
    let swapped = Note::new(text.clone(), vec![p256.sign(&text), one.sign(&text)]).unwrap().to_bytes();
    scene.refuses(&swapped, 422, "signature_order");
    let stranger = Signer::ed25519("zzz.example/key");
    scene.refuses(&sign(&body, &[one, p256, &stranger]), 403, "unknown_key");
    scene.refuses(&sign(&body, &[one, p256, &scene.office.publisher]), 403, "key_role");
    let spaced = [good.as_slice(), b"\n"].concat();
    assert_eq!(scene.post(&spaced).status, 422);
    scene.takes(&good);
    // Other good signatures under a text that is there: the entry that is there is shown.
    let answer = scene.post(&sign(&body, &[one, two]));
    assert_eq!((answer.status, &answer.json()["reason"]), (409, &"other_signatures".into()));
    assert_eq!(answer.json()["latest"]["leaf_hash"], leaf_hash(&good).to_string());
}

#[test]
fn an_old_agency_statement_is_replayed() {
    let scene = Scene::new();
    let enrolment = scene.world.enrol(&scene.office);
    let new = Signer::ed25519("treasury.example/publisher-2");
    let rotate = scene.office.replace_publisher(&new);
    let [one, two, _] = scene.office.officers.as_slice() else { panic!("three officers") };
    let body = scene.agency(&scene.office, &enrolment, rotate);
    scene.takes(&sign(&body, &[one, two, &new]));
    // The same bytes are the same entry, and change nothing: the old key does not come back.
    let again = scene.server().send("POST", "/records", &[("accept", "application/json")], &enrolment);
    assert_eq!(
        (again.status, &again.json()["index"], &again.json()["duplicate"]),
        (200, &1.into(), &true.into())
    );
    scene.refuses(&scene.put("GB", None, "{}"), 403, "key_retired");
    // The same enrolment with another time is another text, and brings nothing back either.
    let Body::Agency(mut agency) = Statement::parse(&enrolment).unwrap().body().clone() else { panic!() };
    agency.at = "2026-11-24T09:00:00Z".parse().unwrap();
    let office = Office::new("treasury.example");
    let signers: Vec<&Signer> = scene
        .world
        .registrar
        .quorum()
        .into_iter()
        .chain(&office.officers)
        .chain([&office.publisher])
        .collect();
    scene.refuses(&sign(&Body::Agency(agency), &signers), 403, "key_retired");
    // An older rotation signed again does not follow the latest.
    let stale = AgencyAction::Revoke { keys: vec![one.key()], reason: "an old wish".parse().unwrap() };
    let stale = scene.agency(&scene.office, &enrolment, stale);
    scene.refuses(&sign(&stale, &[one, two]), 409, "stale_previous");
}

#[test]
fn a_delegated_key_signs_beyond_its_registers_and_its_time() {
    let scene = Scene::new();
    let unit = Signer::ed25519("treasury.example/unit");
    let enrolment = scene.world.enrol(&scene.office);
    scene.takes(&scene.world.open(&scene.office, "budget"));
    let delegate = AgencyAction::Delegate {
        key: unit.key(),
        registers: vec!["budget".parse().unwrap()],
        until: "2999-01-01T00:00:00Z".parse().unwrap(),
    };
    let [one, two, _] = scene.office.officers.as_slice() else { panic!("three officers") };
    let body = scene.agency(&scene.office, &enrolment, delegate);
    scene.refuses(&sign(&body, &[one, two]), 403, "possession");
    let delegated = sign(&body, &[one, two, &unit]);
    scene.takes(&delegated);
    let record =
        |register: &str, key: &str| scene.world.record_body(&scene.office, register, key, None, "{}");
    scene.takes(&sign(&Body::Record(record("budget", "1")), &[&unit]));
    scene.refuses(&sign(&Body::Record(record("country", "GB")), &[&unit]), 403, "delegated_register");
    // Dated after the end of the delegation; and dated before it, long after.
    let later = Signer::ed25519("treasury.example/unit-2");
    let over = AgencyAction::Delegate {
        key: later.key(),
        registers: vec!["budget".parse().unwrap()],
        until: "2026-11-22T00:00:00Z".parse().unwrap(),
    };
    scene.takes(&sign(&scene.agency(&scene.office, &delegated, over), &[one, two, &later]));
    let mut late = record("budget", "2");
    scene.refuses(&sign(&Body::Record(late.clone()), &[&later]), 403, "delegation_ended");
    late.at = "2026-11-21T00:00:00Z".parse().unwrap();
    scene.refuses(&sign(&Body::Record(late), &[&later]), 409, "delegation_over");
}

#[test]
fn a_statement_is_dated_in_the_future() {
    let scene = Scene::new();
    let mut early = scene.world.record_body(&scene.office, "country", "GB", None, "{}");
    early.at = "2999-01-01T00:00:00Z".parse().unwrap();
    let [one, ..] = scene.office.officers.as_slice() else { panic!("an officer") };
    scene.refuses(&sign(&Body::Record(early), &[one]), 409, "at_in_the_future");
}

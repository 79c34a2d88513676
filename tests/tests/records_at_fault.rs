//! Every refusal names what is at fault: a field, a signature, or a line of the statement.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use record::statement::{Body, FieldClass, FieldRule, FieldType, KeyRule, Register};
use serde_json::{Value, json};
use tests::records::{Office, Signer, World, previous, sign};
use tests::server::{ORIGIN, Server, Site};
use tests::uploads;
use tlog::hash::sha256;
use tlog::note::Note;

struct Scene {
    server: Server,
    _site: Site,
    world: World,
    office: Office,
    other: Office,
}

impl Scene {
    /// Two agencies; the first has the register `city` with a prefix and a sealed field.
    fn new() -> Self {
        let site = Site::new("records");
        let server = site.start();
        let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
        let other = Office::new("health.example");
        let scene = Self { _site: site, server, world, office, other };
        for statement in [scene.world.enrol(&scene.office), scene.world.enrol(&scene.other), scene.city()] {
            assert_eq!(scene.post(&statement), Value::Null);
        }
        scene
    }

    fn register(&self) -> Register {
        let mut register = self.world.register_body(&self.office, "city", None);
        register.prefix = Some("ocds-1".parse().unwrap());
        let rule = FieldRule { class: FieldClass::Sealed, kind: FieldType::String, required: false };
        register.fields.insert("a/b".to_owned(), rule);
        register
    }

    fn city(&self) -> Vec<u8> {
        sign(&Body::Register(self.register()), &self.office.quorum())
    }

    /// The problem, or `null`.
    fn post(&self, statement: &[u8]) -> Value {
        let answer = self.server.send("POST", "/records", &[("content-type", "text/plain")], statement);
        if answer.status == 200 { Value::Null } else { answer.json() }
    }

    fn faulted(&self, statement: &[u8], reason: &str, place: &Value) {
        let said = self.post(statement);
        assert_eq!(said["reason"], reason, "{said}");
        for name in ["field", "signature", "line"] {
            assert_eq!(said.get(name), place.get(name), "{name} of {reason}: {said}");
        }
    }
}

#[test]
fn refusals_by_signatures_name_the_signature_or_its_line() {
    let scene = Scene::new();
    let record = |register: &str| {
        Body::Record(scene.world.record_body(&scene.office, register, "ocds-1-a", None, "{}"))
    };
    let stranger = Signer::ed25519("stranger.example/key");
    let unknown = sign(&record("city"), &[&stranger]);
    scene.faulted(&unknown, "unknown_key", &json!({ "signature": "stranger.example/key" }));
    let foreign = sign(&record("city"), &[&scene.other.publisher]);
    let place = json!({ "signature": "health.example/publisher", "field": "/agency" });
    scene.faulted(&foreign, "other_agency", &place);
    let mut second = scene.register();
    second.register = "town".parse().unwrap();
    let body = Body::Register(second);
    let [one, two, _] = scene.office.officers.as_slice() else { panic!("three officers") };
    scene.faulted(&sign(&body, &[one]), "quorum", &json!({ "line": 4 }));
    let lines = vec![two.sign(&body.to_text()), one.sign(&body.to_text())];
    let disordered = Note::new(body.to_text(), lines).unwrap().to_bytes();
    scene.faulted(&disordered, "signature_order", &json!({ "line": 5 }));
    let role = sign(&body, &[one, two, &scene.office.publisher]);
    scene.faulted(&role, "key_role", &json!({ "signature": "treasury.example/publisher" }));
}

#[test]
fn refusals_by_what_a_register_says_name_its_member() {
    let scene = Scene::new();
    let change = |change: fn(&mut Register)| {
        let mut register = scene.register();
        register.previous = previous(&scene.city());
        change(&mut register);
        sign(&Body::Register(register), &scene.office.quorum())
    };
    let opaque = change(|register| {
        register.keys = KeyRule::Opaque;
        register.prefix = None;
    });
    scene.faulted(&opaque, "key_rule_changed", &json!({ "field": "/keys" }));
    let public = change(|register| {
        register.fields.values_mut().for_each(|rule| rule.class = FieldClass::Public);
    });
    scene.faulted(&public, "field_more_public", &json!({ "field": "/fields/a~1b" }));
    let mut taken = scene.world.register_body(&scene.other, "plan", None);
    taken.prefix = Some("ocds-12".parse().unwrap());
    let taken = sign(&Body::Register(taken), &scene.other.quorum());
    scene.faulted(&taken, "prefix_taken", &json!({ "field": "/prefix" }));
    let stale =
        sign(&Body::Register(scene.register()), &[&scene.office.officers[0], &scene.office.officers[2]]);
    scene.faulted(&stale, "other_signatures", &json!({ "line": 4 }));
    let mut again = scene.register();
    again.title = "Another".parse().unwrap();
    let again = sign(&Body::Register(again), &scene.office.quorum());
    scene.faulted(&again, "stale_previous", &json!({ "field": "/previous" }));
}

#[test]
fn what_is_no_statement_is_told_by_its_line_and_an_upload_by_its_header() {
    let scene = Scene::new();
    let text = Body::Record(scene.world.record_body(&scene.office, "city", "ocds-1", None, "{}")).to_text();
    let signed = |text: &str| format!("{text}\n{}\n", scene.office.publisher.sign(text));
    scene.faulted(signed(&text.replacen("record", "recrod", 1)).as_bytes(), "kind", &json!({ "line": 1 }));
    scene.faulted(signed(&format!("{text}more\n")).as_bytes(), "lines", &json!({ "line": 3 }));
    let torn = format!("{text}\n\u{2014} treasury.example/publisher\n");
    scene.faulted(torn.as_bytes(), "note", &json!({ "line": 4 }));
    let path = format!("/blobs/{}", sha256(b"a map"));
    let stranger = Office::new("nobody.example");
    let refused = uploads::put(&scene.server, &stranger, &path, b"a map");
    assert_eq!((refused.status, &refused.json()["header"]), (403, &"daybook-upload".into()));
}

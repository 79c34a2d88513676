//! A log that lies to a clerk about a register: what the agency keeps secret must not be sent because the log says that it is
//! public.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::json::Value as Json;
use record::statement::{Body, FieldClass, FieldRule, FieldType, Register, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::agency::{arg, expect, write_key};
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::records::{Office, World, previous, sign};
use tlog::hash::leaf_hash;

const LOG: &str = "log.gov.example/2026";
const PERSON: &str = "treasury.example/person";
const SECONDS: u64 = tests::START / 1000;

/// A clerk of an agency whose register `person` has the field `salary`, and a log that answers what it is told to.
struct Scene {
    folder: TempDir,
    keys: Keys,
    log: Liar,
    world: World,
    office: Office,
    tree: Tree,
}

impl Scene {
    fn new() -> Self {
        let (world, office) = (World::new(LOG), Office::new("treasury.example"));
        let mut tree = Tree::default();
        tree.push(world.genesis());
        tree.push(world.enrol(&office));
        let folder = TempDir::new().expect("a folder");
        let scene = Self { folder, keys: Keys::new(LOG), log: Liar::start(), world, office, tree };
        write_key(&scene.path("publisher.pem"), &scene.office.publisher);
        scene.write("policy.txt", &scene.keys.policy(true));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// The register's definition, in which the salary is that.
    fn definition(&self, salary: FieldClass, before: Option<&[u8]>) -> Register {
        let mut register = self.world.register_body(&self.office, "person", before.and_then(previous));
        let rule = FieldRule { class: salary, kind: FieldType::String, required: false };
        register.fields.insert("salary".to_owned(), rule);
        register
    }

    fn by_officers(&self, register: Register) -> Vec<u8> {
        sign(&Body::Register(register), &self.office.quorum())
    }

    /// The log shows entry `at` as the register's definition, and lists nothing after it.
    fn shows(&self, at: usize) {
        self.log.serve(&self.tree, self.keys.sign(self.tree.head(), &[0, 1], SECONDS));
        let answer = |path: &str, document: &Value| {
            self.log.reply(path, Reply::Body(200, document.to_string().into_bytes()));
        };
        answer("log.json", &json!({ "origin": LOG, "admission": "records" }));
        let mut shown = item(&self.tree.entries[at], at);
        (shown["entries"], shown["records"]) = (1.into(), 0.into());
        answer(&format!("registers/{PERSON}"), &shown);
        let receipt = self.keys.receipt(&self.tree, at as u64, SECONDS);
        let receipt = String::from_utf8(receipt).expect("text");
        let entry = STANDARD.encode(&self.tree.entries[at]);
        answer(&format!("entry/{at}"), &json!({ "entry": entry, "receipt": receipt }));
        let size = self.tree.entries.len();
        let list = |agency: &str, places: &[usize]| {
            let items: Vec<Value> = places.iter().map(|at| item(&self.tree.entries[*at], *at)).collect();
            let path = format!("agencies/{agency}?from=0&size={size}&limit=100");
            answer(&path, &json!({ "items": items, "next": null }));
        };
        list("registrar.example", &[0]);
        list("treasury.example", &(1..=at).collect::<Vec<_>>());
    }

    /// Submits the record, which must end with this code; what was said.
    fn submit(&self, code: i32, record: &str) -> String {
        self.write("ada.json", record);
        let [input, signer, policy] =
            ["ada.json", "publisher.pem", "policy.txt"].map(|name| arg(&self.path(name)));
        let url = self.log.url();
        let submit = ["submit", &url, &input, "--register", PERSON, "--signer", &signer, "--policy", &policy];
        expect(code, &submit)
    }

    /// Nothing that could hold the record's contents was sent, and nothing was signed.
    fn sent_nothing(&self) {
        let asked = self.log.script().asked.clone();
        assert!(asked.contains(&format!("registers/{PERSON}")), "{asked:?}");
        let sent = asked.iter().filter(|path| path.starts_with("records") || path.starts_with("blobs"));
        assert_eq!(sent.count(), 0, "{asked:?}");
        assert!(!self.path("ada.json.statement").exists());
    }
}

/// An entry as the log shows it in answers.
fn item(entry: &[u8], at: usize) -> Value {
    let statement = Statement::parse(entry).expect("a statement");
    let body: Value =
        serde_json::from_str(&Json::Object(statement.body().to_object()).to_text()).expect("JSON");
    json!({
        "index": at,
        "leaf_hash": leaf_hash(entry).to_string(),
        "kind": statement.body().kind().as_str(),
        "statement": body,
    })
}

const FLAT: &str = r#"{"key":"A","salary":"120000"}"#;
const FULL: &str = r#"{"key":"A","sealed":{"salary":"120000"}}"#;

#[test]
fn a_definition_that_the_agencys_officers_have_not_signed_sorts_nothing() {
    for by_publisher in [true, false] {
        let mut scene = Scene::new();
        let opened = scene.by_officers(scene.definition(FieldClass::Sealed, None));
        scene.tree.push(opened.clone());
        let body = Body::Register(scene.definition(FieldClass::Public, Some(&opened)));
        let stranger = Office::new("stranger.example");
        let forged = match by_publisher {
            true => sign(&body, &[&scene.office.publisher]),
            false => sign(&body, &stranger.quorum()),
        };
        // It stands in the tree, which the log has signed.
        scene.tree.push(forged);
        scene.shows(3);
        let said = scene.submit(1, FLAT);
        assert!(said.contains("that the log shows does not hold") && said.contains("entry 3"), "{said}");
        scene.sent_nothing();
    }
}

#[test]
fn a_definition_that_is_in_no_tree_of_the_log_sorts_nothing() {
    let mut scene = Scene::new();
    let shown = scene.by_officers(scene.definition(FieldClass::Public, None));
    let opened = scene.by_officers(scene.definition(FieldClass::Sealed, None));
    scene.tree.push(opened);
    scene.shows(2);
    let mut answer = item(&shown, 2);
    (answer["entries"], answer["records"]) = (1.into(), 0.into());
    scene.log.reply(&format!("registers/{PERSON}"), Reply::Body(200, answer.to_string().into_bytes()));
    let said = scene.submit(1, FLAT);
    assert!(said.contains("that is not its entry 2"), "{said}");
    scene.sent_nothing();
}

#[test]
fn an_older_definition_of_the_agencys_own_cannot_publish_what_a_record_in_full_seals() {
    let mut scene = Scene::new();
    let older = scene.by_officers(scene.definition(FieldClass::Public, None));
    let newer = scene.by_officers(scene.definition(FieldClass::Sealed, Some(&older)));
    scene.tree.push(older);
    scene.tree.push(newer);
    scene.shows(2);
    let said = scene.submit(2, FULL);
    assert!(said.contains("/sealed/salary") && said.contains("declares this field as public"), "{said}");
    scene.sent_nothing();
}

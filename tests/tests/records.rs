//! Records in process: the registry in order, races, duplicates, restarts, and every bad statement that the server
//! refuses.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use daybook::pool::Placed;
use daybook::records::Refused;
use record::registry::Refusal;
use record::statement::{AgencyAction, Body, FieldClass, FieldRule, FieldType, Statement};
use tests::check::check;
use tests::records::{Office, Signer, World, previous, sign};
use tests::{Became, Bench, ORIGIN, Running};
use tlog::hash::leaf_hash;
use tlog::note::{Note, SignatureLine};

/// A log with one enrolled agency and its register `country`: three entries.
struct Scene {
    bench: Bench,
    world: World,
    office: Arc<Office>,
    /// Only `None` between two lives.
    running: Option<Running>,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(ORIGIN);
        let bench = Bench::of_records(&world);
        let office = Arc::new(Office::new("treasury.example"));
        let running = Some(bench.start().unwrap());
        let mut scene = Self { bench, world, office, running };
        let made = [scene.world.enrol(&scene.office), scene.world.open(&scene.office, "country")];
        assert_eq!(indexes(&scene.submit(&made)), [Some(1), Some(2)]);
        scene
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().unwrap()
    }

    fn submit(&mut self, statements: &[Vec<u8>]) -> Vec<Became> {
        self.running().submit_statements(statements).unwrap().expect("the engine lives")
    }

    fn one(&mut self, statement: &[u8]) -> Became {
        self.submit(&[statement.to_vec()]).remove(0)
    }

    /// Why the statement is refused; empty if it is not.
    fn code(&mut self, statement: &[u8]) -> &'static str {
        self.one(statement).code()
    }

    fn put(&self, key: &str, before: Option<&[u8]>, public: &str) -> Vec<u8> {
        self.world.put(&self.office, "country", key, before.and_then(previous), public)
    }

    fn agency(&self, office: &Office, before: &[u8], action: AgencyAction) -> Body {
        self.world.agency_body(office, previous(before), action)
    }

    fn restart(&mut self) {
        self.running = None;
        self.running = Some(self.bench.start().unwrap());
    }

    fn entries(&mut self) -> Vec<Vec<u8>> {
        let public = self.bench.dir().join("public");
        check(&public, self.running().log.signer.verifier_keys()).entries
    }
}

fn indexes(became: &[Became]) -> Vec<Option<u64>> {
    became.iter().map(Became::index).collect()
}

fn is_duplicate_of(became: &Became, index: u64) -> bool {
    matches!(became, Became::Placed(Placed { index: at, duplicate: true }) if at.get() == index)
}

#[test]
fn a_log_of_records_begins_with_the_genesis_that_its_directory_pins() {
    let mut scene = Scene::new();
    let genesis = scene.world.genesis();
    assert_eq!(scene.entries()[0], genesis);
    let identity = std::fs::read_to_string(scene.bench.dir().join("log.toml")).unwrap();
    let leaf = leaf_hash(&genesis).to_string();
    for file in ["log.toml", "policy.txt", "README.txt"] {
        let text = std::fs::read_to_string(scene.bench.dir().join(file)).unwrap();
        assert!(text.contains(&leaf), "{file} names the genesis");
    }
    scene.running = None;
    let other = identity.replace(&leaf, &"0".repeat(64));
    std::fs::write(scene.bench.dir().join("log.toml"), other).unwrap();
    let (log, mut engine) = {
        let system = scene.bench.system();
        daybook::log::open(&scene.bench.dir(), scene.bench.config.clone(), &system).unwrap()
    };
    let refused = engine.fill_index(&log, |_| ()).unwrap_err().to_string();
    assert!(refused.contains("pins the genesis") && refused.contains(&leaf), "{refused}");
}

#[test]
fn a_record_is_put_amended_and_withdrawn_in_a_chain() {
    let mut scene = Scene::new();
    let first = scene.put("GB", None, r#"{"name":"United Kingdom"}"#);
    let second = scene.put("GB", Some(&first), r#"{"name":"UK"}"#);
    let mut withdrawal = scene.world.record_body(&scene.office, "country", "GB", previous(&second), "{}");
    withdrawal.content = None;
    let third = sign(&Body::Record(withdrawal), &[&scene.office.publisher]);
    let statements = [first, second, third];
    assert_eq!(indexes(&scene.submit(&statements)), [Some(3), Some(4), Some(5)]);
    assert_eq!(scene.entries()[3..], statements, "a leaf is the exact bytes that the agency signed");
}

#[test]
fn the_same_statement_again_is_the_same_entry_also_when_an_old_one_is_replayed() {
    let mut scene = Scene::new();
    let put = scene.put("GB", None, "{}");
    let amended = scene.put("GB", Some(&put), r#"{"a":1}"#);
    let both = scene.submit(&[put.clone(), put.clone(), amended]);
    assert_eq!(indexes(&both), [Some(3), Some(3), Some(4)]);
    assert!(is_duplicate_of(&both[1], 3));
    assert!(is_duplicate_of(&scene.one(&put), 3), "though its `previous` is stale by now");
    let enrolment = scene.world.enrol(&scene.office);
    assert!(is_duplicate_of(&scene.one(&enrolment), 1), "an old agency statement changes nothing");
    for lost in [false, true] {
        scene.running = None;
        if lost {
            std::fs::remove_dir_all(scene.bench.dir().join("index")).unwrap();
        }
        scene.restart();
        assert!(is_duplicate_of(&scene.one(&put), 3), "index lost: {lost}");
    }
    assert_eq!(scene.entries().len(), 5);
}

#[test]
fn a_known_text_under_other_signatures_is_refused_with_the_entry_that_holds_it() {
    let mut scene = Scene::new();
    let body = Body::Register(scene.world.register_body(&scene.office, "city", None));
    let [one, two, three] = scene.office.officers.as_slice() else { panic!("three officers") };
    let stored = sign(&body, &[one, two]);
    let other = sign(&body, &[one, three]);
    let together = scene.submit(&[stored.clone(), other.clone()]);
    let refused = Became::Refused(Refused::OtherSignatures(tlog::ids::LeafIndex::new(3).unwrap()));
    assert_eq!((together[0].index(), &together[1]), (Some(3), &refused), "in one batch");
    assert_eq!(scene.code(&other), "other_signatures", "once it is published");
    // Before every other check: even bytes that are no statement at all are told where their text is.
    let garbage = [stored.as_slice(), b"\xe2\x80\x94 a b\n"].concat();
    assert_eq!(scene.code(&garbage), "other_signatures");
    scene.restart();
    assert_eq!(scene.code(&other), "other_signatures", "after a restart");
    assert!(is_duplicate_of(&scene.one(&stored), 3));
}

#[test]
fn of_two_statements_that_race_on_a_key_exactly_one_wins() {
    let mut scene = Scene::new();
    let first = scene.put("GB", None, "{}");
    assert_eq!(scene.one(&first).index(), Some(3));
    let racing = [scene.put("GB", Some(&first), r#"{"a":1}"#), scene.put("GB", Some(&first), r#"{"a":2}"#)];
    let became = scene.submit(&racing);
    assert_eq!(became[0].index(), Some(4));
    let Became::Refused(refused @ Refused::Registry(Refusal::Stale(Some(latest)))) = &became[1] else {
        panic!("{:?}", became[1]);
    };
    assert_eq!((latest.index.get(), latest.leaf), (4, leaf_hash(&racing[0])));
    assert_eq!(refused.shows(), Some(latest.index));
    scene.restart();
    assert_eq!(scene.code(&racing[1]), "stale_previous");
}

#[test]
fn one_bad_statement_does_not_sink_its_neighbours() {
    let mut scene = Scene::new();
    let statements = [
        scene.put("GB", None, "{}"),
        b"no statement".to_vec(),
        scene.put("FR", previous(b"nothing").map(|_| b"nothing".as_slice()), "{}"),
        scene.put("DE", None, "{}"),
    ];
    let became = scene.submit(&statements);
    assert_eq!(indexes(&became), [Some(3), None, None, Some(4)]);
    assert_eq!((became[1].code(), became[2].code()), ("note", "stale_previous"));
}

#[test]
fn an_agency_its_register_and_its_records_may_come_in_one_batch() {
    let mut scene = Scene::new();
    let office = Office::new("health.example");
    let statements = [
        scene.world.enrol(&office),
        scene.world.open(&office, "hospital"),
        scene.world.put(&office, "hospital", "1", None, "{}"),
    ];
    assert_eq!(indexes(&scene.submit(&statements)), [Some(3), Some(4), Some(5)]);
}

#[test]
fn previous_from_another_key_is_stale() {
    let mut scene = Scene::new();
    let other = scene.put("FR", None, "{}");
    assert_eq!(scene.one(&other).index(), Some(3));
    let put = scene.put("GB", Some(&other), "{}");
    assert_eq!(scene.one(&put), Became::Refused(Refused::Registry(Refusal::Stale(None))));
}

#[test]
fn an_agency_cannot_sign_for_another_agencys_register() {
    let mut scene = Scene::new();
    let other = Office::new("health.example");
    assert_eq!(scene.code(&scene.world.enrol(&other).clone()), "");
    let body = Body::Record(scene.world.record_body(&scene.office, "country", "GB", None, "{}"));
    assert_eq!(scene.code(&sign(&body, &[&other.publisher])), "other_agency");
    let stranger = Signer::ed25519("stranger.example/key");
    assert_eq!(scene.code(&sign(&body, &[&stranger])), "unknown_key");
    // The signature of another key under the publisher's name.
    let text = body.to_text();
    let line = other.publisher.sign(&text);
    let own = scene.office.publisher.key();
    let forged = SignatureLine::new(own.name().clone(), own.id(), line.signature().to_vec());
    let forged = Statement::assemble(&text, vec![forged]).unwrap().to_bytes();
    assert_eq!(scene.code(&forged), "bad_signature");
}

#[test]
fn a_revoked_key_and_a_rotated_one_sign_no_more() {
    let mut scene = Scene::new();
    let enrolment = scene.world.enrol(&scene.office);
    let before = scene.put("GB", None, "{}");
    assert_eq!(scene.code(&before), "");
    let new = Signer::ed25519("treasury.example/publisher-2");
    let rotate = scene.office.replace_publisher(&new);
    let body = scene.agency(&scene.office, &enrolment, rotate);
    let mut signers = scene.office.quorum();
    signers.push(&new);
    let rotated = sign(&body, &signers);
    // In one batch with a statement by the old key, so that the judge sees it retired after admission saw it live.
    let late = scene.put("GB", Some(&before), r#"{"a":1}"#);
    let became = scene.submit(&[rotated.clone(), late]);
    assert_eq!((became[0].code(), became[1].code()), ("", "key_retired"));
    let by_new = |scene: &Scene, key: &str| {
        let body = Body::Record(scene.world.record_body(&scene.office, "country", key, None, "{}"));
        sign(&body, &[&new])
    };
    let put = by_new(&scene, "FR");
    assert_eq!(scene.code(&put), "");
    let revoke = AgencyAction::Revoke { keys: vec![new.key()], reason: "lost".parse().unwrap() };
    let body = scene.agency(&scene.office, &rotated, revoke);
    let revoked = sign(&body, &scene.office.quorum());
    assert_eq!(scene.code(&revoked), "");
    let put = by_new(&scene, "DE");
    assert_eq!(scene.code(&put), "key_revoked");
    scene.restart();
    assert_eq!(scene.code(&put), "key_revoked", "after a restart");
    let first = by_new(&scene, "FR");
    assert!(is_duplicate_of(&scene.one(&first), 5), "what was admitted before stands");
}

#[test]
fn one_officer_does_not_make_a_quorum_of_two() {
    let mut scene = Scene::new();
    let body = Body::Register(scene.world.register_body(&scene.office, "city", None));
    let office = Arc::clone(&scene.office);
    let [one, ..] = office.officers.as_slice() else { panic!("officers") };
    let alone = sign(&body, &[one]);
    assert_eq!(scene.code(&alone), "quorum");
    let line = one.sign(&body.to_text());
    let twice = Note::new(body.to_text(), vec![line.clone(), line]).unwrap().to_bytes();
    assert_eq!(scene.code(&twice), "signature_order");
}

#[test]
fn an_agency_cannot_enrol_itself() {
    let mut scene = Scene::new();
    let other = Office::new("health.example");
    let enrolment = Statement::parse(&scene.world.enrol(&other)).unwrap();
    let own: Vec<SignatureLine> = enrolment
        .signatures()
        .iter()
        .filter(|line| line.name().as_str().starts_with("health"))
        .cloned()
        .collect();
    let own = Statement::assemble(enrolment.text(), own).unwrap().to_bytes();
    assert_eq!(scene.code(&own), "quorum");
    // Nor can the officers of an agency that is no registrar enrol it.
    let mut lines: Vec<SignatureLine> =
        scene.office.quorum().iter().map(|signer| signer.sign(enrolment.text())).collect();
    lines.extend(Statement::parse(&own).unwrap().signatures().iter().cloned());
    let by_agency = Statement::assemble(enrolment.text(), lines).unwrap().to_bytes();
    assert_eq!(scene.code(&by_agency), "other_agency");
}

#[test]
fn a_statement_for_another_logs_origin_counts_here_never() {
    let mut scene = Scene::new();
    let elsewhere = World::new("log.example/elsewhere");
    let put = elsewhere.put(&scene.office, "country", "GB", None, "{}");
    assert_eq!(scene.code(&put), "other_log");
    let genesis = elsewhere.genesis();
    assert_ne!(scene.code(&genesis), "");
}

#[test]
fn a_leaf_that_parses_but_is_not_canonical_is_refused() {
    let mut scene = Scene::new();
    let put = String::from_utf8(scene.put("GB", None, r#"{"a":1}"#)).unwrap();
    let text = Note::parse(put.as_bytes()).unwrap().text().to_owned();
    let variants = [
        text.replace(r#"{"a":1}"#, r#"{"a": 1}"#),
        text.replace(r#"{"a":1}"#, r#"{"a":1.0}"#),
        text.replace(r#"{"a":1}"#, r#"{"a":1,"a":1}"#),
        text.replace(r#"{"a":1}"#, r#"{"b":1,"a":1}"#),
        text.replace(r#"{"a":1}"#, r#"{"a":1},"unknown":1"#),
        text.replace("2026-11-23T09:00:00Z", "2026-11-23T09:00:00+00:00"),
    ];
    for variant in variants {
        assert_ne!(variant, text);
        let note = Note::new(variant.clone(), vec![scene.office.publisher.sign(&variant)]).unwrap();
        assert_ne!(scene.code(&note.to_bytes()), "", "{variant}");
    }
    assert_eq!(scene.entries().len(), 3);
}

#[test]
fn a_signature_that_was_altered_without_changing_its_meaning_is_refused_and_blocks_nobody() {
    let mut scene = Scene::new();
    let body = Body::Register(scene.world.register_body(&scene.office, "city", None));
    let text = body.to_text();
    let office = Arc::clone(&scene.office);
    let [one, _, p256] = office.officers.as_slice() else { panic!("three officers") };
    let good = sign(&body, &[one, p256]);
    let line = p256.sign(&text);
    let signature = p256::ecdsa::Signature::from_der(line.signature()).unwrap();
    let (r, s) = signature.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let high = SignatureLine::new(line.name().clone(), line.id(), high.to_der().as_bytes().to_vec());
    let high = Statement::assemble(&text, vec![one.sign(&text), high]).unwrap().to_bytes();
    assert_eq!(scene.code(&high), "signature_form", "high S");
    let swapped = Note::new(text.clone(), vec![p256.sign(&text), one.sign(&text)]).unwrap().to_bytes();
    assert_eq!(scene.code(&swapped), "signature_order", "another order");
    let stranger = Signer::ed25519("zzz.example/key");
    let extra = sign(&body, &[one, p256, &stranger]);
    assert_eq!(scene.code(&extra), "unknown_key", "an extra line");
    let publisher = sign(&body, &[one, p256, &office.publisher]);
    assert_eq!(scene.code(&publisher), "key_role", "a signature that does not count");
    assert_eq!(scene.one(&good).index(), Some(3), "the real one is not in anybody's way");
}

#[test]
fn a_record_that_breaks_its_registers_schema_is_refused() {
    let mut scene = Scene::new();
    let mut register = scene.world.register_body(&scene.office, "city", None);
    let rule = FieldRule { class: FieldClass::Public, kind: FieldType::String, required: true };
    register.fields.insert("name".to_owned(), rule);
    let opened = sign(&Body::Register(register), &scene.office.quorum());
    assert_eq!(scene.code(&opened), "");
    let cases = [
        (r#"{"name":"Oslo"}"#, ""),
        (r#"{"name":1}"#, "content_type"),
        (r#"{}"#, "content_required"),
        (r#"{"name":"Oslo","other":1}"#, "content_undeclared"),
    ];
    for (at, (public, code)) in (0..).zip(cases) {
        let put = scene.world.put(&scene.office, "city", &format!("key-{at}"), None, public);
        assert_eq!(scene.code(&put), code, "{public}");
    }
}

#[test]
fn registry_and_index_are_the_same_again_after_crashes_and_lost_indexes() {
    let mut scene = Scene::new();
    let mut latest: Vec<Vec<u8>> = (0..40).map(|key| scene.put(&format!("K{key}"), None, "{}")).collect();
    for chunk in latest.chunks(7) {
        assert!(scene.submit(chunk).iter().all(|became| became.code().is_empty()));
    }
    for round in 0..12_u32 {
        let key = (round * 7 % 40) as usize;
        let next =
            scene.put(&format!("K{key}"), Some(&latest[key].clone()), &format!(r#"{{"round":{round}}}"#));
        assert_eq!(scene.code(&next), "", "round {round}");
        latest[key] = next;
        if round % 3 == 0 {
            scene.running().engine.housekeeper.step().unwrap();
        }
        scene.running = None;
        if round % 4 == 3 {
            std::fs::remove_dir_all(scene.bench.dir().join("index")).unwrap();
        }
        scene.restart();
    }
    for (key, held) in latest.iter().enumerate() {
        let stale = scene.put(&format!("K{key}"), None, r#"{"late":true}"#);
        let Became::Refused(Refused::Registry(Refusal::Stale(Some(found)))) = scene.one(&stale) else {
            panic!("K{key} has a latest entry");
        };
        assert_eq!(found.leaf, leaf_hash(held), "K{key}");
    }
    let views = &scene.running().log.records.as_ref().unwrap().views;
    let registry = views.newest();
    assert_eq!(registry.agencies().len(), 2);
}

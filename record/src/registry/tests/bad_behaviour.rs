//! What must fail, one test each: forgers, thieves, impostors, and the operator.

use tlog::note::{Note, SignatureLine};

use super::world::{
    LOG, Signer, World, about, country, enrol, key_set, officer, record, register, signed, signers,
};
use crate::registry::{NotAllowed, Refusal, Registry, Signatures};
use crate::statement::{AgencyAction, Body, FieldClass, FieldRule, FieldType, Statement, StatementError};

fn publisher() -> Vec<Signer> {
    signers("a.gov.example", &["publisher"])
}

#[test]
fn an_agency_cannot_sign_for_another_agencys_register() {
    let world = World::new();
    let bob = signers("b.gov.example", &["bob-p256"]);
    assert_eq!(world.refusal(&country("GB", None, "x"), &bob), "other_agency");
    let both: Vec<Signer> = publisher().into_iter().chain(bob).collect();
    assert_eq!(world.refusal(&country("GB", None, "x"), &both), "other_agency", "even beside the right key");
}

#[test]
fn a_revoked_key_signs_nothing_after_the_entry_that_revoked_it() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let first = world.admit(&country("GB", None, "x"), &publisher());
    let action =
        AgencyAction::Revoke { keys: vec![publisher()[0].key()], reason: "Stolen.".parse().unwrap() };
    let latest = world.registry.agency(&id).unwrap().latest.leaf;
    let at = world
        .admit(&about("a.gov.example", Some(latest), action), &signers("a.gov.example", &["alice", "ann"]));
    let refused = world.submit(&country("GB", Some(first.leaf), "y"), &publisher());
    let name = "a.gov.example/publisher".parse().unwrap();
    assert_eq!(refused, Err(NotAllowed::Revoked(name, at.index.get()).into()));
    // What it signed before stands: the whole log replays.
    let mut again = World::empty();
    for entry in &world.entries {
        again.submit_statement(Statement::parse(entry).unwrap()).unwrap();
    }
    assert_eq!(again.registry, world.registry);
}

#[test]
fn a_rotated_key_signs_no_more() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let action = AgencyAction::Rotate {
        add: Vec::new(),
        retire: vec![publisher()[0].key()],
        quorum: 2,
        recovery: None,
    };
    let latest = world.registry.agency(&id).unwrap().latest.leaf;
    world.admit(&about("a.gov.example", Some(latest), action), &officers);
    assert_eq!(world.refusal(&country("GB", None, "x"), &publisher()), "key_retired");
}

#[test]
fn one_officer_cannot_sign_twice_for_a_quorum_of_two() {
    let world = World::new();
    let alice = signers("a.gov.example", &["alice"]);
    let body = Body::Register(register("a.gov.example", "territory"));
    assert_eq!(world.refusal(&body, &alice), "quorum");
    // The same line twice is not a statement at all.
    let line = alice[0].sign(&body.to_text());
    let twice = Statement::assemble(&body.to_text(), vec![line.clone(), line]);
    assert_eq!(twice, Err(StatementError::SignatureOrder(2)));
    // A second live key under one name cannot come in, so it cannot count as a second officer.
    let second = Signer::from_seed("a.gov.example/alice", "second");
    let action =
        AgencyAction::Rotate { add: vec![officer(&second)], retire: vec![], quorum: 2, recovery: None };
    let latest = world.registry.agency(&"a.gov.example".parse().unwrap()).unwrap().latest.leaf;
    let body = about("a.gov.example", Some(latest), action);
    let amir = signers("a.gov.example", &["amir"]);
    assert_eq!(world.refusal(&body, [&alice[0], &amir[0], &second]), "name_taken");
}

#[test]
fn a_statement_for_another_log_does_not_count_here() {
    let world = World::new();
    let mut other = record("a.gov.example", "country", "GB", None, "{}");
    other.log = "log.gov.example/2025".parse().unwrap();
    assert_eq!(world.refusal(&Body::Record(other), &publisher()), "other_log");
}

#[test]
fn a_previous_of_another_key_is_stale() {
    let mut world = World::new();
    let gb = world.admit(&country("GB", None, "x"), &publisher());
    assert_eq!(world.submit(&country("FR", Some(gb.leaf), "y"), &publisher()), Err(Refusal::Stale(None)));
}

#[test]
fn a_leaf_that_parses_as_json_but_is_not_canonical_is_refused() {
    let text = country("GB", None, "x").to_text();
    for (from, to, code) in [
        ("{\"agency\"", "{ \"agency\"", "json_white_space"),
        ("\"name\":\"x\"", "\"name\":\"\\u0078\"", "json_escape"),
        ("\"previous\":null", "\"previous\":null,\"previous\":null", "json_duplicate"),
        ("\"previous\":null", "\"previous\":null,\"other\":1", "json_order"),
        ("\"register\":\"country\"", "\"register\":\"country\",\"remark\":\"\"", "field_unknown"),
        ("\"register\":\"country\"", "\"register\":\"country\",\"zz\":\"\"", "field_unknown"),
        ("\"name\":\"x\"", "\"name\":1.0", "json_number"),
        ("\"name\":\"x\"", "\"name\":9007199254740993", "json_number_range"),
        ("00:00:00Z", "00:00:00.0Z", "form_time"),
        ("2026-02-01", "2026-02-30", "form_time"),
        ("daybook/record/v1", "daybook/record/v2", "kind"),
        ("}\n", "}\nmore\n", "lines"),
        ("\"key\":\"GB\",", "", "field_missing"),
        ("\"key\":\"GB\"", "\"key\":1", "field_type"),
        ("{\"agency\"", "{\"action\":\"put\",\"agency\"", "field_redundant"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let line = publisher()[0].sign(&changed);
        let refused = Statement::assemble(&changed, vec![line]).expect_err(&changed);
        assert_eq!(refused.code(), code, "{changed}");
    }
}

#[test]
fn a_record_that_breaks_its_registers_public_schema_is_refused() {
    let mut world = World::new();
    let mut strict = register("a.gov.example", "spending");
    let rule = |kind, required| FieldRule { class: FieldClass::Public, kind, required };
    strict.fields.insert("amount".to_owned(), rule(FieldType::Decimal, true));
    strict.fields.insert("paid".to_owned(), rule(FieldType::Date, false));
    world.admit(&Body::Register(strict), &signers("a.gov.example", &["alice", "amir"]));
    let body = |public| Body::Record(record("a.gov.example", "spending", "1", None, public));
    for (public, code) in [
        (r#"{"paid":"2026-01-01"}"#, "content_required"),
        (r#"{"amount":12.5}"#, "content_type"),
        (r#"{"amount":"12,50"}"#, "content_type"),
        (r#"{"amount":"-0.00"}"#, "content_type"),
        (r#"{"amount":"12.50","paid":"yesterday"}"#, "content_type"),
        (r#"{"amount":"12.50","to":"a cousin"}"#, "content_undeclared"),
    ] {
        assert_eq!(world.refusal(&body(public), &publisher()), code, "{public}");
    }
    world.admit(&body(r#"{"amount":"12.50","paid":"2026-01-01"}"#), &publisher());
}

#[test]
fn an_agency_cannot_enrol_itself() {
    let world = World::new();
    let mallory = signers("m.gov.example", &["mallory"]);
    let body = enrol("m.gov.example", key_set(vec![officer(&mallory[0])], 1, None));
    assert_eq!(world.refusal(&body, &mallory), "quorum");
    let registrar = signers(super::world::REGISTRAR, &["one"]);
    assert_eq!(world.refusal(&body, [&mallory[0], &registrar[0]]), "quorum", "one officer is not two");
    let b = signers("b.gov.example", &["bob-p256"]);
    assert_eq!(world.refusal(&body, [&mallory[0], &b[0]]), "other_agency");
}

#[test]
fn a_key_of_one_agency_is_never_anothers() {
    let world = World::new();
    let registrar = signers(super::world::REGISTRAR, &["one", "two"]);
    // The same public key under a name of its own.
    let same = Signer::from_seed("m.gov.example/mallory", "a.gov.example/alice");
    let body = enrol("m.gov.example", key_set(vec![officer(&same)], 1, None));
    assert_eq!(world.refusal(&body, registrar.iter().chain([&same])), "key_taken");
    // Nor twice in one statement.
    let [x, y] = ["m.gov.example/x", "m.gov.example/y"].map(|name| Signer::from_seed(name, "one"));
    let body = enrol("m.gov.example", key_set(vec![officer(&x), officer(&y)], 2, None));
    assert_eq!(world.refusal(&body, registrar.iter().chain([&x, &y])), "key_taken");
}

/// The order of P-256, minus a scalar.
fn negated(s: &[u8; 32]) -> [u8; 32] {
    let order: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (mut out, mut borrow) = ([0; 32], 0_i16);
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        out[at] = difference.rem_euclid(256) as u8;
    }
    out
}

/// The same P-256 signature with the other of the two values of `s`.
pub(super) fn with_high_s(line: &SignatureLine) -> SignatureLine {
    let der = line.signature();
    let r_length = usize::from(der[3]);
    let (r, s) = (&der[4..4 + r_length], &der[6 + r_length..]);
    let mut scalar = [0; 32];
    let s = s.strip_prefix(&[0]).unwrap_or(s);
    scalar[32 - s.len()..].copy_from_slice(s);
    let high = [&[0], &negated(&scalar)[..]].concat();
    assert!(high[1] >= 0x80, "the other value is high");
    let body = [&[2, r_length as u8], r, &[2, 33], &high].concat();
    let signature = [&[0x30, body.len() as u8], &body[..]].concat();
    SignatureLine::new(line.name().clone(), line.id(), signature)
}

#[test]
fn a_signature_altered_without_changing_its_meaning_is_refused() {
    let world = World::new();
    let bob = signers("b.gov.example", &["bob-p256"]);
    let body = Body::Record(record("b.gov.example", "budget", "1", None, "{}"));
    let text = body.to_text();
    let line = bob[0].sign(&text);
    let code = |lines: Vec<SignatureLine>| match Statement::assemble(&text, lines) {
        Ok(statement) => world.judge(statement).map_or_else(|refusal| refusal.code(), |_| "admitted"),
        Err(error) => error.code(),
    };
    assert_eq!(code(vec![line.clone()]), "admitted");
    assert_eq!(code(vec![with_high_s(&line)]), "signature_form", "high S");
    let padded = SignatureLine::new(line.name().clone(), line.id(), [line.signature(), &[0]].concat());
    assert_eq!(code(vec![padded]), "signature_form");
    // Another line: by a key of nobody, by one of another agency, by a key of the wrong role.
    let nobody = Signer::new("b.gov.example/nobody").sign(&text);
    assert_eq!(code(vec![line.clone(), nobody]), "unknown_key");
    let other = publisher()[0].sign(&text);
    assert_eq!(code(vec![line.clone(), other]), "other_agency");
    let recovery = signers("a.gov.example", &["recovery"])[0].sign(&country("GB", None, "x").to_text());
    let own = publisher()[0].sign(&country("GB", None, "x").to_text());
    let statement = Statement::assemble(&country("GB", None, "x").to_text(), vec![own, recovery]).unwrap();
    assert_eq!(world.judge(statement).expect_err("refused").code(), "key_role");
    // Another order.
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let text = Body::Register(register("a.gov.example", "territory")).to_text();
    let reversed: Vec<SignatureLine> = officers.iter().rev().map(|officer| officer.sign(&text)).collect();
    let bytes = Note::new(text, reversed).unwrap().to_bytes();
    assert_eq!(Statement::parse(&bytes), Err(StatementError::SignatureOrder(2)));
}

#[test]
fn a_signature_that_does_not_verify_is_refused_even_beside_good_ones() {
    let world = World::new();
    let officers = signers("a.gov.example", &["alice", "amir", "ann"]);
    let text = Body::Register(register("a.gov.example", "territory")).to_text();
    let mut lines: Vec<SignatureLine> = officers.iter().map(|officer| officer.sign(&text)).collect();
    lines[2] = officers[2].sign("another text\n");
    let statement = Statement::assemble(&text, lines).unwrap();
    assert_eq!(world.judge(statement).expect_err("refused").code(), "bad_signature");
}

#[test]
fn an_old_agency_statement_cannot_be_replayed() {
    let mut world = World::new();
    let id: crate::ids::AgencyId = "a.gov.example".parse().unwrap();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let extra = signers("a.gov.example", &["extra"]);
    let rotate = |world: &World, add: &[&Signer], retire: &[&Signer]| {
        let action = AgencyAction::Rotate {
            add: add.iter().map(|signer| officer(signer)).collect(),
            retire: retire.iter().map(|signer| signer.key()).collect(),
            quorum: 2,
            recovery: None,
        };
        let latest = world.registry.agency(&id).unwrap().latest.leaf;
        about("a.gov.example", Some(latest), action)
    };
    let before = rotate(&world, &[&extra[0]], &[]);
    let old = signed(&before, officers.iter().chain(&extra));
    world.submit_statement(old.clone()).unwrap();
    let out = rotate(&world, &[], &[&extra[0]]);
    world.admit(&out, &officers);
    // The duplicate check is the caller's and comes first; without it the statement fails all the same.
    assert_eq!(world.judge(old).expect_err("refused").code(), "key_retired");
    // One whose signers may still sign is stale.
    let latest = world.registry.agency(&id).unwrap().latest;
    assert_eq!(world.submit(&out, &officers), Err(Refusal::Stale(Some(latest))));
}

#[test]
fn a_statement_that_nobody_signed_is_none() {
    let text = country("GB", None, "x").to_text();
    assert_eq!(Statement::parse(text.as_bytes()).expect_err("refused").code(), "note");
    assert_eq!(Statement::parse(format!("{text}\n").as_bytes()).expect_err("refused").code(), "note");
    // The operator signs with a key of its own: a monitor sees a key that no agency has.
    let operator = Signer::new("a.gov.example/operator");
    assert_eq!(World::new().refusal(&country("GB", None, "x"), [&operator]), "unknown_key");
}

#[test]
fn entry_0_is_the_genesis_and_no_other_is() {
    let registrar = signers(super::world::REGISTRAR, &["one", "two", "three"]);
    let genesis = super::world::genesis(&registrar);
    let empty = World::empty();
    assert_eq!(empty.refusal(&genesis, &registrar[..2]), "possession", "all of its keys sign it");
    let a = signers("a.gov.example", &["alice"]);
    let enrol = enrol("a.gov.example", key_set(vec![officer(&a[0])], 1, None));
    assert_eq!(empty.refusal(&enrol, &a), "genesis");
    assert_eq!(World::new().refusal(&genesis, &registrar), "genesis");
    let mut late = World::empty();
    late.entries.push(Vec::new());
    late.registry.skip(tlog::ids::LeafIndex::new(0).unwrap());
    assert_eq!(late.refusal(&genesis, &registrar), "genesis", "not as entry 1");
}

#[test]
fn what_was_authenticated_ahead_is_judged_by_the_keys_of_its_turn() {
    let mut world = World::new();
    let statement = signed(&country("GB", None, "x"), &publisher());
    let ahead = world.registry.authenticate(statement, Signatures::Check).unwrap();
    let id = "a.gov.example".parse().unwrap();
    let action =
        AgencyAction::Revoke { keys: vec![publisher()[0].key()], reason: "Stolen.".parse().unwrap() };
    let latest = world.registry.agency(&id).unwrap().latest.leaf;
    world.admit(&about("a.gov.example", Some(latest), action), &signers("a.gov.example", &["alice", "ann"]));
    let judged = world.registry.judge(world.next(), &ahead, &world.history);
    assert!(
        matches!(judged, Err(crate::registry::JudgeError::Refused(refusal)) if refusal.code() == "key_revoked")
    );
    let elsewhere = Registry::new();
    assert!(elsewhere.authenticate(ahead.into_statement(), Signatures::Trust).is_err(), "{LOG}");
}

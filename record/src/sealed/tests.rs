use proptest::prelude::*;
use tlog::hash::sha256;

use super::*;
use crate::registry::tests::world;
use crate::statement::{Body, FieldClass, FieldRule, FieldType, Statement};

fn salt(number: usize) -> Salt {
    Salt::new(*sha256(format!("salt {number}").as_bytes()).as_bytes())
}

fn opening(name: &str, kind: FieldType, value: Value, salt: Salt) -> Opening {
    Opening { name: name.parse().unwrap(), kind, value, salt }
}

fn number(value: i64) -> Value {
    Value::Number(crate::json::Number::from_i64(value).unwrap())
}

fn values() -> SealedValues {
    let openings = vec![
        opening("birth-year", FieldType::Integer, number(1985), salt(0)),
        opening("iban", FieldType::String, "GB33BUKB20201555555555".into(), salt(1)),
        opening("pin", FieldType::String, "4711".into(), salt(2)),
    ];
    seal([5; 16], openings, (3..16).map(salt).collect()).unwrap()
}

fn body(sealed: Sealed) -> Body {
    let mut record = world::record("a.gov.example", "pensions", "1", None, "{}");
    record.content.as_mut().unwrap().sealed = Some(sealed);
    Body::Record(record)
}

fn statement() -> Statement {
    world::signed(&body(values().commitment()), &world::signers("a.gov.example", &["publisher"]))
}

fn disclosure(names: &[&str]) -> Disclosure {
    Disclosure::new(statement(), &values(), names).unwrap()
}

/// The document after a change to its text, and what is said about it.
fn changed(names: &[&str], change: impl Fn(&mut Object)) -> &'static str {
    let text = String::from_utf8(disclosure(names).to_bytes()).unwrap();
    let json = text.lines().nth(1).unwrap();
    let Value::Object(mut document) = Value::parse(json).unwrap() else { panic!("an object") };
    change(&mut document);
    let bytes = format!("{}\n{}\n", "daybook/disclosure/v1", Value::Object(document).to_text());
    Disclosure::parse(bytes.as_bytes()).map_or_else(|error| error.code(), |_| "accepted")
}

fn change_field(document: &mut Object, at: usize, name: &str, value: impl Into<Value>) {
    let Some(Value::List(mut fields)) = document.remove("fields") else { panic!("fields") };
    let Value::Object(field) = &mut fields[at] else { panic!("a field") };
    field.insert(name, value);
    document.insert("fields", Value::List(fields));
}

#[test]
fn chosen_fields_are_shown_and_the_others_are_not() {
    for names in [&["pin"][..], &["iban", "pin"], &["pin", "birth-year", "iban"]] {
        let disclosed = disclosure(names);
        let bytes = disclosed.to_bytes();
        assert_eq!(Disclosure::parse(&bytes).unwrap(), disclosed);
        let mut shown: Vec<&str> =
            disclosed.fields().iter().map(|field| field.opening.name.as_str()).collect();
        shown.sort_unstable();
        let mut expected = names.to_vec();
        expected.sort_unstable();
        assert_eq!(shown, expected);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.contains("GB33BUKB"), names.contains(&"iban"));
    }
}

#[test]
fn an_altered_value_name_type_or_salt_is_refused() {
    let pin = |name: &'static str, value: &'static str| {
        changed(&["pin"], move |document| change_field(document, 0, name, value))
    };
    assert_eq!(changed(&["pin"], |_| ()), "accepted");
    assert_eq!(pin("value", "4712"), "sealed_root");
    assert_eq!(pin("name", "iban"), "sealed_root");
    assert_eq!(pin("type", "any"), "sealed_root", "the type is bound");
    assert_eq!(pin("type", "integer"), "field_conflict");
    assert_eq!(
        changed(&["pin"], |document| change_field(document, 0, "salt", salt(9).to_hex())),
        "sealed_root"
    );
    assert_eq!(changed(&["pin"], |document| change_field(document, 0, "extra", 1 == 1)), "field_unknown");
}

#[test]
fn a_moved_field_is_refused() {
    let place = i64::from(disclosure(&["pin"]).fields()[0].place);
    for other in (0..16).filter(|other| *other != place) {
        let code = changed(&["pin"], |document| change_field(document, 0, "place", number(other)));
        assert_eq!(code, "sealed_root");
    }
    assert_eq!(changed(&["pin"], |document| change_field(document, 0, "place", number(16))), "places");
    // Two fields that change places.
    let swap = |document: &mut Object| {
        let Some(Value::List(fields)) = document.remove("fields") else { panic!("fields") };
        let places: Vec<Value> =
            fields.iter().map(|field| field.as_object().unwrap().get("place").unwrap().clone()).collect();
        document.insert("fields", Value::List(fields));
        change_field(document, 0, "place", places[1].clone());
        change_field(document, 1, "place", places[0].clone());
    };
    assert_eq!(changed(&["iban", "pin"], swap), "places");
}

#[test]
fn a_proof_with_a_hash_more_or_less_is_refused() {
    let with = |document: &mut Object, change: &dyn Fn(&mut Vec<Value>)| {
        let Some(Value::List(mut proof)) = document.remove("proof") else { panic!("a proof") };
        change(&mut proof);
        document.insert("proof", Value::List(proof));
    };
    let hash = || Value::from("0".repeat(64));
    assert_eq!(changed(&["pin"], |d| with(d, &|proof| proof.push(hash()))), "proof_length");
    assert_eq!(changed(&["pin"], |d| with(d, &|proof| proof.insert(0, hash()))), "proof_length");
    assert_eq!(changed(&["pin"], |d| with(d, &|proof| drop(proof.pop()))), "proof_length");
    assert_eq!(changed(&["pin"], |d| with(d, &|proof| proof[0] = hash())), "sealed_root");
    assert_eq!(changed(&["pin"], |d| with(d, &|proof| proof.reverse())), "sealed_root");
}

#[test]
fn a_salt_used_twice_is_refused_when_sealing_and_when_disclosing() {
    let twice = vec![
        opening("a", FieldType::String, "x".into(), salt(1)),
        opening("b", FieldType::String, "y".into(), salt(1)),
    ];
    assert_eq!(seal([5; 16], twice, (2..16).map(salt).collect()), Err(SealError::SaltTwice));
    let padding = (1..16).map(salt).collect();
    let once = vec![opening("a", FieldType::String, "x".into(), salt(1))];
    assert_eq!(seal([5; 16], once, padding), Err(SealError::SaltTwice), "nor with the padding");
    let of_other = |document: &mut Object| {
        let other = disclosure(&["iban", "pin"]).fields()[0].opening.salt.to_hex();
        change_field(document, 1, "salt", other);
    };
    assert_eq!(changed(&["iban", "pin"], of_other), "salt_twice");
}

#[test]
fn a_disclosure_of_one_version_does_not_count_for_another() {
    let other = seal([6; 16], values().openings().to_vec(), (3..16).map(salt).collect()).unwrap();
    assert_ne!(other.commitment().root, values().commitment().root, "the nonce is bound");
    assert_eq!(Disclosure::new(statement(), &other, &["pin"]), Err(DisclosureError::OtherVersion));
    assert_eq!(disclosure_error(&["nothing"]), DisclosureError::NoField("nothing".to_owned()));
    assert_eq!(disclosure_error(&["pin", "pin"]), DisclosureError::FieldTwice("pin".to_owned()));
    assert_eq!(disclosure_error(&[]), DisclosureError::Places(16));
    // The statement inside is exchanged for one with another root.
    let forged = world::signed(&body(other.commitment()), &world::signers("a.gov.example", &["publisher"]));
    let forged = String::from_utf8(forged.to_bytes()).unwrap();
    let code = changed(&["pin"], |document| drop(document.insert("statement", forged.as_str())));
    assert_eq!(code, "sealed_root");
    let none =
        world::signed(&world::country("GB", None, "x"), &world::signers("a.gov.example", &["publisher"]));
    assert_eq!(Disclosure::new(none, &values(), &["pin"]), Err(DisclosureError::NothingSealed));
}

fn disclosure_error(names: &[&str]) -> DisclosureError {
    Disclosure::new(statement(), &values(), names).expect_err("refused")
}

#[test]
fn a_full_dictionary_finds_nothing_without_the_salt() {
    // The attacker holds a disclosure of another field, so every other leaf's hash up to its sibling is in hand; knows
    // nonce, name and type, and that the PIN has four digits. Here even every leaf of the tree is in hand.
    let known = values();
    let leaves: Vec<Hash> = {
        let fields = known.openings().iter().map(|opening| field_hash(&[5; 16], opening));
        fields.chain((3..16).map(|at| commitment(&[5; 16], "", "", &salt(at), ""))).collect()
    };
    let hits = |salts: &[Salt]| {
        let guesses = (0..10_000).map(|pin| format!("{pin:04}"));
        guesses
            .filter(|guess| {
                salts.iter().any(|salt| {
                    let guess = opening("pin", FieldType::String, guess.as_str().into(), *salt);
                    leaves.contains(&field_hash(&[5; 16], &guess))
                })
            })
            .collect::<Vec<_>>()
    };
    let mut nonce_as_salt = [0; 32];
    nonce_as_salt[..16].copy_from_slice(&[5; 16]);
    let guessed = [Salt::new([0; 32]), Salt::new(nonce_as_salt), salt(1)];
    assert_eq!(hits(&guessed), Vec::<String>::new());
    assert_eq!(hits(&[salt(2)]), ["4711"], "with the salt the value is found, so the search works");
}

#[test]
fn the_number_of_leaves_is_the_same_for_every_record_of_the_register() {
    let mut world = world::World::new();
    let mut pensions = world::register("a.gov.example", "pensions");
    let rule = FieldRule { class: FieldClass::Sealed, kind: FieldType::String, required: false };
    for at in 0..17 {
        pensions.fields.insert(format!("field-{at:02}"), rule);
    }
    let id = (pensions.agency.clone(), pensions.register.clone());
    world.admit(&Body::Register(pensions), &world::signers("a.gov.example", &["alice", "amir"]));
    assert_eq!(world.registry.register(&id.0, &id.1).unwrap().sealed_leaves(), Some(32));
    let publisher = world::signers("a.gov.example", &["publisher"]);
    let empty =
        |leaves: usize| seal([5; 16], Vec::new(), (0..leaves).map(salt).collect()).unwrap().commitment();
    assert_eq!(world.refusal(&body(empty(16)), &publisher), "sealed_leaves");
    let without = Body::Record(world::record("a.gov.example", "pensions", "1", None, "{}"));
    assert_eq!(world.refusal(&without, &publisher), "sealed_leaves", "its absence would tell something");
    world.admit(&body(empty(32)), &publisher);
    let undeclared = {
        let Body::Record(mut record) = body(empty(16)) else { unreachable!() };
        record.register = "country".parse().unwrap();
        Body::Record(record)
    };
    assert_eq!(world.refusal(&undeclared, &publisher), "sealed_leaves");
}

#[test]
fn trees_that_are_no_power_of_two_and_wrong_values_are_not_sealed() {
    let padding = |count: usize| (0..count).map(|at| salt(100 + at)).collect::<Vec<_>>();
    for count in [0, 1, 8, 15, 17, 2048] {
        assert!(
            matches!(seal([0; 16], Vec::new(), padding(count)), Err(SealError::Leaves { .. })),
            "{count}"
        );
    }
    let wrong = vec![opening("a", FieldType::Integer, "x".into(), salt(0))];
    assert_eq!(seal([0; 16], wrong, padding(15)), Err(SealError::Type("a".to_owned())));
    let unsorted = vec![
        opening("b", FieldType::Any, Value::Null, salt(0)),
        opening("a", FieldType::Any, Value::Null, salt(1)),
    ];
    assert_eq!(seal([0; 16], unsorted, padding(14)), Err(SealError::FieldTwice("a".to_owned())));
}

#[test]
fn the_kept_values_round_trip() {
    let text = values().to_text();
    assert_eq!(SealedValues::parse(&text).unwrap(), values());
    assert!(SealedValues::parse(&text.replace("\"4711\"", "4711")).is_err());
    assert!(SealedValues::parse(&text[..text.len() - 1]).is_err());
    assert!(SealedValues::parse(&format!("{text}\n")).is_err());
}

proptest! {
    #[test]
    fn every_choice_of_fields_is_disclosed_and_verifies(
        present in 0_usize..24, chosen in prop::collection::vec(any::<bool>(), 24), seed in 0_usize..1000,
    ) {
        let openings: Vec<Opening> = (0..present)
            .map(|at| opening(&format!("f{at:02}"), FieldType::Integer, number(at as i64), salt(seed * 100 + at)))
            .collect();
        let padding = (present..32).map(|at| salt(seed * 100 + at)).collect();
        let values = seal([1; 16], openings, padding).unwrap();
        let names: Vec<String> =
            (0..present).filter(|at| chosen[*at]).map(|at| format!("f{at:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let statement = world::signed(&body(values.commitment()), &world::signers("a.gov.example", &["publisher"]));
        match Disclosure::new(statement, &values, &names) {
            Ok(disclosure) => prop_assert_eq!(Disclosure::parse(&disclosure.to_bytes()).unwrap(), disclosure),
            Err(error) => {
                prop_assert_eq!(error, DisclosureError::Places(32));
                prop_assert!(names.is_empty());
            }
        }
    }
}

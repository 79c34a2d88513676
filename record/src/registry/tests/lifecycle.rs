//! What honest agencies do over the years, and that a snapshot tells the same.

use super::world::{World, about, country, key_set, officer, publisher, register, signers};
use crate::registry::{Chain, End, Grant, Refusal, Registry, Signatures, SnapshotError};
use crate::statement::{AgencyAction, Body, Dispute};

fn rotate(world: &World, add: Vec<crate::statement::KeyGrant>, retire: &[&super::world::Signer]) -> Body {
    let latest = world.registry.agency(&"a.gov.example".parse().unwrap()).unwrap().latest.leaf;
    let mut retire: Vec<_> = retire.iter().map(|signer| signer.key()).collect();
    retire.sort_by_key(ToString::to_string);
    about("a.gov.example", Some(latest), AgencyAction::Rotate { add, retire, quorum: 2, recovery: None })
}

#[test]
fn versions_of_a_record_form_a_chain_and_its_latest_is_named_to_who_comes_late() {
    let mut world = World::new();
    let publisher = signers("a.gov.example", &["publisher"]);
    let first = world.admit(&country("GB", None, "Britain"), &publisher);
    let second = world.admit(&country("GB", Some(first.leaf), "United Kingdom"), &publisher);
    let chain =
        Chain::Record("a.gov.example".parse().unwrap(), "country".parse().unwrap(), "GB".parse().unwrap());
    assert_eq!(world.latest(&chain), Some(second));
    for (previous, name) in [(None, "x"), (Some(first.leaf), "y")] {
        let late = world.submit(&country("GB", previous, name), &publisher);
        assert_eq!(late, Err(Refusal::Stale(Some(second))));
    }
    let other_key = world.submit(&country("FR", Some(second.leaf), "France"), &publisher);
    assert_eq!(other_key, Err(Refusal::Stale(None)), "`previous` from another key");
    world.admit(&country("FR", None, "France"), &publisher);
}

#[test]
fn a_rotated_officer_signs_on_with_the_new_key_under_the_same_name() {
    let mut world = World::new();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let new = super::world::Signer::from_seed("a.gov.example/alice", "second key");
    let rotation = rotate(&world, vec![officer(&new)], &[&officers[0]]);
    let at = world.admit(&rotation, officers.iter().chain([&new]));
    let mut amended = register("a.gov.example", "country");
    let id = "a.gov.example".parse().unwrap();
    amended.previous = Some(world.registry.register(&id, &amended.register).unwrap().latest.leaf);
    assert_eq!(world.refusal(&Body::Register(amended.clone()), &officers), "key_retired");
    world.admit(&Body::Register(amended), [&new, &officers[1]]);
    let old = world.registry.keys_of(&id).find(|state| state.key == officers[0].key()).unwrap();
    assert_eq!(old.end, Some(End::Retired(at.index)));
}

#[test]
fn an_agency_that_lost_every_key_comes_back_with_its_recovery_key() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let recovery = signers("a.gov.example", &["recovery"]);
    let new = super::world::Signer::from_seed("a.gov.example/alice", "after the fire");
    let next = super::world::Signer::from_seed("a.gov.example/recovery", "in another safe");
    let recover = |world: &World| {
        about(
            "a.gov.example",
            Some(world.registry.agency(&id).unwrap().latest.leaf),
            AgencyAction::Recover {
                keys: key_set(vec![officer(&new)], 1, Some(&next)),
                reason: "The safe burnt down.".parse().unwrap(),
            },
        )
    };
    let publisher = signers("a.gov.example", &["publisher"]);
    assert_eq!(world.refusal(&recover(&world), [&publisher[0], &new, &next]), "other_agency");
    assert_eq!(world.refusal(&recover(&world), [&new, &next]), "quorum");
    let body = recover(&world);
    let at = world.admit(&body, [&recovery[0], &new, &next]);
    assert_eq!(world.refusal(&country("GB", None, "x"), &publisher), "key_revoked");
    world.admit(&country("GB", None, "x"), [&new]);
    let live = world.registry.keys_of(&id).filter(|state| state.is_live()).count();
    assert_eq!((live, at.index.get()), (2, 5));
    // Where even that key is lost the registrar's quorum does it, visibly.
    let newest = super::world::Signer::from_seed("a.gov.example/alice", "third");
    let body = about(
        "a.gov.example",
        Some(at.leaf),
        AgencyAction::Recover {
            keys: key_set(vec![officer(&newest)], 1, None),
            reason: "Everything was lost.".parse().unwrap(),
        },
    );
    let registrar = signers(super::world::REGISTRAR, &["one", "two"]);
    assert_eq!(world.refusal(&body, [&registrar[0], &newest]), "quorum");
    world.admit(&body, registrar.iter().chain([&newest]));
}

#[test]
fn a_sub_unit_signs_within_its_delegation_and_not_beyond() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    world.admit(&Body::Register(register("a.gov.example", "territory")), &officers);
    let unit = signers("a.gov.example", &["statistics-office"]);
    let delegate = |world: &World, registers: &[&str], until: &str| {
        let action = AgencyAction::Delegate {
            key: unit[0].key(),
            registers: registers.iter().map(|register| register.parse().unwrap()).collect(),
            until: until.parse().unwrap(),
        };
        about("a.gov.example", Some(world.registry.agency(&id).unwrap().latest.leaf), action)
    };
    let body = delegate(&world, &["country", "nowhere"], "2026-03-01T00:00:00Z");
    assert_eq!(world.refusal(&body, officers.iter().chain(&unit)), "unknown_register");
    let body = delegate(&world, &["country"], "2026-03-01T00:00:00Z");
    assert_eq!(world.refusal(&body, &officers), "possession");
    assert_eq!(world.refusal(&body, &unit), "quorum");
    world.admit(&body, officers.iter().chain(&unit));

    world.admit(&country("GB", None, "x"), &unit);
    let mut late = super::world::record("a.gov.example", "country", "FR", None, "{}");
    late.at = "2026-03-01T00:00:01Z".parse().unwrap();
    assert_eq!(world.refusal(&Body::Record(late.clone()), &unit), "delegation_ended");
    let elsewhere = super::world::record("a.gov.example", "territory", "FR", None, "{}");
    assert_eq!(world.refusal(&Body::Record(elsewhere.clone()), &unit), "delegated_register");
    // The delegation is renewed for the same key, with other limits.
    let body = delegate(&world, &["country", "territory"], "2027-03-01T00:00:00Z");
    world.admit(&body, officers.iter().chain(&unit));
    world.admit(&Body::Record(late), &unit);
    world.admit(&Body::Record(elsewhere), &unit);
    let state = world.registry.keys_of(&id).last().unwrap();
    assert!(matches!(&state.grant, Grant::Delegate { registers, .. } if registers.len() == 2));
}

#[test]
fn the_registrar_rotates_by_its_own_quorum_and_enrols_with_the_new_keys() {
    let mut world = World::new();
    let registrar = signers(super::world::REGISTRAR, &["one", "two", "three"]);
    let four = signers(super::world::REGISTRAR, &["four"]);
    let action = AgencyAction::Rotate {
        add: vec![officer(&four[0])],
        retire: vec![registrar[2].key()],
        quorum: 3,
        recovery: None,
    };
    let body = about(super::world::REGISTRAR, world.registry.genesis(), action);
    assert_eq!(world.refusal(&body, [&registrar[0], &four[0]]), "quorum");
    world.admit(&body, [&registrar[0], &registrar[1], &four[0]]);
    let c = signers("c.gov.example", &["carol"]);
    let enrol = super::world::enrol("c.gov.example", key_set(vec![officer(&c[0])], 1, None));
    assert_eq!(world.refusal(&enrol, [&registrar[0], &registrar[1], &c[0]]), "quorum");
    assert_eq!(world.refusal(&enrol, [&registrar[0], &registrar[2], &c[0]]), "key_retired");
    world.admit(&enrol, [&registrar[0], &registrar[1], &four[0], &c[0]]);
}

#[test]
fn a_stolen_key_is_revoked_and_what_it_signed_is_disowned() {
    let mut world = World::new();
    let id = "a.gov.example".parse().unwrap();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let publisher = signers("a.gov.example", &["publisher"]);
    let forged = world.admit(&country("GB", None, "Atlantis"), &publisher);
    let dispute = |from: u64, to: u64, key: &super::world::Signer| {
        Body::Dispute(Dispute {
            agency: "a.gov.example".parse().unwrap(),
            at: "2026-02-02T00:00:00Z".parse().unwrap(),
            log: super::world::LOG.parse().unwrap(),
            previous: None,
            key: key.key(),
            from: tlog::ids::LeafIndex::new(from).unwrap(),
            to: tlog::ids::LeafIndex::new(to).unwrap(),
            reason: "The clerk's laptop was stolen.".parse().unwrap(),
        })
    };
    assert_eq!(world.refusal(&dispute(5, 6, &publisher[0]), &officers), "dispute_key", "it is live");
    let action = AgencyAction::Revoke {
        keys: vec![publisher[0].key()],
        reason: "The clerk's laptop was stolen.".parse().unwrap(),
    };
    let latest = world.registry.agency(&id).unwrap().latest.leaf;
    let revoke = about("a.gov.example", Some(latest), action);
    assert_eq!(world.refusal(&revoke, signers("b.gov.example", &["bob-p256"]).iter()), "other_agency");
    // The registrar may cut a key off as well, by its quorum.
    let registrar = signers(super::world::REGISTRAR, &["two", "three"]);
    assert!(world.clone().submit(&revoke, &registrar).is_ok());
    world.admit(&revoke, &officers);
    assert_eq!(world.refusal(&dispute(5, 8, &publisher[0]), &officers), "dispute_range");
    assert_eq!(world.refusal(&dispute(5, 5, &publisher[0]), &officers), "dispute_range");
    let index = forged.index.get();
    let body = dispute(index, index + 1, &publisher[0]);
    assert_eq!(world.refusal(&body, &officers[..1]), "quorum");
    let first = world.admit(&body, &officers);
    assert_eq!(world.submit(&dispute(5, 7, &publisher[0]), &officers), Err(Refusal::Stale(Some(first))));
}

#[test]
fn a_key_that_is_brought_in_signs_for_itself() {
    let world = World::new();
    let officers = signers("a.gov.example", &["alice", "amir"]);
    let new = signers("a.gov.example", &["new-publisher"]);
    let body = rotate(&world, vec![publisher(&new[0])], &[]);
    assert_eq!(world.refusal(&body, &officers), "possession");
    assert!(world.judge(super::world::signed(&body, officers.iter().chain(&new))).is_ok());
}

#[test]
fn a_snapshot_restores_the_registry_and_refuses_every_flipped_byte() {
    let mut world = World::new();
    let publisher = signers("a.gov.example", &["publisher"]);
    world.admit(&country("GB", None, "x"), &publisher);
    let snapshot = world.registry.to_snapshot();
    for signatures in [Signatures::Check, Signatures::Trust] {
        let restored = Registry::from_snapshot(&snapshot, signatures).unwrap();
        assert_eq!(restored, world.registry);
        assert_eq!(restored.to_snapshot(), snapshot);
    }
    for at in (0..snapshot.len()).step_by(7) {
        let mut bad = snapshot.clone();
        bad[at] ^= 0x20;
        assert!(Registry::from_snapshot(&bad, Signatures::Trust).is_err(), "byte {at}");
    }
    for length in [0, 10, 20, 40, 60, snapshot.len() - 1] {
        assert!(Registry::from_snapshot(&snapshot[..length], Signatures::Trust).is_err());
    }
    let newer = [b"daybook/registry/v2\n", &snapshot[20..]].concat();
    assert_eq!(Registry::from_snapshot(&newer, Signatures::Trust), Err(SnapshotError::Version));
    let empty = Registry::new();
    assert_eq!(Registry::from_snapshot(&empty.to_snapshot(), Signatures::Check).unwrap(), empty);
}

#[test]
fn a_snapshot_with_a_forged_statement_is_refused_though_its_hash_is_right() {
    let world = World::new();
    let snapshot = world.registry.to_snapshot();
    let body = snapshot.len() - 32;
    let text = String::from_utf8_lossy(&snapshot[..body]).into_owned();
    let at = text
        .find("OGL-UK-3.0")
        .map(|_| ())
        .and_then(|()| snapshot.windows(10).position(|window| window == b"OGL-UK-3.0"));
    let mut forged = snapshot[..body].to_vec();
    forged[at.unwrap()] = b'X';
    let hash = tlog::hash::sha256(&forged);
    forged.extend(hash.as_bytes());
    let refused = Registry::from_snapshot(&forged, Signatures::Check);
    assert!(matches!(refused, Err(SnapshotError::Refused(3, _))), "{refused:?}");
}

#[test]
fn the_registry_at_an_earlier_size_is_the_one_that_was() {
    let mut world = World::empty();
    let full = World::new();
    let mut past = vec![world.registry.clone()];
    for entry in &full.entries {
        world.submit_statement(crate::statement::Statement::parse(entry).unwrap()).unwrap();
        past.push(world.registry.clone());
    }
    assert_eq!(world.registry, full.registry);
    for registry in past {
        let size = registry.size();
        assert_eq!(full.registry.at(size), registry);
        let changed = full.registry.changed_at(size);
        assert!(changed <= size && full.registry.changed_at(changed) == changed);
        assert!(
            full.registry.at(changed).agencies().eq(registry.agencies()),
            "the same from {changed} to {size}"
        );
    }
}

//! Whatever agencies, thieves and fools send in whatever order: what was admitted replays to the same registry, and a
//! snapshot taken anywhere goes on as if nothing had happened.

use proptest::prelude::*;

use super::world::{
    LOG, REGISTRAR, Signer, World, about, country, enrol, key_set, officer, publisher, record, register,
    signed, signers,
};
use crate::registry::{Registry, Signatures};
use crate::statement::{AgencyAction, Body, Dispute, Register, Statement};

/// Something that somebody tries.
#[derive(Clone, Debug)]
enum Try {
    Record { key: u8, right_previous: bool, signer: usize },
    Rotate { seed: u8, officer: bool },
    Revoke { key: usize },
    Register { name: u8, signers: usize },
    Enrol { agency: u8, by: usize },
    Delegate { seed: u8 },
    Dispute { key: usize, from: u64, to: u64 },
}

fn tries() -> impl Strategy<Value = Try> {
    prop_oneof![
        4 => (0_u8..3, any::<bool>(), 0_usize..8)
            .prop_map(|(key, right_previous, signer)| Try::Record { key, right_previous, signer }),
        2 => (0_u8..4, any::<bool>()).prop_map(|(seed, officer)| Try::Rotate { seed, officer }),
        1 => (0_usize..8).prop_map(|key| Try::Revoke { key }),
        1 => (0_u8..3, 0_usize..3).prop_map(|(name, signers)| Try::Register { name, signers }),
        1 => (0_u8..2, 0_usize..4).prop_map(|(agency, by)| Try::Enrol { agency, by }),
        1 => (0_u8..3).prop_map(|seed| Try::Delegate { seed }),
        1 => (0_usize..8, 0_u64..10, 0_u64..20).prop_map(|(key, from, to)| Try::Dispute { key, from, to }),
    ]
}

const AGENCY: &str = "a.gov.example";

fn pool() -> Vec<Signer> {
    let mut pool = signers(AGENCY, &["alice", "amir", "ann", "publisher", "recovery"]);
    pool.extend((0..4).map(|seed| Signer::from_seed(&format!("{AGENCY}/k{seed}"), &seed.to_string())));
    pool
}

fn statement(world: &World, attempt: &Try) -> Statement {
    let pool = pool();
    let id = AGENCY.parse().unwrap();
    let latest = world.registry.agency(&id).map(|state| state.latest.leaf);
    match attempt {
        Try::Record { key, right_previous, signer } => {
            let key = format!("k{key}");
            let chain = crate::registry::Chain::Record(
                AGENCY.parse().unwrap(),
                "country".parse().unwrap(),
                key.parse().unwrap(),
            );
            let previous = world.latest(&chain).filter(|_| *right_previous).map(|entry| entry.leaf);
            signed(&country(&key, previous, &world.entries.len().to_string()), [&pool[*signer]])
        }
        Try::Rotate { seed, officer: is_officer } => {
            let new = Signer::from_seed(&format!("{AGENCY}/k{seed}"), &seed.to_string());
            let add = vec![if *is_officer { officer(&new) } else { publisher(&new) }];
            let action = AgencyAction::Rotate { add, retire: Vec::new(), quorum: 2, recovery: None };
            signed(&about(AGENCY, latest, action), pool[..2].iter().chain([&new]))
        }
        Try::Revoke { key } => {
            let action =
                AgencyAction::Revoke { keys: vec![pool[*key].key()], reason: "Lost.".parse().unwrap() };
            signed(&about(AGENCY, latest, action), &signers(REGISTRAR, &["one", "two"]))
        }
        Try::Register { name, signers } => {
            let mut body = register(AGENCY, &format!("r{name}"));
            let before = world.registry.register(&id, &body.register);
            body.previous = before.map(|state| state.latest.leaf);
            signed(&Body::Register(Register { approvals: *name, ..body }), &pool[..*signers + 1])
        }
        Try::Enrol { agency, by } => {
            let agency = format!("n{agency}.example");
            let first = signers(&agency, &["first"]);
            let body = enrol(&agency, key_set(vec![officer(&first[0])], 1, None));
            signed(&body, signers(REGISTRAR, &["one", "two", "three"][..*by % 4]).iter().chain(&first))
        }
        Try::Delegate { seed } => {
            let unit = Signer::from_seed(&format!("{AGENCY}/unit{seed}"), &format!("unit {seed}"));
            let action = AgencyAction::Delegate {
                key: unit.key(),
                registers: vec!["country".parse().unwrap()],
                until: "2027-01-01T00:00:00Z".parse().unwrap(),
            };
            signed(&about(AGENCY, latest, action), pool[..2].iter().chain([&unit]))
        }
        Try::Dispute { key, from, to } => {
            let chain = crate::registry::Chain::Disputes(AGENCY.parse().unwrap());
            let body = Dispute {
                agency: AGENCY.parse().unwrap(),
                at: "2026-03-03T00:00:00Z".parse().unwrap(),
                log: LOG.parse().unwrap(),
                previous: world.latest(&chain).map(|entry| entry.leaf),
                key: pool[*key].key(),
                from: tlog::ids::LeafIndex::new(*from).unwrap(),
                to: tlog::ids::LeafIndex::new(*to).unwrap(),
                reason: "Stolen.".parse().unwrap(),
            };
            signed(&Body::Dispute(body), &pool[..2])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_admitted_replays_to_the_same_registry_from_any_snapshot(
        attempts in prop::collection::vec(tries(), 1..40), cut in any::<prop::sample::Index>(),
    ) {
        let mut world = World::new();
        for attempt in &attempts {
            let before = world.registry.clone();
            let statement = statement(&world, attempt);
            if world.submit_statement(statement).is_err() {
                prop_assert_eq!(&world.registry, &before, "a refusal changes nothing");
            }
        }
        let cut = cut.index(world.entries.len() + 1);
        let mut again = World::empty();
        for (at, entry) in world.entries.iter().enumerate() {
            if at == cut {
                again.registry = Registry::from_snapshot(&again.registry.to_snapshot(), Signatures::Check).unwrap();
            }
            again.submit_statement(Statement::parse(entry).unwrap()).unwrap();
        }
        prop_assert_eq!(&again.registry, &world.registry);
        prop_assert_eq!(again.registry.to_snapshot(), world.registry.to_snapshot());
        let size = tlog::ids::TreeSize::new(cut as u64).unwrap();
        prop_assert_eq!(world.registry.at(size).size(), size);
    }

    #[test]
    fn a_statement_that_parses_gives_back_its_bytes(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let publisher = signers(AGENCY, &["publisher"]);
        let mut bytes = signed(&Body::Record(record(AGENCY, "country", "GB", None, r#"{"a":[1,{}]}"#)), &publisher).to_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(statement) = Statement::parse(&bytes) {
            prop_assert_eq!(statement.to_bytes(), bytes.clone());
            prop_assert_eq!(Body::parse_text(statement.text()).unwrap().to_text(), statement.text());
        }
    }
}

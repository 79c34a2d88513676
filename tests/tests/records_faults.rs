//! Every disk operation in the life of a log of records fails, once or for good. Afterwards the registry, the chains and
//! the index are what the entries say, and every answer that was given holds.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeMap;

use daybook::store::disk::fault::{Fault, How};
use record::registry::Refusal;
use tests::check::check;
use tests::records::{Office, World, previous};
use tests::{Became, Bench, ORIGIN, Running};
use tlog::hash::leaf_hash;

/// Statements of a small life, in batches; each builds on those before it.
fn life(world: &World, office: &Office) -> Vec<Vec<Vec<u8>>> {
    let put = |key: u32, before: Option<&[u8]>, public: &str| {
        world.put(office, "country", &format!("K{key}"), before.and_then(previous), public)
    };
    let first: Vec<Vec<u8>> = (0..260).map(|key| put(key, None, "{}")).collect();
    let second: Vec<Vec<u8>> = (0..5).map(|key| put(key, Some(&first[key as usize]), r#"{"a":1}"#)).collect();
    let third = vec![put(0, Some(&second[0]), r#"{"a":2}"#), second[1].clone()];
    vec![vec![world.enrol(office)], vec![world.open(office, "country")], first, second, third]
}

/// `false` once the engine has failed.
fn live(running: &mut Running, batches: &[Vec<Vec<u8>>], told: &mut BTreeMap<Vec<u8>, u64>) -> bool {
    for batch in batches {
        let Ok(Some(became)) = running.submit_statements(batch) else { return false };
        for (statement, became) in batch.iter().zip(became) {
            let index = became.index().unwrap_or_else(|| panic!("{became:?}"));
            let before = told.insert(statement.clone(), index);
            assert!(before.is_none_or(|before| before == index), "an index never changes");
        }
        if running.engine.housekeeper.step().is_err() {
            return false;
        }
    }
    running.engine.housekeeper.finish().is_ok()
}

fn audit(bench: &Bench, running: &Running, told: &BTreeMap<Vec<u8>, u64>) {
    let audited = check(&bench.dir().join("public"), running.log.signer.verifier_keys());
    for (statement, index) in told {
        assert_eq!(audited.entries.get(*index as usize), Some(statement), "an answered statement is there");
    }
}

fn one_fault(fault: Fault, world: &World, office: &Office, batches: &[Vec<Vec<u8>>]) {
    let bench = Bench::of_records(world);
    bench.disk.set(Some(fault));
    let mut told = BTreeMap::new();
    if let Ok(mut running) = bench.start() {
        live(&mut running, batches, &mut told);
    }
    bench.disk.set(None);
    let mut running = bench.start().unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    audit(&bench, &running, &told);
    // Sent again from the beginning, everything is an entry, and the chains are the same.
    assert!(live(&mut running, batches, &mut told), "{fault:?}");
    audit(&bench, &running, &told);
    drop(running);
    let mut running = bench.start().unwrap();
    let stale = world.put(office, "country", "K0", None, r#"{"late":true}"#);
    let Some(became) = running.submit_statements(&[stale]).unwrap() else {
        panic!("{fault:?}: the engine lives")
    };
    let Became::Refused(daybook::records::Refused::Registry(Refusal::Stale(Some(latest)))) = &became[0]
    else {
        panic!("{fault:?}: {became:?}");
    };
    assert_eq!(latest.leaf, leaf_hash(&batches[4][0]), "{fault:?}");
}

#[test]
fn no_failing_disk_operation_loses_a_statement_or_breaks_a_chain() {
    let world = World::new(ORIGIN);
    let office = Office::new("treasury.example");
    let batches = life(&world, &office);
    let operations = {
        let bench = Bench::of_records(&world);
        bench.disk.set(None);
        let mut running = bench.start().unwrap();
        assert!(live(&mut running, &batches, &mut BTreeMap::new()));
        bench.disk.count()
    };
    assert!(operations > 40, "the life has disk operations: {operations}");
    for (offset, how) in [How::Fails, How::FailsButDone, How::Torn].into_iter().enumerate() {
        for at in (offset as u64..operations).step_by(3) {
            one_fault(Fault { at, how, once: at % 2 == 0 }, &world, &office, &batches);
        }
    }
}

#[test]
fn a_bit_flipped_in_the_tree_makes_no_honest_update_stale() {
    let world = World::new(ORIGIN);
    let office = Office::new("treasury.example");
    let bench = Bench::of_records(&world);
    let first = world.put(&office, "country", "GB", None, "{}");
    let before = [world.enrol(&office), world.open(&office, "country"), first.clone()];
    let mut running = bench.start().unwrap();
    for statement in before {
        let became = running.submit_statements(&[statement]).unwrap().unwrap();
        assert!(became[0].index().is_some(), "{became:?}");
    }
    running.engine.housekeeper.finish().unwrap();
    drop(running);
    let second = world.put(&office, "country", "GB", previous(&first), r#"{"a":1}"#);
    // After a start nothing is remembered, so the latest version is read from the tree.
    for object in ["tile/0/000.p/4", "tile/entries/000.p/4"] {
        let mut running = bench.start().unwrap();
        let path = bench.dir().join("public").join(object);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let became = running.submit_statements(std::slice::from_ref(&second));
        assert!(!matches!(became, Ok(Some(_))), "{object}: {became:?}");
        drop(running);
        std::fs::write(&path, &whole).unwrap();
    }
    let mut running = bench.start().unwrap();
    let became = running.submit_statements(&[second]).unwrap().unwrap();
    assert_eq!(became[0].index(), Some(4), "{became:?}");
}

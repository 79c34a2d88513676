//! Statements by a signer whom the log does not know: anybody can send those, so nothing dear is done for them, and few
//! of them wait at a time.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use bytes::Bytes;
use daybook::pool::{Pending, SubmitError};
use daybook::records::Refused;
use daybook::records::admit::{Examined, examine};
use record::registry::{NotAllowed, Refusal};
use record::statement::{Body, Statement};
use tests::records::{Office, Signer, World, sign_text};
use tests::{Became, Bench, ORIGIN, Running};

/// A log that has its genesis, and an agency that it does not know.
fn scene() -> (Bench, Running, World, Office) {
    let world = World::new(ORIGIN);
    let bench = Bench::of_records(&world);
    let running = bench.start().unwrap();
    (bench, running, world, Office::new("treasury.example"))
}

fn refused_as_unknown(became: &Became, signer: &Signer) {
    let Became::Refused(Refused::Registry(Refusal::NotAllowed(NotAllowed::UnknownKey(name)))) = became else {
        panic!("{became:?}")
    };
    assert_eq!(name, signer.key().name());
}

/// The pending form of a statement.
fn examined(running: &Running, statement: &[u8]) -> Pending {
    let records = running.log.records.as_ref().unwrap();
    match examine(&running.log, records, Bytes::copy_from_slice(statement)).unwrap() {
        Examined::New(pending) => *pending,
        Examined::Known(index) => panic!("known as {index}"),
    }
}

#[test]
fn while_a_signer_is_unknown_no_signature_is_verified() {
    let (_bench, mut running, world, office) = scene();
    let text = Statement::parse(&world.enrol(&office)).unwrap().text().to_owned();
    let stranger = Signer::ed25519("zz.example/stranger");
    // By keys that the statement brings in itself: each would be verified, and none of these is good.
    let bad = office.officers.iter().chain([&office.publisher]).map(|signer| signer.sign("another text"));
    let lines = bad.chain([stranger.sign(&text)]).collect();
    let statement = Statement::assemble(&text, lines).unwrap().to_bytes();
    let became = running.submit_statements(&[statement]).unwrap().unwrap();
    refused_as_unknown(&became[0], &stranger);
}

#[test]
fn a_signer_who_comes_in_with_the_same_submission_is_known_in_time_and_a_bad_signature_is_seen_then() {
    let (_bench, mut running, world, office) = scene();
    let forged = {
        let body = Body::Record(world.record_body(&office, "country", "GB", None, r#"{"name":"forged"}"#));
        let line = office.publisher.sign("another text");
        Statement::assemble(&body.to_text(), vec![line]).unwrap().to_bytes()
    };
    let put = world.put(&office, "country", "GB", None, r#"{"name":"United Kingdom"}"#);
    let all = [world.enrol(&office), world.open(&office, "country"), forged, put];
    let became = running.submit_statements(&all).unwrap().unwrap();
    assert_eq!(became.iter().map(Became::code).collect::<Vec<_>>(), ["", "", "bad_signature", ""]);
}

#[test]
fn few_bytes_of_unknown_signers_wait_and_those_of_agencies_are_not_held_up_by_them() {
    let (_bench, mut running, world, office) = scene();
    let made = [world.enrol(&office), world.open(&office, "country")];
    assert!(running.submit_statements(&made).unwrap().unwrap().iter().all(|became| became.index().is_some()));
    let stranger = Signer::ed25519("zz.example/stranger");
    let large = |key: &str| {
        let public = format!(r#"{{"text":"{}"}}"#, "x".repeat(60_000));
        Body::Record(world.record_body(&office, "country", key, None, &public)).to_text()
    };
    let mut waiting = Vec::new();
    let full = loop {
        let text = large(&format!("stranger-{}", waiting.len()));
        let pending = examined(&running, &sign_text(&text, &[&stranger]));
        match running.log.pool.submit(vec![pending]) {
            Ok(answer) => waiting.push(answer),
            Err(error) => break error,
        }
        assert!(waiting.len() < 1000, "there is a bound");
    };
    assert_eq!(full, SubmitError::PoolFull);
    let (_, bytes) = running.log.pool.depth();
    assert!(bytes <= 4 << 20, "{bytes} bytes wait");
    let ours = examined(&running, &sign_text(&large("ours"), &[&office.publisher]));
    let mut answer = running.log.pool.submit(vec![ours]).unwrap();
    running.step().unwrap();
    assert!(answer.try_recv().unwrap().unwrap()[0].is_ok());
    for mut refused in waiting {
        assert_eq!(refused.try_recv().unwrap().unwrap()[0].as_ref().unwrap_err().code(), "unknown_key");
    }
    // What waited is gone, and there is room again.
    let again = examined(&running, &sign_text(&large("again"), &[&stranger]));
    assert!(running.log.pool.submit(vec![again]).is_ok());
}

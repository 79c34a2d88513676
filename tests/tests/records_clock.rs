//! What a log refuses by its clock, over HTTP, with a clock that is driven: dates that have not come, and delegations that are
//! over. Neither is a rule of the registry, so whoever replays the log must find nothing wrong either way.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use record::registry::{MemoryHistory, Registry, Signatures};
use record::statement::{AgencyAction, Body, Record, Statement};
use record::time::UtcTime;
use serde_json::Value;
use tests::check::check;
use tests::records::{Office, Signer, World, previous, sign};
use tests::served::Served;
use tests::server::Answer;
use tests::{Bench, ORIGIN, START};
use tlog::ids::LeafIndex;

/// How far ahead a date may be, in seconds.
const AHEAD: u64 = 300;
const HOUR: u64 = 3600;

/// A log with an enrolled agency, its register `budget`, and a unit's key, which nothing is delegated to yet: three entries.
struct Scene {
    /// Only `None` between two lives.
    served: Option<Served>,
    bench: Bench,
    world: World,
    office: Office,
    unit: Signer,
}

impl Scene {
    fn new() -> Self {
        let world = World::new(ORIGIN);
        let bench = Bench::of_records(&world);
        let served = Some(Served::new(bench.start().unwrap()));
        let (office, unit) = (Office::new("treasury.example"), Signer::ed25519("treasury.example/unit"));
        let scene = Self { served, bench, world, office, unit };
        scene.takes(&scene.world.enrol(&scene.office), 1);
        scene.takes(&scene.world.open(&scene.office, "budget"), 2);
        scene
    }

    fn served(&self) -> &Served {
        self.served.as_ref().unwrap()
    }

    /// The time this long after the beginning.
    fn time(&self, seconds: u64) -> UtcTime {
        let seconds = i64::try_from(START / 1000 + seconds).unwrap();
        UtcTime::from_unix_seconds(seconds).unwrap()
    }

    fn pass(&self, seconds: u64) {
        self.bench.clock.advance(Duration::from_secs(seconds));
    }

    /// The unit's key is delegated, or delegated anew, until then.
    fn delegate(&self, before: &[u8], until: UtcTime) -> Vec<u8> {
        let registers = vec!["budget".parse().unwrap()];
        let action = AgencyAction::Delegate { key: self.unit.key(), registers, until };
        let body = self.world.agency_body(&self.office, previous(before), action);
        sign(&body, &[&self.office.officers[0], &self.office.officers[1], &self.unit])
    }

    fn record(&self, key: &str, at: UtcTime) -> Record {
        Record { at, ..self.world.record_body(&self.office, "budget", key, None, "{}") }
    }

    /// A record that the unit signs.
    fn by_unit(&self, key: &str, at: UtcTime) -> Vec<u8> {
        sign(&Body::Record(self.record(key, at)), &[&self.unit])
    }

    fn by_publisher(&self, key: &str, at: UtcTime) -> Vec<u8> {
        sign(&Body::Record(self.record(key, at)), &[&self.office.publisher])
    }

    fn post(&self, statement: &[u8]) -> Answer {
        let headers = [("content-type", "text/plain"), ("accept", "application/json")];
        self.served().send("POST", "/records", &headers, statement)
    }

    fn takes(&self, statement: &[u8], index: u64) {
        let answer = self.post(statement);
        assert_eq!((answer.status, &answer.json()["index"]), (200, &index.into()), "{}", answer.text());
    }

    /// The outcomes of one batch, in order: an index, or the reason with its type.
    fn batch(&self, statements: &[&[u8]]) -> Vec<Result<u64, String>> {
        let mut body = Vec::new();
        for statement in statements {
            body.extend(u16::try_from(statement.len()).unwrap().to_be_bytes());
            body.extend(*statement);
        }
        let headers = [("content-type", "application/octet-stream")];
        let answer = self.served().send("POST", "/records/batch", &headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        // The answer is a stream: between its lines stand the lengths of its pieces.
        let lines = answer.text().lines().filter(|line| line.starts_with('{'));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let outcome = |line: Value| match line["index"].as_u64() {
            Some(index) => Ok(index),
            None => {
                let problem = &line["problem"];
                Err(format!("{} {} {}", problem["status"], problem["type"], problem["reason"]))
            }
        };
        lines.map(outcome).collect()
    }

    /// Refused by the clock, alone and in a batch, in the same words for programs.
    fn refuses(&self, statement: &[u8], reason: &str) {
        let document = self.post(statement).json();
        let said = (&document["status"], &document["type"], &document["reason"]);
        assert_eq!(said, (&409.into(), &"urn:daybook:problem:clock".into(), &reason.into()), "{document}");
        assert_eq!(self.batch(&[statement]), [Err(by_clock(reason))]);
    }

    fn entries(&self) -> Vec<Vec<u8>> {
        check(&self.bench.dir().join("public"), self.served().log.signer.verifier_keys()).entries
    }

    /// The log ends, and starts again with the clock where it is.
    fn restart(&mut self) {
        self.served = None;
        self.served = Some(Served::new(self.bench.start().unwrap()));
    }
}

fn by_clock(reason: &str) -> String {
    format!("409 \"urn:daybook:problem:clock\" \"{reason}\"")
}

/// Every entry is admissible in its place, for somebody who has the log and no clock; and so would these be, one by one, next.
fn are_admissible(entries: &[Vec<u8>], next: &[&[u8]]) -> bool {
    let (mut registry, mut history) = (Registry::new(), MemoryHistory::default());
    for (at, entry) in (0..).zip(entries) {
        let index = LeafIndex::new(at).unwrap();
        let statement = Statement::parse(entry).unwrap();
        let authentic = registry.authenticate(statement, Signatures::Check).unwrap();
        let effect = registry.judge(index, &authentic, &history).unwrap();
        history.push(effect.chain(), effect.entry(), entry.clone());
        registry.apply(effect);
    }
    let index = LeafIndex::new(entries.len() as u64).unwrap();
    next.iter().all(|statement| {
        let authentic =
            registry.authenticate(Statement::parse(statement).unwrap(), Signatures::Check).unwrap();
        registry.judge(index, &authentic, &history).is_ok()
    })
}

#[test]
fn a_date_that_is_ahead_of_the_clock_is_taken_once_the_clock_is_near_enough() {
    let scene = Scene::new();
    scene.takes(&scene.by_publisher("near", scene.time(AHEAD)), 3);
    let early = scene.by_publisher("far", scene.time(AHEAD + 1));
    scene.refuses(&early, "at_in_the_future");
    assert_eq!(scene.post(&early).json()["field"], "/at");
    assert!(are_admissible(&scene.entries(), &[&early]), "a replay has no clock to refuse it by");
    scene.pass(1);
    scene.takes(&early, 4);
    assert!(are_admissible(&scene.entries(), &[]));
}

#[test]
fn a_date_within_a_delegation_shows_nothing_once_the_delegation_is_over() {
    let mut scene = Scene::new();
    let enrolment = scene.world.enrol(&scene.office);
    let delegated = scene.delegate(&enrolment, scene.time(HOUR));
    scene.takes(&delegated, 3);
    let in_time = scene.by_unit("1", scene.time(0));
    scene.takes(&in_time, 4);
    scene.pass(HOUR - 1);
    scene.takes(&scene.by_unit("2", scene.time(0)), 5);

    scene.pass(2);
    let late = scene.by_unit("3", scene.time(0));
    scene.refuses(&late, "delegation_over");
    assert!(are_admissible(&scene.entries(), &[&late]), "a replay has no clock to refuse it by");
    scene.takes(&scene.by_publisher("9", scene.time(0)), 6);
    // What the registry refuses is the registry's to refuse, whatever the clock says.
    let stale = scene.by_unit("1", scene.time(1));
    assert_eq!(scene.post(&stale).json()["reason"], "stale_previous");
    let after = scene.by_unit("4", scene.time(HOUR + 1));
    assert_eq!(scene.post(&after).json()["reason"], "delegation_ended");

    // What was taken in time stays, and a start that replays it finds nothing wrong.
    let entries = scene.entries();
    scene.pass(HOUR);
    scene.restart();
    assert_eq!(scene.entries(), entries);
    scene.takes(&in_time, 4);
    scene.refuses(&late, "delegation_over");
    assert!(are_admissible(&scene.entries(), &[]));
}

#[test]
fn a_delegation_that_comes_in_the_same_batch_is_over_all_the_same() {
    let scene = Scene::new();
    scene.pass(HOUR);
    let enrolment = scene.world.enrol(&scene.office);
    let delegated = scene.delegate(&enrolment, scene.time(HOUR - 1));
    let late = scene.by_unit("1", scene.time(0));
    let neighbour = scene.by_publisher("2", scene.time(0));
    assert_eq!(
        scene.batch(&[&delegated, &late, &neighbour]),
        [Ok(3), Err(by_clock("delegation_over")), Ok(4)],
        "the delegation stands in the log, the late statement does not, and sinks nobody"
    );
    assert!(are_admissible(&scene.entries(), &[&late]), "a replay has no clock to refuse it by");
    // One that is not over yet is as good in its own batch as later.
    let renewed = scene.delegate(&delegated, scene.time(2 * HOUR));
    assert_eq!(scene.batch(&[&renewed, &late]), [Ok(5), Ok(6)]);
    assert!(are_admissible(&scene.entries(), &[]));
}

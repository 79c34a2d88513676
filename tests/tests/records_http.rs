//! Records over HTTP, against the real executable.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::statement::Body;
use serde_json::Value;
use tests::records::{Office, World, previous, sign};
use tests::server::{Answer, ORIGIN, Server, Site, exchange_on};
use tlog::hash::leaf_hash;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

const JSON: (&str, &str) = ("accept", "application/json");
const STATEMENT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

/// A served log with an enrolled agency and its register `country`: three entries.
struct Scene {
    server: Server,
    site: Site,
    world: World,
    office: Arc<Office>,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new("records");
        let server = site.start();
        let world = World::new(ORIGIN);
        let office = Arc::new(Office::new("treasury.example"));
        let scene = Self { server, site, world, office };
        for statement in [scene.world.enrol(&scene.office), scene.world.open(&scene.office, "country")] {
            let answer = scene.post(&statement);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        scene
    }

    fn post(&self, statement: &[u8]) -> Answer {
        self.server.send("POST", "/records", &[STATEMENT], statement)
    }

    fn put(&self, key: &str, before: Option<&[u8]>, public: &str) -> Vec<u8> {
        self.world.put(&self.office, "country", key, before.and_then(previous), public)
    }
}

fn verify(receipt: &str, statement: &[u8], policy: &Policy) -> u64 {
    let proof = TlogProof::parse(receipt.as_bytes()).unwrap();
    proof.verify(&leaf_hash(statement), policy).unwrap();
    proof.index.get()
}

fn problem(answer: &Answer, status: u16, kind: &str, reason: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:daybook:problem:{kind}"));
    assert_eq!(document["reason"], reason, "{document}");
    document
}

#[test]
fn a_statement_is_answered_with_a_receipt_that_verifies_offline() {
    let scene = Scene::new();
    let policy = scene.site.policy();
    let put = scene.put("GB", None, r#"{"name":"United Kingdom"}"#);
    let first = scene.post(&put);
    assert_eq!((first.status, first.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(verify(first.text(), &put, &policy), 3);
    let again = scene.server.send("POST", "/records", &[JSON], &put);
    assert_eq!(again.status, 200, "{}", again.text());
    let again = again.json();
    assert_eq!((&again["index"], &again["duplicate"]), (&3.into(), &true.into()));
    assert_eq!(again["leaf_hash"], leaf_hash(&put).to_string());
    assert_eq!(verify(again["receipt"].as_str().unwrap(), &put, &policy), 3);
}

#[test]
fn a_stale_statement_is_409_with_the_latest_entry_and_its_receipt() {
    let scene = Scene::new();
    let policy = scene.site.policy();
    let first = scene.put("GB", None, "{}");
    assert_eq!(scene.post(&first).status, 200);
    let late = scene.put("GB", None, r#"{"late":true}"#);
    let document = problem(&scene.post(&late), 409, "stale", "stale_previous");
    let latest = &document["latest"];
    assert_eq!(latest["index"], 3);
    assert_eq!(latest["leaf_hash"], leaf_hash(&first).to_string());
    assert_eq!(STANDARD.decode(latest["entry"].as_str().unwrap()).unwrap(), first);
    assert_eq!(verify(latest["receipt"].as_str().unwrap(), &first, &policy), 3);
    let nothing = scene.put("FR", Some(&first), "{}");
    let document = problem(&scene.post(&nothing), 409, "stale", "stale_previous");
    assert!(document.get("latest").is_some_and(Value::is_null), "nothing is there yet");
}

#[test]
fn a_known_text_under_other_signatures_is_409_with_the_stored_entrys_receipt() {
    let scene = Scene::new();
    let body = Body::Register(scene.world.register_body(&scene.office, "city", None));
    let [one, two, three] = scene.office.officers.as_slice() else { panic!("three officers") };
    let stored = sign(&body, &[one, two]);
    assert_eq!(scene.post(&stored).status, 200);
    let answer = scene.post(&sign(&body, &[two, three]));
    let document = problem(&answer, 409, "other-signatures", "other_signatures");
    let receipt = document["latest"]["receipt"].as_str().unwrap();
    assert_eq!(verify(receipt, &stored, &scene.site.policy()), 3);
}

#[test]
fn a_refusal_names_its_class_its_reason_and_the_field() {
    let scene = Scene::new();
    let other = Office::new("health.example");
    let body = scene.world.record_body(&scene.office, "country", "GB", None, "{}");
    let unknown = sign(&Body::Record(body.clone()), &[&other.publisher]);
    problem(&scene.post(&unknown), 403, "not-allowed", "unknown_key");
    let mut elsewhere = body.clone();
    elsewhere.register = "nowhere".parse().unwrap();
    let document = problem(
        &scene.post(&sign(&Body::Record(elsewhere), &[&scene.office.publisher])),
        422,
        "inadmissible",
        "unknown_register",
    );
    assert_eq!(document["field"], "/register");
    let text = Body::Record(body).to_text().replace(r#""public":{}"#, r#""public":{"b":01}"#);
    let signature = scene.office.publisher.sign(&text).to_string();
    let answer = scene.post(format!("{text}\n{signature}\n").as_bytes());
    let document = answer.json();
    assert_eq!((answer.status, &document["type"]), (422, &"urn:daybook:problem:inadmissible".into()));
    assert_eq!(scene.post(b"").status, 422);
    assert_eq!(scene.post(&vec![b'a'; 65_536]).status, 413);
    let wrong = scene.server.send("POST", "/records", &[("content-type", "application/json")], b"{}");
    assert_eq!(wrong.status, 415);
}

#[test]
fn two_clients_race_on_one_key_and_exactly_one_wins_each_time() {
    let scene = Scene::new();
    let mut before: Option<Vec<u8>> = None;
    for round in 0..8 {
        let rivals: Vec<Vec<u8>> = (0..4)
            .map(|rival| {
                scene.put("GB", before.as_deref(), &format!(r#"{{"rival":{rival},"round":{round}}}"#))
            })
            .collect();
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                rivals.iter().map(|statement| scope.spawn(|| scene.post(statement).status)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let won: Vec<usize> = (0..4).filter(|at| answers[*at] == 200).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 200 | 409)), "{answers:?}");
        before = Some(rivals[won[0]].clone());
    }
}

fn stream(statements: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for statement in statements {
        body.extend_from_slice(&u16::try_from(statement.len()).unwrap().to_be_bytes());
        body.extend_from_slice(statement);
    }
    body
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = unchunked(answer);
    let text = std::str::from_utf8(&body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn unchunked(answer: &Answer) -> Vec<u8> {
    if answer.header("transfer-encoding") != "chunked" {
        return answer.body.clone();
    }
    let (mut rest, mut out) = (answer.body.as_slice(), Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return out;
        }
        out.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

#[test]
fn a_stream_of_statements_has_its_outcomes_in_order_and_a_bad_one_sinks_none() {
    let scene = Scene::new();
    let mut statements: Vec<Vec<u8>> =
        (0..600).map(|key| scene.put(&format!("K{key}"), None, "{}")).collect();
    statements[7] = b"no statement".to_vec();
    statements[300] = scene.put("K2", None, r#"{"late":true}"#);
    statements.push(statements[0].clone());
    let answer = scene.server.post("/records/batch", &stream(&statements));
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let outcomes = lines(&answer);
    assert_eq!(outcomes.len(), 601);
    let mut seen = BTreeSet::new();
    for (at, outcome) in outcomes.iter().enumerate() {
        match at {
            7 => assert_eq!(outcome["problem"]["status"], 422),
            300 => {
                assert_eq!(outcome["problem"]["status"], 409);
                assert_eq!(outcome["problem"]["latest"]["index"], outcomes[2]["index"]);
            }
            600 => {
                assert_eq!((&outcome["index"], &outcome["duplicate"]), (&outcomes[0]["index"], &true.into()));
            }
            _ => {
                assert_eq!(outcome["leaf_hash"], leaf_hash(&statements[at]).to_string());
                assert!(seen.insert(outcome["index"].as_u64().unwrap()));
            }
        }
    }
    assert_eq!(seen.last(), Some(&600));
    assert_eq!(scene.server.checkpoint(&scene.site.policy()).head().size.get(), 601);
}

#[test]
fn outcomes_of_a_stream_carry_receipts_where_they_are_asked_for() {
    let scene = Scene::new();
    let policy = scene.site.policy();
    let first = scene.put("K0", None, "{}");
    assert_eq!(scene.post(&first).status, 200);
    let mut statements: Vec<Vec<u8>> =
        (0..300).map(|key| scene.put(&format!("K{key}"), None, "{}")).collect();
    statements[7] = b"no statement".to_vec();
    statements[200] = scene.put("K0", None, r#"{"late":true}"#);
    let answer = scene.server.post("/records/batch?receipts=true", &stream(&statements));
    let outcomes = lines(&answer);
    assert_eq!(outcomes.len(), 300);
    for (at, (outcome, statement)) in outcomes.iter().zip(&statements).enumerate() {
        if at == 7 || at == 200 {
            assert!(outcome["problem"].is_object() && outcome.get("receipt").is_none(), "{outcome}");
            continue;
        }
        let index = verify(outcome["receipt"].as_str().unwrap(), statement, &policy);
        assert_eq!((index, &outcome["duplicate"]), (outcome["index"].as_u64().unwrap(), &(at == 0).into()));
    }
    let without = lines(&scene.server.post("/records/batch", &stream(&statements[..1])));
    assert!(without[0].get("receipt").is_none());
    for query in ["receipts", "receipts=yes", "from=1"] {
        let answer = scene.server.post(&format!("/records/batch?{query}"), &stream(&statements[..1]));
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[test]
fn a_stream_that_breaks_off_in_a_statement_keeps_what_came_before() {
    let scene = Scene::new();
    let mut body = stream(&[scene.put("GB", None, "{}")]);
    body.extend_from_slice(&[1, 0, b'x']);
    let outcomes = lines(&scene.server.post("/records/batch", &body));
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0]["index"], 3);
    assert_eq!(outcomes[1]["problem"]["type"], "urn:daybook:problem:malformed");
}

#[test]
fn an_agency_that_sends_too_much_is_429_with_a_time_to_come_back() {
    let site = Site::new("records");
    site.configure("agency_statements_per_second_max = 20000", "agency_statements_per_second_max = 1");
    let server = site.start();
    let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
    assert_eq!(server.post("/records", &world.enrol(&office)).status, 200);
    let mut refused = None;
    for register in 0..20 {
        let answer = server.post("/records", &world.open(&office, &format!("r{register}")));
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("twenty statements are more than one a second");
    assert_eq!(
        (refused.status, &*refused.json()["type"].to_string()),
        (429, "\"urn:daybook:problem:too-many\"")
    );
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    // Others are not in its way, and nothing is charged to an agency that did not sign.
    let other = Office::new("health.example");
    assert_eq!(server.post("/records", &world.enrol(&other)).status, 200);
}

/// A request from another loopback network than every other client's.
fn from_elsewhere(server: &Server, path: &str, body: &[u8]) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.9.8.7:0".parse().unwrap()).unwrap();
        socket.connect(server.address()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange_on(stream, &[head.as_bytes(), body].concat()).unwrap()
}

#[test]
fn a_network_that_sends_too_much_is_429_while_it_reads_on_and_others_write() {
    let site = Site::new("records");
    site.configure("network_statements_per_second_max = 20000", "network_statements_per_second_max = 1");
    let server = site.start();
    let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
    let enrolment = world.enrol(&office);
    // Far more at once than a second's worth: taken, and to be paid for afterwards.
    let many = vec![b"x".to_vec(); 250];
    let outcomes = lines(&server.post("/records/batch", &stream(&many)));
    assert_eq!(outcomes.len(), 250);
    assert!(outcomes.iter().all(|outcome| outcome["problem"]["status"] == 422), "{outcomes:?}");
    let refused = server.post("/records", &enrolment);
    assert_eq!((refused.status, &refused.json()["type"]), (429, &"urn:daybook:problem:too-many".into()));
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    let batch = server.post("/records/batch", &stream(std::slice::from_ref(&enrolment)));
    assert!(batch.text().contains("urn:daybook:problem:too-many"), "{}", batch.text());
    let upload = server.send("PUT", &format!("/blobs/{}", "0".repeat(64)), &[], b"x");
    assert_eq!(upload.status, 429, "uploads count as well");
    for path in ["/checkpoint", "/agencies", "/entry/0"] {
        assert_eq!(server.get(path).status, 200, "{path}: what is read does not count");
    }
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 1, "nothing was stored");
    let elsewhere = from_elsewhere(&server, "/records", &enrolment);
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.text());
    let metrics = server.admin("/metrics");
    assert!(
        metrics.text().contains("daybook_http_responses_total{status=\"429\"}"),
        "an operator can see it"
    );
}

#[test]
fn a_log_of_any_bytes_has_no_records_and_a_log_of_records_takes_no_bytes() {
    let open = Site::new("open");
    let server = open.start();
    assert_eq!(server.post("/records", b"x").status, 404);
    assert_eq!(server.post("/records/batch", b"x").status, 404);
    let scene = Scene::new();
    assert_eq!(scene.server.post("/add", b"x").status, 404);
    assert_eq!(scene.server.post("/add-batch", b"\0\x01x").status, 404);
    assert_eq!(scene.server.get("/records").status, 405);
}

//! Which logs a witness follows: keys that are refused at configuration, lists, disabling; and evidence from anyone.

use tests::server::read_some;
use tests::testlog::TestLog;
use tests::witness::{WitnessSite, wait_for};
use tlog::sign::{CosignerEd25519, Ed25519Signer};
use tlog::vkey::VerifierKey;

const ORIGIN: &str = "log.example/witnessed";

fn vkey(name: &str, seed: u8) -> VerifierKey {
    Ed25519Signer::from_seed(name.parse().expect("a name"), &[seed; 32]).verifier_key()
}

fn list(entries: &[(&VerifierKey, u32)]) -> String {
    let entry =
        |(key, qpd): &(&VerifierKey, u32)| format!("\nvkey {key}\nqpd {qpd}\ncontact ops@log.example\n");
    format!("# a list\nlogs/v0\n{}", entries.iter().map(entry).collect::<String>())
}

#[test]
fn keys_that_no_log_may_have_are_refused() {
    let site = WitnessSite::new();
    let own = site.keys[0].material().to_vec();
    let own = VerifierKey::new("log.example".parse().unwrap(), tlog::vkey::KeyKind::Ed25519, own).unwrap();
    let cosigner = CosignerEd25519::from_seed("log.example".parse().unwrap(), &[1; 32]).verifier_key();
    let cases = [
        own.to_string(),
        vkey("witness.example/w1", 1).to_string(),
        cosigner.to_string(),
        // The point of small order, y = 1.
        "log.example+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        // y = p + 1, the same point with a coordinate that is not reduced.
        "log.example+00000000+Ae7//////////////////////////////////////////38=".to_owned(),
    ];
    for key in cases {
        let added = site.run(&["log", "add"], &[&key]);
        assert_eq!(added.status.code(), Some(2), "{key}: {added:?}");
    }
    let named =
        site.run(&["log", "add"], &[&vkey("log.example", 1).to_string(), "--origin", "witness.example/w1"]);
    assert_eq!(named.status.code(), Some(2), "{named:?}");
    let listed = site.run(&["log", "list", "--json"], &[]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), "[]");
}

#[test]
fn a_known_log_keeps_its_key_and_can_be_disabled_while_the_witness_serves() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 5)).status, 404);
    site.follow(&log, &[]);
    wait_for(|| server.add(&log.request(0, 5)).status == 200);
    let other = site.run(&["log", "add"], &[&vkey(ORIGIN, 2).to_string()]);
    assert_eq!(other.status.code(), Some(3), "{other:?}");
    assert!(site.run(&["log", "disable"], &[ORIGIN]).status.success());
    wait_for(|| server.add(&log.request(5, 5)).status == 404);
    let path = format!("/{}/checkpoint", tlog::hash::sha256(ORIGIN.as_bytes()));
    assert_eq!(server.get(&path).status, 200, "what was cosigned stays readable");
    assert!(site.run(&["log", "enable"], &[ORIGIN]).status.success());
    wait_for(|| server.add(&log.request(0, 9)).status == 409);
    assert_eq!(server.add(&log.request(5, 9)).status, 200, "and nothing was forgotten");
    assert_eq!(site.run(&["log", "disable"], &["nobody.example"]).status.code(), Some(3));
}

#[test]
fn a_list_adds_new_logs_never_changes_known_ones_and_one_bad_entry_freezes_nothing() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 9));
    let file = site.root().join("list");
    let path = file.to_string_lossy().into_owned();
    let (good, stolen, new) = (vkey(ORIGIN, 1), vkey(ORIGIN, 2), vkey("new.example", 3));
    std::fs::write(&file, list(&[(&good, 86_400)])).unwrap();
    site.configure(&format!("[[list]]\nsource = {path:?}\nrefresh = \"1s\""));
    let server = site.start();
    wait_for(|| server.add(&log.request(0, 5)).status == 200);
    let bad = list(&[(&stolen, 5), (&new, 5)]).replace(
        "qpd 5\ncontact ops@log.example\n\nvkey new",
        "qpd 5\ncontact ops@log.example\n\nvkey not-a-key\nqpd 1\ncontact a\n\nvkey new",
    );
    std::fs::write(&file, bad).unwrap();
    let fresh = TestLog::new("new.example", 3, 4);
    wait_for(|| server.add(&fresh.request(0, 4)).status == 200);
    let mut thief = TestLog::new(ORIGIN, 2, 0);
    thief.leaves = log.leaves.clone();
    assert_eq!(server.add(&thief.request(5, 9)).status, 403, "the key stays what it was");
    assert_eq!(server.add(&log.request(5, 9)).status, 200);
    assert!(server.metric("daybook_witness_list_logs_total{outcome=\"refused\"}") > 0, "and it is an alarm");
    assert!(server.metric("daybook_witness_list_logs_total{outcome=\"malformed\"}") > 0);
    // An empty list, and one that is none, remove nothing.
    let failed = || server.metric("daybook_witness_list_pulls_total{outcome=\"failed\"}");
    std::fs::write(&file, "<html>not found</html>").unwrap();
    wait_for(|| failed() > 0);
    let pulled = || server.metric("daybook_witness_list_pulls_total{outcome=\"ok\"}");
    let before = pulled();
    std::fs::write(&file, "logs/v0\n").unwrap();
    wait_for(|| pulled() > before + 1);
    assert_eq!(server.add(&log.request(9, 9)).status, 200);
}

#[test]
fn the_lists_of_the_witness_network_are_read_to_the_last_entry() {
    let Some(data) = tests::data_dir() else { return };
    let site = WitnessSite::new();
    let mut added = 0;
    for name in ["testing/log-list.1", "staging/log-list-10qps-4klogs.1", "staging/log-list-100qps-40klogs.1"]
    {
        let path = data.join("lists").join(name).to_string_lossy().into_owned();
        let pulled = site.run(&["list", "pull", "--json"], &[&path]);
        assert!(pulled.status.success(), "{pulled:?}");
        let said: serde_json::Value = serde_json::from_slice(&pulled.stdout).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let entries = text.lines().filter(|line| line.starts_with("vkey ")).count() as u64;
        assert_eq!(
            said["added"].as_u64().unwrap() + said["known"].as_u64().unwrap(),
            entries,
            "{name}: {said}"
        );
        assert_eq!(
            (said["refused"].clone(), said["skipped"].clone()),
            (serde_json::json!([]), serde_json::json!([]))
        );
        added += said["added"].as_u64().unwrap();
    }
    let listed = site.run(&["log", "list", "--json"], &[]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len() as u64, added);
    assert!(added > 10);
}

#[test]
fn a_list_is_fetched_from_a_url_and_an_answer_that_is_no_list_changes_nothing() {
    use std::io::Write;
    let site = WitnessSite::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        for (status, body) in
            [("404 Not Found", "logs/v0\n".to_owned()), ("200 OK", list(&[(&vkey(ORIGIN, 1), 5)]))]
        {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(read_some(&mut stream, &mut request).unwrap() > 0);
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        }
    });
    let missing = site.run(&["list", "pull"], &[&url]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    let pulled = site.run(&["list", "pull", "--json"], &[&url]);
    assert!(String::from_utf8_lossy(&pulled.stdout).contains("\"added\":1"), "{pulled:?}");
    serving.join().unwrap();
}

#[test]
fn a_list_over_plain_http_is_only_taken_from_this_machine() {
    let site = WitnessSite::new();
    let refused = site.run(&["list", "pull"], &["http://lists.example/list"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("https://"), "{refused:?}");
}

#[test]
fn anyone_can_send_in_two_checkpoints_that_contradict_each_other_and_junk_is_not_kept() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 20));
    site.follow(&log, &[]);
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 9)).status, 200);
    let text = |log: &TestLog, size| String::from_utf8(log.note(size).to_bytes()).unwrap();
    let send = |checkpoints: &[String]| {
        let body = serde_json::json!({ "checkpoints": checkpoints }).to_string();
        server.send("POST", "/evidence", body.as_bytes())
    };
    let fork = log.fork(3, 20, "fork");
    let mut stranger = TestLog::new(ORIGIN, 7, 20);
    stranger.grow(20, "");
    let nobody = TestLog::new("nobody.example", 8, 20);
    for (checkpoints, status) in [
        (vec![text(&log, 9), text(&log, 12)], 422),
        (vec![text(&log, 9), text(&fork, 12)], 422),
        (vec![text(&log, 9), text(&log, 9)], 422),
        (vec![text(&log, 9), text(&stranger, 9)], 422),
        (vec![text(&nobody, 9), text(&nobody, 9)], 404),
        (vec!["junk".to_owned()], 400),
        (vec![], 400),
        (vec![text(&log, 1), text(&log, 2), text(&log, 3)], 400),
    ] {
        assert_eq!(send(&checkpoints).status, status, "{checkpoints:?}");
    }
    assert_eq!(server.send("POST", "/evidence", b"{").status, 400);
    assert_eq!(server.evidence(), 0);
    // One that contradicts what was cosigned, and two that the witness has never seen.
    assert_eq!(send(&[text(&fork, 9)]).status, 201);
    let answer = send(&[text(&log, 15), text(&fork, 15)]);
    assert_eq!((answer.status, answer.json()["form"].as_str()), (201, Some("log-two-roots")));
    assert_eq!(send(&[text(&fork, 15), text(&log, 15)]).status, 200, "the same again is known");
    assert_eq!(server.evidence(), 2);
    // An evidence file, from another witness as it were.
    let file = server.get(&format!("/evidence/{}", answer.json()["id"].as_str().unwrap())).body;
    let other = WitnessSite::new();
    let elsewhere = other.start();
    assert_eq!(
        elsewhere.send("POST", "/evidence", &file).status,
        404,
        "who does not follow the log does not keep it"
    );
    drop(elsewhere);
    other.follow(&log, &[]);
    let elsewhere = other.start();
    let mut damaged = file.clone();
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    assert!(matches!(elsewhere.send("POST", "/evidence", &damaged).status, 400 | 422));
    assert_eq!(elsewhere.send("POST", "/evidence", &file).status, 201);
    let listed = other.run(&["evidence", "--json"], &[]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("log-two-roots"), "{listed:?}");
}

#[test]
fn a_log_that_lies_without_end_does_not_fill_the_witness() {
    let (site, log) = (WitnessSite::new(), TestLog::new(ORIGIN, 1, 4));
    site.follow(&log, &[]);
    let server = site.start();
    assert_eq!(server.add(&log.request(0, 4)).status, 200);
    let bound = u64::from(witness::state::evidence::FILES_PER_LOG_MAX);
    for lie in 0..bound + 10 {
        assert_eq!(server.add(&log.fork(2, 4, &lie.to_string()).request(4, 4)).status, 422);
    }
    assert_eq!(server.evidence(), bound);
    assert_eq!(server.add(&log.request(4, 4)).status, 200);
}

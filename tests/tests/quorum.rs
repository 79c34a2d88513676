//! The real log with witnesses over HTTP: real ones from the executable, and others that stall, lie and drip.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tests::binaries::binary;
use tests::cosigners::{Mood, Witnesses};
use tests::server::{Server, Site, daybook};
use tests::witness::{WitnessServer, WitnessSite};
use tlog::ids::TreeHead;
use tlog::policy::Policy;

/// Looks at a condition again and again, for a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

fn ready(server: &Server) {
    eventually("the log is ready", || server.admin("/readyz").status == 200);
}

/// A log with witnesses behind sockets of this process.
fn witnessed(count: usize, threshold: usize) -> (Arc<Witnesses>, Vec<SocketAddr>, Site) {
    let witnesses = Witnesses::new(count);
    let addresses = witnesses.listen();
    let policy = witnesses.policy(threshold, |at| format!("http://{}", addresses[at]));
    let site = Site::with_policy(&policy);
    site.configure("deadline = \"5s\"", "deadline = \"1s\"");
    let policy = site.policy();
    let signer = daybook_keys(&site);
    assert_eq!(policy.logs()[0].key, signer[0]);
    witnesses.accept(&signer);
    (witnesses, addresses, site)
}

fn daybook_keys(site: &Site) -> Vec<tlog::vkey::VerifierKey> {
    let origin = "log.example/http".parse().expect("an origin");
    daybook::keys::load(&site.dir(), &origin).expect("keys").verifier_keys().to_vec()
}

fn operators(server: &Server, policy: &Policy) -> usize {
    let checkpoint = server.checkpoint(policy);
    let mut names: Vec<_> = checkpoint.cosignatures().iter().map(|one| one.key.name().to_string()).collect();
    names.sort();
    names.dedup();
    names.len()
}

fn metric(server: &Server, line: &str) -> Option<String> {
    let text = server.admin("/metrics");
    text.text().lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned))
}

#[test]
fn every_answer_is_under_a_quorum_and_connections_are_kept() {
    let (witnesses, _, site) = witnessed(4, 3);
    let server = site.start();
    ready(&server);
    let policy = site.policy();
    for number in 0..20_u64 {
        assert_eq!(server.add(&number.to_be_bytes()), number);
        assert!(server.checkpoint(&policy).head().size.get() > number);
        assert!(operators(&server, &policy) >= 3);
    }
    let connections = witnesses.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(
        connections <= 8,
        "\"Clients SHOULD use ... keep-alive\": {connections} connections for 80 requests"
    );
    eventually("the fourth joins", || operators(&server, &policy) == 4);
    assert_eq!(metric(&server, "daybook_witness_quorum_margin").as_deref(), Some("1"));
    assert_eq!(metric(&server, "daybook_witness_cosigned_size{witness=\"w4\"}").as_deref(), Some("20"));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_stalled_witness_does_not_delay_a_quorum_of_the_others() {
    let (witnesses, _, site) = witnessed(4, 3);
    site.configure("deadline = \"1s\"", "deadline = \"60s\"");
    let server = site.start();
    ready(&server);
    witnesses.set(1, Mood::Stalled);
    // If any of these waited for it, it would take a minute, and the answer would be 503.
    for number in 0..10_u64 {
        assert_eq!(server.add(&number.to_be_bytes()), number);
    }
    assert_eq!(operators(&server, &site.policy()), 3);
    drop(server);
}

#[test]
fn below_quorum_submitters_are_told_to_come_back_and_readers_are_served() {
    let (witnesses, _, site) = witnessed(4, 3);
    let server = site.start();
    ready(&server);
    let policy = site.policy();
    assert_eq!(server.add(b"before"), 0);
    witnesses.set(0, Mood::Down);
    witnesses.set(1, Mood::Says(500, "text/html", b"<html>".to_vec()));
    let answer = server.post("/add", b"during");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["type"], "urn:daybook:problem:outcome-unknown");
    assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{answer:?}");
    assert_eq!(server.checkpoint(&policy).head().size.get(), 1, "reads go on, under the policy");
    let why = server.admin("/readyz");
    assert_eq!(why.status, 503);
    assert!(why.text().contains("w1") && why.text().contains("w2 answers with an error"), "{}", why.text());
    assert_eq!(metric(&server, "daybook_witness_quorum_margin").as_deref(), Some("-1"));
    let failures = "daybook_witness_failures_total{reason=\"status\",witness=\"w2\"}";
    assert!(metric(&server, failures).is_some_and(|count| count != "0"), "which witness, and why");
    witnesses.set_all(&Mood::Honest);
    eventually("it is published", || server.checkpoint(&policy).head().size.get() == 2);
    assert_eq!(server.add(b"during"), 1, "the same bytes again have the same index");
    ready(&server);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_log_whose_witness_knows_more_says_so_and_ends_with_3() {
    let (witnesses, _, site) = witnessed(4, 3);
    let server = site.start();
    ready(&server);
    assert_eq!(server.add(b"entry"), 0);
    assert_eq!(server.stop(), 0);
    witnesses.set(2, Mood::Claims(4711));
    // All four answer; a slow machine must not make one of them late.
    site.configure("deadline = \"1s\"", "deadline = \"60s\"");
    let dir = site.dir().to_string_lossy().into_owned();
    let serve = |more: &[&str]| {
        let words = ["serve", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &dir];
        let mut command = Command::new(binary("daybook"));
        command.args([&words, more].concat()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("daybook starts");
        for _ in 0..1800 {
            if child.try_wait().expect("its state").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // One that goes on serving is ended, and fails the test by its exit status.
        let _ = child.kill();
        child.wait_with_output().expect("its output")
    };
    let ended = serve(&[]);
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for word in ["w3", "4711", "mirror", "--without-witness w3"] {
        assert!(said.contains(word), "{said}");
    }
    let wrong = serve(&["--without-witness", "w9"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("w1, w2, w3, w4"));
}

#[test]
fn init_shows_what_a_weak_policy_allows_and_refuses_one_that_it_cannot_enforce() {
    let witnesses = Witnesses::new(4);
    let root = tempfile::TempDir::new().expect("a folder");
    let init = |name: &str, policy: &[u8]| {
        let file = root.path().join("policy");
        std::fs::write(&file, policy).expect("written");
        let (file, dir) = (file.to_string_lossy().into_owned(), root.path().join(name));
        let dir = dir.to_string_lossy().into_owned();
        let words =
            ["init", "--json", "--origin", "log.example/weak", "--admission", "open", "--witness-policy"];
        daybook(&[&words[..], &[&file, &dir]].concat())
    };
    let weak = init("weak", &witnesses.policy(2, |at| format!("http://w{at}.invalid")).to_bytes());
    let said: serde_json::Value = serde_json::from_slice(&weak.stdout).expect("JSON");
    assert!(said["warnings"][0].as_str().is_some_and(|warning| warning.contains("at least 3")), "{said}");
    let strong = init("strong", &witnesses.policy(3, |at| format!("http://w{at}.invalid")).to_bytes());
    let said: serde_json::Value = serde_json::from_slice(&strong.stdout).expect("JSON");
    assert_eq!(said["warnings"].as_array().map(Vec::len), Some(0), "{said}");
    let refused = init("refused", &witnesses.policy(3, |_| "nowhere".to_owned()).to_bytes());
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!root.path().join("refused").exists(), "nothing is made");
}

/// Four witnesses of the real executable, each a process with its keys and its state.
struct Real {
    sites: Vec<WitnessSite>,
    servers: Vec<Option<WitnessServer>>,
    addresses: Vec<SocketAddr>,
}

impl Real {
    fn start() -> Self {
        let sites: Vec<WitnessSite> =
            (1..=4).map(|n| WitnessSite::named(&format!("w{n}.example/witness"))).collect();
        let servers: Vec<WitnessServer> = sites.iter().map(WitnessSite::start).collect();
        let addresses = servers.iter().map(WitnessServer::address).collect();
        Self { sites, servers: servers.into_iter().map(Some).collect(), addresses }
    }

    fn policy(&self) -> Policy {
        let mut text = String::new();
        for (at, (site, address)) in self.sites.iter().zip(&self.addresses).enumerate() {
            let keys = site.keys.iter().enumerate();
            text += &keys
                .map(|(n, key)| format!("witness w{at}-{n} {key} http://{address}\n"))
                .collect::<String>();
            text += &format!("group w{at} any w{at}-0 w{at}-1\n");
        }
        text += "group enough 3 w0 w1 w2 w3\nquorum enough\n";
        Policy::parse(text.as_bytes()).expect("a policy")
    }

    fn kill(&mut self, at: usize) {
        self.servers[at].take().expect("it runs").kill();
    }

    fn restart(&mut self, at: usize) {
        let dirs: [PathBuf; 1] = [self.sites[at].dir()];
        let server =
            tests::witness::serve_at(&dirs, &self.addresses[at].to_string()).expect("it starts again");
        self.servers[at] = Some(server);
    }
}

#[test]
fn with_real_witnesses_killing_two_stops_publication_and_restarting_them_loses_nothing() {
    assert!(binary("daybook-witness").is_file());
    let mut real = Real::start();
    let site = Site::with_policy(&real.policy());
    site.configure("deadline = \"5s\"", "deadline = \"1s\"");
    let policy = site.policy();
    for witness in &real.sites {
        let key = policy.logs()[0].key.to_string();
        let added = witness.run(&["log", "add"], &[&key]);
        assert!(added.status.success(), "{added:?}");
    }
    let server = site.start();
    ready(&server);
    for number in 0..300_u64 {
        assert_eq!(server.add(&number.to_be_bytes()), number);
    }
    eventually("all four have cosigned, with both keys each", || {
        server.checkpoint(&policy).cosignatures().len() == 8
    });
    real.kill(0);
    assert_eq!(server.add(b"one may fail"), 300);
    real.kill(1);
    let answer = server.post("/add", b"two may not");
    assert_eq!((answer.status, answer.json()["status"].as_u64()), (503, Some(503)));
    assert_eq!(server.checkpoint(&policy).head().size.get(), 301);
    assert!(server.admin("/readyz").text().contains("w0 cannot be reached"));
    // The log is killed as well, with what it had committed and could not publish.
    server.kill();
    let server = site.start();
    assert_eq!(
        server.checkpoint(&policy).head().size.get(),
        301,
        "what was visible stays, cosignatures included"
    );
    real.restart(0);
    real.restart(1);
    eventually("the entry is published", || server.checkpoint(&policy).head().size.get() == 302);
    ready(&server);
    assert_eq!(server.add(b"two may not"), 301);
    assert_eq!(server.add(b"and on it goes"), 302);
    // A receipt verifies offline against the policy with its quorum.
    let receipt = server.send("GET", "/entry/301", &[("accept", "text/plain")], b"");
    let proof = tlog::tlog_proof::TlogProof::parse(&receipt.body).expect("a receipt");
    proof.verify(&tlog::hash::leaf_hash(b"two may not"), &policy).expect("it verifies");
    let root: TreeHead = server.checkpoint(&policy).head();
    assert_eq!(server.stop(), 0);
    let server = site.start();
    ready(&server);
    assert_eq!(server.checkpoint(&policy).head(), root);
    assert_eq!(server.stop(), 0);
}

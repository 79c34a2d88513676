//! Witnesses that others wrote, asked the same things as ours, and their clients at our witness. Run by
//! `cargo xtask interop`, which installs them; prints the table of docs/interop.md.
//!
//! Ours must answer as the specification says. The others are recorded; what they must do is cosign an honest log, and
//! refuse a fork.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tests::server::{ORIGIN, Site, exchange};
use tests::testlog::{TestLog, size};
use tests::witness::{WitnessSite, verified, wait_for};
use tlog::checkpoint::Checkpoint;
use tlog::hash::leaf_hash;
use tlog::ids::TreeHead;
use tlog::note::{Note, SignatureLine};
use tlog::policy::Policy;
use tlog::sign::Ed25519Signer;
use tlog::vkey::VerifierKey;
use tlog::witness_wire::{AddCheckpoint, parse_cosignatures};

/// The folder with `bin/witness-log` and `python/`.
fn tools() -> PathBuf {
    std::env::var_os("DAYBOOK_INTEROP_TOOLS").expect("run this with `cargo xtask interop`").into()
}

/// A witness, whoever wrote it.
struct Peer {
    name: &'static str,
    address: SocketAddr,
    keys: Vec<VerifierKey>,
    /// Ends when it is dropped.
    _running: Box<dyn std::any::Any>,
}

struct Theirs(Child);

impl Drop for Theirs {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port()
}

/// The verifier keys in what a program printed.
fn keys_in(text: &str) -> Vec<VerifierKey> {
    text.split(|c: char| c.is_whitespace() || c == '"' || c == ',')
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn ours(logs: &[TestLog]) -> (WitnessSite, Peer) {
    let site = WitnessSite::new();
    logs.iter().for_each(|log| site.follow(log, &[]));
    let server = site.start();
    let (address, keys) = (server.address(), site.keys.clone());
    (site, Peer { name: "daybook-witness", address, keys, _running: Box::new(server) })
}

fn serve_theirs(name: &'static str, keys: Vec<VerifierKey>, port: u16, mut command: Command) -> Peer {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("it starts");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for(|| std::net::TcpStream::connect(address).is_ok());
    Peer { name, address, keys, _running: Box::new(Theirs(child)) }
}

/// Tells a witness of a log: its origin and its verifier key.
type AddLog = Box<dyn Fn(&str, &str)>;

/// A foreign witness that was made, and is told its logs before it is served.
struct Made {
    name: &'static str,
    keys: Vec<VerifierKey>,
    add_log: AddLog,
    serve: Box<dyn Fn(u16) -> Command>,
}

impl Made {
    fn follow(&self, logs: &[TestLog]) {
        logs.iter().for_each(|log| (self.add_log)(&log.origin, &log.vkey()));
    }

    fn serve(&self, port: u16) -> Peer {
        serve_theirs(self.name, self.keys.clone(), port, (self.serve)(port))
    }
}

fn witness_log(folder: &Path) -> Made {
    let program = tools().join("bin/witness-log");
    let dir = folder.join("witness-log");
    let words = ["--name", "peer.example/w", "--json"];
    let made = run(Command::new(&program).args(["witness", "init"]).arg(&dir).args(words));
    let on = move |call: &str| {
        let mut command = Command::new(&program);
        command.args(["witness", call]).arg(&dir);
        command
    };
    let adding = on.clone();
    Made {
        name: "witness-log",
        keys: keys_in(&String::from_utf8_lossy(&made.stdout)),
        add_log: Box::new(move |origin, vkey| {
            run(adding("add-log").args([origin, vkey]));
        }),
        serve: Box::new(move |port| {
            let mut command = on("serve");
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        }),
    }
}

fn python(module: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", tools().join("python")).args(["-m", module]);
    command
}

fn aics(folder: &Path) -> Made {
    let config = folder.join("aics.json");
    let on = move |call: &str| {
        let mut command = python("aics_witness");
        command.args([call, "--config"]).arg(&config);
        command
    };
    let made = run(on("init").args(["--name", "aics.example/w"]));
    let adding = on.clone();
    Made {
        name: "aics-witness",
        keys: keys_in(&String::from_utf8_lossy(&made.stdout)),
        add_log: Box::new(move |origin, vkey| {
            run(adding("add-log").args(["--origin", origin, "--vkey", vkey]));
        }),
        serve: Box::new(move |port| {
            let mut command = on("serve");
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        }),
    }
}

impl Peer {
    fn send(&self, body: &[u8]) -> String {
        match exchange(self.address, "POST", "/add-checkpoint", &[], body) {
            Ok(answer) if answer.status == 409 => {
                format!("409 {} {}", answer.header("content-type"), answer.text().escape_debug())
            }
            Ok(answer) => answer.status.to_string(),
            Err(error) => format!("no answer ({})", error.kind()),
        }
    }

    fn ask(&self, request: &AddCheckpoint) -> String {
        self.send(&request.to_bytes())
    }

    /// Whether it cosigns, with at least one cosignature that verifies under its key, and a time.
    fn cosigns(&self, request: &AddCheckpoint) -> bool {
        let answer =
            exchange(self.address, "POST", "/add-checkpoint", &[], &request.to_bytes()).expect("an answer");
        if answer.status != 200 {
            return false;
        }
        let lines = parse_cosignatures(&answer.body).expect("signature lines");
        verified(&lines, &request.checkpoint, &self.keys).iter().all(|(_, seconds)| *seconds > 1_700_000_000)
    }
}

/// What is asked, and what the specification answers.
type Case = (&'static str, &'static str, fn(&Peer, &TestLog) -> String);

const CONFLICT_7: &str = "409 text/x.tlog.size 7\\n";

/// Every case begins with a log of 13 entries that the witness has never seen.
const CASES: [Case; 20] = [
    ("unknown origin", "404", |peer, _| peer.ask(&TestLog::new("stranger.example", 99, 3).request(0, 3))),
    ("signed by another key", "403", |peer, log| {
        let other =
            Ed25519Signer::from_seed(log.origin.parse().expect("a name"), &[98; 32]).sign(&log.text(3));
        let checkpoint = Note::new(log.text(3), vec![other]).expect("a note");
        peer.ask(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint })
    }),
    ("a good and a bad line of the log's key", "403", |peer, log| {
        let bad = log.signer.sign("another text\n");
        peer.ask(&AddCheckpoint {
            old: size(0),
            proof: Vec::new(),
            checkpoint: log.sign(log.text(3), &[bad]),
        })
    }),
    ("CRLF", "400", |peer, log| peer.send(&replaced(&log.request(0, 3), "\n", "\r\n"))),
    ("`old 00`", "400", |peer, log| peer.send(&replaced(&log.request(0, 3), "old 0", "old 00"))),
    ("`old +0`", "400", |peer, log| peer.send(&replaced(&log.request(0, 3), "old 0", "old +0"))),
    ("64 proof lines", "400", |peer, log| {
        peer.ask(&AddCheckpoint { proof: vec![leaf_hash(b"x"); 64], ..log.request(0, 3) })
    }),
    ("old size above the checkpoint's", "400", |peer, log| {
        peer.ask(&AddCheckpoint { old: size(5), ..log.request(0, 3) })
    }),
    ("never seen, old size 5", "409 text/x.tlog.size 0\\n", |peer, log| peer.ask(&log.request(5, 13))),
    ("probe with old size 0", CONFLICT_7, |peer, log| {
        peer.ask(&log.request(0, 7));
        peer.ask(&log.request(0, 13))
    }),
    ("proof from size 0", "422", |peer, log| {
        peer.ask(&AddCheckpoint { proof: vec![leaf_hash(b"x")], ..log.request(0, 3) })
    }),
    ("proof between equal sizes", "422", |peer, log| {
        peer.ask(&log.request(0, 7));
        peer.ask(&AddCheckpoint { proof: vec![leaf_hash(b"x")], ..log.request(7, 7) })
    }),
    ("a fork", "422", |peer, log| {
        peer.ask(&log.request(0, 7));
        peer.ask(&log.fork(5, 13, "fork").request(7, 13))
    }),
    ("another root, same size", "422", |peer, log| {
        peer.ask(&log.request(0, 7));
        peer.ask(&log.fork(5, 7, "fork").request(7, 7))
    }),
    ("size 0 with another root", "422", |peer, log| {
        let wrong = TreeHead { size: size(0), root: leaf_hash(b"x") };
        let text = Checkpoint::new(log.origin.parse().expect("an origin"), wrong).to_text();
        peer.ask(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint: log.sign(text, &[]) })
    }),
    ("size 0, then growth", "200 200", |peer, log| {
        format!("{} {}", peer.ask(&log.request(0, 0)), peer.ask(&log.request(0, 13)))
    }),
    ("the same again", "200 200", |peer, log| {
        format!("{} {}", peer.ask(&log.request(0, 7)), peer.ask(&log.request(7, 7)))
    }),
    ("extension lines", "200", |peer, log| {
        let checkpoint = log.sign(format!("{}an extension\n", log.text(3)), &[]);
        peer.ask(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint })
    }),
    ("16 signatures of 5 kB", "200", |peer, log| {
        let junk = |id: u32| SignatureLine::new("pq.example".parse().expect("a name"), id, vec![7; 5000]);
        let more: Vec<SignatureLine> = (0..15).map(junk).collect();
        peer.ask(&AddCheckpoint { old: size(0), proof: Vec::new(), checkpoint: log.sign(log.text(3), &more) })
    }),
    ("GET add-checkpoint; the monitoring endpoint before and after", "405 404 200", |peer, log| {
        let get = |path: &str| match exchange(peer.address, "GET", path, &[], b"") {
            Ok(answer) => answer.status,
            Err(_) => 0,
        };
        let path = format!("/{}/checkpoint", tlog::hash::sha256(log.origin.as_bytes()));
        let before = (get("/add-checkpoint"), get(&path));
        peer.ask(&log.request(0, 7));
        format!("{} {} {}", before.0, before.1, get(&path))
    }),
];

fn replaced(request: &AddCheckpoint, from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(request.to_bytes()).expect("text").replace(from, to).into_bytes()
}

fn logs() -> Vec<TestLog> {
    // One for each case, and one that is honest.
    let log = |at: usize| TestLog::new(&format!("log{at}.example"), u8::try_from(at).expect("few") + 1, 13);
    (0..=CASES.len()).map(log).collect()
}

#[test]
#[ignore = "run it with `cargo xtask interop`"]
fn witnesses_are_asked_the_same_things() {
    let (logs, folder) = (logs(), tempfile::tempdir().expect("a folder"));
    let (_site, ours) = ours(&logs);
    let [second, third] = [witness_log(folder.path()), aics(folder.path())].map(|made| {
        made.follow(&logs);
        made.serve(free_port())
    });
    let peers = [ours, second, third];
    println!("| Asked | Specification | {} |", peers.each_ref().map(|peer| peer.name).join(" | "));
    println!("|---|---|{}", "---|".repeat(peers.len()));
    for ((what, expected, ask), log) in CASES.iter().zip(&logs) {
        let answers = peers.each_ref().map(|peer| ask(peer, log));
        assert_eq!(answers[0], *expected, "ours: {what}");
        let shown = answers.map(|answer| if answer == *expected { answer } else { format!("**{answer}**") });
        println!("| {what} | {expected} | {} |", shown.join(" | "));
    }
    let honest = &logs[CASES.len()];
    for peer in &peers {
        for (old, new) in [(0, 5), (5, 9), (9, 13)] {
            assert!(peer.cosigns(&honest.request(old, new)), "{}: {old} to {new}", peer.name);
        }
        let fork = honest.fork(5, 13, "fork");
        assert!(!peer.cosigns(&fork.request(13, 13)), "{}: another root", peer.name);
    }
}

#[test]
#[ignore = "run it with `cargo xtask interop`"]
fn a_foreign_feeder_gets_cosignatures_from_our_witness() {
    let (log, site) = (TestLog::new("fed.example", 50, 13), WitnessSite::new());
    site.follow(&log, &[]);
    let server = site.start();
    let note = |size| String::from_utf8(log.note(size).to_bytes()).expect("text");
    let mut proofs = serde_json::Map::new();
    for (old, new) in [(0, 5), (5, 13), (0, 13)] {
        let proof: Vec<String> = log.proof(old, new).iter().map(tlog::hash::Hash::to_base64).collect();
        proofs.insert(format!("{old},{new}"), proof.into());
    }
    let job = serde_json::json!({
        "url": format!("http://{}", server.address()),
        "vkey": site.keys[0].to_string(),
        "notes": [note(5), note(13)],
        "proofs": proofs,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/feeder.py");
    let mut feeder = Command::new("python3")
        .env("PYTHONPATH", tools().join("python"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    feeder.stdin.take().expect("a pipe").write_all(job.to_string().as_bytes()).expect("written");
    let fed = feeder.wait_with_output().expect("it ends");
    assert!(fed.status.success(), "{fed:?}");
    let said: serde_json::Value = serde_json::from_slice(&fed.stdout).expect("JSON");
    let lines = said["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 2);
    for (lines, size) in lines.iter().zip([5, 13]) {
        let lines = parse_cosignatures(lines.as_str().expect("text").as_bytes()).expect("signature lines");
        assert!(!verified(&lines, &log.note(size), &site.keys).is_empty());
    }
}

#[test]
#[ignore = "run it with `cargo xtask interop`"]
fn a_foreign_log_gets_cosignatures_from_our_witness() {
    let (folder, site) = (tempfile::tempdir().expect("a folder"), WitnessSite::new());
    let program = tools().join("bin/witness-log");
    let journal = folder.path().join("journal");
    let (dossier, directory) = (folder.path().join("dossier.json"), folder.path().join("directory.json"));
    run(Command::new(&program).args(["log", "init"]).arg(&journal));
    let append = |payload: &str| {
        run(Command::new(&program).args(["log", "append"]).arg(&journal).args(["--memory", payload]));
    };
    append("one");
    let server = site.start();
    let url = format!("http://{}", server.address());
    let vkey = site.keys[0].to_string();
    run(Command::new(&program)
        .args(["directory", "add"])
        .arg(&directory)
        .args(["--vkey", &vkey, "--org", "daybook", "--url", &url]));
    let submit = || {
        let mut submit = Command::new(&program);
        submit.args(["witness", "submit"]).arg(&journal).arg("--directory").arg(&directory);
        submit
            .arg("--out")
            .arg(&dossier)
            .args(["--min", "1"])
            .stdin(Stdio::null())
            .output()
            .expect("it starts")
    };
    // Ours follows no log that it was not told of. What it refused names the log; its key is in the dossier.
    let refused = submit();
    assert!(!refused.status.success(), "{refused:?}");
    let written = std::fs::read_to_string(&dossier).expect("a dossier");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let origin = said.split(" for ").nth(1).and_then(|rest| rest.lines().next()).expect("an origin").trim();
    let identity = written["identity_pubkey"].as_str().expect("a key");
    let identity: Vec<u8> = (0..identity.len() / 2)
        .map(|at| u8::from_str_radix(&identity[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let key = VerifierKey::new(origin.parse().expect("a name"), tlog::vkey::KeyKind::Ed25519, identity);
    let added = site.run(&["log", "add"], &[&key.expect("a key").to_string()]);
    assert!(added.status.success(), "{added:?}");
    wait_for(|| submit().status.success());
    append("two");
    append("three");
    let grown = submit();
    assert!(grown.status.success(), "{grown:?}");
    let listed = site.run(&["log", "list", "--json"], &[]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&dossier).expect("a dossier")).expect("JSON");
    assert_eq!(listed[0]["size"], written["checkpoint"]["tree_size"]);
}

#[test]
#[ignore = "run it with `cargo xtask interop`"]
fn our_log_publishes_under_the_cosignatures_of_foreign_witnesses() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = [witness_log(folder.path()), aics(folder.path())].map(|made| (made, free_port()));
    let mut policy = String::new();
    for (at, (made, port)) in made.iter().enumerate() {
        policy.push_str(&format!("witness w{at} {} http://127.0.0.1:{port}\n", made.keys[0]));
    }
    policy.push_str("group both all w0 w1\nquorum both\n");
    let site = Site::with_policy(&Policy::parse(policy.as_bytes()).expect("a policy"));
    let policy = site.policy();
    let log = policy.logs()[0].key.to_string();
    let _running = made.each_ref().map(|(made, port)| {
        (made.add_log)(ORIGIN, &log);
        made.serve(*port)
    });
    let server = site.start();
    wait_for(|| server.admin("/readyz").status == 200);
    for number in 0..10_u64 {
        // Answered only once both have cosigned: the policy asks for all of them.
        assert_eq!(server.add(&number.to_be_bytes()), number);
        let checkpoint = server.checkpoint(&policy);
        assert!(checkpoint.head().size.get() > number);
        let names: Vec<_> = checkpoint.cosignatures().iter().map(|one| one.key.name().as_str()).collect();
        assert!(["peer.example/w", "aics.example/w"].iter().all(|name| names.contains(name)), "{names:?}");
    }
    assert_eq!(server.stop(), 0);
}

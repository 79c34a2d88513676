//! `daybook-monitor` as people and scripts use it: the real executable, over the real log and over a lying one.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tests::binaries::binary;
use tests::home::{Home, json, monitor, text};
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::minimal::{self, Said};
use tests::server::{Answer, Site, exchange};

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];
/// How often a condition is polled, 20 ms apart, before a test fails.
const POLLS_MAX: usize = 3000;

fn now_seconds() -> u64 {
    daemon::clock::Clock::unix_millis(&daemon::clock::SystemClock) / 1000
}

/// Starts a monitor.
fn run(home: &Home) -> Running {
    let mut child = Command::new(binary("daybook-monitor"))
        .args(["run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", &home.dir()])
        .env("DAYBOOK_LOG", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let address = |name: &str| {
        let url = said[name].as_str().expect("a URL").to_owned();
        url.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address")
    };
    Running { public: address("url"), admin: address("admin_url"), child }
}

/// A running monitor; killed when dropped.
struct Running {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    fn get(&self, path: &str) -> Answer {
        exchange(self.public, "GET", path, &[], b"").expect("an answer")
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        exchange(self.public, "POST", path, &[], body).expect("an answer")
    }

    fn status(&self) -> Value {
        self.get("/status").json()
    }

    /// Waits until the log is in this state.
    fn until(&self, state: &str) -> Value {
        for _ in 0..POLLS_MAX {
            let status = self.status();
            if status["logs"][0]["state"] == state {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("never {state}: {}", self.status());
    }

    fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        self.child.wait().expect("gone").code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn liar() -> (Keys, Liar, Home) {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let home = Home::new(ORIGIN, &log.url(), &keys.policy(true));
    (keys, log, home)
}

fn serve(keys: &Keys, log: &Liar, tree: &Tree, cosigners: &[usize], ago: u64) {
    log.serve(tree, keys.sign(tree.head(), cosigners, now_seconds() - ago));
}

#[test]
fn a_real_log_is_verified_by_its_url_and_from_its_files() {
    let site = Site::new("open");
    let server = site.start();
    for number in 0..300 {
        let _ = server.add(format!("entry {number}").as_bytes());
    }
    let policy = std::fs::read_to_string(site.policy_path()).expect("a policy");
    let by_url = Home::new("log.example/http", &server.url(), &policy);
    let (code, status) = by_url.once();
    assert_eq!((code, &status["state"]), (0, &Value::from("verified")), "{status}");
    assert_eq!(status["logs"][0]["verified"]["size"], 300);
    let by_files = Home::new("log.example/http", &text(&site.dir()), &policy);
    assert_eq!(by_files.once().0, 0);
    for number in 300..310 {
        let _ = server.add(format!("entry {number}").as_bytes());
    }
    let (code, status) = by_url.once();
    assert_eq!((code, &status["logs"][0]["verified"]["size"]), (0, &Value::from(310)), "{status}");
    server.kill();
    let (code, status) = by_url.once();
    assert_eq!((code, &status["state"]), (3, &Value::from("unreachable")), "{status}");
    let checked = monitor(&["fsck", "--json", &by_url.dir()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn once_tells_the_states_apart_by_its_exit_code() {
    let (keys, log, home) = liar();
    let tree = Tree::of(300);
    serve(&keys, &log, &tree, &ALL, 0);
    assert_eq!(home.once().0, 0);
    serve(&keys, &log, &tree, &ALL, 200);
    assert_eq!(home.once().0, 5, "stale");
    serve(&keys, &log, &Tree::of(400), &[1, 1], 0);
    assert_eq!(home.once().0, 6, "quorum missing");
    serve(&keys, &log, &Tree::of(400), &ALL, 0);
    log.reply("tile/entries/001.p/144", Reply::Body(404, Vec::new()));
    let (code, status) = home.once();
    assert_eq!(code, 7, "damaged: {status}");
    log.reply("checkpoint", Reply::Hangup);
    assert_eq!(home.once().0, 7, "what is damaged stays so while nobody answers");
    serve(&keys, &log, &Tree::of(400), &ALL, 0);
    assert_eq!(home.once().0, 0);
    log.reply("checkpoint", Reply::Hangup);
    assert_eq!(home.once().0, 3, "unreachable");
    serve(&keys, &log, &Tree::of(500).with(5, b"changed"), &ALL, 0);
    let (code, status) = home.once();
    assert_eq!((code, &status["state"]), (1, &Value::from("misbehaving")), "{status}");
    let malformed = monitor(&["once", "/nowhere"]);
    assert_eq!(malformed.status.code(), Some(2));
}

#[test]
fn evidence_is_checked_offline_by_three_programs_and_an_alarm_report_by_none() {
    let (keys, log, home) = liar();
    serve(&keys, &log, &Tree::of(700), &ALL, 0);
    log.reply("tile/entries/001", Reply::Body(404, Vec::new()));
    assert_eq!(home.once().0, 7);
    serve(&keys, &log, &Tree::of(700), &ALL, 0);
    assert_eq!(home.once().0, 0);
    serve(&keys, &log, &Tree::of(300).with(5, b"changed"), &ALL, 0);
    assert_eq!(home.once().0, 1);
    let policy = home.root.path().join("given-policy.txt");
    let files = |folder: &str| -> Vec<PathBuf> {
        let files = std::fs::read_dir(home.root.path().join("monitor").join(folder)).expect("a folder");
        files.map(|file| file.expect("a file").path()).collect()
    };
    let vkeys: Vec<String> = std::fs::read_to_string(&policy)
        .expect("a policy")
        .lines()
        .flat_map(|line| {
            line.split(' ').filter(|word| word.contains('+')).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(files("evidence").len(), 4, "the log and three witnesses");
    let all = files("evidence").into_iter().map(|file| (file, 0));
    for (path, expected) in all.chain(files("alarms").into_iter().map(|file| (file, 2))) {
        let file = text(&path);
        let ours = monitor(&["verify-evidence", &file, "--policy", &text(&policy)]);
        assert_eq!(ours.status.code(), Some(expected), "{ours:?}");
        let logs = tests::server::daybook(&["verify-evidence", &file, "--policy", &text(&policy)]);
        assert_eq!(logs.status.code(), Some(expected), "{logs:?}");
        let minimal = minimal::verify(std::slice::from_ref(&path), &vkeys).remove(0);
        assert_eq!(minimal == Said::Proved, expected == 0, "{minimal:?}");
        assert_eq!(matches!(minimal, Said::Malformed(_)), expected == 2, "{minimal:?}");
    }
    let other = monitor(&["verify-evidence", &text(&files("evidence")[0]), "--key", &other_key()]);
    assert_eq!(other.status.code(), Some(1), "keys come from the verifier");
}

fn other_key() -> String {
    Keys::new("log.example/other").policy(false).split_whitespace().nth(1).expect("a key").to_owned()
}

#[test]
fn a_running_monitor_answers_compares_judges_receipts_and_ends_in_order() {
    let site = Site::new("open");
    let server = site.start();
    let policy = std::fs::read_to_string(site.policy_path()).expect("a policy");
    for number in 0..10 {
        let _ = server.add(format!("entry {number}").as_bytes());
    }
    let home = Home::new("log.example/http", &server.url(), &policy);
    let config = home.root.path().join("monitor/monitor.toml");
    let toml = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, format!("{toml}poll = \"100ms\"\n")).expect("written");
    let running = run(&home);
    let status = running.until("verified");
    let hash = status["logs"][0]["origin_hash"].as_str().expect("a hash").to_owned();
    let head = running.get(&format!("/heads/{hash}"));
    assert_eq!(head.status, 200);
    assert_eq!(running.get(&format!("/heads/{}", "0".repeat(64))).status, 404);
    assert_eq!(running.get("/nothing").status, 404);
    assert_eq!(exchange(running.public, "PUT", "/heads", &[], b"").expect("an answer").status, 405);

    let posted = running.post("/heads", &head.body);
    assert_eq!((posted.status, &posted.json()["answer"]), (200, &Value::from("same")));
    let changed = head.text().replacen("\n10\n", "\n11\n", 1);
    assert_eq!(
        running.post("/heads", changed.as_bytes()).status,
        403,
        "only what the log signed is looked at"
    );
    assert_eq!(running.post("/heads", b"junk").status, 400);

    let entry = server.get("/entry/7").json();
    let receipt = entry["receipt"].as_str().expect("a receipt");
    let ask = |receipt: &str, entry: &str| {
        let body = serde_json::json!({ "receipt": receipt, "entry": STANDARD.encode(entry) });
        running.post("/receipts", body.to_string().as_bytes())
    };
    let answer = ask(receipt, "entry 7");
    assert_eq!((answer.status, &answer.json()["answer"]), (200, &Value::from("honoured")), "{answer:?}");
    assert_eq!(ask(receipt, "entry 8").json()["answer"], "invalid");
    assert_eq!(running.post("/receipts", b"{}").status, 400);

    let _ = server.add(b"one more");
    for _ in 0..POLLS_MAX {
        if running.status()["logs"][0]["verified"]["size"] == 11 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.status()["logs"][0]["verified"]["size"], 11);
    let admin = |path: &str| exchange(running.admin, "GET", path, &[], b"").expect("an answer");
    assert_eq!((admin("/livez").status, admin("/readyz").status), (200, 200));
    let metrics = admin("/metrics");
    assert!(metrics.text().contains("daybook_monitor_log_state"), "{}", metrics.text());
    let url = format!("http://{}", running.public);
    let asked = monitor(&["status", "--json", "--url", &url, &home.dir()]);
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    let second = monitor(&["once", &home.dir()]);
    assert_eq!(second.status.code(), Some(3), "one monitor a directory: {second:?}");
    assert_eq!(running.stop(), 0);
    let asked = monitor(&["status", "--url", &url, &home.dir()]);
    assert_eq!(asked.status.code(), Some(3), "nobody answers, so nothing is known");
}

#[test]
fn a_monitor_that_is_killed_goes_on_from_its_last_verified_head_and_says_nothing_false() {
    let (keys, log, home) = liar();
    let all = Tree::of(40_000);
    let mut size = 0;
    for (kill, wait) in (1..=8_usize).zip([1, 3, 9, 27, 50, 80, 120, 200]) {
        let tree = all.first(kill * 5_000);
        serve(&keys, &log, &tree, &ALL, 0);
        let mut running = run(&home);
        std::thread::sleep(Duration::from_millis(wait));
        let status = running.status();
        let state = status["logs"][0]["state"].as_str().expect("a state");
        let verified = status["logs"][0]["verified"]["size"].as_u64();
        if state == "verified" {
            assert_eq!(verified, Some(tree.entries.len() as u64));
        }
        assert!(verified.unwrap_or(0) >= size, "never back: {status}");
        size = verified.unwrap_or(0);
        running.child.kill().expect("killed");
        running.child.wait().expect("gone");
    }
    let (code, status) = home.once();
    assert_eq!((code, &status["logs"][0]["verified"]["size"]), (0, &Value::from(40_000)), "{status}");
    let checked = monitor(&["fsck", "--json", &home.dir()]);
    assert_eq!((checked.status.code(), &json(&checked)["good"]), (Some(0), &Value::from(true)));
    serve(&keys, &log, &all.with(7, b"changed"), &ALL, 0);
    assert_eq!(home.once().0, 1, "what it verified before the kills still binds the log");
}

#[test]
fn a_full_disk_is_said_and_nothing_is_called_verified() {
    let (keys, log, home) = liar();
    serve(&keys, &log, &Tree::of(300), &ALL, 0);
    assert_eq!(home.once().0, 0);
    let hash = monitor::folder::origin_hash(&ORIGIN.parse().expect("an origin"));
    let hashes = home.root.path().join("monitor/logs").join(hash).join("hashes");
    std::fs::rename(hashes.join("0"), hashes.join("aside")).expect("moved");
    // Every write to it fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", hashes.join("0")).expect("linked");
    serve(&keys, &log, &Tree::of(600), &ALL, 0);
    let (code, said) = home.once();
    assert_eq!(code, 3, "{said}");
    assert!(said["error"].as_str().expect("an error").contains("is the disk full?"), "{said}");
    std::fs::remove_file(hashes.join("0")).expect("removed");
    std::fs::rename(hashes.join("aside"), hashes.join("0")).expect("moved back");
    let (code, status) = home.once();
    assert_eq!((code, &status["logs"][0]["verified"]["size"]), (0, &Value::from(600)), "{status}");
}

#[test]
fn two_monitors_that_are_shown_different_trees_find_out_and_the_alert_reaches_a_command() {
    let (keys, for_one, one) = liar();
    let for_other = Liar::start();
    let other = Home::new(ORIGIN, &for_other.url(), &keys.policy(true));
    serve(&keys, &for_one, &Tree::of(300), &ALL, 0);
    serve(&keys, &for_other, &Tree::of(300).with(3, b"for the other"), &ALL, 0);
    let running = run(&one);
    running.until("verified");
    assert_eq!(other.once().0, 0, "alone it cannot know");
    let config = other.root.path().join("monitor/monitor.toml");
    let told = other.root.path().join("told");
    let toml = std::fs::read_to_string(&config).expect("a configuration");
    let command = format!("command = [\"sh\", \"-c\", \"cat >> {}\"]", told.display());
    std::fs::write(&config, toml.replace("command = []", &command)).expect("written");
    let compared = monitor(&["compare", "--json", &other.dir(), &format!("http://{}", running.public)]);
    assert_eq!(compared.status.code(), Some(1), "{compared:?}");
    assert_eq!(json(&compared)["logs"][0]["others"][0]["answer"], "contradiction");
    let told = std::fs::read_to_string(told).expect("the command was told");
    assert!(told.contains("misbehaviour"), "{told}");
    let lines = std::fs::read_to_string(other.root.path().join("monitor/alerts.ndjson")).expect("alerts");
    assert_eq!(lines, told, "the file has the same");
}

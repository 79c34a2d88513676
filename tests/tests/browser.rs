//! The pages of a monitor in a real browser: `cargo xtask browser`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::binaries::binary;
use tlog::hash::{leaf_hash, sha256};

const ORIGIN: &str = "log.example/browser";
/// Looks for what must come, a tenth of a second apart.
const LOOKS_MAX: u32 = 600;

/// Ended when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server, and returns the document that its first line is.
fn start(program: &Path, args: &[&str]) -> (Running, Value) {
    let mut child = Command::new(program)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
    let running = Running(child);
    for line in lines.by_ref() {
        let document: Value = serde_json::from_str(&line.expect("text")).unwrap_or_default();
        if document["url"].is_string() {
            return (running, document);
        }
    }
    panic!("{} did not start", program.display());
}

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("it runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn statement(key: &str, previous: Option<&[u8]>, title: &str, public: &str) -> Vec<u8> {
    dated(key, "2026-11-01", previous, title, public)
}

fn dated(key: &str, day: &str, previous: Option<&[u8]>, title: &str, public: &str) -> Vec<u8> {
    let previous = previous.map_or_else(|| "null".to_owned(), |bytes| format!("\"{}\"", leaf_hash(bytes)));
    format!(
        "daybook/record/v1\n{{\"agency\":\"works.gov.example\",\"at\":\"{day}T09:00:00Z\",\"key\":\"{key}\",\
         \"log\":\"{ORIGIN}\",\"previous\":{previous},\"public\":{public},\"register\":\"contracts\",\
         \"title\":\"{title}\"}}\n\n— works.gov.example/publisher AAAAAAAA\n"
    )
    .into_bytes()
}

fn entries() -> Vec<Vec<u8>> {
    let award = statement(
        "C-1",
        None,
        "Repair of the harbour bridge",
        r#"{"amount":"1250000.00","supplier":"Acme"}"#,
    );
    let amended = statement(
        "C-1",
        Some(&award),
        "Repair of the harbour bridge",
        r#"{"amount":"2990000.00","supplier":"Acme"}"#,
    );
    let attack = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let hostile = statement("C-2", None, attack, &format!(r#"{{"{attack}":"{attack}"}}"#));
    let chinese = statement("C-3", None, "关于北京市政府采购的公告", r#"{"正文":"北京市"}"#);
    let arabic = statement("C-4", None, "عقد صيانة الجسر", r#"{"المبلغ":"5000.00","المورد":"شركة البناء"}"#);
    let mut entries = vec![award, amended, hostile, chinese, arabic];
    // Several months, so that there is something to draw.
    for month in 5..=10 {
        let (key, day) = (format!("M-{month}"), format!("2026-{month:02}-11"));
        entries.push(dated(
            &key,
            &day,
            None,
            &format!("Road works, part {month}"),
            r#"{"amount":"1200.00"}"#,
        ));
    }
    entries
}

/// Entries that are published before the monitor starts.
const BEFORE: usize = 3;

#[test]
#[ignore = "needs Chromium, Node and packages: run `cargo xtask browser`"]
fn a_reader_walks_through_the_pages_with_a_real_browser() {
    let chromium = std::env::var("DAYBOOK_BROWSER").expect("cargo xtask browser sets it");
    let shots = PathBuf::from(std::env::var("DAYBOOK_BROWSER_SHOTS").expect("cargo xtask browser sets it"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (daybook, monitor) = (binary("daybook"), binary("daybook-monitor"));
    run(&daybook, &["init", &path("log"), "--origin", ORIGIN, "--admission", "open"]);
    let serve = ["serve", &path("log"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"];
    let (_log, served) = start(&daybook, &serve);
    let url = served["url"].as_str().unwrap();
    let add = |range: std::ops::Range<usize>| {
        for at in range {
            let file = path(&format!("entry-{at}"));
            std::fs::write(&file, &entries()[at]).unwrap();
            run(&daybook, &["add", url, &file]);
        }
    };
    add(0..BEFORE);
    let policy = path("log/policy.txt");
    run(&monitor, &["init", &path("watch"), "--origin", ORIGIN, "--source", url, "--policy", &policy]);
    let config = path("watch/monitor.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("{text}poll = \"200ms\"\n[[channel]]\nname = \"desk\"\ncommand = [\"true\"]\n"),
    )
    .unwrap();
    let watch = ["run", &path("watch"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"];
    let (_monitor, watching) = start(&monitor, &watch);
    let indexed = || run(&monitor, &["search", &path("watch"), "--json"]).matches("\"leaf\"").count();
    let until = |count: usize| {
        let looks = (0..LOOKS_MAX).find(|_| {
            std::thread::sleep(Duration::from_millis(100));
            indexed() == count
        });
        assert!(looks.is_some(), "the entries are indexed");
    };
    until(BEFORE);
    add(BEFORE..entries().len());
    until(entries().len());
    let token = std::fs::read_to_string(path("watch/token")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/walk.mjs");
    let status = Command::new("node")
        .arg(script)
        .args([
            watching["url"].as_str().unwrap(),
            &sha256(ORIGIN.as_bytes()).to_string(),
            token.trim(),
            &chromium,
        ])
        .arg(shots)
        .status()
        .unwrap();
    assert!(status.success(), "the walk has problems; they are above");
}

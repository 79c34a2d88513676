//! The pages of a monitor in a real browser: `cargo xtask browser`.
//!
//! The log is one in memory, whose witnesses sign by a clock that the test drives over two weeks: so growth, delays and
//! the witnesses' times are the same in every run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tests::binaries::binary;
use tests::liar::{Keys, Liar, Tree};
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
    dated(key, "2025-03-01", previous, title, public)
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

/// The days of road works that were published late; none in December.
const ROAD_WORKS: [&str; 6] =
    ["2024-10-11", "2024-11-11", "2025-01-11", "2025-02-11", "2025-02-25", "2025-03-10"];

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
    entries.extend(ROAD_WORKS.iter().enumerate().map(|(part, day)| {
        let title = format!("Road works, part {part}");
        dated(&format!("M-{part}"), day, None, &title, r#"{"amount":"1200.00"}"#)
    }));
    entries
}

/// 2025-03-03 at 8 o'clock, in seconds since 1970: when the witnesses sign the first head.
const FIRST_SIGNED: u64 = 1_740_988_800;
const DAY_SECONDS: u64 = 86_400;

/// Heads: days after the first, entries, and which witnesses sign, a minute after one another.
const HEADS: [(u64, usize, &[usize]); 5] =
    [(0, 3, &[0, 1, 2]), (2, 5, &[0, 1, 2]), (5, 7, &[0, 1, 2]), (9, 8, &[2, 0, 1]), (14, 11, &[0, 1])];

/// What the log shows after so many heads.
fn publish(log: &Liar, keys: &Keys, (days, size, witnesses): (u64, usize, &[usize])) {
    let mut tree = Tree::default();
    entries().into_iter().take(size).for_each(|entry| tree.push(entry));
    let seconds = FIRST_SIGNED + days * DAY_SECONDS;
    let times: Vec<(usize, u64)> = witnesses.iter().copied().zip((seconds..).step_by(60)).collect();
    log.serve(&tree, keys.sign_each(tree.head(), &times));
}

/// Heads and entries that the index has.
fn indexed(path: &str) -> Option<(i64, i64)> {
    let index =
        rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let count = "SELECT (SELECT count(*) FROM head), (SELECT count(*) FROM record)";
    index.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
}

#[test]
#[ignore = "needs Chromium, Node and packages: run `cargo xtask browser`"]
fn a_reader_walks_through_the_pages_with_a_real_browser() {
    let chromium = std::env::var("DAYBOOK_BROWSER").expect("cargo xtask browser sets it");
    let shots = PathBuf::from(std::env::var("DAYBOOK_BROWSER_SHOTS").expect("cargo xtask browser sets it"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (log, keys, monitor) = (Liar::start(), Keys::new(ORIGIN), binary("daybook-monitor"));
    std::fs::write(path("policy.txt"), keys.policy(true)).unwrap();
    let (url, policy) = (log.url(), path("policy.txt"));
    run(&monitor, &["init", &path("watch"), "--origin", ORIGIN, "--source", &url, "--policy", &policy]);
    let config = path("watch/monitor.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // The witnesses' clock is not ours.
    let more =
        "poll = \"200ms\"\nstale_after = \"36500d\"\n[[channel]]\nname = \"desk\"\ncommand = [\"true\"]\n";
    std::fs::write(&config, text + more).unwrap();
    publish(&log, &keys, HEADS[0]);
    let watch = ["run", &path("watch"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--json"];
    let (_monitor, watching) = start(&monitor, &watch);
    for (count, head) in (1..).zip(HEADS) {
        publish(&log, &keys, head);
        let expected = Some((count, i64::try_from(head.1).unwrap()));
        let looks = (0..LOOKS_MAX).find(|_| {
            std::thread::sleep(Duration::from_millis(100));
            indexed(&path("watch/index.sqlite")) == expected
        });
        assert!(looks.is_some(), "{head:?} is indexed: {:?}", indexed(&path("watch/index.sqlite")));
    }
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

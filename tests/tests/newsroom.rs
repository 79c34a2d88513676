//! A newsroom's day with the real executables: search, watches, channels, exports and pages over a real log of records.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::binaries::binary;
use tests::records::{Office, World, previous};
use tests::server::{Answer, ORIGIN, Server, Site, exchange};
use tlog::hash::{leaf_hash, sha256};

/// Looks for what must come, 20 ms apart.
const LOOKS_MAX: usize = 3000;

fn run(args: &[&str]) -> Output {
    command(args).env("DAYBOOK_LOG", "error").output().unwrap()
}

/// With what it says to people beside its result.
fn run_loud(args: &[&str]) -> Output {
    command(args).env_remove("DAYBOOK_LOG").output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary("daybook-monitor"));
    command.args(args).stdin(Stdio::null());
    command
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A log of records with one agency, and a monitor that follows it and judges every statement.
struct Desk {
    root: TempDir,
    site: Site,
    server: Server,
    world: World,
    office: Office,
}

impl Desk {
    fn new() -> Self {
        let site = Site::new("records");
        let server = site.start();
        let desk = Self {
            root: TempDir::new().unwrap(),
            site,
            server,
            world: World::new(ORIGIN),
            office: Office::new("works.gov.example"),
        };
        desk.publish(&desk.world.enrol(&desk.office));
        desk.publish(&desk.world.open(&desk.office, "contracts"));
        let (policy, url) = (desk.site.policy_path(), desk.server.url());
        let words = ["init", &desk.dir(), "--origin", ORIGIN, "--source", &url, "--policy", &policy];
        let made = run(&words);
        assert!(made.status.success(), "{made:?}");
        let genesis = leaf_hash(&desk.world.genesis());
        desk.configure(&format!("genesis = \"{genesis}\"\npoll = \"100ms\""));
        desk
    }

    fn path(&self, name: &str) -> String {
        text(&self.root.path().join(name))
    }

    fn dir(&self) -> String {
        self.path("monitor")
    }

    /// Adds settings to monitor.toml.
    fn configure(&self, more: &str) {
        let path = self.root.path().join("monitor/monitor.toml");
        let known = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{known}{more}\n")).unwrap();
    }

    /// A channel that writes what it is told into a file, a line each time.
    fn channel(&self, name: &str) -> PathBuf {
        let told = self.root.path().join(format!("told-{name}"));
        let command = format!("cat >> {}", told.display());
        self.configure(&format!("[[channel]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", \"{command}\"]"));
        told
    }

    fn publish(&self, statement: &[u8]) {
        let kind = [("content-type", "text/plain; charset=utf-8")];
        let answer = self.server.send("POST", "/records", &kind, statement);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn put(&self, key: &str, before: Option<&[u8]>, public: &str) -> Vec<u8> {
        let entry = self.world.put(&self.office, "contracts", key, before.and_then(previous), public);
        self.publish(&entry);
        entry
    }

    /// One look; it must be verified.
    fn once(&self) -> Value {
        let output = run(&["once", "--json", &self.dir()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        json(&output)
    }

    fn monitor(&self, args: &[&str]) -> Value {
        let output = run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        json(&output)
    }

    fn start(&self) -> Running {
        Running::start(&self.dir())
    }
}

/// A running monitor; killed when dropped.
struct Running {
    child: Child,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    fn start(dir: &str) -> Self {
        let mut child = Command::new(binary("daybook-monitor"))
            .args(["run", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", dir])
            .env("DAYBOOK_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let address =
            |name: &str| said[name].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Self { public: address("url"), admin: address("admin_url"), child }
    }

    fn get(&self, path: &str) -> Answer {
        exchange(self.public, "GET", path, &[], b"").unwrap()
    }

    fn metrics(&self) -> String {
        exchange(self.admin, "GET", "/metrics", &[], b"").unwrap().text().to_owned()
    }

    /// Waits until the metrics have this line.
    fn until(&self, line: &str) {
        let looked = (0..LOOKS_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            self.metrics().lines().any(|known| known == line)
        });
        assert!(looked, "never {line}: {}", self.metrics());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until_told(file: &Path, text: &str) {
    let told = (0..LOOKS_MAX).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        std::fs::read_to_string(file).is_ok_and(|told| told.contains(text))
    });
    assert!(told, "{} never told of {text}", file.display());
}

#[test]
fn one_look_indexes_what_it_verified_and_watches_tell_of_it_once() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    let award = desk.put("C-1", None, r#"{"amount":"1250.00","name":"Harbour bridge","supplier":"Acme"}"#);
    let looked = desk.once();
    assert_eq!(looked["newsroom"]["indexed"], 4, "{looked}");
    assert_eq!(looked["logs"][0]["judged"], 4, "{looked}");
    let dir = desk.dir();
    let added = desk.monitor(&[
        "watch",
        "add",
        &dir,
        "--name",
        "Changes",
        "--when",
        "changed",
        "bridge",
        "--channel",
        "desk",
    ]);
    assert_eq!(added["past_hits"], 0, "{added}");
    let added = desk.monitor(&["watch", "add", &dir, "supplier:acme", "--channel", "desk"]);
    assert_eq!(added["past_hits"], 1, "what is there already is shown at once, and not told: {added}");
    assert!(!told.exists());
    desk.put("C-1", Some(&award), r#"{"amount":"9900.00","name":"Harbour bridge","supplier":"Acme"}"#);
    let looked = desk.once();
    assert_eq!(
        (&looked["newsroom"]["found"], &looked["newsroom"]["delivered"]),
        (&2.into(), &2.into()),
        "{looked}"
    );
    assert_eq!(looked["newsroom"]["troubles"], Value::Array(Vec::new()), "{looked}");
    let alerts: Value = serde_json::from_str(&std::fs::read_to_string(&told).unwrap()).unwrap();
    let change = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|alert| alert["watch"]["name"] == "Changes")
        .unwrap();
    assert_eq!(change["event"], "changed");
    assert_eq!(
        (&change["changes"][0]["old"], &change["changes"][0]["new"]),
        (&"1250.00".into(), &"9900.00".into())
    );
    assert!(change["link"].as_str().unwrap().ends_with("/4"), "the link to the proof: {change}");
    let looked = desk.once();
    assert_eq!(
        (&looked["newsroom"]["found"], &looked["newsroom"]["delivered"]),
        (&0.into(), &0.into()),
        "{looked}"
    );
}

#[test]
fn one_look_that_is_only_to_verify_indexes_nothing_and_a_broken_channel_changes_no_exit_code() {
    let desk = Desk::new();
    desk.configure("[[channel]]\nname = \"broken\"\ncommand = [\"false\"]");
    let output = run(&["once", "--json", "--no-index", &desk.dir()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(json(&output)["newsroom"], Value::Null);
    assert!(!Path::new(&desk.path("monitor/index.sqlite")).exists());
    desk.once();
    desk.monitor(&["watch", "add", &desk.dir(), "bridge", "--channel", "broken"]);
    desk.put("C-1", None, r#"{"name":"bridge"}"#);
    let looked = desk.once();
    assert_eq!(
        (&looked["newsroom"]["delivered"], &looked["newsroom"]["waiting"]),
        (&0.into(), &1.into()),
        "{looked}"
    );
    assert!(looked["newsroom"]["troubles"][0].as_str().unwrap().contains("broken"), "{looked}");
}

#[test]
fn watches_are_made_listed_tested_imported_and_removed_from_the_command_line() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    desk.put("C-1", None, r#"{"name":"Bridge","supplier":"Doe, Jane"}"#);
    desk.once();
    let dir = desk.dir();
    let csv = desk.path("names.csv");
    std::fs::write(
        &csv,
        "\u{feff}Name;Town\r\n\"Doe, Jane\";X\r\n王小明;北京\r\n=HYPERLINK(\"http://x\");\r\n",
    )
    .unwrap();
    let made = desk.monitor(&["watch", "import", &dir, &csv, "--channel", "desk"]);
    let past: Vec<i64> =
        made.as_array().unwrap().iter().map(|one| one["past_hits"].as_i64().unwrap()).collect();
    assert_eq!(past, [1, 0, 0], "{made}");
    let again = desk.monitor(&["watch", "import", &dir, &csv, "--channel", "desk"]);
    assert_eq!(again[0]["id"], made[0]["id"], "the same watch is one watch");
    let listed = desk.monitor(&["watch", "list", &dir]);
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!((&listed[0]["name"], &listed[0]["channels"][0]), (&"Any misbehaviour".into(), &"*".into()));
    assert_eq!((&listed[1]["name"], &listed[1]["query"]), (&"Doe, Jane".into(), &"\"Doe, Jane\"".into()));
    let id = listed[1]["id"].to_string();
    desk.monitor(&["watch", "test", &dir, &id]);
    desk.once();
    let told = std::fs::read_to_string(&told).unwrap();
    assert!(told.contains("\"event\":\"test\"") && told.contains("Doe, Jane"), "{told}");
    desk.monitor(&["watch", "remove", &dir, &id]);
    assert_eq!(desk.monitor(&["watch", "list", &dir]).as_array().unwrap().len(), 3);
    for malformed in [
        &["watch", "remove", &dir, &id][..],
        &["watch", "test", &dir, "999"],
        &["watch", "add", &dir, "bridge", "--channel", "nobody"],
        &["watch", "add", &dir, "--when", "silent", "bridge"],
        &["watch", "add", &dir, "bridge", "--pattern", "("],
        &["watch", "add", &dir, "bridge", "--since", "lunch"],
        &["watch", "import", &dir, &desk.path("nothing.csv"), "--channel", "nobody"],
    ] {
        let refused = run(malformed);
        assert!(matches!(refused.status.code(), Some(2 | 3)), "{malformed:?}: {refused:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{refused:?}");
    }
}

#[test]
fn whoever_has_a_channel_is_told_of_misbehaviour_whatever_database_is_lost() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    desk.once();
    assert!(!told.exists(), "nothing is wrong yet");
    let dir = desk.root.path().join("monitor");
    let lost = || {
        for ending in ["", "-wal", "-shm"] {
            // Not all of them are there.
            let _ = std::fs::remove_file(dir.join(format!("monitor.sqlite{ending}")));
        }
        desk.once();
        std::fs::read_to_string(&told).unwrap().matches("does not know this log any more").count()
    };
    let first = lost();
    assert!(first > 0, "nobody had to ask for it");
    assert_eq!(lost(), 2 * first, "a new database begins at alert 1 again, and is told again");
    std::fs::write(dir.join("watches.sqlite"), [0x55; 9_000]).unwrap();
    let alarms = |looked: &Value| {
        let alarms = looked["logs"][0]["alarms"].as_array().unwrap().clone();
        alarms.into_iter().map(|alarm| alarm["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // It is verified, and the exit code says so, with damaged watches as without.
    assert_eq!(alarms(&desk.once()), ["watches"]);
    assert!(std::fs::read_to_string(&told).unwrap().contains("the watches were damaged"));
    assert!(alarms(&desk.once()).is_empty(), "the new watches are whole");
    let listed = desk.monitor(&["watch", "list", &desk.dir()]);
    assert_eq!(listed[0]["name"], "Any misbehaviour");
    desk.monitor(&["watch", "remove", &desk.dir(), &listed[0]["id"].to_string()]);
    desk.once();
    assert!(desk.monitor(&["watch", "list", &desk.dir()]).as_array().unwrap().is_empty(), "removed for good");
}

#[test]
fn what_was_found_is_exported_in_every_form() {
    let desk = Desk::new();
    let award = desk.put("C-1", None, r#"{"name":"=1+1 bridge","supplier":"Acme"}"#);
    desk.put("C-1", Some(&award), r#"{"name":"bridge","supplier":"Acme"}"#);
    desk.once();
    let dir = desk.dir();
    let found = desk.monitor(&["search", &dir, "supplier:acme"]);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    let export = |name: &str, more: &[&str]| {
        let file = desk.path(name);
        let words = ["export", &dir, &file];
        let done = desk.monitor(&[&words[..], more].concat());
        (done, std::fs::read(file).unwrap())
    };
    let (done, csv) = export("all.csv", &[]);
    assert_eq!(done["entries"], 5);
    assert_eq!(String::from_utf8(csv).unwrap().matches("\r\n\"log.example").count(), 5);
    let (_, lines) = export("acme.ndjson", &["--form", "ndjson", "supplier:acme"]);
    let lines = String::from_utf8(lines).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((lines.lines().count(), &first["content"]["supplier"]), (2, &"Acme".into()));
    let (_, rsf) = export("contracts.rsf", &["--form", "rsf", "register:contracts kind:record"]);
    let rsf = String::from_utf8(rsf).unwrap();
    assert!(rsf.starts_with("assert-root-hash\t") && rsf.contains("add-item\t{"), "{rsf}");
    assert_eq!(rsf.matches("append-entry\tuser\tC-1\t").count(), 2, "{rsf}");
    std::fs::create_dir(desk.path("copy")).unwrap();
    export("copy/index.sqlite", &["--form", "sqlite"]);
    let copied = desk.monitor(&["search", &desk.path("copy"), "supplier:acme"]);
    assert_eq!(copied, found, "the copy is an index as any other");
    let again = run(&["export", &dir, &desk.path("all.csv")]);
    assert_eq!(again.status.code(), Some(3), "nothing is overwritten: {again:?}");
}

#[test]
fn an_index_of_an_earlier_version_is_made_again_by_the_next_look_which_says_so() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    desk.put("C-1", None, r#"{"name":"Harbour bridge"}"#);
    desk.once();
    desk.monitor(&["watch", "add", &desk.dir(), "bridge", "--channel", "desk"]);
    let path = desk.root.path().join("monitor/index.sqlite");
    let earlier = rusqlite::Connection::open(&path).unwrap();
    earlier.execute_batch("ALTER TABLE log DROP COLUMN goal; PRAGMA user_version = 1;").unwrap();
    drop(earlier);
    let refused = run(&["search", &desk.dir(), "bridge"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("earlier Daybook (schema 1)"), "{refused:?}");
    desk.put("C-2", None, r#"{"name":"Mountain bridge"}"#);
    let looked = run_loud(&["once", "--json", &desk.dir()]);
    assert_eq!(looked.status.code(), Some(0), "{looked:?}");
    let said = String::from_utf8_lossy(&looked.stderr);
    assert!(said.contains("an earlier version wrote the index; it is made again"), "{said}");
    assert_eq!(json(&looked)["newsroom"]["indexed"], 5, "every entry is indexed again");
    let found = run_loud(&["search", "--json", &desk.dir(), "bridge"]);
    assert_eq!((json(&found).as_array().unwrap().len(), found.stderr.len()), (2, 0), "{found:?}");
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains("Mountain bridge") && !told.contains("Harbour bridge"), "told once: {told}");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE log SET goal = next + 3", []).unwrap();
    let found = run_loud(&["search", "--json", &desk.dir(), "bridge"]);
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(said.contains("entries cannot be found yet") && said.contains("\"missing\":3"), "{said}");
}

#[test]
fn a_running_monitor_shows_its_work_in_metrics_feeds_and_a_download() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    desk.put("C-1", None, r#"{"name":"Harbour bridge"}"#);
    let monitor = desk.start();
    monitor.until(&format!("daybook_monitor_indexed_entries{{origin=\"{ORIGIN}\"}} 4"));
    monitor.until(&format!("daybook_monitor_index_lag_entries{{origin=\"{ORIGIN}\"}} 0"));
    desk.monitor(&["watch", "add", &desk.dir(), "bridge", "--channel", "desk"]);
    desk.put("C-2", None, r#"{"name":"Mountain bridge"}"#);
    // A watch made meanwhile is at work.
    until_told(&told, "Mountain bridge");
    monitor.until("daybook_monitor_channel_waiting_messages{channel=\"desk\"} 0");
    monitor.until("daybook_monitor_watches 2");
    monitor.until("daybook_monitor_finds 2");
    for line in [
        "daybook_monitor_channel_failures{channel=\"desk\"} 0",
        "daybook_monitor_trouble{part=\"index\"} 0",
        "daybook_monitor_trouble{part=\"watches\"} 0",
    ] {
        monitor.until(line);
    }
    let hash = sha256(ORIGIN.as_bytes());
    for (form, kind) in [("atom", "application/atom+xml"), ("json", "application/feed+json")] {
        for path in [format!("/feed/agency/{hash}/works.gov.example/{form}"), format!("/feed/watch/2/{form}")]
        {
            let feed = monitor.get(&path);
            assert_eq!(feed.status, 200, "{path}");
            assert!(feed.header("content-type").starts_with(kind), "{path}");
            assert!(feed.text().contains("Mountain bridge"), "{path}: {}", feed.text());
        }
    }
    assert_eq!(monitor.get(&format!("/feed/agency/{hash}/nobody.example/atom")).status, 404);
    let register = monitor.get("/export/rsf?q=register:contracts%20kind:record");
    assert!(
        register.status == 200 && register.text().starts_with("assert-root-hash\t"),
        "{}",
        register.text()
    );
    assert_eq!(monitor.get("/export/rsf?q=").status, 400);
    let copy = monitor.get("/export/sqlite");
    assert_eq!((copy.status, copy.header("content-type")), (200, "application/vnd.sqlite3"));
    std::fs::create_dir(desk.path("copy")).unwrap();
    std::fs::write(desk.path("copy/index.sqlite"), &copy.body).unwrap();
    let found = desk.monitor(&["search", &desk.path("copy"), "bridge"]);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    let left = std::fs::read_dir(desk.path("monitor")).unwrap();
    let names: Vec<String> =
        left.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("download")), "the copy has no name: {names:?}");
    let soon = monitor.get("/export/sqlite");
    assert!(
        soon.status == 503 && !soon.header("retry-after").is_empty(),
        "one copy a minute: {}",
        soon.status
    );
}

#[test]
fn addresses_in_records_and_watches_are_never_visited() {
    let desk = Desk::new();
    let told = desk.channel("desk");
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/trap", trap.local_addr().unwrap());
    let before = desk.put(
        "C-1",
        None,
        &format!(r#"{{"href":"{url}","image":"{url}","link":"{url}","schema":"{url}","url":"{url}"}}"#),
    );
    let monitor = desk.start();
    monitor.until(&format!("daybook_monitor_indexed_entries{{origin=\"{ORIGIN}\"}} 4"));
    let dir = desk.dir();
    desk.monitor(&["watch", "add", &dir, &url, "--channel", "desk"]);
    desk.monitor(&[
        "watch",
        "add",
        &dir,
        "--name",
        &url,
        "--when",
        "changed",
        "--pattern",
        "http://.*trap",
        "--channel",
        "desk",
    ]);
    desk.put("C-1", Some(&before), &format!(r#"{{"href":"{url}","url":"{url}?again"}}"#));
    monitor.until("daybook_monitor_finds 3");
    let hash = sha256(ORIGIN.as_bytes());
    for path in [
        format!("/log/{hash}/3"),
        format!("/log/{hash}/4"),
        format!("/search?q={}", url.replace(':', "%3A").replace('/', "%2F")),
        "/watches/2".to_owned(),
        "/watches/3".to_owned(),
        "/feed/watch/2/atom".to_owned(),
        format!("/export/csv?q=&url={}", url.replace(':', "%3A")),
    ] {
        let page = monitor.get(&path);
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert!(!page.text().contains(&format!("href=\"{url}")), "{path} links to what a record says");
        assert!(!page.text().contains(&format!("src=\"{url}")), "{path} loads what a record says");
    }
    until_told(&told, "\"alerts\"");
    let visited = trap.accept();
    assert!(
        visited.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "somebody followed an address out of a record: {visited:?}"
    );
}

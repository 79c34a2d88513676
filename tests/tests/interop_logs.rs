//! Logs that others made, at our monitor: followed, verified, and caught. Run by `cargo xtask interop`, which builds
//! them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;
use tests::home::{Home, monitor, text};
use tests::server::daybook;
use tlog::hash::sha256;
use tlog::sign::Ed25519Signer;

const ORIGIN: &str = "tessera.example/log";

fn signer() -> ([u8; 32], Ed25519Signer) {
    let seed = *sha256(b"a log that others made").as_bytes();
    (seed, Ed25519Signer::from_seed(ORIGIN.parse().expect("a name"), &seed))
}

/// A log in a folder, written by Tessera's example for POSIX file systems.
struct Tessera {
    root: TempDir,
    program: PathBuf,
}

impl Tessera {
    fn new() -> Self {
        let tools = std::env::var("DAYBOOK_INTEROP_TOOLS").expect("run this with `cargo xtask interop`");
        let root = TempDir::new().expect("a folder");
        let (seed, signer) = signer();
        let typed = [&[1][..], &seed].concat();
        let id = signer.verifier_key().id();
        let key = format!("PRIVATE+KEY+{ORIGIN}+{id:08x}+{}", STANDARD.encode(typed));
        std::fs::write(root.path().join("key"), key).expect("written");
        Self { root, program: Path::new(&tools).join("bin/posix-oneshot") }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Adds entries, and waits until they are in the published tree.
    fn add(&self, log: &str, entries: impl Iterator<Item = Vec<u8>>) {
        let waiting = self.folder("entries");
        // There is none the first time.
        let _ = std::fs::remove_dir_all(&waiting);
        std::fs::create_dir(&waiting).expect("a folder");
        for (number, entry) in entries.enumerate() {
            std::fs::write(waiting.join(format!("{number:06}")), entry).expect("written");
        }
        let added = Command::new(&self.program)
            .arg(format!("--storage_dir={}", text(&self.folder(log))))
            .arg(format!("--entries={}/*", text(&waiting)))
            .arg(format!("--private_key={}", text(&self.folder("key"))))
            .output()
            .expect("it starts");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
}

/// Opaque bytes: no text, no JSON.
fn entry(number: u64) -> Vec<u8> {
    sha256(&number.to_be_bytes()).as_bytes().repeat(1 + usize::try_from(number % 40).expect("small"))
}

/// A monitor that follows the log at this source.
fn follow(source: &str) -> Home {
    Home::new(ORIGIN, source, &format!("log {}\nquorum none\n", signer().1.verifier_key()))
}

fn verified(home: &Home, size: u64) {
    let (code, status) = home.once();
    assert_eq!((code, &status["logs"][0]["verified"]["size"]), (0, &Value::from(size)), "{status}");
}

/// A web server over a folder, of another make than any of ours.
struct FileServer {
    child: Child,
    url: String,
}

impl FileServer {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).expect("a port");
        Self { url: format!("http://127.0.0.1:{port}"), child }
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs a log that `cargo xtask interop` builds"]
fn a_log_that_others_made_is_followed_verified_and_caught() {
    let tessera = Tessera::new();
    let log = tessera.folder("log");
    let (mut size, mut server, mut homes) = (0, None, Vec::new());
    for until in [1, 2, 255, 256, 257, 1000, 1793] {
        tessera.add("log", (size..until).map(entry));
        size = until;
        if homes.is_empty() {
            let started = FileServer::start(&log);
            homes.push(follow(&started.url));
            homes.push(follow(&text(&log)));
            server = Some(started);
        }
        homes.iter().for_each(|home| verified(home, size));
        println!("{size} entries: followed and verified, from its files and over HTTP");
    }
    for home in &homes {
        let checked = monitor(&["fsck", &home.dir()]);
        assert!(checked.status.success(), "{checked:?}");
    }
    let key = signer().1.verifier_key().to_string();
    let checked = daybook(&["fsck", &text(&log), "--key", &key]);
    assert!(checked.status.success(), "our fsck agrees: {checked:?}");

    // The tree is unchanged, an entry is not.
    let bundle = log.join("tile/entries/003");
    let whole = std::fs::read(&bundle).expect("a bundle");
    let mut changed = whole.clone();
    changed[77] ^= 1;
    std::fs::write(&bundle, changed).expect("written");
    let fresh = follow(&text(&log));
    let (code, status) = fresh.once();
    assert_eq!(code, 7, "damaged: {status}");
    assert_eq!(status["logs"][0]["evidence"], serde_json::json!([]), "nobody signed it: {status}");
    std::fs::write(&bundle, whole).expect("written");
    verified(&fresh, size);

    // The same key signs another history.
    tessera.add("fork", (0..2000).map(|number| entry(if number == 1000 { 7 } else { number })));
    drop(server);
    std::fs::rename(&log, tessera.folder("as-it-was")).expect("moved");
    std::fs::rename(tessera.folder("fork"), &log).expect("moved");
    let (code, status) = homes[1].once();
    assert_eq!((code, &status["state"]), (1, &Value::from("misbehaving")), "{status}");
    let file = Path::new(&homes[1].dir()).join(status["logs"][0]["evidence"][0].as_str().expect("a file"));
    let proved = daybook(&["verify-evidence", &text(&file), "--key", &key]);
    assert_eq!(proved.status.code(), Some(0), "{proved:?}");
    println!(
        "a second history of 2000 entries: caught, and proved: {}",
        String::from_utf8_lossy(&proved.stdout)
    );
}

//! `daybook init --admission records --genesis FILE`, in two steps, over the real executable: the first writes what the
//! registrar's officers sign, the second makes the log from what they signed, and from nothing less.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::PathBuf;

use record::statement::{Body, Statement};
use tempfile::TempDir;
use tests::records::{Office, Signer, sign_text};
use tests::server::{Site, daybook};
use tlog::hash::leaf_hash;

const ORIGIN: &str = "log.gov.example/2026";

struct Scene {
    root: TempDir,
    registrar: Office,
    recovery: Signer,
}

impl Scene {
    fn new() -> Self {
        let recovery = Signer::ed25519("registrar.example/recovery");
        Self { root: TempDir::new().unwrap(), registrar: Office::new("registrar.example"), recovery }
    }

    fn genesis(&self) -> PathBuf {
        self.root.path().join("genesis.txt")
    }

    fn log(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// Runs the command that both steps share, with other words after it; the exit code, and what was said.
    fn init(&self, more: &[&str]) -> (i32, String) {
        let (dir, genesis) = (self.log(), self.genesis());
        let mut words =
            ["init", "--origin", ORIGIN, "--admission", "records", "--genesis"].map(str::to_owned).to_vec();
        words.extend([genesis.to_string_lossy().into_owned(), dir.to_string_lossy().into_owned()]);
        words.extend(more.iter().map(|word| (*word).to_owned()));
        let output = daybook(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    /// The words that name the registrar.
    fn registrar(&self, threshold: &str) -> Vec<String> {
        let keys = self.registrar.officers.iter().map(|officer| officer.key().to_string());
        let mut words: Vec<String> = keys.flat_map(|key| ["--registrar".to_owned(), key]).collect();
        let recovery = self.recovery.key().to_string();
        let more =
            ["--threshold", threshold, "--registrar-title", "Registrar", "--registrar-recovery", &recovery];
        words.extend(more.map(str::to_owned));
        words
    }

    fn first(&self, threshold: &str) -> (i32, String) {
        let words = self.registrar(threshold);
        self.init(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn everybody(&self) -> Vec<&Signer> {
        self.registrar.officers.iter().chain([&self.recovery]).collect()
    }
}

#[test]
fn the_first_call_writes_what_is_to_be_signed_and_the_second_makes_the_log_from_it() {
    let scene = Scene::new();
    let (code, said) = scene.first("2");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("genesis.txt") && said.contains("signs"), "it says what to do next: {said}");
    assert!(!scene.log().exists(), "there is no log yet");
    let text = std::fs::read_to_string(scene.genesis()).unwrap();
    let Body::Genesis(genesis) = Body::parse_text(&text).unwrap() else { panic!("{text}") };
    assert_eq!((genesis.log.as_str(), genesis.keys.quorum, genesis.keys.keys.len()), (ORIGIN, 2, 3));
    assert_eq!(genesis.keys.recovery, Some(scene.recovery.key()));

    let signed = sign_text(&text, &scene.everybody());
    std::fs::write(scene.genesis(), &signed).unwrap();
    let (code, said) = scene.init(&["--json"]);
    assert_eq!(code, 0, "{said}");
    let made: serde_json::Value = serde_json::from_str(&said).unwrap();
    let leaf = leaf_hash(&signed).to_string();
    assert_eq!(made["genesis"], leaf);
    for file in ["log.toml", "policy.txt", "README.txt"] {
        let text = std::fs::read_to_string(scene.log().join(file)).unwrap();
        assert!(text.contains(&leaf), "{file} names the genesis");
    }
    let (code, said) = scene.init(&[]);
    assert_eq!(code, 3, "a log is never made over another: {said}");

    let site = Site::around(scene.root);
    let server = site.start();
    let entry = server.send("GET", "/entry/0", &[("accept", "application/octet-stream")], b"");
    assert!(
        entry.status == 200 && entry.body == signed,
        "entry 0 is what the registrar signed, byte for byte"
    );
    assert_eq!(server.get("/agencies").json()["registrar"], "registrar.example");
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), 1);
}

#[test]
fn nothing_is_made_from_less_than_every_signature_or_from_another_text() {
    let scene = Scene::new();
    assert_eq!(scene.first("2").0, 0);
    let text = std::fs::read_to_string(scene.genesis()).unwrap();
    let all = scene.everybody();
    let elsewhere = text.replace(ORIGIN, "log.gov.example/2025");
    let quorum = text.replace("\"quorum\":2", "\"quorum\":1");
    let signed = Statement::parse(&sign_text(&text, &all)).unwrap();
    let altered = String::from_utf8(signed.to_bytes()).unwrap().replace("\"quorum\":2", "\"quorum\":1");
    let stranger = Signer::ed25519("stranger.example/one");
    let strange: Vec<&Signer> = all.iter().copied().chain([&stranger]).collect();
    assert_ne!(quorum, text);
    let cases: [(&str, Vec<u8>); 7] = [
        ("unsigned", text.clone().into_bytes()),
        ("an officer's signature is missing", sign_text(&text, &[all[0], all[1], all[3]])),
        ("the recovery key's signature is missing", sign_text(&text, &all[..3])),
        ("altered after it was signed", altered.into_bytes()),
        ("of another log", sign_text(&elsewhere, &all)),
        ("a signature too many", sign_text(&text, &strange)),
        ("garbage", b"garbage".to_vec()),
    ];
    for (case, bytes) in cases {
        std::fs::write(scene.genesis(), bytes).unwrap();
        let (code, said) = scene.init(&[]);
        assert_eq!(code, 2, "{case}: {said}");
        assert!(said.contains("genesis.txt"), "{case}: it names the file: {said}");
        assert!(!scene.log().exists(), "{case}");
    }
    std::fs::write(scene.genesis(), sign_text(&text, &all)).unwrap();
    assert_eq!(scene.init(&[]).0, 0, "and the right one is still right");
}

#[test]
fn a_registrar_that_cannot_be_is_refused_before_anybody_signs() {
    let scene = Scene::new();
    for threshold in ["0", "4"] {
        assert_eq!(scene.first(threshold).0, 2, "{threshold}");
    }
    let other = Signer::ed25519("other.example/officer").key().to_string();
    let mut words = scene.registrar("2");
    words.extend(["--registrar".to_owned(), other]);
    assert_eq!(scene.init(&words.iter().map(String::as_str).collect::<Vec<_>>()).0, 2, "of two agencies");
    assert_eq!(scene.init(&[]).0, 2, "no file, and nothing to write one from");
    assert!(!scene.genesis().exists() && !scene.log().exists());
    let dir = scene.log().to_string_lossy().into_owned();
    let none = daybook(&["init", &dir, "--origin", ORIGIN, "--admission", "records"]);
    assert_eq!(none.status.code(), Some(2));
    let genesis = scene.genesis().to_string_lossy().into_owned();
    let open = daybook(&["init", &dir, "--origin", ORIGIN, "--admission", "open", "--genesis", &genesis]);
    assert_eq!(open.status.code(), Some(2), "a log of any bytes has no genesis");
}

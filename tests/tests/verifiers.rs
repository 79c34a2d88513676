//! Faults that other verifiers had, each by its number: none of them lets this one say that all is well.

use std::process::{Command, Stdio};
use std::time::Duration;

use monitor::config::Config;
use monitor::receipt::Answer;
use monitor::verdict::State;
use tests::binaries::binary;
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::watch::Watch;
use tlog::hash::leaf_hash;
use tlog::ids::TreeSize;
use tlog::note::{Note, SignatureLine};
use tlog::tile::{bundles, hash_tiles};

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];
const SECONDS: u64 = tests::START / 1000;

fn fresh(tree: &Tree) -> (Keys, Liar, Watch) {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    log.serve(tree, keys.sign(tree.head(), &ALL, SECONDS));
    let watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), "");
    (keys, log, watch)
}

/// Verifies the tree with each object that a round asks for answered otherwise, one at a time.
fn each_object(
    size: u64,
    of_interest: impl Fn(&str) -> bool,
    otherwise: impl Fn(Vec<u8>) -> Vec<u8>,
) -> usize {
    let tree = Tree::of(size);
    let (_, log, mut watch) = fresh(&tree);
    assert_eq!(watch.round().state, State::Verified);
    let asked: Vec<String> = log.script().asked.iter().filter(|path| of_interest(path)).cloned().collect();
    for path in &asked {
        let (_, log, mut watch) = fresh(&tree);
        let whole = match path.as_str() {
            "checkpoint" => log.script().checkpoint.clone(),
            path => tree.object(path.parse().expect("a path")).expect("an object"),
        };
        log.reply(path, Reply::Body(200, otherwise(whole)));
        let verdict = watch.round();
        assert_ne!(verdict.state, State::Verified, "size {size}: {path} was not looked at");
        assert!(watch.evidence().is_empty(), "size {size}: {path} accused the log");
    }
    asked.len()
}

#[test]
fn cve_2026_56865_every_object_that_is_fetched_is_authenticated() {
    let flip = |mut bytes: Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        bytes
    };
    for size in [1, 2, 3, 255, 256, 257, 513, 1000] {
        let tree = TreeSize::new(size).expect("a size");
        let all = 1 + bundles(tree).count() + hash_tiles(tree).count();
        assert_eq!(each_object(size, |_| true, flip), all, "size {size}: the checkpoint, and every object");
    }
    // Where hashes of higher tiles are complete and hide behind one another.
    let higher = |path: &str| path.starts_with("tile/1/") || path.starts_with("tile/2/");
    assert_eq!(each_object(70_000, higher, flip), 3, "two tiles of level 1, one of level 2");
}

#[test]
fn cve_2026_42501_an_empty_answer_is_a_failure() {
    for size in [1, 257, 700] {
        assert!(each_object(size, |_| true, |_| Vec::new()) >= 3);
    }
}

#[test]
fn cve_2026_39395_what_cannot_be_parsed_is_not_verified() {
    each_object(300, |_| true, |bytes| [bytes.as_slice(), b"x"].concat());
    each_object(300, |_| true, |bytes| bytes[..bytes.len() - 1].to_vec());
}

#[test]
fn cve_2026_22703_a_receipt_counts_for_the_entry_in_hand_only() {
    let tree = Tree::of(300);
    let (keys, _log, mut watch) = fresh(&tree);
    watch.round();
    let receipt = keys.receipt(&tree, 9, SECONDS);
    for other in [b"entry 8".as_slice(), b"", b"entry 9 "] {
        let answer = watch.case().receipt(leaf_hash(other), &receipt).expect("judged");
        assert!(matches!(answer, Answer::Invalid { .. }), "{answer:?}");
    }
    assert!(watch.evidence().is_empty(), "and is no evidence against anyone");
}

#[test]
fn cve_2023_47122_keys_come_from_the_configuration_alone() {
    let keys = Keys::new(ORIGIN);
    let root = tempfile::tempdir().expect("a folder");
    let load = |trust: &str| {
        let text = format!("[[log]]\norigin = {ORIGIN:?}\nsource = [\"http://127.0.0.1:1\"]\n{trust}");
        std::fs::write(root.path().join("monitor.toml"), text).expect("written");
        Config::load(root.path()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(load("").unwrap_err().contains("never taken from the log"));
    let other = Keys::new("log.example/other").policy(true);
    assert!(load(&format!("policy_text = \"\"\"{other}\"\"\"")).unwrap_err().contains("no key of that name"));
    assert!(load("policy_text = \"quorum none\\n\"").is_err());
    assert_eq!(load(&format!("policy_text = \"\"\"{}\"\"\"", keys.policy(true))), Ok(()));
    assert!(
        load(&format!("policy_text = \"\"\"{}\"\"\"\nkeyy = 1", keys.policy(true)))
            .unwrap_err()
            .contains("keyy")
    );
}

#[test]
fn cve_2024_45395_a_flood_of_signatures_is_refused_before_any_is_verified() {
    let tree = Tree::of(3);
    let (keys, _log, watch) = fresh(&tree);
    let note = Note::parse(&keys.sign(tree.head(), &ALL, SECONDS)).expect("a note");
    let mut bytes = note.to_bytes();
    for number in 0..64 {
        let line = SignatureLine::new(format!("k{number}").parse().expect("a name"), number, vec![7; 72]);
        bytes.extend(format!("{line}\n").into_bytes());
    }
    let refused = watch.case().show(&bytes, "stranger").expect("judged").unwrap_err();
    assert!(refused.contains("too many"), "{refused}");
    let huge = vec![b'x'; 300_000];
    assert!(watch.case().show(&huge, "stranger").expect("judged").is_err());
}

#[test]
fn cve_2026_44310_an_end_that_was_not_its_own_is_never_exit_code_0() {
    let tree = Tree::of(700);
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    log.serve(&tree, keys.sign(tree.head(), &ALL, SECONDS));
    log.reply("tile/entries/001", Reply::Drip);
    let mut watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), "");
    watch.end();
    for (signal, expected) in [
        (rustix::process::Signal::KILL, None),
        (rustix::process::Signal::ABORT, None),
        (rustix::process::Signal::TERM, Some(3)),
    ] {
        log.script().asked.clear();
        let mut child = Command::new(binary("daybook-monitor"))
            .args(["once", "--json", &watch.dir().to_string_lossy()])
            .env("DAYBOOK_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        for _ in 0..3000 {
            if log.script().asked.contains("tile/entries/001") {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("signalled");
        let code = child.wait().expect("gone").code();
        assert_eq!(code, expected, "{signal:?}");
    }
}

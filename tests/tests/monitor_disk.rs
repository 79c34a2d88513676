//! A disk that is really full, under a monitor: what cannot be remembered is not called verified, and what was found is
//! found again.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tests::home::{Home, json, monitor, text};
use tests::liar::{Keys, Liar, Tree};

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];

/// A file system in memory; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None`, and a loud line, where nothing can be mounted.
    fn new(mount: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(mount).expect("a folder");
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "daybook-test"]).arg(mount).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            eprintln!("SKIPPED: a file system can be mounted by root only");
            return None;
        }
        Some(Self(mount.to_owned()))
    }

    /// Fills it, but for so many bytes.
    fn fill(&self, but: usize) {
        let filler = self.0.join("filler");
        let mut bytes = 8 << 20;
        // A file as long as there is room for: what was written before the refusal stays.
        while bytes > 0 && std::fs::write(&filler, vec![0; bytes]).is_err() {
            bytes = usize::try_from(std::fs::metadata(&filler).expect("a file").len()).expect("small");
        }
        let length = std::fs::metadata(&filler).expect("a file").len();
        let file = std::fs::File::options().write(true).open(&filler).expect("opened");
        file.set_len(length.saturating_sub(but as u64)).expect("shortened");
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("removed");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A process that has not quite ended may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn now_seconds() -> u64 {
    daemon::clock::Clock::unix_millis(&daemon::clock::SystemClock) / 1000
}

fn serve(keys: &Keys, log: &Liar, tree: &Tree) {
    log.serve(tree, keys.sign(tree.head(), &ALL, now_seconds()));
}

fn once(home: &Home) -> (i32, Value) {
    let output = monitor(&["once", "--json", "--no-index", &home.dir()]);
    (output.status.code().expect("it ends by itself"), json(&output))
}

#[test]
fn a_full_disk_under_the_database_is_said_wherever_it_strikes_and_room_heals_it() {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let home = Home::new(ORIGIN, &log.url(), &keys.policy(true));
    let dir = PathBuf::from(home.dir());
    let Some(small) = Small::new(&home.root.path().join("small"), "2m") else { return };
    let inside = small.0.join("monitor");
    let moved = Command::new("mv").arg(&dir).arg(&inside).status();
    assert!(moved.is_ok_and(|status| status.success()), "moved");
    std::os::unix::fs::symlink(&inside, &dir).expect("a link");

    let tree = Tree::of(2000);
    let mut size = 300;
    serve(&keys, &log, &tree.first(size));
    assert_eq!(once(&home).0, 0);
    let mut failed = 0;
    for free in [0, 4 << 10, 16 << 10, 32 << 10, 48 << 10, 64 << 10, 96 << 10, 128 << 10] {
        size += 150;
        serve(&keys, &log, &tree.first(size));
        small.fill(free);
        let (code, said) = once(&home);
        match code {
            0 => assert_eq!(said["logs"][0]["verified"]["size"], size, "{said}"),
            3 => assert!(!said["error"].as_str().expect("an error").is_empty(), "{said}"),
            other => panic!("{free} bytes free: exit {other}: {said}"),
        }
        failed += usize::from(code == 3);
        small.empty();
        let (code, said) = once(&home);
        assert_eq!((code, &said["logs"][0]["verified"]["size"]), (0, &Value::from(size)), "{said}");
        assert!(said["logs"][0]["evidence"].as_array().expect("a list").is_empty(), "{said}");
    }
    assert!(failed > 0, "the disk was never full");
    let checked = monitor(&["fsck", "--json", &home.dir()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn a_contradiction_that_was_found_on_a_full_disk_is_found_again_though_the_log_is_honest_by_then() {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let home = Home::new(ORIGIN, &log.url(), &keys.policy(true));
    let tree = Tree::of(300);
    serve(&keys, &log, &tree);
    assert_eq!(once(&home).0, 0);
    let evidence = PathBuf::from(home.dir()).join("evidence");
    let Some(small) = Small::new(&evidence, "16k") else { return };
    small.fill(0);
    serve(&keys, &log, &tree.with(7, b"changed"));
    let (code, said) = once(&home);
    assert_eq!(code, 3, "{said}");
    assert!(said["error"].as_str().expect("an error").contains("is the disk full?"), "{said}");
    assert_eq!(
        std::fs::read_dir(&evidence).expect("a folder").count(),
        1,
        "nothing half written: the filler"
    );
    small.empty();
    serve(&keys, &log, &tree);
    let (code, said) = once(&home);
    assert_eq!(code, 1, "{said}");
    let files = said["logs"][0]["evidence"].as_array().expect("a list");
    let first = evidence.join("..").join(files[0].as_str().expect("a file"));
    let policy = home.root.path().join("given-policy.txt");
    let checked = monitor(&["verify-evidence", &text(&first), "--policy", &text(&policy)]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

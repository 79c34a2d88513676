//! A disk that is really full: the log on a small file system of its own, filled to the brim and given room again.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use tests::letters::{Letter, open, post};
use tests::records::{Office, World};
use tests::server::{ORIGIN, Server, Site, exchange, exchange_on};
use tests::uploads::{header, upload};
use tlog::hash::sha256;

/// Room for the journal's two segments and some entries.
const SMALL: &str = "size=208m";
const LARGE: &str = "size=400m";
/// Less is free in the small one once both segments are there.
const SETTLED_MIB: u32 = 90;
/// More than fit into the small one.
const ENTRIES_MAX: u64 = 4000;
const ENTRY_BYTES: usize = 60_000;

/// A file system in memory, with a log in it; unmounted when dropped.
struct Small {
    site: Site,
    mount: PathBuf,
}

impl Small {
    /// `None`, and a loud line, where nothing can be mounted.
    fn new(admission: &str) -> Option<Self> {
        let site = Site::new(admission);
        let mount = site.root().join("small");
        std::fs::create_dir_all(&mount).expect("a folder");
        let path = mount.to_string_lossy().into_owned();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", SMALL, "daybook-test", &path]).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            eprintln!("SKIPPED: a file system can be mounted by root only");
            return None;
        }
        let small = Self { site, mount };
        let moved = small.mount.join("log");
        let copied = Command::new("cp").arg("-r").arg(small.site.dir()).arg(&moved).status();
        assert!(copied.is_ok_and(|status| status.success()), "copied");
        std::fs::remove_dir_all(small.site.dir()).expect("removed");
        std::os::unix::fs::symlink(&moved, small.site.dir()).expect("a link");
        Some(small)
    }

    /// Waits until the journal has both of its segments: the second is made beside the first entries.
    fn settle(&self) {
        eventually(|| {
            let free = Command::new("df").args(["-BM", "--output=avail"]).arg(&self.mount).output();
            let free = String::from_utf8(free.expect("df").stdout).expect("text");
            let free =
                free.lines().last().and_then(|free| free.trim().strip_suffix('M')?.parse::<u32>().ok());
            free.expect("mebibytes") < SETTLED_MIB
        });
    }

    fn enlarge(&self) {
        let options = format!("remount,{LARGE}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.mount).status();
        assert!(status.is_ok_and(|status| status.success()), "remounted");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A process that has not quite ended may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

/// Looks at a condition again and again, for ten seconds at most.
fn eventually(mut holds: impl FnMut() -> bool) {
    let held = (0..200).any(|_| {
        let holds = holds();
        if !holds {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        holds
    });
    assert!(held, "it never holds");
}

fn entry(number: u64) -> Vec<u8> {
    let mut entry = number.to_be_bytes().to_vec();
    entry.resize(ENTRY_BYTES, b'.');
    entry
}

/// Adds until the log refuses or is gone. Returns how many were answered, and the refusal.
fn fill(server: &Server) -> (u64, Option<tests::server::Answer>) {
    let headers = [("content-type", "application/octet-stream")];
    for number in 0..ENTRIES_MAX {
        match exchange(server.address(), "POST", "/add", &headers, &entry(number)) {
            Ok(answer) if answer.status == 200 => assert_eq!(answer.text(), format!("{number}\n")),
            Ok(answer) => return (number, Some(answer)),
            Err(_) => return (number, None),
        }
    }
    panic!("the disk does not get full");
}

fn holds(server: &Server, answered: u64) {
    for number in 0..answered {
        let path = format!("/entry/{number}");
        let answer = server.send("GET", &path, &[("accept", "application/octet-stream")], b"");
        assert!(answer.status == 200 && answer.body == entry(number), "entry {number}: {}", answer.status);
    }
}

#[test]
fn below_the_floor_writes_stop_reads_go_on_and_room_heals_it() {
    let Some(small) = Small::new("open") else { return };
    let site = &small.site;
    site.configure("free_space_min = \"1MiB\"", "free_space_min = \"40MiB\"");
    let server = site.start();
    let (answered, refusal) = fill(&server);
    let refusal = refusal.expect("the log goes on");
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.json()["type"], "urn:daybook:problem:not-taking-entries");
    assert!(!refusal.header("retry-after").is_empty());
    let ready = server.admin("/readyz");
    assert!(ready.status == 503 && ready.text().contains("below the floor"), "{}", ready.text());
    holds(&server, answered);
    assert_eq!(server.checkpoint(&site.policy()).head().size.get(), answered);
    small.enlarge();
    let healed = (0..200).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.post("/add", &entry(answered)).status == 200
    });
    assert!(healed.is_some(), "with room again the log takes entries by itself");
    assert_eq!(server.admin("/readyz").status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn without_a_floor_a_full_disk_stops_the_log_and_loses_nothing() {
    let Some(small) = Small::new("open") else { return };
    let site = &small.site;
    site.configure("free_space_min = \"1MiB\"", "free_space_min = \"0\"");
    let server = site.start();
    let (answered, refusal) = fill(&server);
    if let Some(refusal) = refusal {
        assert_eq!(refusal.status, 503, "{}", refusal.text());
    }
    drop(server);
    // Whether it starts on a full disk does not matter, only that it does no harm.
    if let Ok(server) = site.try_start() {
        holds(&server, answered);
    }
    small.enlarge();
    let server = site.start();
    holds(&server, answered);
    let size = server.checkpoint(&site.policy()).head().size.get();
    assert!(size >= answered, "{size} of {answered}");
    assert_eq!(server.add(b"life goes on"), size);
    drop(server);
    let checked = tests::server::daybook(&["fsck", &site.dir().to_string_lossy()]);
    assert!(checked.status.success(), "{checked:?}");
}

/// Begins an upload and sends so many bytes of it, no more.
fn begin(server: &Server, office: &Office, contents: &[u8], bytes: usize) -> TcpStream {
    let path = format!("/blobs/{}", sha256(contents));
    let note = header(office, &upload(office, &path, contents));
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/octet-stream\r\ndaybook-upload: {note}\r\n\
         content-length: {}\r\n\r\n",
        contents.len()
    );
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.write_all(head.as_bytes()).expect("sent");
    // A server that refuses may close before everything is sent.
    let _ = stream.write_all(&contents[..bytes]);
    stream
}

#[test]
fn uploads_at_the_same_time_leave_the_floor_free_together() {
    const UPLOAD_BYTES: usize = 30 << 20;
    let Some(small) = Small::new("records") else { return };
    let site = &small.site;
    site.configure("free_space_min = \"1MiB\"", "free_space_min = \"40MiB\"");
    let server = site.start();
    let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
    for statement in open(&world, &office) {
        post(&statement).good(server.address());
    }
    small.settle();
    let contents = |fill: u8| vec![fill; UPLOAD_BYTES];
    let slow = begin(&server, &office, &contents(1), 1 << 20);
    let incoming = site.dir().join("blobs/incoming");
    eventually(|| std::fs::read_dir(&incoming).expect("a folder").count() == 1);
    let refused = exchange_on(begin(&server, &office, &contents(2), 0), b"").expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["type"], "urn:daybook:problem:not-taking-entries");
    assert!(refused.text().contains("uploads under way") && !refused.header("retry-after").is_empty());
    let letter = Letter::new(&world, &office, "A");
    letter.publish(&office, server.address());
    assert_eq!(server.admin("/readyz").status, 200, "what is small goes on");
    drop(slow);
    eventually(|| {
        let whole = begin(&server, &office, &contents(2), UPLOAD_BYTES);
        exchange_on(whole, b"").is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(server.get(&format!("/blobs/{}", sha256(&contents(2)))).body.len(), UPLOAD_BYTES);
    assert_eq!(server.stop(), 0);
}

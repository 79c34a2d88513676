//! Kills the log under load, again and again. What it answered before must be there afterwards, and every
//! checkpoint that anyone saw must be the beginning of every later one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::clock::{Random, SystemRandom};
use daybook::fsck::fsck;
use daybook::prove::Prover;
use daybook::source::Source;
use tests::server::{Site, exchange};
use tlog::hash::leaf_hash;
use tlog::ids::TreeHead;
use tlog::note::Note;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

const CLIENTS: u64 = 6;
const KILLS_DEFAULT: u64 = 20;
/// The longest life of a server, in milliseconds.
const LIFE_MAX: u64 = 200;

/// What clients were told, over all lives of the log.
#[derive(Default)]
struct Told {
    placed: Mutex<Vec<(u64, Vec<u8>)>>,
    /// Entries with the receipts that the log gave for them at the time.
    receipts: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    heads: Mutex<Vec<TreeHead>>,
    next: AtomicU64,
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number} {}", "x".repeat(usize::try_from(number % 700).expect("small"))).into_bytes()
}

/// One client: single entries, batches, and now and then the same again.
fn client(address: std::net::SocketAddr, told: &Told, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let batch = 1 + random(3) * random(40);
        let first = told.next.fetch_add(batch, Ordering::Relaxed);
        let first = if random(8) == 0 { random(first + 1) } else { first };
        let entries: Vec<Vec<u8>> = (first..first + batch).map(entry).collect();
        let mut body = Vec::new();
        entries.iter().for_each(|entry| tlog::bundle::push_entry(&mut body, entry).expect("short"));
        let (path, body) = if batch == 1 { ("/add", entries[0].clone()) } else { ("/add-batch", body) };
        let headers = [("content-type", "application/octet-stream")];
        let Ok(answer) = exchange(address, "POST", path, &headers, &body) else { continue };
        if answer.status != 200 {
            continue;
        }
        let indexes: Vec<u64> = answer.text().lines().map(|line| line.parse().expect("an index")).collect();
        assert_eq!(indexes.len(), entries.len());
        let receipt = format!("/entry/{}", indexes[0]);
        if let Ok(answer) = exchange(address, "GET", &receipt, &[("accept", "text/plain")], b"") {
            assert_eq!(answer.status, 200, "what was answered is published");
            told.receipts.lock().expect("no client panicked").push((entries[0].clone(), answer.body));
        }
        told.placed.lock().expect("no client panicked").extend(indexes.into_iter().zip(entries));
        if let Ok(answer) = exchange(address, "GET", "/checkpoint", &[], b"") {
            let note = Note::parse(&answer.body).expect("a whole checkpoint, always");
            let checkpoint = tlog::checkpoint::Checkpoint::parse(note.text()).expect("a checkpoint");
            told.heads.lock().expect("no client panicked").push(checkpoint.head());
        }
    }
}

/// Everything that was ever told holds in the log as it is now.
fn audit(url: &str, policy: &Policy, told: &Told) -> u64 {
    let source = Source::open(url).expect("the log answers");
    let note = Note::parse(&source.checkpoint().expect("a checkpoint")).expect("a note");
    let checkpoint = policy.verify(&note).expect("signed");
    let head = checkpoint.head();
    let mut entries = Vec::new();
    let report =
        fsck(&source, head, &mut |_, entry| entries.push(entry.to_vec()), &mut |_| ()).expect("readable");
    assert!(report.is_good(), "{report:?}");
    let placed = told.placed.lock().expect("no client panicked");
    for (index, entry) in placed.iter() {
        let at = usize::try_from(*index).expect("an index");
        assert_eq!(entries.get(at), Some(entry), "entry {index} was answered and is not there");
    }
    let distinct: std::collections::HashSet<&Vec<u8>> = entries.iter().collect();
    assert_eq!(distinct.len(), entries.len(), "no entry is stored twice");
    let prover = Prover::new(source);
    let mut heads = told.heads.lock().expect("no client panicked");
    heads.sort_by_key(|head| head.size);
    heads.dedup();
    for seen in heads.iter() {
        assert!(
            seen.size <= head.size,
            "a checkpoint of {} was seen, and now there are {}",
            seen.size,
            head.size
        );
        let (then, ..) = prover.consistency(seen.size, head.size, head).expect("a proof");
        assert_eq!(then.root, seen.root, "the tree of {} entries has changed", seen.size);
    }
    // Every receipt that a client kept verifies offline, and speaks of a tree that this one continues.
    for (entry, receipt) in told.receipts.lock().expect("no client panicked").iter() {
        let receipt = TlogProof::parse(receipt).expect("a whole receipt, always");
        let kept = receipt.verify(&leaf_hash(entry), policy).expect("the receipt verifies").head();
        assert!(kept.size <= head.size, "a receipt speaks of {} entries", kept.size);
        let (then, ..) = prover.consistency(kept.size, head.size, head).expect("a proof");
        assert_eq!(then.root, kept.root, "the tree of {} entries has changed", kept.size);
    }
    head.size.get()
}

#[test]
fn what_was_answered_survives_every_kill() {
    let kills =
        std::env::var("DAYBOOK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let site = Site::new("open");
    let policy = site.policy();
    let told = Arc::new(Told::default());
    for kill in 1..=kills {
        let server = site.start();
        let over = Arc::new(AtomicBool::new(false));
        let address = server.address();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (told, over) = (Arc::clone(&told), Arc::clone(&over));
                std::thread::spawn(move || client(address, &told, &over))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random(LIFE_MAX)));
        server.kill();
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("no client panics"));
        // A full audit each time would only test the audit.
        if kill % 10 == 0 || kill == kills {
            let server = site.start();
            let size = audit(&server.url(), &policy, &told);
            println!("{kill} kills, {size} entries");
        }
    }
    let placed = told.placed.lock().expect("no client panicked").len();
    let receipts = told.receipts.lock().expect("no client panicked").len();
    println!("{placed} answers and {receipts} kept receipts hold");
    assert!(
        placed as u64 >= kills && receipts as u64 >= kills,
        "the clients were answered: {placed}, {receipts}"
    );
}

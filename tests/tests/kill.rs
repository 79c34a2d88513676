//! Kills the log under load, again and again. What it answered before must be there afterwards, and every
//! checkpoint that anyone saw must be the beginning of every later one. What a tombstone erased must be in no file.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::clock::{Random, SystemRandom};
use daybook::fsck::fsck;
use daybook::prove::Prover;
use daybook::source::Source;
use tests::letters::{ALL, Call, FIELDS, Letter, VaultKeys, live_vault_keys, open, post, vault_keys};
use tests::records::{Office, World};
use tests::server::{ORIGIN, Server, Site, exchange};
use tlog::hash::leaf_hash;
use tlog::ids::TreeHead;
use tlog::note::Note;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;

const CLIENTS: u64 = 6;
const CLERKS: u64 = 3;
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

/// How often to kill, unless told otherwise.
fn kills(usually: u64) -> u64 {
    std::env::var("DAYBOOK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(usually)
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
    let distinct: HashSet<&Vec<u8>> = entries.iter().collect();
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
    let kills = kills(KILLS_DEFAULT);
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

/// A letter that was entered, and what is known of its tombstone.
struct Entered {
    letter: Letter,
    /// What was shown.
    shown: Vec<&'static str>,
    /// The leaf hash of a tombstone that was sent.
    tombstone: Option<tlog::hash::Hash>,
    /// It was answered.
    erased: bool,
}

/// One client that enters letters, shows their fields, and erases every other one.
fn clerk(to: std::net::SocketAddr, entered: &Mutex<Vec<Entered>>, next: &AtomicU64, over: &AtomicBool) {
    let (world, office) = (World::new(ORIGIN), Office::new("treasury.example"));
    let is_good = |call: &Call| {
        let answer = call.send(to).ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Some(answer)
    };
    while !over.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let letter = Letter::new(&world, &office, &format!("L{number}"));
        if is_good(&letter.upload(&office)).is_none() {
            continue;
        }
        // One whose answer is lost may be there or not; it is not looked at again.
        let Some(answer) = is_good(&post(&letter.statement)) else { continue };
        let index = answer.json()["index"].as_u64().expect("an index");
        let shown = FIELDS.into_iter().filter(|field| is_good(&letter.show(&office, field)).is_some());
        let mut one = Entered { shown: shown.collect(), letter, tombstone: None, erased: false };
        if number.is_multiple_of(2) {
            let tombstone = one.letter.tombstone(&world, &office, index, &ALL);
            one.tombstone = Some(leaf_hash(&tombstone));
            one.erased = is_good(&post(&tombstone)).is_some();
        }
        entered.lock().expect("no client panicked").push(one);
    }
}

/// What a published tombstone took is in no file, and everything else that was entered is there. How many are erased.
fn audit_letters(server: &Server, site: &Site, entered: &[Entered], keys: &VaultKeys) -> usize {
    let to = server.address();
    let (mut gone, mut destroyed) = (0, HashSet::new());
    for Entered { letter, shown, tombstone, erased } in entered {
        let (attachment, values) =
            (letter.read().send(to).expect("an answer"), letter.read_shown().send(to).expect("an answer"));
        let published =
            tombstone.is_some_and(|leaf| server.get(&format!("/entry/by-hash/{leaf}")).status == 200);
        assert!(published || !erased, "an answered tombstone is in the log");
        if published {
            assert_eq!((attachment.status, values.status), (410, 410), "{}", values.text());
            destroyed.extend(letter.keys(keys).into_iter().map(<[u8; 32]>::as_slice));
            gone += 1;
        } else {
            assert_eq!(attachment.status, 200, "{}", attachment.text());
            assert!(attachment.body == letter.contents);
            assert!(shown.iter().all(|field| letter.is_shown(&values, field)), "{}", values.text());
        }
    }
    let bytes = tests::all_bytes(&site.dir().join("vault"));
    let left = bytes.windows(32).filter(|window| destroyed.contains(window)).count();
    assert_eq!(left, 0, "a key that its tombstone has destroyed is in a file");
    gone
}

#[test]
fn what_was_erased_stays_so_and_nothing_else_is_lost_at_any_kill() {
    let kills = kills(KILLS_DEFAULT / 2);
    let site = Site::new("records");
    let server = site.start();
    for statement in open(&World::new(ORIGIN), &Office::new("treasury.example")) {
        post(&statement).good(server.address());
    }
    server.kill();
    let entered = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU64::new(0));
    // Every key that the vault was seen to have.
    let (mut keys, mut gone, mut audited) = (VaultKeys::new(), 0, 0);
    for kill in 1..=kills {
        let server = site.start();
        let over = Arc::new(AtomicBool::new(false));
        let to = server.address();
        let clerks: Vec<_> = (0..CLERKS)
            .map(|_| {
                let (entered, next, over) = (Arc::clone(&entered), Arc::clone(&next), Arc::clone(&over));
                std::thread::spawn(move || clerk(to, &entered, &next, &over))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(LIFE_MAX + random(LIFE_MAX)));
        // While they are at work, what they are about to erase still has its key.
        let before = live_vault_keys(&site.dir());
        std::thread::sleep(Duration::from_millis(random(LIFE_MAX)));
        server.kill();
        over.store(true, Ordering::Relaxed);
        clerks.into_iter().for_each(|clerk| clerk.join().expect("no client panics"));
        for (place, more) in before.into_iter().chain(vault_keys(&site.dir())) {
            keys.entry(place).or_default().extend(more);
        }
        let server = site.start();
        let entered = entered.lock().expect("no client panicked");
        // Those of this life, and all of them now and then.
        let all = kill % 10 == 0 || kill == kills;
        gone = audit_letters(&server, &site, &entered[if all { 0 } else { audited }..], &keys);
        audited = entered.len();
        server.kill();
    }
    let all = entered.lock().expect("no client panicked").len();
    println!("{kills} kills, {all} letters, of which {gone} are erased");
    assert!(gone as u64 >= kills / 2 && all > gone, "there was something to erase, and to keep");
}

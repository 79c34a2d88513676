//! Real power loss: the log on a file system of its own, whose journal is cut off without a flush. What was answered
//! before the cut must be there afterwards. Run by `cargo xtask power-loss`, as root.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::clock::{Random, SystemRandom};
use tests::check::check;
use tests::server::{Server, Site, exchange};
use tests::testlog::TestLog;
use tests::volume::{Volume, run};
use tests::witness::WitnessSite;

const CUTS_DEFAULT: u32 = 10;
const CLIENTS: u32 = 4;
/// More heads than a log grows by between two cuts.
const HEADS_A_CUT: u64 = 800;

fn client(
    server: std::net::SocketAddr,
    next: &AtomicU64,
    told: &Mutex<Vec<(u64, Vec<u8>)>>,
    over: &AtomicBool,
) {
    while !over.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let entry = format!("entry {number}").into_bytes();
        let headers = [("content-type", "application/octet-stream")];
        let Ok(answer) = exchange(server, "POST", "/add", &headers, &entry) else { continue };
        if answer.status == 200 && !over.load(Ordering::Relaxed) {
            let index = answer.text().trim().parse().expect("an index");
            told.lock().expect("no client panicked").push((index, entry));
        }
    }
}

#[test]
#[ignore = "needs root; run it with `cargo xtask power-loss`"]
fn what_was_answered_survives_every_power_cut() {
    let cuts = std::env::var("DAYBOOK_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS_DEFAULT);
    let site = Site::new("open");
    let volume = Volume::make(site.root());
    let dir = volume.mount.join("log");
    run("cp", &["-r", &site.dir().to_string_lossy(), &dir.to_string_lossy()]);
    // The copy must be on the device before the first cut, as a log that was made with `init` is.
    run("sync", &[]);
    std::fs::remove_dir_all(site.dir()).expect("removed");
    std::os::unix::fs::symlink(&dir, site.dir()).expect("a link");
    let told = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU64::new(0));
    for cut in 1..=cuts {
        let server: Server = site.start();
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (told, next, over, address) =
                    (Arc::clone(&told), Arc::clone(&next), Arc::clone(&over), server.address());
                std::thread::spawn(move || client(address, &next, &told, &over))
            })
            .collect();
        let mut byte = [0];
        SystemRandom.fill(&mut byte);
        std::thread::sleep(Duration::from_millis(50 + u64::from(byte[0]) * 4));
        volume.cut(|| over.store(true, Ordering::Relaxed));
        server.kill();
        clients.into_iter().for_each(|client| client.join().expect("no client panics"));
        volume.unmount();
        volume.mount();
        let server = site.start();
        let described = server.get("/log.json").json();
        let keys: Vec<tlog::vkey::VerifierKey> = described["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key.as_str().expect("text").parse().expect("a key"))
            .collect();
        let audited = check(&dir.join("public"), &keys);
        let told = told.lock().expect("no client panicked");
        for (index, entry) in told.iter() {
            let at = usize::try_from(*index).expect("an index");
            assert_eq!(audited.entries.get(at), Some(entry), "entry {index} was answered and is gone");
        }
        println!("cut {cut}: {} answered entries are there, of {} in all", told.len(), audited.entries.len());
        assert_eq!(server.stop(), 0);
    }
}

/// Grows a log at the witness until the power goes; the largest size that was cosigned.
fn grow(server: std::net::SocketAddr, log: &TestLog, from: u64, over: &AtomicBool) -> u64 {
    let mut cosigned = from;
    while !over.load(Ordering::Relaxed) && cosigned < log.leaves.len() as u64 {
        let body = log.request(cosigned, cosigned + 1).to_bytes();
        let Ok(answer) = exchange(server, "POST", "/add-checkpoint", &[], &body) else { break };
        if answer.status != 200 || over.load(Ordering::Relaxed) {
            break;
        }
        cosigned += 1;
    }
    cosigned
}

#[test]
#[ignore = "needs root; run it with `cargo xtask power-loss`"]
fn a_witness_never_forgets_what_it_cosigned_whenever_the_power_goes() {
    let cuts = std::env::var("DAYBOOK_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS_DEFAULT);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let volume = Volume::make(folder.path());
    let site = WitnessSite::at(&volume.mount.join("witness"), &[]);
    let leaves = u64::from(cuts) * HEADS_A_CUT;
    let logs: Vec<TestLog> =
        (1..=4).map(|seed| TestLog::new(&format!("log{seed}.example"), seed, leaves)).collect();
    logs.iter().for_each(|log| site.follow(log, &[]));
    run("sync", &[]);
    let mut cosigned = vec![0; logs.len()];
    for cut in 1..=cuts {
        let server = site.start();
        let (over, address) = (AtomicBool::new(false), server.address());
        let mut byte = [0];
        SystemRandom.fill(&mut byte);
        std::thread::scope(|scope| {
            let clients: Vec<_> = logs
                .iter()
                .zip(cosigned.clone())
                .map(|(log, from)| {
                    scope.spawn({
                        let over = &over;
                        move || grow(address, log, from, over)
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(50 + u64::from(byte[0]) * 2));
            volume.cut(|| over.store(true, Ordering::Relaxed));
            server.kill();
            cosigned = clients.into_iter().map(|client| client.join().expect("no client panics")).collect();
        });
        volume.unmount();
        volume.mount();
        let server = site.start();
        for (log, cosigned) in logs.iter().zip(&mut cosigned) {
            // With an old size that it cannot have it answers which it has.
            let answer = server.add(&log.request(leaves, leaves));
            let has: u64 = answer.text().trim().parse().expect("a size");
            assert!(has == *cosigned || has == *cosigned + 1, "it cosigned {cosigned} and knows {has}");
            *cosigned = has;
        }
        println!("cut {cut}: every cosigned head is there: {cosigned:?}");
        assert_eq!(server.stop(), 0);
    }
}

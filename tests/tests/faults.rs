//! The fault table: every disk operation of a log's life fails, once or for good, in each way an operation can fail; and
//! every buffer between an entry's hash and the signature has a bit flipped. Afterwards everything public is audited.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook::log::OpenError;
use daybook::probe::{Point, Probe};
use daybook::store::disk::fault::{Fault, How};
use tests::check::{Audited, check, root_at};
use tests::{Bench, Running, copy_all};
use tlog::hash::Hash;
use tlog::ids::TreeHead;

/// What clients were told.
#[derive(Default)]
struct Told {
    placed: BTreeMap<Vec<u8>, u64>,
    heads: Vec<TreeHead>,
}

impl Told {
    /// Adds entries, remembers the answers. `false` once the engine has failed.
    fn add(&mut self, running: &mut Running, entries: &[Vec<u8>]) -> bool {
        let slices: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let answered = running.add(&slices);
        self.heads.push(running.log.published().head());
        match answered {
            Ok(Some(placed)) => {
                for (entry, placed) in entries.iter().zip(placed) {
                    let before = self.placed.insert(entry.clone(), placed.index.get());
                    assert!(
                        before.is_none_or(|before| before == placed.index.get()),
                        "an index never changes"
                    );
                }
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// Everything told holds in what is public.
    fn audit(&self, audited: &Audited) {
        let stored = audited.by_bytes();
        for (entry, index) in &self.placed {
            assert_eq!(stored.get(entry.as_slice()), Some(index), "an answered entry is in the tree");
        }
        for head in &self.heads {
            assert!(head.size <= audited.checkpoint.head().size, "the tree never shrinks");
            assert_eq!(
                root_at(audited, head.size),
                head.root,
                "a published tree is the beginning of every later one"
            );
        }
    }
}

fn entries(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| format!("entry {number}").into_bytes()).collect()
}

fn audit(bench: &Bench, running: &Running) -> Audited {
    check(&bench.dir().join("public"), running.log.signer.verifier_keys())
}

/// A small life: batches over tile borders, housekeeping in between. `false` if something failed.
fn live(running: &mut Running, told: &mut Told) -> bool {
    for range in [0..1, 1..3, 3..255, 255..257, 257..520, 519..523] {
        if !told.add(running, &entries(range)) || running.engine.housekeeper.step().is_err() {
            return false;
        }
    }
    running.engine.housekeeper.finish().is_ok()
}

/// How many operations a life without faults has, start-up included.
fn operations(make: fn() -> Bench) -> u64 {
    let bench = make();
    bench.disk.set(None);
    let mut running = bench.start().expect("a log");
    running.step().expect("its witnesses answer, if it has any");
    assert!(live(&mut running, &mut Told::default()));
    bench.disk.count()
}

fn table(make: fn() -> Bench, step: usize) {
    let count = operations(make);
    assert!(count > 60, "the life has disk operations: {count}");
    for how in [How::Fails, How::FailsButDone, How::Torn] {
        for once in [false, true] {
            for at in (0..count).step_by(step) {
                one_fault(make, Fault { at, how, once });
            }
        }
    }
}

fn one_fault(make: fn() -> Bench, fault: Fault) {
    let bench = make();
    bench.disk.set(Some(fault));
    let mut told = Told::default();
    if let Ok(mut running) = bench.start()
        && running.step().is_ok()
    {
        live(&mut running, &mut told);
    }
    // The process is gone; the next one finds a disk that works, unless the fault lay beyond this life.
    bench.disk.set(None);
    let mut running =
        bench.start().unwrap_or_else(|error| panic!("{fault:?}: the log does not start again: {error}"));
    running.step().unwrap_or_else(|error| panic!("{fault:?}: the witnesses know something else: {error}"));
    told.audit(&audit(&bench, &running));
    assert!(
        told.add(&mut running, &entries(0..3)) && told.add(&mut running, &entries(600..700)),
        "{fault:?}"
    );
    told.audit(&audit(&bench, &running));
}

#[test]
fn no_failing_disk_operation_loses_an_answer_or_forks_the_tree() {
    table(Bench::new, 1);
}

#[test]
fn nor_does_one_with_an_anchor() {
    table(|| Bench::with_anchor(true), 3);
}

#[test]
fn nor_does_one_with_witnesses_and_an_anchor() {
    table(|| Bench::with(true, 3, 4), 11);
}

/// Flips one bit, once, of a buffer that is long enough.
fn flip(point: Point, number: usize, bit: usize) -> (Probe, Arc<AtomicBool>) {
    let flipped = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&flipped);
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let probe = Probe::new(move |at, bytes| {
        if at == point && !bytes.is_empty() && seen.fetch_add(1, Ordering::SeqCst) == number {
            let at = bit % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            done.store(true, Ordering::SeqCst);
        }
    });
    (probe, flipped)
}

#[test]
fn a_flipped_bit_anywhere_between_hash_and_signature_is_never_published() {
    for point in Point::ALL {
        let mut reached = 0;
        for number in [0, 1, 2, 5, 9, 260] {
            for bit in [0, 7, 100, 255, 2011] {
                let bench = Bench::new();
                let mut told = Told::default();
                // A first life without faults, so that there is a tree to damage.
                let mut running = bench.start().expect("a log");
                assert!(told.add(&mut running, &entries(0..300)));
                drop(running);
                let (probe, flipped) = flip(point, number, bit);
                if let Ok(mut running) = bench.start_with(probe) {
                    for range in [300..301, 301..310, 310..600] {
                        if !told.add(&mut running, &entries(range)) {
                            break;
                        }
                    }
                    let published = running.log.published().head();
                    drop(running);
                    let note = std::fs::read(bench.dir().join("public/checkpoint")).expect("a checkpoint");
                    let note = tlog::note::Note::parse(&note).expect("a note");
                    let shown =
                        tlog::checkpoint::Checkpoint::parse(note.text()).expect("a checkpoint").head();
                    assert_eq!(shown, published);
                }
                reached += usize::from(flipped.load(Ordering::SeqCst));
                let running =
                    bench.start().unwrap_or_else(|error| panic!("{point:?} {number} {bit}: {error}"));
                let audited = audit(&bench, &running);
                told.audit(&audited);
                let expected: Vec<Vec<u8>> = entries(0..u32::try_from(audited.entries.len()).expect("small"));
                assert_eq!(audited.entries, expected, "{point:?}: nothing else is in the log");
            }
        }
        assert!(reached > 0, "{point:?} was never reached: the test tests nothing");
    }
}

#[test]
fn a_bit_flipped_in_the_public_tree_stops_the_start_or_is_repaired_from_the_journal() {
    let bench = Bench::new();
    let mut told = Told::default();
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(0..300)));
    running.engine.housekeeper.finish().expect("flushed");
    drop(running);
    // Flushed: below the watermark a difference is an alarm.
    for path in ["tile/0/001.p/44", "tile/1/000.p/1"] {
        let file = bench.dir().join("public").join(path);
        let good = std::fs::read(&file).expect("a tile");
        let mut bad = good.clone();
        bad[3] ^= 4;
        std::fs::write(&file, bad).expect("written");
        let refused = bench.start().expect_err("the right edge does not hash to the head");
        assert!(
            matches!(refused, OpenError::Recover(_)) && refused.to_string().contains("fsck"),
            "{refused}"
        );
        std::fs::write(&file, good).expect("written");
    }
    let mut running = bench.start().expect("whole again");
    // Not flushed: the journal still has it.
    assert!(told.add(&mut running, &entries(300..310)));
    drop(running);
    std::fs::write(bench.dir().join("public/tile/0/001.p/54"), vec![0; 54 * 32]).expect("written");
    let running = bench.start().expect("replayed");
    told.audit(&audit(&bench, &running));
}

#[test]
fn an_old_copy_of_the_whole_directory_is_refused_by_its_anchor() {
    let bench = Bench::with_anchor(true);
    let mut told = Told::default();
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(0..20)));
    running.engine.housekeeper.finish().expect("flushed");
    drop(running);
    let copy = bench.root().join("copy");
    copy_all(&bench.dir(), &copy);
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(20..21)));
    running.engine.housekeeper.finish().expect("flushed");
    drop(running);
    let newest = bench.root().join("newest");
    std::fs::rename(bench.dir(), &newest).expect("moved");
    copy_all(&copy, &bench.dir());
    let refused = bench.start().expect_err("the anchor knows a larger tree").to_string();
    assert!(refused.contains("anchor") && refused.contains("21"), "{refused}");
    std::fs::remove_dir_all(bench.dir()).expect("removed");
    std::fs::rename(&newest, bench.dir()).expect("moved");
    let running = bench.start().expect("the newest copy goes on");
    told.audit(&audit(&bench, &running));
}

#[test]
fn a_head_that_a_start_shows_for_the_first_time_is_in_the_anchor_before() {
    let bench = Bench::with_anchor(true);
    let mut told = Told::default();
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(0..20)));
    drop(running);
    let copy = bench.root().join("copy");
    copy_all(&bench.dir(), &copy);
    // The process ends between the commit and the anchor.
    let mut running = bench.start().expect("a log");
    let _never_answered = running.submit(&[b"entry 20"]).expect("taken in");
    bench.clock.advance(Duration::from_millis(1));
    running.engine.sequencer.step(Duration::ZERO).expect("committed");
    assert_eq!(running.log.published().head().size.get(), 20, "it was not shown");
    drop(running);
    let running = bench.start().expect("a log");
    assert_eq!(running.log.published().head().size.get(), 21, "now it is");
    drop(running);
    std::fs::remove_dir_all(bench.dir()).expect("removed");
    copy_all(&copy, &bench.dir());
    let refused = bench.start().expect_err("the anchor knows what was shown").to_string();
    assert!(refused.contains("anchor") && refused.contains("21"), "{refused}");
}

#[test]
fn a_journal_and_tiles_from_an_old_copy_are_refused_by_what_remembers_more() {
    let bench = Bench::new();
    let mut told = Told::default();
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(0..20)));
    running.engine.housekeeper.finish().expect("flushed");
    drop(running);
    let copy = bench.root().join("copy");
    copy_all(&bench.dir().join("journal"), &copy);
    let mut running = bench.start().expect("a log");
    assert!(told.add(&mut running, &entries(20..40)));
    running.engine.housekeeper.finish().expect("flushed");
    drop(running);
    std::fs::remove_dir_all(bench.dir().join("journal")).expect("removed");
    copy_all(&copy, &bench.dir().join("journal"));
    bench.start().expect_err("checkpoint and ledger know 40 entries, the journal 20");
}

#[test]
fn a_damaged_committed_record_is_refused_with_its_place() {
    let bench = Bench::new();
    let mut told = Told::default();
    let mut running = bench.start().expect("a log");
    for number in 0..6 {
        assert!(told.add(&mut running, &entries(number..number + 1)));
    }
    drop(running);
    let segment = std::fs::read_dir(bench.dir().join("journal"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .min()
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    // In the third record, with others after it.
    let records: Vec<usize> =
        (1..20).map(|page| page * 4096).filter(|at| bytes[*at..].starts_with(b"DBJRNL01")).collect();
    bytes[records[3] + 115] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let refused = bench.start().expect_err("a committed record is gone").to_string();
    assert!(refused.contains("damaged at byte"), "{refused}");
}

#[test]
fn a_full_disk_stops_writes_and_not_reads_and_says_why() {
    let mut bench = Bench::new();
    bench.config.storage.free_space_min.0 = u64::MAX;
    let mut running = bench.start().expect("a full disk is no reason not to serve");
    running.engine.housekeeper.step().expect("housekeeping goes on");
    let refused = running.add(&[b"x"]).expect_err("no room").to_string();
    assert!(refused.contains("floor") && refused.contains("nothing was stored"), "{refused}");
    assert_eq!(audit(&bench, &running).entries.len(), 0);
    assert!(running.log.pool.paused().is_some(), "readiness can say why");
}

#[test]
fn a_hash_is_all_zero_only_by_accident() {
    // The audit compares with what is stored; a log of nothing but zeroes is a log like any other.
    let bench = Bench::new();
    let mut running = bench.start().expect("a log");
    assert!(Told::default().add(&mut running, &[vec![0; 300], vec![0; 301]]));
    assert_ne!(audit(&bench, &running).checkpoint.head().root, Hash::from_bytes([0; 32]));
}

//! The engine in process: appends, duplicates, restarts, and what is on disk after each.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::Duration;

use daybook::pool::Placed;
use tests::check::check;
use tests::{Bench, Running};
use tlog::ids::LeafIndex;

fn placed(index: u64, duplicate: bool) -> Placed {
    Placed { index: LeafIndex::new(index).unwrap(), duplicate }
}

fn audit(bench: &Bench, running: &Running) -> tests::check::Audited {
    check(&bench.dir().join("public"), running.log.signer.verifier_keys())
}

#[test]
fn a_new_log_publishes_the_signed_empty_tree() {
    let bench = Bench::new();
    let running = bench.start().unwrap();
    let audited = audit(&bench, &running);
    assert_eq!(audited.checkpoint.head(), tlog::ids::TreeHead::EMPTY);
}

#[test]
fn the_first_entry_is_entry_0_and_its_duplicate_is_the_same_entry() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    assert_eq!(running.add(&[b"first"]).unwrap().unwrap(), [placed(0, false)]);
    assert_eq!(running.add(&[b"first"]).unwrap().unwrap(), [placed(0, true)]);
    assert_eq!(
        running.add(&[b"second", b"first", b"second"]).unwrap().unwrap(),
        [placed(1, false), placed(0, true), placed(1, true)]
    );
    assert_eq!(audit(&bench, &running).entries, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn duplicates_are_found_across_restarts_and_after_the_index_is_lost() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    let entries: Vec<Vec<u8>> = (0..700).map(|i| format!("entry {i}").into_bytes()).collect();
    for chunk in entries.chunks(97) {
        let chunk: Vec<&[u8]> = chunk.iter().map(Vec::as_slice).collect();
        running.add(&chunk).unwrap().unwrap();
    }
    running.engine.housekeeper.finish().unwrap();
    drop(running);
    for lost in [false, true] {
        if lost {
            std::fs::remove_dir_all(bench.dir().join("index")).unwrap();
        }
        let mut running = bench.start().unwrap();
        for (index, entry) in (0..).zip(&entries) {
            assert_eq!(running.add(&[entry]).unwrap().unwrap(), [placed(index, true)], "lost {lost}");
        }
        assert_eq!(audit(&bench, &running).entries.len(), 700);
    }
}

#[test]
fn every_size_at_which_tiles_fill_survives_a_crash_and_a_restart() {
    let bench = Bench::new();
    let mut total = 0_u64;
    for (round, size) in [1_u64, 2, 255, 256, 257, 511, 513, 1024].into_iter().enumerate() {
        let mut running = bench.start().unwrap();
        let entries: Vec<Vec<u8>> = (total..size).map(|i| i.to_be_bytes().to_vec()).collect();
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let answer = running.add(&entries).unwrap().unwrap();
        assert_eq!(answer.last().unwrap().index.get(), size - 1);
        total = size;
        if round % 2 == 0 {
            running.engine.housekeeper.step().unwrap();
        }
        let head = running.log.published().head();
        drop(running);
        let running = bench.start().unwrap();
        assert_eq!(running.log.published().head(), head, "the same head is published again");
        assert_eq!(audit(&bench, &running).entries.len() as u64, size);
    }
}

#[test]
fn recovery_signs_the_same_bytes_again() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    running.add(&[b"entry"]).unwrap().unwrap();
    let before = running.log.published().note.clone();
    drop(running);
    std::fs::remove_file(bench.dir().join("public/checkpoint")).unwrap();
    let running = bench.start().unwrap();
    assert_eq!(running.log.published().note, before);
}

#[test]
fn an_idle_log_signs_a_fresh_head_with_a_later_time() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    let first = running.log.published().time;
    bench.clock.advance(Duration::from_secs(61));
    running.engine.housekeeper.step().unwrap();
    running.step().unwrap();
    let second = running.log.published();
    assert!(second.time.get() >= first.get() + 61_000);
    assert_eq!(second.checkpoint.tree_head_time(), Some(second.time));
}

#[test]
fn partial_tiles_are_kept_until_the_full_one_is_flushed_and_then_removed() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    let folder = bench.dir().join("public/tile/entries/000.p");
    for i in 0..255_u64 {
        running.add(&[&i.to_be_bytes()]).unwrap().unwrap();
    }
    running.engine.housekeeper.step().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 255, "a checkpoint was made of every size");
    running.add(&[b"the last one"]).unwrap().unwrap();
    assert!(folder.exists());
    running.engine.housekeeper.step().unwrap();
    assert!(!folder.exists());
    assert!(!bench.dir().join("public/tile/0/000.p").exists());
    assert_eq!(audit(&bench, &running).entries.len(), 256);
}

#[test]
fn logs_of_the_sizes_at_which_levels_fill_are_whole_after_each_restart() {
    let bench = Bench::new();
    let mut at = 0_u64;
    for size in [0_u64, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537] {
        let mut running = bench.start().unwrap();
        while at < size {
            let to = size.min(at + 8192);
            let entries: Vec<Vec<u8>> = (at..to).map(|i| i.to_be_bytes().to_vec()).collect();
            let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
            let answer = running.add(&entries).unwrap().unwrap();
            assert_eq!(answer.last(), Some(&placed(to - 1, false)));
            at = to;
        }
        // Half of the sizes end in order, the others as after a crash.
        if size % 2 == 0 {
            running.engine.housekeeper.finish().unwrap();
        }
        drop(running);
        let mut running = bench.start().unwrap();
        let audited = audit(&bench, &running);
        assert_eq!(audited.entries.len() as u64, size);
        assert!((0_u64..).zip(&audited.entries).all(|(i, entry)| *entry == i.to_be_bytes()), "size {size}");
        for index in [0, size / 2, size.saturating_sub(1)].into_iter().filter(|index| *index < size) {
            assert_eq!(
                running.add(&[&index.to_be_bytes()]).unwrap().unwrap(),
                [placed(index, true)],
                "of {size}"
            );
        }
    }
}

#[test]
fn readiness_says_what_is_wrong_with_the_checkpoint() {
    let bench = Bench::new();
    let mut running = bench.start().unwrap();
    running.add(&[b"an entry"]).unwrap().unwrap();
    let clock = std::sync::Arc::clone(&bench.clock) as std::sync::Arc<dyn daemon::clock::Clock>;
    let ready = daybook::http::health::readiness(std::sync::Arc::clone(&running.log), clock);
    assert_eq!(ready(), Ok(()));
    bench.clock.advance(Duration::from_secs(181));
    let stale = ready().unwrap_err();
    assert!(stale.contains("181 seconds old") && stale.contains("180"), "{stale}");
    running.engine.housekeeper.step().unwrap();
    running.step().unwrap();
    assert_eq!(ready(), Ok(()), "a fresh head was signed");

    let file = bench.dir().join("public/checkpoint");
    let good = std::fs::read(&file).unwrap();
    let says = |bytes: &[u8], what: &str| {
        std::fs::write(&file, bytes).unwrap();
        let reason = ready().unwrap_err();
        assert!(reason.contains(what), "{reason}");
    };
    says(b"", "malformed");
    says(&good[..good.len() - 20], "malformed");
    says(String::from_utf8_lossy(&good).replacen("\n1\n", "\n2\n", 1).as_bytes(), "does not verify");
    let other = Bench::new();
    let mut others = other.start().unwrap();
    others.add(&[b"an entry"]).unwrap().unwrap();
    says(&std::fs::read(other.dir().join("public/checkpoint")).unwrap(), "does not verify");
    std::fs::write(&file, &good).unwrap();
    running.log.pool.pause(daybook::pool::PauseBy::Space, "its disk is full");
    assert!(ready().unwrap_err().contains("its disk is full"));
    running.log.pool.resume(daybook::pool::PauseBy::Space);
    assert_eq!(ready(), Ok(()));
    // The same log's own, and signed by it, but an older one.
    let older = running.log.signer.sign(tlog::ids::TreeHead::EMPTY, running.log.published().time).unwrap();
    std::fs::write(&file, older.note().to_bytes()).unwrap();
    assert!(ready().unwrap_err().contains("older"));
    let head = running.log.published().head();
    let forked = tlog::ids::TreeHead { root: tlog::hash::leaf_hash(b"another tree"), ..head };
    let forked = running.log.signer.sign(forked, running.log.published().time).unwrap();
    std::fs::write(&file, forked.note().to_bytes()).unwrap();
    assert!(ready().unwrap_err().contains("another tree"));
}

#[test]
fn the_time_of_a_tree_head_strictly_increases_through_batches_refreshes_and_restarts() {
    let bench = Bench::new();
    let (mut last, mut entries) = (0, 0_u64);
    for _ in 0..4 {
        let mut running = bench.start().unwrap();
        assert!(running.log.published().time.get() >= last, "the same head is signed with the same time");
        for round in 0..6 {
            let before = running.log.published();
            if round % 3 == 2 {
                bench.clock.advance(Duration::from_secs(60));
                running.engine.housekeeper.step().unwrap();
                running.step().unwrap();
            } else {
                running.add(&[&entries.to_be_bytes()]).unwrap().unwrap();
                entries += 1;
            }
            let now = running.log.published();
            assert!(now.time > before.time && now.checkpoint.tree_head_time() == Some(now.time));
            last = now.time.get();
        }
    }
}

#[test]
fn an_index_of_another_tree_is_rebuilt_and_one_that_is_behind_is_filled() {
    let entries: Vec<Vec<u8>> = (0..600_u64).map(|i| i.to_be_bytes().to_vec()).collect();
    let fill = |bench: &Bench, count: usize, salt: u8| {
        let mut running = bench.start().unwrap();
        let entries: Vec<Vec<u8>> =
            entries[..count].iter().map(|entry| [entry.as_slice(), &[salt]].concat()).collect();
        running.add(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().unwrap();
        running.engine.housekeeper.finish().unwrap();
    };
    let index = |bench: &Bench| bench.dir().join("index");
    let (log, other) = (Bench::new(), Bench::new());
    fill(&log, 300, 0);
    let behind = log.root().join("behind");
    copy_files(&index(&log), &behind);
    fill(&log, 600, 0);
    let ahead = log.root().join("ahead");
    fill(&other, 600, 1);
    fill(&other, 600, 2);
    copy_files(&index(&other), &ahead);
    // Behind, of another log, ahead of this one, and of a program that is not ours.
    for replacement in [Some(&behind), Some(&index(&other)), Some(&ahead), None] {
        std::fs::remove_dir_all(index(&log)).unwrap();
        match replacement {
            Some(folder) => copy_files(folder, &index(&log)),
            None => {
                std::fs::create_dir_all(index(&log)).unwrap();
                std::fs::write(index(&log).join("0.sst"), [7; 100]).unwrap();
            }
        }
        let mut running = log.start().unwrap();
        for at in [0, 299, 300, 599] {
            let entry = [entries[at].as_slice(), &[0]].concat();
            assert_eq!(
                running.add(&[&entry]).unwrap().unwrap(),
                [placed(at as u64, true)],
                "{replacement:?}"
            );
        }
        let absent = [entries[5].as_slice(), &[1]].concat();
        assert_eq!(
            running.log.lookup.find(&tlog::hash::leaf_hash(&absent), running.log.heads.committed()).unwrap(),
            None
        );
        running.engine.housekeeper.finish().unwrap();
    }
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

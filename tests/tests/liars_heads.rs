//! Logs that sign one thing and serve another, or nothing: what a monitor says of them over time, and across the loss of
//! what it knew. And honest logs that must not be blamed for what happened to us or to a copy.

use std::time::Duration;

use monitor::judge::Seen;
use monitor::verdict::State;
use tests::home::{Home, json, monitor};
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::watch::Watch;
use tlog::hash::leaf_hash;
use tlog::ids::{TreeHead, TreeSize};

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];

/// What becomes of a file that had these bytes.
type Damage = dyn Fn(&std::path::Path, &[u8]);

/// A log with its keys, and a monitor that watches it.
struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
}

fn scene_with(policy: impl Fn(&Keys) -> String, more: &str) -> Scene {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let watch = Watch::new(ORIGIN, &[log.url()], &policy(&keys), more);
    Scene { keys, log, watch }
}

fn scene() -> Scene {
    scene_with(|keys| keys.policy(true), "")
}

impl Scene {
    /// Serves a tree under a fresh head. Single paths go on lying.
    fn serve(&self, tree: &Tree) {
        let replies = self.log.script().replies.clone();
        self.log.serve(tree, self.keys.sign(tree.head(), &ALL, self.watch.seconds()));
        self.log.script().replies = replies;
    }

    /// Serves a tree and expects it to be verified.
    fn verified(&mut self, tree: &Tree) {
        self.serve(tree);
        let verdict = self.watch.round();
        assert_eq!(verdict.state, State::Verified, "{verdict:?}");
        assert_eq!(self.watch.verified(), Some(tree.entries.len() as u64));
        assert!(self.watch.alarms().is_empty(), "{:?}", self.watch.alarms());
    }

    fn later(&self, seconds: u64) {
        self.watch.clock.advance(Duration::from_secs(seconds));
    }

    fn show(&self, note: &[u8]) -> Seen {
        self.watch.case().show(note, "posted").expect("the monitor goes on").expect("signed")
    }

    /// Loses the database, as if it had been deleted, and starts again.
    fn lose_database(&mut self) {
        self.watch.end();
        for file in ["monitor.sqlite", "monitor.sqlite-wal", "monitor.sqlite-shm"] {
            // Two of them may not be there.
            let _ = std::fs::remove_file(self.watch.dir().join(file));
        }
        self.watch.restart();
    }
}

#[test]
fn content_that_is_never_served_is_told_however_fresh_the_checkpoint_is() {
    let tree = Tree::of(700);
    for (path, status) in
        [("tile/entries/001", 500), ("tile/entries/002.p/188", 302), ("tile/1/000.p/2", 503)]
    {
        for restarts in [false, true] {
            let mut scene = scene();
            scene.verified(&tree.first(300));
            scene.log.reply(path, Reply::Body(status, Vec::new()));
            for round in 0..8 {
                scene.later(10);
                if restarts {
                    scene.watch.restart();
                }
                scene.serve(&tree);
                let verdict = scene.watch.round();
                assert_eq!(verdict.state, State::Unreachable, "{path}: {verdict:?}");
                let expected = format!("{} s ago", (round + 1) * 10);
                assert!(verdict.reason.contains(&expected), "{path}, round {round}: {verdict:?}");
                // Half a minute is an outage of a moment.
                let told = if round < 3 { (0, 0) } else { (1, 0) };
                assert_eq!(scene.watch.told("unreachable"), told, "{path}, round {round}");
            }
            assert!(scene.watch.evidence().is_empty());
            scene.log.heal();
            scene.verified(&tree);
            assert_eq!(scene.watch.told("unreachable"), (1, 1));
        }
    }
}

#[test]
fn a_fork_that_was_found_stays_told_when_its_proof_is_withheld() {
    let mut scene = scene();
    scene.verified(&Tree::of(300));
    let forked = Tree::of(700).with(7, b"changed");
    scene.serve(&forked);
    let path = "tile/1/000.p/2";
    // It is read once to tie the head to the verified one, and once more to prove what was found.
    scene.log.reply(path, Reply::Times(1, forked.object(path.parse().unwrap()).unwrap()));
    let verdict = scene.watch.round();
    assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
    assert_eq!(scene.watch.alarms(), ["fork"]);
    for _ in 0..3 {
        scene.later(10);
        assert_eq!(scene.watch.round().state, State::Damaged);
        assert_eq!(scene.watch.told("fork"), (1, 0), "it is not cleared by a proof that fails once more");
    }
    assert!(scene.watch.evidence().is_empty());
    scene.log.heal();
    scene.watch.round();
    let witnesses = ["witness-two-subtrees"; 3];
    scene.watch.assert_caught(&[&["log-two-subtrees"][..], &witnesses].concat());
}

#[test]
fn two_roots_by_two_keys_of_one_log_are_told_and_kept_until_one_key_has_signed_both() {
    let mut scene = scene_with(Keys::policy_of_two, "");
    let tree = Tree::of(700);
    let other = tree.with(7, b"for others");
    scene.verified(&tree.first(300));
    // One head that is verified already, one that is not yet.
    for size in [300, 700] {
        let seen = scene.show(&scene.keys.sign_second(other.first(size).head()));
        assert!(matches!(seen, Seen::Kept(_)), "{seen:?}");
    }
    assert_eq!(scene.watch.verdict().state, State::Damaged);
    for _ in 0..2 {
        scene.serve(&tree);
        let verdict = scene.watch.round();
        assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
        assert_eq!(scene.watch.verified(), Some(700), "what the log serves goes on");
        assert_eq!(scene.watch.alarms(), ["fork"]);
        assert_eq!(scene.watch.told("fork"), (3, 1), "the one that is served was verified");
        assert!(scene.watch.evidence().is_empty(), "no key has contradicted itself");
        let waiting = scene.watch.case().store.pending(ORIGIN).unwrap();
        assert_eq!(waiting.len(), 2, "both are kept: {waiting:?}");
    }
    let seen = scene.show(&scene.keys.sign(other.head(), &[], scene.watch.seconds()));
    assert!(matches!(seen, Seen::Contradiction(_)), "{seen:?}");
    scene.watch.assert_caught(&["log-two-roots"]);
}

#[test]
fn two_roots_by_two_keys_of_which_none_is_verified_are_told_until_one_is() {
    let mut scene = scene_with(Keys::policy_of_two, "");
    let tree = Tree::of(700);
    scene.verified(&tree.first(300));
    let (own, other) = (tree.head(), tree.with(7, b"for others").head());
    scene.show(&scene.keys.sign_second(other));
    let seen = scene.show(&scene.keys.sign(own, &ALL, scene.watch.seconds()));
    assert!(matches!(seen, Seen::Kept(_)), "{seen:?}");
    assert_eq!(scene.watch.told("fork"), (2, 0), "each of them may be the lie");
    scene.serve(&tree);
    assert_eq!(scene.watch.round().state, State::Damaged);
    assert_eq!(scene.watch.told("fork"), (2, 1), "the one that is served was verified");
    assert_eq!(scene.watch.alarms(), ["fork"]);
}

#[test]
fn a_flood_of_signed_heads_fills_its_room_and_blinds_nobody() {
    let mut scene = scene();
    let tree = Tree::of(400);
    scene.verified(&tree.first(300));
    let mut kept = 0_u64;
    for letters in [250_000, 80_000, 20_000, 5_000, 1_000, 200, 1] {
        loop {
            let root = leaf_hash(&kept.to_be_bytes());
            let head = TreeHead { size: TreeSize::new(1000 + kept).unwrap(), root };
            let seen = scene.show(&scene.keys.sign_long(head, letters));
            let Seen::Kept(why) = seen else { panic!("{seen:?}") };
            if why.contains("too many") {
                break;
            }
            kept += 1;
            assert!(kept < 1000, "there is an end to it");
        }
    }
    assert_eq!(scene.watch.verdict().state, State::Damaged, "not all that was signed is known");
    assert_eq!(scene.watch.alarms(), ["heads"]);

    let seconds = scene.watch.seconds();
    let older = scene.keys.sign(tree.first(100).head(), &[], seconds);
    assert_eq!(scene.show(&older), Seen::Older, "our own hashes settle it, and it needs no room");
    scene.serve(&tree);
    scene.watch.round();
    assert_eq!(scene.watch.verified(), Some(400), "what is served is verified, room or not");
    assert_eq!(scene.watch.verdict().state, State::Damaged);
    let smaller = scene.keys.sign(tree.first(200).with(7, b"x").head(), &[], seconds);
    assert!(matches!(scene.show(&smaller), Seen::Kept(_)));
    scene.watch.round();
    assert_eq!(scene.watch.alarms(), ["fork", "heads"], "one that is a lie is told, room or not");
    let other = scene.keys.sign(tree.with(7, b"x").head(), &[], seconds);
    assert!(matches!(scene.show(&other), Seen::Contradiction(_)));
    scene.watch.assert_caught(&["log-two-roots"]);
}

#[test]
fn a_log_that_contradicts_itself_without_end_does_not_fill_the_disk_with_proofs() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree);
    for number in 0..70_u64 {
        let other = tree.with(7, &number.to_be_bytes());
        let seen = scene.show(&scene.keys.sign(other.head(), &[], scene.watch.seconds()));
        assert!(matches!(seen, Seen::Contradiction(_)), "{seen:?}");
    }
    assert_eq!(scene.watch.evidence(), ["log-two-roots"; 64]);
    assert_eq!(scene.watch.verdict().state, State::Misbehaving);
}

#[test]
fn a_rollback_after_the_database_was_lost_is_not_verified_until_everything_leads_to_the_old_head() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree);
    let hash = monitor::folder::origin_hash(&ORIGIN.parse().unwrap());
    let kept = scene.watch.dir().join("logs").join(hash).join("verified");
    // Lost, started again without another loss, and lost once more.
    for lost in [true, false, true] {
        if lost {
            scene.lose_database();
        } else {
            scene.watch.restart();
        }
        for _ in 0..2 {
            assert_ne!(scene.watch.verdict().state, State::Verified);
            scene.serve(&tree.first(300));
            let verdict = scene.watch.round();
            assert_eq!(verdict.state, State::Stale, "{verdict:?}");
            assert!(verdict.reason.contains("300") && verdict.reason.contains("700"), "{verdict:?}");
            assert_eq!(scene.watch.alarms(), ["state-lost", "withheld"]);
            assert_eq!(scene.watch.verified(), Some(300), "what is served is verified all the same");
        }
        let note = std::fs::read_to_string(&kept).unwrap();
        assert_eq!(note.lines().nth(1), Some("700"), "the file names the largest head still");
    }
    assert!(scene.watch.evidence().is_empty());
    scene.verified(&tree);
}

#[test]
fn a_copy_that_lags_behind_a_witness_is_no_damage() {
    let (keys, witness) = (Keys::new(ORIGIN), Liar::start());
    let folder = tempfile::tempdir().unwrap();
    let config = format!("witnesses = [{:?}]", witness.url());
    let mut watch =
        Watch::new(ORIGIN, &[folder.path().to_string_lossy().into_owned()], &keys.policy(true), &config);
    let sync = |watch: &Watch, tree: &Tree| {
        tree.copy_to(folder.path());
        std::fs::write(folder.path().join("checkpoint"), keys.sign(tree.head(), &ALL, watch.seconds()))
            .unwrap();
    };
    let hash = monitor::folder::origin_hash(&ORIGIN.parse().unwrap());
    let tree = Tree::of(700);
    let mut synced = 300;
    sync(&watch, &tree.first(synced));
    assert_eq!(watch.round().state, State::Verified);
    for size in [400, 513, 600] {
        let cosigned = keys.sign(tree.first(size).head(), &ALL, watch.seconds());
        witness.reply(&format!("{hash}/checkpoint"), Reply::Body(200, cosigned));
        assert_eq!(watch.crosscheck()[0].answer, "kept");
        for _ in 0..3 {
            watch.clock.advance(Duration::from_secs(50));
            let verdict = watch.round();
            assert_eq!(verdict.state, State::Verified, "{verdict:?}");
            assert_eq!(watch.verified(), Some(synced as u64));
        }
        synced = size;
        sync(&watch, &tree.first(synced));
        assert_eq!(watch.round().state, State::Verified);
        assert_eq!(watch.verified(), Some(synced as u64));
    }
    assert!(watch.alarms().is_empty());
    assert_eq!(watch.told("damage"), (0, 0));
    // A copy that is never brought up to date is told of, as what it is.
    let cosigned = keys.sign(tree.head(), &ALL, watch.seconds());
    witness.reply(&format!("{hash}/checkpoint"), Reply::Body(200, cosigned));
    watch.crosscheck();
    watch.clock.advance(Duration::from_secs(181));
    assert_ne!(watch.round().state, State::Verified);
    assert!(watch.alarms().contains(&"withheld".to_owned()), "{:?}", watch.alarms());
}

#[test]
fn damaged_peaks_of_our_own_are_no_damage_of_the_log() {
    let flip = |scene: &Scene, size: u64| {
        let mut row = scene.watch.case().store.log(ORIGIN).unwrap().unwrap();
        assert_eq!(row.reached.get(), size);
        let last = row.peaks.len() - 1;
        row.peaks[last] = leaf_hash(b"flipped");
        scene.watch.case().store.set_log(ORIGIN, &row).unwrap();
    };
    let tree = Tree::of(700);

    // At the verified head.
    let mut at_head = scene();
    at_head.verified(&tree.first(300));
    flip(&at_head, 300);
    at_head.watch.restart();
    at_head.verified(&tree);
    assert_eq!(at_head.watch.told("damage"), (0, 0));
    assert_eq!(at_head.watch.told("own-store"), (1, 1), "that everything was read again is said");

    // On the way to the next one.
    let mut on_the_way = scene();
    on_the_way.verified(&tree.first(300));
    on_the_way.later(6);
    on_the_way.log.reply("tile/entries/002.p/188", Reply::Body(500, Vec::new()));
    on_the_way.serve(&tree);
    on_the_way.watch.round();
    flip(&on_the_way, 512);
    on_the_way.watch.restart();
    on_the_way.log.heal();
    assert_ne!(on_the_way.watch.round().state, State::Verified);
    on_the_way.verified(&tree);
    assert_eq!(on_the_way.watch.told("damage"), (0, 0));
    assert_eq!(on_the_way.watch.told("own-store"), (1, 1));
    assert!(on_the_way.watch.evidence().is_empty());
}

#[test]
fn entries_that_do_not_continue_the_tree_are_damage_when_no_tile_helps() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree.first(300));
    scene.serve(&tree);
    scene.log.reply("tile/1/000.p/2", Reply::Body(404, Vec::new()));
    let path = "tile/entries/001";
    let changed = tree.with(260, b"changed").object(path.parse().unwrap()).unwrap();
    scene.log.reply(path, Reply::Body(200, changed));
    let verdict = scene.watch.round();
    assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
    assert_eq!(scene.watch.alarms(), ["damage"]);
    assert!(scene.watch.evidence().is_empty(), "nobody signed this");
    scene.log.heal();
    scene.verified(&tree);
    assert_eq!(scene.watch.told("own-store"), (0, 0));
}

#[test]
fn a_caught_log_stays_caught_when_its_evidence_is_moved_or_damaged_and_the_file_comes_back() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree);
    scene.serve(&tree.with(7, b"for others"));
    scene.watch.round();
    let files = scene.watch.evidence_files();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(files.len(), 4);
    let damage: [&Damage; 3] = [
        &|file, _| std::fs::remove_file(file).unwrap(),
        &|file, bytes| std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap(),
        &|file, bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file, bytes).unwrap();
        },
    ];
    for (damage, times) in damage.iter().zip(1..) {
        scene.watch.end();
        for (file, bytes) in files.iter().zip(&whole) {
            damage(file, bytes);
        }
        scene.watch.restart();
        assert_eq!(scene.watch.verdict().state, State::Misbehaving);
        for (file, bytes) in files.iter().zip(&whole) {
            assert_eq!(std::fs::read(file).unwrap(), *bytes, "written again from the database");
        }
        assert_eq!(scene.watch.case().repaired().len(), 4, "and it is said");
        assert_eq!(scene.watch.told("own-store").0, times * 4);
        assert_eq!(scene.watch.round().state, State::Misbehaving);
    }
    let witnesses = ["witness-two-roots"; 3];
    scene.watch.assert_caught(&[&["log-two-roots"][..], &witnesses].concat());
}

#[test]
fn fsck_tells_of_a_lost_or_damaged_database_and_of_evidence_that_was_gone() {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let home = Home::new(ORIGIN, &log.url(), &keys.policy(true));
    let dir = std::path::PathBuf::from(home.dir());
    let seconds = daemon::clock::Clock::unix_millis(&daemon::clock::SystemClock) / 1000;
    let serve = |tree: &Tree| log.serve(tree, keys.sign(tree.head(), &ALL, seconds));
    let fsck = |code: i32, what: &str| {
        let said = monitor(&["fsck", "--json", &home.dir()]);
        assert_eq!(said.status.code(), Some(code), "{said:?}");
        let findings = json(&said)["findings"].to_string();
        assert!(findings.contains(what), "{findings}");
    };
    serve(&Tree::of(300));
    assert_eq!(home.once().0, 0);
    fsck(0, "[]");

    let database = dir.join("monitor.sqlite");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..64].fill(0xaa);
    std::fs::write(&database, bytes).unwrap();
    fsck(1, "the database was damaged");
    fsck(1, "does not know the head");
    assert_eq!(home.once().0, 0);
    fsck(0, "[]");
    for file in ["monitor.sqlite", "monitor.sqlite-wal", "monitor.sqlite-shm"] {
        // Two of them may not be there.
        let _ = std::fs::remove_file(dir.join(file));
    }
    fsck(1, "does not know the head");
    assert_eq!(home.once().0, 0);

    serve(&Tree::of(300).with(7, b"changed"));
    assert_eq!(home.once().0, 1);
    fsck(0, "[]");
    let evidence = std::fs::read_dir(dir.join("evidence")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&evidence).unwrap();
    fsck(1, "was missing or damaged, and was written again");
    fsck(0, "[]");
    assert!(evidence.exists());
}

#[test]
fn what_was_damaged_before_a_restart_is_known_at_once() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree.first(300));
    scene.serve(&tree);
    scene.log.reply("tile/entries/001", Reply::Body(404, Vec::new()));
    assert_eq!(scene.watch.round().state, State::Damaged);
    scene.watch.restart();
    assert_eq!(scene.watch.verdict().state, State::Damaged, "before the first look");
    scene.log.heal();
    scene.verified(&tree);
}

#[test]
fn the_report_of_an_open_alarm_that_was_not_written_is_written_at_the_next_start() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.serve(&tree);
    scene.log.reply("tile/entries/001", Reply::Body(404, Vec::new()));
    scene.watch.round();
    let alarms = scene.watch.dir().join("alarms");
    let reports = || std::fs::read_dir(&alarms).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    let written = reports();
    let whole = std::fs::read(&written[0]).unwrap();
    std::fs::remove_file(&written[0]).unwrap();
    scene.watch.restart();
    assert_eq!(reports(), written);
    assert_eq!(std::fs::read(&written[0]).unwrap(), whole);
    assert_eq!(scene.watch.alarms(), ["damage"]);
}

#[test]
fn a_stale_log_stays_told_as_stale_whatever_else_becomes_wrong() {
    let mut scene = scene();
    let tree = Tree::of(10);
    scene.verified(&tree);
    let old = scene.watch.seconds();
    scene.later(181);
    assert_eq!(scene.watch.round().state, State::Stale);
    scene.log.serve(&tree, scene.keys.sign(tree.head(), &[0], old));
    assert_eq!(scene.watch.round().state, State::QuorumMissing);
    assert_eq!(scene.watch.alarms(), ["quorum", "stale"]);
    scene.log.serve(&tree, b"<html>Please log in</html>".to_vec());
    assert_eq!(scene.watch.round().state, State::Damaged);
    assert!(scene.watch.alarms().contains(&"stale".to_owned()));
    assert_eq!(scene.watch.told("stale"), (1, 0));
    scene.verified(&tree);
    assert_eq!(scene.watch.told("stale"), (1, 1));
}

#[test]
fn a_backlog_that_does_not_end_is_told_and_one_that_does_is_not() {
    let mut scene = scene_with(|keys| keys.policy(true), "behind_after = \"60s\"");
    let tree = Tree::of(700);
    scene.verified(&tree.first(300));
    scene.serve(&tree);
    scene.log.reply("tile/entries/001", Reply::Body(404, Vec::new()));
    for seconds in [0, 30, 30] {
        scene.later(seconds);
        scene.serve(&tree);
        scene.watch.round();
        assert_eq!(scene.watch.told("behind"), (0, 0));
    }
    scene.later(1);
    scene.watch.round();
    assert_eq!(scene.watch.told("behind"), (1, 0));
    scene.log.heal();
    scene.verified(&tree);
    assert_eq!(scene.watch.told("behind"), (1, 1));
    scene.later(1000);
    scene.verified(&Tree::of(800));
    assert_eq!(scene.watch.told("behind"), (1, 1), "caught up with in one round");
}

#[test]
fn a_witness_that_shows_what_the_log_has_not_signed_is_told_and_the_log_is_not_blamed() {
    let witness = Liar::start();
    let mut scene = scene_with(|keys| keys.policy(true), &format!("witnesses = [{:?}]", witness.url()));
    let tree = Tree::of(300);
    scene.verified(&tree);
    let path = format!("{}/checkpoint", monitor::folder::origin_hash(&ORIGIN.parse().unwrap()));
    let seconds = scene.watch.seconds();
    let foreign = Keys::new("log.example/other").sign(tree.head(), &ALL, seconds);
    for body in [foreign, b"<html>Please log in</html>".to_vec()] {
        witness.reply(&path, Reply::Body(200, body));
        assert_eq!(scene.watch.crosscheck()[0].answer, "refused");
        assert_eq!(scene.watch.case().others()[0].answer, "refused", "it is shown");
        assert_eq!(scene.watch.alarms(), ["cross-check"]);
        assert_eq!(scene.watch.round().state, State::Verified, "it is not the log's doing");
    }
    witness.reply(&path, Reply::Hangup);
    assert_eq!(scene.watch.crosscheck()[0].answer, "silent");
    assert_eq!(scene.watch.alarms(), ["cross-check"], "silence takes nothing back");
    witness.reply(&path, Reply::Body(200, scene.keys.sign(tree.head(), &[0], seconds)));
    assert_eq!(scene.watch.crosscheck()[0].answer, "same");
    assert_eq!(scene.watch.told("cross-check"), (1, 1));
    assert!(scene.watch.alarms().is_empty());
}

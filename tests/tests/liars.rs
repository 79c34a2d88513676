//! Every lie and every fault that a log can play on a monitor: found, named rightly, and proved where it can be.
//!
//! An accusation needs a contradiction between signed things; the rest are alarm reports that clear when the cause is
//! gone. Each test ends by asking that the honest log is not accused, or that the lying one stays accused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daemon::shutdown::Shutdown;
use monitor::case::Case;
use monitor::follow::Follower;
use monitor::receipt::Answer;
use monitor::verdict::State;
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::watch::Watch;
use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];

/// A log with its keys, and a monitor that watches it.
struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
}

fn scene() -> Scene {
    scene_with("")
}

fn scene_with(more: &str) -> Scene {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), more);
    Scene { keys, log, watch }
}

impl Scene {
    fn serve(&self, tree: &Tree) {
        self.log.serve(tree, self.keys.sign(tree.head(), &ALL, self.watch.seconds()));
    }

    /// Serves a tree and expects it to be verified.
    fn verified(&mut self, tree: &Tree) {
        self.serve(tree);
        let verdict = self.watch.round();
        assert_eq!(verdict.state, State::Verified, "{verdict:?}");
        assert_eq!(self.watch.verified(), Some(tree.entries.len() as u64));
        assert!(self.watch.alarms().is_empty(), "{:?}", self.watch.alarms());
    }

    /// Expects a state with these alarms, nobody accused, and that it passes with its cause.
    fn passes(&mut self, tree: &Tree, state: State, alarms: &[&str]) {
        let verdict = self.watch.round();
        assert_eq!(verdict.state, state, "{verdict:?}");
        assert_eq!(self.watch.alarms(), alarms, "{verdict:?}");
        assert!(self.watch.evidence().is_empty(), "an honest log is never accused");
        self.log.heal();
        self.verified(tree);
        assert!(self.watch.evidence().is_empty());
    }
}

#[test]
fn an_honest_log_is_verified_at_every_size_and_hands_on_every_entry() {
    let mut scene = scene();
    scene.watch.case().feed.join();
    let all = Tree::of(66_000);
    let mut seen = 0;
    for size in [0, 1, 2, 255, 256, 257, 600, 65_535, 65_536, 65_537, 66_000] {
        scene.verified(&all.first(size));
        while let monitor::feed::Next::Entries(batch) =
            scene.watch.case().feed.next(seen, std::time::Duration::ZERO)
        {
            for entry in batch.entries(seen) {
                assert_eq!(entry.bytes, all.entries[usize::try_from(seen).unwrap()]);
                assert_eq!((entry.index, entry.leaf), (seen, leaf_hash(entry.bytes)));
                seen += 1;
            }
        }
        assert_eq!(seen, size as u64);
    }
    scene.watch.restart();
    assert_eq!(scene.watch.verdict().state, State::Unreachable, "nothing was heard since the start");
    assert_eq!(scene.watch.round().state, State::Verified);
}

#[test]
fn two_roots_for_one_size_are_evidence_and_nothing_clears_it() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree);
    scene.serve(&tree.with(7, b"for others"));
    scene.watch.round();
    // All three witnesses vouched for both.
    let witnesses = ["witness-two-roots"; 3];
    scene.watch.assert_caught(&[&["log-two-roots"][..], &witnesses].concat());
}

#[test]
fn a_split_view_between_the_log_and_a_witness_is_found() {
    let mut witness_sees = scene();
    let witness = Liar::start();
    let config = format!("witnesses = [{:?}]", witness.url());
    let mut watch = Watch::new(ORIGIN, &[witness_sees.log.url()], &witness_sees.keys.policy(true), &config);
    let tree = Tree::of(300);
    witness_sees.serve(&tree);
    assert_eq!(watch.round().state, State::Verified);
    let other = witness_sees.keys.sign(tree.with(3, b"for the witness").head(), &[2], watch.seconds());
    let hash = monitor::folder::origin_hash(&ORIGIN.parse().unwrap());
    witness.reply(&format!("{hash}/checkpoint"), Reply::Body(200, other));
    let others = watch.crosscheck();
    assert_eq!(others[0].answer, "contradiction", "{others:?}");
    watch.assert_caught(&["log-two-roots", "witness-two-roots"]);
    witness_sees.watch.end();
}

#[test]
fn a_fork_to_a_larger_tree_is_proved_by_a_subtree() {
    for (old, new) in [(1, 2), (2, 3), (255, 256), (256, 257), (300, 700), (512, 1000)] {
        let mut scene = scene();
        scene.verified(&Tree::of(old));
        scene.serve(&Tree::of(new).with(usize::try_from(old).unwrap() / 2, b"changed"));
        scene.watch.round();
        let witnesses = ["witness-two-subtrees"; 3];
        scene.watch.assert_caught(&[&["log-two-subtrees"][..], &witnesses].concat());
    }
}

#[test]
fn a_fork_to_a_smaller_tree_is_proved_from_our_own_hashes() {
    for (old, new) in [(2, 1), (257, 256), (700, 300), (1000, 513)] {
        let mut scene = scene();
        let tree = Tree::of(old);
        scene.verified(&tree);
        scene.serve(&tree.first(new).with(new / 2, b"changed"));
        scene.watch.round();
        let witnesses = ["witness-two-subtrees"; 3];
        scene.watch.assert_caught(&[&["log-two-subtrees"][..], &witnesses].concat());
    }
}

#[test]
fn a_fork_whose_tiles_are_not_served_is_an_alarm_until_they_are() {
    let mut scene = scene();
    let (tree, other) = (Tree::of(700), Tree::of(300).with(5, b"changed"));
    scene.verified(&tree);
    let forked = scene.keys.sign(other.head(), &ALL, scene.watch.seconds());
    scene.log.serve(&tree, forked.clone());
    scene.watch.round();
    assert!(scene.watch.evidence().is_empty(), "a proof that cannot be made accuses nobody");
    assert!(scene.watch.alarms().contains(&"fork".to_owned()));
    assert_eq!(scene.watch.verdict().state, State::Damaged);
    scene.log.serve(&other, forked);
    scene.watch.round();
    assert_eq!(scene.watch.verdict().state, State::Misbehaving, "the head was kept");
}

#[test]
fn an_older_consistent_head_is_stale_and_no_lie() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree);
    scene.serve(&tree.first(300));
    scene.passes(&tree.first(700), State::Stale, &["withheld"]);
    let mut grown = tree.clone();
    grown.push(b"more".to_vec());
    scene.verified(&grown);
}

#[test]
fn a_look_that_took_long_is_followed_by_a_short_one_so_that_what_is_said_is_about_the_end() {
    let scene = scene();
    let tree = Tree::of(600);
    scene.serve(&tree);
    let (cases, clock, looks) =
        (scene.watch.monitor().cases.clone(), &scene.watch.clock, AtomicUsize::new(0));
    let look = |case: &Arc<Case>| {
        Follower::new(Arc::clone(case), Shutdown::new())?.round()?;
        if looks.fetch_add(1, Ordering::SeqCst) == 0 {
            // As if so many statements had been judged.
            clock.advance(Duration::from_secs(100));
        }
        Ok(())
    };
    monitor::look::at_all(&cases, &look).unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 2);
    let verdict = scene.watch.verdict();
    assert_eq!(verdict.state, State::Verified, "{verdict:?}");
}

#[test]
fn a_log_that_does_not_answer_is_looked_at_once() {
    let policy = Keys::new(ORIGIN).policy(true);
    let watch = Watch::new(ORIGIN, &["no-such-folder".to_owned()], &policy, "");
    let (cases, clock, looks) = (watch.monitor().cases.clone(), &watch.clock, AtomicUsize::new(0));
    let look = |case: &Arc<Case>| {
        Follower::new(Arc::clone(case), Shutdown::new())?.round()?;
        looks.fetch_add(1, Ordering::SeqCst);
        clock.advance(Duration::from_secs(100));
        Ok(())
    };
    monitor::look::at_all(&cases, &look).unwrap();
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    assert_eq!(watch.verdict().state, State::Unreachable);
}

#[test]
fn a_head_that_nobody_refreshes_becomes_stale_by_itself() {
    let mut scene = scene();
    let tree = Tree::of(10);
    scene.verified(&tree);
    scene.watch.clock.advance(std::time::Duration::from_secs(181));
    scene.passes_with_time(&tree);
}

impl Scene {
    fn passes_with_time(&mut self, tree: &Tree) {
        let verdict = self.watch.round();
        assert_eq!(verdict.state, State::Stale, "{verdict:?}");
        assert!(self.watch.evidence().is_empty());
        self.verified(tree);
    }
}

#[test]
fn a_quorum_of_one_key_twice_is_no_quorum() {
    let mut scene = scene();
    let (tree, grown) = (Tree::of(10), Tree::of(20));
    scene.verified(&tree);
    let seconds = scene.watch.seconds();
    for cosigners in [&[][..], &[1], &[1, 1]] {
        scene.log.serve(&grown, scene.keys.sign(grown.head(), cosigners, seconds));
        let verdict = scene.watch.round();
        assert_eq!(verdict.state, State::QuorumMissing, "{cosigners:?}: {verdict:?}");
        assert_eq!(scene.watch.verified(), Some(10), "verification waits for the quorum");
        assert_eq!(scene.watch.alarms(), ["quorum"]);
    }
    scene.passes(&grown, State::QuorumMissing, &["quorum"]);
}

#[test]
fn a_head_without_a_quorum_still_binds_the_log() {
    let mut scene = scene();
    let tree = Tree::of(10);
    scene.verified(&tree);
    let other = tree.with(3, b"x");
    scene.log.serve(&other, scene.keys.sign(other.head(), &[], scene.watch.seconds()));
    scene.watch.round();
    scene.watch.assert_caught(&["log-two-roots"]);
}

#[test]
fn an_entry_changed_under_an_unchanged_tree_is_damage() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.serve(&tree);
    for path in ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"] {
        let changed = tree.with(0, b"other").with(256, b"other").with(512, b"other");
        let body = changed.object(path.parse().unwrap()).unwrap();
        scene.log.reply(path, Reply::Body(200, body));
        let verdict = scene.watch.round();
        assert_eq!(verdict.state, State::Damaged);
        assert!(verdict.reason.contains(path), "{verdict:?}");
        scene.log.heal();
    }
    assert!(scene.watch.evidence().is_empty());
    scene.verified(&tree);
}

#[test]
fn a_tile_changed_beside_right_entries_is_damage_and_the_entries_are_verified() {
    for (path, size) in [("tile/0/000", 700), ("tile/0/001", 700), ("tile/0/002.p/188", 700)] {
        let mut scene = scene();
        let tree = Tree::of(size);
        scene.serve(&tree);
        let mut body = tree.object(path.parse().unwrap()).unwrap();
        body[40] ^= 1;
        scene.log.reply(path, Reply::Body(200, body));
        scene.passes(&tree, State::Damaged, &["damage"]);
    }
    for path in ["tile/1/000.p/2", "tile/1/000", "tile/2/000.p/1"] {
        let mut scene = scene();
        let tree = Tree::of(66_000).first(if path.ends_with("p/2") { 700 } else { 66_000 });
        scene.serve(&tree);
        scene.log.reply(path, Reply::Body(404, Vec::new()));
        scene.watch.round();
        assert_eq!(scene.watch.verified(), Some(tree.entries.len() as u64), "{path}: the entries decide");
        scene.log.heal();
        scene.serve(&tree);
        let mut body = tree.object(path.parse().unwrap()).unwrap();
        body[5] ^= 1;
        scene.log.reply(path, Reply::Body(200, body));
        scene.passes(&tree, State::Damaged, &["damage"]);
    }
}

#[test]
fn bodies_that_are_cut_too_long_endless_empty_or_slow_are_never_a_lie() {
    let path = "tile/entries/001";
    let tree = Tree::of(700);
    let whole = tree.object(path.parse().unwrap()).unwrap();
    let long = [whole.clone(), vec![0; 100]].concat();
    let cases = [
        (Reply::Body(200, whole[..whole.len() - 1].to_vec()), State::Damaged),
        (Reply::Body(200, whole[..100].to_vec()), State::Damaged),
        (Reply::Body(200, Vec::new()), State::Damaged),
        (Reply::Body(200, long), State::Damaged),
        (Reply::Body(404, Vec::new()), State::Damaged),
        (Reply::Endless, State::Damaged),
        (Reply::Body(500, Vec::new()), State::Unreachable),
        (Reply::Body(302, Vec::new()), State::Unreachable),
        (Reply::CutShort(whole[..100].to_vec()), State::Unreachable),
        (Reply::Drip, State::Unreachable),
        (Reply::Hangup, State::Unreachable),
    ];
    for (reply, state) in cases {
        for known in [0, 300] {
            let mut scene = scene();
            if known > 0 {
                scene.verified(&tree.first(known));
            }
            scene.serve(&tree);
            scene.log.reply(path, reply.clone());
            let alarms: &[&str] = if state == State::Damaged { &["damage"] } else { &[] };
            scene.passes(&tree, state, alarms);
        }
    }
}

#[test]
fn the_same_faults_on_the_checkpoint_and_on_needed_tiles_are_never_a_lie() {
    let tree = Tree::of(700);
    for path in ["checkpoint", "tile/1/000.p/2", "tile/0/002.p/188"] {
        let replies = [
            Reply::Body(200, Vec::new()),
            Reply::Body(200, b"<html>Please log in</html>".to_vec()),
            Reply::Endless,
            Reply::Body(503, Vec::new()),
            Reply::CutShort(vec![b'x'; 20]),
            Reply::Drip,
            Reply::Hangup,
        ];
        for reply in replies {
            let mut scene = scene();
            scene.verified(&tree.first(300));
            scene.serve(&tree);
            scene.log.reply(path, reply.clone());
            let verdict = scene.watch.round();
            let bad = matches!(verdict.state, State::Damaged | State::Unreachable);
            assert!(bad, "{path} {reply:?}: {verdict:?}");
            assert!(scene.watch.evidence().is_empty());
            scene.log.heal();
            scene.verified(&tree);
        }
    }
}

#[test]
fn checkpoints_of_another_log_or_without_the_signature_are_not_taken() {
    let mut scene = scene();
    let (tree, grown) = (Tree::of(10), Tree::of(20));
    scene.verified(&tree);
    let good = scene.keys.sign(grown.head(), &ALL, scene.watch.seconds());
    let other = Keys::new("log.example/other").sign(grown.head(), &ALL, scene.watch.seconds());
    let text = String::from_utf8(good.clone()).unwrap();
    let unsigned =
        text.lines().filter(|line| !line.contains("— log.example")).map(|line| format!("{line}\n"));
    let changed = text.replace("\n20\n", "\n21\n");
    for bad in [other, unsigned.collect::<String>().into_bytes(), changed.into_bytes(), good[..40].to_vec()] {
        scene.log.serve(&grown, bad);
        let verdict = scene.watch.round();
        assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
        assert_eq!(scene.watch.alarms(), ["unsigned"]);
        assert_eq!(scene.watch.verified(), Some(10));
    }
    scene.passes_unsigned(&grown);
}

impl Scene {
    fn passes_unsigned(&mut self, tree: &Tree) {
        assert!(self.watch.evidence().is_empty());
        self.verified(tree);
    }
}

#[test]
fn a_receipt_is_honoured_waits_or_is_proof_of_a_broken_promise() {
    let mut scene = scene();
    let tree = Tree::of(300);
    let seconds = scene.watch.seconds();
    let answer = |scene: &Scene, entry: &[u8], receipt: &[u8]| {
        scene.watch.case().receipt(leaf_hash(entry), receipt).unwrap()
    };
    scene.verified(&tree.first(200));
    let good = scene.keys.receipt(&tree.first(200), 7, seconds);
    assert_eq!(answer(&scene, b"entry 7", &good), Answer::Honoured { index: 7 });
    assert!(
        matches!(answer(&scene, b"entry 8", &good), Answer::Invalid { .. }),
        "bound to the entry in hand"
    );
    let (leaf, own) = scene.watch.case().prove(LeafIndex::new(7).unwrap()).unwrap();
    assert_eq!(leaf, leaf_hash(b"entry 7"));
    assert_eq!(
        answer(&scene, b"entry 7", &own.to_bytes()),
        Answer::Honoured { index: 7 },
        "our own receipts hold"
    );
    assert!(scene.watch.case().prove(LeafIndex::new(200).unwrap()).is_none(), "not verified, not proved");
    let later = scene.keys.receipt(&tree, 250, seconds);
    assert!(matches!(answer(&scene, b"entry 250", &later), Answer::Pending { .. }));
    scene.verified(&tree);
    assert_eq!(answer(&scene, b"entry 250", &later), Answer::Honoured { index: 250 });

    // The promise was made under a head whose tree nobody else has seen, and that is not served.
    let promised = tree.first(270).with(260, b"promised");
    let broken = scene.keys.receipt(&promised, 260, seconds);
    let Answer::NotHonoured { index: 260, evidence } = answer(&scene, b"promised", &broken) else {
        panic!("the promise is broken")
    };
    assert!(!evidence.is_empty());
    let witnesses = ["witness-two-leaves"; 2];
    assert_eq!(scene.watch.evidence(), [&["log-two-leaves"][..], &witnesses].concat());
    assert_eq!(scene.watch.verdict().state, State::Misbehaving);
}

#[test]
fn a_receipt_that_waited_is_judged_once_its_place_is_verified() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree.first(200));
    let broken = scene.keys.receipt(&tree.with(250, b"promised"), 250, scene.watch.seconds());
    let answer = scene.watch.case().receipt(leaf_hash(b"promised"), &broken).unwrap();
    assert!(matches!(answer, Answer::Pending { .. }), "{answer:?}");
    let mut grown = tree.clone();
    grown.push(b"one more".to_vec());
    scene.serve(&grown);
    scene.watch.round();
    assert_eq!(scene.watch.verdict().state, State::Misbehaving);
    assert!(scene.watch.evidence().contains(&"log-two-leaves"), "{:?}", scene.watch.evidence());
}

#[test]
fn heads_that_come_from_elsewhere_are_kept_until_they_are_settled() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree.first(100));
    let seconds = scene.watch.seconds();
    let later = scene.keys.sign(tree.first(200).head(), &[], seconds);
    let forked = scene.keys.sign(tree.first(250).with(9, b"for them").head(), &[], seconds);
    let shown = scene.watch.case().show(&later, "reader").unwrap().unwrap();
    assert!(matches!(shown, monitor::judge::Seen::Kept(_)));
    scene.verified(&tree.first(220));
    let pending = scene.watch.case().store.pending(ORIGIN).unwrap();
    assert!(pending.is_empty(), "settled with our own hashes: {pending:?}");
    scene.watch.case().show(&forked, "reader").unwrap().unwrap();
    scene.serve(&tree);
    scene.watch.round();
    let verdict = scene.watch.verdict();
    // The forked tree is served by nobody: what is sure cannot be proved to others, and is kept.
    assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
    assert!(scene.watch.alarms().contains(&"fork".to_owned()));
}

#[test]
fn showing_a_head_again_without_its_witnesses_takes_nothing_away() {
    let mut scene = scene();
    let (tree, grown) = (Tree::of(10), Tree::of(20));
    scene.verified(&tree);
    let seconds = scene.watch.seconds();
    for cosigners in [&ALL[..], &[], &[2]] {
        let note = scene.keys.sign(grown.head(), cosigners, seconds);
        scene.watch.case().show(&note, "reader").unwrap().unwrap();
    }
    let note = scene.watch.case().store.head_note(ORIGIN, grown.head()).unwrap().unwrap();
    let note = tlog::note::Note::parse(&note).unwrap();
    assert_eq!(note.signatures().len(), 4, "the log's and three witnesses'");
    // The log shows it without its witnesses: what others have shown still counts for verification.
    scene.log.serve(&grown, scene.keys.sign(grown.head(), &[], seconds));
    assert_eq!(scene.watch.round().state, State::QuorumMissing);
    assert_eq!(scene.watch.verified(), Some(20));
}

#[test]
fn verification_from_a_pinned_checkpoint_reads_nothing_before_it() {
    let (keys, log) = (Keys::new(ORIGIN), Liar::start());
    let tree = Tree::of(70_000);
    let pinned = tree.first(66_000);
    let seconds = tests::START / 1000;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pinned.txt");
    std::fs::write(&file, keys.sign(pinned.head(), &ALL, seconds)).unwrap();
    log.serve(&tree, keys.sign(tree.head(), &ALL, seconds));
    for bundle in 0..257 {
        let path = tlog::tile::TilePath::Entries(tlog::tile::Bundle::new(bundle, 256).unwrap());
        log.reply(&path.to_string(), Reply::Body(404, Vec::new()));
    }
    let mut watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), &format!("start = {file:?}"));
    assert_eq!(watch.round().state, State::Verified, "{:?}", watch.verdict());
    watch.restart();
    assert_eq!(watch.round().state, State::Verified);
    let receipt = keys.receipt(&tree, 3, seconds);
    let answer = watch.case().receipt(leaf_hash(b"entry 3"), &receipt).unwrap();
    assert_eq!(answer, Answer::Honoured { index: 3 }, "with tiles of the log, authenticated");
    log.serve(&tree.with(100, b"x"), keys.sign(tree.with(100, b"x").head(), &ALL, seconds));
    watch.round();
    assert_eq!(watch.verdict().state, State::Misbehaving);
}

#[test]
fn a_lost_or_damaged_database_is_said_and_everything_is_verified_again() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree);
    scene.watch.end();
    let path = scene.watch.dir().join("monitor.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..64].fill(0xaa);
    std::fs::write(&path, bytes).unwrap();
    scene.watch.restart();
    assert_ne!(scene.watch.verdict().state, State::Verified, "it does not know");
    assert_eq!(scene.watch.verified(), None);
    assert_eq!(scene.watch.alarms(), ["state-lost"]);
    assert_eq!(scene.watch.round().state, State::Verified);
    assert_eq!(scene.watch.verified(), Some(700));
}

#[test]
fn a_lost_database_does_not_help_a_log_that_forks_meanwhile() {
    let mut scene = scene();
    let tree = Tree::of(300);
    scene.verified(&tree);
    scene.watch.end();
    for file in ["monitor.sqlite", "monitor.sqlite-wal", "monitor.sqlite-shm"] {
        let _ = std::fs::remove_file(scene.watch.dir().join(file));
    }
    scene.watch.restart();
    scene.serve(&Tree::of(700).with(20, b"changed"));
    scene.watch.round();
    assert_eq!(scene.watch.verdict().state, State::Misbehaving, "{:?}", scene.watch.verdict());
    assert!(scene.watch.evidence().contains(&"log-two-subtrees"));
}

#[test]
fn damaged_hashes_of_our_own_are_no_lie_of_the_log() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree);
    let hashes = scene.watch.case().folder.hashes(&ORIGIN.parse().unwrap()).join("0");
    let mut bytes = std::fs::read(&hashes).unwrap();
    bytes[32 * 100] ^= 1;
    std::fs::write(&hashes, bytes).unwrap();
    let older = scene.keys.sign(tree.first(101).head(), &ALL, scene.watch.seconds());
    scene.watch.case().show(&older, "reader").unwrap().unwrap();
    assert!(scene.watch.evidence().is_empty());
    let verdict = scene.watch.round();
    assert_eq!(verdict.state, State::Verified, "verified again: {verdict:?}");
    assert!(scene.watch.evidence().is_empty());
    assert!(scene.watch.case().store.pending(ORIGIN).unwrap().is_empty());
}

#[test]
fn a_mirror_fills_in_for_a_log_that_lost_something_and_the_loss_is_told() {
    let (keys, log, mirror) = (Keys::new(ORIGIN), Liar::start(), Liar::start());
    let tree = Tree::of(700);
    let seconds = tests::START / 1000;
    for place in [&log, &mirror] {
        place.serve(&tree, keys.sign(tree.head(), &ALL, seconds));
    }
    log.reply("tile/entries/001", Reply::Body(404, Vec::new()));
    let mut watch = Watch::new(ORIGIN, &[log.url(), mirror.url()], &keys.policy(true), "");
    let verdict = watch.round();
    assert_eq!(watch.verified(), Some(700), "{verdict:?}");
    assert_eq!(verdict.state, State::Damaged, "{verdict:?}");
    assert!(watch.evidence().is_empty());
    log.heal();
    assert_eq!(watch.round().state, State::Verified);
}

#[test]
fn entries_that_a_consumer_missed_are_read_again_and_checked_again() {
    let mut scene = scene();
    let tree = Tree::of(700);
    scene.verified(&tree);
    let batch = scene.watch.case().reread(&(300..301)).unwrap();
    let entry = batch.entries(300).next().unwrap();
    assert_eq!((entry.index, entry.bytes), (300, b"entry 300".as_slice()));
    let changed = tree.with(300, b"other").object("tile/entries/001".parse().unwrap()).unwrap();
    scene.log.reply("tile/entries/001", Reply::Body(200, changed));
    assert!(scene.watch.case().reread(&(300..301)).is_err());
    assert!(scene.watch.case().reread(&(700..701)).is_err(), "not verified");
}

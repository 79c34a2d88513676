//! A log that loses what it has shown, and a monitor that loses what it knew: each is told, and stays told until its cause
//! is gone, however much there is of it.

use std::time::Duration;

use monitor::reread::RereadError;
use monitor::store::Alarm;
use monitor::verdict::State;
use tests::liar::{Keys, Liar, Reply, Tree};
use tests::watch::Watch;

const ORIGIN: &str = "log.example/liar";
const ALL: [usize; 3] = [0, 1, 2];

/// A log with a copy of it, and a monitor that reads both.
struct Scene {
    keys: Keys,
    log: Liar,
    copy: Liar,
    watch: Watch,
    tree: Tree,
}

impl Scene {
    fn new(count: u64, more: &str) -> Self {
        let (keys, log, copy) = (Keys::new(ORIGIN), Liar::start(), Liar::start());
        let watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), more);
        let scene = Self { keys, log, copy, watch, tree: Tree::of(count) };
        scene.serve();
        scene
    }

    /// With a second source.
    fn with_copy(count: u64) -> Self {
        let mut scene = Self::new(count, "");
        let sources = [scene.log.url(), scene.copy.url()];
        scene.watch = Watch::new(ORIGIN, &sources, &scene.keys.policy(true), "");
        scene
    }

    fn serve(&self) {
        for log in [&self.log, &self.copy] {
            log.serve(&self.tree, self.keys.sign(self.tree.head(), &ALL, self.watch.seconds()));
        }
    }

    fn subjects(&self) -> Vec<String> {
        let all = self.watch.case().store.open_alarms(ORIGIN).expect("alarms");
        all.into_iter().map(|alarm| alarm.subject).collect()
    }

    fn is_well(&mut self) {
        assert_eq!(self.watch.round().state, State::Verified, "{:?}", self.watch.verdict());
        assert!(self.watch.alarms().is_empty(), "{:?}", self.subjects());
    }

    /// Looks, and expects that this is damaged, and nothing else.
    fn is_damaged(&mut self, subject: &str) {
        assert_eq!(self.watch.round().state, State::Damaged, "{subject}: {:?}", self.watch.verdict());
        assert_eq!(self.subjects(), [subject]);
        assert_eq!(self.watch.alarms(), ["damage"]);
    }
}

#[test]
fn a_higher_tile_that_is_missing_or_wrong_is_told_until_it_is_right_again() {
    for reply in
        [Reply::Body(404, Vec::new()), Reply::Body(200, vec![7; 8192]), Reply::Body(200, vec![7; 9000])]
    {
        let mut scene = Scene::new(66_000, "");
        scene.log.reply("tile/1/000", reply);
        scene.is_damaged("tile/1/000");
        assert_eq!(scene.watch.verified(), Some(66_000), "the entries are right");
        scene.is_damaged("tile/1/000");
        scene.watch.restart();
        scene.is_damaged("tile/1/000");
        scene.log.heal();
        scene.is_well();
    }
}

#[test]
fn partial_tiles_one_of_which_is_wrong_are_told_until_all_are_right() {
    let mut scene = Scene::new(700, "");
    scene.log.reply("tile/1/000.p/2", Reply::Body(200, vec![7; 64]));
    assert_eq!(scene.watch.round().state, State::Damaged, "{:?}", scene.watch.verdict());
    scene.is_damaged("tile/1/000.p/2");
    scene.is_damaged("tile/1/000.p/2");
    scene.log.heal();
    scene.is_well();
}

#[test]
fn more_wrong_tiles_than_can_be_told_one_by_one_are_told_in_bounds_until_the_last_is_right() {
    let bundles = 1_100_u64;
    let mut scene = Scene::new(bundles * 256, "");
    let path = |index: u64| {
        let tile = tlog::tile::Tile::new(0, index, 256).expect("a tile");
        tlog::tile::TilePath::Hashes(tile).to_string()
    };
    for index in 0..bundles {
        scene.log.reply(&path(index), Reply::Body(404, Vec::new()));
    }
    assert_eq!(scene.watch.round().state, State::Damaged, "{:?}", scene.watch.verdict());
    assert_eq!(scene.watch.verified(), Some(bundles * 256), "the entries are right");
    assert_eq!(scene.subjects().len(), 1001);
    assert!(scene.subjects().contains(&"more objects".to_owned()));
    let reports = std::fs::read_dir(scene.watch.dir().join("alarms")).expect("a folder").count();
    assert_eq!(reports, 1001);
    // One that has an alarm of its own, and one that has none, are still wrong.
    let told = scene.subjects();
    let untold = (0..bundles).map(path).find(|path| !told.contains(path)).expect("some have none");
    let wrong = [told[3].clone(), untold];
    scene.log.heal();
    wrong.iter().for_each(|path| scene.log.reply(path, Reply::Body(404, Vec::new())));
    for _ in 0..25 {
        assert_eq!(scene.watch.round().state, State::Damaged, "two are wrong: {:?}", scene.subjects());
    }
    assert_eq!(scene.subjects(), [wrong[0].as_str(), "more objects"]);
    scene.log.heal();
    scene.log.reply(&wrong[1], Reply::Body(404, Vec::new()));
    scene.watch.round();
    assert_eq!(scene.subjects(), ["more objects"]);
    scene.log.heal();
    scene.is_well();
}

#[test]
fn entries_that_vanish_after_they_were_verified_are_told_when_somebody_wants_them() {
    for reply in [
        Reply::Body(404, Vec::new()),
        Reply::Body(410, Vec::new()),
        Reply::Body(200, b"\x00\x05other".to_vec()),
    ] {
        let mut scene = Scene::new(300, "");
        scene.is_well();
        scene.log.reply("tile/entries/000", reply);
        let read = scene.watch.case().reread(&(3..4));
        assert!(matches!(read, Err(RereadError::NotServed(_))), "{read:?}");
        assert_eq!(scene.watch.verdict().state, State::Damaged, "at once");
        scene.is_damaged("tile/entries/000");
        scene.log.heal();
        scene.is_well();
        assert!(scene.watch.case().reread(&(3..4)).is_ok());
    }
}

#[test]
fn entries_are_read_again_wherever_they_are_to_be_had() {
    for reply in [Reply::Body(500, Vec::new()), Reply::Hangup, Reply::Body(404, Vec::new())] {
        let mut scene = Scene::with_copy(300);
        scene.is_well();
        scene.log.reply("tile/entries/000", reply);
        let batch = scene.watch.case().reread(&(3..4)).expect("the copy has it");
        assert_eq!(batch.entries(3).next().expect("an entry").bytes, b"entry 3");
        scene.is_well();
    }
}

#[test]
fn an_outage_of_one_of_two_sources_is_no_damage() {
    let mut scene = Scene::with_copy(300);
    scene.log.reply("tile/1/000.p/1", Reply::Body(500, Vec::new()));
    scene.is_well();
}

#[test]
fn entries_that_are_not_answered_for_too_long_are_told_and_an_outage_is_not() {
    let mut scene = Scene::new(300, "unanswered_max = \"10m\"");
    scene.is_well();
    let minute = |scene: &mut Scene| {
        scene.watch.clock.advance(Duration::from_secs(60));
        scene.log.script().checkpoint = scene.keys.sign(scene.tree.head(), &ALL, scene.watch.seconds());
        scene.watch.round()
    };
    scene.log.reply("tile/entries/000", Reply::Body(500, Vec::new()));
    scene.log.reply("checkpoint", Reply::Body(500, Vec::new()));
    for _ in 0..30 {
        minute(&mut scene);
        assert!(scene.watch.case().reread(&(3..4)).is_err());
        assert!(!scene.watch.alarms().contains(&"damage".to_owned()), "nothing is heard of the log");
    }
    scene.log.heal();
    scene.log.reply("tile/entries/000", Reply::Body(500, Vec::new()));
    for _ in 0..10 {
        assert_eq!(minute(&mut scene).state, State::Verified, "{:?}", scene.watch.verdict());
        assert!(scene.watch.case().reread(&(3..4)).is_err());
    }
    minute(&mut scene);
    assert!(scene.watch.case().reread(&(3..4)).is_err());
    assert_eq!(scene.watch.verdict().state, State::Damaged);
    scene.is_damaged("tile/entries/000");
    scene.log.heal();
    scene.is_well();
}

#[test]
fn a_report_that_a_crash_kept_from_being_written_is_written_at_the_next_start() {
    let mut scene = Scene::new(10, "");
    scene.is_well();
    let report = "alarms/1-damage-0123456789abcdef.alarm";
    let alarm =
        Alarm { origin: ORIGIN, kind: "damage", subject: "tile/0/007", detail: "it is missing", report };
    assert!(scene.watch.monitor().store.raise(&alarm, 1).expect("written"));
    assert!(!scene.watch.dir().join(report).exists());
    scene.watch.restart();
    assert_eq!(scene.watch.alarms(), ["damage"]);
    let text = std::fs::read_to_string(scene.watch.dir().join(report)).expect("a report");
    assert!(text.contains("tile/0/007") && text.contains("it is missing"), "{text}");
}

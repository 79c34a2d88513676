//! "Nothing was published for so long" is said of what a monitor knows, and never because it was not there to see.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use monitor::newsroom::{Newsroom, WATCHES_FILE};
use monitor::verdict::State;
use monitor::watch::{Wanted, WatchStore, When};
use tests::liar::{Keys, Liar, Tree};
use tests::watch::Watch;
use tokio::runtime::Runtime;

const ORIGIN: &str = "log.example/silent";
const ALL: [usize; 3] = [0, 1, 2];
const DAY: Duration = Duration::from_secs(86_400);

/// A log, and the monitor of a newsroom that wants to know when nothing comes for seven days.
struct Scene {
    keys: Keys,
    log: Liar,
    watch: Watch,
    silence: i64,
}

impl Scene {
    fn new() -> Self {
        let (keys, log) = (Keys::new(ORIGIN), Liar::start());
        let watch = Watch::new(ORIGIN, &[log.url()], &keys.policy(true), "");
        let wanted =
            Wanted { name: "Anything".to_owned(), when: When::Silent, days: Some(7), ..Wanted::default() };
        let store = WatchStore::open(&watch.dir().join(WATCHES_FILE)).expect("watches");
        let (silence, _) = store.add(&wanted, watch.seconds()).expect("a watch");
        Self { keys, log, watch, silence }
    }

    /// A fresh head over so many entries is served, and verified.
    fn verified(&mut self, entries: u64) {
        let tree = Tree::of(entries);
        self.log.serve(&tree, self.keys.sign(tree.head(), &ALL, self.watch.seconds()));
        assert_eq!(self.watch.round().state, State::Verified);
    }

    /// Indexes what is verified and lets watches look; how often silence was told so far.
    fn told(&self) -> usize {
        let (monitor, clock) = (self.watch.monitor(), &*self.watch.clock);
        let address = monitor.config.listen.address;
        let mut newsroom =
            Newsroom::open(&monitor.folder, &monitor.config, &monitor.cases, &monitor.store, address, clock)
                .expect("a newsroom");
        let runtime = Runtime::new().expect("a runtime");
        let mut caught = newsroom.index_along(&AtomicBool::new(true), &Shutdown::new(), |_| ());
        newsroom.tell(&mut caught, clock, runtime.handle());
        assert!(caught.troubles.is_empty(), "{caught:?}");
        let store = WatchStore::open(&self.watch.dir().join(WATCHES_FILE)).expect("watches");
        store.hits(self.silence, 10).expect("finds").len()
    }
}

#[test]
fn a_monitor_that_was_off_for_ten_days_accuses_nobody_of_silence() {
    let mut scene = Scene::new();
    scene.verified(3);
    assert_eq!(scene.told(), 0);
    scene.watch.end();
    scene.watch.clock.advance(DAY * 10);
    scene.watch.restart();
    assert_eq!(scene.told(), 0, "it has heard nothing yet");
    scene.verified(5);
    assert_eq!(scene.told(), 0, "two entries came meanwhile");
    scene.watch.clock.advance(DAY * 8);
    assert_eq!(scene.told(), 0, "it has not asked the log again");
    scene.verified(5);
    assert_eq!(scene.told(), 1, "fresh heads for eight days, and nothing new under them");
    assert_eq!(scene.told(), 1);
}

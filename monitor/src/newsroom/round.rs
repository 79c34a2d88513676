//! One round of the watches: what is new in the index, alerts of the part that verifies, heartbeats.

use std::sync::Arc;

use crate::case::Case;
use crate::channel::sender::Channel;
use crate::status::status_of;
use crate::store::Store;
use crate::verdict::State;
use crate::watch::engine::{LogAlert, alerts_place};
use crate::watch::message::Found;
use crate::watch::{Engine, EngineError, Heard};

/// Alerts of the part that verifies that are taken at a time.
const ALERTS_TOGETHER_MAX: u32 = 100;
/// Alerts that are told again, at most, where it is not known any more which ones were told.
const ALERTS_AGAIN_MAX: u64 = 1_000;

/// One round: what is new in the index, what is silent, what the part that verifies has to say, and signs of life.
/// Returns how much was found. `generation` is that of the store.
pub(super) fn look(
    engine: &Engine,
    channels: &[Channel],
    store: &Store,
    generation: &str,
    cases: &[Arc<Case>],
    now: u64,
) -> Result<usize, String> {
    let text = |error: EngineError| error.to_string();
    // Asked before the index is: what is verified by now must be in it.
    let heard: Vec<Heard> = cases.iter().map(|case| heard(case)).collect();
    let mut found = engine.look(now).map_err(text)?;
    found += engine.listen(&heard, now).map_err(text)?;
    found += take_alerts(engine, store, generation, now)?;
    for channel in channels {
        let Some(every) = channel.heartbeat else { continue };
        let body = heartbeat(engine, cases, now);
        engine.store.heartbeat(&channel.name, every, &body, now).map_err(|error| error.to_string())?;
    }
    Ok(found)
}

/// `verified` says that everything up to a fresh head was rebuilt and judged.
fn heard(case: &Case) -> Heard {
    let known = case.verdict().state == State::Verified;
    Heard { origin: case.origin().to_owned(), verified: known.then(|| case.facts().verified) }
}

fn take_alerts(engine: &Engine, store: &Store, generation: &str, now: u64) -> Result<usize, String> {
    let place = engine.store.place(&alerts_place(generation)).map_err(|error| error.to_string())?;
    let after = match place {
        Some(place) => place,
        None => store.newest_alert().map_err(|error| error.to_string())?.saturating_sub(ALERTS_AGAIN_MAX),
    };
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let alerts = store.alerts_after(after, ALERTS_TOGETHER_MAX).map_err(|error| error.to_string())?;
    let alerts: Vec<LogAlert> = alerts.iter().map(|alert| LogAlert::parse(alert.id, &alert.body)).collect();
    engine.take_alerts(generation, &alerts, now).map_err(|error| error.to_string())
}

fn heartbeat(engine: &Engine, cases: &[Arc<Case>], now: u64) -> String {
    let logs = status_of(cases).logs;
    let lines = logs.iter().map(|log| {
        let verified = log.verified.as_ref().map_or(0, |head| head.size);
        format!("{}: {}, {verified} entries verified. {}", log.origin, log.state.name(), log.reason)
    });
    let found = Found {
        event: "heartbeat".to_owned(),
        title: "the monitor is at work".to_owned(),
        text: lines.collect::<Vec<_>>().join("; "),
        link: format!("{}/health", engine.address),
        found_at: now,
        ..Found::default()
    };
    serde_json::to_string(&found).expect("an alert has a JSON form")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use daemon::clock::SystemRandom;

    use super::*;
    use crate::index::{Index, Writer};
    use crate::newsroom::generation;
    use crate::store::Alarm;
    use crate::watch::WatchStore;

    const NOW: u64 = 1_795_510_900;

    /// As a start of the monitor opens them.
    struct Desk {
        store: Store,
        engine: Engine,
        generation: String,
    }

    impl Desk {
        fn start(folder: &Path) -> Self {
            let (store, _) = Store::open(&folder.join("monitor.sqlite"), NOW).unwrap();
            let index = folder.join("index.sqlite");
            drop(Writer::open(&index).unwrap());
            let watches = WatchStore::open(&folder.join("watches.sqlite")).unwrap();
            let generation = generation(&store, &watches, &SystemRandom).unwrap();
            let (index, alerts) = (Arc::new(Index::open(&index).unwrap()), folder.join("alerts.ndjson"));
            let engine =
                Engine::new(index, Arc::new(watches), alerts, String::new(), vec!["desk".to_owned()]);
            engine.begin(NOW).unwrap();
            Self { store, engine, generation }
        }

        fn raise(&self, subject: &str) {
            let alarm = Alarm { origin: "log", kind: "damage", subject, detail: "wrong", report: "alarms/1" };
            assert!(self.store.raise(&alarm, NOW).unwrap());
        }

        /// What a round tells the channel.
        fn told(&self) -> usize {
            look(&self.engine, &[], &self.store, &self.generation, &[], NOW).unwrap();
            let messages = self.engine.store.waiting("desk", 100, NOW).unwrap();
            self.engine.store.delivered("desk", &messages, NOW).unwrap();
            messages.len()
        }
    }

    fn lose(folder: &Path, name: &str) {
        for ending in ["", "-wal", "-shm"] {
            // Not all of them are there.
            let _ = std::fs::remove_file(folder.join(format!("{name}{ending}")));
        }
    }

    #[test]
    fn misbehaviour_is_told_after_the_database_that_numbers_alerts_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::start(folder.path());
        for subject in ["a", "b", "c"] {
            desk.raise(subject);
        }
        assert_eq!(desk.told(), 3);
        drop(desk);
        let desk = Desk::start(folder.path());
        assert_eq!(desk.told(), 0, "a start alone repeats nothing");
        drop(desk);
        lose(folder.path(), "monitor.sqlite");
        let desk = Desk::start(folder.path());
        desk.raise("d");
        assert_eq!(desk.told(), 1, "the first alert of the new database is not the first of the old one");
        assert_eq!(desk.told(), 0);
    }

    #[test]
    fn misbehaviour_is_told_after_the_database_was_put_back_from_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("monitor.sqlite"), folder.path().join("copy"));
        let desk = Desk::start(folder.path());
        desk.raise("a");
        assert_eq!(desk.told(), 1);
        drop(desk);
        std::fs::copy(&path, &copy).unwrap();
        let desk = Desk::start(folder.path());
        desk.raise("b");
        assert_eq!(desk.told(), 1);
        drop(desk);
        lose(folder.path(), "monitor.sqlite");
        std::fs::copy(&copy, &path).unwrap();
        let desk = Desk::start(folder.path());
        desk.raise("c");
        assert_eq!(desk.told(), 2, "rather one again than one not at all");
    }

    #[test]
    fn an_upgrade_repeats_no_alert_that_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("monitor.sqlite"), NOW).unwrap();
        let alarm =
            Alarm { origin: "log", kind: "damage", subject: "a", detail: "wrong", report: "alarms/1" };
        store.raise(&alarm, NOW).unwrap();
        drop(store);
        let watches = WatchStore::open(&folder.path().join("watches.sqlite")).unwrap();
        watches.advance(&[("alerts", 1)], &[], NOW).unwrap();
        drop(watches);
        let desk = Desk::start(folder.path());
        assert_eq!(desk.told(), 0);
        desk.raise("b");
        assert_eq!(desk.told(), 1);
        assert_eq!(desk.engine.store.place("alerts").unwrap(), None);
    }
}

//! Watches as a newsroom uses them: the past at once, each find once, nothing lost by a crash.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tlog::hash::leaf_hash;

use super::engine::{Engine, LogAlert, alerts_place};
use super::message::Found;
use super::rule::{Wanted, When, any_misbehaviour};
use super::silence::Heard;
use super::store::WatchStore;
use crate::index::extract::tests::leaf;
use crate::index::query::Query;
use crate::index::search::Page;
use crate::index::write::NewEntry;
use crate::index::{Index, Writer};

const ORIGIN: &str = "log.example";
const NOW: u64 = 1_795_510_900;

struct Bench {
    folder: TempDir,
    writer: Writer,
    engine: Engine,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(&folder.path().join("index.sqlite")).unwrap();
        let engine = Self::engine(folder.path());
        Self { folder, writer, engine }
    }

    fn engine(folder: &Path) -> Engine {
        Engine::new(
            Arc::new(Index::open(&folder.join("index.sqlite")).unwrap()),
            Arc::new(WatchStore::open(&folder.join("watches.sqlite")).unwrap()),
            folder.join("alerts.ndjson"),
            "https://monitor.example".to_owned(),
            vec!["desk".to_owned()],
        )
    }

    /// As after a crash: only what is on the disk.
    fn restart(&mut self) {
        self.engine = Self::engine(self.folder.path());
    }

    fn publish(&mut self, bytes: &[u8]) -> String {
        let index = self.writer.begin(ORIGIN, 0).unwrap().next;
        let hash = leaf_hash(bytes);
        self.writer.append(ORIGIN, &[NewEntry { index, bytes, leaf: hash }]).unwrap();
        hash.to_string()
    }

    fn watch(&self, wanted: &Wanted) -> i64 {
        self.engine.add(wanted, NOW).unwrap()
    }

    /// A round at this time, for a log that is verified to its end if `verified`.
    fn round(&self, now: u64, verified: bool) {
        let size = self.engine.index.logs().unwrap().iter().map(|log| log.next).max();
        let heard = Heard { origin: ORIGIN.to_owned(), verified: size.filter(|_| verified) };
        self.engine.look(now).unwrap();
        self.engine.listen(&[heard], now).unwrap();
    }

    fn waiting(&self) -> Vec<Found> {
        let messages = self.engine.store.waiting("desk", 100, NOW).unwrap();
        messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }

    fn events(&self) -> Vec<String> {
        self.waiting().into_iter().map(|found| found.event).collect()
    }

    fn deliver(&self) {
        let messages = self.engine.store.waiting("desk", 100, NOW).unwrap();
        self.engine.store.delivered("desk", &messages, NOW).unwrap();
    }
}

fn contract(key: &str, previous: &str, amount: &str, at: &str) -> Vec<u8> {
    let previous = if previous.is_empty() { "null".to_owned() } else { format!("\"{previous}\"") };
    leaf(
        "record",
        &format!(
            r#"{{"agency":"a.gov.example","at":"{at}","key":"{key}","log":"log.example","previous":{previous},"public":{{"amount":"{amount}","supplier":"Acme"}},"register":"contracts","title":"Bridge {key}"}}"#
        ),
    )
}

fn wanted(when: When, query: &str) -> Wanted {
    Wanted {
        name: format!("{when:?} {query}"),
        when,
        query: query.to_owned(),
        channels: vec!["desk".to_owned()],
        ..Wanted::default()
    }
}

const AT: &str = "2026-11-24T09:00:00Z";

#[test]
fn a_new_watch_shows_the_past_at_once_and_tells_of_the_new_alone() {
    let mut bench = Bench::new();
    for key in ["C-1", "C-2"] {
        bench.publish(&contract(key, "", "10.00", AT));
    }
    let id = bench.watch(&wanted(When::Found, "bridge"));
    let hits = bench.engine.store.hits(id, 10).unwrap();
    assert_eq!(hits.len(), 2);
    assert!(hits.iter().all(|hit| hit.past));
    bench.publish(&contract("C-3", "", "10.00", AT));
    bench.engine.look(NOW).unwrap();
    let told = bench.waiting();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].title.as_str(), told[0].index), ("Bridge C-3", Some(2)));
    assert!(told[0].link.starts_with("https://monitor.example/log/") && told[0].link.ends_with("/2"));
    assert_eq!(bench.engine.store.hits(id, 10).unwrap().len(), 3);
}

#[test]
fn a_crash_before_the_delivery_repeats_an_alert_and_a_crash_before_the_look_loses_none() {
    let mut bench = Bench::new();
    bench.watch(&wanted(When::Found, "bridge"));
    bench.publish(&contract("C-1", "", "10.00", AT));
    bench.restart();
    bench.engine.look(NOW).unwrap();
    let first = bench.waiting();
    bench.restart();
    assert_eq!(bench.waiting(), first, "told again rather than lost");
    bench.deliver();
    bench.restart();
    assert!(bench.waiting().is_empty());
    bench.engine.look(NOW).unwrap();
    assert!(bench.waiting().is_empty(), "and not twice without a crash");
}

#[test]
fn an_index_that_is_made_anew_repeats_nothing() {
    let mut bench = Bench::new();
    bench.watch(&wanted(When::Found, "bridge"));
    let entries: Vec<Vec<u8>> = ["C-1", "C-2"].iter().map(|key| contract(key, "", "1.00", AT)).collect();
    bench.publish(&entries[0]);
    bench.engine.look(NOW).unwrap();
    bench.deliver();
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(bench.folder.path().join(file));
    }
    bench.writer = Writer::open(&bench.folder.path().join("index.sqlite")).unwrap();
    bench.restart();
    bench.publish(&entries[0]);
    bench.engine.look(NOW).unwrap();
    assert!(bench.waiting().is_empty());
    bench.publish(&entries[1]);
    bench.engine.look(NOW).unwrap();
    assert_eq!(bench.waiting().len(), 1);
}

#[test]
fn a_change_tells_what_was_and_what_is() {
    let mut bench = Bench::new();
    let first = bench.publish(&contract("C-1", "", "1000.00", AT));
    bench.engine.look(NOW).unwrap();
    bench.watch(&wanted(When::Changed, "agency:a.gov.example"));
    let second = bench.publish(&contract("C-1", &first, "9000.00", AT));
    bench.publish(&contract("C-2", "", "5.00", AT));
    let withdrawal = format!(
        r#"{{"action":"withdraw","agency":"a.gov.example","at":"{AT}","key":"C-1","log":"log.example","previous":"{second}","register":"contracts"}}"#
    );
    bench.publish(&leaf("record", &withdrawal));
    bench.engine.look(NOW).unwrap();
    assert_eq!(bench.events(), ["changed", "withdrawn"], "a first version is no change");
    let told = bench.waiting();
    let change = &told[0].changes[0];
    assert_eq!(
        (change.path.as_str(), change.old.as_ref(), change.new.as_ref()),
        ("/public/amount", Some(&Value::from("1000.00")), Some(&Value::from("9000.00")))
    );
    let text = told[0].to_text();
    assert!(
        text.contains("/public/amount: 1000.00 -> 9000.00") && text.contains("proof: https://"),
        "{text}"
    );
}

fn tombstone(key: &str, erased: &str) -> Vec<u8> {
    leaf(
        "tombstone",
        &format!(
            r#"{{"agency":"a.gov.example","at":"{AT}","basis":"court","entry":{{"index":0,"leaf":"{erased}"}},"erased":["/erasable/name"],"key":"{key}","log":"log.example","previous":null,"register":"contracts"}}"#
        ),
    )
}

#[test]
fn an_erasure_is_a_change_of_the_record_whose_values_are_gone() {
    let mut bench = Bench::new();
    let first = bench.publish(&contract("C-1", "", "1000.00", AT));
    let other = bench.publish(&leaf("record", r#"{"agency":"b","key":"X","register":"r","title":"Tunnel"}"#));
    bench.watch(&wanted(When::Changed, "bridge"));
    bench.publish(&tombstone("C-1", &first));
    bench.publish(&tombstone("X", &other));
    bench.engine.look(NOW).unwrap();
    let told: Vec<(String, Option<u64>)> =
        bench.waiting().into_iter().map(|found| (found.event, found.index)).collect();
    assert_eq!(told, [("erased".to_owned(), Some(2))], "the tombstone itself says nothing of bridges");
    let later = bench.watch(&Wanted { name: "made later".to_owned(), ..wanted(When::Changed, "bridge") });
    let past: Vec<Found> = bench
        .engine
        .store
        .hits(later, 10)
        .unwrap()
        .iter()
        .map(|hit| serde_json::from_str(&hit.body).unwrap())
        .collect();
    assert_eq!((past.len(), past[0].index), (1, Some(2)), "and the past shows it too");
}

#[test]
fn what_comes_while_a_watch_is_made_is_told_once() {
    let mut bench = Bench::new();
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.engine.look(NOW).unwrap();
    let engine = bench.engine.clone();
    // The running monitor indexes and passes one entry while the past is looked for, and indexes another.
    let id = engine
        .add_while(&wanted(When::Found, "bridge"), NOW, || {
            bench.publish(&contract("C-2", "", "1.00", AT));
            bench.engine.look(NOW).unwrap();
            bench.publish(&contract("C-3", "", "1.00", AT));
        })
        .unwrap();
    bench.engine.look(NOW).unwrap();
    let told: Vec<Option<u64>> = bench.waiting().into_iter().map(|found| found.index).collect();
    assert_eq!(told, [Some(1), Some(2)]);
    let past: Vec<bool> = engine.store.hits(id, 10).unwrap().into_iter().map(|hit| hit.past).collect();
    assert_eq!(past, [false, false, true]);
}

#[test]
fn changes_since_a_day_are_found_and_watched() {
    let mut bench = Bench::new();
    let first = bench.publish(&contract("C-1", "", "1.00", "2025-01-01T00:00:00Z"));
    let old = bench.publish(&contract("C-1", &first, "2.00", "2025-02-01T00:00:00Z"));
    bench.writer.note_head(ORIGIN, 2, 1_790_812_800).unwrap();
    // Dated back, but it was not in the log on 1 October 2026.
    let late = bench.publish(&contract("C-1", &old, "3.00", "2025-03-01T00:00:00Z"));
    bench.publish(&tombstone("C-1", &late));
    bench.publish(&contract("C-2", "", "4.00", AT));
    let found = |query: &str| {
        let hits = bench.engine.index.search(&Query::parse(query), Page::Oldest(None), 10).unwrap();
        hits.rows.into_iter().map(|row| row.index).collect::<Vec<_>>()
    };
    assert_eq!(found("changed:2025"), [1, 2, 3], "a first version changes nothing");
    assert_eq!(found("changed:2026-10-01 register:contracts"), [2, 3]);
    assert_eq!(found("changed:2026-10-01 supplier:acme"), [2]);
    assert!(found("changed:2027").is_empty());
    let since = Wanted { since: Some("2026-10".to_owned()), ..wanted(When::Changed, "bridge") };
    let id = bench.watch(&since);
    let past = bench.engine.store.hits(id, 10).unwrap();
    assert_eq!(past.len(), 2, "{past:?}");
    assert!(past.iter().all(|hit| hit.past));
}

#[test]
fn amounts_expressions_erasures_and_keys_are_watched() {
    let mut bench = Bench::new();
    bench.watch(&wanted(When::Found, "amount>1000"));
    let pattern = Wanted { pattern: Some(r"Ac\w+\b".to_owned()), ..wanted(When::Found, "C-9") };
    bench.watch(&pattern);
    bench.watch(&wanted(When::Found, "is:erased"));
    bench.watch(&wanted(When::Keys, ""));
    bench.publish(&contract("C-1", "", "1000.00", AT));
    bench.publish(&contract("C-2", "", "1000.01", AT));
    bench.publish(&contract("C-9", "", "1.00", AT));
    bench.publish(&leaf("tombstone", r#"{"agency":"a","at":"2026-11-24T09:00:00Z","basis":"court","entry":{"index":0,"leaf":"ab"},"erased":["/sealed"],"key":"C-1","log":"l","previous":null,"register":"contracts"}"#));
    bench.publish(&leaf("agency", r#"{"action":"revoke","agency":"a.gov.example","at":"2026-11-24T09:00:00Z","keys":[],"log":"l","previous":null,"reason":"stolen"}"#));
    bench.engine.look(NOW).unwrap();
    let told: Vec<(u64, String)> =
        bench.waiting().into_iter().map(|found| (found.index.unwrap(), found.watch.unwrap().name)).collect();
    assert_eq!(
        told,
        [
            (1, "Found amount>1000".to_owned()),
            (2, "Found C-9".to_owned()),
            (3, "Found is:erased".to_owned()),
            (4, "Keys ".to_owned()),
        ]
    );
}

#[test]
fn late_publication_is_told_only_where_it_is_certain() {
    let mut bench = Bench::new();
    let late = Wanted { days: Some(30), ..wanted(When::Late, "") };
    bench.watch(&late);
    // Before the first head nobody knows when an entry came.
    bench.publish(&contract("C-1", "", "1.00", "2020-01-01T00:00:00Z"));
    bench.writer.note_head(ORIGIN, 1, NOW - 100).unwrap();
    bench.publish(&contract("C-2", "", "1.00", AT));
    bench.publish(&contract("C-3", "", "1.00", "2026-01-01T00:00:00Z"));
    bench.engine.look(NOW).unwrap();
    let told: Vec<Option<u64>> = bench.waiting().into_iter().map(|found| found.index).collect();
    assert_eq!(told, [Some(2)]);
}

#[test]
fn silence_is_told_once_and_again_after_it_was_broken() {
    let mut bench = Bench::new();
    let silent = Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts") };
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.watch(&silent);
    let day = 86_400;
    for after in [1, 6, 8, 9, 10] {
        bench.round(NOW + after * day, true);
    }
    assert_eq!(bench.events(), ["silent"]);
    assert!(bench.waiting()[0].text.contains("for 8 days; the last entry is log.example#0"));
    // Dated back as it is, it came today.
    bench.publish(&contract("C-2", "", "1.00", "2020-12-05T00:00:00Z"));
    bench.round(NOW + 11 * day, true);
    assert_eq!(bench.events(), ["silent"]);
    bench.round(NOW + 30 * day, true);
    assert_eq!(bench.events(), ["silent", "silent"]);
}

#[test]
fn whoever_was_away_accuses_nobody_of_silence() {
    let mut bench = Bench::new();
    let day = 86_400;
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.writer.note_head(ORIGIN, 1, NOW).unwrap();
    bench.watch(&Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts") });
    bench.round(NOW, true);
    // Ten days later the first looks know nothing of what was published meanwhile.
    let back = NOW + 10 * day;
    bench.round(back, false);
    bench.publish(&contract("C-2", "", "1.00", AT));
    bench.round(back + 60, false);
    assert!(bench.events().is_empty(), "a backlog is no silence");
    // Verified, but not all of it is in the index yet.
    let more = Heard { origin: ORIGIN.to_owned(), verified: Some(3) };
    bench.engine.listen(&[more], back + 120).unwrap();
    assert!(bench.events().is_empty(), "what is not indexed is not missing");
    bench.publish(&contract("C-3", "", "1.00", AT));
    bench.writer.note_head(ORIGIN, 3, back + 180).unwrap();
    bench.round(back + 180, true);
    assert!(bench.events().is_empty(), "it came before the head that holds it, and not when it was away");
    bench.round(back + 8 * day, true);
    assert_eq!(bench.events(), ["silent"]);
}

#[test]
fn silence_counts_from_the_first_head_that_holds_the_last_entry_and_in_all_logs_that_are_asked_for() {
    let mut bench = Bench::new();
    let day = 86_400;
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.writer.note_head(ORIGIN, 1, NOW - 20 * day).unwrap();
    bench.watch(&Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts") });
    let here = Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts log:log.example") };
    bench.watch(&here);
    bench.engine.look(NOW).unwrap();
    let known = Heard { origin: ORIGIN.to_owned(), verified: Some(1) };
    let other = Heard { origin: "other.example".to_owned(), verified: None };
    bench.engine.listen(&[known.clone(), other], NOW).unwrap();
    let told: Vec<String> = bench.waiting().into_iter().map(|found| found.watch.unwrap().name).collect();
    assert_eq!(told, [here.name], "the other log may have something");
    assert!(bench.waiting()[0].text.contains("for 20 days"), "{:?}", bench.waiting());
    bench.engine.listen(&[known], NOW + 60).unwrap();
    assert_eq!(bench.events(), ["silent", "silent"]);
}

#[test]
fn looking_for_silence_writes_nothing_where_nothing_is_told() {
    let mut bench = Bench::new();
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.watch(&Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts") });
    let day = 86_400;
    for told in [NOW, NOW + 8 * day] {
        bench.round(told, true);
        // Another connection sees whether anything was written.
        let other = Bench::engine(bench.folder.path());
        let before = other.store.version().unwrap();
        for again in 1..20 {
            bench.round(told + again * 3_600, true);
        }
        assert_eq!(other.store.version().unwrap(), before);
    }
    assert_eq!(bench.events(), ["silent"]);
}

#[test]
fn a_clock_that_was_ahead_neither_accuses_nor_keeps_a_watch_for_silence_quiet() {
    let mut bench = Bench::new();
    let (day, year) = (86_400, 31_536_000);
    bench.watch(&Wanted { days: Some(7), ..wanted(When::Silent, "register:contracts") });
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.round(NOW + year, true);
    bench.round(NOW + 30 * day, true);
    assert!(bench.events().is_empty(), "nobody knows when it came");
    bench.round(NOW + 38 * day, true);
    assert_eq!(bench.events(), ["silent"]);
}

#[test]
fn misbehaviour_is_told_once_for_each_alert() {
    let bench = Bench::new();
    bench.watch(&wanted(When::Misbehaviour, ""));
    let alert = |id| LogAlert {
        id,
        origin: ORIGIN.to_owned(),
        event: "misbehaviour".to_owned(),
        title: "fork".to_owned(),
        detail: "two roots".to_owned(),
    };
    assert_eq!(bench.engine.take_alerts("a", &[alert(1), alert(2)], NOW).unwrap(), 2);
    assert_eq!(bench.engine.take_alerts("a", &[alert(2), alert(3)], NOW).unwrap(), 1);
    assert_eq!(bench.events(), ["misbehaviour"; 3]);
    assert_eq!(bench.engine.store.place(&alerts_place("a")).unwrap(), Some(3));
    assert_eq!(
        bench.engine.take_alerts("b", &[alert(1)], NOW).unwrap(),
        1,
        "another database, another alert"
    );
}

#[test]
fn the_first_watch_tells_every_channel_of_misbehaviour_and_can_be_removed() {
    let bench = Bench::new();
    bench.engine.begin(NOW).unwrap();
    bench.engine.begin(NOW).unwrap();
    let watches = bench.engine.store.watches().unwrap();
    assert_eq!(watches.len(), 1);
    assert_eq!(watches[0].wanted, any_misbehaviour());
    let alert = LogAlert::parse(1, r#"{"origin":"log.example","kind":"fork","event":"misbehaviour"}"#);
    let mut engine = bench.engine.clone();
    engine.channels.push("added later".to_owned());
    assert_eq!(engine.take_alerts("a", &[alert], NOW).unwrap(), 1);
    assert_eq!(bench.waiting().len(), 1);
    assert_eq!(engine.store.waiting("added later", 10, NOW).unwrap().len(), 1);
    assert!(bench.engine.store.remove(watches[0].id).unwrap());
    bench.engine.begin(NOW).unwrap();
    assert!(bench.engine.store.watches().unwrap().is_empty(), "whoever removed it meant it");
}

#[test]
fn who_has_a_watch_for_misbehaviour_that_tells_somebody_gets_no_second_one() {
    let bench = Bench::new();
    bench.watch(&wanted(When::Misbehaviour, ""));
    bench.engine.begin(NOW).unwrap();
    assert_eq!(bench.engine.store.watches().unwrap().len(), 1);
    let quiet = Bench::new();
    quiet.watch(&Wanted { channels: Vec::new(), ..wanted(When::Misbehaviour, "") });
    quiet.engine.begin(NOW).unwrap();
    assert_eq!(quiet.engine.store.watches().unwrap().len(), 2, "a feed alone wakes nobody");
}

#[test]
fn a_watch_for_misbehaviour_shows_what_was_found_before_it_was_made() {
    let bench = Bench::new();
    let line = r#"{"origin":"log.example","kind":"log-two-roots","event":"misbehaviour","subject":"0c6f","detail":"two roots","file":"evidence/0c6f.evidence"}"#;
    std::fs::write(bench.folder.path().join("alerts.ndjson"), format!("{line}\n")).unwrap();
    let id = bench.watch(&wanted(When::Misbehaviour, ""));
    let hits = bench.engine.store.hits(id, 10).unwrap();
    assert_eq!(hits.len(), 1);
    assert!(hits[0].past && hits[0].body.contains("evidence/0c6f.evidence"), "{hits:?}");
    let found: Found = serde_json::from_str(&hits[0].body).unwrap();
    assert_eq!(found.title, "log.example has signed two different trees of one size");
    let (origin, kind) = ("log.example", "unreachable");
    for (event, expected) in [
        ("raised", ("alarm", "log.example does not answer")),
        ("cleared", ("cleared", "Over: log.example does not answer")),
    ] {
        let body =
            json!({"origin": origin, "kind": kind, "event": event, "subject": "log", "detail": "timeout"});
        let alert = LogAlert::parse(1, &body.to_string());
        assert_eq!((alert.event.as_str(), alert.title.as_str()), expected, "no alarm is called misbehaviour");
    }
    assert!(bench.waiting().is_empty(), "the past is shown, and not told");
}

#[test]
fn watches_made_elsewhere_are_seen_without_a_restart_and_the_same_watch_is_one() {
    let mut bench = Bench::new();
    bench.engine.look(NOW).unwrap();
    let elsewhere = Bench::engine(bench.folder.path());
    let first = elsewhere.add(&wanted(When::Found, "bridge"), NOW).unwrap();
    let again = elsewhere.add(&wanted(When::Found, "bridge"), NOW + 5).unwrap();
    assert_eq!(first, again);
    bench.publish(&contract("C-1", "", "1.00", AT));
    bench.engine.look(NOW).unwrap();
    assert_eq!(bench.events(), ["found"]);
    assert!(elsewhere.store.remove(first).unwrap() && !elsewhere.store.remove(first).unwrap());
    bench.publish(&contract("C-2", "", "1.00", AT));
    bench.engine.look(NOW).unwrap();
    assert_eq!(bench.waiting().len(), 1);
}

#[test]
fn tests_and_heartbeats_come_when_they_are_due() {
    let bench = Bench::new();
    let id = bench.watch(&wanted(When::Found, "x"));
    assert!(bench.engine.test(id, NOW).unwrap() && !bench.engine.test(99, NOW).unwrap());
    assert_eq!(bench.events(), ["test"]);
    let store = &bench.engine.store;
    let beat = |now| store.heartbeat("desk", 3_600, "{\"event\":\"heartbeat\"}", now).unwrap();
    assert!(beat(NOW) && !beat(NOW + 3_599) && beat(NOW + 3_600));
    assert_eq!(bench.events(), ["test", "heartbeat"], "only the newest waits");
}

#[test]
fn a_failing_channel_waits_longer_each_time_and_is_shown() {
    let bench = Bench::new();
    let store = &bench.engine.store;
    store.send("desk", "a", "{}", NOW).unwrap();
    store.send("desk", "a", "{}", NOW).unwrap();
    let mut waits = Vec::new();
    for _ in 0..12 {
        store.failed("desk", "refused", NOW).unwrap();
        waits.push(store.channel("desk").unwrap().retry_at.unwrap() - NOW);
    }
    assert_eq!(waits[..4], [5, 10, 20, 40]);
    assert_eq!(waits[11], 3_600);
    assert!(store.waiting("desk", 10, NOW).unwrap().is_empty());
    assert_eq!(store.waiting("desk", 10, NOW + 3_600).unwrap().len(), 1, "the same message is one");
    let state = store.channel("desk").unwrap();
    assert_eq!((state.failures, state.error.as_deref(), state.waiting), (12, Some("refused"), 1));
    let messages = store.waiting("desk", 10, NOW + 3_600).unwrap();
    store.delivered("desk", &messages, NOW + 3_600).unwrap();
    let state = store.channel("desk").unwrap();
    assert_eq!((state.failures, state.error, state.waiting), (0, None, 0));
}

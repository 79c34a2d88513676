//! Alarms.
//!
//! An alarm has a report, and is told when it is raised and when it is cleared. Of causes that are too many to be told
//! one by one the rest are kept without a report: nobody is told, they are not listed, and their end leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::alerts::{Body, alert};
use super::{Store, StoreError, signed, unsigned};

/// Something that is wrong and is no proof: what it is about decides whether it is the same alarm again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm<'a> {
    /// The log.
    pub origin: &'a str,
    /// Which sort.
    pub kind: &'a str,
    /// What it is about.
    pub subject: &'a str,
    /// In words.
    pub detail: &'a str,
    /// The file with the report, relative to the monitor's directory; empty for one that is only remembered.
    pub report: &'a str,
}

/// A kept alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmRow {
    /// The log.
    pub origin: String,
    /// Which sort.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub detail: String,
    /// The file with the report.
    pub report: String,
    /// When it was raised, in milliseconds since 1970.
    pub first_seen: u64,
    /// When its cause was seen last.
    pub last_seen: u64,
    /// How often.
    pub times: u64,
    /// When it was cleared.
    pub cleared_at: Option<u64>,
}

/// An open alarm, as it is ended.
struct Open {
    id: i64,
    subject: String,
    detail: String,
    report: String,
}

const OPEN: &str = "SELECT id, subject, detail, report FROM alarm
                    WHERE origin = ?1 AND kind = ?2 AND cleared_at IS NULL";

fn open(row: &rusqlite::Row<'_>) -> rusqlite::Result<Open> {
    Ok(Open { id: row.get(0)?, subject: row.get(1)?, detail: row.get(2)?, report: row.get(3)? })
}

fn raise(connection: &Connection, alarm: &Alarm<'_>, now: u64) -> rusqlite::Result<bool> {
    let Alarm { origin, kind, subject, detail, report } = *alarm;
    let again = connection
        .prepare_cached(
            "UPDATE alarm SET last_seen = ?4, times = times + 1, detail = ?5
             WHERE origin = ?1 AND kind = ?2 AND subject = ?3 AND cleared_at IS NULL",
        )?
        .execute(params![origin, kind, subject, signed(now), detail])?;
    if again > 0 {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO alarm (origin, kind, subject, detail, first_seen, last_seen, times, report)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1, ?6)",
        )?
        .execute(params![origin, kind, subject, detail, signed(now), report])?;
    if !report.is_empty() {
        let body = Body { origin, kind, event: "raised", subject, detail, file: report, at_millis: now };
        alert(connection, &body)?;
    }
    Ok(true)
}

/// Ends an alarm, with an alert; one without a report was never told, and leaves nothing behind.
fn end(connection: &Connection, (origin, kind): (&str, &str), open: &Open, now: u64) -> rusqlite::Result<()> {
    let Open { id, subject, detail, report } = open;
    if report.is_empty() {
        return connection.prepare_cached("DELETE FROM alarm WHERE id = ?1")?.execute([id]).map(|_| ());
    }
    let query = "UPDATE alarm SET cleared_at = ?2 WHERE id = ?1";
    connection.prepare_cached(query)?.execute(params![id, signed(now)])?;
    alert(connection, &Body { origin, kind, event: "cleared", subject, detail, file: report, at_millis: now })
}

impl Store {
    /// Raises an alarm, or counts it again while it is open. `true` if it is new: then there is an alert.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn raise(&self, alarm: &Alarm<'_>, now: u64) -> Result<bool, StoreError> {
        self.run(|connection| raise(connection, alarm, now))
    }

    /// Raises alarms in one transaction; for each, whether it is new.
    ///
    /// # Errors
    /// As above.
    pub fn raise_all(&self, alarms: &[Alarm<'_>], now: u64) -> Result<Vec<bool>, StoreError> {
        self.run(|connection| alarms.iter().map(|alarm| raise(connection, alarm, now)).collect())
    }

    /// Clears the open alarms of a sort whose cause is gone; those about `but` stay. An alert tells of each.
    ///
    /// # Errors
    /// As above.
    pub fn clear(&self, origin: &str, kind: &str, but: &[String], now: u64) -> Result<(), StoreError> {
        let but: BTreeSet<&String> = but.iter().collect();
        self.run(|connection| {
            let mut statement = connection.prepare_cached(OPEN)?;
            let all: Vec<Open> = statement.query_map([origin, kind], open)?.collect::<Result<_, _>>()?;
            let mut gone = all.iter().filter(|open| !but.contains(&open.subject));
            gone.try_for_each(|open| end(connection, (origin, kind), open, now))
        })
    }

    /// Clears the open alarms of a sort that are about these; all others stay, however many there are.
    ///
    /// # Errors
    /// As above.
    pub fn clear_about(
        &self,
        origin: &str,
        kind: &str,
        subjects: &[String],
        now: u64,
    ) -> Result<(), StoreError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(&format!("{OPEN} AND subject = ?3"))?;
            for subject in subjects {
                let found = statement.query_row([origin, kind, subject], open).optional()?;
                found.map_or(Ok(()), |open| end(connection, (origin, kind), &open, now))?;
            }
            Ok(())
        })
    }

    /// Notes that the causes of these open alarms were seen again.
    ///
    /// # Errors
    /// As above.
    pub fn seen_again(
        &self,
        origin: &str,
        kind: &str,
        subjects: &[String],
        now: u64,
    ) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "UPDATE alarm SET last_seen = ?4, times = times + 1
                         WHERE origin = ?1 AND kind = ?2 AND subject = ?3 AND cleared_at IS NULL";
            let mut statement = connection.prepare_cached(query)?;
            for subject in subjects {
                statement.execute(params![origin, kind, subject, signed(now)])?;
            }
            Ok(())
        })
    }

    /// What the open alarms of a sort are about, those first whose cause was seen the longest ago; at most so many.
    ///
    /// # Errors
    /// As above.
    pub fn least_seen(&self, origin: &str, kind: &str, most: u32) -> Result<Vec<String>, StoreError> {
        self.run(|connection| {
            let query = "SELECT subject FROM alarm WHERE origin = ?1 AND kind = ?2 AND cleared_at IS NULL
                         ORDER BY last_seen, id LIMIT ?3";
            let mut statement = connection.prepare_cached(query)?;
            statement.query_map(params![origin, kind, most], |row| row.get(0))?.collect()
        })
    }

    /// What the open alarms of a sort are about, and whether each was told: one without a report was not.
    ///
    /// # Errors
    /// As above.
    pub fn open_subjects(&self, origin: &str, kind: &str) -> Result<BTreeMap<String, bool>, StoreError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(OPEN)?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, !row.get::<_, String>(3)?.is_empty()));
            statement.query_map([origin, kind], row)?.collect()
        })
    }

    /// How many open alarms of a sort were not told.
    ///
    /// # Errors
    /// As above.
    pub fn count_untold(&self, origin: &str, kind: &str) -> Result<u64, StoreError> {
        self.run(|connection| {
            let query = "SELECT count(*) FROM alarm
                         WHERE origin = ?1 AND kind = ?2 AND cleared_at IS NULL AND report = ''";
            connection.prepare_cached(query)?.query_row([origin, kind], |row| row.get(0)).map(unsigned)
        })
    }

    /// The detail of the newest open alarm of one of these sorts.
    ///
    /// # Errors
    /// As above.
    pub fn newest_open(&self, origin: &str, kinds: &[&str]) -> Result<Option<String>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, detail FROM alarm
                         WHERE origin = ?1 AND kind = ?2 AND cleared_at IS NULL AND report <> ''
                         ORDER BY id DESC LIMIT 1";
            let mut statement = connection.prepare_cached(query)?;
            let mut newest: Option<(i64, String)> = None;
            for kind in kinds {
                let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
                newest = newest.max(statement.query_row([origin, *kind], row).optional()?);
            }
            Ok(newest.map(|(_, detail)| detail))
        })
    }

    /// The alarms of a log that were told, open ones first, the newest thousand.
    ///
    /// # Errors
    /// As above.
    pub fn alarms(&self, origin: &str) -> Result<Vec<AlarmRow>, StoreError> {
        self.alarm_rows(origin, "ORDER BY cleared_at IS NOT NULL, id DESC LIMIT 1000")
    }

    /// All open alarms of a log that were told.
    ///
    /// # Errors
    /// As above.
    pub fn open_alarms(&self, origin: &str) -> Result<Vec<AlarmRow>, StoreError> {
        self.alarm_rows(origin, "AND cleared_at IS NULL ORDER BY id")
    }

    fn alarm_rows(&self, origin: &str, which: &str) -> Result<Vec<AlarmRow>, StoreError> {
        self.run(|connection| {
            let query = format!(
                "SELECT origin, kind, subject, detail, report, first_seen, last_seen, times, cleared_at
                 FROM alarm WHERE origin = ?1 AND report <> '' {which}"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(AlarmRow {
                    origin: row.get(0)?,
                    kind: row.get(1)?,
                    subject: row.get(2)?,
                    detail: row.get(3)?,
                    report: row.get(4)?,
                    first_seen: unsigned(row.get(5)?),
                    last_seen: unsigned(row.get(6)?),
                    times: unsigned(row.get(7)?),
                    cleared_at: row.get::<_, Option<i64>>(8)?.map(unsigned),
                })
            };
            statement.query_map([origin], row)?.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_alerts_once_when_raised_and_once_when_cleared_and_survives_a_crash_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.sqlite");
        let (store, _) = Store::open(&path, 1).unwrap();
        let alarm = Alarm {
            origin: "log",
            kind: "damage",
            subject: "tile/0/000",
            detail: "wrong",
            report: "alarms/1",
        };
        assert!(store.raise(&alarm, 5).unwrap());
        assert!(!store.raise(&alarm, 6).unwrap());
        let first = store.next_alert(0).unwrap().unwrap();
        drop(store);
        let (store, _) = Store::open(&path, 7).unwrap();
        assert_eq!(store.next_alert(0).unwrap(), Some(first.clone()), "told again rather than lost");
        store.delivered(first.id, 8).unwrap();
        assert_eq!(store.next_alert(0).unwrap(), None);
        assert_eq!(store.alerts_after(0, 10).unwrap(), [first]);
        store.clear("log", "damage", &["tile/0/000".to_owned()], 9).unwrap();
        assert_eq!(store.next_alert(0).unwrap(), None, "its cause is still there");
        store.clear("log", "damage", &[], 10).unwrap();
        assert!(store.next_alert(0).unwrap().unwrap().body.contains("cleared"));
        let kept = store.alarms("log").unwrap();
        assert_eq!((kept.len(), kept[0].times, kept[0].cleared_at), (1, 2, Some(10)));
        assert!(store.raise(&alarm, 11).unwrap(), "a new alarm after the old one was cleared");
    }

    fn open_at(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("m.sqlite"), 1).unwrap().0
    }

    #[test]
    fn clearing_one_alarm_leaves_all_others_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_at(&folder);
        let subjects: Vec<String> =
            (0..2500).map(|at| format!("tile/0/x00{}/{:03}", at / 1000, at % 1000)).collect();
        let alarms: Vec<Alarm<'_>> = subjects
            .iter()
            .map(|subject| Alarm {
                origin: "log",
                kind: "damage",
                subject,
                detail: "wrong",
                report: "alarms/1",
            })
            .collect();
        assert!(store.raise_all(&alarms, 5).unwrap().into_iter().all(|new| new));
        store.clear_about("log", "damage", &[subjects[7].clone(), "nothing".to_owned()], 6).unwrap();
        let open = store.open_subjects("log", "damage").unwrap();
        assert_eq!(open.len(), 2499);
        assert!(!open.contains_key(&subjects[7]));
        assert_eq!(store.alerts_after(0, u32::MAX).unwrap().len(), 2501);
        store.clear("log", "damage", &subjects[..3], 7).unwrap();
        assert_eq!(store.open_subjects("log", "damage").unwrap().len(), 3);
    }

    #[test]
    fn what_is_only_remembered_is_told_to_nobody_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_at(&folder);
        let of = |subject, report| Alarm { origin: "log", kind: "damage", subject, detail: "wrong", report };
        let new = store.raise_all(&[of("a", "alarms/a"), of("b", ""), of("b", "")], 5).unwrap();
        assert_eq!(new, [true, true, false]);
        assert_eq!(store.count_untold("log", "damage").unwrap(), 1);
        assert_eq!(store.alarms("log").unwrap().len(), 1);
        assert_eq!(store.newest_open("log", &["fork", "damage"]).unwrap().as_deref(), Some("wrong"));
        assert_eq!(store.least_seen("log", "damage", 10).unwrap(), ["a", "b"]);
        store.raise(&of("a", "alarms/a"), 9).unwrap();
        assert_eq!(store.least_seen("log", "damage", 1).unwrap(), ["b"], "seen the longest ago");
        store.clear_about("log", "damage", &["b".to_owned()], 10).unwrap();
        assert_eq!(store.count_untold("log", "damage").unwrap(), 0);
        assert_eq!(store.alerts_after(0, 10).unwrap().len(), 1);
    }
}

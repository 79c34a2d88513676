//! Alarms, and the alerts that tell of them and of evidence.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

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
    /// The file with the report, relative to the monitor's directory.
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

/// An alert to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its number.
    pub id: i64,
    /// One JSON object.
    pub body: String,
}

/// What an alert says.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    pub(super) origin: &'a str,
    pub(super) kind: &'a str,
    pub(super) event: &'a str,
    pub(super) subject: &'a str,
    pub(super) detail: &'a str,
    pub(super) file: &'a str,
    pub(super) at_millis: u64,
}

pub(super) fn alert(connection: &Connection, body: &Body<'_>) -> rusqlite::Result<()> {
    let text = serde_json::to_string(body).expect("an alert has a JSON form");
    connection
        .prepare_cached("INSERT INTO alert (origin, kind, body, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![body.origin, body.kind, text, signed(body.at_millis)])
        .map(|_| ())
}

impl Store {
    /// Raises an alarm, or counts it again while it is open. `true` if it is new: then there is an alert.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn raise(&self, alarm: &Alarm<'_>, now: u64) -> Result<bool, StoreError> {
        let Alarm { origin, kind, subject, detail, report } = *alarm;
        self.run(|connection| {
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
            let body = Body { origin, kind, event: "raised", subject, detail, file: report, at_millis: now };
            alert(connection, &body)?;
            Ok(true)
        })
    }

    /// Clears the open alarms of a sort whose cause is gone; those about `but` stay. An alert tells of each.
    ///
    /// # Errors
    /// As above.
    pub fn clear(&self, origin: &str, kind: &str, but: &[String], now: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "SELECT id, subject, detail, report FROM alarm
                         WHERE origin = ?1 AND kind = ?2 AND cleared_at IS NULL";
            let mut statement = connection.prepare_cached(query)?;
            let columns = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
            };
            let open: Vec<(i64, String, String, String)> =
                statement.query_map([origin, kind], columns)?.collect::<Result<_, _>>()?;
            for (id, subject, detail, report) in open.iter().filter(|(_, subject, ..)| !but.contains(subject))
            {
                connection
                    .prepare_cached("UPDATE alarm SET cleared_at = ?2 WHERE id = ?1")?
                    .execute(params![id, signed(now)])?;
                let body =
                    Body { origin, kind, event: "cleared", subject, detail, file: report, at_millis: now };
                alert(connection, &body)?;
            }
            Ok(())
        })
    }

    /// The alarms of a log, open ones first.
    ///
    /// # Errors
    /// As above.
    pub fn alarms(&self, origin: &str) -> Result<Vec<AlarmRow>, StoreError> {
        self.run(|connection| {
            let query =
                "SELECT origin, kind, subject, detail, report, first_seen, last_seen, times, cleared_at
                         FROM alarm WHERE origin = ?1 ORDER BY cleared_at IS NOT NULL, id DESC LIMIT 1000";
            let mut statement = connection.prepare_cached(query)?;
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

    /// The oldest alert that was not delivered.
    ///
    /// # Errors
    /// As above.
    pub fn next_alert(&self) -> Result<Option<Alert>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, body FROM alert WHERE delivered_at IS NULL ORDER BY id LIMIT 1";
            let row = |row: &rusqlite::Row<'_>| Ok(Alert { id: row.get(0)?, body: row.get(1)? });
            connection.prepare_cached(query)?.query_row([], row).optional()
        })
    }

    /// Alerts after the one with this number, delivered or not, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn alerts_after(&self, id: i64, limit: u32) -> Result<Vec<Alert>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, body FROM alert WHERE id > ?1 ORDER BY id LIMIT ?2";
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &rusqlite::Row<'_>| Ok(Alert { id: row.get(0)?, body: row.get(1)? });
            statement.query_map(params![id, limit], row)?.collect()
        })
    }

    /// Crosses an alert out, after its delivery.
    ///
    /// # Errors
    /// As above.
    pub fn delivered(&self, id: i64, now: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            connection
                .prepare_cached("UPDATE alert SET delivered_at = ?2 WHERE id = ?1")?
                .execute(params![id, signed(now)])
                .map(|_| ())
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
        let first = store.next_alert().unwrap().unwrap();
        drop(store);
        let (store, _) = Store::open(&path, 7).unwrap();
        assert_eq!(store.next_alert().unwrap(), Some(first.clone()), "told again rather than lost");
        store.delivered(first.id, 8).unwrap();
        assert_eq!(store.next_alert().unwrap(), None);
        assert_eq!(store.alerts_after(0, 10).unwrap(), [first]);
        store.clear("log", "damage", &["tile/0/000".to_owned()], 9).unwrap();
        assert_eq!(store.next_alert().unwrap(), None, "its cause is still there");
        store.clear("log", "damage", &[], 10).unwrap();
        assert!(store.next_alert().unwrap().unwrap().body.contains("cleared"));
        let kept = store.alarms("log").unwrap();
        assert_eq!((kept.len(), kept[0].times, kept[0].cleared_at), (1, 2, Some(10)));
        assert!(store.raise(&alarm, 11).unwrap(), "a new alarm after the old one was cleared");
    }
}

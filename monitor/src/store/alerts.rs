//! Alerts: written in the transaction that holds their cause, crossed out after their delivery.
//!
//! Two things become of each: a line of a file, and a run of a command. They are crossed out one by one, so that a
//! command that fails holds up no line.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{Store, StoreError, signed};

/// An alert to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its number.
    pub id: i64,
    /// One JSON object.
    pub body: String,
}

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

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert { id: row.get(0)?, body: row.get(1)? })
}

impl Store {
    /// Alerts that are no line of the file yet, oldest first.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn unwritten_alerts(&self, limit: u32) -> Result<Vec<Alert>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, body FROM alert WHERE written_at IS NULL ORDER BY id LIMIT ?1";
            connection.prepare_cached(query)?.query_map([limit], row)?.collect()
        })
    }

    /// Crosses out the lines of the alerts up to this number.
    ///
    /// # Errors
    /// As above.
    pub fn written(&self, id: i64, now: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "UPDATE alert SET written_at = ?2 WHERE written_at IS NULL AND id <= ?1";
            connection.prepare_cached(query)?.execute(params![id, signed(now)]).map(|_| ())
        })
    }

    /// The oldest alert after this number whose command has not succeeded; from the beginning again behind the last.
    ///
    /// # Errors
    /// As above.
    pub fn next_alert(&self, after: i64) -> Result<Option<Alert>, StoreError> {
        self.run(|connection| {
            let query =
                "SELECT id, body FROM alert WHERE delivered_at IS NULL AND id > ?1 ORDER BY id LIMIT 1";
            let mut statement = connection.prepare_cached(query)?;
            match statement.query_row([after], row).optional()? {
                Some(alert) => Ok(Some(alert)),
                None => statement.query_row([0], row).optional(),
            }
        })
    }

    /// Alerts after the one with this number, delivered or not, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn alerts_after(&self, id: i64, limit: u32) -> Result<Vec<Alert>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, body FROM alert WHERE id > ?1 ORDER BY id LIMIT ?2";
            connection.prepare_cached(query)?.query_map(params![id, limit], row)?.collect()
        })
    }

    /// Crosses the command of an alert out, after it succeeded.
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

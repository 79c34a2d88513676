//! Evidence, as the database has it: that it was found, and the bytes of its file.
//!
//! The file is what people publish; the row is why the log stays caught when the file is moved, deleted or damaged.

use rusqlite::{OptionalExtension, params};

use super::alerts::{Body, alert};
use super::{Store, StoreError, signed};

/// Evidence that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    /// The name of the contradiction.
    pub id: String,
    /// The log.
    pub origin: String,
    /// The name of its form.
    pub kind: String,
    /// The file, relative to the monitor's directory.
    pub file: String,
}

impl EvidenceRow {
    /// Whether it accuses the log; the other forms accuse a witness.
    #[must_use]
    pub fn accuses_log(&self) -> bool {
        self.kind.starts_with("log-") || self.kind.starts_with("record-")
    }
}

impl Store {
    /// Remembers evidence, with its bytes. `true` if it is new: then there is an alert. What was remembered before
    /// without its bytes gets them.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn keep_evidence(&self, row: &EvidenceRow, bytes: &[u8], now: u64) -> Result<bool, StoreError> {
        let EvidenceRow { id, origin, kind, file } = row;
        self.run(|connection| {
            let known = connection
                .prepare_cached("UPDATE evidence SET bytes = coalesce(bytes, ?2) WHERE id = ?1")?
                .execute(params![id, bytes])?;
            if known > 0 {
                return Ok(false);
            }
            connection
                .prepare_cached(
                    "INSERT INTO evidence (id, origin, kind, file, found_at, bytes)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![id, origin, kind, file, signed(now), bytes])?;
            let detail = "signed things contradict each other; anyone can check the file offline";
            let event = "misbehaviour";
            alert(connection, &Body { origin, kind, event, subject: id, detail, file, at_millis: now })?;
            Ok(true)
        })
    }

    /// The evidence about a log, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn evidence(&self, origin: &str) -> Result<Vec<EvidenceRow>, StoreError> {
        self.run(|connection| {
            let query = "SELECT id, origin, kind, file FROM evidence WHERE origin = ?1 ORDER BY found_at, id";
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(EvidenceRow { id: row.get(0)?, origin: row.get(1)?, kind: row.get(2)?, file: row.get(3)? })
            };
            statement.query_map([origin], row)?.collect()
        })
    }

    /// The bytes that were remembered of evidence.
    ///
    /// # Errors
    /// As above.
    pub fn evidence_bytes(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|connection| {
            let query = "SELECT bytes FROM evidence WHERE id = ?1";
            let found = connection.prepare_cached(query)?.query_row([id], |row| row.get(0)).optional()?;
            Ok(found.flatten())
        })
    }
}

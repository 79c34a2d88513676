//! What a monitor remembers of values outside the tree: which were shown, by name and never by value, where it is, and
//! which versions are in trouble. Losing it costs memory of what was shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;

use crate::case::CaseError;
use crate::store::{StoreError, is_damage, move_aside, signed, unsigned};

const SCHEMA: &str = "
    CREATE TABLE shown (
        leaf BLOB NOT NULL, item TEXT NOT NULL, PRIMARY KEY (leaf, item)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE trouble (at INTEGER PRIMARY KEY, looked INTEGER NOT NULL) STRICT;
    CREATE TABLE mark (
        one INTEGER PRIMARY KEY CHECK (one = 1), fresh INTEGER NOT NULL, again INTEGER NOT NULL
    ) STRICT;
    INSERT INTO mark (one, fresh, again) VALUES (1, 0, 0);
    PRAGMA user_version = 1;
";

/// The database.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    connection: Connection,
}

/// Where the checks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Versions from here on were never looked at.
    pub(super) fresh: u64,
    /// Where the round over those that were looked at goes on.
    pub(super) again: u64,
}

impl Kept {
    pub(super) fn open(path: &Path, now: u64) -> Result<Self, CaseError> {
        let opened = match Self::try_open(path) {
            Err(error) if is_damage(&error) => {
                let aside = move_aside(path, now)?;
                tracing::warn!(aside = %aside.display(), "the memory of values was damaged; it is made anew");
                Self::try_open(path)
            }
            other => other,
        };
        opened.map_err(|error| StoreError::Sqlite { path: path.to_owned(), error }.into())
    }

    fn try_open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&format!("BEGIN;{SCHEMA}COMMIT;"))?,
            1 => (),
            _ => {
                let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                return Err(rusqlite::Error::SqliteFailure(corrupt, None));
            }
        }
        Ok(Self { path: path.to_owned(), connection })
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CaseError> {
        work(&self.connection).map_err(|error| StoreError::Sqlite { path: self.path.clone(), error }.into())
    }

    pub(super) fn mark(&self) -> Result<Mark, CaseError> {
        self.run(|connection| {
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Mark { fresh: unsigned(row.get(0)?), again: unsigned(row.get(1)?) })
            };
            connection.prepare_cached("SELECT fresh, again FROM mark")?.query_row([], row)
        })
    }

    pub(super) fn set_mark(&self, mark: Mark) -> Result<(), CaseError> {
        self.run(|connection| {
            let values = params![signed(mark.fresh), signed(mark.again)];
            connection.prepare_cached("UPDATE mark SET fresh = ?1, again = ?2")?.execute(values).map(|_| ())
        })
    }

    /// What was shown of a version.
    pub(super) fn shown(&self, leaf: &Hash) -> Result<BTreeSet<String>, CaseError> {
        self.run(|connection| {
            let query = "SELECT item FROM shown WHERE leaf = ?1";
            let leaf = [leaf.as_bytes().as_slice()];
            connection.prepare_cached(query)?.query_map(leaf, |row| row.get(0))?.collect()
        })
    }

    /// Remembers what was shown of a version.
    pub(super) fn add_shown<'a>(
        &self,
        leaf: &Hash,
        items: impl Iterator<Item = &'a String>,
    ) -> Result<(), CaseError> {
        self.run(|connection| {
            let query = "INSERT OR IGNORE INTO shown (leaf, item) VALUES (?1, ?2)";
            let mut statement = connection.prepare_cached(query)?;
            for item in items {
                statement.execute(params![leaf.as_bytes().as_slice(), item])?;
            }
            Ok(())
        })
    }

    /// Notes that a version is in trouble, and when that was seen; or that it is not any more.
    pub(super) fn set_trouble(&self, index: u64, looked: Option<u64>) -> Result<(), CaseError> {
        self.run(|connection| {
            match looked {
                Some(now) => connection
                    .prepare_cached("INSERT OR REPLACE INTO trouble (at, looked) VALUES (?1, ?2)")?
                    .execute(params![signed(index), signed(now)])?,
                None => connection
                    .prepare_cached("DELETE FROM trouble WHERE at = ?1")?
                    .execute([signed(index)])?,
            };
            Ok(())
        })
    }

    /// The version in trouble that was not looked at for the longest, if that is before `now`.
    pub(super) fn trouble(&self, now: u64) -> Result<Option<u64>, CaseError> {
        self.run(|connection| {
            let query = "SELECT at FROM trouble WHERE looked < ?1 ORDER BY looked LIMIT 1";
            let row = |row: &rusqlite::Row<'_>| row.get(0).map(unsigned);
            connection.prepare_cached(query)?.query_row([signed(now)], row).optional()
        })
    }
}

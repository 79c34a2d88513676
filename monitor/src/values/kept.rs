//! What a monitor remembers of values outside the tree: which were shown, by name and never by value, where it is, which
//! versions are in trouble, what is not answered and since when, and what is too long to be checked. Losing it costs
//! memory of what was shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;

use crate::case::CaseError;
use crate::store::{StoreError, check_pages, is_damage, move_aside, signed, unsigned};

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

/// Version of the schema.
const VERSION: i64 = 2;

/// From the first schema to this one.
const FROM_1: &str = "
    CREATE TABLE silent (path TEXT PRIMARY KEY, last INTEGER NOT NULL, lasted INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE unchecked (at INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (at, path)) STRICT, WITHOUT ROWID;
    CREATE TABLE made (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
    PRAGMA user_version = 2;
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
    /// Opens the database, making it if there is none. A damaged one is moved aside and made anew; what is said of it.
    pub(super) fn open(path: &Path, now: u64) -> Result<(Self, Option<String>), CaseError> {
        match Self::try_open(path, now) {
            Err(StoreError::Sqlite { error, .. }) if is_damage(&error) => {
                let aside = move_aside(path, now)?;
                let said = format!("it was damaged ({error}) and is now {}", aside.display());
                Ok((Self::try_open(path, now)?, Some(said)))
            }
            other => Ok((other?, None)),
        }
    }

    fn try_open(path: &Path, now: u64) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(failed)?;
        let set_up = || -> rusqlite::Result<i64> {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            check_pages(&connection)?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        let steps = match set_up().map_err(failed)? {
            0 => [SCHEMA, FROM_1].concat(),
            1 => FROM_1.to_owned(),
            VERSION => String::new(),
            found => return Err(StoreError::Newer { path: path.to_owned(), found }),
        };
        let made = format!("INSERT OR IGNORE INTO made (one, at) VALUES (1, {});", signed(now));
        connection.execute_batch(&format!("BEGIN;{steps}{made}COMMIT;")).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection })
    }

    /// When this memory was made, in milliseconds since 1970: its name.
    pub(super) fn made_at(&self) -> Result<u64, CaseError> {
        self.run(|connection| connection.query_row("SELECT at FROM made", [], |row| row.get(0)).map(unsigned))
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

    /// Notes that something was not answered by a log that was heard; for how long that has been seen, in milliseconds.
    /// Of the time between two looks at most `most` counts.
    pub(super) fn add_silence(&self, path: &str, now: u64, most: u64) -> Result<u64, CaseError> {
        self.run(|connection| {
            let query =
                "INSERT INTO silent (path, last, lasted) VALUES (?1, ?2, 0) ON CONFLICT (path) DO UPDATE
                         SET lasted = lasted + min(max(?2 - last, 0), ?3), last = ?2 RETURNING lasted";
            let values = params![path, signed(now), signed(most)];
            connection.prepare_cached(query)?.query_row(values, |row| row.get(0)).map(unsigned)
        })
    }

    /// Notes that the log was not heard: the time up to now counts for nothing.
    pub(super) fn pass_silence(&self, path: &str, now: u64) -> Result<(), CaseError> {
        self.run(|connection| {
            let query = "UPDATE silent SET last = ?2 WHERE path = ?1";
            connection.prepare_cached(query)?.execute(params![path, signed(now)]).map(|_| ())
        })
    }

    /// Notes that something was answered.
    pub(super) fn end_silence(&self, path: &str) -> Result<(), CaseError> {
        self.run(|connection| {
            connection.prepare_cached("DELETE FROM silent WHERE path = ?1")?.execute([path]).map(|_| ())
        })
    }

    /// Notes whether an attachment of a version is too long to be checked.
    pub(super) fn set_unchecked(&self, index: u64, path: &str, unchecked: bool) -> Result<(), CaseError> {
        self.run(|connection| {
            let query = match unchecked {
                true => "INSERT OR IGNORE INTO unchecked (at, path) VALUES (?1, ?2)",
                false => "DELETE FROM unchecked WHERE at = ?1 AND path = ?2",
            };
            connection.prepare_cached(query)?.execute(params![signed(index), path]).map(|_| ())
        })
    }

    /// How many attachments are too long to be checked.
    pub(super) fn count_unchecked(&self) -> Result<u64, CaseError> {
        self.run(|connection| {
            let query = "SELECT count(*) FROM unchecked";
            connection.prepare_cached(query)?.query_row([], |row| row.get(0)).map(unsigned)
        })
    }
}

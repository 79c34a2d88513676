//! The ledger: small rows that must be durable, in SQLite.
//!
//! Published checkpoints with their cosignatures (the latest, and for ever the first of each minute), the flushed
//! watermark, and one row for each start. `synchronous=FULL`: a row that was written is on the device. No read waits for
//! it; an append does only where a policy asks for witnesses.
//!
//! Tables: `checkpoint(size, minute, time, root, note)`, `mark(name, size, root, seq)`, `epoch(number, time)`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize, UnixMillis};

use crate::applied::Mark;

/// The schema that this version reads and writes.
const SCHEMA_VERSION: i64 = 1;
const MINUTE_MILLIS: u64 = 60_000;

const SCHEMA: &str = "
    CREATE TABLE checkpoint (
        size INTEGER NOT NULL, minute INTEGER NOT NULL UNIQUE, time INTEGER NOT NULL, root BLOB NOT NULL,
        note BLOB NOT NULL
    ) STRICT;
    CREATE INDEX checkpoint_by_size ON checkpoint(size);
    CREATE TABLE latest (
        one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, time INTEGER NOT NULL, root BLOB NOT NULL,
        note BLOB NOT NULL
    ) STRICT;
    CREATE TABLE mark (
        name TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE epoch (number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite says so.
    #[error(
        "{path}: {error}. If the file is damaged, move it away: the log makes a new one, and loses the old \
         checkpoints that it kept for receipts, nothing else",
        path = path.display()
    )]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
    /// A newer version wrote it.
    #[error("{path} was written by a newer Daybook (schema {found}); install that version", path = path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// A row holds what cannot be.
    #[error("the ledger holds a row that cannot be: {0}")]
    Row(&'static str),
}

/// A published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRow {
    /// Size and root.
    pub head: TreeHead,
    /// Its time.
    pub time: UnixMillis,
    /// The signed note.
    pub note: Vec<u8>,
}

/// The watermarks that the ledger keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkName {
    /// Every object of the tree up to here is on the device.
    Flushed,
}

impl MarkName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Flushed => "flushed",
        }
    }
}

/// The ledger of one log. One writer; readers open their own.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    /// Used by one caller at a time; every statement is a transaction of its own.
    connection: Mutex<Connection>,
}

impl Ledger {
    /// Opens the ledger, creating it if there is none.
    ///
    /// # Errors
    /// [`LedgerError`]; a newer schema is refused.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let ledger = |connection| Self { path: path.to_owned(), connection: Mutex::new(connection) };
        let failed = |error| LedgerError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(failed)?;
        let set_up = || -> rusqlite::Result<i64> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", 1 << 22)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        match set_up().map_err(failed)? {
            0 => {
                connection.execute_batch(&format!("BEGIN;{SCHEMA}COMMIT;")).map_err(failed)?;
                Ok(ledger(connection))
            }
            SCHEMA_VERSION => Ok(ledger(connection)),
            found => Err(LedgerError::Newer { path: path.to_owned(), found }),
        }
    }

    /// Records a start of the log, and returns its number.
    ///
    /// # Errors
    /// [`LedgerError`], here and below.
    pub fn start_epoch(&self, time: UnixMillis) -> Result<i64, LedgerError> {
        self.run(|connection| {
            connection.execute("INSERT INTO epoch (time) VALUES (?1)", params![signed(time.get())])?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// Records a published checkpoint: as the latest, and as its minute's if it is the first of that minute. The same
    /// checkpoint with more cosignatures replaces itself, never one with fewer.
    ///
    /// # Errors
    /// As above.
    pub fn record_published(&self, row: &PublishedRow) -> Result<(), LedgerError> {
        let (size, time) = (signed(row.head.size.get()), signed(row.time.get()));
        let minute = signed(row.time.get() / MINUTE_MILLIS);
        let root = row.head.root.as_bytes().as_slice();
        self.run(|connection| {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute(
                "INSERT INTO checkpoint (size, minute, time, root, note) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (minute) DO UPDATE SET note = ?5 WHERE time = ?3 AND length(note) < length(?5)",
                params![size, minute, time, root, row.note],
            )?;
            transaction.execute(
                "INSERT INTO latest (one, size, time, root, note) VALUES (1, ?1, ?2, ?3, ?4)
                 ON CONFLICT (one) DO UPDATE SET size = ?1, time = ?2, root = ?3, note = ?4
                 WHERE time < ?2 OR (time = ?2 AND length(note) < length(?4))",
                params![size, time, root, row.note],
            )?;
            transaction.commit()
        })
    }

    /// The checkpoint published last, as far as it was recorded.
    ///
    /// # Errors
    /// As above.
    pub fn latest(&self) -> Result<Option<PublishedRow>, LedgerError> {
        self.published("SELECT size, time, root, note FROM latest WHERE ?1 = ?1", 1)
    }

    /// A kept checkpoint of exactly this size.
    ///
    /// # Errors
    /// As above.
    pub fn at_size(&self, size: TreeSize) -> Result<Option<PublishedRow>, LedgerError> {
        let query = "SELECT size, time, root, note FROM checkpoint WHERE size = ?1
                     UNION ALL SELECT size, time, root, note FROM latest WHERE size = ?1
                     ORDER BY time LIMIT 1";
        self.published(query, signed(size.get()))
    }

    fn published(&self, query: &str, parameter: i64) -> Result<Option<PublishedRow>, LedgerError> {
        let row = self.run(|connection| {
            let columns = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 32]>(2)?, row.get(3)?))
            };
            connection.prepare_cached(query)?.query_row([parameter], columns).optional()
        })?;
        let Some((size, time, root, note)) = row else { return Ok(None) };
        let time = UnixMillis::new(u64::try_from(time).map_err(|_| LedgerError::Row("a negative time"))?);
        Ok(Some(PublishedRow { head: head(size, root)?, time, note }))
    }

    /// Moves a watermark.
    ///
    /// # Errors
    /// As above.
    pub fn set_mark(&self, name: MarkName, mark: &Mark) -> Result<(), LedgerError> {
        self.run(|connection| {
            connection.execute(
                "INSERT INTO mark (name, size, root, seq) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET size = ?2, root = ?3, seq = ?4",
                params![
                    name.as_str(),
                    signed(mark.head.size.get()),
                    mark.head.root.as_bytes(),
                    signed(mark.seq)
                ],
            )
        })?;
        Ok(())
    }

    /// Where a watermark stands; `None` if it was never set.
    ///
    /// # Errors
    /// As above.
    pub fn mark(&self, name: MarkName) -> Result<Option<Mark>, LedgerError> {
        let row = self.run(|connection| {
            let columns = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, i64>(2)?))
            };
            let query = "SELECT size, root, seq FROM mark WHERE name = ?1";
            connection.query_row(query, [name.as_str()], columns).optional()
        })?;
        let Some((size, root, seq)) = row else { return Ok(None) };
        let seq = u64::try_from(seq).map_err(|_| LedgerError::Row("a negative sequence number"))?;
        Ok(Some(Mark { head: head(size, root)?, seq }))
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        work(&self.lock()).map_err(|error| LedgerError::Sqlite { path: self.path.clone(), error })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn head(size: i64, root: [u8; 32]) -> Result<TreeHead, LedgerError> {
    let size = u64::try_from(size).ok().and_then(|size| TreeSize::new(size).ok());
    Ok(TreeHead { size: size.ok_or(LedgerError::Row("a negative size"))?, root: Hash::from_bytes(root) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    fn row(size: u64, time: u64) -> PublishedRow {
        let head = TreeHead { size: TreeSize::new(size).unwrap(), root: leaf_hash(&size.to_be_bytes()) };
        PublishedRow { head, time: UnixMillis::new(time), note: format!("note {size} {time}").into_bytes() }
    }

    #[test]
    fn the_first_checkpoint_of_each_minute_is_kept_and_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        for (size, time) in [(1, 0), (2, 59_999), (3, 60_000), (4, 61_000), (5, 62_000)] {
            ledger.record_published(&row(size, time)).unwrap();
        }
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        let kept: Vec<_> =
            (1..=5).map(|size| ledger.at_size(TreeSize::new(size).unwrap()).unwrap().is_some()).collect();
        assert_eq!(kept, [true, false, true, false, true]);
        assert_eq!(ledger.latest().unwrap(), Some(row(5, 62_000)));
        ledger.record_published(&row(4, 61_000)).unwrap();
        assert_eq!(
            ledger.latest().unwrap(),
            Some(row(5, 62_000)),
            "an older checkpoint never replaces a newer one"
        );
    }

    #[test]
    fn a_checkpoint_gains_cosignatures_and_never_loses_them() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        let first = row(1, 60_000);
        let more =
            PublishedRow { note: [first.note.as_slice(), b" and a cosignature"].concat(), ..first.clone() };
        for (given, kept) in [(&first, &first), (&more, &more), (&first, &more)] {
            ledger.record_published(given).unwrap();
            assert_eq!(ledger.latest().unwrap().as_ref(), Some(kept));
            assert_eq!(ledger.at_size(first.head.size).unwrap().as_ref(), Some(kept));
        }
    }

    #[test]
    fn watermarks_and_epochs_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let mark = Mark { head: row(7, 0).head, seq: 3 };
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.mark(MarkName::Flushed).unwrap(), None);
        ledger.set_mark(MarkName::Flushed, &mark).unwrap();
        assert_eq!(ledger.start_epoch(UnixMillis::new(1)).unwrap(), 1);
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.mark(MarkName::Flushed).unwrap(), Some(mark));
        assert_eq!(ledger.start_epoch(UnixMillis::new(2)).unwrap(), 2);
    }

    #[test]
    fn a_newer_schema_and_a_damaged_file_are_refused_with_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let ledger = Ledger::open(&path).unwrap();
        ledger.run(|connection| connection.pragma_update(None, "user_version", 2)).unwrap();
        drop(ledger);
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Newer { found: 2, .. })));
        std::fs::write(&path, [7; 8192]).unwrap();
        let refused = Ledger::open(&path).unwrap_err().to_string();
        assert!(refused.contains("ledger.sqlite"), "{refused}");
    }
}

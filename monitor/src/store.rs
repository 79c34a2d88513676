//! What a monitor must not forget, in SQLite: heads, how far each log is verified, alarms, evidence, receipts that
//! were asked about, and alerts that were not delivered yet.
//!
//! `synchronous=FULL`: a row that was written is on the device. An alert is written in the transaction that holds
//! its cause and crossed out after its delivery, so a crash repeats an alert rather than losing it.
//!
//! A database that is damaged is moved aside and made anew; [`Opened::Damaged`] says so. Nothing that was proved is
//! lost with it: evidence and the last verified head of each log are files beside it ([`crate::folder`]).

mod alarms;
mod alerts;
mod evidence;
mod generation;
mod heads;
mod memory;
mod receipts;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tlog::hash::Hash;
use tlog::ids::TreeSize;

pub use alarms::{Alarm, AlarmRow};
pub use alerts::Alert;
pub use evidence::EvidenceRow;
pub use heads::{LogRow, NewHead, RECALLED, Standing, WaitingHead};
pub use receipts::ReceiptRow;

/// What leads from each schema to the next, from version 1 on. A new database takes every step.
const STEPS: [&str; 2] = [
    "
    ALTER TABLE evidence ADD COLUMN bytes BLOB;
    CREATE TABLE look (origin TEXT PRIMARY KEY, read_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 2;
",
    "
    ALTER TABLE alert ADD COLUMN written_at INTEGER;
    UPDATE alert SET written_at = delivered_at;
    CREATE INDEX alert_unwritten ON alert(id) WHERE written_at IS NULL;
    CREATE TABLE memory (origin TEXT PRIMARY KEY, made_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 3;
",
];
/// The schema that this version reads and writes.
const SCHEMA_VERSION: i64 = 1 + STEPS.len() as i64;

/// Version 1.
const SCHEMA: &str = "
    CREATE TABLE log (
        origin TEXT PRIMARY KEY, size INTEGER, root BLOB, note BLOB, reached INTEGER NOT NULL, peaks BLOB NOT NULL,
        start INTEGER NOT NULL, grown_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE head (
        origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, source TEXT NOT NULL,
        first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, standing TEXT NOT NULL,
        PRIMARY KEY (origin, size, root)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX head_by_standing ON head(origin, standing, size);
    CREATE TABLE alarm (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
        first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, times INTEGER NOT NULL, cleared_at INTEGER,
        report TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX alarm_open ON alarm(origin, kind, subject) WHERE cleared_at IS NULL;
    CREATE TABLE evidence (
        id TEXT PRIMARY KEY, origin TEXT NOT NULL, kind TEXT NOT NULL, file TEXT NOT NULL, found_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE receipt (
        origin TEXT NOT NULL, at INTEGER NOT NULL, leaf BLOB NOT NULL, receipt BLOB NOT NULL, seen_at INTEGER NOT NULL,
        PRIMARY KEY (origin, at, leaf)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE alert (
        id INTEGER PRIMARY KEY AUTOINCREMENT, origin TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        at INTEGER NOT NULL, delivered_at INTEGER
    ) STRICT;
    CREATE INDEX alert_waiting ON alert(id) WHERE delivered_at IS NULL;
    PRAGMA user_version = 1;
";

/// Why the database cannot be used. Nothing more is verified then: it could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error("{path}: {error}", path = path.display())]
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
    /// The file system refuses.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
}

/// How the database was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was there.
    Kept,
    /// There was none.
    New,
    /// It was damaged, and is now here, with what was said about it.
    Damaged(PathBuf, String),
}

/// The database. One connection, used by one caller at a time.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Every method is one transaction.
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database, making it if there is none. A damaged one is moved aside.
    ///
    /// # Errors
    /// [`StoreError`]; a newer schema is refused.
    pub fn open(path: &Path, now: u64) -> Result<(Self, Opened), StoreError> {
        let existed = path.exists();
        match Self::try_open(path) {
            Ok(store) => Ok((store, if existed { Opened::Kept } else { Opened::New })),
            Err(StoreError::Sqlite { error, .. }) if existed && is_damage(&error) => {
                let aside = move_aside(path, now)?;
                Ok((Self::try_open(path)?, Opened::Damaged(aside, error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    fn try_open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(failed)?;
        let set_up = || -> rusqlite::Result<i64> {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", 1 << 22)?;
            check_pages(&connection)?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        let found = set_up().map_err(failed)?;
        let steps = match found {
            0 => format!("{SCHEMA}{}", STEPS.concat()),
            1..=SCHEMA_VERSION => STEPS[usize::try_from(found - 1).expect("not negative")..].concat(),
            _ => return Err(StoreError::Newer { path: path.to_owned(), found }),
        };
        if !steps.is_empty() {
            connection.execute_batch(&format!("BEGIN;{steps}COMMIT;")).map_err(failed)?;
        }
        connection.execute(generation::TABLE, []).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Runs one transaction.
    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = connection.unchecked_transaction().and_then(|transaction| {
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        result.map_err(|error| StoreError::Sqlite { path: self.path.clone(), error })
    }
}

/// Looks at every page, so that damage is known at the start and not when somebody comes upon it.
pub(crate) fn check_pages(connection: &Connection) -> rusqlite::Result<()> {
    let found: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(found)))
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The damaged file stays, for whoever wants to look at it.
pub(crate) fn move_aside(path: &Path, now: u64) -> Result<PathBuf, StoreError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = with(&format!(".damaged-{now}"));
    let failed = |error| StoreError::Io { path: path.to_owned(), error };
    std::fs::rename(path, &aside).map_err(failed)?;
    for ending in ["-wal", "-shm"] {
        match std::fs::remove_file(with(ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => (),
        }
    }
    Ok(aside)
}

/// SQLite's integers have a sign; tree sizes and times fit.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn size_column(value: i64) -> rusqlite::Result<TreeSize> {
    TreeSize::new(unsigned(value)).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.iter().map(|bytes| Hash::from_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    #[test]
    fn a_damaged_database_is_moved_aside_and_said_to_be_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.sqlite");
        assert_eq!(Store::open(&path, 1).unwrap().1, Opened::New);
        assert_eq!(Store::open(&path, 2).unwrap().1, Opened::Kept);
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[..100].fill(7);
        bytes[length / 2..].fill(0x55);
        std::fs::write(&path, &bytes).unwrap();
        let (_, opened) = Store::open(&path, 3).unwrap();
        let Opened::Damaged(aside, _) = opened else { panic!("{opened:?}") };
        assert_eq!(std::fs::read(aside).unwrap(), bytes, "nothing is thrown away");
        assert_eq!(Store::open(&path, 4).unwrap().1, Opened::Kept);
    }

    #[test]
    fn a_database_of_the_first_version_is_taken_over_with_what_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(SCHEMA).unwrap();
        let row = "INSERT INTO evidence VALUES ('00', 'log', 'log-two-roots', 'evidence/00.evidence', 7)";
        old.execute_batch(row).unwrap();
        let alert =
            "INSERT INTO alert (origin, kind, body, at, delivered_at) VALUES ('log', 'damage', ?1, 1, ?2)";
        old.execute(alert, params!["told", 2]).unwrap();
        old.execute(alert, params!["waits", None::<i64>]).unwrap();
        drop(old);
        let bodies = |alerts: Vec<Alert>| alerts.into_iter().map(|alert| alert.body).collect::<Vec<_>>();
        for _ in 0..2 {
            let (store, opened) = Store::open(&path, 1).unwrap();
            assert_eq!(opened, Opened::Kept);
            let kept = store.evidence("log").unwrap();
            assert_eq!((kept.len(), kept[0].kind.as_str()), (1, "log-two-roots"));
            assert_eq!(store.evidence_bytes("00").unwrap(), None, "its file has them");
            assert_eq!(bodies(store.unwritten_alerts(10).unwrap()), ["waits"]);
            assert_eq!(bodies(store.alerts_after(0, 10).unwrap()), ["told", "waits"]);
            assert_eq!(store.memory("log").unwrap(), None);
            store.set_read_at("log", 5).unwrap();
            assert_eq!(store.read_at("log").unwrap(), Some(5));
        }
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.sqlite");
        let (store, _) = Store::open(&path, 1).unwrap();
        store.run(|connection| connection.pragma_update(None, "user_version", 9)).unwrap();
        drop(store);
        assert!(matches!(Store::open(&path, 1), Err(StoreError::Newer { found: 9, .. })));
    }
}

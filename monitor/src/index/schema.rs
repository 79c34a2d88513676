//! The tables of `index.sqlite`; docs/spec/monitor-index.md describes them for whoever opens the file.
//!
//! The whole file can be made again from the verified entries, so it is written with `synchronous=NORMAL`: a power cut
//! may cost the last batches, which are then indexed again, and never leaves half a batch.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// The schema that this version reads and writes.
pub(super) const VERSION: i64 = 2;
/// The first schema, without attachments among its exact values, and without letters.
const FIRST: i64 = 1;
/// Memory for pages of the writing connection, in KiB.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// Memory for pages of each reading connection, in KiB.
const READER_CACHE_KIB: i64 = 16 * 1024;
/// How much of the file is read through the system's memory.
const MAPPED_BYTES_MAX: i64 = 1 << 30;

/// What is not made out of entries: where each log is, and when its heads were seen.
const LOGS: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY,
        origin TEXT NOT NULL UNIQUE,
        first INTEGER NOT NULL,
        next INTEGER NOT NULL,
        leaf TEXT,
        goal INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE head (
        log INTEGER NOT NULL REFERENCES log(id), size INTEGER NOT NULL,
        first_seconds INTEGER NOT NULL, last_seconds INTEGER NOT NULL,
        PRIMARY KEY (log, size)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('title', 'Entries of transparency logs, verified by daybook-monitor');
";

/// What is made out of entries.
const ENTRIES: &str = r#"
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        log INTEGER NOT NULL REFERENCES log(id),
        idx INTEGER NOT NULL,
        leaf TEXT NOT NULL,
        form TEXT NOT NULL,
        kind TEXT, agency TEXT, register TEXT, key TEXT, title TEXT,
        at TEXT, at_seconds INTEGER,
        previous TEXT, action TEXT, erases TEXT,
        amount INTEGER, currency TEXT,
        logged_after INTEGER,
        bytes BLOB NOT NULL,
        UNIQUE (log, idx)
    ) STRICT;
    CREATE TABLE volume (
        log INTEGER NOT NULL REFERENCES log(id), agency TEXT NOT NULL, register TEXT NOT NULL, month TEXT NOT NULL,
        entries INTEGER NOT NULL, timed INTEGER NOT NULL, seconds_late INTEGER NOT NULL, seconds_late_max INTEGER NOT NULL,
        newest INTEGER NOT NULL, newest_at INTEGER,
        PRIMARY KEY (log, agency, register, month)
    ) STRICT, WITHOUT ROWID;
    CREATE VIRTUAL TABLE record_fts USING fts5(
        title, body, facet, letter,
        content='', columnsize=0,
        tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
    );
    INSERT INTO record_fts (record_fts, rank) VALUES ('automerge', 8);
    INSERT INTO record_fts (record_fts, rank) VALUES ('crisismerge', 32);
"#;

/// Begins again in a file of the first schema. The times of heads stay: nobody can say them again.
const BEGIN_AGAIN: &str = "
    DROP TABLE record_fts;
    DROP TABLE volume;
    DROP TABLE record;
    ALTER TABLE log ADD COLUMN goal INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET goal = next, next = first, leaf = NULL;
";

/// Why the index cannot be used. Verification does not need it.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite says so.
    #[error("{path}: {error}", path = path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer Daybook (schema {found}); install that version, or delete the file: it is \
         made again from the logs",
        path = path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// An earlier version wrote it, and whoever only reads cannot make it again.
    #[error(
        "{path} was written by an earlier Daybook (schema {found}), and is made again when the monitor looks next: \
         daybook-monitor run, or once",
        path = path.display()
    )]
    Older {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// It is no index of ours.
    #[error("{path} is no index of this program; move it away", path = path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// Entries that do not follow the ones before.
    #[error("entry {found} of {origin} came where entry {expected} was due; nothing was indexed")]
    Gap {
        /// The log.
        origin: String,
        /// The index that is due.
        expected: u64,
        /// The one that came.
        found: u64,
    },
}

impl IndexError {
    /// Whether the file itself is damaged: then it is made again.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Sqlite { error, .. } = self else { return false };
        matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
    }
}

pub(super) fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> IndexError + '_ {
    |error| IndexError::Sqlite { path: path.to_owned(), error }
}

/// Opens the file for writing, making or migrating it.
pub(super) fn open_writer(path: &Path) -> Result<Connection, IndexError> {
    let failed = failed(path);
    let connection = Connection::open(path).map_err(&failed)?;
    let set_up = || -> rusqlite::Result<i64> {
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "page_size", 8192)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 1 << 26)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES_MAX)?;
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    let found = set_up().map_err(&failed)?;
    migrate(&connection, path, found)?;
    Ok(connection)
}

/// Brings an older schema to [`VERSION`]: its entries are indexed again. Version 0 is an empty file.
fn migrate(connection: &Connection, path: &Path, found: i64) -> Result<(), IndexError> {
    let run = |script: &str| {
        let script = format!("BEGIN IMMEDIATE;{script}PRAGMA user_version = {VERSION};COMMIT;");
        connection.execute_batch(&script).map_err(failed(path))
    };
    match found {
        VERSION => Ok(()),
        FIRST => {
            tracing::warn!(
                path = %path.display(),
                "an earlier version wrote the index; it is made again from the verified entries, and until that is done \
                 a search finds only what is in it again"
            );
            run(&format!("{BEGIN_AGAIN}{ENTRIES}"))
        }
        0 => {
            let tables: i64 = connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
                .map_err(failed(path))?;
            if tables > 0 {
                return Err(IndexError::Foreign { path: path.to_owned() });
            }
            run(&format!("{LOGS}{ENTRIES}"))
        }
        newer => Err(IndexError::Newer { path: path.to_owned(), found: newer }),
    }
}

/// Opens the file for reading. It must exist.
pub(super) fn open_reader(path: &Path) -> Result<Connection, IndexError> {
    use rusqlite::OpenFlags;
    let failed = failed(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
    let set_up = || -> rusqlite::Result<i64> {
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        // The words of the index, to look up those with a common beginning; in this connection alone.
        connection.execute_batch(
            "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'record_fts', 'instance')",
        )?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        connection.pragma_update(None, "mmap_size", MAPPED_BYTES_MAX)?;
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    };
    match set_up().map_err(&failed)? {
        VERSION => Ok(connection),
        found if found > VERSION => Err(IndexError::Newer { path: path.to_owned(), found }),
        found if found == FIRST => Err(IndexError::Older { path: path.to_owned(), found }),
        _ => Err(IndexError::Foreign { path: path.to_owned() }),
    }
}

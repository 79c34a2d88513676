//! Where the replay of a log is: its size, the registry's statements, and the latest entry of every chain.
//!
//! One transaction covers many batches, and the size moves with the chains in it: after a crash the replay goes on
//! from a moment that was whole. `synchronous=NORMAL`: the last transactions may be lost at a power cut, and are
//! made again.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use record::registry::{Chain, History};
use record::statement::{EntryRef, Tombstone};
use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use crate::case::{Case, CaseError};
use crate::store::{StoreError, check_pages, is_damage, move_aside, signed, unsigned};

/// Batches in one transaction.
const BATCHES_MAX: u32 = 32;

/// Version of the schema.
const VERSION: i64 = 3;

const SCHEMA: &str = "
    CREATE TABLE chain (id BLOB PRIMARY KEY, at INTEGER NOT NULL, leaf BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE inadmissible (
        at INTEGER PRIMARY KEY, earlier INTEGER, open INTEGER NOT NULL DEFAULT 1, subject TEXT, detail TEXT
    ) STRICT;
    CREATE TABLE outside (at INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE erased (
        leaf BLOB NOT NULL, item TEXT NOT NULL, at INTEGER NOT NULL, tombstone BLOB NOT NULL,
        PRIMARY KEY (leaf, item)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE erased_blob (commitment BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE mark (
        one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, snapshot BLOB NOT NULL
    ) STRICT;
    PRAGMA user_version = 3;
";

/// The database of one replay.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    connection: Connection,
    /// Batches in the open transaction.
    batches: Cell<u32>,
}

/// What the registry asks about earlier entries.
pub(super) struct LedgerHistory<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) case: &'a Case,
}

impl Ledger {
    /// Opens the database, making it if there is none. A damaged one is moved aside and made anew; what is said of it.
    pub(super) fn open(path: &Path, now: u64) -> Result<(Self, Option<String>), CaseError> {
        let failed = |error| CaseError::from(StoreError::Sqlite { path: path.to_owned(), error });
        let damage = match Self::try_open(path) {
            Ok(Some(ledger)) => return Ok((ledger, None)),
            // Of another version: it is only a copy of what the log has.
            Ok(None) => None,
            Err(error) if is_damage(&error) => Some(error.to_string()),
            Err(error) => return Err(failed(error)),
        };
        let aside = move_aside(path, now)?;
        let made = Self::try_open(path).map_err(failed)?;
        let ledger = made.ok_or_else(|| failed(rusqlite::Error::SqliteFailure(corrupt(), None)))?;
        Ok((ledger, damage.map(|why| format!("it was damaged ({why}) and is now {}", aside.display()))))
    }

    /// `None` for a database of another version.
    fn try_open(path: &Path) -> rusqlite::Result<Option<Self>> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 1 << 24)?;
        check_pages(&connection)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&format!("BEGIN;{SCHEMA}COMMIT;"))?,
            VERSION => (),
            _ => return Ok(None),
        }
        Ok(Some(Self { path: path.to_owned(), connection, batches: Cell::new(0) }))
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CaseError> {
        work(&self.connection).map_err(|error| StoreError::Sqlite { path: self.path.clone(), error }.into())
    }

    fn begin(&self) -> Result<(), CaseError> {
        self.run(|connection| {
            if connection.is_autocommit() { connection.execute_batch("BEGIN IMMEDIATE") } else { Ok(()) }
        })
    }

    /// The size of the replay, and the registry's snapshot.
    pub(super) fn snapshot(&self) -> Result<Option<(u64, Vec<u8>)>, CaseError> {
        self.run(|connection| {
            let row = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row.get(1)?));
            connection.query_row("SELECT size, snapshot FROM mark", [], row).optional()
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&self) -> Result<(), CaseError> {
        self.run(|connection| {
            connection.execute_batch(
                "DELETE FROM chain; DELETE FROM inadmissible; DELETE FROM outside; DELETE FROM erased;
                 DELETE FROM erased_blob; DELETE FROM mark;",
            )
        })
    }

    /// Says which entry is the latest of a chain.
    pub(super) fn set_latest(&self, chain: &Chain, entry: EntryRef) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = "INSERT INTO chain (id, at, leaf) VALUES (?1, ?2, ?3)
                         ON CONFLICT (id) DO UPDATE SET at = ?2, leaf = ?3";
            let (id, leaf) = (chain.id(), entry.leaf);
            let values =
                params![id.as_bytes().as_slice(), signed(entry.index.get()), leaf.as_bytes().as_slice()];
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }

    /// The latest entry of a chain.
    pub(super) fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, String> {
        let read = || -> rusqlite::Result<Option<(i64, [u8; 32])>> {
            let query = "SELECT at, leaf FROM chain WHERE id = ?1";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let id = chain.id();
            self.connection.prepare_cached(query)?.query_row([id.as_bytes().as_slice()], row).optional()
        };
        let found = read().map_err(|error| error.to_string())?;
        let Some((at, leaf)) = found else { return Ok(None) };
        let index = LeafIndex::new(unsigned(at)).map_err(|error| error.to_string())?;
        Ok(Some(EntryRef { index, leaf: Hash::from_bytes(leaf) }))
    }

    /// Counts an inadmissible entry, with the one that rules it out if that is known; how many there are.
    pub(super) fn count_inadmissible(&self, index: u64, earlier: Option<u64>) -> Result<u64, CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = "INSERT OR IGNORE INTO inadmissible (at, earlier) VALUES (?1, ?2)";
            connection.execute(query, params![signed(index), earlier.map(signed)])?;
            let query = "SELECT count(*) FROM inadmissible WHERE at <= ?1";
            connection.query_row(query, [signed(index)], |row| row.get(0)).map(unsigned)
        })
    }

    /// Notes that no more evidence is to be looked for about an inadmissible entry.
    pub(super) fn settle_inadmissible(&self, index: u64) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            connection.execute("UPDATE inadmissible SET open = 0 WHERE at = ?1", [signed(index)]).map(|_| ())
        })
    }

    /// Notes what the alarm about an inadmissible entry says; nothing, once an evidence file says it.
    pub(super) fn set_alarm(&self, index: u64, alarm: Option<(&str, &str)>) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = "UPDATE inadmissible SET subject = ?2, detail = ?3 WHERE at = ?1";
            let (subject, detail) = alarm.unzip();
            connection.execute(query, params![signed(index), subject, detail]).map(|_| ())
        })
    }

    /// What the alarms about inadmissible entries say, in order.
    pub(super) fn alarms(&self) -> Result<Vec<(String, String)>, CaseError> {
        self.run(|connection| {
            let query = "SELECT subject, detail FROM inadmissible WHERE detail IS NOT NULL ORDER BY at";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(query)?.query_map([], row)?.collect()
        })
    }

    /// The first inadmissible entries before `end` for which evidence is still to be looked for.
    pub(super) fn open_inadmissible(
        &self,
        end: u64,
        most: u64,
    ) -> Result<Vec<(u64, Option<u64>)>, CaseError> {
        self.run(|connection| {
            let query = "SELECT at, earlier FROM (SELECT * FROM inadmissible ORDER BY at LIMIT ?2)
                         WHERE open = 1 AND at < ?1";
            let row = |row: &rusqlite::Row<'_>| {
                Ok((unsigned(row.get(0)?), row.get::<_, Option<i64>>(1)?.map(unsigned)))
            };
            connection.prepare_cached(query)?.query_map(params![signed(end), signed(most)], row)?.collect()
        })
    }

    /// Notes a version that names something outside the tree.
    pub(super) fn add_outside(&self, index: u64) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = "INSERT OR IGNORE INTO outside (at) VALUES (?1)";
            connection.prepare_cached(query)?.execute([signed(index)]).map(|_| ())
        })
    }

    /// Notes what a tombstone erases of a version, of whose attachments these are the commitments.
    pub(super) fn add_erased(
        &self,
        at: EntryRef,
        tombstone: &Tombstone,
        commitments: &[Hash],
    ) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = "INSERT OR IGNORE INTO erased (leaf, item, at, tombstone) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = connection.prepare_cached(query)?;
            let (leaf, by) = (tombstone.entry.leaf, at.leaf);
            for item in &tombstone.erased {
                let (leaf, by) = (leaf.as_bytes().as_slice(), by.as_bytes().as_slice());
                statement.execute(params![leaf, item.to_string(), signed(at.index.get()), by])?;
            }
            let query = "INSERT OR IGNORE INTO erased_blob (commitment) VALUES (?1)";
            let mut statement = connection.prepare_cached(query)?;
            for commitment in commitments {
                statement.execute([commitment.as_bytes().as_slice()])?;
            }
            Ok(())
        })
    }

    /// Moves the replay on, with a new snapshot if the registry changed; commits now and then.
    pub(super) fn keep(&self, size: u64, snapshot: Option<&[u8]>) -> Result<(), CaseError> {
        self.begin()?;
        self.run(|connection| {
            let query = match snapshot {
                Some(_) => {
                    "INSERT INTO mark (one, size, snapshot) VALUES (1, ?1, ?2)
                     ON CONFLICT (one) DO UPDATE SET size = ?1, snapshot = ?2"
                }
                None => "UPDATE mark SET size = ?1 WHERE ?2 IS NULL",
            };
            connection.prepare_cached(query)?.execute(params![signed(size), snapshot]).map(|_| ())
        })?;
        self.batches.set(self.batches.get() + 1);
        if self.batches.get() >= BATCHES_MAX { self.commit() } else { Ok(()) }
    }

    /// Commits what was kept.
    pub(super) fn commit(&self) -> Result<(), CaseError> {
        self.batches.set(0);
        self.run(
            |connection| {
                if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("COMMIT") }
            },
        )
    }
}

fn corrupt() -> rusqlite::ffi::Error {
    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT)
}

impl History for LedgerHistory<'_> {
    type Error = String;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, String> {
        self.ledger.latest(chain)
    }

    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, String> {
        let index = index.get();
        let batch = self.case.reread(&(index..index + 1)).map_err(|error| error.to_string())?;
        Ok(batch.entries(index).next().map(|entry| entry.bytes.to_vec()))
    }
}

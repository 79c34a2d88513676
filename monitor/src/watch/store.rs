//! `watches.sqlite`: watches, what they found, and messages that were not delivered yet.
//!
//! A message is written in the transaction that moves the place up to which entries were looked at, and crossed out
//! after its delivery: a crash repeats an alert rather than losing it. What was found once is not found again, even
//! if the index is made anew. Several processes may write; the running monitor sees a new watch at its next look.

mod outbox;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::rule::Wanted;
use crate::store::{StoreError, is_damage, move_aside};
pub use outbox::{ChannelState, Message};

const SCHEMA_VERSION: i64 = 1;
/// Watches of one monitor.
pub const WATCHES_MAX: usize = 10_000;
/// What is kept of one watch's finds.
const HITS_KEPT_MAX: i64 = 10_000;
/// The place that says that the first watch of all was made, be it removed since.
const BEGUN: &str = "begun";

const SCHEMA: &str = "
    CREATE TABLE watch (id INTEGER PRIMARY KEY AUTOINCREMENT, wanted TEXT NOT NULL, made_at INTEGER NOT NULL) STRICT;
    CREATE TABLE hit (
        id INTEGER PRIMARY KEY AUTOINCREMENT, watch INTEGER NOT NULL REFERENCES watch(id) ON DELETE CASCADE,
        what TEXT NOT NULL, origin TEXT, idx INTEGER, at INTEGER NOT NULL, past INTEGER NOT NULL, body TEXT NOT NULL,
        UNIQUE (watch, what)
    ) STRICT;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, what TEXT NOT NULL, body TEXT NOT NULL,
        at INTEGER NOT NULL, UNIQUE (channel, what)
    ) STRICT;
    CREATE TABLE channel (
        name TEXT PRIMARY KEY, delivered_at INTEGER, failures INTEGER NOT NULL DEFAULT 0, retry_at INTEGER,
        error TEXT, heartbeat_at INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE place (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// Why watches cannot be kept. Verification goes on without them.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
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
    /// The damaged file cannot be moved aside.
    #[error(transparent)]
    Aside(#[from] StoreError),
    /// There are enough.
    #[error("there are {WATCHES_MAX} watches already; remove some first")]
    TooMany,
}

/// A watch that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// Its number.
    pub id: i64,
    /// What it waits for.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
}

/// Something to be kept as found, and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHit {
    /// The watch.
    pub watch: i64,
    /// What it is, the same for the same.
    pub what: String,
    /// The entry, where it is one.
    pub entry: Option<(String, u64)>,
    /// A JSON object: [`super::message::Found`].
    pub body: String,
    /// Whether it was there before the watch was.
    pub past: bool,
    /// The channels to tell.
    pub channels: Vec<String>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Its number.
    pub id: i64,
    /// The watch.
    pub watch: i64,
    /// When it was found, in seconds since 1970.
    pub at: u64,
    /// Whether it was there before the watch was.
    pub past: bool,
    /// A JSON object: [`super::message::Found`].
    pub body: String,
}

/// Numbers of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Watches that there are.
    pub watches: u64,
    /// Finds so far, with those that are not kept any more.
    pub finds: u64,
}

/// A database that was damaged and is begun anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Where it is now.
    pub aside: PathBuf,
    /// What was said about it.
    pub why: String,
}

/// Tells whether watches were made or removed: it is another one then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// What others have written, as SQLite counts it.
    others: i64,
    /// What was made and removed here.
    own: u64,
}

/// The database.
#[derive(Debug)]
pub struct WatchStore {
    path: PathBuf,
    /// Every method is one transaction.
    connection: Mutex<Connection>,
    /// Watches that were made and removed by this process.
    edits: AtomicU64,
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl WatchStore {
    /// Opens the database, making it if there is none.
    ///
    /// # Errors
    /// [`WatchError`].
    pub fn open(path: &Path) -> Result<Self, WatchError> {
        let failed = |error| WatchError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(failed)?;
        let set_up = || -> rusqlite::Result<i64> {
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_query_value(None, "user_version", |row| row.get(0))
        };
        match set_up().map_err(failed)? {
            0 => connection.execute_batch(&format!("BEGIN IMMEDIATE;{SCHEMA}COMMIT;")).map_err(failed)?,
            SCHEMA_VERSION => (),
            found => return Err(WatchError::Newer { path: path.to_owned(), found }),
        }
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), edits: AtomicU64::new(0) })
    }

    /// Opens the database of a monitor that nobody else runs. A damaged one is moved aside and begun anew.
    ///
    /// # Errors
    /// As above.
    pub fn open_whole(path: &Path, now: u64) -> Result<(Self, Option<Damaged>), WatchError> {
        match Self::open(path).and_then(Self::checked) {
            Err(WatchError::Sqlite { error, .. }) if is_damage(&error) => {
                let aside = move_aside(path, now)?;
                Ok((Self::open(path)?, Some(Damaged { aside, why: error.to_string() })))
            }
            opened => Ok((opened?, None)),
        }
    }

    fn checked(self) -> Result<Self, WatchError> {
        self.run(|connection| {
            let check: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
            if check == "ok" {
                return Ok(());
            }
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            Err(rusqlite::Error::SqliteFailure(code, Some(check)))
        })?;
        Ok(self)
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WatchError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).and_then(
            |transaction| {
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            },
        );
        result.map_err(|error| WatchError::Sqlite { path: self.path.clone(), error })
    }

    /// The watches, oldest first. One that cannot be read is left out: a later version wrote it.
    ///
    /// # Errors
    /// [`WatchError`], here and below.
    pub fn watches(&self) -> Result<Vec<Watch>, WatchError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id, wanted, made_at FROM watch ORDER BY id")?;
            let row = |row: &rusqlite::Row<'_>| {
                let wanted = serde_json::from_str(&row.get::<_, String>(1)?).ok();
                Ok(wanted.map(|wanted| (row.get(0), wanted, row.get(2))))
            };
            let rows: Vec<_> = statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
            let watch = |(id, wanted, made): (rusqlite::Result<i64>, Wanted, rusqlite::Result<i64>)| {
                Ok(Watch { id: id?, wanted, made_at: unsigned(made?) })
            };
            rows.into_iter().flatten().map(watch).collect()
        })
    }

    /// Which watches there are; the same as long as none was made or removed, by whomever.
    ///
    /// # Errors
    /// As above.
    pub fn version(&self) -> Result<Version, WatchError> {
        let own = self.edits.load(Ordering::Acquire);
        let others =
            self.run(|connection| connection.pragma_query_value(None, "data_version", |row| row.get(0)))?;
        Ok(Version { others, own })
    }

    /// Keeps a watch, and returns its number and whether it is new. The same watch again is the one that is there.
    ///
    /// # Errors
    /// As above; [`WatchError::TooMany`].
    pub fn add(&self, wanted: &Wanted, now: u64) -> Result<(i64, bool), WatchError> {
        let added = self.run(|connection| insert(connection, wanted, now))?;
        self.edits.fetch_add(1, Ordering::Release);
        added.ok_or(WatchError::TooMany)
    }

    /// Keeps the first watch of all, once in the life of this database, and returns its number. None is made where a
    /// watch is there already that `does_as_much`.
    ///
    /// # Errors
    /// As above.
    pub fn begin(
        &self,
        first: &Wanted,
        does_as_much: impl Fn(&Wanted) -> bool,
        now: u64,
    ) -> Result<Option<i64>, WatchError> {
        if self.place(BEGUN)?.is_some() {
            return Ok(None);
        }
        let superfluous = self.watches()?.iter().any(|watch| does_as_much(&watch.wanted));
        let made = self.run(|connection| {
            // Another process may have been faster.
            let begun = connection
                .execute("INSERT INTO place VALUES (?1, 1) ON CONFLICT (name) DO NOTHING", [BEGUN])?;
            if begun == 0 || superfluous { Ok(None) } else { insert(connection, first, now) }
        })?;
        self.edits.fetch_add(1, Ordering::Release);
        Ok(made.map(|(id, _)| id))
    }

    /// Keeps what a watch found in the past, newest first, but for what it has found meanwhile. Nobody is told.
    ///
    /// # Errors
    /// As above.
    pub fn keep_past(&self, watch: i64, past: &[NewHit], now: u64) -> Result<(), WatchError> {
        self.run(|connection| {
            // The newest one last, as if they had been found one after the other.
            for hit in past.iter().rev() {
                keep(connection, &NewHit { watch, past: true, channels: Vec::new(), ..hit.clone() }, now)?;
            }
            Ok(())
        })
    }

    /// Removes a watch with what it found. `false` if there is none.
    ///
    /// # Errors
    /// As above.
    pub fn remove(&self, id: i64) -> Result<bool, WatchError> {
        let removed = self.run(|connection| {
            connection.execute("DELETE FROM watch WHERE id = ?1", [id]).map(|rows| rows > 0)
        });
        self.edits.fetch_add(1, Ordering::Release);
        removed
    }

    /// How far something was looked at.
    ///
    /// # Errors
    /// As above.
    pub fn place(&self, name: &str) -> Result<Option<u64>, WatchError> {
        self.run(|connection| {
            let place = connection
                .query_row("SELECT value FROM place WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
                .optional()?;
            Ok(place.map(unsigned))
        })
    }

    /// Takes over what was called by another name, if it can be a place among so many: it is forgotten there, and what
    /// has the new name already stays.
    ///
    /// # Errors
    /// As above.
    pub fn rename_place(&self, old: &str, new: &str, most: u64) -> Result<(), WatchError> {
        self.run(|connection| {
            connection.execute(
                "INSERT INTO place SELECT ?2, value FROM place WHERE name = ?1 AND value <= ?3
                 ON CONFLICT (name) DO NOTHING",
                params![old, new, signed(most)],
            )?;
            connection.execute("DELETE FROM place WHERE name = ?1", [old]).map(|_| ())
        })
    }

    /// Keeps what was found, with the messages that tell of it, and moves places; all or nothing. Returns how many of the
    /// finds are new. Nothing is written where all of it is known.
    ///
    /// # Errors
    /// As above.
    pub fn advance(&self, places: &[(&str, u64)], hits: &[NewHit], now: u64) -> Result<usize, WatchError> {
        self.run(|connection| {
            let mut new = 0;
            for hit in hits {
                new += usize::from(keep(connection, hit, now)?);
            }
            for (name, place) in places {
                connection
                    .prepare_cached(
                        "INSERT INTO place VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2
                         WHERE value <> ?2",
                    )?
                    .execute(params![name, signed(*place)])?;
            }
            Ok(new)
        })
    }

    /// What a watch found, newest first.
    ///
    /// # Errors
    /// As above.
    pub fn hits(&self, watch: i64, rows: usize) -> Result<Vec<Hit>, WatchError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, watch, at, past, body FROM hit WHERE watch = ?1 ORDER BY past, id DESC LIMIT ?2",
            )?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Hit {
                    id: row.get(0)?,
                    watch: row.get(1)?,
                    at: unsigned(row.get(2)?),
                    past: row.get(3)?,
                    body: row.get(4)?,
                })
            };
            statement.query_map(params![watch, signed(rows as u64)], row)?.collect()
        })
    }

    /// How many entries each watch found.
    ///
    /// # Errors
    /// As above.
    pub fn counts(&self) -> Result<Vec<(i64, u64)>, WatchError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT watch, count(*) FROM hit GROUP BY watch")?;
            statement.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?.collect()
        })
    }

    /// How many watches there are, and how much was found so far.
    ///
    /// # Errors
    /// As above.
    pub fn totals(&self) -> Result<Totals, WatchError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT (SELECT count(*) FROM watch),
                 coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'hit'), 0)",
            )?;
            statement.query_row([], |row| {
                Ok(Totals { watches: unsigned(row.get(0)?), finds: unsigned(row.get(1)?) })
            })
        })
    }
}

/// The watch's number and whether it is new; `None` if there are enough.
fn insert(connection: &Connection, wanted: &Wanted, now: u64) -> rusqlite::Result<Option<(i64, bool)>> {
    let text = serde_json::to_string(wanted).expect("a watch has a JSON form");
    let known = connection
        .query_row("SELECT id FROM watch WHERE wanted = ?1", [&text], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(Some((known, false)));
    }
    let count: i64 = connection.query_row("SELECT count(*) FROM watch", [], |row| row.get(0))?;
    if count >= signed(WATCHES_MAX as u64) {
        return Ok(None);
    }
    connection.execute("INSERT INTO watch (wanted, made_at) VALUES (?1, ?2)", params![text, signed(now)])?;
    Ok(Some((connection.last_insert_rowid(), true)))
}

/// `true` if it was not known. What is known costs no write.
fn keep(connection: &Connection, hit: &NewHit, now: u64) -> rusqlite::Result<bool> {
    let known = connection
        .prepare_cached("SELECT 1 FROM hit WHERE watch = ?1 AND what = ?2")?
        .exists(params![hit.watch, hit.what])?;
    if known {
        return Ok(false);
    }
    let (origin, index) =
        hit.entry.as_ref().map_or((None, None), |(origin, index)| (Some(origin), Some(signed(*index))));
    let new = connection
        .prepare_cached(
            "INSERT INTO hit (watch, what, origin, idx, at, past, body)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM watch WHERE id = ?1) ON CONFLICT DO NOTHING",
        )?
        .execute(params![hit.watch, hit.what, origin, index, signed(now), hit.past, hit.body])?
        > 0;
    if new {
        for channel in &hit.channels {
            outbox::message(connection, channel, &format!("{}:{}", hit.watch, hit.what), &hit.body, now)?;
        }
        connection
            .prepare_cached(
                "DELETE FROM hit WHERE watch = ?1 AND id <=
                 (SELECT id FROM hit WHERE watch = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![hit.watch, HITS_KEPT_MAX])?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::rule::any_misbehaviour;

    #[test]
    fn a_damaged_database_is_moved_aside_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watches.sqlite");
        let open = || WatchStore::open_whole(&path, 7).unwrap();
        let (store, damaged) = open();
        assert_eq!(damaged, None);
        for number in 0..200 {
            let name = format!("watch {number:0150}");
            store.add(&Wanted { name, ..any_misbehaviour() }, 1).unwrap();
        }
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        let (head, middle) = (0..100, whole.len() / 2..whole.len());
        for hurt in [head, middle] {
            let mut bytes = whole.clone();
            bytes[hurt].fill(0x55);
            std::fs::write(&path, &bytes).unwrap();
            let (store, damaged) = open();
            let aside = damaged.expect("it is said").aside;
            assert_eq!(std::fs::read(&aside).unwrap(), bytes, "nothing is thrown away");
            assert!(store.watches().unwrap().is_empty());
            assert!(store.begin(&any_misbehaviour(), |_| false, 8).unwrap().is_some());
            drop(store);
            assert_eq!(open().1, None);
            std::fs::remove_file(aside).unwrap();
        }
    }
}

//! `watches.sqlite`: watches, what they found, and messages that were not delivered yet.
//!
//! A message is written in the transaction that moves the place up to which entries were looked at, and crossed out
//! after its delivery: a crash repeats an alert rather than losing it. What was found once is not found again, even
//! if the index is made anew. Several processes may write; the running monitor sees a new watch at its next look.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::rule::Wanted;

const SCHEMA_VERSION: i64 = 1;
/// Watches of one monitor.
pub const WATCHES_MAX: usize = 10_000;
/// What is kept of one watch's finds.
const HITS_KEPT_MAX: i64 = 10_000;
/// The longest wait before a message is tried again, in seconds.
const RETRY_SECONDS_MAX: u64 = 3_600;
/// The first wait.
const RETRY_SECONDS_MIN: u64 = 5;

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

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: i64,
    /// A JSON object: [`super::message::Found`].
    pub body: String,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

/// How a channel does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelState {
    /// Its name.
    pub name: String,
    /// When it last delivered, in seconds since 1970.
    pub delivered_at: Option<u64>,
    /// Failures since then.
    pub failures: u64,
    /// Not before this.
    pub retry_at: Option<u64>,
    /// Why the last one failed.
    pub error: Option<String>,
    /// Messages that wait.
    pub waiting: u64,
}

/// Numbers of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Watches that there are.
    pub watches: u64,
    /// Finds so far, with those that are not kept any more.
    pub finds: u64,
}

/// The database.
#[derive(Debug)]
pub struct WatchStore {
    path: PathBuf,
    /// Every method is one transaction.
    connection: Mutex<Connection>,
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
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
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

    /// Keeps a watch with what it found in the past, newest first, and returns its number. The same watch again is the one that is
    /// there.
    ///
    /// # Errors
    /// As above; [`WatchError::TooMany`].
    pub fn add(&self, wanted: &Wanted, past: &[NewHit], now: u64) -> Result<i64, WatchError> {
        let text = serde_json::to_string(wanted).expect("a watch has a JSON form");
        let added = self.run(|connection| {
            let known = connection
                .query_row("SELECT id FROM watch WHERE wanted = ?1", [&text], |row| row.get(0))
                .optional()?;
            if known.is_some() {
                return Ok(known);
            }
            let count: i64 = connection.query_row("SELECT count(*) FROM watch", [], |row| row.get(0))?;
            if count >= signed(WATCHES_MAX as u64) {
                return Ok(None);
            }
            connection
                .execute("INSERT INTO watch (wanted, made_at) VALUES (?1, ?2)", params![text, signed(now)])?;
            let id = connection.last_insert_rowid();
            // The newest one last, as if they had been found one after the other.
            for hit in past.iter().rev() {
                keep(
                    connection,
                    &NewHit { watch: id, past: true, channels: Vec::new(), ..hit.clone() },
                    now,
                )?;
            }
            Ok(Some(id))
        })?;
        added.ok_or(WatchError::TooMany)
    }

    /// Removes a watch with what it found. `false` if there is none.
    ///
    /// # Errors
    /// As above.
    pub fn remove(&self, id: i64) -> Result<bool, WatchError> {
        self.run(|connection| {
            connection.execute("DELETE FROM watch WHERE id = ?1", [id]).map(|rows| rows > 0)
        })
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

    /// Keeps what was found, with the messages that tell of it, and moves the place; all or nothing. Returns how many
    /// of them are new.
    ///
    /// # Errors
    /// As above.
    pub fn advance(&self, name: &str, place: u64, hits: &[NewHit], now: u64) -> Result<usize, WatchError> {
        self.run(|connection| {
            let mut new = 0;
            for hit in hits {
                new += usize::from(keep(connection, hit, now)?);
            }
            connection
                .prepare_cached(
                    "INSERT INTO place VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                )?
                .execute(params![name, signed(place)])?;
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

    /// Puts a message on its way; the same message to the same channel is one message.
    ///
    /// # Errors
    /// As above.
    pub fn send(&self, channel: &str, what: &str, body: &str, now: u64) -> Result<(), WatchError> {
        self.run(|connection| message(connection, channel, what, body, now))
    }

    /// The oldest messages that wait for a channel; none while it may not be tried.
    ///
    /// # Errors
    /// As above.
    pub fn waiting(&self, channel: &str, rows: usize, now: u64) -> Result<Vec<Message>, WatchError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, body, at FROM message WHERE channel = ?1
                 AND NOT EXISTS (SELECT 1 FROM channel WHERE name = ?1 AND retry_at > ?2) ORDER BY id LIMIT ?3",
            )?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Message { id: row.get(0)?, body: row.get(1)?, at: unsigned(row.get(2)?) })
            };
            statement.query_map(params![channel, signed(now), signed(rows as u64)], row)?.collect()
        })
    }

    /// Crosses out what was delivered.
    ///
    /// # Errors
    /// As above.
    pub fn delivered(&self, channel: &str, messages: &[Message], now: u64) -> Result<(), WatchError> {
        self.run(|connection| {
            for message in messages {
                connection.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([message.id])?;
            }
            connection
                .prepare_cached(
                    "INSERT INTO channel (name, delivered_at) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET
                     delivered_at = ?2, failures = 0, retry_at = NULL, error = NULL",
                )?
                .execute(params![channel, signed(now)])
                .map(|_| ())
        })
    }

    /// Remembers a failure; the channel is tried again later, and later each time.
    ///
    /// # Errors
    /// As above.
    pub fn failed(&self, channel: &str, error: &str, now: u64) -> Result<(), WatchError> {
        self.run(|connection| {
            let failures: i64 = connection
                .query_row("SELECT failures FROM channel WHERE name = ?1", [channel], |row| row.get(0))
                .optional()?
                .unwrap_or(0);
            let wait = RETRY_SECONDS_MIN << unsigned(failures).min(16);
            let retry = now.saturating_add(wait.min(RETRY_SECONDS_MAX));
            connection
                .prepare_cached(
                    "INSERT INTO channel (name, failures, retry_at, error) VALUES (?1, 1, ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET failures = failures + 1, retry_at = ?2, error = ?3",
                )?
                .execute(params![channel, signed(retry), error])
                .map(|_| ())
        })
    }

    /// How a channel does.
    ///
    /// # Errors
    /// As above.
    pub fn channel(&self, name: &str) -> Result<ChannelState, WatchError> {
        self.run(|connection| {
            let waiting: i64 =
                connection
                    .query_row("SELECT count(*) FROM message WHERE channel = ?1", [name], |row| row.get(0))?;
            let found = connection
                .query_row(
                    "SELECT delivered_at, failures, retry_at, error FROM channel WHERE name = ?1",
                    [name],
                    |row| {
                        Ok(ChannelState {
                            name: name.to_owned(),
                            delivered_at: row.get::<_, Option<i64>>(0)?.map(unsigned),
                            failures: unsigned(row.get(1)?),
                            retry_at: row.get::<_, Option<i64>>(2)?.map(unsigned),
                            error: row.get(3)?,
                            waiting: unsigned(waiting),
                        })
                    },
                )
                .optional()?;
            Ok(found.unwrap_or(ChannelState {
                name: name.to_owned(),
                waiting: unsigned(waiting),
                ..ChannelState::default()
            }))
        })
    }

    /// Sends a heartbeat if the last one is so long ago. `true` if it did.
    ///
    /// # Errors
    /// As above.
    pub fn heartbeat(&self, channel: &str, every: u64, body: &str, now: u64) -> Result<bool, WatchError> {
        self.run(|connection| {
            let last: Option<i64> = connection
                .query_row("SELECT heartbeat_at FROM channel WHERE name = ?1", [channel], |row| row.get(0))
                .optional()?
                .flatten();
            if last.is_some_and(|last| unsigned(last).saturating_add(every) > now) {
                return Ok(false);
            }
            // Only the newest one is of use.
            connection
                .execute("DELETE FROM message WHERE channel = ?1 AND what LIKE 'heartbeat:%'", [channel])?;
            message(connection, channel, &format!("heartbeat:{now}"), body, now)?;
            connection.execute(
                "INSERT INTO channel (name, heartbeat_at) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET heartbeat_at = ?2",
                params![channel, signed(now)],
            )?;
            Ok(true)
        })
    }
}

fn message(connection: &Connection, channel: &str, what: &str, body: &str, now: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO message (channel, what, body, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![channel, what, body, signed(now)])
        .map(|_| ())
}

/// `true` if it was not known.
fn keep(connection: &Connection, hit: &NewHit, now: u64) -> rusqlite::Result<bool> {
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
            message(connection, channel, &format!("{}:{}", hit.watch, hit.what), &hit.body, now)?;
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

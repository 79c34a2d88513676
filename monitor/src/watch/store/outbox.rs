//! Messages that wait for their channel, and how the channels do.
//!
//! Times are the wall clock's, which may step: what only a clock that was ahead can have written holds nothing up.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{WatchError, WatchStore, signed, unsigned};

/// The longest wait before a message is tried again, in seconds.
const RETRY_SECONDS_MAX: u64 = 3_600;
/// The first wait.
const RETRY_SECONDS_MIN: u64 = 5;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: i64,
    /// A JSON object: [`crate::watch::message::Found`].
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

impl WatchStore {
    /// Puts a message on its way; the same message to the same channel is one message.
    ///
    /// # Errors
    /// [`WatchError`], here and below.
    pub fn send(&self, channel: &str, what: &str, body: &str, now: u64) -> Result<(), WatchError> {
        self.run(|connection| message(connection, channel, what, body, now))
    }

    /// The oldest messages that wait for a channel; none while it may not be tried. A wait that is longer than any was
    /// written by a clock that was ahead, and is over.
    ///
    /// # Errors
    /// As above.
    pub fn waiting(&self, channel: &str, rows: usize, now: u64) -> Result<Vec<Message>, WatchError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, body, at FROM message WHERE channel = ?1 AND NOT EXISTS
                 (SELECT 1 FROM channel WHERE name = ?1 AND retry_at > ?2 AND retry_at <= ?2 + ?4) ORDER BY id LIMIT ?3",
            )?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(Message { id: row.get(0)?, body: row.get(1)?, at: unsigned(row.get(2)?) })
            };
            let longest = signed(RETRY_SECONDS_MAX);
            statement.query_map(params![channel, signed(now), signed(rows as u64), longest], row)?.collect()
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

    /// Sends a heartbeat if the last one is so long ago, or was sent by a clock that was ahead. `true` if it did.
    ///
    /// # Errors
    /// As above.
    pub fn heartbeat(&self, channel: &str, every: u64, body: &str, now: u64) -> Result<bool, WatchError> {
        self.run(|connection| {
            let last: Option<i64> = connection
                .query_row("SELECT heartbeat_at FROM channel WHERE name = ?1", [channel], |row| row.get(0))
                .optional()?
                .flatten();
            if last.map(unsigned).is_some_and(|last| last <= now && last.saturating_add(every) > now) {
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

/// The same message to the same channel is one message.
pub(super) fn message(
    connection: &Connection,
    channel: &str,
    what: &str,
    body: &str,
    now: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO message (channel, what, body, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![channel, what, body, signed(now)])
        .map(|_| ())
}

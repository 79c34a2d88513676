//! Reading the index: entries, histories, agencies, the times of heads. Any number of readers beside the one writer.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;

use super::facet::{self, Exact};
use super::query::Query;
use super::schema::{self, IndexError, failed};
use super::search::{self, Hits, Page};
use super::write::{signed, unsigned};

/// Connections that are kept open for the next reader.
const READERS_KEPT_MAX: usize = 8;
/// Versions of one record that are shown.
pub const HISTORY_ROWS_MAX: usize = 1_000;
/// Bytes of these that are held at a time; of later versions only the bytes are left out.
const HISTORY_BYTES_MAX: usize = 16 << 20;
/// Points of a log's growth.
pub const GROWTH_POINTS_MAX: u64 = 300;
/// Agencies that are listed.
pub const AGENCIES_MAX: usize = 5_000;

/// The columns that [`row`] reads, of `record r JOIN log l`.
pub(super) const ROW_COLUMNS: &str = "r.id, l.origin, r.idx, r.leaf, r.form, r.kind, r.agency, r.register, r.key, \
    r.title, r.at, r.at_seconds, r.previous, r.action, r.erases, r.amount, r.currency, r.logged_after, r.bytes";

/// An entry of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its place in this index, which another index of the same logs need not share.
    #[serde(skip)]
    pub id: i64,
    /// The log.
    pub origin: String,
    /// Its place in the log.
    pub index: u64,
    /// Its leaf hash, in hex.
    pub leaf: String,
    /// What sort of bytes it is.
    pub form: String,
    /// The kind of a statement.
    pub kind: Option<String>,
    /// Who signed it.
    pub agency: Option<String>,
    /// In which register.
    pub register: Option<String>,
    /// Under which key.
    pub key: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// The time that it gives itself.
    pub at: Option<String>,
    /// In seconds since 1970.
    pub at_seconds: Option<i64>,
    /// The leaf hash of the entry that it follows.
    pub previous: Option<String>,
    /// What it does, where that is not to say something.
    pub action: Option<String>,
    /// The leaf hash of the entry whose values it erases.
    pub erases: Option<String>,
    /// Its largest amount of money, in thousandths.
    pub amount_thousandths: Option<i64>,
    /// The currency of that.
    pub currency: Option<String>,
    /// A time, in seconds since 1970, when the log did not have it yet.
    pub logged_after: Option<i64>,
    /// The entry.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

pub(super) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        origin: row.get(1)?,
        index: unsigned(row.get(2)?),
        leaf: row.get(3)?,
        form: row.get(4)?,
        kind: row.get(5)?,
        agency: row.get(6)?,
        register: row.get(7)?,
        key: row.get(8)?,
        title: row.get(9)?,
        at: row.get(10)?,
        at_seconds: row.get(11)?,
        previous: row.get(12)?,
        action: row.get(13)?,
        erases: row.get(14)?,
        amount_thousandths: row.get(15)?,
        currency: row.get(16)?,
        logged_after: row.get(17)?,
        bytes: row.get(18)?,
    })
}

/// When an entry came into its log, as far as signers of heads vouch for it; seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Window {
    /// It was not there yet.
    pub after: Option<u64>,
    /// It was there.
    pub before: Option<u64>,
}

/// A log in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexedLog {
    /// Its name.
    pub origin: String,
    /// Where indexing began.
    pub first: u64,
    /// The next entry to be indexed.
    pub next: u64,
    /// How far the log was indexed before the file was made again; until then, less is found than before.
    pub goal: u64,
}

impl IndexedLog {
    /// Entries that were found before the file was made again, and cannot be found yet.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.goal.saturating_sub(self.next)
    }
}

/// What an agency has published in a register, and how late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The agency.
    pub agency: String,
    /// The register, empty for statements about the agency itself.
    pub register: String,
    /// Entries.
    pub entries: u64,
    /// Of these, entries for which it is known how late they are at least.
    pub timed: u64,
    /// By how many seconds they were late, at least, in all.
    pub seconds_late: u64,
    /// The latest one.
    pub seconds_late_max: u64,
    /// The newest `at`, in seconds since 1970.
    pub newest_at: Option<i64>,
    /// The index of the newest entry.
    pub newest: u64,
}

/// What an agency has dated in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Month {
    /// `2026-11`.
    pub month: String,
    /// Entries.
    pub entries: u64,
    /// By how many seconds the latest of them was late, at least; `None` if that is not known of any.
    pub seconds_late_max: Option<u64>,
}

/// Heads at even distances between the first and the newest, by the time at which they were seen first.
fn sampled(connection: &Connection, origin: &str) -> rusqlite::Result<Vec<(u64, u64)>> {
    let log: i64 =
        connection.query_row("SELECT id FROM log WHERE origin = ?1", [origin], |row| row.get(0))?;
    let ends = "SELECT (SELECT size FROM head WHERE log = ?1 ORDER BY size LIMIT 1),
                (SELECT size FROM head WHERE log = ?1 ORDER BY size DESC LIMIT 1)";
    let (first, last): (i64, i64) =
        connection.prepare_cached(ends)?.query_row([log], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (first, last) = (unsigned(first), unsigned(last));
    let mut below = connection.prepare_cached(
        "SELECT first_seconds, size FROM head WHERE log = ?1 AND size <= ?2 ORDER BY size DESC LIMIT 1",
    )?;
    let mut points: Vec<(u64, u64)> = Vec::new();
    for step in 0..GROWTH_POINTS_MAX {
        let size = first + (last - first) / (GROWTH_POINTS_MAX - 1) * step;
        let size = if step == GROWTH_POINTS_MAX - 1 { last } else { size };
        let point = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)));
        let point = below.query_row(params![log, signed(size)], point)?;
        if points.last() != Some(&point) {
            points.push(point);
        }
    }
    Ok(points)
}

/// The readers of an index.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    /// Connections that nobody uses at the moment.
    idle: Mutex<Vec<Connection>>,
}

impl Index {
    /// The index in this file, which a [`super::write::Writer`] has made.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let first = schema::open_reader(path)?;
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How large the file is, with what is not merged into it yet.
    ///
    /// # Errors
    /// The system's answer.
    pub fn bytes(&self) -> Result<u64, IndexError> {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        let length = |path: &Path| match std::fs::metadata(path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(IndexError::Io { path: path.to_owned(), error }),
        };
        Ok(length(&self.path)? + length(Path::new(&log))?)
    }

    /// Makes a copy as the index is at one moment, while others write it. The file must not be there.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn copy_to(&self, path: &Path) -> Result<(), IndexError> {
        // A connection of its own: the readers' may not write anything, not even elsewhere.
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = connection.map_err(failed(&self.path))?;
        let made = connection.execute("VACUUM INTO ?1", [path.to_string_lossy()]);
        made.map(|_| ()).map_err(failed(&self.path))
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, IndexError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| schema::open_reader(&self.path), Ok)?;
        let result = work(&connection).map_err(failed(&self.path));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_KEPT_MAX {
            idle.push(connection);
        }
        result
    }

    /// A page of what a query asks for.
    ///
    /// # Errors
    /// [`IndexError`], here and below; never because of the query.
    pub fn search(&self, query: &Query, page: Page, rows: usize) -> Result<Hits, IndexError> {
        self.with(|connection| search::search(connection, query, page, rows))
    }

    /// A page of what a query asks for, and how many entries it finds, up to [`search::COUNT_MAX`] and one more; `None`
    /// where that is not known.
    ///
    /// # Errors
    /// As above.
    pub fn search_and_count(
        &self,
        query: &Query,
        page: Page,
        rows: usize,
    ) -> Result<(Hits, Option<u64>), IndexError> {
        self.with(|connection| search::search_and_count(connection, query, page, rows))
    }

    /// How many entries a query finds, up to `most` and one more; `None` where that is not known without reading them.
    ///
    /// # Errors
    /// As above.
    pub fn count_to(&self, query: &Query, most: u64) -> Result<Option<u64>, IndexError> {
        self.with(|connection| search::count(connection, query, most))
    }

    /// An entry.
    ///
    /// # Errors
    /// As above.
    pub fn entry(&self, origin: &str, index: u64) -> Result<Option<Row>, IndexError> {
        let text = format!(
            "SELECT {ROW_COLUMNS} FROM log l JOIN record r ON r.log = l.id WHERE l.origin = ?1 AND r.idx = ?2"
        );
        self.with(|connection| {
            connection.prepare_cached(&text)?.query_row(params![origin, signed(index)], row).optional()
        })
    }

    /// The entries of a log from an index on, in order, for whoever follows it.
    ///
    /// # Errors
    /// As above.
    pub fn range(&self, origin: &str, from: u64, rows: usize) -> Result<Vec<Row>, IndexError> {
        let text = format!(
            "SELECT {ROW_COLUMNS} FROM log l JOIN record r ON r.log = l.id
             WHERE l.origin = ?1 AND r.idx >= ?2 ORDER BY r.idx LIMIT ?3"
        );
        self.with(|connection| {
            let limit = i64::try_from(rows).unwrap_or(i64::MAX);
            connection.prepare_cached(&text)?.query_map(params![origin, signed(from), limit], row)?.collect()
        })
    }

    /// Every entry about one record, versions and tombstones, in log order, at most [`HISTORY_ROWS_MAX`]. Where they are
    /// more than 16 MiB together, the rest comes without its bytes.
    ///
    /// # Errors
    /// As above.
    pub fn about(
        &self,
        origin: &str,
        agency: &str,
        register: &str,
        key: &str,
    ) -> Result<Vec<Row>, IndexError> {
        let query = Query::default()
            .with(Exact::Log, origin)
            .with(Exact::Chain, &facet::chain(agency, register, key));
        let (mut rows, mut held) = (Vec::new(), 0);
        let mut page = Page::Oldest(None);
        while rows.len() < HISTORY_ROWS_MAX {
            let hits = self.search(&query, page, search::PAGE_ROWS_MAX)?;
            rows.extend(hits.rows.into_iter().map(|row| {
                held += row.bytes.len();
                if held > HISTORY_BYTES_MAX { Row { bytes: Vec::new(), ..row } } else { row }
            }));
            let Some(next) = hits.next else { break };
            page = Page::Oldest(Some(next));
        }
        rows.retain(|row| {
            row.agency.as_deref() == Some(agency)
                && row.register.as_deref() == Some(register)
                && row.key.as_deref() == Some(key)
        });
        Ok(rows)
    }

    /// When an entry came into its log.
    ///
    /// # Errors
    /// As above.
    pub fn window(&self, origin: &str, index: u64) -> Result<Window, IndexError> {
        self.with(|connection| {
            let find = |text: &str| -> rusqlite::Result<Option<u64>> {
                let seconds: Option<i64> = connection
                    .prepare_cached(text)?
                    .query_row(params![origin, signed(index)], |row| row.get(0))
                    .optional()?;
                Ok(seconds.map(unsigned))
            };
            Ok(Window {
                after: find(
                    "SELECT last_seconds FROM head h JOIN log l ON l.id = h.log
                     WHERE l.origin = ?1 AND size <= ?2 ORDER BY size DESC LIMIT 1",
                )?,
                before: find(
                    "SELECT first_seconds FROM head h JOIN log l ON l.id = h.log
                     WHERE l.origin = ?1 AND size > ?2 ORDER BY size LIMIT 1",
                )?,
            })
        })
    }

    /// The logs, by name.
    ///
    /// # Errors
    /// As above.
    pub fn logs(&self) -> Result<Vec<IndexedLog>, IndexError> {
        self.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT origin, first, next, goal FROM log ORDER BY origin")?;
            let log = |row: &rusqlite::Row<'_>| {
                Ok(IndexedLog {
                    origin: row.get(0)?,
                    first: unsigned(row.get(1)?),
                    next: unsigned(row.get(2)?),
                    goal: unsigned(row.get(3)?),
                })
            };
            statement.query_map([], log)?.collect()
        })
    }

    /// How the tree grew: sizes and the time at which each was seen first, at most [`GROWTH_POINTS_MAX`] of them.
    ///
    /// # Errors
    /// As above.
    pub fn growth(&self, origin: &str) -> Result<Vec<(u64, u64)>, IndexError> {
        self.with(|connection| {
            let point = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)));
            let mut all = connection.prepare_cached(
                "SELECT first_seconds, size FROM head h JOIN log l ON l.id = h.log WHERE l.origin = ?1
                 ORDER BY size LIMIT ?2",
            )?;
            let limit = GROWTH_POINTS_MAX + 1;
            let found: Vec<_> =
                all.query_map(params![origin, signed(limit)], point)?.collect::<rusqlite::Result<_>>()?;
            if found.len() as u64 <= GROWTH_POINTS_MAX {
                return Ok(found);
            }
            sampled(connection, origin)
        })
    }

    /// What was published, by agency and register; of one agency if it is named.
    ///
    /// # Errors
    /// As above.
    pub fn published(&self, origin: &str, agency: Option<&str>) -> Result<Vec<Published>, IndexError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT agency, register, sum(entries), sum(timed), sum(seconds_late), max(seconds_late_max),
                 max(newest_at), max(newest) FROM volume v JOIN log l ON l.id = v.log
                 WHERE l.origin = ?1 AND (?2 IS NULL OR agency = ?2) GROUP BY agency, register
                 ORDER BY agency, register LIMIT ?3",
            )?;
            let limit = i64::try_from(AGENCIES_MAX).expect("a small constant");
            let published = |row: &rusqlite::Row<'_>| {
                Ok(Published {
                    agency: row.get(0)?,
                    register: row.get(1)?,
                    entries: unsigned(row.get(2)?),
                    timed: unsigned(row.get(3)?),
                    seconds_late: unsigned(row.get(4)?),
                    seconds_late_max: unsigned(row.get(5)?),
                    newest_at: row.get(6)?,
                    newest: unsigned(row.get(7)?),
                })
            };
            statement.query_map(params![origin, agency, limit], published)?.collect()
        })
    }

    /// Entries of an agency by month of their `at`.
    ///
    /// # Errors
    /// As above.
    pub fn months(&self, origin: &str, agency: &str) -> Result<Vec<Month>, IndexError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT month, sum(entries), sum(timed), max(seconds_late_max) FROM volume v JOIN log l ON l.id = v.log
                 WHERE l.origin = ?1 AND agency = ?2 AND month <> '' GROUP BY month ORDER BY month",
            )?;
            let month = |row: &rusqlite::Row<'_>| {
                let (timed, late): (i64, i64) = (row.get(2)?, row.get(3)?);
                let seconds_late_max = (timed > 0).then(|| unsigned(late));
                Ok(Month { month: row.get(0)?, entries: unsigned(row.get(1)?), seconds_late_max })
            };
            statement.query_map([origin, agency], month)?.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;

    use super::*;
    use crate::index::extract::tests::leaf;
    use crate::index::write::{NewEntry, Writer};

    #[test]
    fn a_history_that_is_too_large_to_be_held_is_listed_whole_and_read_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let filler = "-".repeat(200_000);
        let json = format!(r#"{{"agency":"a","key":"k","public":{{"x":"{filler}"}},"register":"r"}}"#);
        let bytes = leaf("record", &json);
        let entry = |index| NewEntry { index, bytes: &bytes, leaf: leaf_hash(&bytes) };
        let mut writer = Writer::open(&path).unwrap();
        writer.begin("log", 0).unwrap();
        writer.append("log", &(0..100).map(entry).collect::<Vec<_>>()).unwrap();
        let rows = Index::open(&path).unwrap().about("log", "a", "r", "k").unwrap();
        assert_eq!(rows.len(), 100);
        let held: usize = rows.iter().map(|row| row.bytes.len()).sum();
        assert!(held <= HISTORY_BYTES_MAX && held > HISTORY_BYTES_MAX / 2, "{held}");
        assert!(!rows[0].bytes.is_empty() && rows[99].bytes.is_empty());
    }
}

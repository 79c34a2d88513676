//! The one writer: verified entries go in, in order, a batch a transaction.
//!
//! The watermark of a log (the next index and the leaf hash of the last entry) is written in the transaction that
//! holds the rows, so after any crash indexing goes on exactly behind what is there. If the last leaf hash is not the
//! verified one, the file is of another history and is made again by the caller.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tlog::hash::Hash;

use super::extract::{Document, extract};
use super::facet::{self, Exact};
use super::schema::{self, IndexError, failed};
use super::text::index_form_with;

/// Entries a transaction; a batch that is larger takes several.
pub const BATCH_ENTRIES_MAX: usize = 4096;

/// Entries that are prepared together, on a thread of their own.
const PREPARED_ENTRIES: usize = 64;
/// Groups of them that are prepared ahead of the writer.
const AHEAD_MAX: usize = 4;

/// A verified entry to index.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Its place.
    pub index: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its leaf hash.
    pub leaf: Hash,
}

/// How far a log is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The index that is due next.
    pub next: u64,
    /// The leaf hash of the entry before it.
    pub leaf: Option<Hash>,
}

/// The writing connection.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    connection: Connection,
    /// Row and facet of each log.
    logs: HashMap<String, (i64, String)>,
}

impl Writer {
    /// Opens the index, making it if there is none.
    ///
    /// # Errors
    /// [`IndexError`]; a newer schema is refused, an older one migrated.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let connection = schema::open_writer(path)?;
        Ok(Self { path: path.to_owned(), connection, logs: HashMap::new() })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a log, whose entries before `first` are not read, or finds how far it is indexed.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn begin(&mut self, origin: &str, first: u64) -> Result<Watermark, IndexError> {
        let failed = failed(&self.path);
        self.connection
            .execute(
                "INSERT INTO log (origin, first, next) VALUES (?1, ?2, ?2) ON CONFLICT (origin) DO NOTHING",
                params![origin, signed(first)],
            )
            .map_err(&failed)?;
        let row = self
            .connection
            .query_row("SELECT id, next, leaf FROM log WHERE origin = ?1", [origin], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?))
            })
            .map_err(&failed)?;
        self.logs.insert(origin.to_owned(), (row.0, Exact::Log.word(origin)));
        let leaf = row.2.and_then(|hex| hex.parse().ok());
        Ok(Watermark { next: unsigned(row.1), leaf })
    }

    /// Remembers that the tree had `size` entries at a time that signers vouch for.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn note_head(&mut self, origin: &str, size: u64, seconds: u64) -> Result<(), IndexError> {
        let Some((log, _)) = self.logs.get(origin) else { return Ok(()) };
        self.connection
            .prepare_cached(
                "INSERT INTO head (log, size, first_seconds, last_seconds) VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (log, size) DO UPDATE SET
                 first_seconds = min(first_seconds, ?3), last_seconds = max(last_seconds, ?3)",
            )
            .and_then(|mut statement| statement.execute(params![log, signed(size), signed(seconds)]))
            .map(|_| ())
            .map_err(failed(&self.path))
    }

    /// Indexes entries that follow one another and those before. Returns the new watermark.
    ///
    /// # Errors
    /// [`IndexError::Gap`] if they do not; then nothing is written of them.
    pub fn append(&mut self, origin: &str, entries: &[NewEntry<'_>]) -> Result<Watermark, IndexError> {
        let mut watermark = self.begin(origin, entries.first().map_or(0, |entry| entry.index))?;
        for batch in entries.chunks(BATCH_ENTRIES_MAX) {
            for (expected, entry) in (watermark.next..).zip(batch) {
                if entry.index != expected {
                    return Err(IndexError::Gap { origin: origin.to_owned(), expected, found: entry.index });
                }
            }
            self.append_batch(origin, batch).map_err(failed(&self.path))?;
            if let Some(last) = batch.last() {
                watermark = Watermark { next: last.index + 1, leaf: Some(last.leaf) };
            }
        }
        Ok(watermark)
    }

    fn append_batch(&mut self, origin: &str, batch: &[NewEntry<'_>]) -> rusqlite::Result<()> {
        let Some(last) = batch.last() else { return Ok(()) };
        let (log, log_facet) = self.logs.get(origin).expect("begun by append").clone();
        let transaction = self.connection.transaction()?;
        let mut inserting = Inserting::new(&transaction, log);
        if batch.len() <= PREPARED_ENTRIES {
            batch.iter().try_for_each(|entry| inserting.insert(&prepare(&log_facet, entry)))?;
        } else {
            prepared_ahead(&log_facet, batch, |prepared| inserting.insert(&prepared))?;
        }
        inserting.volume.write(&transaction, log)?;
        transaction.prepare_cached("UPDATE log SET next = ?2, leaf = ?3 WHERE id = ?1")?.execute(params![
            log,
            signed(last.index + 1),
            last.leaf.to_string()
        ])?;
        transaction.commit()
    }

    /// Merges what many batches have left in pieces; for after a long catching-up, it makes searches faster.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn optimize(&mut self) -> Result<(), IndexError> {
        self.connection
            .execute_batch("INSERT INTO record_fts (record_fts) VALUES ('optimize'); PRAGMA optimize;")
            .map_err(failed(&self.path))
    }
}

/// An entry with everything that is written of it.
struct Prepared<'a> {
    index: u64,
    bytes: &'a [u8],
    leaf: String,
    document: Document,
    /// Search words of the title, of the text, facets, and letters of scripts without spaces.
    words: [String; 4],
}

fn prepare<'a>(log_facet: &str, entry: &NewEntry<'a>) -> Prepared<'a> {
    let (document, leaf) = (extract(entry.bytes), entry.leaf.to_string());
    let mut letters = BTreeSet::new();
    let mut form = |text: &str| {
        let mut form = String::with_capacity(text.len() + text.len() / 4);
        index_form_with(text, &mut form, &mut letters);
        form
    };
    let (title, text) = (form(document.title.as_deref().unwrap_or("")), form(&document.text));
    let facets = facet::words(log_facet, &leaf, &document);
    let letters: Vec<String> = letters.into_iter().map(String::from).collect();
    let words = [title, text, facets, letters.join(" ")];
    Prepared { index: entry.index, bytes: entry.bytes, leaf, document, words }
}

/// Prepares entries on a thread of their own, a little ahead of the one that writes them.
fn prepared_ahead<'a>(
    log_facet: &str,
    batch: &[NewEntry<'a>],
    mut write: impl FnMut(Prepared<'a>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD_MAX);
        scope.spawn(move || {
            for group in batch.chunks(PREPARED_ENTRIES) {
                let prepared: Vec<_> = group.iter().map(|entry| prepare(log_facet, entry)).collect();
                if sender.send(prepared).is_err() {
                    // The writer has failed, and says so.
                    return;
                }
            }
        });
        receiver.into_iter().flatten().try_for_each(&mut write)
    })
}

/// The rows of one transaction.
struct Inserting<'a> {
    transaction: &'a Transaction<'a>,
    log: i64,
    volume: Volume,
    bound: Bound,
}

impl<'a> Inserting<'a> {
    fn new(transaction: &'a Transaction<'a>, log: i64) -> Self {
        Self { transaction, log, volume: Volume::default(), bound: Bound::default() }
    }

    fn insert(&mut self, entry: &Prepared<'_>) -> rusqlite::Result<()> {
        let document = &entry.document;
        let after = self.bound.of(self.transaction, self.log, entry.index)?;
        let largest = document.largest();
        self.transaction
            .prepare_cached(
                "INSERT INTO record (log, idx, leaf, form, kind, agency, register, key, title, at, at_seconds, previous,
                 action, erases, amount, currency, logged_after, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?
            .execute(params![
                self.log,
                signed(entry.index),
                entry.leaf,
                document.form.map_or("binary", super::extract::Form::name),
                document.kind,
                document.agency,
                document.register,
                document.key,
                document.title,
                document.at,
                document.at_seconds,
                document.previous,
                document.action,
                document.erases,
                largest.map(|amount| amount.thousandths),
                largest.and_then(|amount| amount.currency.as_deref()),
                after,
                entry.bytes,
            ])?;
        let [title, body, facets, letters] = &entry.words;
        self.transaction
            .prepare_cached(
                "INSERT INTO record_fts (rowid, title, body, facet, letter) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.transaction.last_insert_rowid(), title, body, facets, letters])?;
        self.volume.count(entry.index, document, after);
        Ok(())
    }
}

/// The time of the largest head that does not hold an entry: the entry came later.
#[derive(Default)]
struct Bound {
    /// Good for indexes below the first number.
    known: Option<(u64, Option<i64>)>,
}

impl Bound {
    fn of(&mut self, transaction: &Transaction<'_>, log: i64, index: u64) -> rusqlite::Result<Option<i64>> {
        if let Some((below, bound)) = self.known
            && index < below
        {
            return Ok(bound);
        }
        let bound = transaction
            .prepare_cached(
                "SELECT last_seconds FROM head WHERE log = ?1 AND size <= ?2 ORDER BY size DESC LIMIT 1",
            )?
            .query_row(params![log, signed(index)], |row| row.get(0))
            .optional()?;
        let below: Option<i64> = transaction
            .prepare_cached("SELECT size FROM head WHERE log = ?1 AND size > ?2 ORDER BY size LIMIT 1")?
            .query_row(params![log, signed(index)], |row| row.get(0))
            .optional()?;
        self.known = Some((below.map_or(u64::MAX, unsigned), bound));
        Ok(bound)
    }
}

/// What each agency published in each register in a month, counted as the entries come.
#[derive(Default)]
struct Volume {
    months: BTreeMap<(String, String, String), Month>,
}

#[derive(Default)]
struct Month {
    entries: i64,
    timed: i64,
    late: i64,
    late_max: i64,
    newest: u64,
    newest_at: Option<i64>,
}

impl Volume {
    fn count(&mut self, index: u64, document: &Document, after: Option<i64>) {
        let Some(agency) = &document.agency else { return };
        let at = document.at_seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let month = at.map_or_else(String::new, |time| time.to_string()[..7].to_owned());
        let register = document.register.clone().unwrap_or_default();
        let row = self.months.entry((agency.clone(), register, month)).or_default();
        row.entries += 1;
        row.newest = index;
        row.newest_at = document.at_seconds;
        if let (Some(after), Some(at)) = (after, document.at_seconds) {
            let late = (after - at).max(0);
            row.timed += 1;
            row.late += late;
            row.late_max = row.late_max.max(late);
        }
    }

    fn write(self, transaction: &Transaction<'_>, log: i64) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO volume VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (log, agency, register, month) DO UPDATE SET
             entries = entries + ?5, timed = timed + ?6, seconds_late = seconds_late + ?7,
             seconds_late_max = max(seconds_late_max, ?8), newest = ?9, newest_at = ?10",
        )?;
        for ((agency, register, month), row) in self.months {
            statement.execute(params![
                log,
                agency,
                register,
                month,
                row.entries,
                row.timed,
                row.late,
                row.late_max,
                signed(row.newest),
                row.newest_at
            ])?;
        }
        Ok(())
    }
}

/// SQLite's integers have a sign; indexes and times fit.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

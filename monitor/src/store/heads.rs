//! Heads that were seen, how far each log is verified, and receipts that wait.

use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};

use super::{Store, StoreError, hashes, signed, size_column, unsigned};

/// Heads of one log that may wait to be verified, beyond the largest.
const PENDING_MAX: i64 = 10_000;
/// Receipts of one log that may wait.
const RECEIPTS_MAX: i64 = 100_000;

/// What is known of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not settled yet: kept until it is.
    Pending,
    /// Proved to be a beginning of the verified tree, or that tree.
    Consistent,
    /// Contradicts another signed head.
    Contradicts,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Consistent => "consistent",
            Self::Contradicts => "contradicts",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "consistent" => Self::Consistent,
            "contradicts" => Self::Contradicts,
            _ => Self::Pending,
        }
    }
}

/// A signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    /// Size and root.
    pub head: TreeHead,
    /// The note, with the lines that were verified.
    pub note: Vec<u8>,
    /// Who showed it first.
    pub source: String,
    /// When, in milliseconds since 1970.
    pub first_seen: u64,
    /// What is known of it.
    pub standing: Standing,
}

/// How far a log is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The newest head that was verified, and its note.
    pub verified: Option<(TreeHead, Vec<u8>)>,
    /// Entries rebuilt, under that head or a larger signed one.
    pub reached: TreeSize,
    /// The peaks of the tree of that many.
    pub peaks: Vec<Hash>,
    /// Where verification started.
    pub start: TreeSize,
    /// When the tree grew last, in milliseconds since 1970.
    pub grown_at: Option<u64>,
}

/// A receipt that somebody asked about, for an entry that is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// The entry's place.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Hash,
    /// The receipt.
    pub receipt: Vec<u8>,
}

fn head_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<HeadRow> {
    let head = TreeHead { size: size_column(row.get(0)?)?, root: Hash::from_bytes(row.get(1)?) };
    Ok(HeadRow {
        head,
        note: row.get(2)?,
        source: row.get(3)?,
        first_seen: unsigned(row.get(4)?),
        standing: Standing::parse(&row.get::<_, String>(5)?),
    })
}

const HEAD_COLUMNS: &str = "SELECT size, root, note, source, first_seen, standing FROM head";

impl Store {
    /// How far a log is verified; `None` for one that is new here.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn log(&self, origin: &str) -> Result<Option<LogRow>, StoreError> {
        self.run(|connection| {
            let query = "SELECT size, root, note, reached, peaks, start, grown_at FROM log WHERE origin = ?1";
            let row = |row: &rusqlite::Row<'_>| {
                let size: Option<i64> = row.get(0)?;
                let verified = match size {
                    Some(size) => {
                        let head = TreeHead { size: size_column(size)?, root: Hash::from_bytes(row.get(1)?) };
                        Some((head, row.get(2)?))
                    }
                    None => None,
                };
                Ok(LogRow {
                    verified,
                    reached: size_column(row.get(3)?)?,
                    peaks: hashes(&row.get::<_, Vec<u8>>(4)?),
                    start: size_column(row.get(5)?)?,
                    grown_at: row.get::<_, Option<i64>>(6)?.map(unsigned),
                })
            };
            connection.prepare_cached(query)?.query_row([origin], row).optional()
        })
    }

    /// Remembers how far a log is verified. Heads up to the verified size that wait are settled by the caller.
    ///
    /// # Errors
    /// As above.
    pub fn set_log(&self, origin: &str, row: &LogRow) -> Result<(), StoreError> {
        let peaks: Vec<u8> = row.peaks.iter().flat_map(Hash::as_bytes).copied().collect();
        let (size, root, note) = match &row.verified {
            Some((head, note)) => {
                (Some(signed(head.size.get())), Some(head.root.as_bytes().as_slice()), Some(note))
            }
            None => (None, None, None),
        };
        let values = params![
            origin,
            size,
            root,
            note,
            signed(row.reached.get()),
            peaks,
            signed(row.start.get()),
            row.grown_at.map(signed)
        ];
        self.run(|connection| {
            let query = "INSERT INTO log (origin, size, root, note, reached, peaks, start, grown_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                         ON CONFLICT (origin) DO UPDATE SET size = ?2, root = ?3, note = ?4, reached = ?5,
                         peaks = ?6, start = ?7, grown_at = ?8";
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }

    /// The note that is kept for a head.
    ///
    /// # Errors
    /// As above.
    pub fn head_note(&self, origin: &str, head: TreeHead) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|connection| {
            let query = "SELECT note FROM head WHERE origin = ?1 AND size = ?2 AND root = ?3";
            let values = params![origin, signed(head.size.get()), head.root.as_bytes().as_slice()];
            connection.prepare_cached(query)?.query_row(values, |row| row.get(0)).optional()
        })
    }

    /// Keeps a signed head, with the newest note for it, and returns every kept head of that size with another
    /// root. `false` if so many wait already that it was not kept.
    ///
    /// # Errors
    /// As above.
    pub fn keep_head(
        &self,
        origin: &str,
        head: TreeHead,
        note: &[u8],
        source: &str,
        now: u64,
    ) -> Result<(bool, Vec<HeadRow>), StoreError> {
        let (size, root) = (signed(head.size.get()), head.root.as_bytes().as_slice());
        self.run(|connection| {
            let others = format!("{HEAD_COLUMNS} WHERE origin = ?1 AND size = ?2 AND root <> ?3");
            let mut others = connection.prepare_cached(&others)?;
            let others =
                others.query_map(params![origin, size, root], head_row)?.collect::<Result<_, _>>()?;
            let known = connection
                .prepare_cached("SELECT 1 FROM head WHERE origin = ?1 AND size = ?2 AND root = ?3")?
                .exists(params![origin, size, root])?;
            // Nothing is written for a head that is shown again at once.
            connection
                .prepare_cached(
                    "UPDATE head SET note = ?4, last_seen = ?5 WHERE origin = ?1 AND size = ?2 AND root = ?3
                     AND (note <> ?4 OR last_seen < ?5 - 1000)",
                )?
                .execute(params![origin, size, root, note, signed(now)])?;
            if !known && pending(connection, origin)? >= PENDING_MAX {
                return Ok((false, others));
            }
            if !known {
                connection
                    .prepare_cached(
                        "INSERT INTO head (origin, size, root, note, source, first_seen, last_seen, standing)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'pending')",
                    )?
                    .execute(params![origin, size, root, note, source, signed(now)])?;
            }
            Ok((true, others))
        })
    }

    /// Says what is known of a kept head.
    ///
    /// # Errors
    /// As above.
    pub fn settle(&self, origin: &str, head: TreeHead, standing: Standing) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "UPDATE head SET standing = ?4 WHERE origin = ?1 AND size = ?2 AND root = ?3
                         AND standing <> 'contradicts'";
            let values =
                params![origin, signed(head.size.get()), head.root.as_bytes().as_slice(), standing.name()];
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }

    /// Lets a head wait again that was settled with hashes which turned out to be damaged.
    ///
    /// # Errors
    /// As above.
    pub fn reopen(&self, origin: &str, head: TreeHead, note: &[u8], now: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "INSERT INTO head (origin, size, root, note, source, first_seen, last_seen, standing)
                         VALUES (?1, ?2, ?3, ?4, 'verified before', ?5, ?5, 'pending')
                         ON CONFLICT (origin, size, root) DO UPDATE SET standing = 'pending'";
            let (size, root) = (signed(head.size.get()), head.root.as_bytes().as_slice());
            connection
                .prepare_cached(query)?
                .execute(params![origin, size, root, note, signed(now)])
                .map(|_| ())
        })
    }

    /// Forgets how far a log is verified; its heads stay.
    ///
    /// # Errors
    /// As above.
    pub fn forget_log(&self, origin: &str) -> Result<(), StoreError> {
        self.run(|connection| {
            connection.prepare_cached("DELETE FROM log WHERE origin = ?1")?.execute([origin]).map(|_| ())
        })
    }

    /// The heads that wait, smallest first.
    ///
    /// # Errors
    /// As above.
    pub fn pending(&self, origin: &str) -> Result<Vec<HeadRow>, StoreError> {
        self.rows(&format!("{HEAD_COLUMNS} WHERE origin = ?1 AND standing = 'pending' ORDER BY size"), origin)
    }

    /// Every kept head, largest first.
    ///
    /// # Errors
    /// As above.
    pub fn heads(&self, origin: &str) -> Result<Vec<HeadRow>, StoreError> {
        self.rows(&format!("{HEAD_COLUMNS} WHERE origin = ?1 ORDER BY size DESC LIMIT 1000"), origin)
    }

    fn rows(&self, query: &str, origin: &str) -> Result<Vec<HeadRow>, StoreError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(query)?;
            statement.query_map([origin], head_row)?.collect()
        })
    }

    /// Of the settled heads keeps the first of each minute, the newest, and every one that contradicts.
    ///
    /// # Errors
    /// As above.
    pub fn thin_heads(&self, origin: &str) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "DELETE FROM head WHERE origin = ?1 AND standing = 'consistent'
                AND size < (SELECT max(size) FROM head WHERE origin = ?1 AND standing = 'consistent')
                AND EXISTS (SELECT 1 FROM head AS other WHERE other.origin = ?1
                    AND other.first_seen / 60000 = head.first_seen / 60000
                    AND (other.first_seen, other.size) < (head.first_seen, head.size))";
            connection.prepare_cached(query)?.execute([origin]).map(|_| ())
        })
    }

    /// Keeps a receipt for an entry that is not verified yet; `false` if too many wait.
    ///
    /// # Errors
    /// As above.
    pub fn keep_receipt(&self, origin: &str, row: &ReceiptRow, now: u64) -> Result<bool, StoreError> {
        self.run(|connection| {
            let query = "INSERT INTO receipt (origin, at, leaf, receipt, seen_at) SELECT ?1, ?2, ?3, ?4, ?5
                         WHERE (SELECT count(*) FROM receipt WHERE origin = ?1) < ?6
                         ON CONFLICT (origin, at, leaf) DO UPDATE SET receipt = ?4";
            let leaf = row.leaf.as_bytes().as_slice();
            let values = params![origin, signed(row.index), leaf, row.receipt, signed(now), RECEIPTS_MAX];
            connection.prepare_cached(query)?.execute(values).map(|rows| rows > 0)
        })
    }

    /// Takes the receipts for entries below `size` that waited.
    ///
    /// # Errors
    /// As above.
    pub fn take_receipts(&self, origin: &str, size: TreeSize) -> Result<Vec<ReceiptRow>, StoreError> {
        self.run(|connection| {
            let query = "SELECT at, leaf, receipt FROM receipt WHERE origin = ?1 AND at < ?2";
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(ReceiptRow {
                    index: unsigned(row.get(0)?),
                    leaf: Hash::from_bytes(row.get(1)?),
                    receipt: row.get(2)?,
                })
            };
            statement.query_map(params![origin, signed(size.get())], row)?.collect()
        })
    }

    /// Forgets a receipt that was answered.
    ///
    /// # Errors
    /// As above.
    pub fn forget_receipt(&self, origin: &str, row: &ReceiptRow) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "DELETE FROM receipt WHERE origin = ?1 AND at = ?2 AND leaf = ?3";
            let values = params![origin, signed(row.index), row.leaf.as_bytes().as_slice()];
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }
}

fn pending(connection: &Connection, origin: &str) -> rusqlite::Result<i64> {
    let query = "SELECT count(*) FROM head WHERE origin = ?1 AND standing = 'pending'";
    connection.prepare_cached(query)?.query_row([origin], |row| row.get(0))
}

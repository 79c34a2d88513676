//! Receipts that somebody asked about, for entries that are not verified yet.

use rusqlite::params;
use tlog::hash::Hash;
use tlog::ids::TreeSize;

use super::{Store, StoreError, signed, unsigned};

/// Receipts of one log that may wait.
const RECEIPTS_MAX: i64 = 100_000;

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

impl Store {
    /// Keeps a receipt for an entry that is not verified yet; `false` if too many wait.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
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

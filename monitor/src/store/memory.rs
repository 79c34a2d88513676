//! Which memory of values belongs to this database: one that is found missing or exchanged was lost.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, signed, unsigned};

impl Store {
    /// When the memory of a log's values was made that belongs to this database; `None` if there was none yet.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn memory(&self, origin: &str) -> Result<Option<u64>, StoreError> {
        self.run(|connection| {
            let query = "SELECT made_at FROM memory WHERE origin = ?1";
            let found = connection.prepare_cached(query)?.query_row([origin], |row| row.get(0)).optional()?;
            Ok(found.map(unsigned))
        })
    }

    /// Notes which memory of values belongs to this database from now on.
    ///
    /// # Errors
    /// As above.
    pub fn set_memory(&self, origin: &str, made_at: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "INSERT OR REPLACE INTO memory (origin, made_at) VALUES (?1, ?2)";
            connection.prepare_cached(query)?.execute(params![origin, signed(made_at)]).map(|_| ())
        })
    }
}

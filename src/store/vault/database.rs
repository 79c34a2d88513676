//! One of the vault's two SQLite files, and whether something that was deleted may still be in its write-ahead log.
//!
//! What is deleted is overwritten in its page, and stays readable all the same in older frames of the write-ahead log until
//! that is emptied: by [`Database::settle`], which nobody may read meanwhile. Whether there is anything left is remembered for
//! as long as the file is open, and not believed when it is opened: a process may have ended between the two.
//!
//! Absent on purpose: tables, and in which order the two files are written.

use std::cell::Cell;
use std::ops::Deref;
use std::path::Path;

use rusqlite::{Connection, Params};

use super::{VERSION, VaultError};

/// One file. Used by one thread at a time.
pub(super) struct Database {
    connection: Connection,
    /// Something that was deleted may still be in the write-ahead log.
    residue: Cell<bool>,
}

impl Deref for Database {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Database {
    /// Opens the file, creating it if there is none, and empties its write-ahead log. Where another program reads it at the
    /// moment that is left to whoever erases next.
    pub(super) fn open(path: &Path, schema: &str) -> Result<Self, VaultError> {
        let database = Self { connection: connect(path, schema)?, residue: Cell::new(true) };
        match database.settle() {
            Err(VaultError::Busy) => {
                let file = path.display();
                tracing::warn!(%file, "another program reads this file; its write-ahead log is emptied later");
            }
            settled => settled?,
        }
        Ok(database)
    }

    /// Deletes rows for good, once [`Database::settle`] has succeeded; how many there were.
    pub(super) fn delete(&self, statement: &str, parameters: impl Params) -> Result<usize, VaultError> {
        let before = self.residue.replace(true);
        let deleted = self.connection.execute(statement, parameters)?;
        if deleted == 0 {
            self.residue.set(before);
        }
        Ok(deleted)
    }

    /// Moves everything from the write-ahead log to its place, where what was deleted has been overwritten, and empties it.
    /// Does nothing if nothing was deleted since that was done last.
    ///
    /// # Errors
    /// [`VaultError::Busy`] if another program reads for too long; to be called again then.
    pub(super) fn settle(&self) -> Result<(), VaultError> {
        if !self.residue.get() {
            return Ok(());
        }
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(VaultError::Busy);
        }
        self.residue.set(false);
        Ok(())
    }
}

fn connect(path: &Path, schema: &str) -> Result<Connection, VaultError> {
    let connection = Connection::open(path)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(VaultError::Newer(path.to_owned(), version));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.execute_batch(schema)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(connection)
}

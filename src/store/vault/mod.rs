//! Values that may have to be erased, outside the tree: encrypted, each under a key of its own.
//!
//! ```text
//! DIR/vault/values.sqlite   value(leaf, item, sealed)   what `record::erasable::store` makes of the value
//! DIR/vault/keys.sqlite     key(leaf, item, key)        what destroys it
//! DIR/vault/attachments/    see [`attachments`]
//! ```
//!
//! Erasing destroys the key first, overwrites it in its file, and empties the write-ahead log; then the value goes. Keys
//! and values lie in two files so that a backup of the values alone is worth nothing; keep backups of the keys no longer
//! than the law lets you keep what it calls erased.
//!
//! Absent on purpose: who may read, and tombstones, which [`crate::records::erase`] follows.

pub mod attachments;
pub mod file;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::erasable::store::{FILE_NONCE_BYTES, KEY_BYTES, RecordSecret, StoreError, decrypt, encrypt};
use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;

use super::disk::Disk;

const FOLDER: &str = "vault";
/// The version of both databases.
const VERSION: i64 = 1;
const VALUES: &str = "CREATE TABLE IF NOT EXISTS value (
    leaf BLOB NOT NULL, item TEXT NOT NULL, commitment BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (leaf, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attachment (
    commitment BLOB NOT NULL PRIMARY KEY, opening BLOB NOT NULL, at INTEGER NOT NULL, named INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unnamed ON attachment (at) WHERE named = 0;
CREATE TABLE IF NOT EXISTS erased (
    commitment BLOB NOT NULL PRIMARY KEY, tombstone INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";
const KEYS: &str = "CREATE TABLE IF NOT EXISTS key (
    leaf BLOB NOT NULL, item TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (leaf, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attachment (
    commitment BLOB NOT NULL PRIMARY KEY, key BLOB NOT NULL
) STRICT, WITHOUT ROWID;";

/// Why the vault does not serve.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The folder cannot be made.
    #[error("{file}: {1}", file = .0.display())]
    Io(PathBuf, std::io::Error),
    /// SQLite says so.
    #[error("the erasable values cannot be read or written: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A value does not open.
    #[error("an erasable value is damaged: {0}")]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("a file of an erasable attachment cannot be read or written: {0}")]
    File(#[from] std::io::Error),
    /// What lies beside an attachment does not open its commitment.
    #[error("what is kept for the erasable attachment {0} does not open it")]
    Opening(Hash),
    /// What was deleted is still in the write-ahead log.
    #[error("what was erased is still in a write-ahead log, because another program has the database open")]
    Busy,
    /// Another program wrote it.
    #[error("{file} was written by a newer Daybook (version {1}); start that one", file = .0.display())]
    Newer(PathBuf, i64),
}

/// The erasable values of a log.
pub struct Vault {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Makes names of files written aside unique within the process.
    incoming: AtomicU64,
    /// Used by one caller at a time: values first, then keys.
    open: Mutex<(Connection, Connection)>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Two random secrets for one value.
pub type Secrets = ([u8; KEY_BYTES], [u8; FILE_NONCE_BYTES]);

impl Vault {
    /// Opens the vault in the log's directory, creating it if there is none. What was left half written there is
    /// removed.
    ///
    /// # Errors
    /// [`VaultError`], here and below.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<Self, VaultError> {
        let folder = dir.join(FOLDER);
        let incoming = folder.join(attachments::FOLDER).join(attachments::INCOMING);
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(VaultError::Io(incoming, error));
            }
            _ => disk.create_dir_all(&incoming).map_err(|error| VaultError::Io(incoming, error))?,
        }
        let values = connect(&folder.join("values.sqlite"), VALUES)?;
        let keys = connect(&folder.join("keys.sqlite"), KEYS)?;
        Ok(Self { folder, disk, incoming: AtomicU64::new(0), open: Mutex::new((values, keys)) })
    }

    fn lock(&self) -> MutexGuard<'_, (Connection, Connection)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a value of the version with this leaf hash. Durable when it returns; the same item again is replaced.
    ///
    /// # Errors
    /// As above.
    pub fn put(
        &self,
        leaf: &Hash,
        item: &str,
        commitment: &Hash,
        value: &[u8],
        (key, nonce): Secrets,
    ) -> Result<(), VaultError> {
        let secret = RecordSecret::new(key);
        let sealed = encrypt(&secret, nonce, commitment, value);
        let open = self.lock();
        let (values, keys) = &*open;
        let leaf = leaf.as_bytes().as_slice();
        // A key without its value is harmless; a value without its key is lost.
        keys.execute(
            "INSERT OR REPLACE INTO key (leaf, item, key) VALUES (?1, ?2, ?3)",
            params![leaf, item, secret.as_bytes()],
        )?;
        values.execute(
            "INSERT OR REPLACE INTO value (leaf, item, commitment, sealed) VALUES (?1, ?2, ?3, ?4)",
            params![leaf, item, commitment.as_bytes(), sealed],
        )?;
        Ok(())
    }

    /// Every value of a version that is there, by item.
    ///
    /// # Errors
    /// As above.
    pub fn of(&self, leaf: &Hash) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
        let open = self.lock();
        let (values, keys) = &*open;
        let mut query = values
            .prepare_cached("SELECT item, commitment, sealed FROM value WHERE leaf = ?1 ORDER BY item")?;
        let columns = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 32]>(1)?, row.get::<_, Vec<u8>>(2)?))
        };
        let rows: Result<Vec<_>, _> = query.query_map([leaf.as_bytes().as_slice()], columns)?.collect();
        let mut out = Vec::new();
        for (item, commitment, sealed) in rows? {
            let key = keys
                .prepare_cached("SELECT key FROM key WHERE leaf = ?1 AND item = ?2")?
                .query_row(params![leaf.as_bytes(), item], |row| row.get::<_, [u8; KEY_BYTES]>(0))
                .optional()?;
            // Erased between the two files.
            let Some(key) = key else { continue };
            let value = decrypt(&RecordSecret::new(key), &Hash::from_bytes(commitment), &sealed)?;
            out.push((item, value));
        }
        Ok(out)
    }

    /// Destroys the values of a version of which `is_erased` says so, key first. Gone from both files when it returns.
    ///
    /// # Errors
    /// As above; it is to be tried again.
    pub fn erase(&self, leaf: &Hash, is_erased: impl Fn(&str) -> bool) -> Result<usize, VaultError> {
        let open = self.lock();
        let mut erased = 0;
        for (connection, table) in [(&open.1, "key"), (&open.0, "value")] {
            let mut query = connection.prepare(&format!("SELECT item FROM {table} WHERE leaf = ?1"))?;
            let items: Result<Vec<String>, _> =
                query.query_map([leaf.as_bytes().as_slice()], |row| row.get(0))?.collect();
            let gone: Vec<String> = items?.into_iter().filter(|item| is_erased(item)).collect();
            for item in &gone {
                let statement = format!("DELETE FROM {table} WHERE leaf = ?1 AND item = ?2");
                connection.execute(&statement, params![leaf.as_bytes(), item])?;
            }
            if !gone.is_empty() {
                empty_log(connection)?;
                erased += 1;
            }
        }
        Ok(erased)
    }
}

/// Moves everything from the write-ahead log to its place, where what was deleted has been overwritten, and empties it.
fn empty_log(connection: &Connection) -> Result<(), VaultError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(VaultError::Busy) }
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

#[cfg(test)]
mod tests;

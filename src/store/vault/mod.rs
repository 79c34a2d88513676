//! Values that may have to be erased, outside the tree: encrypted, each under a key of its own.
//!
//! ```text
//! DIR/vault/values.sqlite   value(leaf, item, sealed)   what `record::erasable::store` makes of the value; see [`values`]
//! DIR/vault/keys.sqlite     key(leaf, item, key)        what destroys it
//! DIR/vault/attachments/    see [`attachments`]
//! ```
//!
//! Erasing destroys the key first, overwrites it in its file, and empties the write-ahead log (`database.rs`); then the
//! value goes. Keys and values lie in two files so that a backup of the values alone is worth nothing; keep backups of the
//! keys no longer than the law lets you keep what it calls erased.
//!
//! Absent on purpose: who may read, and tombstones, which [`crate::records::erase`] follows.

pub mod attachments;
mod database;
pub mod file;
pub mod values;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::erasable::store::{FILE_NONCE_BYTES, KEY_BYTES, StoreError};
use tlog::hash::Hash;

use super::disk::Disk;
use database::Database;

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
    /// A value's key is gone, and no tombstone took it.
    #[error("the key of an erasable value is gone")]
    NoKey,
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
    open: Mutex<(Database, Database)>,
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
    /// removed, and what was deleted and not yet erased is.
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
        let values = Database::open(&folder.join("values.sqlite"), VALUES)?;
        let keys = Database::open(&folder.join("keys.sqlite"), KEYS)?;
        Ok(Self { folder, disk, incoming: AtomicU64::new(0), open: Mutex::new((values, keys)) })
    }

    fn lock(&self) -> MutexGuard<'_, (Database, Database)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

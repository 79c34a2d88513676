//! Values that may have to be erased, outside the tree: encrypted, each under a key of its own.
//!
//! ```text
//! DIR/vault/values.sqlite   value(leaf, item, sealed)   what `record::erasable::store` makes of the value
//! DIR/vault/keys.sqlite     key(leaf, item, key)        what destroys it
//! ```
//!
//! Erasing destroys the key first, overwrites it in its file, and empties the write-ahead log; then the value goes. Keys
//! and values lie in two files so that a backup of the values alone is worth nothing; keep backups of the keys no longer
//! than the law lets you keep what it calls erased.
//!
//! Absent on purpose: who may read, and tombstones, which [`crate::records::erase`] follows.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use record::erasable::store::{FILE_NONCE_BYTES, KEY_BYTES, RecordSecret, StoreError, decrypt, encrypt};
use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;

const FOLDER: &str = "vault";
const VALUES: &str = "CREATE TABLE IF NOT EXISTS value (
    leaf BLOB NOT NULL, item TEXT NOT NULL, commitment BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (leaf, item)
) STRICT, WITHOUT ROWID;";
const KEYS: &str = "CREATE TABLE IF NOT EXISTS key (
    leaf BLOB NOT NULL, item TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (leaf, item)
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
}

/// The erasable values of a log.
#[derive(Debug)]
pub struct Vault {
    /// Used by one caller at a time: values first, then keys.
    open: Mutex<(Connection, Connection)>,
}

/// Two random secrets for one value.
pub type Secrets = ([u8; KEY_BYTES], [u8; FILE_NONCE_BYTES]);

impl Vault {
    /// Opens the vault in the log's directory, creating it if there is none.
    ///
    /// # Errors
    /// [`VaultError`], here and below.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        let folder = dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|error| VaultError::Io(folder.clone(), error))?;
        let values = connect(&folder.join("values.sqlite"), VALUES)?;
        let keys = connect(&folder.join("keys.sqlite"), KEYS)?;
        Ok(Self { open: Mutex::new((values, keys)) })
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
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
                erased += 1;
            }
        }
        Ok(erased)
    }
}

fn connect(path: &Path, schema: &str) -> Result<Connection, VaultError> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.execute_batch(schema)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::{leaf_hash, sha256};

    #[test]
    fn a_value_comes_back_until_it_is_erased_and_leaves_no_trace_in_any_file() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let (leaf, other) = (leaf_hash(b"record"), leaf_hash(b"other"));
        let commitment = sha256(b"commitment");
        let key = [0xa7; KEY_BYTES];
        vault.put(&leaf, "/erasable/name", &commitment, b"a name", (key, [1; 19])).unwrap();
        vault.put(&leaf, "/erasable/note", &commitment, b"a note", ([3; 32], [2; 19])).unwrap();
        vault.put(&other, "/erasable/name", &commitment, b"another", ([4; 32], [3; 19])).unwrap();
        assert_eq!(vault.of(&leaf).unwrap().len(), 2);
        assert!(vault.erase(&leaf, |item| item == "/erasable/name").unwrap() > 0);
        assert_eq!(vault.of(&leaf).unwrap(), [("/erasable/note".to_owned(), b"a note".to_vec())]);
        assert_eq!(vault.of(&other).unwrap().len(), 1);
        assert_eq!(vault.erase(&leaf, |item| item == "/erasable/name").unwrap(), 0, "once is enough");
        for file in std::fs::read_dir(dir.path().join(FOLDER)).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(32).any(|window| window == key), "the key is in no file");
        }
        drop(vault);
        assert_eq!(Vault::open(dir.path()).unwrap().of(&leaf).unwrap().len(), 1);
    }
}

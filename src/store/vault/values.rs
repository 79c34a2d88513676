//! Values of a version in the vault: documents that an agency shows, until a tombstone takes them.
//!
//! Key and value lie in two files, and no transaction covers both. So a value is never overwritten under its key: what is
//! there and opens stays as it is, and of what does not open the old value goes before the new key comes. Whatever breaks off,
//! no other value of the version is harmed: each opens or fails for itself.

use record::erasable::store::{KEY_BYTES, RecordSecret, decrypt, encrypt};
use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;

use super::database::Database;
use super::{Secrets, Vault, VaultError};

/// Documents that are kept of one version. Whoever reads gets all of them.
pub const VERSION_DOCUMENTS_MAX: u64 = 1024;
/// Bytes of them, as they are stored. As JSON they are at most three times as long, and monitors read 16 MiB.
pub const VERSION_BYTES_MAX: u64 = 5 << 20;

/// What became of a value that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there, and durable.
    Kept,
    /// A tombstone has taken it; nothing was kept.
    Erased,
    /// The version has as many values as are kept of one, or as many bytes; nothing was kept.
    Full,
}

/// A value of a version, under its name there, or why it cannot be read.
pub type Held = (String, Result<Vec<u8>, VaultError>);

/// A row as it is stored, with its key where that is there.
struct Row {
    item: String,
    commitment: [u8; 32],
    sealed: Vec<u8>,
    key: Option<[u8; KEY_BYTES]>,
}

impl Row {
    fn open(&self) -> Result<Vec<u8>, VaultError> {
        let secret = RecordSecret::new(self.key.ok_or(VaultError::NoKey)?);
        Ok(decrypt(&secret, &Hash::from_bytes(self.commitment), &self.sealed)?)
    }
}

impl Vault {
    /// Keeps a value of the version with this leaf hash, unless a tombstone has taken it. Durable when it returns; the same
    /// again changes nothing.
    ///
    /// `is_erased` is asked while nobody else has the vault: a tombstone that is committed after that is carried out after
    /// that, and finds the value.
    ///
    /// # Errors
    /// [`VaultError`], and what `is_erased` says.
    pub fn put<E: From<VaultError>>(
        &self,
        leaf: &Hash,
        item: &str,
        commitment: &Hash,
        value: &[u8],
        (key, nonce): Secrets,
        is_erased: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Put, E> {
        let secret = RecordSecret::new(key);
        let sealed = encrypt(&secret, nonce, commitment, value);
        let open = self.lock();
        if is_erased()? {
            return Ok(Put::Erased);
        }
        let (values, keys) = &*open;
        if let Some(held) = row(values, keys, leaf, item)?
            && held.open().is_ok_and(|held| held == value)
        {
            return Ok(Put::Kept);
        }
        if !has_room(values, leaf, item, sealed.len() as u64)? {
            return Ok(Put::Full);
        }
        replace(values, keys, (leaf, item, commitment), &secret, &sealed)?;
        Ok(Put::Kept)
    }

    /// Every value of a version, by item. One that is damaged says so, and leaves the others alone.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn of(&self, leaf: &Hash) -> Result<Vec<Held>, VaultError> {
        let rows = {
            let open = self.lock();
            let (values, keys) = &*open;
            rows(values, keys, leaf)?
        };
        // Others may have the vault meanwhile.
        Ok(rows.into_iter().map(|row| (row.open(), row.item)).map(|(value, item)| (item, value)).collect())
    }

    /// Destroys the values of a version of which `is_erased` says so, key first; how many rows that were. They are gone from
    /// both files when it returns, also those that an earlier call deleted and could not erase to the end.
    ///
    /// # Errors
    /// [`VaultError`]; it is to be tried again.
    pub fn erase(&self, leaf: &Hash, is_erased: impl Fn(&str) -> bool) -> Result<usize, VaultError> {
        let open = self.lock();
        let (values, keys) = &*open;
        let mut erased = 0;
        for (database, table) in [(keys, "key"), (values, "value")] {
            let mut query = database.prepare(&format!("SELECT item FROM {table} WHERE leaf = ?1"))?;
            let items: Result<Vec<String>, _> =
                query.query_map([leaf.as_bytes().as_slice()], |row| row.get(0))?.collect();
            for item in items?.into_iter().filter(|item| is_erased(item)) {
                let statement = format!("DELETE FROM {table} WHERE leaf = ?1 AND item = ?2");
                erased += database.delete(&statement, params![leaf.as_bytes(), item])?;
            }
            database.settle()?;
        }
        Ok(erased)
    }
}

/// Whether a version may have this item besides what else it has.
fn has_room(values: &Connection, leaf: &Hash, item: &str, more_bytes: u64) -> Result<bool, VaultError> {
    let mut query = values.prepare_cached(
        "SELECT count(*), coalesce(sum(length(sealed)), 0) FROM value WHERE leaf = ?1 AND item <> ?2",
    )?;
    let (documents, bytes): (i64, i64) =
        query.query_row(params![leaf.as_bytes(), item], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let counted = |number| u64::try_from(number).expect("a count and a sum of lengths are not negative");
    let bytes = counted(bytes).saturating_add(more_bytes);
    Ok(counted(documents) < VERSION_DOCUMENTS_MAX && bytes <= VERSION_BYTES_MAX)
}

/// In this order there is never an old value under a new key.
fn replace(
    values: &Database,
    keys: &Database,
    (leaf, item, commitment): (&Hash, &str, &Hash),
    secret: &RecordSecret,
    sealed: &[u8],
) -> Result<(), VaultError> {
    values.execute("DELETE FROM value WHERE leaf = ?1 AND item = ?2", params![leaf.as_bytes(), item])?;
    keys.execute(
        "INSERT OR REPLACE INTO key (leaf, item, key) VALUES (?1, ?2, ?3)",
        params![leaf.as_bytes(), item, secret.as_bytes()],
    )?;
    values.execute(
        "INSERT INTO value (leaf, item, commitment, sealed) VALUES (?1, ?2, ?3, ?4)",
        params![leaf.as_bytes(), item, commitment.as_bytes(), sealed],
    )?;
    Ok(())
}

fn row(values: &Connection, keys: &Connection, leaf: &Hash, item: &str) -> Result<Option<Row>, VaultError> {
    let mut query =
        values.prepare_cached("SELECT commitment, sealed FROM value WHERE leaf = ?1 AND item = ?2")?;
    let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let Some((commitment, sealed)) = query.query_row(params![leaf.as_bytes(), item], columns).optional()?
    else {
        return Ok(None);
    };
    Ok(Some(Row { key: key(keys, leaf, item)?, item: item.to_owned(), commitment, sealed }))
}

fn rows(values: &Connection, keys: &Connection, leaf: &Hash) -> Result<Vec<Row>, VaultError> {
    let mut query =
        values.prepare_cached("SELECT item, commitment, sealed FROM value WHERE leaf = ?1 ORDER BY item")?;
    let columns = |row: &rusqlite::Row<'_>| {
        Ok(Row { item: row.get(0)?, commitment: row.get(1)?, sealed: row.get(2)?, key: None })
    };
    let rows: Result<Vec<_>, _> = query.query_map([leaf.as_bytes().as_slice()], columns)?.collect();
    let mut rows = rows?;
    for row in &mut rows {
        row.key = key(keys, leaf, &row.item)?;
    }
    Ok(rows)
}

fn key(keys: &Connection, leaf: &Hash, item: &str) -> Result<Option<[u8; KEY_BYTES]>, VaultError> {
    let mut query = keys.prepare_cached("SELECT key FROM key WHERE leaf = ?1 AND item = ?2")?;
    Ok(query.query_row(params![leaf.as_bytes(), item], |row| row.get(0)).optional()?)
}

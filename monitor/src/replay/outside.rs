//! What the replay knows about things outside the tree, for somebody else's thread: which versions name something, and
//! what tombstones have erased.

use std::path::{Path, PathBuf};

use record::erasable::Erasures;
use record::statement::{EntryRef, Erased};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use crate::case::CaseError;
use crate::store::{StoreError, signed, unsigned};

/// Reads what [`super::Replay`] has committed.
#[derive(Debug)]
pub struct Outside {
    path: PathBuf,
    connection: Connection,
}

impl Outside {
    pub(crate) fn open(path: &Path) -> Result<Self, CaseError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| StoreError::Sqlite { path: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned(), connection })
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CaseError> {
        work(&self.connection).map_err(|error| StoreError::Sqlite { path: self.path.clone(), error }.into())
    }

    /// How many statements are judged: what a tombstone before that erases is known.
    pub(crate) fn judged(&self) -> Result<u64, CaseError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached("SELECT size FROM mark")?;
            let size = statement.query_row([], |row| row.get(0)).optional()?;
            Ok(size.map_or(0, unsigned))
        })
    }

    /// The first version at this index or later that names something outside the tree.
    pub(crate) fn from(&self, index: u64) -> Result<Option<u64>, CaseError> {
        self.run(|connection| {
            let query = "SELECT at FROM outside WHERE at >= ?1 ORDER BY at LIMIT 1";
            let mut statement = connection.prepare_cached(query)?;
            let found = statement.query_row([signed(index)], |row| row.get(0)).optional()?;
            Ok(found.map(unsigned))
        })
    }

    /// What tombstones have erased of a version.
    pub(crate) fn erasures(&self, leaf: &Hash) -> Result<Erasures, CaseError> {
        let rows: Vec<(String, i64, [u8; 32])> = self.run(|connection| {
            let query = "SELECT item, at, tombstone FROM erased WHERE leaf = ?1 ORDER BY at";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.prepare_cached(query)?.query_map([leaf.as_bytes().as_slice()], row)?.collect()
        })?;
        let mut erasures = Erasures::default();
        for (item, at, tombstone) in rows {
            let (Ok(item), Ok(index)) = (item.parse::<Erased>(), LeafIndex::new(unsigned(at))) else {
                continue;
            };
            erasures.add(EntryRef { index, leaf: Hash::from_bytes(tombstone) }, &[item]);
        }
        Ok(erasures)
    }

    /// Whether a tombstone has erased the attachments with this commitment.
    pub(crate) fn is_blob_erased(&self, commitment: &Hash) -> Result<bool, CaseError> {
        self.run(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM erased_blob WHERE commitment = ?1)";
            let values = params![commitment.as_bytes().as_slice()];
            connection.prepare_cached(query)?.query_row(values, |row| row.get(0))
        })
    }
}

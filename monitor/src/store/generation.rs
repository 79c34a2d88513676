//! Which database this is: alerts are numbered from 1 in each, so their numbers alone do not tell alerts apart.

use daemon::clock::Random;
use rusqlite::{Connection, OptionalExtension};

use super::{Store, StoreError, unsigned};

/// Random bytes of a generation.
const GENERATION_BYTES: usize = 16;

/// A database that an earlier build made has no such table yet.
pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS generation (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID";

fn make(connection: &Connection, random: &dyn Random) -> rusqlite::Result<String> {
    let mut bytes = [0; GENERATION_BYTES];
    random.fill(&mut bytes);
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    connection.execute("DELETE FROM generation", [])?;
    connection.execute("INSERT INTO generation VALUES (?1)", [&id])?;
    Ok(id)
}

impl Store {
    /// A name for this database that no other one has, made when it is first asked for.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn generation(&self, random: &dyn Random) -> Result<String, StoreError> {
        self.run(|connection| {
            let known = connection.query_row("SELECT id FROM generation", [], |row| row.get(0)).optional()?;
            known.map_or_else(|| make(connection, random), Ok)
        })
    }

    /// Gives it another name: it was put back from a copy, and will give numbers again that were given before.
    ///
    /// # Errors
    /// As above.
    pub fn begin_generation(&self, random: &dyn Random) -> Result<String, StoreError> {
        self.run(|connection| make(connection, random))
    }

    /// The number of the newest alert; 0 if there never was one.
    ///
    /// # Errors
    /// As above.
    pub fn newest_alert(&self) -> Result<u64, StoreError> {
        self.run(|connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM alert", [], |row| row.get(0)).map(unsigned)
        })
    }
}

#[cfg(test)]
mod tests {
    use daemon::clock::SystemRandom;

    use super::*;

    #[test]
    fn a_database_keeps_its_name_and_no_other_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name), 1).unwrap().0;
        let first = open("a").generation(&SystemRandom).unwrap();
        assert_eq!(first.len(), 2 * GENERATION_BYTES);
        assert_eq!(open("a").generation(&SystemRandom).unwrap(), first);
        assert_ne!(open("b").generation(&SystemRandom).unwrap(), first);
        let second = open("a").begin_generation(&SystemRandom).unwrap();
        assert_ne!(second, first);
        assert_eq!(open("a").generation(&SystemRandom).unwrap(), second);
    }

    #[test]
    fn a_database_of_an_earlier_build_gets_its_name_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let (store, _) = Store::open(&path, 1).unwrap();
        store.run(|connection| connection.execute("DROP TABLE generation", [])).unwrap();
        drop(store);
        let (store, _) = Store::open(&path, 2).unwrap();
        assert!(!store.generation(&SystemRandom).unwrap().is_empty());
    }
}

//! What a witness must never forget, in SQLite: one row an origin with the head it cosigned last.
//!
//! `synchronous=FULL` in WAL mode: what was committed is on the device. The `head` row holds size, root, the time
//! of our last cosignature, and the whole verified note with our cosignatures; it moves only by a compare-and-swap
//! on size and root, in the group commits of [`crate::writer`]. The file knows which keys it belongs to, and where it lies:
//! a copy put in its place, or the state of other keys, is refused ([`Identity`], [`Place`]). What a file cannot
//! know, that it was rolled back where it lies, a [`counter`] on another volume can.
//!
//! Absent on purpose: judgement, signing, and any cache.

pub mod counter;
pub mod evidence;
pub mod heads;
pub mod roster;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use tlog::hash::{Hash, sha256};
use tlog::vkey::VerifierKey;

use crate::probe::{Fault, Point, Probe};

/// The schema that this version reads and writes.
const SCHEMA_VERSION: i64 = 1;
/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of write-ahead log after which they are moved into the database.
const CHECKPOINT_PAGES: i64 = 4000;
/// Memory for pages of one connection.
const CACHE_KIB: i64 = 8 * 1024;
/// Bytes of the number that state and keys know each other by.
pub const STATE_ID_BYTES: usize = 16;

const SCHEMA: &str = "
    CREATE TABLE witness (
        one INTEGER PRIMARY KEY CHECK (one = 1), state_id BLOB NOT NULL, key_number INTEGER NOT NULL,
        generation INTEGER NOT NULL, roster INTEGER NOT NULL, inode INTEGER NOT NULL, born INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE key (
        number INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL, vkeys TEXT NOT NULL, since INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, origin TEXT NOT NULL, vkeys TEXT NOT NULL,
        qpd INTEGER, contact TEXT NOT NULL, source TEXT NOT NULL, disabled INTEGER NOT NULL, added INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE head (
        log INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, cosigned_at INTEGER NOT NULL, note BLOB
    ) STRICT;
    CREATE TABLE evidence (
        id BLOB PRIMARY KEY, log INTEGER NOT NULL, kind TEXT NOT NULL, found INTEGER NOT NULL, file BLOB NOT NULL
    ) STRICT;
    CREATE INDEX evidence_by_log ON evidence(log, found);
    PRAGMA user_version = 1;
";

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none.
    #[error(
        "{file} is missing. A witness without its memory could cosign a second tree: find the file, or make a new \
         witness with new keys by `daybook-witness init`",
        file = .0.display()
    )]
    Missing(PathBuf),
    /// SQLite says so.
    #[error("{path}: {error}", path = path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
    /// A newer version wrote it.
    #[error("{path} was written by a newer Daybook (schema {found}); install that version", path = path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// It lies elsewhere than it did when it was last used.
    #[error(
        "{file} is a copy: it is not the file that this witness wrote last. An old copy has forgotten what was \
         cosigned since, and must never be used. If this surely is the newest state there is, and no other copy of \
         this witness runs, say so: daybook-witness adopt DIR --this-is-the-newest-copy",
        file = .0.display()
    )]
    Copied(PathBuf),
    /// It belongs to other keys.
    #[error("{file} belongs to other keys than those in {1}: put the two that belong together back", file = .0.display())]
    Foreign(PathBuf, String),
    /// A test says so.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A row holds what cannot be.
    #[error("{path}: a row holds what cannot be: {1}", path = .0.display())]
    Row(PathBuf, &'static str),
}

/// What state and keys know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn once, when the witness was made.
    pub state_id: [u8; STATE_ID_BYTES],
    /// Which of the witness's key pairs is in use, from 1.
    pub key_number: u32,
    /// Over the verifier keys of that pair.
    pub fingerprint: Hash,
    /// Counts commits.
    pub generation: u64,
}

/// Where the database lies: a file that was copied into its place has another inode, or another time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    inode: i64,
    /// Nanoseconds, 0 where the file system does not tell.
    born: i64,
}

impl Place {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        let born = metadata.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let born = born.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Ok(Self { inode: metadata.ino().cast_signed(), born })
    }

    fn is_same(self, other: Self) -> bool {
        self.inode == other.inode && (self.born == other.born || self.born == 0 || other.born == 0)
    }
}

/// The fingerprint of a key pair.
#[must_use]
pub fn fingerprint(keys: &[VerifierKey]) -> Hash {
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    sha256(text.as_bytes())
}

/// A connection to the state. One writes; others only read.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    connection: Connection,
}

impl State {
    /// Makes the state of a new witness.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn create(
        path: &Path,
        state_id: [u8; STATE_ID_BYTES],
        keys: &[VerifierKey],
        seconds: u64,
    ) -> Result<Self, StateError> {
        let failed = |error| StateError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open(path).map_err(failed)?;
        let state = Self { path: path.to_owned(), connection };
        state.set_up()?;
        state.run(|connection| {
            connection.execute_batch(SCHEMA)?;
            connection.execute("INSERT INTO witness VALUES (1, ?1, 1, 0, 0, 0, 0)", params![state_id])
        })?;
        state.insert_keys(1, keys, seconds)?;
        state.settle()?;
        Ok(state)
    }

    /// Opens the state, and makes sure that everything in it is on the device.
    ///
    /// # Errors
    /// [`StateError`]; a missing file is never made anew, a copied one never used.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let state = Self::open_anywhere(path)?;
        state.check_place()?;
        Ok(state)
    }

    /// Opens the state wherever it lies; only for [`State::settle`].
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_anywhere(path: &Path) -> Result<Self, StateError> {
        let state = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        state.set_up()?;
        // What a process that ended badly left in the write-ahead log may be in the page cache alone, and a header
        // whose sync failed would never be written again. Moving all of it into the database syncs both.
        let busy: i64 = state.run(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        })?;
        if busy == 0 { Ok(state) } else { Err(state.row("another process is reading it; stop that one")) }
    }

    /// Opens a connection that only reads, of a state that is in use.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_reader(path: &Path) -> Result<Self, StateError> {
        let state = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        state.run(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)
        })?;
        Ok(state)
    }

    /// Opens a second connection that writes, beside a witness that serves: for the command line.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open_beside(path: &Path) -> Result<Self, StateError> {
        let state = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        state.set_up()?;
        state.check_place()?;
        Ok(state)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, StateError> {
        if !path.is_file() {
            return Err(StateError::Missing(path.to_owned()));
        }
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error| StateError::Sqlite { path: path.to_owned(), error };
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        let state = Self { path: path.to_owned(), connection };
        match state.run(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))? {
            SCHEMA_VERSION => Ok(state),
            0 => Err(StateError::Missing(path.to_owned())),
            found => Err(StateError::Newer { path: path.to_owned(), found }),
        }
    }

    fn set_up(&self) -> Result<(), StateError> {
        self.run(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)
        })
    }

    fn check_place(&self) -> Result<(), StateError> {
        let known = self.run(|connection| {
            connection.query_row("SELECT inode, born FROM witness", [], |row| {
                Ok(Place { inode: row.get(0)?, born: row.get(1)? })
            })
        })?;
        let found = Place::of(&self.path).map_err(|_| StateError::Missing(self.path.clone()))?;
        if found.is_same(known) { Ok(()) } else { Err(StateError::Copied(self.path.clone())) }
    }

    /// Declares the place where the file lies now to be its own.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn settle(&self) -> Result<(), StateError> {
        let place = Place::of(&self.path).map_err(|_| StateError::Missing(self.path.clone()))?;
        self.run(|connection| {
            connection.execute("UPDATE witness SET inode = ?1, born = ?2", params![place.inode, place.born])
        })?;
        Ok(())
    }

    /// Drops the connection, with whatever it was in the middle of, and opens the state again.
    ///
    /// # Errors
    /// [`StateError`]: nothing may be answered from this state any more.
    pub fn reopen(&mut self) -> Result<(), StateError> {
        // A transaction that is still open ends with its connection in any case.
        let _ = self.connection.execute_batch("ROLLBACK");
        *self = Self::open(&self.path.clone())?;
        Ok(())
    }

    /// Runs one group commit. `work` says whether it changed anything; if so, the state's commits are counted as
    /// `generation`.
    pub(crate) fn in_group<T>(
        &self,
        generation: u64,
        probe: &Probe,
        work: impl FnOnce(&Self) -> Result<(T, bool), StateError>,
    ) -> Result<(T, bool), StateError> {
        self.run(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        let (done, changed) = work(self)?;
        if !changed {
            self.run(|connection| connection.execute_batch("ROLLBACK"))?;
            return Ok((done, false));
        }
        self.run(|connection| {
            let mut count = connection.prepare_cached("UPDATE witness SET generation = ?1")?;
            count.execute([signed(generation)])
        })?;
        probe.at(Point::BeforeCommit)?;
        self.run(|connection| connection.execute_batch("COMMIT"))?;
        probe.at(Point::AfterCommit)?;
        Ok((done, true))
    }

    /// What the state knows of the keys.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn identity(&self) -> Result<Identity, StateError> {
        let query = "SELECT state_id, key_number, fingerprint, generation
                     FROM witness JOIN key ON key.number = key_number";
        self.run(|connection| {
            connection.query_row(query, [], |row| {
                Ok(Identity {
                    state_id: row.get(0)?,
                    key_number: row.get(1)?,
                    fingerprint: Hash::from_bytes(row.get(2)?),
                    generation: number(row, 3)?,
                })
            })
        })
    }

    /// Every verifier key that this witness ever had, oldest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn all_keys(&self) -> Result<Vec<VerifierKey>, StateError> {
        let texts: Vec<String> = self.run(|connection| {
            let mut query = connection.prepare("SELECT vkeys FROM key ORDER BY number")?;
            query.query_map([], |row| row.get(0))?.collect()
        })?;
        let keys = texts.iter().flat_map(|text| text.lines()).map(str::parse);
        keys.collect::<Result<_, _>>().map_err(|_| self.row("a key"))
    }

    /// Switches to the key pair of this number, in one transaction.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn rotate(&self, number: u32, keys: &[VerifierKey], seconds: u64) -> Result<(), StateError> {
        self.run(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        self.insert_keys(number, keys, seconds)?;
        self.run(|connection| {
            connection.execute("UPDATE witness SET key_number = ?1", [number])?;
            connection.execute_batch("COMMIT")
        })
    }

    fn insert_keys(&self, number: u32, keys: &[VerifierKey], seconds: u64) -> Result<(), StateError> {
        let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
        self.run(|connection| {
            connection.execute(
                "INSERT INTO key (number, fingerprint, vkeys, since) VALUES (?1, ?2, ?3, ?4)",
                params![number, fingerprint(keys).as_bytes(), text, signed(seconds)],
            )
        })?;
        Ok(())
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StateError> {
        work(&self.connection).map_err(|error| StateError::Sqlite { path: self.path.clone(), error })
    }

    fn row(&self, what: &'static str) -> StateError {
        StateError::Row(self.path.clone(), what)
    }
}

/// A number that was written by [`signed`].
fn number(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.max(0).cast_unsigned())
}

/// SQLite's integers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::sign::CosignerEd25519;

    fn keys(seed: u8) -> Vec<VerifierKey> {
        vec![CosignerEd25519::from_seed("w.example".parse().unwrap(), &[seed; 32]).verifier_key()]
    }

    fn made() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        drop(State::create(&path, [7; STATE_ID_BYTES], &keys(1), 5).unwrap());
        (dir, path)
    }

    #[test]
    fn a_state_knows_its_keys_and_keeps_the_old_ones_after_a_rotation() {
        let (_dir, path) = made();
        let state = State::open(&path).unwrap();
        assert_eq!(state.identity().unwrap().fingerprint, fingerprint(&keys(1)));
        state.rotate(2, &keys(2), 6).unwrap();
        drop(state);
        let identity = State::open(&path).unwrap().identity().unwrap();
        assert_eq!((identity.key_number, identity.fingerprint), (2, fingerprint(&keys(2))));
        assert_eq!(State::open(&path).unwrap().all_keys().unwrap(), [keys(1), keys(2)].concat());
    }

    #[test]
    fn a_missing_state_is_never_made_anew_and_an_empty_file_is_missing_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        assert!(matches!(State::open(&path), Err(StateError::Missing(_))));
        assert!(!path.exists());
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(State::open(&path), Err(StateError::Missing(_))));
    }

    #[test]
    fn a_copy_put_in_its_place_is_refused_until_it_is_adopted() {
        let (dir, path) = made();
        let copy = dir.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&copy, &path).unwrap();
        assert!(matches!(State::open(&path), Err(StateError::Copied(_))));
        State::open_anywhere(&path).unwrap().settle().unwrap();
        State::open(&path).unwrap();
    }

    #[test]
    fn a_state_that_moves_with_its_folder_stays_the_same_file() {
        let (dir, path) = made();
        let moved = dir.path().join("moved.sqlite");
        std::fs::rename(&path, &moved).unwrap();
        State::open(&moved).unwrap();
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let (_dir, path) = made();
        let state = State::open(&path).unwrap();
        state.run(|connection| connection.pragma_update(None, "user_version", 2)).unwrap();
        drop(state);
        assert!(matches!(State::open(&path), Err(StateError::Newer { found: 2, .. })));
    }
}

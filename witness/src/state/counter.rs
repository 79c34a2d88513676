//! The external counter: how many commits the state has made, in a small file on a volume of the operator's choice.
//!
//! A state that was rolled back where it lies looks right to itself. The counter lies where that roll-back does not
//! reach. It advances after the commit and before the answer leaves, so it may be behind by what was never
//! answered: only a counter *ahead* of the state refuses.
//!
//! Two slots of 64 bytes, written in turn so that a torn write leaves the older one:
//!
//! ```text
//!  0   8  "DBWCNT01"
//!  8  16  the number that state and keys know each other by
//! 24   8  commits, big-endian
//! 32  32  SHA-256 over the above
//! ```

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tlog::hash::sha256;

use super::{Identity, STATE_ID_BYTES};

const MAGIC: &[u8; 8] = b"DBWCNT01";
const SLOT_BYTES: usize = 64;
const BODY_BYTES: usize = 32;

/// Why the counter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The disk refuses, or the file is missing.
    #[error(
        "the counter {path} cannot be used: {error}. Without it nobody can tell whether the state was rolled back. Is \
         its volume mounted? To make a new one: daybook-witness adopt DIR --this-is-the-newest-copy",
        path = path.display()
    )]
    Io {
        /// The counter.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// Neither slot verifies, or it is another witness's.
    #[error("{file} is not the counter of this witness; set counter.path to its own", file = .0.display())]
    Foreign(PathBuf),
    /// The state has forgotten commits.
    #[error(
        "the state has been rolled back: it has made {state} commits, and {path} counts {counter}. It has forgotten \
         what was cosigned since, and must never be used: find the newest state",
        path = path.display()
    )]
    Ahead {
        /// The counter.
        path: PathBuf,
        /// What the state says.
        state: u64,
        /// What the counter says.
        counter: u64,
    },
}

/// An open counter.
#[derive(Debug)]
pub struct Counter {
    path: PathBuf,
    file: File,
    state_id: [u8; STATE_ID_BYTES],
    /// The slot that the next write goes to.
    slot: u64,
}

impl Counter {
    /// Makes a counter for this state, in place of whatever is there.
    ///
    /// # Errors
    /// [`CounterError::Io`].
    pub fn create(path: &Path, identity: &Identity) -> Result<Self, CounterError> {
        let io = |error| CounterError::Io { path: path.to_owned(), error };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let options = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = options().map_err(io)?;
        let mut counter = Self { path: path.to_owned(), file, state_id: identity.state_id, slot: 0 };
        counter.advance(identity.generation)?;
        counter.advance(identity.generation)?;
        counter.file.sync_all().map_err(io)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        Ok(counter)
    }

    /// Opens the counter and compares it with the state.
    ///
    /// # Errors
    /// [`CounterError`].
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, CounterError> {
        let io = |error| CounterError::Io { path: path.to_owned(), error };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let mut counter = Self { path: path.to_owned(), file, state_id: identity.state_id, slot: 0 };
        let slots = [counter.read(0), counter.read(1)];
        let newest = (0..).zip(slots).filter_map(|(slot, found)| Some((slot, found?)));
        let (slot, counted) = newest
            .max_by_key(|(_, counted)| *counted)
            .ok_or_else(|| CounterError::Foreign(path.to_owned()))?;
        if counted > identity.generation {
            return Err(CounterError::Ahead {
                path: path.to_owned(),
                state: identity.generation,
                counter: counted,
            });
        }
        counter.slot = 1 - slot;
        Ok(counter)
    }

    fn read(&self, slot: u64) -> Option<u64> {
        let mut bytes = [0; SLOT_BYTES];
        self.file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64).ok()?;
        let (body, sum) = bytes.split_at(BODY_BYTES);
        let ours = body[..8] == *MAGIC && body[8..24] == self.state_id && sha256(body).as_bytes() == sum;
        let counted = body[24..].first_chunk::<8>().filter(|_| ours)?;
        Some(u64::from_be_bytes(*counted))
    }

    /// Counts a commit, durably.
    ///
    /// # Errors
    /// [`CounterError::Io`]: nothing may be answered.
    pub fn advance(&mut self, generation: u64) -> Result<(), CounterError> {
        let mut body = MAGIC.to_vec();
        body.extend(self.state_id);
        body.extend(generation.to_be_bytes());
        let sum = sha256(&body);
        body.extend(sum.as_bytes());
        let written = self.file.write_all_at(&body, self.slot * SLOT_BYTES as u64);
        let written = written.and_then(|()| self.file.sync_data());
        written.map_err(|error| CounterError::Io { path: self.path.clone(), error })?;
        self.slot = 1 - self.slot;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::Hash;

    fn identity(generation: u64) -> Identity {
        Identity { state_id: [3; STATE_ID_BYTES], key_number: 1, fingerprint: Hash::EMPTY_ROOT, generation }
    }

    #[test]
    fn only_a_counter_ahead_of_the_state_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other/counter");
        let mut counter = Counter::create(&path, &identity(5)).unwrap();
        counter.advance(6).unwrap();
        assert!(matches!(
            Counter::open(&path, &identity(5)),
            Err(CounterError::Ahead { state: 5, counter: 6, .. })
        ));
        Counter::open(&path, &identity(6)).unwrap();
        Counter::open(&path, &identity(7)).unwrap();
    }

    #[test]
    fn a_torn_write_leaves_the_older_slot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        let mut counter = Counter::create(&path, &identity(5)).unwrap();
        counter.advance(6).unwrap();
        // Two writes went to both slots at creation, so the third is in the first slot.
        counter.file.write_all_at(b"torn", 20).unwrap();
        assert!(matches!(Counter::open(&path, &identity(4)), Err(CounterError::Ahead { counter: 5, .. })));
        Counter::open(&path, &identity(5)).unwrap();
    }

    #[test]
    fn another_witnesses_counter_and_a_missing_one_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        assert!(matches!(Counter::open(&path, &identity(0)), Err(CounterError::Io { .. })));
        drop(Counter::create(&path, &identity(0)).unwrap());
        let other = Identity { state_id: [4; STATE_ID_BYTES], ..identity(9) };
        assert!(matches!(Counter::open(&path, &other), Err(CounterError::Foreign(_))));
    }
}

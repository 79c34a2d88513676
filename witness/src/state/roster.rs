//! The logs that the witness follows: added, disabled, never changed in name or key, never removed.

use rusqlite::{OptionalExtension, params};
use tlog::hash::{Hash, sha256};
use tlog::ids::{Origin, TreeHead};
use tlog::vkey::VerifierKey;

use super::heads::{Head, to_head};
use super::{State, StateError, signed};

/// A log to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLog {
    /// Its name.
    pub origin: Origin,
    /// The keys that it may sign with.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints a day; `None` for as many as it likes.
    pub qpd: Option<u32>,
    /// How to reach its operator.
    pub contact: String,
    /// Where it was found: a list, or `operator`.
    pub source: String,
}

/// A log that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its number in this state.
    pub id: i64,
    /// Its name.
    pub origin: String,
    /// Its verifier keys, one a line.
    pub vkeys: String,
    /// Checkpoints a day.
    pub qpd: Option<u32>,
    /// How to reach its operator.
    pub contact: String,
    /// Where it was found.
    pub source: String,
    /// Whether it is treated as unknown.
    pub disabled: bool,
    /// Its head.
    pub head: Head,
}

/// What became of a log that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is followed from now on.
    New,
    /// It was known, with the same keys.
    Known,
    /// It is known with other keys, and stays as it was.
    OtherKeys,
}

/// The hash that names a log in paths.
#[must_use]
pub fn origin_hash(origin: &str) -> Hash {
    sha256(origin.as_bytes())
}

impl State {
    /// Adds logs, all in one transaction. What is known is never changed.
    ///
    /// # Errors
    /// [`StateError`]; nothing was added.
    pub fn add_logs(&self, logs: &[NewLog], seconds: u64) -> Result<Vec<Added>, StateError> {
        self.in_transaction(|state| {
            let added = logs.iter().map(|log| state.add_log(log, seconds)).collect::<Result<Vec<_>, _>>()?;
            if added.contains(&Added::New) {
                state.touch_roster()?;
            }
            Ok(added)
        })
    }

    fn add_log(&self, log: &NewLog, seconds: u64) -> Result<Added, StateError> {
        let hash = origin_hash(log.origin.as_str());
        let vkeys: String = log.keys.iter().map(|key| format!("{key}\n")).collect();
        let known: Option<String> = self.run(|connection| {
            let mut query = connection.prepare_cached("SELECT vkeys FROM log WHERE hash = ?1")?;
            query.query_row([hash.as_bytes()], |row| row.get(0)).optional()
        })?;
        match known {
            Some(known) if known == vkeys => return Ok(Added::Known),
            Some(_) => return Ok(Added::OtherKeys),
            None => (),
        }
        self.run(|connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO log (hash, origin, vkeys, qpd, contact, source, disabled, added)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
            )?;
            let origin = log.origin.as_str();
            let (contact, source) = (&log.contact, &log.source);
            insert.execute(params![
                hash.as_bytes(),
                origin,
                vkeys,
                log.qpd,
                contact,
                source,
                signed(seconds)
            ])?;
            let mut head = connection.prepare_cached(
                "INSERT INTO head (log, size, root, cosigned_at, note) VALUES (?1, 0, ?2, 0, NULL)",
            )?;
            head.execute(params![connection.last_insert_rowid(), TreeHead::EMPTY.root.as_bytes()])
        })?;
        Ok(Added::New)
    }

    /// Sets how many checkpoints a day a log may send. `false` if there is no such log.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn set_quota(&self, origin: &str, qpd: Option<u32>) -> Result<bool, StateError> {
        self.change("UPDATE log SET qpd = ?2 WHERE hash = ?1", origin, qpd)
    }

    /// Treats a log as unknown, or as known again. Its head is kept. `false` if there is no such log.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn set_disabled(&self, origin: &str, disabled: bool) -> Result<bool, StateError> {
        self.change("UPDATE log SET disabled = ?2 WHERE hash = ?1", origin, disabled)
    }

    fn change(&self, statement: &str, origin: &str, value: impl rusqlite::ToSql) -> Result<bool, StateError> {
        self.in_transaction(|state| {
            let hash = origin_hash(origin);
            let changed =
                state.run(|connection| connection.execute(statement, params![hash.as_bytes(), value]))?;
            state.touch_roster()?;
            Ok(changed == 1)
        })
    }

    /// Every log that is followed, in the order in which they were added.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn logs(&self) -> Result<Vec<LogRow>, StateError> {
        let rows: Vec<(LogRow, bool)> = self.run(|connection| {
            let mut query = connection.prepare(
                "SELECT id, origin, vkeys, qpd, contact, source, disabled, size, root, cosigned_at
                 FROM log JOIN head ON head.log = log.id ORDER BY id",
            )?;
            query
                .query_map([], |row| {
                    let head = to_head(row.get(7)?, row.get(8)?, row.get(9)?);
                    let log = LogRow {
                        id: row.get(0)?,
                        origin: row.get(1)?,
                        vkeys: row.get(2)?,
                        qpd: row.get(3)?,
                        contact: row.get(4)?,
                        source: row.get(5)?,
                        disabled: row.get(6)?,
                        head: head.unwrap_or(Head::NONE),
                    };
                    Ok((log, head.is_some()))
                })?
                .collect()
        })?;
        if rows.iter().all(|(_, whole)| *whole) {
            Ok(rows.into_iter().map(|(log, _)| log).collect())
        } else {
            Err(self.row("a head"))
        }
    }

    /// A number that changes with every change of the roster.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn roster_version(&self) -> Result<i64, StateError> {
        self.run(|connection| connection.query_row("SELECT roster FROM witness", [], |row| row.get(0)))
    }

    fn touch_roster(&self) -> Result<(), StateError> {
        self.run(|connection| connection.execute("UPDATE witness SET roster = roster + 1", []))?;
        Ok(())
    }

    pub(super) fn in_transaction<T>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.run(|connection| connection.execute_batch("BEGIN IMMEDIATE"))?;
        let done = work(self).and_then(|done| self.run(|c| c.execute_batch("COMMIT")).map(|()| done));
        if done.is_err() {
            // What failed is told; that nothing is left of it, a dropped connection would ensure as well.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::heads::Advance;
    use tlog::ids::TreeSize;
    use tlog::sign::Ed25519Signer;

    fn log(origin: &str, seed: u8) -> NewLog {
        let key = Ed25519Signer::from_seed("l.example".parse().unwrap(), &[seed; 32]).verifier_key();
        let (contact, source) = ("ops".to_owned(), "operator".to_owned());
        NewLog { origin: origin.parse().unwrap(), keys: vec![key], qpd: Some(5), contact, source }
    }

    fn state() -> (tempfile::TempDir, State) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::create(&dir.path().join("state.sqlite"), [1; 16], &[], 1).unwrap();
        (dir, state)
    }

    #[test]
    fn a_known_log_is_never_changed_and_new_ones_beside_it_are_added() {
        let (_dir, state) = state();
        assert_eq!(state.add_logs(&[log("a", 1)], 1).unwrap(), [Added::New]);
        let version = state.roster_version().unwrap();
        let again = state.add_logs(&[log("a", 2), log("a", 1), log("b", 2)], 2).unwrap();
        assert_eq!(again, [Added::OtherKeys, Added::Known, Added::New]);
        assert_ne!(state.roster_version().unwrap(), version);
        let logs = state.logs().unwrap();
        assert_eq!(logs.len(), 2);
        assert_eq!(logs[0].vkeys, format!("{}\n", log("a", 1).keys[0]));
    }

    #[test]
    fn a_disabled_log_keeps_its_head() {
        let (_dir, state) = state();
        state.add_logs(&[log("a", 1)], 1).unwrap();
        let to = TreeHead { size: TreeSize::new(3).unwrap(), root: sha256(b"x") };
        let step = Advance { log: 1, from: TreeHead::EMPTY, to, seconds: 9, note: b"note".to_vec() };
        assert!(state.advance(&step).unwrap());
        assert!(state.set_disabled("a", true).unwrap());
        assert!(!state.set_disabled("nobody", true).unwrap());
        let row = &state.logs().unwrap()[0];
        assert!(row.disabled);
        assert_eq!(row.head, Head { head: to, cosigned_at: 9 });
        assert_eq!(state.note_of(&origin_hash("a")).unwrap(), Some(b"note".to_vec()));
    }

    #[test]
    fn a_step_from_another_head_or_back_in_time_is_lost() {
        let (_dir, state) = state();
        state.add_logs(&[log("a", 1)], 1).unwrap();
        let head = |size: u64| TreeHead {
            size: TreeSize::new(size).unwrap(),
            root: if size == 0 { Hash::EMPTY_ROOT } else { sha256(&size.to_be_bytes()) },
        };
        let step =
            |from, to, seconds| Advance { log: 1, from: head(from), to: head(to), seconds, note: Vec::new() };
        let take = |step: &Advance| state.advance(step).unwrap();
        assert!(take(&step(0, 5, 100)));
        assert!(!take(&step(0, 3, 101)), "the head has moved on");
        assert!(!take(&step(5, 6, 99)), "time never goes back");
        let mut other = step(5, 6, 101);
        other.from.root = sha256(b"another root");
        assert!(!take(&other), "the root counts, not the size alone");
        assert!(take(&step(5, 6, 100)));
    }
}

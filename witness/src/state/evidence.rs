//! Evidence files, each once, and only so many of one log: whoever equivocates could do it without end.

use rusqlite::{OptionalExtension, params};
use tlog::hash::Hash;

use super::{State, StateError, number, signed};

/// Files that are kept of one log. One proves the case; the others show its extent.
pub const FILES_PER_LOG_MAX: u32 = 32;
/// Bytes that are kept of one log.
pub const BYTES_PER_LOG_MAX: u64 = 4 << 20;

/// A file to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    /// Over what it proves, so that the same thing is kept once.
    pub id: Hash,
    /// Whom it accuses; 0 for this witness itself.
    pub log: i64,
    /// What it shows.
    pub kind: String,
    /// When it was found, in seconds since 1970.
    pub found: u64,
    /// The evidence file.
    pub file: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    New,
    /// It was kept already.
    Known,
    /// There is enough against this log.
    Full,
}

/// A kept file, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// Its name.
    pub id: Hash,
    /// The log that it accuses; `None` for this witness itself.
    pub origin: Option<String>,
    /// What it shows.
    pub kind: String,
    /// When it was found, in seconds since 1970.
    pub found: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl State {
    /// Keeps a file, inside the writer's transaction.
    pub(crate) fn keep_evidence(&self, row: &EvidenceRow) -> Result<Kept, StateError> {
        let (known, count, bytes): (bool, u32, u64) = self.run(|connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM evidence WHERE id = ?1), count(*),
                         coalesce(sum(length(file)), 0) FROM evidence WHERE log = ?2";
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, number(row, 2)?));
            connection.query_row(query, params![row.id.as_bytes(), row.log], columns)
        })?;
        if known {
            return Ok(Kept::Known);
        }
        if count >= FILES_PER_LOG_MAX || bytes + row.file.len() as u64 > BYTES_PER_LOG_MAX {
            return Ok(Kept::Full);
        }
        self.run(|connection| {
            connection.execute(
                "INSERT INTO evidence (id, log, kind, found, file) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![row.id.as_bytes(), row.log, row.kind, signed(row.found), row.file],
            )
        })?;
        Ok(Kept::New)
    }

    /// A kept file.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn evidence_file(&self, id: &Hash) -> Result<Option<Vec<u8>>, StateError> {
        self.run(|connection| {
            let query = "SELECT file FROM evidence WHERE id = ?1";
            connection.query_row(query, [id.as_bytes()], |row| row.get(0)).optional()
        })
    }

    /// What is kept, oldest first, at most `limit` files from the `offset`th on.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn evidence(&self, offset: u32, limit: u32) -> Result<Vec<EvidenceEntry>, StateError> {
        self.run(|connection| {
            let mut query = connection.prepare(
                "SELECT evidence.id, origin, kind, found, length(file)
                 FROM evidence LEFT JOIN log ON log.id = evidence.log
                 ORDER BY found, evidence.id LIMIT ?2 OFFSET ?1",
            )?;
            let columns = |row: &rusqlite::Row<'_>| {
                Ok(EvidenceEntry {
                    id: Hash::from_bytes(row.get(0)?),
                    origin: row.get(1)?,
                    kind: row.get(2)?,
                    found: number(row, 3)?,
                    bytes: number(row, 4)?,
                })
            };
            query.query_map(params![offset, limit], columns)?.collect()
        })
    }

    /// How many files are kept.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn evidence_count(&self) -> Result<u64, StateError> {
        self.run(|connection| connection.query_row("SELECT count(*) FROM evidence", [], |row| number(row, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::sha256;

    fn row(number: u32, log: i64, bytes: usize) -> EvidenceRow {
        let id = sha256(&[number.to_be_bytes().as_slice(), &log.to_be_bytes()].concat());
        EvidenceRow { id, log, kind: "two-roots".to_owned(), found: 5, file: vec![7; bytes] }
    }

    #[test]
    fn evidence_is_kept_once_and_bounded_for_each_log() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::create(&dir.path().join("state.sqlite"), [1; 16], &[], 1).unwrap();
        assert_eq!(state.keep_evidence(&row(0, 1, 10)).unwrap(), Kept::New);
        assert_eq!(state.keep_evidence(&row(0, 1, 10)).unwrap(), Kept::Known);
        for number in 1..FILES_PER_LOG_MAX {
            assert_eq!(state.keep_evidence(&row(number, 1, 10)).unwrap(), Kept::New);
        }
        assert_eq!(state.keep_evidence(&row(1000, 1, 10)).unwrap(), Kept::Full);
        assert_eq!(
            state.keep_evidence(&row(1000, 2, 10)).unwrap(),
            Kept::New,
            "another log has its own room"
        );
        assert_eq!(state.keep_evidence(&row(1001, 2, 4 << 20)).unwrap(), Kept::Full);
        assert_eq!(state.evidence_count().unwrap(), u64::from(FILES_PER_LOG_MAX) + 1);
        assert_eq!(state.evidence(0, 100).unwrap().len(), FILES_PER_LOG_MAX as usize + 1);
        assert_eq!(state.evidence_file(&row(0, 1, 10).id).unwrap(), Some(vec![7; 10]));
    }
}

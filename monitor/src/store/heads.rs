//! Heads that were seen, and how far each log is verified.

use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};

use super::{Store, StoreError, hashes, signed, size_column, unsigned};

/// Heads of one log that are kept and not settled well: those that wait, and those that contradict others.
const UNSETTLED_MAX: i64 = 10_000;
/// Bytes of their notes together: a note may have 256 KiB of lines that say nothing.
const UNSETTLED_BYTES_MAX: i64 = 64 << 20;
/// Other roots of one size that a head is held against. Two of one key are proof enough.
const OTHERS_MAX: i64 = 16;
/// Where a head comes from that was verified before the database, or our hashes, were lost.
pub const RECALLED: &str = "verified before";

/// What is known of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not settled yet: kept until it is.
    Pending,
    /// Proved to be a beginning of the verified tree, or that tree.
    Consistent,
    /// Contradicts another signed head.
    Contradicts,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Consistent => "consistent",
            Self::Contradicts => "contradicts",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "consistent" => Self::Consistent,
            "contradicts" => Self::Contradicts,
            _ => Self::Pending,
        }
    }
}

/// A signed head to keep.
#[derive(Clone, Copy, Debug)]
pub struct NewHead<'a> {
    /// The log.
    pub origin: &'a str,
    /// Size and root.
    pub head: TreeHead,
    /// The note, with the lines that were verified.
    pub note: &'a [u8],
    /// Who shows it.
    pub source: &'a str,
}

/// A head that waits to be settled. Its note is read when its turn comes: all of them together can be large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingHead {
    /// Size and root.
    pub head: TreeHead,
    /// Who showed it first.
    pub source: String,
    /// When, in milliseconds since 1970.
    pub first_seen: u64,
}

/// How far a log is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The newest head that was verified, and its note.
    pub verified: Option<(TreeHead, Vec<u8>)>,
    /// Entries rebuilt, under that head or a larger signed one.
    pub reached: TreeSize,
    /// The peaks of the tree of that many.
    pub peaks: Vec<Hash>,
    /// Where verification started.
    pub start: TreeSize,
    /// When the tree grew last, in milliseconds since 1970.
    pub grown_at: Option<u64>,
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<TreeHead> {
    Ok(TreeHead { size: size_column(row.get(0)?)?, root: Hash::from_bytes(row.get(1)?) })
}

impl Store {
    /// How far a log is verified; `None` for one that is new here.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub fn log(&self, origin: &str) -> Result<Option<LogRow>, StoreError> {
        self.run(|connection| {
            let query = "SELECT size, root, note, reached, peaks, start, grown_at FROM log WHERE origin = ?1";
            let row = |row: &rusqlite::Row<'_>| {
                let size: Option<i64> = row.get(0)?;
                let verified = match size {
                    Some(size) => {
                        let head = TreeHead { size: size_column(size)?, root: Hash::from_bytes(row.get(1)?) };
                        Some((head, row.get(2)?))
                    }
                    None => None,
                };
                Ok(LogRow {
                    verified,
                    reached: size_column(row.get(3)?)?,
                    peaks: hashes(&row.get::<_, Vec<u8>>(4)?),
                    start: size_column(row.get(5)?)?,
                    grown_at: row.get::<_, Option<i64>>(6)?.map(unsigned),
                })
            };
            connection.prepare_cached(query)?.query_row([origin], row).optional()
        })
    }

    /// Remembers how far a log is verified. Heads up to the verified size that wait are settled by the caller.
    ///
    /// # Errors
    /// As above.
    pub fn set_log(&self, origin: &str, row: &LogRow) -> Result<(), StoreError> {
        let peaks: Vec<u8> = row.peaks.iter().flat_map(Hash::as_bytes).copied().collect();
        let (size, root, note) = match &row.verified {
            Some((head, note)) => {
                (Some(signed(head.size.get())), Some(head.root.as_bytes().as_slice()), Some(note))
            }
            None => (None, None, None),
        };
        let values = params![
            origin,
            size,
            root,
            note,
            signed(row.reached.get()),
            peaks,
            signed(row.start.get()),
            row.grown_at.map(signed)
        ];
        self.run(|connection| {
            let query = "INSERT INTO log (origin, size, root, note, reached, peaks, start, grown_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                         ON CONFLICT (origin) DO UPDATE SET size = ?2, root = ?3, note = ?4, reached = ?5,
                         peaks = ?6, start = ?7, grown_at = ?8";
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }

    /// The note that is kept for a head.
    ///
    /// # Errors
    /// As above.
    pub fn head_note(&self, origin: &str, head: TreeHead) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|connection| {
            let query = "SELECT note FROM head WHERE origin = ?1 AND size = ?2 AND root = ?3";
            let values = params![origin, signed(head.size.get()), head.root.as_bytes().as_slice()];
            connection.prepare_cached(query)?.query_row(values, |row| row.get(0)).optional()
        })
    }

    /// Keeps a signed head until it is settled, with the newest note for it; one that is known gets the newer note. With
    /// `only_known` nothing is added. `false` if it was to be added and there is no room for it.
    ///
    /// # Errors
    /// As above.
    pub fn keep_head(&self, new: &NewHead<'_>, only_known: bool, now: u64) -> Result<bool, StoreError> {
        let NewHead { origin, head, note, source } = *new;
        let (size, root) = (signed(head.size.get()), head.root.as_bytes().as_slice());
        self.run(|connection| {
            let query = "SELECT length(note) FROM head WHERE origin = ?1 AND size = ?2 AND root = ?3";
            let known: Option<i64> = connection
                .prepare_cached(query)?
                .query_row(params![origin, size, root], |row| row.get(0))
                .optional()?;
            if known.is_none() && only_known {
                return Ok(true);
            }
            let length = i64::try_from(note.len()).unwrap_or(i64::MAX);
            let more = length - known.unwrap_or(0);
            if more > 0 {
                let (count, bytes) = unsettled(connection, origin)?;
                if bytes + more > UNSETTLED_BYTES_MAX || (known.is_none() && count >= UNSETTLED_MAX) {
                    return Ok(known.is_some());
                }
            }
            if known.is_none() {
                connection
                    .prepare_cached(
                        "INSERT INTO head (origin, size, root, note, source, first_seen, last_seen, standing)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'pending')",
                    )?
                    .execute(params![origin, size, root, note, source, signed(now)])?;
                return Ok(true);
            }
            // Nothing is written for a head that is shown again at once.
            connection
                .prepare_cached(
                    "UPDATE head SET note = ?4, last_seen = ?5 WHERE origin = ?1 AND size = ?2 AND root = ?3
                     AND (note <> ?4 OR last_seen < ?5 - 1000)",
                )?
                .execute(params![origin, size, root, note, signed(now)])?;
            Ok(true)
        })
    }

    /// Kept heads of the same size with other roots, and what is known of each.
    ///
    /// # Errors
    /// As above.
    pub fn other_heads(&self, origin: &str, one: TreeHead) -> Result<Vec<(TreeHead, Standing)>, StoreError> {
        self.run(|connection| {
            let query = "SELECT size, root, standing FROM head
                         WHERE origin = ?1 AND size = ?2 AND root <> ?3 LIMIT ?4";
            let mut statement = connection.prepare_cached(query)?;
            let values = params![origin, signed(one.size.get()), one.root.as_bytes().as_slice(), OTHERS_MAX];
            let row = |row: &rusqlite::Row<'_>| Ok((head(row)?, Standing::parse(&row.get::<_, String>(2)?)));
            statement.query_map(values, row)?.collect()
        })
    }

    /// What is known of a head; `None` if it is not kept.
    ///
    /// # Errors
    /// As above.
    pub fn standing(&self, origin: &str, one: TreeHead) -> Result<Option<Standing>, StoreError> {
        self.run(|connection| {
            let query = "SELECT standing FROM head WHERE origin = ?1 AND size = ?2 AND root = ?3";
            let values = params![origin, signed(one.size.get()), one.root.as_bytes().as_slice()];
            let row = |row: &rusqlite::Row<'_>| Ok(Standing::parse(&row.get::<_, String>(0)?));
            connection.prepare_cached(query)?.query_row(values, row).optional()
        })
    }

    /// Whether there is room again for heads to wait: half of it at least.
    ///
    /// # Errors
    /// As above.
    pub fn has_room(&self, origin: &str) -> Result<bool, StoreError> {
        let (count, bytes) = self.run(|connection| unsettled(connection, origin))?;
        Ok(count < UNSETTLED_MAX / 2 && bytes < UNSETTLED_BYTES_MAX / 2)
    }

    /// Says what is known of a kept head.
    ///
    /// # Errors
    /// As above.
    pub fn settle(&self, origin: &str, head: TreeHead, standing: Standing) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "UPDATE head SET standing = ?4 WHERE origin = ?1 AND size = ?2 AND root = ?3
                         AND standing <> 'contradicts'";
            let values =
                params![origin, signed(head.size.get()), head.root.as_bytes().as_slice(), standing.name()];
            connection.prepare_cached(query)?.execute(values).map(|_| ())
        })
    }

    /// Lets a head wait again that was verified before our hashes or our database were lost: everything must lead there.
    ///
    /// # Errors
    /// As above.
    pub fn reopen(&self, origin: &str, head: TreeHead, note: &[u8], now: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "INSERT INTO head (origin, size, root, note, source, first_seen, last_seen, standing)
                         VALUES (?1, ?2, ?3, ?4, ?6, ?5, ?5, 'pending')
                         ON CONFLICT (origin, size, root) DO UPDATE SET standing = 'pending', source = ?6";
            let (size, root) = (signed(head.size.get()), head.root.as_bytes().as_slice());
            connection
                .prepare_cached(query)?
                .execute(params![origin, size, root, note, signed(now), RECALLED])
                .map(|_| ())
        })
    }

    /// Forgets how far a log is verified; its heads stay.
    ///
    /// # Errors
    /// As above.
    pub fn forget_log(&self, origin: &str) -> Result<(), StoreError> {
        self.run(|connection| {
            connection.prepare_cached("DELETE FROM log WHERE origin = ?1")?.execute([origin]).map(|_| ())
        })
    }

    /// The heads that wait, smallest first.
    ///
    /// # Errors
    /// As above.
    pub fn pending(&self, origin: &str) -> Result<Vec<WaitingHead>, StoreError> {
        self.run(|connection| {
            let query = "SELECT size, root, source, first_seen FROM head
                         WHERE origin = ?1 AND standing = 'pending' ORDER BY size";
            let mut statement = connection.prepare_cached(query)?;
            let row = |row: &rusqlite::Row<'_>| {
                Ok(WaitingHead { head: head(row)?, source: row.get(2)?, first_seen: unsigned(row.get(3)?) })
            };
            statement.query_map([origin], row)?.collect()
        })
    }

    /// The last round in which nothing of the log was left unread, in milliseconds since 1970.
    ///
    /// # Errors
    /// As above.
    pub fn read_at(&self, origin: &str) -> Result<Option<u64>, StoreError> {
        self.run(|connection| {
            let query = "SELECT read_at FROM look WHERE origin = ?1";
            let found: Option<i64> =
                connection.prepare_cached(query)?.query_row([origin], |row| row.get(0)).optional()?;
            Ok(found.map(unsigned))
        })
    }

    /// Remembers that round.
    ///
    /// # Errors
    /// As above.
    pub fn set_read_at(&self, origin: &str, at: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "INSERT INTO look (origin, read_at) VALUES (?1, ?2)
                         ON CONFLICT (origin) DO UPDATE SET read_at = ?2";
            connection.prepare_cached(query)?.execute(params![origin, signed(at)]).map(|_| ())
        })
    }

    /// Of the settled heads keeps the first of each minute, the newest, and every one that contradicts.
    ///
    /// # Errors
    /// As above.
    pub fn thin_heads(&self, origin: &str) -> Result<(), StoreError> {
        self.run(|connection| {
            let query = "DELETE FROM head WHERE origin = ?1 AND standing = 'consistent'
                AND size < (SELECT max(size) FROM head WHERE origin = ?1 AND standing = 'consistent')
                AND EXISTS (SELECT 1 FROM head AS other WHERE other.origin = ?1
                    AND other.first_seen / 60000 = head.first_seen / 60000
                    AND (other.first_seen, other.size) < (head.first_seen, head.size))";
            connection.prepare_cached(query)?.execute([origin]).map(|_| ())
        })
    }
}

/// How many heads are kept that are not settled well, and the bytes of their notes.
fn unsettled(connection: &Connection, origin: &str) -> rusqlite::Result<(i64, i64)> {
    let query = "SELECT count(*), coalesce(sum(length(note)), 0) FROM head
                 WHERE origin = ?1 AND standing IN ('pending', 'contradicts')";
    connection.prepare_cached(query)?.query_row([origin], |row| Ok((row.get(0)?, row.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "log.example/t";

    fn at(size: u64) -> TreeHead {
        TreeHead { size: TreeSize::new(size).unwrap(), root: tlog::hash::leaf_hash(&size.to_be_bytes()) }
    }

    fn keep(store: &Store, size: u64, note: &[u8]) -> bool {
        let new = NewHead { origin: ORIGIN, head: at(size), note, source: "posted" };
        store.keep_head(&new, false, 1).unwrap()
    }

    #[test]
    fn heads_that_wait_are_bounded_in_number_and_there_is_room_again_once_they_are_settled() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("m.sqlite"), 1).unwrap();
        store
            .run(|connection| {
                let many = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?2)
                            INSERT INTO head SELECT ?1, n, zeroblob(32), x'00', 'posted', 1, 1, 'pending' FROM number";
                connection.execute(many, params![ORIGIN, UNSETTLED_MAX])
            })
            .unwrap();
        assert!(!keep(&store, 20_000, b"one more"));
        assert!(!store.has_room(ORIGIN).unwrap());
        let waiting = store.pending(ORIGIN).unwrap();
        assert_eq!(waiting.len(), usize::try_from(UNSETTLED_MAX).unwrap());
        for one in &waiting[..6_000] {
            store.settle(ORIGIN, one.head, Standing::Consistent).unwrap();
        }
        assert!(store.has_room(ORIGIN).unwrap());
        assert!(keep(&store, 20_000, b"one more"));
    }

    #[test]
    fn heads_that_wait_are_bounded_in_bytes_and_a_known_one_does_not_grow_past_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("m.sqlite"), 1).unwrap();
        let large = vec![b'x'; 256 << 10];
        let room = u64::try_from(UNSETTLED_BYTES_MAX).unwrap() / large.len() as u64;
        assert!(keep(&store, 1, b"small") && keep(&store, 2, b"small as well"));
        let kept = (3..room + 10).filter(|size| keep(&store, *size, &large)).count() as u64;
        assert_eq!(kept, room - 1);
        assert!(keep(&store, 1, &large), "it is kept, as it was");
        assert!(store.head_note(ORIGIN, at(1)).unwrap().unwrap() == b"small");
        assert!(keep(&store, 3, b"shorter"));
        assert!(store.head_note(ORIGIN, at(3)).unwrap().unwrap() == b"shorter");
    }
}

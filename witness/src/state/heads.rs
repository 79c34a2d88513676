//! The heads: read by readers, moved by the writer alone.

use rusqlite::{OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};

use super::{State, StateError, signed};

/// A step from one cosigned head to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Which log.
    pub log: i64,
    /// What was judged against; the step is lost if that is not what is there.
    pub from: TreeHead,
    /// What was cosigned.
    pub to: TreeHead,
    /// When, in seconds since 1970.
    pub seconds: u64,
    /// The log's verified signatures and our cosignatures.
    pub note: Vec<u8>,
}

/// The head that was cosigned last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Size and root; the empty tree if there is none.
    pub head: TreeHead,
    /// When, in seconds since 1970; 0 if never.
    pub cosigned_at: u64,
}

impl Head {
    /// Of a log that was never cosigned.
    pub const NONE: Self = Self { head: TreeHead::EMPTY, cosigned_at: 0 };
}

pub(super) fn to_head(size: i64, root: [u8; 32], cosigned_at: i64) -> Option<Head> {
    let size = TreeSize::new(u64::try_from(size).ok()?).ok()?;
    let head = TreeHead { size, root: Hash::from_bytes(root) };
    Some(Head { head, cosigned_at: u64::try_from(cosigned_at).ok()? })
}

impl State {
    /// Moves one head, inside the writer's transaction. `false` if it was not where the step starts.
    pub(crate) fn advance(&self, step: &Advance) -> Result<bool, StateError> {
        let changed = self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "UPDATE head SET size = ?2, root = ?3, cosigned_at = ?4, note = ?5
                 WHERE log = ?1 AND size = ?6 AND root = ?7 AND cosigned_at <= ?4",
            )?;
            statement.execute(params![
                step.log,
                signed(step.to.size.get()),
                step.to.root.as_bytes(),
                signed(step.seconds),
                step.note,
                signed(step.from.size.get()),
                step.from.root.as_bytes(),
            ])
        })?;
        Ok(changed == 1)
    }

    /// The head of one log.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn head(&self, log: i64) -> Result<Head, StateError> {
        let (size, root, cosigned_at) = self.run(|connection| {
            let query = "SELECT size, root, cosigned_at FROM head WHERE log = ?1";
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.prepare_cached(query)?.query_row([log], columns)
        })?;
        to_head(size, root, cosigned_at).ok_or_else(|| self.row("a head"))
    }

    /// The note that was cosigned last for the log with this origin hash; `None` if there is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn note_of(&self, origin_hash: &Hash) -> Result<Option<Vec<u8>>, StateError> {
        self.run(|connection| {
            let query = "SELECT note FROM head JOIN log ON log.id = head.log WHERE hash = ?1";
            let mut statement = connection.prepare_cached(query)?;
            let note = statement.query_row([origin_hash.as_bytes()], |row| row.get(0)).optional()?;
            Ok(note.flatten())
        })
    }
}

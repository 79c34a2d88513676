//! Statements of agencies: what a log of records does beside what every log does.
//!
//! | Room | Does |
//! |---|---|
//! | [`genesis`] | the first entry: who enrols agencies |
//! | [`admit`] | bytes from the network to a pending statement, or a refusal; in parallel, signatures included |
//! | [`judge`] | the registry, in order, inside the sequencer; races on a key end here |
//! | [`upload`], [`erase`] | who may upload what; what tombstones take away |
//! | [`replay`] | the registry again, from the entries, at start-up or at an older size |
//! | [`marks`], [`lists`] | what a statement adds to the index; lists of entries, as they were at any size |
//! | [`views`] | the registry as it was at each head that may be published, for readers |
//!
//! The rules themselves are in the crate `record`, which monitors use as well. What this log refuses for reasons of
//! its own (a missing attachment, a quota) is [`admit`]'s, and has codes of its own: nobody may call it inadmissible.

pub mod admit;
pub mod erase;
pub mod genesis;
pub mod judge;
pub mod lists;
pub mod marks;
pub mod replay;
pub mod upload;
pub mod views;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::clock::Clock;
use record::registry::Registry;
use record::registry::{Authentic, Refusal};
use record::statement::Statement;
use tlog::hash::{Hash, sha256};
use tlog::ids::{LeafIndex, TreeSize};

use crate::store::blobs::BlobStore;
use crate::store::disk::Disk;
use crate::store::index::IndexFollower;
use crate::store::vault::Vault;
use erase::Eraser;
use views::Views;

/// How often uploads that nobody names are looked for.
const EXPIRE_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What request handlers share in a log of records.
pub struct Records {
    /// The registry, for readers.
    pub views: Arc<Views>,
    /// Attachments.
    pub blobs: BlobStore,
    /// Erasable values.
    pub vault: Vault,
    /// Carries out tombstones.
    pub eraser: Eraser,
    clock: Arc<dyn Clock>,
    /// When uploads that nobody names are looked for again.
    expire_at: Mutex<Duration>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("vault", &self.vault).finish_non_exhaustive()
    }
}

impl Records {
    /// Opens what lies in the log's directory. The registry is empty until start-up has replayed it.
    ///
    /// # Errors
    /// The system's answer.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let views = Arc::new(Views::new(TreeSize::ZERO, Arc::new(Registry::new())));
        let vault = Vault::open(dir, Arc::clone(&disk)).map_err(io::Error::other)?;
        let blobs = BlobStore::open(dir, disk)?;
        Ok(Self { views, blobs, vault, eraser: Eraser::default(), clock, expire_at: Mutex::default() })
    }

    /// The time in seconds since 1970.
    #[must_use]
    pub fn now_seconds(&self) -> i64 {
        i64::try_from(self.clock.unix_millis() / 1000).unwrap_or(i64::MAX)
    }

    /// Once an hour, destroys uploads of erasable attachments that no version names, though there was time enough.
    /// A failure is said and tried again: nobody is shown them meanwhile.
    pub fn expire_uploads(&self, index: &IndexFollower, committed: TreeSize) {
        let now = self.clock.monotonic();
        let mut due = self.expire_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *due {
            return;
        }
        *due = now + EXPIRE_PAUSE;
        match erase::expire(&self.vault, index, committed, self.now_seconds()) {
            Ok(0) => (),
            Ok(destroyed) => tracing::info!(destroyed, "uploads that no version of a record names are gone"),
            Err(error) => tracing::error!(%error, "uploads that nobody names cannot be destroyed"),
        }
    }
}

/// What admission has found out about a statement.
#[derive(Clone, Debug)]
pub enum Admitted {
    /// Every signature is good, by a key that the log knows or that the statement brings in.
    Authentic(Authentic),
    /// A key is not known yet. A statement that waits before this one may bring it in: to be asked again in order.
    Unsettled(Statement),
}

impl Admitted {
    /// The statement.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        match self {
            Self::Authentic(authentic) => authentic.statement(),
            Self::Unsettled(statement) => statement,
        }
    }
}

/// Why the judge did not let a statement in. Can be recomputed by anybody from the log alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The same text is in the log, under other signatures.
    #[error(
        "the log holds this text already, under other signatures, as entry {0}; use that entry's receipt"
    )]
    OtherSignatures(LeafIndex),
    /// The registry says so.
    #[error(transparent)]
    Registry(#[from] Refusal),
}

impl Refused {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherSignatures(_) => "other_signatures",
            Self::Registry(refusal) => refusal.code(),
        }
    }

    /// The entry that the answer shows with its receipt. It has to be public before the answer leaves.
    #[must_use]
    pub fn shows(&self) -> Option<LeafIndex> {
        match self {
            Self::OtherSignatures(index) => Some(*index),
            Self::Registry(Refusal::Stale(latest)) => latest.map(|latest| latest.index),
            Self::Registry(_) => None,
        }
    }
}

/// SHA-256 of the text of a note, which is its identity in a log of statements; `None` if the bytes are no note.
///
/// Only splits: it answers for bytes that are no statement as well, so that the search for a known text can come before
/// every other check.
#[must_use]
pub fn text_hash(note: &[u8]) -> Option<Hash> {
    let blank = note.windows(2).rposition(|pair| pair == b"\n\n")?;
    Some(sha256(&note[..=blank]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_note_ends_before_its_last_empty_line() {
        assert_eq!(text_hash(b"a\n\nb\n\n\xe2\x80\x94 x y\n"), Some(sha256(b"a\n\nb\n")));
        assert_eq!(text_hash(b"a\nb\n"), None);
        assert_eq!(text_hash(b""), None);
    }
}

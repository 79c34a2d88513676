//! Statements of agencies: what a log of records does beside what every log does.
//!
//! | Room | Does |
//! |---|---|
//! | [`genesis`] | the first entry: who enrols agencies |
//! | [`admit`] | bytes from the network to a pending statement, or a refusal; in parallel, signatures included |
//! | [`judge`] | the registry, in order, inside the sequencer; races on a key end here |
//! | [`upload`], [`erase`] | who may upload what; what tombstones take away |
//! | [`upkeep`] | tombstones that nobody waits for, and uploads that nobody names |
//! | [`replay`] | the registry again, from the entries, at start-up or at an older size |
//! | [`marks`], [`lists`] | what a statement adds to the index; lists of entries, as they were at any size |
//! | [`views`] | the registry as it was at each head that may be published, for readers |
//!
//! The rules themselves are in the crate `record`, which monitors use as well. What this log refuses for reasons of
//! its own (a missing attachment, a quota, its clock) is [`admit`]'s, or [`judge`]'s where the order counts, and has codes of
//! its own: nobody may call it inadmissible.

pub mod admit;
pub mod erase;
pub mod genesis;
pub mod judge;
pub mod lists;
pub mod marks;
pub mod replay;
pub mod upkeep;
pub mod upload;
pub mod views;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use daemon::clock::Clock;
use daemon::config::ByteSize;
use daemon::metrics::Metrics;
use prometheus::IntCounter;
use record::registry::Registry;
use record::registry::{Authentic, Refusal};
use record::statement::Statement;
use record::time::UtcTime;
use tlog::hash::{Hash, sha256};
use tlog::ids::{LeafIndex, TreeSize};

use crate::lookup::Lookup;
use crate::space::Room;
use crate::store::blobs::BlobStore;
use crate::store::disk::Disk;
use crate::store::index::IndexFollower;
use crate::store::vault::Vault;
use erase::{EraseError, Eraser};
use views::Views;

/// Metrics of what lies outside the tree.
#[derive(Debug)]
pub struct RecordMetrics {
    erase_failures: IntCounter,
    damaged: IntCounter,
}

impl RecordMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            erase_failures: metrics
                .counter("daybook_erase_failures_total", "Attempts to carry out tombstones that failed."),
            damaged: metrics.counter(
                "daybook_values_damaged_total",
                "Reads of a value or an attachment that is damaged, or gone without a tombstone.",
            ),
        }
    }
}

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
    /// Room for uploads.
    pub room: Arc<Room>,
    clock: Arc<dyn Clock>,
    metrics: OnceLock<RecordMetrics>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("vault", &self.vault).finish_non_exhaustive()
    }
}

impl Records {
    /// Opens what lies in the log's directory; uploads leave `floor` of its disk free. The registry is empty until start-up
    /// has replayed it.
    ///
    /// # Errors
    /// The system's answer.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>, floor: ByteSize) -> io::Result<Self> {
        let views = Arc::new(Views::new(TreeSize::ZERO, Arc::new(Registry::new())));
        let vault = Vault::open(dir, Arc::clone(&disk)).map_err(io::Error::other)?;
        let blobs = BlobStore::open(dir, Arc::clone(&disk))?;
        let room = Room::new(dir, disk, floor);
        let (eraser, metrics) = (Eraser::default(), OnceLock::new());
        Ok(Self { views, blobs, vault, eraser, room, clock, metrics })
    }

    /// Begins to keep metrics.
    pub fn keep(&self, metrics: RecordMetrics) {
        // Kept once a process.
        let _ = self.metrics.set(metrics);
    }

    /// Takes note that something outside the tree cannot be read.
    pub fn damaged(&self) {
        if let Some(metrics) = self.metrics.get() {
            metrics.damaged.inc();
        }
    }

    /// Carries out every tombstone among the first `size` entries that was not yet.
    ///
    /// # Errors
    /// [`EraseError`]; it is to be tried again, and [`upkeep`] does.
    pub fn carry_out(
        &self,
        index: &IndexFollower,
        lookup: &Lookup,
        size: TreeSize,
    ) -> Result<(), EraseError> {
        let done = self.eraser.carry_out(&self.vault, index, lookup, size);
        if let (Err(_), Some(metrics)) = (&done, self.metrics.get()) {
            metrics.erase_failures.inc();
        }
        done
    }

    /// The time in seconds since 1970.
    #[must_use]
    pub fn now_seconds(&self) -> i64 {
        i64::try_from(self.clock.unix_millis() / 1000).unwrap_or(i64::MAX)
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

/// Why the judge did not let a statement in. Can be recomputed by anybody from the log alone, [`Refused::Late`] apart.
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
    /// It is dated within a delegation that is over by now: its date shows nothing. By this log's clock alone, so it is never
    /// said of a statement that the registry refuses.
    #[error(
        "a key that was delegated until {0} signed it, and by this log's clock that is over; ask an officer to sign it, or to \
         delegate the key anew"
    )]
    Late(UtcTime),
}

impl Refused {
    /// The reason code, stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherSignatures(_) => "other_signatures",
            Self::Registry(refusal) => refusal.code(),
            Self::Late(_) => "delegation_over",
        }
    }

    /// The entry that the answer shows with its receipt. It has to be public before the answer leaves.
    #[must_use]
    pub fn shows(&self) -> Option<LeafIndex> {
        match self {
            Self::OtherSignatures(index) => Some(*index),
            Self::Registry(Refusal::Stale(latest)) => latest.map(|latest| latest.index),
            Self::Registry(_) | Self::Late(_) => None,
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

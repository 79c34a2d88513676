//! What keeps a log healthy and never stands in the way of an append.
//!
//! Each round: sync the tiles and move the flushed watermark; let the journal go and make its next segment
//! ready; keep the published checkpoint in the ledger; watch the free space; ask for a fresh head when the log is idle.
//!
//! A failed sync is fatal, as it is everywhere: what was written may be gone. A failing ledger is not; the
//! watermarks stay where they are, the journal grows, and writing stops when it has grown too far.

use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use tlog::tile::{Tile, TilePath, tile_at};

use crate::applied::Applied;
use crate::heads::Heads;
use crate::pool::Pool;
use crate::space::Space;
use crate::store::index::IndexFollower;
use crate::store::journal::{JournalError, Preparer};
use crate::store::ledger::{Ledger, LedgerError, MarkName, PublishedRow};
use crate::store::tiles::TileStore;

/// Why the log has to stop.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// Tiles could not be synced.
    #[error("syncing the tiles failed: {0}; the log has to be restarted, the journal still has them")]
    Flush(std::io::Error),
    /// The next journal segment could not be made.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What housekeeping works with.
pub struct Housekeeper {
    /// Woken for a refresh.
    pub pool: Arc<Pool>,
    /// The published head.
    pub heads: Arc<Heads>,
    /// The watermarks.
    pub applied: Arc<Applied>,
    /// The tree.
    pub tiles: Arc<TileStore>,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The index.
    pub index: Arc<IndexFollower>,
    /// Makes journal segments ready.
    pub preparer: Preparer,
    /// The floor of free space.
    pub space: Space,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How often an idle log signs.
    pub refresh: Duration,
    /// What the last rounds did.
    pub done: Done,
}

/// What the last rounds did.
#[derive(Debug, Default)]
pub struct Done {
    recorded: Option<u64>,
    /// Flushed full objects whose partial ones may still be needed; bounded by the unpublished tail.
    full: Vec<TilePath>,
}

impl std::fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Housekeeper").field("done", &self.done).finish_non_exhaustive()
    }
}

impl Housekeeper {
    /// One round.
    ///
    /// # Errors
    /// [`HousekeepingError`]: the process must end.
    pub fn step(&mut self) -> Result<(), HousekeepingError> {
        self.flush()?;
        self.collect();
        self.preparer.prepare()?;
        // It says so itself.
        let _ = self.space.missing();
        if let Err(error) = self.record() {
            tracing::error!(%error, "the ledger cannot be written; entries are still taken in, and nothing is lost");
        }
        // A head that waits for its witnesses is fresh as well: more heads would not help it.
        let idle = self.clock.unix_millis().saturating_sub(self.heads.committed_time().get());
        if u128::from(idle) >= self.refresh.as_millis() {
            self.pool.request_refresh();
        }
        Ok(())
    }

    /// The mark is read first: all that it needs was written before, so it is in the list.
    fn flush(&mut self) -> Result<(), HousekeepingError> {
        let mark = self.applied.applied();
        if mark == self.applied.flushed() {
            return Ok(());
        }
        let dirty = self.tiles.take_dirty();
        self.tiles.flush(&dirty).map_err(HousekeepingError::Flush)?;
        match self.ledger.set_mark(MarkName::Flushed, &mark) {
            Ok(()) => self.applied.set_flushed(mark),
            Err(error) => {
                tracing::error!(%error, "the flushed watermark cannot be moved; the journal grows meanwhile");
                return Ok(());
            }
        }
        self.done.full.extend(dirty.full());
        Ok(())
    }

    /// Removes partial objects once nobody needs them: the full one is flushed, and the published tree has it. A head
    /// that its witnesses keep waiting may be published much later than newer ones are committed and flushed.
    fn collect(&mut self) {
        let size = self.heads.published().head().size;
        let level = |path: &TilePath| match path {
            TilePath::Hashes(tile) => tile.level(),
            TilePath::Entries(_) => 0,
        };
        let public = |path: &TilePath| tile_at(level(path), path.index(), size).is_some_and(Tile::is_full);
        let (superseded, waiting) =
            std::mem::take(&mut self.done.full).into_iter().partition::<Vec<_>, _>(public);
        self.done.full = waiting;
        if let Err(error) = self.tiles.collect(superseded) {
            tracing::warn!(%error, "superseded partial tiles could not be removed");
        }
    }

    fn record(&mut self) -> Result<(), LedgerError> {
        let published = self.heads.published();
        if self.done.recorded != Some(published.time.get()) {
            let note = published.note.to_vec();
            self.ledger.record_published(&PublishedRow {
                head: published.head(),
                time: published.time,
                note,
            })?;
            self.done.recorded = Some(published.time.get());
        }
        Ok(())
    }

    /// The last round of an orderly end: everything is made durable, so that the next start has nothing to do.
    ///
    /// # Errors
    /// [`HousekeepingError`].
    pub fn finish(&mut self) -> Result<(), HousekeepingError> {
        self.flush()?;
        self.collect();
        let result = self.record();
        if let Err(error) = result {
            tracing::error!(%error, "the ledger cannot be written; the last checkpoint is not kept");
        }
        if let Err(error) = self.index.stop() {
            tracing::error!(%error, "the index was not closed; the next start takes a little longer");
        }
        Ok(())
    }
}

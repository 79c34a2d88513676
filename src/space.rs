//! The floor of free space: below it the log takes no entries, and goes on answering readers.
//!
//! Looked at before each batch, so that a fast writer cannot run past it between two rounds of housekeeping, and in each
//! round, so that it is lifted when somebody has made room.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::config::ByteSize;

use crate::pool::{PauseBy, Pool};
use crate::store::disk::Disk;

/// Watches the file system of a log's public tree.
#[derive(Clone)]
pub struct Space {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    pool: Arc<Pool>,
    floor: ByteSize,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("floor", &self.floor).finish_non_exhaustive()
    }
}

impl Space {
    /// Watches the file system of `folder`, and stops and restarts what comes into `pool`.
    #[must_use]
    pub fn new(folder: &Path, disk: Arc<dyn Disk>, pool: Arc<Pool>, floor: ByteSize) -> Self {
        Self { folder: folder.to_owned(), disk, pool, floor }
    }

    /// Looks, and stops or restarts the pool. Says why there is no room, if there is none.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let free = match self.disk.free_bytes(&self.folder) {
            Ok(free) => ByteSize(free),
            Err(error) => {
                tracing::warn!(%error, "the free space cannot be read");
                return None;
            }
        };
        if free >= self.floor {
            if self.pool.is_paused_by(PauseBy::Space) {
                self.pool.resume(PauseBy::Space);
            }
            return None;
        }
        let floor = self.floor;
        let reason = format!("its disk has {free} left, below the floor of {floor}; free some space");
        if !self.pool.is_paused_by(PauseBy::Space) {
            tracing::error!("{reason}");
        }
        self.pool.pause(PauseBy::Space, &reason);
        Some(reason)
    }
}

//! Writes the objects of a committed head into the public tree. The sequencer and recovery share it.
//!
//! Full objects come before partial ones, each is written aside and renamed, and none is synced: the
//! journal holds the batch until housekeeping has flushed what was written here.
//!
//! Absent on purpose: reading back, which is [`crate::publish`]'s.

use std::sync::Arc;

use tlog::tile::TilePath;

use crate::applied::{Applied, Mark};
use crate::integrate::Object;
use crate::store::tiles::TileStore;

/// A tile could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be written: {error}")]
pub struct ApplyError {
    path: TilePath,
    error: std::io::Error,
}

/// Applies heads in order.
#[derive(Debug)]
pub struct Applier {
    tiles: Arc<TileStore>,
    applied: Arc<Applied>,
    /// Partial objects of the last applied head. The same path has the same bytes in every later head, so it
    /// is not written again.
    partials: Vec<TilePath>,
}

impl Applier {
    /// Applies into `tiles`, which holds everything up to the applied mark.
    #[must_use]
    pub fn new(tiles: Arc<TileStore>, applied: Arc<Applied>) -> Self {
        Self { tiles, applied, partials: Vec::new() }
    }

    /// The watermarks that this applier moves.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Writes what `mark` adds and returns the paths that were written.
    ///
    /// # Errors
    /// [`ApplyError`] names the object; the tree on disk is then behind the journal, and the process ends.
    pub fn apply(&mut self, objects: &[Object], mark: Mark) -> Result<Vec<TilePath>, ApplyError> {
        let mut fresh = Vec::with_capacity(objects.len());
        for object in objects.iter().filter(|object| !self.partials.contains(&object.path)) {
            self.tiles
                .write(&object.path, &object.bytes)
                .map_err(|error| ApplyError { path: object.path, error })?;
            fresh.push(object.path);
        }
        self.partials = objects.iter().map(|object| object.path).filter(|path| !path.is_full()).collect();
        self.applied.advance(mark.head, mark.seq);
        Ok(fresh)
    }
}

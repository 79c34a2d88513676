//! Entries that a consumer missed, read again from the log and held against the hashes that were verified.

use std::ops::Range;

use bytes::Bytes;
use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath, tile_at};

use crate::case::Case;
use crate::feed::Batch;
use crate::source::SourceError;
use crate::tiles::{Unproved, prove_tiles};

/// Why entries cannot be had now. They are verified all the same; nobody is accused.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// Our own hashes.
    #[error("our own hashes cannot be used: {0}")]
    Own(#[from] Unproved),
    /// The log does not serve them, or not as they were.
    #[error("{0} is not served as it was verified")]
    NotServed(TilePath),
    /// Not read.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// Not verified yet.
    #[error("entry {0} is not verified yet")]
    NotVerified(u64),
}

impl Case {
    /// The bundle with entry `index`, as it is in the verified tree; at most the entries of `wanted`.
    ///
    /// # Errors
    /// [`RereadError`].
    pub fn reread(&self, wanted: &Range<u64>) -> Result<Batch, RereadError> {
        let index = wanted.start;
        let not_verified = || RereadError::NotVerified(index);
        let verified = self.verified().ok_or_else(not_verified)?.head();
        let tile = tile_at(0, index / TILE_WIDTH, verified.size).ok_or_else(not_verified)?;
        if index >= verified.size.get() {
            return Err(not_verified());
        }
        let own = self.own_tiles();
        let tiles = prove_tiles(&own, verified, [tile]).inspect_err(|error| own.note_damage(error))?;
        let leaves = tiles.hashes(tile).unwrap_or_default().to_vec();
        let bundle = Bundle::new(tile.index(), tile.width()).map_err(|_| not_verified())?;
        let path = TilePath::Entries(bundle);
        for source in &self.sources {
            if let Some(bytes) = source.read(&[path])?.pop().flatten()
                && is_right(&bytes, bundle, &leaves)
            {
                return Ok(Batch::new(tile.index(), bytes, leaves));
            }
        }
        Err(RereadError::NotServed(path))
    }
}

fn is_right(bytes: &Bytes, bundle: Bundle, leaves: &[Hash]) -> bool {
    bundle::entries(bytes, bundle.width())
        .is_ok_and(|entries| entries.iter().map(|entry| leaf_hash(entry)).eq(leaves.iter().copied()))
}

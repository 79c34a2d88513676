//! Entries that a consumer missed, read again from the log and held against the hashes that were verified.
//!
//! That entries which were verified are not served any more is told here, whoever it is that wants them.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath, tile_at};

use crate::case::{Case, CaseError};
use crate::feed::Batch;
use crate::report::DAMAGE;
use crate::source::SourceError;
use crate::tiles::{Unproved, prove_tiles};

/// Bundles of which it is known since when they are not answered.
const UNREAD_MAX: usize = 1024;
/// Of the time between two tries at most this part of the log's `unanswered_max` counts.
const SILENCE_PARTS: u32 = 3;

/// Since when a bundle is not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    /// When it was tried last.
    last: Duration,
    /// For how long that has been seen.
    lasted: Duration,
}

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
    /// That they are gone cannot be remembered.
    #[error(transparent)]
    Forgotten(#[from] CaseError),
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
        let mut failure = None;
        for source in &self.sources {
            let failed = match source.read(&[path]) {
                Ok(mut read) => match read.pop().flatten() {
                    Some(bytes) if holds(&bytes, bundle, &leaves) => {
                        self.is_read(path);
                        return Ok(Batch::new(tile.index(), bytes, leaves));
                    }
                    _ => RereadError::NotServed(path),
                },
                Err(error) if error.is_senseless() => RereadError::NotServed(path),
                Err(error) => RereadError::Read(error),
            };
            // The log's own word counts, or its silence; the others are only asked for what it does not have.
            failure.get_or_insert(failed);
        }
        let failure = failure.unwrap_or(RereadError::NotServed(path));
        self.tell_unread(path, &failure)?;
        Err(failure)
    }

    fn is_read(&self, path: TilePath) {
        self.unread().remove(&path);
    }

    /// What was verified and is gone is damage, and so is what is not answered for too long, by a log that answers
    /// otherwise. The follower looks at it again.
    fn tell_unread(&self, path: TilePath, failure: &RereadError) -> Result<(), CaseError> {
        let detail = match failure {
            RereadError::NotServed(_) => {
                format!(
                    "{path} was verified, and is not served any more as it was: entries in it cannot be read again"
                )
            }
            RereadError::Read(error) => match self.unread_for(path) {
                Some(silent) if silent >= self.followed.unanswered_max => format!(
                    "{path} was verified, and was not answered for {} s, while the log answers otherwise: {error}",
                    silent.as_secs()
                ),
                _ => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.alarm(DAMAGE, &path.to_string(), &detail)?;
        self.refresh_damage()
    }

    /// For how long an object was not answered while the log was heard, as far as that was seen. Of the time between two
    /// tries only a part counts, and none of an outage.
    fn unread_for(&self, path: TilePath) -> Option<Duration> {
        let (heard, now) = (self.is_heard(), self.clock.monotonic());
        let mut all = self.unread();
        if !all.contains_key(&path) && (!heard || all.len() >= UNREAD_MAX) {
            return None;
        }
        let unread = all.entry(path).or_insert(Unread { last: now, lasted: Duration::ZERO });
        let between = now.saturating_sub(unread.last).min(self.followed.unanswered_max / SILENCE_PARTS);
        unread.last = now;
        unread.lasted += if heard { between } else { Duration::ZERO };
        Some(unread.lasted)
    }
}

/// Whether a bundle has entries with these leaf hashes.
pub(crate) fn holds(bytes: &Bytes, bundle: Bundle, leaves: &[Hash]) -> bool {
    bundle::entries(bytes, bundle.width())
        .is_ok_and(|entries| entries.iter().map(|entry| leaf_hash(entry)).eq(leaves.iter().copied()))
}

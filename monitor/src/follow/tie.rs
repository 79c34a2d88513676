//! Ties a new head to those before it, with tiles of the new tree alone.
//!
//! The new tree's own tiles, authenticated against its signed root, say what its tree was at an earlier size. If the
//! log signed another root for that size the two heads contradict each other, whatever any proof endpoint says; our
//! own hashes of the earlier tree make the evidence. If the tiles cannot be had nothing is concluded: the entries
//! decide.

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::TreeSize;
use tlog::verify_tiles::{AuthenticTiles, consistency_nodes};

use super::Follower;
use crate::accuse::View;
use crate::case::CaseError;
use crate::judge::AnyOf;
use crate::rebuild::Damage;
use crate::store::Standing;
use crate::tiles::{Unproved, prove_nodes};

/// Heads tied in one round; the rest follows once the tree is rebuilt.
const HEADS_MAX: usize = 64;

/// How a new head stands to those before it.
pub(super) enum Tie {
    /// All of them are its beginning.
    Holds,
    /// Its tiles are missing or wrong.
    Unknown(Vec<Damage>),
    /// Its tiles could not be read.
    Unread(String),
    /// One of them is not its beginning.
    Forked,
}

impl Follower {
    /// Step 3 of a round.
    pub(super) fn tie(&self, target: &VerifiedCheckpoint) -> Result<Tie, CaseError> {
        let mut before: Vec<VerifiedCheckpoint> = self.case.verified().into_iter().collect();
        before.retain(|known| known.head().size > TreeSize::ZERO);
        let own = before.len();
        for waiting in self.case.store.pending(self.case.origin())?.iter().rev() {
            let smaller = waiting.head.size < target.head().size && waiting.head.size > TreeSize::ZERO;
            if smaller && before.len() < HEADS_MAX {
                before.extend(self.case.kept(waiting.head)?);
            }
        }
        let tiles = match self.tiles_for(target, &before) {
            Ok(tiles) => tiles,
            Err(Unproved::Read(error)) if !error.is_senseless() => return Ok(Tie::Unread(error.to_string())),
            Err(error) => return Ok(Tie::Unknown(Damage::of_tiles(target.head().size, &error))),
        };
        for (known, at) in before.iter().zip(0..) {
            let Ok((found, _)) = tiles.consistency(known.head().size) else { continue };
            if found.root != known.head().root && self.fork(known, at < own, target)? {
                return Ok(Tie::Forked);
            }
        }
        Ok(Tie::Holds)
    }

    fn tiles_for(
        &self,
        target: &VerifiedCheckpoint,
        before: &[VerifiedCheckpoint],
    ) -> Result<AuthenticTiles, Unproved> {
        let size = target.head().size;
        let nodes = before.iter().filter_map(|known| consistency_nodes(known.head().size, size).ok());
        let nodes: Vec<_> = nodes.flatten().collect();
        let mut last = prove_nodes(&AnyOf(&self.case.sources), target.head(), &nodes);
        for source in self.case.sources.iter().skip(1) {
            if last.is_ok() {
                break;
            }
            last = prove_nodes(source, target.head(), &nodes);
        }
        last
    }

    /// Makes the evidence. `false` if there is none and the verified head is not concerned: one of two heads that
    /// wait is a lie then, and what is verified next shows which.
    fn fork(
        &self,
        known: &VerifiedCheckpoint,
        is_verified: bool,
        target: &VerifiedCheckpoint,
    ) -> Result<bool, CaseError> {
        let case = &self.case;
        let theirs = AnyOf(&case.sources);
        let new = View { checkpoint: target, tiles: &theirs };
        // A head from before the database was lost may still have its hashes here; else the log may serve them.
        let mut files = case.accuse_fork(&View { checkpoint: known, tiles: &case.own_tiles() }, &new)?;
        if files.is_empty() {
            files = case.accuse_fork(&View { checkpoint: known, tiles: &theirs }, &new)?;
        }
        let other = if is_verified { target.head() } else { known.head() };
        if files.is_empty() {
            case.unproved_fork(other)?;
            return Ok(is_verified);
        }
        case.store.settle(case.origin(), other, Standing::Contradicts)?;
        Ok(true)
    }
}

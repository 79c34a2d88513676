//! Tiles to hashes, through authentication and never around it.
//!
//! Every tile, from the log, from a mirror or from our own disk, is authenticated against a signed head before one
//! hash of it is used (CVE-2026-56864, CVE-2026-56865). What comes out is one of four: proved; not read; not there;
//! or bytes that do not belong to the signed tree. The last two are no lie of the log: nobody signed them.

use bytes::Bytes;
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};
use tlog::tile::{Tile, TilePath, partial_tiles};
use tlog::tree::Node;
use tlog::verify_tiles::{
    AuthenticTiles, TilePlan, TilesError, consistency_nodes, plan_tiles, plan_whole_tiles,
};

use crate::source::SourceError;

/// Reads tiles of hashes.
pub trait Tiles {
    /// These tiles, in order; `None` where there is none.
    ///
    /// # Errors
    /// [`SourceError`]: it is not known what is there.
    fn tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<Bytes>>, SourceError>;
}

/// Why hashes could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Unproved {
    /// Not read.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// Not there.
    #[error("{0} is missing")]
    Missing(TilePath),
    /// Not what such an object looks like.
    #[error("{0}: {1}")]
    Senseless(TilePath, SourceError),
    /// Not of the tree.
    #[error("{0}")]
    Wrong(#[from] TilesError),
}

impl Unproved {
    /// The objects that it is about, if it is known which: one of them is missing or wrong.
    #[must_use]
    pub fn paths(&self) -> Vec<TilePath> {
        match self {
            Self::Missing(path)
            | Self::Senseless(path, _)
            | Self::Wrong(
                TilesError::Length(path, _) | TilesError::NotInTree(path) | TilesError::Bundle(path, _),
            ) => vec![*path],
            Self::Wrong(TilesError::RightEdge(size)) => partial_tiles(*size).map(TilePath::Hashes).collect(),
            Self::Read(_) | Self::Wrong(_) => Vec::new(),
        }
    }
}

/// Reads tiles; an answer that no log would give is found out one by one, so that it has a name.
fn read(from: &impl Tiles, tiles: &[Tile]) -> Result<Vec<Option<Bytes>>, Unproved> {
    let together = from.tiles(tiles);
    if !together.as_ref().is_err_and(SourceError::is_senseless) {
        return Ok(together?);
    }
    let mut found = Vec::with_capacity(tiles.len());
    for tile in tiles {
        match from.tiles(&[*tile]) {
            Ok(mut one) => found.push(one.pop().flatten()),
            Err(error) if error.is_senseless() => {
                return Err(Unproved::Senseless(TilePath::Hashes(*tile), error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn authenticate(from: &impl Tiles, plan: TilePlan) -> Result<AuthenticTiles, Unproved> {
    let read = read(from, plan.tiles())?;
    let mut bytes = Vec::with_capacity(read.len());
    for (tile, found) in plan.tiles().iter().zip(read) {
        bytes.push(found.ok_or(Unproved::Missing(TilePath::Hashes(*tile)))?);
    }
    Ok(plan.authenticate(&bytes)?)
}

/// The tiles that hold these nodes of the tree of `head`.
///
/// # Errors
/// [`Unproved`].
pub fn prove_nodes(from: &impl Tiles, head: TreeHead, nodes: &[Node]) -> Result<AuthenticTiles, Unproved> {
    authenticate(from, plan_tiles(head, nodes))
}

/// These tiles whole.
///
/// # Errors
/// [`Unproved`].
pub fn prove_tiles(
    from: &impl Tiles,
    head: TreeHead,
    tiles: impl IntoIterator<Item = Tile>,
) -> Result<AuthenticTiles, Unproved> {
    authenticate(from, plan_whole_tiles(head, tiles))
}

/// The tree that the tree of `head` had when it had `old` entries, with the consistency proof between them.
///
/// # Errors
/// [`Unproved`].
pub fn head_at(from: &impl Tiles, head: TreeHead, old: TreeSize) -> Result<(TreeHead, Vec<Hash>), Unproved> {
    let nodes = consistency_nodes(old, head.size).map_err(TilesError::from)?;
    Ok(prove_nodes(from, head, &nodes)?.consistency(old)?)
}

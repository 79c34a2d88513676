//! Proofs from the published tree: every tile read is authenticated against the published head before a hash
//! of it is used, and every proof is checked before it leaves.
//!
//! Proofs at an older size come from the tiles of the published tree: the consistency proof between the two
//! sizes yields the older root.
//!
//! Absent on purpose: HTTP, and sizes that are not published.

use bytes::Bytes;
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::proof::{check_consistency, check_inclusion, plan_consistency, plan_inclusion};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath, tile_at};
use tlog::tree::Node;
use tlog::verify_tiles::{
    AuthenticTiles, TilePlan, TilesError, consistency_nodes, inclusion_nodes, plan_tiles, plan_whole_tiles,
};

use crate::source::{SourceError, TileSource};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The entry is not in the tree of that size.
    #[error("entry {0} is not in the tree of {1} entries, which are counted from 0")]
    OutOfTree(LeafIndex, TreeSize),
    /// The sizes are in the wrong order.
    #[error("the old size {0} is larger than the new size {1}")]
    Order(TreeSize, TreeSize),
    /// The size is larger than the published tree.
    #[error("{0} entries are not published yet; the newest checkpoint has {1}")]
    NotPublished(TreeSize, TreeSize),
    /// An object that the published tree needs is missing.
    #[error("{0} is missing, and the checkpoint promises it")]
    Missing(TilePath),
    /// Objects cannot be read.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// An object is not the one of the published tree.
    #[error("{0}; the checkpoint promises something else")]
    Damaged(#[from] TilesError),
}

impl From<tlog::proof::ProofError> for ProveError {
    fn from(error: tlog::proof::ProofError) -> Self {
        Self::Damaged(error.into())
    }
}

/// An inclusion proof.
#[derive(Clone, Debug)]
pub struct Inclusion {
    /// The leaf's hash.
    pub leaf: Hash,
    /// The tree it is proved to be in.
    pub head: TreeHead,
    /// The hashes, the leaf's sibling first.
    pub proof: Vec<Hash>,
}

/// Makes proofs. Blocks on the source.
#[derive(Debug)]
pub struct Prover<S> {
    source: S,
}

impl<S: TileSource> Prover<S> {
    /// Proves from what this source reads.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self { source }
    }

    /// Proves that entry `index` is in the tree of `size` entries, which is part of the published one.
    ///
    /// Cost: reads and hashes a few tiles.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn inclusion(
        &self,
        index: LeafIndex,
        size: TreeSize,
        published: TreeHead,
    ) -> Result<Inclusion, ProveError> {
        if size > published.size {
            return Err(ProveError::NotPublished(size, published.size));
        }
        if index.get() >= size.get() {
            return Err(ProveError::OutOfTree(index, size));
        }
        let mut wanted = inclusion_nodes(index, size)?;
        if size == published.size {
            return included(&self.fetch(plan_tiles(published, &wanted))?, index, published);
        }
        wanted.extend(consistency_nodes(size, published.size)?);
        let tiles = self.fetch(plan_tiles(published, &wanted))?;
        let (head, _) = tiles.consistency(size)?;
        included(&tiles, index, head)
    }

    /// Proves that each of these entries is in the published tree, in their order. Tiles that they share are read and
    /// hashed once.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn inclusions(
        &self,
        indexes: &[LeafIndex],
        published: TreeHead,
    ) -> Result<Vec<Inclusion>, ProveError> {
        let mut wanted = Vec::new();
        for index in indexes {
            if index.get() >= published.size.get() {
                return Err(ProveError::OutOfTree(*index, published.size));
            }
            wanted.extend(inclusion_nodes(*index, published.size)?);
        }
        let tiles = self.fetch(plan_tiles(published, &wanted))?;
        indexes.iter().map(|index| included(&tiles, *index, published)).collect()
    }

    /// Proves that the tree of `old` entries is a prefix of the tree of `new` ones; both are part of the
    /// published one.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn consistency(
        &self,
        old: TreeSize,
        new: TreeSize,
        published: TreeHead,
    ) -> Result<(TreeHead, TreeHead, Vec<Hash>), ProveError> {
        if new > published.size {
            return Err(ProveError::NotPublished(new, published.size));
        }
        if old > new {
            return Err(ProveError::Order(old, new));
        }
        let mut wanted = consistency_nodes(old, new)?;
        wanted.extend(consistency_nodes(old, published.size)?);
        wanted.extend(consistency_nodes(new, published.size)?);
        let tiles = self.fetch(plan_tiles(published, &wanted))?;
        let (old_head, _) = tiles.consistency(old)?;
        let (new_head, _) = tiles.consistency(new)?;
        let plan = plan_consistency(old, new)?;
        let hashes = nodes(&tiles, plan.nodes())?;
        let proof = plan.finish(&hashes)?;
        check_consistency(&old_head, &new_head, &proof)?;
        Ok((old_head, new_head, proof))
    }

    /// The entry at `index` with its inclusion proof in the published tree.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn entry(&self, index: LeafIndex, published: TreeHead) -> Result<(Bytes, Inclusion), ProveError> {
        let inclusion = self.inclusion(index, published.size, published)?;
        let mut entries = self.entries(index, 1, published)?;
        Ok((entries.remove(0), inclusion))
    }

    /// Up to `count` entries from `first` on, as many as one bundle holds, authenticated. Never empty.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn entries(
        &self,
        first: LeafIndex,
        count: u64,
        published: TreeHead,
    ) -> Result<Vec<Bytes>, ProveError> {
        let number = first.get() / TILE_WIDTH;
        let tile = tile_at(0, number, published.size).ok_or(ProveError::OutOfTree(first, published.size))?;
        let at = usize::try_from(first.get() % TILE_WIDTH).expect("below 256");
        if at >= usize::from(tile.width()) {
            return Err(ProveError::OutOfTree(first, published.size));
        }
        let tiles = self.fetch(plan_whole_tiles(published, [tile]))?;
        let bundle = Bundle::new(number, tile.width()).map_err(|_| TilesError::NotPlanned)?;
        let path = TilePath::Entries(bundle);
        let bytes = self.read(&[path])?.remove(0);
        let entries = tiles.check_bundle(bundle, &bytes)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
        Ok(entries.into_iter().skip(at).take(count).map(|entry| bytes.slice_ref(entry)).collect())
    }

    fn fetch(&self, plan: TilePlan) -> Result<AuthenticTiles, ProveError> {
        let paths: Vec<TilePath> = plan.tiles().iter().map(|tile| TilePath::Hashes(*tile)).collect();
        let fetched = self.read(&paths)?;
        Ok(plan.authenticate(&fetched)?)
    }

    fn read(&self, paths: &[TilePath]) -> Result<Vec<Bytes>, ProveError> {
        let read = self.source.read(paths)?.into_iter();
        read.zip(paths).map(|(bytes, path)| bytes.ok_or(ProveError::Missing(*path))).collect()
    }
}

/// The proof out of authenticated tiles, checked.
fn included(tiles: &AuthenticTiles, index: LeafIndex, head: TreeHead) -> Result<Inclusion, ProveError> {
    let leaf = tiles.node(Node { height: 0, index: index.get() }).ok_or(TilesError::NotPlanned)?;
    let plan = plan_inclusion(index, head.size)?;
    let hashes = nodes(tiles, plan.nodes())?;
    let proof = plan.finish(&hashes)?;
    check_inclusion(&leaf, index, &head, &proof)?;
    Ok(Inclusion { leaf, head, proof })
}

fn nodes(tiles: &AuthenticTiles, wanted: &[Node]) -> Result<Vec<Hash>, TilesError> {
    wanted.iter().map(|node| tiles.node(*node).ok_or(TilesError::NotPlanned)).collect()
}

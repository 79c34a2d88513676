//! Authenticates tiles against a tree head before any hash of them is used.
//!
//! The partial tiles of a tree fold to its root, so they are checked together; a full tile hashes to one
//! hash of the tile above it. [`plan_tiles`] therefore asks for the wanted tiles, every tile above them and all
//! partial tiles, and [`TilePlan::authenticate`] either proves every one of them whole, or names one that is
//! wrong. Nothing is believed because it was next to something that was proved.
//!
//! ```
//! use tlog::{hash::leaf_hash, ids::*, tree::Frontier, verify_tiles::plan_tiles};
//! let mut frontier = Frontier::new();
//! frontier.push(leaf_hash(b"a"), |_, _| ());
//! frontier.push(leaf_hash(b"b"), |_, _| ());
//! let plan = plan_tiles(frontier.head(), &[]);
//! assert_eq!(plan.tiles().len(), 1);
//! let tile = [*leaf_hash(b"a").as_bytes(), *leaf_hash(b"b").as_bytes()].concat();
//! let tiles = plan.authenticate(&[tile]).unwrap();
//! let proof = tiles.inclusion(LeafIndex::new(1).unwrap()).unwrap();
//! assert_eq!(proof, [leaf_hash(b"a")]);
//! ```
//!
//! Absent on purpose: fetching, and entries; bundles are compared with an authentic level 0 tile by
//! [`AuthenticTiles::check_bundle`].

use std::collections::BTreeMap;

use crate::bundle::{self, BundleError};
use crate::hash::{HASH_BYTES, Hash, leaf_hash, node_hash};
use crate::ids::{LeafIndex, TreeHead, TreeSize};
use crate::proof::{
    Plan, ProofError, check_consistency, check_inclusion, check_subtree_consistency, plan_consistency,
    plan_inclusion, plan_subtree_consistency,
};
use crate::tile::{Bundle, Tile, TilePath, partial_tiles, tile_at, tile_of};
use crate::tree::{Node, fold};

/// A full tile is a complete subtree of this height.
const TILE_HEIGHT: u8 = 8;

/// Why tiles were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilesError {
    /// The caller brought another number of tiles than the plan asked for.
    #[error("{found} tiles were fetched where {expected} are needed")]
    Count {
        /// Tiles asked for.
        expected: usize,
        /// Tiles brought.
        found: usize,
    },
    /// The length is not that of the tile.
    #[error("{0} has {1} bytes")]
    Length(TilePath, usize),
    /// The tile's hashes are not those of the tree.
    #[error("{0} does not belong to the tree")]
    NotInTree(TilePath),
    /// The partial tiles do not hash to the root; one or more of them is wrong, and it cannot be told which.
    #[error("the partial tiles of the tree of {0} entries do not hash to its root")]
    RightEdge(TreeSize),
    /// A bundle is malformed.
    #[error("{0} is malformed: {1}")]
    Bundle(TilePath, BundleError),
    /// The entry does not hash to the leaf.
    #[error("entry {0} is not the one that the tree holds")]
    Entry(u64),
    /// A node was asked for that the plan did not ask for.
    #[error("the tiles at hand do not hold what the proof needs")]
    NotPlanned,
    /// There is no such proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Which tiles must be fetched, and how they are checked.
#[derive(Clone, Debug)]
pub struct TilePlan {
    head: TreeHead,
    tiles: Vec<Tile>,
}

/// Plans the tiles that hold `wanted` (nodes outside the tree are ignored) and all that authenticates them.
#[must_use]
pub fn plan_tiles(head: TreeHead, wanted: &[Node]) -> TilePlan {
    let tiles = wanted.iter().filter_map(|node| tile_of(*node, head.size));
    plan_whole_tiles(head, tiles)
}

/// Plans whole tiles and all that authenticates them. Each is planned in the width that it has in the tree of `head`,
/// whatever width it is asked for in; tiles outside the tree are ignored.
#[must_use]
pub fn plan_whole_tiles(head: TreeHead, wanted: impl IntoIterator<Item = Tile>) -> TilePlan {
    // Lowest level first, so that a parent is checked after its children were compared with it.
    let mut tiles: BTreeMap<(u8, u64), Tile> =
        partial_tiles(head.size).map(|tile| ((tile.level(), tile.index()), tile)).collect();
    for mut tile in wanted.into_iter().filter_map(|tile| tile_at(tile.level(), tile.index(), head.size)) {
        while tiles.insert((tile.level(), tile.index()), tile).is_none() {
            match tile.parent(head.size) {
                Some((parent, _)) if tile.is_full() => tile = parent,
                _ => break,
            }
        }
    }
    TilePlan { head, tiles: tiles.into_values().collect() }
}

impl TilePlan {
    /// The tiles to fetch, in the order in which [`TilePlan::authenticate`] takes them.
    #[must_use]
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Checks every fetched tile against the head. All or nothing.
    ///
    /// Cost: one node hash for each hash in the tiles.
    ///
    /// # Errors
    /// [`TilesError`] names a tile that is wrong.
    pub fn authenticate<B: AsRef<[u8]>>(self, fetched: &[B]) -> Result<AuthenticTiles, TilesError> {
        if fetched.len() != self.tiles.len() {
            return Err(TilesError::Count { expected: self.tiles.len(), found: fetched.len() });
        }
        let mut tiles = BTreeMap::new();
        for (tile, bytes) in self.tiles.iter().zip(fetched) {
            let subtrees = Subtrees::over(parse(*tile, bytes.as_ref())?);
            tiles.insert((tile.level(), tile.index()), (*tile, subtrees));
        }
        let authentic = AuthenticTiles { head: self.head, tiles };
        authentic.check_right_edge()?;
        authentic.check_full_tiles()?;
        Ok(authentic)
    }
}

fn parse(tile: Tile, bytes: &[u8]) -> Result<Vec<Hash>, TilesError> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.len() != usize::from(tile.width()) || !rest.is_empty() {
        return Err(TilesError::Length(TilePath::Hashes(tile), bytes.len()));
    }
    Ok(hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect())
}

/// The hashes of a tile, and the roots of all complete subtrees over them by height. Each is computed once, however many
/// proofs are made.
#[derive(Clone, Debug)]
struct Subtrees(Vec<Vec<Hash>>);

impl Subtrees {
    fn over(hashes: Vec<Hash>) -> Self {
        let mut heights = vec![hashes];
        while let Some(below) = heights.last().filter(|below| below.len() > 1) {
            let pairs = below.as_chunks::<2>().0;
            let above = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            heights.push(above);
        }
        Self(heights)
    }

    fn hashes(&self) -> &[Hash] {
        &self.0[0]
    }

    /// The root of the subtree number `at` of this height.
    fn root(&self, height: u8, at: usize) -> Option<Hash> {
        self.0.get(usize::from(height))?.get(at).copied()
    }

    /// The largest complete subtrees, largest first.
    fn peaks(&self) -> impl Iterator<Item = Hash> {
        let width = self.hashes().len();
        let heights = self.0.iter().enumerate().rev();
        heights.filter_map(move |(height, roots)| {
            // Where this height's bit of the width is set, its last subtree has none beside it to grow larger with.
            if (width >> height) & 1 == 1 { roots.last().copied() } else { None }
        })
    }
}

/// Tiles that were proved to belong to the tree of a head.
#[derive(Clone, Debug)]
pub struct AuthenticTiles {
    head: TreeHead,
    tiles: BTreeMap<(u8, u64), (Tile, Subtrees)>,
}

impl AuthenticTiles {
    /// The partial tiles, highest level first, are the peaks of the tree.
    fn check_right_edge(&self) -> Result<(), TilesError> {
        let mut peaks = Vec::new();
        for partial in partial_tiles(self.head.size).collect::<Vec<_>>().into_iter().rev() {
            peaks.extend(self.subtrees(partial).ok_or(TilesError::NotPlanned)?.peaks());
        }
        let root = fold(&peaks).unwrap_or(Hash::EMPTY_ROOT);
        if root == self.head.root { Ok(()) } else { Err(TilesError::RightEdge(self.head.size)) }
    }

    /// From the top down, so that the tile named is one whose parent is right.
    fn check_full_tiles(&self) -> Result<(), TilesError> {
        for (tile, subtrees) in self.tiles.values().rev().filter(|(tile, _)| tile.is_full()) {
            let (parent, at) = tile.parent(self.head.size).ok_or(TilesError::NotPlanned)?;
            let expected =
                self.hashes(parent).and_then(|above| above.get(at)).ok_or(TilesError::NotPlanned)?;
            if subtrees.root(TILE_HEIGHT, 0) != Some(*expected) {
                return Err(TilesError::NotInTree(TilePath::Hashes(*tile)));
            }
        }
        Ok(())
    }

    /// The head they belong to.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The hashes of a tile; `None` if it was not among those planned.
    #[must_use]
    pub fn hashes(&self, tile: Tile) -> Option<&[Hash]> {
        self.subtrees(tile).map(Subtrees::hashes)
    }

    fn subtrees(&self, tile: Tile) -> Option<&Subtrees> {
        let (found, subtrees) = self.tiles.get(&(tile.level(), tile.index()))?;
        (*found == tile).then_some(subtrees)
    }

    /// The hash of a complete subtree; `None` if the tiles do not hold it.
    #[must_use]
    pub fn node(&self, node: Node) -> Option<Hash> {
        let within = node.height % TILE_HEIGHT;
        let at = usize::try_from(node.index % (1 << (TILE_HEIGHT - within))).ok()?;
        self.subtrees(tile_of(node, self.head.size)?)?.root(within, at)
    }

    /// The inclusion proof of a leaf, checked. The leaf's level 0 tile and [`plan_inclusion`]'s nodes must have
    /// been planned.
    ///
    /// # Errors
    /// [`TilesError::NotPlanned`], or that there is no such leaf.
    pub fn inclusion(&self, index: LeafIndex) -> Result<Vec<Hash>, TilesError> {
        let proof = self.finish(plan_inclusion(index, self.head.size)?)?;
        let leaf = self.node(Node { height: 0, index: index.get() }).ok_or(TilesError::NotPlanned)?;
        check_inclusion(&leaf, index, &self.head, &proof)?;
        Ok(proof)
    }

    /// The head of the tree's first `old` leaves and its consistency proof, checked. Its nodes must have been
    /// planned: see [`consistency_nodes`].
    ///
    /// # Errors
    /// [`TilesError::NotPlanned`], or that `old` is larger than the tree.
    pub fn consistency(&self, old: TreeSize) -> Result<(TreeHead, Vec<Hash>), TilesError> {
        let proof = self.finish(plan_consistency(old, self.head.size)?)?;
        let peaks: Option<Vec<Hash>> =
            crate::tree::nodes_of(0..old.get()).map(|node| self.node(node)).collect();
        let root = fold(&peaks.ok_or(TilesError::NotPlanned)?).unwrap_or(Hash::EMPTY_ROOT);
        let head = TreeHead { size: old, root };
        check_consistency(&head, &self.head, &proof)?;
        Ok((head, proof))
    }

    /// The hash of a complete subtree and its consistency proof, checked; for a leaf that is its inclusion proof.
    /// The nodes must have been planned: see [`crate::evidence::fork::subtree_nodes`].
    ///
    /// # Errors
    /// [`TilesError::NotPlanned`], or that the subtree is not in the tree.
    pub fn subtree(&self, node: Node) -> Result<(Hash, Vec<Hash>), TilesError> {
        let leaves = node.leaves();
        let proof = self.finish(plan_subtree_consistency(leaves.start, leaves.end, self.head.size)?)?;
        let hash = self.node(node).ok_or(TilesError::NotPlanned)?;
        check_subtree_consistency(leaves.start, leaves.end, &hash, &self.head, &proof)?;
        Ok((hash, proof))
    }

    fn finish(&self, plan: Plan) -> Result<Vec<Hash>, TilesError> {
        let hashes: Option<Vec<Hash>> = plan.nodes().iter().map(|node| self.node(*node)).collect();
        Ok(plan.finish(&hashes.ok_or(TilesError::NotPlanned)?)?)
    }

    /// Splits a bundle into entries, each compared with its leaf hash in the authentic level 0 tile.
    ///
    /// # Errors
    /// [`TilesError::Entry`] names the first entry that differs.
    pub fn check_bundle<'a>(&self, bundle: Bundle, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, TilesError> {
        let leaves = self.hashes(bundle.tile()).ok_or(TilesError::NotPlanned)?;
        let entries = bundle::entries(bytes, bundle.width())
            .map_err(|error| TilesError::Bundle(TilePath::Entries(bundle), error))?;
        for (at, (entry, leaf)) in (0..).zip(entries.iter().zip(leaves)) {
            if leaf_hash(entry) != *leaf {
                return Err(TilesError::Entry(bundle.index() * 256 + at));
            }
        }
        Ok(entries)
    }
}

/// The nodes to plan for the inclusion proof of a leaf: the leaf and the plan's own.
///
/// # Errors
/// [`ProofError::OutOfTree`].
pub fn inclusion_nodes(index: LeafIndex, size: TreeSize) -> Result<Vec<Node>, ProofError> {
    let mut nodes = plan_inclusion(index, size)?.nodes().to_vec();
    nodes.push(Node { height: 0, index: index.get() });
    Ok(nodes)
}

/// The nodes to plan for a consistency proof and the old root.
///
/// # Errors
/// [`ProofError::NotASubtree`] if `old` is the larger one.
pub fn consistency_nodes(old: TreeSize, new: TreeSize) -> Result<Vec<Node>, ProofError> {
    let mut nodes = plan_consistency(old, new)?.nodes().to_vec();
    nodes.extend(crate::tree::nodes_of(0..old.get()));
    Ok(nodes)
}

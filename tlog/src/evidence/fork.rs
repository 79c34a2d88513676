//! Finds where two trees part: which nodes to read in both, until one complete subtree differs.
//!
//! The tree of the smaller size is made of complete subtrees that the larger tree must hold as well. If one of them
//! has another hash there, the trees are forked, and what is below it is searched, a tile at a time, for the first
//! leaf that differs; if none has, the smaller tree is the beginning of the larger.
//!
//! ```
//! use tlog::{evidence::fork::{ForkSearch, Step}, ids::TreeSize, tree::Node};
//! let search = ForkSearch::new(TreeSize::new(3).unwrap(), TreeSize::new(9).unwrap());
//! assert_eq!(search.nodes(), [Node { height: 1, index: 0 }, Node { height: 0, index: 2 }]);
//! ```
//!
//! Absent on purpose: reading. Hashes must come from tiles that were authenticated against the two signed heads
//! ([`crate::verify_tiles`]), or the proofs that follow will not hold.

use super::{Evidence, NoContradiction, Proved};
use crate::hash::Hash;
use crate::ids::TreeSize;
use crate::note::Note;
use crate::proof::{ProofError, plan_subtree_consistency};
use crate::tree::{Node, nodes_of};
use crate::verify_tiles::{AuthenticTiles, TilesError};
use crate::vkey::VerifierKey;

/// Levels of the tree that one tile spans.
const TILE_LEVELS: u8 = 8;

/// A search that waits for hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkSearch {
    nodes: Vec<Node>,
}

/// What a round of the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The smaller tree is the beginning of the larger.
    Consistent,
    /// Something differs; the next nodes to read, in both trees.
    Search(ForkSearch),
    /// The first leaf that differs.
    Leaf(Node),
}

impl ForkSearch {
    /// Begins with the complete subtrees of the smaller tree. For an empty one there are none to read.
    #[must_use]
    pub fn new(one: TreeSize, other: TreeSize) -> Self {
        Self { nodes: nodes_of(0..one.min(other).get()).collect() }
    }

    /// The nodes whose hashes [`ForkSearch::advance`] takes, at most 256.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Goes on with the hashes of these nodes in either tree.
    ///
    /// Ends after at most nine rounds.
    ///
    /// # Errors
    /// [`ProofError::HashCount`] for any other number of hashes.
    pub fn advance(self, one: &[Hash], other: &[Hash]) -> Result<Step, ProofError> {
        let expected = self.nodes.len();
        for found in [one.len(), other.len()] {
            if found != expected {
                return Err(ProofError::HashCount(expected, found));
            }
        }
        let differs = self.nodes.iter().zip(one.iter().zip(other)).find(|(_, (one, other))| one != other);
        let Some((&node, _)) = differs else { return Ok(Step::Consistent) };
        let Some(above) = node.height.checked_sub(1) else { return Ok(Step::Leaf(node)) };
        // All that lies below in the tile of the next lower level.
        let height = above / TILE_LEVELS * TILE_LEVELS;
        let leaves = node.leaves();
        let indexes = leaves.start >> height..leaves.end >> height;
        Ok(Step::Search(Self { nodes: indexes.map(|index| Node { height, index }).collect() }))
    }
}

/// The nodes to read in a tree for a subtree's hash and its proof.
///
/// # Errors
/// [`ProofError::NotASubtree`] if it is not in the tree.
pub fn subtree_nodes(node: Node, size: TreeSize) -> Result<Vec<Node>, ProofError> {
    let leaves = node.leaves();
    let mut nodes = plan_subtree_consistency(leaves.start, leaves.end, size)?.nodes().to_vec();
    nodes.push(node);
    Ok(nodes)
}

/// Evidence of a fork: `node`, as [`ForkSearch`] found it, in two views of a log. For either view the signed
/// checkpoint, and tiles with the nodes of [`subtree_nodes`].
///
/// # Errors
/// [`ForkError`]: the tiles lack something, or the views prove nothing.
pub fn evidence(
    keys: &[VerifierKey],
    node: Node,
    one: (&Note, &AuthenticTiles),
    other: (&Note, &AuthenticTiles),
) -> Result<Evidence, ForkError> {
    let proved = |(checkpoint, tiles): (&Note, &AuthenticTiles)| {
        let (content, proof) = tiles.subtree(node)?;
        Ok::<_, TilesError>(Proved { checkpoint: checkpoint.clone(), content, proof })
    };
    Ok(Evidence::two_subtrees(keys, node, proved(one)?, proved(other)?)?)
}

/// Why two views give no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The tiles at hand do not hold the proof.
    #[error(transparent)]
    Tiles(#[from] TilesError),
    /// The views prove nothing.
    #[error(transparent)]
    NoContradiction(#[from] NoContradiction),
}

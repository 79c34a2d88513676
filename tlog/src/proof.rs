//! Inclusion, consistency and subtree proofs: plan, read, check.
//!
//! A [`Plan`] says which complete subtrees a proof is made of; the caller reads their hashes in one go, and
//! [`Plan::finish`] folds exactly those into the proof. The checkers follow the recursive definitions of RFC 6962
//! section 2.1 and of draft-ietf-plants-merkle-tree-certs section 4 and consume the whole proof or refuse it.
//!
//! For `start = 0` a subtree consistency proof is RFC 6962's consistency proof, and for a single leaf it is the
//! inclusion proof; the code is shared accordingly.
//!
//! Absent on purpose: where hashes come from. Tiles are authenticated in [`crate::verify_tiles`].

use std::ops::Range;

use crate::hash::{Hash, node_hash};
use crate::ids::{LeafIndex, TreeHead, TreeSize};
use crate::tree::{Node, fold, nodes_of, split_below};

/// Hashes in the longest proof that the protocols carry (tlog-witness, "add-checkpoint").
pub const PROOF_HASHES_MAX: usize = 63;

/// Why there is no proof, or why one does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf is not in a tree of that size.
    #[error("entry {0} is not in a tree of {1} entries")]
    OutOfTree(u64, u64),
    /// The range is no subtree of the tree.
    #[error("[{0}, {1}) is not a subtree of a tree of {2} entries")]
    NotASubtree(u64, u64, u64),
    /// A plan was given another number of hashes than it asked for.
    #[error("the plan needs {0} hashes, and was given {1}")]
    HashCount(usize, usize),
    /// Too few or too many hashes.
    #[error("the proof has {0} hashes, which is not the number that this proof must have")]
    Length(usize),
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Root,
}

impl ProofError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfTree(..) => "out_of_tree",
            Self::NotASubtree(..) => "not_a_subtree",
            Self::HashCount(..) => "hash_count",
            Self::Length(_) => "length",
            Self::Root => "root",
        }
    }
}

/// Which complete subtrees make up a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    nodes: Vec<Node>,
    /// How many of the nodes fold into each hash of the proof.
    groups: Vec<usize>,
}

impl Plan {
    fn new(ranges: &[Range<u64>]) -> Self {
        let nodes: Vec<Vec<Node>> = ranges.iter().map(|range| nodes_of(range.clone()).collect()).collect();
        Self { groups: nodes.iter().map(Vec::len).collect(), nodes: nodes.concat() }
    }

    /// The subtrees whose hashes [`Plan::finish`] needs, in its order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The proof, from the hashes of [`Plan::nodes`].
    ///
    /// # Errors
    /// [`ProofError::HashCount`] for any other number of hashes.
    pub fn finish(self, hashes: &[Hash]) -> Result<Vec<Hash>, ProofError> {
        if hashes.len() != self.nodes.len() {
            return Err(ProofError::HashCount(self.nodes.len(), hashes.len()));
        }
        let mut rest = hashes;
        let mut proof = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            let (these, after) = rest.split_at(group);
            proof.push(fold(these).expect("a range of a plan is not empty"));
            rest = after;
        }
        Ok(proof)
    }
}

/// Plans the inclusion proof of a leaf (RFC 6962, 2.1.1).
///
/// # Errors
/// [`ProofError::OutOfTree`].
pub fn plan_inclusion(index: LeafIndex, size: TreeSize) -> Result<Plan, ProofError> {
    if index.get() >= size.get() {
        return Err(ProofError::OutOfTree(index.get(), size.get()));
    }
    plan_subtree_consistency(index.get(), index.get() + 1, size)
}

/// Plans the consistency proof between two sizes (RFC 6962, 2.1.2); empty from size 0 and between equal sizes.
///
/// # Errors
/// [`ProofError::NotASubtree`] if `old` is the larger one.
pub fn plan_consistency(old: TreeSize, new: TreeSize) -> Result<Plan, ProofError> {
    plan_subtree_consistency(0, old.get(), new)
}

/// Plans the proof that the subtree `[start, end)` belongs to the tree of `size` leaves.
///
/// # Errors
/// [`ProofError::NotASubtree`] if it does not.
pub fn plan_subtree_consistency(start: u64, end: u64, size: TreeSize) -> Result<Plan, ProofError> {
    check_subtree(start, end, size)?;
    let mut ranges = Vec::new();
    if start < end {
        plan_within(start..end, 0..size.get(), true, &mut ranges);
    }
    Ok(Plan::new(&ranges))
}

/// `SUB(start, end, D[tree], known)`: `known` while the subtree's own hash is in the verifier's hands.
fn plan_within(subtree: Range<u64>, tree: Range<u64>, known: bool, out: &mut Vec<Range<u64>>) {
    if subtree == tree {
        if !known {
            out.push(tree);
        }
        return;
    }
    let middle = tree.start + split_below(tree.end - tree.start);
    if subtree.end <= middle {
        plan_within(subtree, tree.start..middle, known, out);
        out.push(middle..tree.end);
    } else if middle <= subtree.start {
        plan_within(subtree, middle..tree.end, known, out);
        out.push(tree.start..middle);
    } else {
        plan_within(middle..subtree.end, middle..tree.end, false, out);
        out.push(tree.start..middle);
    }
}

fn check_subtree(start: u64, end: u64, size: TreeSize) -> Result<(), ProofError> {
    let aligned = start <= end
        && end <= size.get()
        && start.is_multiple_of((end - start).checked_next_power_of_two().unwrap_or(u64::MAX).max(1));
    if aligned { Ok(()) } else { Err(ProofError::NotASubtree(start, end, size.get())) }
}

/// Checks that `leaf` is leaf `index` of the tree.
///
/// # Errors
/// [`ProofError`]; the proof is used whole or not at all.
pub fn check_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    head: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let index = index.get();
    if index >= head.size.get() {
        return Err(ProofError::OutOfTree(index, head.size.get()));
    }
    check_subtree_consistency(index, index + 1, leaf, head, proof)
}

/// Checks that the tree `new` begins with the tree `old`.
///
/// # Errors
/// [`ProofError`]. From size 0 the proof must be empty and the old root that of the empty tree; between equal
/// sizes the proof must be empty and the roots equal.
pub fn check_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    check_subtree_consistency(0, old.size.get(), &old.root, new, proof)
}

/// Checks that `leaf` is leaf `index` of the tree, in the subtree `[start, end)` with hash `root`.
///
/// # Errors
/// [`ProofError`].
pub fn check_subtree_inclusion(
    leaf: &Hash,
    index: u64,
    start: u64,
    end: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let not_a_subtree = ProofError::NotASubtree(start, end, end);
    let size = TreeSize::new(end).map_err(|_| not_a_subtree)?;
    check_subtree(start, end, size)?;
    if !(start..end).contains(&index) {
        return Err(ProofError::OutOfTree(index, end));
    }
    let index = LeafIndex::new(index - start).map_err(|_| not_a_subtree)?;
    let size = TreeSize::new(end - start).map_err(|_| not_a_subtree)?;
    check_inclusion(leaf, index, &TreeHead { size, root: *root }, proof)
}

/// Checks that the subtree `[start, end)` with hash `root` belongs to the tree.
///
/// # Errors
/// [`ProofError`].
pub fn check_subtree_consistency(
    start: u64,
    end: u64,
    root: &Hash,
    head: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    check_subtree(start, end, head.size)?;
    if start == end {
        let empty =
            *root == Hash::EMPTY_ROOT && (head.size != TreeSize::ZERO || head.root == Hash::EMPTY_ROOT);
        return match (proof.len(), empty) {
            (0, true) => Ok(()),
            (0, false) => Err(ProofError::Root),
            (length, _) => Err(ProofError::Length(length)),
        };
    }
    let mut hashes = proof.iter();
    let found = rebuild(start..end, 0..head.size.get(), Some(root), &mut hashes);
    match found {
        Some(_) if hashes.len() > 0 => Err(ProofError::Length(proof.len())),
        None => Err(ProofError::Length(proof.len())),
        Some((subtree, tree)) if subtree == *root && tree == head.root => Ok(()),
        Some(_) => Err(ProofError::Root),
    }
}

/// Rebuilds the hashes of the subtree and of the tree from the proof, mirroring [`plan_within`]; `None` if the
/// proof is too short.
fn rebuild(
    subtree: Range<u64>,
    tree: Range<u64>,
    known: Option<&Hash>,
    proof: &mut std::slice::Iter<'_, Hash>,
) -> Option<(Hash, Hash)> {
    if subtree == tree {
        let hash = known.or_else(|| proof.next())?;
        return Some((*hash, *hash));
    }
    let middle = tree.start + split_below(tree.end - tree.start);
    if subtree.end <= middle {
        let (sub, left) = rebuild(subtree, tree.start..middle, known, proof)?;
        Some((sub, node_hash(&left, proof.next()?)))
    } else if middle <= subtree.start {
        let (sub, right) = rebuild(subtree, middle..tree.end, known, proof)?;
        Some((sub, node_hash(proof.next()?, &right)))
    } else {
        let (sub, right) = rebuild(middle..subtree.end, middle..tree.end, None, proof)?;
        let left = proof.next()?;
        Some((node_hash(left, &sub), node_hash(left, &right)))
    }
}

//! What two signed trees contradict each other about, and the check that they do.

use super::head::{SignedHead, signed_by_one_key};
use super::{About, Leaf, NoContradiction, Proved};
use crate::hash::Hash;
use crate::ids::{LeafIndex, TreeHead};
use crate::proof::{ProofError, check_inclusion, check_subtree_consistency};
use crate::tree::Node;
use crate::vkey::VerifierKey;

/// One of two trees, with what is proved to be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side<T> {
    pub(super) head: SignedHead,
    pub(super) content: T,
    pub(super) proof: Vec<Hash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Roots([SignedHead; 2]),
    Subtrees { node: Node, sides: [Side<Hash>; 2] },
    Leaves { index: LeafIndex, sides: [Side<Leaf>; 2] },
}

/// The smaller tree first, so that a contradiction has one form.
pub(super) fn ordered<T>(mut sides: [T; 2], head: impl Fn(&T) -> TreeHead) -> [T; 2] {
    let [first, second] = [head(&sides[0]), head(&sides[1])];
    if (first.size, first.root) > (second.size, second.root) {
        sides.swap(0, 1);
    }
    sides
}

/// The first of `keys` that has signed both checkpoints, and the two sides under its signatures.
pub(super) fn sides<T>(
    keys: &[VerifierKey],
    one: Proved<T>,
    other: Proved<T>,
) -> Result<(VerifierKey, [Side<T>; 2]), NoContradiction> {
    let (accused, [first, second]) = signed_by_one_key(keys, [&one.checkpoint, &other.checkpoint])?;
    let side = |head, proved: Proved<T>| Side { head, content: proved.content, proof: proved.proof };
    Ok((accused, ordered([side(first, one), side(second, other)], |side| side.head.head())))
}

impl Claim {
    pub(super) fn heads(&self) -> [&SignedHead; 2] {
        match self {
            Self::Roots(heads) => heads.each_ref(),
            Self::Subtrees { sides, .. } => sides.each_ref().map(|side| &side.head),
            Self::Leaves { sides, .. } => sides.each_ref().map(|side| &side.head),
        }
    }

    /// What each tree is proved to hold; `None` where the roots are all.
    pub(super) fn content(&self) -> Option<[Hash; 2]> {
        match self {
            Self::Roots(_) => None,
            Self::Subtrees { sides, .. } => Some(sides.each_ref().map(|side| side.content)),
            Self::Leaves { sides, .. } => Some(sides.each_ref().map(|side| side.content.hash())),
        }
    }

    /// Checks everything but the signatures.
    pub(super) fn check(&self) -> Result<About, NoContradiction> {
        if self.content().is_some_and(|[one, other]| one == other) {
            return Err(NoContradiction::SameContent);
        }
        match self {
            Self::Roots(heads) => {
                let [one, other] = heads.each_ref().map(|head| head.head().size);
                if one == other { Ok(About::Roots) } else { Err(NoContradiction::OtherSizes(one, other)) }
            }
            Self::Subtrees { node, sides } => {
                let leaves = node.leaves();
                each_proof(sides, |side| {
                    let head = side.head.head();
                    check_subtree_consistency(leaves.start, leaves.end, &side.content, &head, &side.proof)
                })?;
                Ok(About::Subtrees { leaves, hashes: sides.each_ref().map(|side| side.content) })
            }
            Self::Leaves { index, sides } => {
                each_proof(sides, |side| {
                    check_inclusion(&side.content.hash(), *index, &side.head.head(), &side.proof)
                })?;
                Ok(About::Leaves { index: *index, leaves: sides.each_ref().map(|side| side.content.clone()) })
            }
        }
    }
}

fn each_proof<T>(
    sides: &[Side<T>; 2],
    check: impl Fn(&Side<T>) -> Result<(), ProofError>,
) -> Result<(), NoContradiction> {
    let mut numbered = sides.iter().zip(1..);
    numbered.try_for_each(|(side, at)| check(side).map_err(|error| NoContradiction::Proof(at, error)))
}

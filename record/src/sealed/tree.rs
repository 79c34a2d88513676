//! A small Merkle tree over a power of two of leaves, with proofs for several at once, by `rs_merkle`.
//!
//! Two things that library leaves to its users: the hasher overrides leaf and node hashing both, so that neither can
//! stand for the other; and the number of hashes in a proof is checked before it is asked, because it ignores those
//! that it does not need.

use rs_merkle::{Hasher, MerkleProof, MerkleTree};
use tlog::hash::{Hash, leaf_hash, node_hash};

#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        *leaf_hash(data).as_bytes()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        // A tree over a power of two of leaves has one lone node, the root, which the library carries up as it is.
        let Some(right) = right else { return *left };
        *node_hash(&Hash::from_bytes(*left), &Hash::from_bytes(*right)).as_bytes()
    }
}

pub(super) struct Tree(MerkleTree<Rfc6962>);

impl Tree {
    /// A tree over leaf hashes, as many as a power of two.
    pub(super) fn new(leaves: &[Hash]) -> Self {
        assert!(leaves.len().is_power_of_two(), "the leaves are padded");
        let leaves: Vec<[u8; 32]> = leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
        Self(MerkleTree::from_leaves(&leaves))
    }

    pub(super) fn root(&self) -> Hash {
        Hash::from_bytes(self.0.root().expect("a tree with leaves has a root"))
    }

    pub(super) fn place_of(&self, leaf: &Hash) -> Option<usize> {
        self.0.leaves()?.iter().position(|other| other == leaf.as_bytes())
    }

    /// A proof for the leaves at these places, ascending.
    pub(super) fn prove(&self, places: &[usize]) -> Vec<Hash> {
        self.0.proof(places).proof_hashes().iter().map(|hash| Hash::from_bytes(*hash)).collect()
    }
}

/// How many hashes a proof has for these places, ascending, of a tree of that many leaves.
pub(super) fn proof_length(places: &[usize], leaves: usize) -> usize {
    let mut level: Vec<usize> = places.to_vec();
    let (mut width, mut length) = (leaves, 0);
    while width > 1 {
        length += level.iter().filter(|place| level.binary_search(&(*place ^ 1)).is_err()).count();
        level = level.iter().map(|place| place / 2).collect();
        level.dedup();
        width /= 2;
    }
    length
}

/// Whether the proof holds. The places ascend and are below `leaves`, and there is one.
pub(super) fn verify(root: &Hash, places: &[usize], hashes: &[Hash], leaves: usize, proof: &[Hash]) -> bool {
    let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = places.last().is_some_and(|last| *last < leaves);
    if !ascending || !inside || places.len() != hashes.len() || proof.len() != proof_length(places, leaves) {
        return false;
    }
    let bytes = |hashes: &[Hash]| -> Vec<[u8; 32]> { hashes.iter().map(|hash| *hash.as_bytes()).collect() };
    MerkleProof::<Rfc6962>::new(bytes(proof)).verify(*root.as_bytes(), places, &bytes(hashes), leaves)
}

#[cfg(test)]
mod tests {
    use tlog::tree::Frontier;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
    }

    #[test]
    fn the_root_is_that_of_rfc_6962() {
        for count in [1, 2, 4, 16, 64] {
            let mut frontier = Frontier::new();
            leaves(count).iter().for_each(|leaf| {
                frontier.push(*leaf, |_, _| ());
            });
            assert_eq!(Tree::new(&leaves(count)).root(), frontier.head().root);
        }
    }

    #[test]
    fn every_choice_of_leaves_is_proved_and_with_a_hash_more_or_less_it_is_not() {
        let all = leaves(8);
        let tree = Tree::new(&all);
        for choice in 1_usize..256 {
            let places: Vec<usize> = (0..8).filter(|place| choice >> place & 1 == 1).collect();
            let hashes: Vec<Hash> = places.iter().map(|place| all[*place]).collect();
            let proof = tree.prove(&places);
            assert!(verify(&tree.root(), &places, &hashes, 8, &proof), "{places:?}");
            let longer = [&proof[..], &[all[0]]].concat();
            assert!(!verify(&tree.root(), &places, &hashes, 8, &longer), "{places:?}");
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!verify(&tree.root(), &places, &hashes, 8, shorter), "{places:?}");
            }
            for at in 0..proof.len() {
                let mut bad = proof.clone();
                bad[at] = leaf_hash(b"other");
                assert!(!verify(&tree.root(), &places, &hashes, 8, &bad), "{places:?}");
            }
        }
    }

    #[test]
    fn the_library_alone_would_take_an_extra_hash() {
        let all = leaves(8);
        let tree = Tree::new(&all);
        let mut proof: Vec<[u8; 32]> = tree.prove(&[3]).iter().map(|hash| *hash.as_bytes()).collect();
        proof.push([0; 32]);
        let root = *tree.root().as_bytes();
        assert!(MerkleProof::<Rfc6962>::new(proof).verify(root, &[3], &[*all[3].as_bytes()], 8));
    }

    #[test]
    fn places_out_of_order_or_outside_prove_nothing() {
        let all = leaves(4);
        let tree = Tree::new(&all);
        for places in [vec![1, 0], vec![0, 0], vec![4], vec![], vec![usize::MAX]] {
            let hashes: Vec<Hash> = places.iter().map(|place| all[place % 4]).collect();
            assert!(!verify(&tree.root(), &places, &hashes, 4, &[]), "{places:?}");
        }
    }
}

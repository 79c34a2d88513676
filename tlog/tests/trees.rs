//! Trees and proofs against the recursive definition of RFC 6962, foreign vectors and corruption.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tlog::hash::{Hash, leaf_hash, node_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::proof::*;
use tlog::tree::{Frontier, Node, root_of};

fn size(n: u64) -> TreeSize {
    TreeSize::new(n).unwrap()
}

fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

fn leaves(n: u64) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// MTH, PATH and PROOF of RFC 6962, section 2.1, word for word.
mod rfc6962 {
    use super::*;

    fn k(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    pub(super) fn mth(d: &[Hash]) -> Hash {
        match d.len() {
            0 => Hash::EMPTY_ROOT,
            1 => d[0],
            n => node_hash(&mth(&d[..k(n)]), &mth(&d[k(n)..])),
        }
    }

    pub(super) fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        match d.len() {
            1 => vec![],
            n if m < k(n) => [path(m, &d[..k(n)]), vec![mth(&d[k(n)..])]].concat(),
            n => [path(m - k(n), &d[k(n)..]), vec![mth(&d[..k(n)])]].concat(),
        }
    }

    pub(super) fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        match d.len() {
            n if m == n => {
                if b {
                    vec![]
                } else {
                    vec![mth(d)]
                }
            }
            n if m <= k(n) => [subproof(m, &d[..k(n)], b), vec![mth(&d[k(n)..])]].concat(),
            n => [subproof(m - k(n), &d[k(n)..], false), vec![mth(&d[..k(n)])]].concat(),
        }
    }

    /// `SUB` of draft-ietf-plants-merkle-tree-certs.
    pub(super) fn sub(s: usize, e: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        match d.len() {
            n if s == 0 && e == n => {
                if b {
                    vec![]
                } else {
                    vec![mth(d)]
                }
            }
            n if e <= k(n) => [sub(s, e, &d[..k(n)], b), vec![mth(&d[k(n)..])]].concat(),
            n if k(n) <= s => [sub(s - k(n), e - k(n), &d[k(n)..], b), vec![mth(&d[..k(n)])]].concat(),
            n => [sub(0, e - k(n), &d[k(n)..], false), vec![mth(&d[..k(n)])]].concat(),
        }
    }
}

fn hash_of(node: &Node, leaves: &[Hash]) -> Hash {
    let range = node.leaves();
    root_of(&leaves[range.start as usize..range.end as usize])
}

fn finish(plan: Plan, leaves: &[Hash]) -> Vec<Hash> {
    let hashes: Vec<_> = plan.nodes().iter().map(|node| hash_of(node, leaves)).collect();
    plan.finish(&hashes).unwrap()
}

fn head(leaves: &[Hash]) -> TreeHead {
    TreeHead { size: size(leaves.len() as u64), root: root_of(leaves) }
}

#[test]
fn roots_follow_the_recursive_definition_for_every_size_to_300() {
    let all = leaves(300);
    let mut frontier = Frontier::new();
    for n in 0..=300 {
        assert_eq!(frontier.root(), rfc6962::mth(&all[..n]), "size {n}");
        if let Some(leaf) = all.get(n) {
            frontier.push(*leaf, |_, _| ());
        }
    }
}

#[test]
fn inclusion_proofs_follow_the_recursive_definition_for_every_size_to_300() {
    let all = leaves(300);
    for n in 1..=300_usize {
        let tree = head(&all[..n]);
        for m in 0..n {
            let proof = finish(plan_inclusion(index(m as u64), tree.size).unwrap(), &all[..n]);
            assert_eq!(proof, rfc6962::path(m, &all[..n]), "leaf {m} of {n}");
            check_inclusion(&all[m], index(m as u64), &tree, &proof).unwrap();
        }
    }
}

#[test]
fn consistency_proofs_follow_the_recursive_definition_for_every_size_to_300() {
    let all = leaves(300);
    let heads: Vec<_> = (0..=300).map(|n| head(&all[..n])).collect();
    for n in 0..=300_usize {
        for m in 0..=n {
            let proof = finish(plan_consistency(size(m as u64), size(n as u64)).unwrap(), &all[..n]);
            let expected = if m == 0 { vec![] } else { rfc6962::subproof(m, &all[..n], true) };
            assert_eq!(proof, expected, "{m} to {n}");
            check_consistency(&heads[m], &heads[n], &proof).unwrap();
        }
    }
}

#[test]
fn subtree_proofs_follow_the_recursive_definition_for_every_size_to_130() {
    let all = leaves(130);
    for n in 1..=130_usize {
        let tree = head(&all[..n]);
        for end in 1..=n {
            for start in (0..end).filter(|start| start % (end - start).next_power_of_two() == 0) {
                let plan = plan_subtree_consistency(start as u64, end as u64, tree.size).unwrap();
                let proof = finish(plan, &all[..n]);
                assert_eq!(proof, rfc6962::sub(start, end, &all[..n], true), "[{start}, {end}) of {n}");
                let root = root_of(&all[start..end]);
                check_subtree_consistency(start as u64, end as u64, &root, &tree, &proof).unwrap();
            }
        }
    }
}

#[test]
fn a_range_that_is_no_subtree_is_refused() {
    for (start, end, n) in [(1, 3, 8), (2, 5, 8), (4, 3, 8), (0, 9, 8), (6, 9, 9), (3, 5, 8)] {
        let refused = plan_subtree_consistency(start, end, size(n));
        assert_eq!(refused, Err(ProofError::NotASubtree(start, end, n)));
    }
}

/// A tree of equal leaves: a complete subtree's hash depends on its height alone, so trees of 2^40 leaves fit.
fn uniform(node: &Node) -> Hash {
    (0..node.height).fold(leaf_hash(b"same"), |hash, _| node_hash(&hash, &hash))
}

fn uniform_head(n: u64) -> TreeHead {
    let heights = (0..63).rev().filter(|height| n & (1 << height) != 0);
    let peaks = heights.map(|height| uniform(&Node { height, index: 0 })).collect();
    Frontier::from_peaks(size(n), peaks).unwrap().head()
}

proptest! {
    #[test]
    fn proofs_of_huge_trees_verify_and_have_no_spare_hash(n in 1_u64..1 << 40, m in 0_u64..1 << 40, old in 0_u64..1 << 40) {
        let (m, old, tree) = (m % n, old % (n + 1), uniform_head(n));
        let plan = plan_inclusion(index(m), tree.size).unwrap();
        let hashes: Vec<_> = plan.nodes().iter().map(uniform).collect();
        let proof = plan.finish(&hashes).unwrap();
        prop_assert!(proof.len() <= PROOF_HASHES_MAX);
        check_inclusion(&leaf_hash(b"same"), index(m), &tree, &proof).unwrap();
        prop_assert!(check_inclusion(&leaf_hash(b"other"), index(m), &tree, &proof).is_err());
        let plan = plan_consistency(size(old), tree.size).unwrap();
        let hashes: Vec<_> = plan.nodes().iter().map(uniform).collect();
        let proof = plan.finish(&hashes).unwrap();
        check_consistency(&uniform_head(old), &tree, &proof).unwrap();
        let mut longer = proof.clone();
        longer.push(Hash::EMPTY_ROOT);
        prop_assert!(check_consistency(&uniform_head(old), &tree, &longer).is_err());
        if let Some((_, shorter)) = proof.split_last() {
            prop_assert!(check_consistency(&uniform_head(old), &tree, shorter).is_err());
        }
    }
}

fn flip(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

#[test]
fn every_single_bit_of_an_inclusion_proof_counts() {
    for (n, m) in [(1_u64, 0_u64), (2, 1), (7, 6), (8, 3), (257, 256), (300, 5)] {
        let all = leaves(n);
        let tree = head(&all);
        let proof = finish(plan_inclusion(index(m), tree.size).unwrap(), &all);
        let leaf = all[m as usize];
        for bit in 0..256 {
            assert!(check_inclusion(&flip(&leaf, bit), index(m), &tree, &proof).is_err());
            let other = TreeHead { root: flip(&tree.root, bit), ..tree };
            assert!(check_inclusion(&leaf, index(m), &other, &proof).is_err());
            for at in 0..proof.len() {
                let mut bad = proof.clone();
                bad[at] = flip(&bad[at], bit);
                assert_eq!(check_inclusion(&leaf, index(m), &tree, &bad), Err(ProofError::Root));
            }
        }
        refuse_wrong_lengths_and_order(&proof, |bad| check_inclusion(&leaf, index(m), &tree, bad));
        assert!(check_inclusion(&leaf, index(n), &tree, &proof).is_err());
    }
}

#[test]
fn every_single_bit_of_a_consistency_proof_counts() {
    for (m, n) in [(1_u64, 2_u64), (3, 7), (4, 8), (6, 8), (255, 257), (256, 300), (5, 5)] {
        let all = leaves(n);
        let (old, new) = (head(&all[..m as usize]), head(&all));
        let proof = finish(plan_consistency(old.size, new.size).unwrap(), &all);
        for bit in 0..256 {
            let bad_old = TreeHead { root: flip(&old.root, bit), ..old };
            let bad_new = TreeHead { root: flip(&new.root, bit), ..new };
            assert!(check_consistency(&bad_old, &new, &proof).is_err());
            assert!(check_consistency(&old, &bad_new, &proof).is_err());
            for at in 0..proof.len() {
                let mut bad = proof.clone();
                bad[at] = flip(&bad[at], bit);
                assert_eq!(check_consistency(&old, &new, &bad), Err(ProofError::Root));
            }
        }
        refuse_wrong_lengths_and_order(&proof, |bad| check_consistency(&old, &new, bad));
        if m < n {
            assert!(check_consistency(&new, &old, &proof).is_err(), "a smaller tree cannot follow");
        }
    }
}

fn refuse_wrong_lengths_and_order(proof: &[Hash], check: impl Fn(&[Hash]) -> Result<(), ProofError>) {
    check(proof).unwrap();
    for extra in [Hash::EMPTY_ROOT, leaf_hash(b"")] {
        assert_eq!(check(&[proof, &[extra]].concat()), Err(ProofError::Length(proof.len() + 1)));
        assert!(check(&[&[extra], proof].concat()).is_err());
    }
    for length in 0..proof.len() {
        assert_eq!(check(&proof[..length]), Err(ProofError::Length(length)));
    }
    for at in 1..proof.len() {
        let mut swapped = proof.to_vec();
        swapped.swap(at - 1, at);
        assert!(check(&swapped).is_err());
    }
}

#[test]
fn from_the_empty_tree_only_the_empty_proof_and_the_empty_root_hold() {
    let tree = head(&leaves(5));
    check_consistency(&TreeHead::EMPTY, &tree, &[]).unwrap();
    check_consistency(&TreeHead::EMPTY, &TreeHead::EMPTY, &[]).unwrap();
    assert!(check_consistency(&TreeHead::EMPTY, &tree, &[tree.root]).is_err());
    let wrong = TreeHead { size: TreeSize::ZERO, root: leaf_hash(b"") };
    assert!(check_consistency(&wrong, &tree, &[]).is_err());
    assert!(check_consistency(&TreeHead::EMPTY, &wrong, &[]).is_err());
}

fn data() -> Option<PathBuf> {
    let configured = std::env::var_os("DAYBOOK_TEST_DATA").map(PathBuf::from);
    let dir = configured.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs the test data at {}", dir.display());
    eprintln!("SKIPPED: no test data at {}; set DAYBOOK_TEST_DATA", dir.display());
    None
}

/// The few JSON fields of a vector; written by others, in a fixed shape.
struct Vector(HashMap<String, String>, Vec<String>);

impl Vector {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut fields = HashMap::new();
        let mut proof = Vec::new();
        for line in text.lines().map(|line| line.trim().trim_end_matches(',')) {
            if let Some((key, value)) = line.split_once("\": ") {
                fields.insert(key.trim_matches('"').to_owned(), value.trim_matches('"').to_owned());
            } else if line.starts_with('"') {
                proof.push(line.trim_matches('"').to_owned());
            }
        }
        Self(fields, proof)
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].parse().unwrap()
    }

    /// What is no hash cannot even be said here, and counts as refused.
    fn hash(&self, key: &str) -> Result<Hash, ProofError> {
        Hash::from_base64(&self.0[key]).map_err(|_| ProofError::Root)
    }

    fn proof(&self) -> Result<Vec<Hash>, ProofError> {
        self.1
            .iter()
            .map(|text| Hash::from_base64(text).map_err(|_| ProofError::Length(self.1.len())))
            .collect()
    }
}

fn each_vector(kind: &str, check: impl Fn(&Vector) -> Result<(), ProofError>) {
    let Some(data) = data() else { return };
    let (mut good, mut bad) = (0, 0);
    for group in std::fs::read_dir(data.join("merkle-vectors").join(kind)).unwrap() {
        for file in std::fs::read_dir(group.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let vector = Vector::read(&path);
            let result = check(&vector);
            let want_err = vector.0["wantErr"] == "true";
            assert_eq!(result.is_err(), want_err, "{}: {result:?}", path.display());
            if want_err { bad += 1 } else { good += 1 }
        }
    }
    assert!(good >= 3 && bad >= 20, "{kind}: {good} good and {bad} bad vectors");
}

fn tree_of(vector: &Vector, size_key: &str, root_key: &str) -> Result<TreeHead, ProofError> {
    let number = vector.number(size_key);
    let size = TreeSize::new(number).map_err(|_| ProofError::OutOfTree(number, number))?;
    Ok(TreeHead { size, root: vector.hash(root_key)? })
}

#[test]
fn foreign_inclusion_vectors_agree() {
    each_vector("inclusion", |v| {
        let leaf = LeafIndex::new(v.number("leafIdx")).map_err(|_| ProofError::Root)?;
        check_inclusion(&v.hash("leafHash")?, leaf, &tree_of(v, "treeSize", "root")?, &v.proof()?)
    });
}

#[test]
fn foreign_consistency_vectors_agree() {
    each_vector("consistency", |v| {
        check_consistency(&tree_of(v, "size1", "root1")?, &tree_of(v, "size2", "root2")?, &v.proof()?)
    });
}

#[test]
fn foreign_subtree_inclusion_vectors_agree() {
    each_vector("subtreeinclusion", |v| {
        let (m, start, end) = (v.number("leafIdx"), v.number("start"), v.number("end"));
        check_subtree_inclusion(&v.hash("leafHash")?, m, start, end, &v.hash("root")?, &v.proof()?)
    });
}

#[test]
fn foreign_subtree_consistency_vectors_agree() {
    each_vector("subtreeconsistency", |v| {
        let (start, end) = (v.number("start"), v.number("end"));
        check_subtree_consistency(start, end, &v.hash("root1")?, &tree_of(v, "size", "root2")?, &v.proof()?)
    });
}

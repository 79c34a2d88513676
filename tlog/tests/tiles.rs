//! Tile paths, and tiles that an adversary serves.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::HashMap;

use proptest::prelude::*;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::proof::{check_consistency, check_inclusion};
use tlog::tile::*;
use tlog::tree::{Frontier, Node, root_of};
use tlog::verify_tiles::*;

fn size(n: u64) -> TreeSize {
    TreeSize::new(n).unwrap()
}

fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).unwrap()
}

fn path(text: &str) -> Result<TilePath, TileError> {
    text.parse()
}

#[test]
fn canonical_paths_round_trip() {
    for text in [
        "tile/0/000",
        "tile/0/x001/x234/067",
        "tile/63/999.p/255",
        "tile/8/x001/000.p/1",
        "tile/entries/000",
        "tile/entries/x123/456.p/17",
    ] {
        assert_eq!(path(text).unwrap().to_string(), text);
    }
    assert_eq!(path("tile/0/x001/x234/067").unwrap().index(), 1_234_067);
}

#[test]
fn any_other_spelling_of_a_path_is_refused() {
    for text in [
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/X001/000",
        "tile/0/x1/000",
        "tile/0/x001//000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1.p/1",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000 ",
        "tile/entries/",
        "tile/entries/0",
        "tile/Entries/000",
        "tile/data/000",
        "tile/0",
        "tile//000",
        "",
        "tile/0/\u{0661}00",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x036/x028/x797/x018/x963/968",
        "tile/0/000.P/1",
        "tile/0/../000",
        "tile/0/000.p/1/",
    ] {
        assert!(path(text).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_tile_has_one_path(level in 0_u8..=63, number in 0_u64..1 << 55, width in 1_u16..=256, entries: bool) {
        let tile = if entries {
            TilePath::Entries(Bundle::new(number, width).unwrap())
        } else {
            TilePath::Hashes(Tile::new(level, number, width).unwrap())
        };
        prop_assert_eq!(path(&tile.to_string()).unwrap(), tile);
    }
}

#[test]
fn a_tree_of_70000_has_the_tiles_of_the_specification() {
    let tiles: Vec<_> = hash_tiles(size(70_000)).collect();
    let count = |level, width| tiles.iter().filter(|t| t.level() == level && t.width() == width).count();
    assert_eq!((count(0, 256), count(0, 112)), (273, 1));
    assert_eq!((count(1, 256), count(1, 17)), (1, 1));
    assert_eq!(count(2, 1), 1);
    assert_eq!(tiles.len(), 277);
    assert_eq!(bundles(size(70_000)).count(), 274);
}

#[test]
fn a_tree_of_256_has_a_full_tile_and_one_of_width_1_above() {
    let tiles: Vec<_> = hash_tiles(size(256)).map(|tile| TilePath::Hashes(tile).to_string()).collect();
    assert_eq!(tiles, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(hash_tiles(TreeSize::ZERO).count(), 0);
}

/// A whole tree in memory: the hashes of every tile level, and the head.
struct Tree {
    levels: Vec<Vec<Hash>>,
    head: TreeHead,
}

impl Tree {
    fn new(n: u64) -> Self {
        let mut levels = vec![Vec::new(); 4];
        let mut frontier = Frontier::new();
        for i in 0..n {
            let leaf = leaf_hash(&i.to_be_bytes());
            levels[0].push(leaf);
            frontier.push(leaf, |height, hash| {
                if height % 8 == 0 {
                    levels[usize::from(height / 8)].push(hash);
                }
            });
        }
        Self { levels, head: frontier.head() }
    }

    fn tile(&self, tile: Tile) -> Vec<u8> {
        let start = (tile.index() * 256) as usize;
        let hashes = &self.levels[usize::from(tile.level())][start..start + usize::from(tile.width())];
        hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    fn fetch(&self, plan: &TilePlan) -> Vec<Vec<u8>> {
        plan.tiles().iter().map(|tile| self.tile(*tile)).collect()
    }

    fn plan(&self, leaf: u64) -> TilePlan {
        plan_tiles(self.head, &inclusion_nodes(index(leaf), self.head.size).unwrap())
    }
}

fn corrupt_each_tile(tree: &Tree, leaf: u64, every: usize) {
    let plan = tree.plan(leaf);
    let good = tree.fetch(&plan);
    let authentic = plan.clone().authenticate(&good).unwrap();
    let proof = authentic.inclusion(index(leaf)).unwrap();
    check_inclusion(&leaf_hash(&leaf.to_be_bytes()), index(leaf), &tree.head, &proof).unwrap();
    for (which, tile) in plan.tiles().iter().enumerate() {
        let width = usize::from(tile.width());
        for at in (0..width).step_by(every).chain([width - 1]) {
            let mut bad = good.clone();
            bad[which][at * 32 + at % 32] ^= 1 << (at % 8);
            let refused = plan.clone().authenticate(&bad).expect_err("a corrupted tile is always detected");
            if tile.is_full() {
                assert_eq!(refused, TilesError::NotInTree(TilePath::Hashes(*tile)), "leaf {leaf}");
            } else {
                assert_eq!(refused, TilesError::RightEdge(tree.head.size), "leaf {leaf}");
            }
        }
        let mut short = good.clone();
        short[which].pop();
        assert!(matches!(plan.clone().authenticate(&short), Err(TilesError::Length(..))));
        let mut missing = good.clone();
        missing.remove(which);
        assert!(
            matches!(plan.clone().authenticate(&missing), Err(TilesError::Count { .. })),
            "absence is failure"
        );
    }
}

#[test]
fn every_fetched_tile_is_authenticated_for_every_size_to_2000() {
    for n in 1..=2000 {
        let tree = Tree::new(n);
        for leaf in [0, 3, n / 2, n - 1].into_iter().filter(|leaf| *leaf < n) {
            corrupt_each_tile(&tree, leaf, 97);
        }
    }
}

#[test]
fn every_hash_of_every_fetched_tile_is_authenticated_in_the_known_bad_cases() {
    for (n, leaf) in
        [(1000, 3), (70_000, 5), (256, 0), (512, 300), (65_536, 65_535), (65_537, 65_536), (131_072, 1)]
    {
        corrupt_each_tile(&Tree::new(n), leaf, 1);
    }
}

#[test]
fn a_tile_swapped_for_another_genuine_one_is_refused() {
    let tree = Tree::new(70_000);
    let plan = tree.plan(5);
    let mut fetched = tree.fetch(&plan);
    let at = plan.tiles().iter().position(|tile| tile.level() == 0 && tile.is_full()).unwrap();
    fetched[at] = tree.tile(Tile::new(0, 1, 256).unwrap());
    assert!(matches!(plan.authenticate(&fetched), Err(TilesError::NotInTree(_))));
}

#[test]
fn only_planned_and_proved_hashes_leave() {
    let tree = Tree::new(1000);
    let plan = plan_tiles(tree.head, &[]);
    let tiles = plan.clone().authenticate(&tree.fetch(&plan)).unwrap();
    assert_eq!(tiles.node(Node { height: 0, index: 3 }), None);
    assert_eq!(tiles.inclusion(index(3)), Err(TilesError::NotPlanned));
    assert!(tiles.inclusion(index(999)).is_ok());
    assert!(tiles.inclusion(index(1000)).is_err());
    assert!(tiles.consistency(size(100)).is_err());
}

#[test]
fn consistency_from_tiles_holds_for_every_old_size() {
    let tree = Tree::new(777);
    for old in 0..=777_u64 {
        let plan = plan_tiles(tree.head, &consistency_nodes(size(old), tree.head.size).unwrap());
        let tiles = plan.clone().authenticate(&tree.fetch(&plan)).unwrap();
        let (head, proof) = tiles.consistency(size(old)).unwrap();
        assert_eq!(head.root, root_of(&tree.levels[0][..old as usize]));
        check_consistency(&head, &tree.head, &proof).unwrap();
    }
    let plan = plan_tiles(tree.head, &[]);
    let tiles = plan.clone().authenticate(&tree.fetch(&plan)).unwrap();
    assert!(tiles.consistency(size(778)).is_err());
}

#[test]
fn the_empty_tree_needs_no_tile_and_has_the_empty_root() {
    let plan = plan_tiles(TreeHead::EMPTY, &[]);
    assert!(plan.tiles().is_empty());
    plan.authenticate::<Vec<u8>>(&[]).unwrap();
    let wrong = TreeHead { root: leaf_hash(b""), ..TreeHead::EMPTY };
    assert!(plan_tiles(wrong, &[]).authenticate::<Vec<u8>>(&[]).is_err());
}

#[test]
fn a_bundle_is_split_only_into_the_entries_that_the_tree_holds() {
    let tree = Tree::new(300);
    let bundle = Bundle::new(1, 44).unwrap();
    let mut bytes = Vec::new();
    for i in 256..300_u64 {
        tlog::bundle::push_entry(&mut bytes, &i.to_be_bytes()).unwrap();
    }
    let plan = plan_whole_tiles(tree.head, [bundle.tile()]);
    let tiles = plan.clone().authenticate(&tree.fetch(&plan)).unwrap();
    assert_eq!(tiles.check_bundle(bundle, &bytes).unwrap().len(), 44);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(tiles.check_bundle(bundle, &bad).is_err(), "bit {bit}");
    }
    let other = Bundle::new(0, 256).unwrap();
    assert_eq!(tiles.check_bundle(other, &bytes), Err(TilesError::NotPlanned));
}

#[test]
fn a_tile_asked_for_in_another_width_than_the_tree_has_is_authenticated_as_the_tree_has_it() {
    let tree = Tree::new(600);
    for (index, width) in [(0, 10), (1, 255), (2, 256), (2, 3), (3, 7), (3, 256)] {
        let wanted = Tile::new(0, index, width).unwrap();
        let plan = plan_whole_tiles(tree.head, [wanted]);
        assert!(!plan.tiles().contains(&wanted), "{wanted:?} is not a tile of this tree");
        let tiles = plan.clone().authenticate(&tree.fetch(&plan)).unwrap();
        assert_eq!(tiles.hashes(wanted), None, "nothing vouches for {wanted:?}");
        let in_tree = tile_at(0, index, tree.head.size);
        assert_eq!(in_tree.is_some(), index < 3);
        assert!(in_tree.is_none_or(|tile| tiles.hashes(tile).is_some()));
    }
}

#[test]
fn widths_follow_the_size_for_every_size_to_2000() {
    let mut widths = HashMap::new();
    for n in 0..2000_u64 {
        for level in 0..3_u32 {
            let expected = (n >> (8 * level)) % 256;
            let partial =
                partial_tiles(size(n)).find(|tile| u32::from(tile.level()) == level && !tile.is_full());
            assert_eq!(partial.map_or(0, |tile| u64::from(tile.width())), expected);
            widths.insert((level, expected), n);
        }
    }
    assert!(widths.len() > 256);
}

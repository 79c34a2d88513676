//! Turns entries into tiles and a new tree head. Pure.
//!
//! [`Edge`] is the right edge of the tree: the frontier, the partial tile of every level and the partial
//! entry bundle. Integrating a batch moves the edge to the right and yields every object that the new head
//! needs and the old one did not have.
//!
//! Absent on purpose: storage, signatures, and any second opinion. [`crate::audit`] rebuilds what leaves
//! here by other code before a head is committed.

use bytes::Bytes;
use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{TreeHead, TreeSize};
use tlog::tile::{Bundle, TILE_WIDTH, Tile, TilePath};
use tlog::tree::{Frontier, root_of};

/// An immutable object of the public tree: a tile of hashes or an entry bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where it is served.
    pub path: TilePath,
    /// What is served there.
    pub bytes: Bytes,
}

/// Why a stored right edge cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// An object of the edge is not there.
    #[error("{0} is missing, but the tree head of size {1} needs it")]
    Missing(TilePath, TreeSize),
    /// An object of the edge could not be read.
    #[error("{0} cannot be read: {1}")]
    Read(TilePath, std::io::Error),
    /// An object has the wrong length or does not parse.
    #[error("{0} is damaged: {1}")]
    Damaged(TilePath, String),
    /// The tiles are well formed and do not add up to the head.
    #[error(
        "the right edge of the stored tiles hashes to {found}, but the head of size {size} says {expected}"
    )]
    Root {
        /// Size of the head.
        size: TreeSize,
        /// Root of the head.
        expected: Hash,
        /// Root of the tiles.
        found: Hash,
    },
}

/// The right edge of the tree.
#[derive(Clone, Debug)]
pub struct Edge {
    frontier: Frontier,
    /// `levels[l]` are the hashes of the partial tile at level `l`: fewer than 256, possibly none.
    levels: Vec<Vec<Hash>>,
    /// The encoded entries of the partial bundle; as many as `levels[0]` has hashes.
    bundle: Vec<u8>,
}

impl Default for Edge {
    fn default() -> Self {
        Self::empty()
    }
}

impl Edge {
    /// The edge of the empty tree.
    #[must_use]
    pub fn empty() -> Self {
        Self { frontier: Frontier::new(), levels: Vec::new(), bundle: Vec::new() }
    }

    /// Reads the edge of `head` from stored objects and checks it against the head: every hash, and every
    /// entry of the partial bundle.
    ///
    /// # Errors
    /// [`EdgeError`] names the object, or says that the tiles do not hash to the head.
    pub fn load(
        head: &TreeHead,
        mut read: impl FnMut(&TilePath) -> std::io::Result<Option<Vec<u8>>>,
    ) -> Result<Self, EdgeError> {
        let size = head.size.get();
        let mut fetch = |path: TilePath| match read(&path) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(EdgeError::Missing(path, head.size)),
            Err(error) => Err(EdgeError::Read(path, error)),
        };
        let (mut levels, mut bundle) = (Vec::new(), Vec::new());
        for level in 0..8 {
            let hashes = size >> (8 * u32::from(level));
            if hashes == 0 {
                break;
            }
            let width = width_of(hashes % TILE_WIDTH);
            if width == 0 {
                levels.push(Vec::new());
                continue;
            }
            let tile = Tile::new(level, hashes / TILE_WIDTH, width).expect("a tile of a valid size");
            let path = TilePath::Hashes(tile);
            levels.push(parse_tile(path, &fetch(path)?, width)?);
        }
        if let Some(leaves) = levels.first().filter(|leaves| !leaves.is_empty()) {
            let path = bundle_path(size / TILE_WIDTH, width_of(leaves.len() as u64));
            bundle = fetch(path)?;
            check_bundle(path, &bundle, leaves)?;
        }
        let frontier = frontier_of(head.size, &levels);
        let found = frontier.root();
        if found != head.root {
            return Err(EdgeError::Root { size: head.size, expected: head.root, found });
        }
        Ok(Self { frontier, levels, bundle })
    }

    /// The head of the tree that ends here.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// The hashes of the partial tile of each level, level 0 first.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// The partial tiles and the partial bundle: what the head needs and no full tile holds.
    #[must_use]
    pub fn partials(&self) -> Vec<Object> {
        let size = self.frontier.size().get();
        let mut objects = Vec::new();
        for (level, hashes) in (0u8..).zip(&self.levels) {
            if !hashes.is_empty() {
                let index = (size >> (8 * u32::from(level))) / TILE_WIDTH;
                objects.push(tile_object(level, index, hashes));
            }
        }
        if !self.bundle.is_empty() {
            let path = bundle_path(size / TILE_WIDTH, width_of(self.levels[0].len() as u64));
            objects.push(Object { path, bytes: Bytes::copy_from_slice(&self.bundle) });
        }
        objects
    }

    /// Appends entries (each with its leaf hash, in order) and returns the objects that the new head adds:
    /// full tiles and bundles first, then the partial ones.
    ///
    /// Cost: about one node hash an entry, and a copy of every entry.
    ///
    /// # Panics
    /// If an entry is longer than a bundle can hold; admission refuses those.
    pub fn integrate<'a>(&mut self, entries: impl IntoIterator<Item = (Hash, &'a [u8])>) -> Vec<Object> {
        let mut objects = Vec::new();
        for (leaf, entry) in entries {
            self.push(leaf, entry, &mut objects);
        }
        objects.extend(self.partials());
        objects
    }

    fn push(&mut self, leaf: Hash, entry: &[u8], objects: &mut Vec<Object>) {
        bundle::push_entry(&mut self.bundle, entry).expect("admission bounds the length of an entry");
        let levels = &mut self.levels;
        level_mut(levels, 0).push(leaf);
        // A complete subtree of height 8, 16, ... is one hash of the tile level above.
        self.frontier.push(leaf, |height, hash| {
            if height.is_multiple_of(8) {
                level_mut(levels, usize::from(height / 8)).push(hash);
            }
        });
        let size = self.frontier.size().get();
        if self.levels[0].len() as u64 == TILE_WIDTH {
            let path = bundle_path(size / TILE_WIDTH - 1, width_of(TILE_WIDTH));
            objects.push(Object { path, bytes: std::mem::take(&mut self.bundle).into() });
        }
        for (level, hashes) in (0u8..).zip(&mut self.levels) {
            if hashes.len() as u64 != TILE_WIDTH {
                break;
            }
            let index = (size >> (8 * u32::from(level))) / TILE_WIDTH - 1;
            objects.push(tile_object(level, index, hashes));
            hashes.clear();
        }
    }
}

fn level_mut(levels: &mut Vec<Vec<Hash>>, level: usize) -> &mut Vec<Hash> {
    if levels.len() == level {
        levels.push(Vec::with_capacity(TILE_WIDTH as usize));
    }
    &mut levels[level]
}

fn width_of(hashes: u64) -> u16 {
    u16::try_from(hashes).expect("a tile is at most 256 hashes wide")
}

fn bundle_path(index: u64, width: u16) -> TilePath {
    TilePath::Entries(Bundle::new(index, width).expect("a bundle of a valid size"))
}

fn tile_object(level: u8, index: u64, hashes: &[Hash]) -> Object {
    let tile = Tile::new(level, index, width_of(hashes.len() as u64)).expect("a tile of a valid size");
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
    Object { path: TilePath::Hashes(tile), bytes: bytes.into() }
}

fn parse_tile(path: TilePath, bytes: &[u8], width: u16) -> Result<Vec<Hash>, EdgeError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        let problem = format!("{} bytes, expected {}", bytes.len(), usize::from(width) * 32);
        return Err(EdgeError::Damaged(path, problem));
    }
    Ok(hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect())
}

fn check_bundle(path: TilePath, bytes: &[u8], leaves: &[Hash]) -> Result<(), EdgeError> {
    let width = width_of(leaves.len() as u64);
    let entries =
        bundle::entries(bytes, width).map_err(|error| EdgeError::Damaged(path, error.to_string()))?;
    match entries.iter().zip(leaves).position(|(entry, leaf)| leaf_hash(entry) != *leaf) {
        None => Ok(()),
        Some(at) => Err(EdgeError::Damaged(path, format!("its entry {at} does not hash to the leaf"))),
    }
}

/// The peaks are the binary digits of each level's width, from the top level down.
fn frontier_of(size: TreeSize, levels: &[Vec<Hash>]) -> Frontier {
    let mut peaks = Vec::new();
    for hashes in levels.iter().rev() {
        let mut rest = hashes.as_slice();
        while !rest.is_empty() {
            let (peak, after) = rest.split_at(1 << rest.len().ilog2());
            peaks.push(root_of(peak));
            rest = after;
        }
    }
    Frontier::from_peaks(size, peaks).expect("as many peaks as the size has binary digits set")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn entry(index: u64) -> Vec<u8> {
        format!("entry {index}").into_bytes()
    }

    fn append(edge: &mut Edge, from: u64, to: u64, stored: &mut HashMap<TilePath, Bytes>) {
        let entries: Vec<_> = (from..to).map(entry).collect();
        let objects = edge.integrate(entries.iter().map(|entry| (leaf_hash(entry), entry.as_slice())));
        stored.extend(objects.into_iter().map(|object| (object.path, object.bytes)));
    }

    #[test]
    fn every_batch_split_gives_the_root_of_the_definition() {
        let leaves: Vec<_> = (0..70_000).map(|index| leaf_hash(&entry(index))).collect();
        for sizes in [&[1, 2, 255, 256, 257, 600][..], &[65_535, 65_536, 65_537, 70_000]] {
            let (mut edge, mut stored, mut at) = (Edge::empty(), HashMap::new(), 0);
            for &size in sizes {
                append(&mut edge, at, size, &mut stored);
                at = size;
                assert_eq!(edge.head().root, root_of(&leaves[..size as usize]), "size {size}");
            }
        }
    }

    #[test]
    fn a_stored_edge_loads_to_the_same_head_and_goes_on_alike() {
        let (mut edge, mut stored, mut at) = (Edge::empty(), HashMap::new(), 0);
        for size in [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000] {
            append(&mut edge, at, size, &mut stored);
            at = size;
            let read = |path: &TilePath| Ok(stored.get(path).map(|bytes| bytes.to_vec()));
            let loaded = Edge::load(&edge.head(), read).unwrap();
            assert_eq!(loaded.head(), edge.head());
            assert_eq!(loaded.partials(), edge.partials(), "size {size}");
        }
    }

    #[test]
    fn an_edge_that_does_not_hash_to_the_head_is_refused() {
        let (mut edge, mut stored) = (Edge::empty(), HashMap::new());
        append(&mut edge, 0, 300, &mut stored);
        let paths: Vec<_> = edge.partials().into_iter().map(|object| object.path).collect();
        for path in paths {
            let whole = stored[&path].clone();
            for at in [0, whole.len() - 1] {
                let mut damaged = whole.to_vec();
                damaged[at] ^= 1;
                let read = |asked: &TilePath| {
                    Ok(if *asked == path {
                        Some(damaged.clone())
                    } else {
                        stored.get(asked).map(|b| b.to_vec())
                    })
                };
                Edge::load(&edge.head(), read).unwrap_err();
            }
            let read = |asked: &TilePath| {
                Ok(if *asked == path { None } else { stored.get(asked).map(|b| b.to_vec()) })
            };
            assert!(
                matches!(Edge::load(&edge.head(), read), Err(EdgeError::Missing(missing, _)) if missing == path)
            );
        }
    }

    #[test]
    fn seventy_thousand_entries_make_the_tiles_of_the_specification() {
        let (mut edge, mut stored) = (Edge::empty(), HashMap::new());
        append(&mut edge, 0, 70_000, &mut stored);
        let count = |want: &dyn Fn(&Tile) -> bool| {
            stored.keys().filter(|path| matches!(path, TilePath::Hashes(tile) if want(tile))).count()
        };
        assert_eq!(count(&|tile| tile.level() == 0 && tile.is_full()), 273);
        assert_eq!(count(&|tile| tile.level() == 0 && tile.width() == 112), 1);
        assert_eq!(count(&|tile| tile.level() == 1 && tile.is_full()), 1);
        assert_eq!(count(&|tile| tile.level() == 1 && tile.width() == 17), 1);
        assert_eq!(count(&|tile| tile.level() == 2 && tile.width() == 1), 1);
    }
}

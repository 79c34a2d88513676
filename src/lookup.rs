//! Finds an entry by its bytes: the index proposes, the stored entry decides.
//!
//! The index maps the full 256 bits of a leaf hash to a place. It can be lost and rebuilt, so it is never
//! believed: what it proposes is compared with the stored entry, byte for byte, before anyone is told
//! "this is in the log". An index that proposes a wrong place is condemned: a marker file makes the next
//! start rebuild it.
//!
//! Absent on purpose: entries of the batch at hand, which only [`crate::judge`] knows.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tlog::bundle;
use tlog::hash::{HASH_BYTES, Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeSize};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath, tile_at};

use crate::records::text_hash;
use crate::store::index::IndexFollower;
use crate::store::tiles::TileStore;

/// Why the log cannot say whether it holds an entry.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The index failed; it says why itself.
    #[error("the index cannot be read: {0}")]
    Index(String),
    /// A bundle that the tree needs is missing or damaged.
    #[error("{0} is {1}; run `daybook fsck` on the log's directory")]
    Store(TilePath, String),
    /// The index proposed a place that holds another entry.
    #[error("the index names entry {0} for a leaf that is not there; it is rebuilt at the next start")]
    IndexLies(LeafIndex),
}

impl LookupError {
    /// The metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Index(_) => "index",
            Self::Store(..) => "store",
            Self::IndexLies(_) => "index_lies",
        }
    }
}

/// The entries of one bundle, as far as a tree has them.
#[derive(Debug)]
pub struct StoredBundle {
    number: u64,
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl StoredBundle {
    /// The entry of this index; none if it is in another bundle, or beyond the tree.
    #[must_use]
    pub fn entry(&self, index: LeafIndex) -> Option<&[u8]> {
        let at = index.get().checked_sub(self.number * TILE_WIDTH)?;
        self.bytes.get(self.places.get(usize::try_from(at).ok()?)?.clone())
    }

    /// How long the bundle is.
    #[must_use]
    pub fn length(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads entries and finds them by hash.
#[derive(Debug)]
pub struct Lookup {
    index: Arc<IndexFollower>,
    tiles: Arc<TileStore>,
    condemned: PathBuf,
}

impl Lookup {
    /// Looks up in this index and this store; `condemned` is the marker that makes the next start rebuild.
    #[must_use]
    pub fn new(index: Arc<IndexFollower>, tiles: Arc<TileStore>, condemned: PathBuf) -> Self {
        Self { index, tiles, condemned }
    }

    /// The index of the entry with this leaf hash among the first `size` entries, checked against the stored
    /// bytes. `None` means that it is not among them.
    ///
    /// # Errors
    /// [`LookupError`]: the answer is not known.
    pub fn find(&self, leaf: &Hash, size: TreeSize) -> Result<Option<LeafIndex>, LookupError> {
        Ok(self.find_with_entry(leaf, size)?.map(|(index, _)| index))
    }

    /// Whether the index knows a place below `size` for this leaf hash. A "no" is an answer; a "yes" is not.
    ///
    /// # Errors
    /// [`LookupError::Index`].
    pub fn proposes(&self, leaf: &Hash, size: TreeSize) -> Result<bool, LookupError> {
        let proposed =
            self.index.lookup(leaf, size).map_err(|error| LookupError::Index(error.to_string()))?;
        Ok(proposed.is_some())
    }

    /// Like [`Lookup::find`], with the stored bytes.
    ///
    /// # Errors
    /// [`LookupError`]: the answer is not known.
    pub fn find_with_entry(
        &self,
        leaf: &Hash,
        size: TreeSize,
    ) -> Result<Option<(LeafIndex, Vec<u8>)>, LookupError> {
        let proposed =
            self.index.lookup(leaf, size).map_err(|error| LookupError::Index(error.to_string()))?;
        let Some(index) = proposed else { return Ok(None) };
        let entry = self.entry(index, size)?;
        if leaf_hash(&entry) == *leaf { Ok(Some((index, entry))) } else { Err(self.condemn(index)) }
    }

    /// The entry among the first `size` whose text has this hash, checked against the stored bytes, with them.
    ///
    /// # Errors
    /// [`LookupError`]: the answer is not known.
    pub fn find_text(
        &self,
        text: &Hash,
        size: TreeSize,
    ) -> Result<Option<(LeafIndex, Vec<u8>)>, LookupError> {
        let proposed =
            self.index.lookup_text(text, size).map_err(|error| LookupError::Index(error.to_string()))?;
        let Some(index) = proposed else { return Ok(None) };
        let entry = self.entry(index, size)?;
        if text_hash(&entry) == Some(*text) { Ok(Some((index, entry))) } else { Err(self.condemn(index)) }
    }

    /// Marks the index for rebuilding, because it proposed this place wrongly.
    pub(crate) fn condemn(&self, index: LeafIndex) -> LookupError {
        if let Err(error) = std::fs::write(&self.condemned, b"the index proposed a wrong place\n") {
            tracing::error!(%error, "the index is wrong and cannot be marked for rebuilding");
        }
        LookupError::IndexLies(index)
    }

    /// The stored bytes of entry `index` in a tree of `size` entries.
    ///
    /// Cost: reads one bundle.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the bundle is missing or damaged.
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, LookupError> {
        self.with_entries(index, size, |entries| entries.first().map(|entry| entry.to_vec()))
    }

    /// Entry `index` and those after it, as many as its bundle holds in a tree of `size` entries.
    ///
    /// Cost: reads one bundle.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the bundle is missing or damaged.
    pub fn entries_from(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<Vec<u8>>, LookupError> {
        let copied = |entries: &[&[u8]]| Some(entries.iter().map(|entry| entry.to_vec()).collect());
        self.with_entries(index, size, copied)
    }

    /// The bundle that holds entry `index`, as far as a tree of `size` entries goes, for readers of several of its entries.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the bundle is missing or damaged.
    pub fn bundle(&self, index: LeafIndex, size: TreeSize) -> Result<StoredBundle, LookupError> {
        let number = index.get() / TILE_WIDTH;
        let path = bundle_of(index, size);
        let (bytes, width) = self.read_object(path)?;
        let entries = bundle::entries(&bytes, width)
            .map_err(|error| LookupError::Store(path, format!("damaged ({error})")))?;
        let within = usize::try_from(size.get() - number * TILE_WIDTH).unwrap_or(usize::MAX);
        let mut end = 0;
        let places = entries.iter().take(within).map(|entry| {
            // Each entry comes after its length.
            let start = end + size_of::<u16>();
            end = start + entry.len();
            start..end
        });
        let places = places.collect();
        Ok(StoredBundle { number, bytes, places })
    }

    fn with_entries<T>(
        &self,
        index: LeafIndex,
        size: TreeSize,
        take: impl FnOnce(&[&[u8]]) -> Option<T>,
    ) -> Result<T, LookupError> {
        let path = bundle_of(index, size);
        let fail = |problem: String| LookupError::Store(path, problem);
        let (bytes, width) = self.read_object(path)?;
        let entries = bundle::entries(&bytes, width).map_err(|error| fail(format!("damaged ({error})")))?;
        // A full bundle that came in place of a partial one has entries beyond the tree of that size.
        let within =
            usize::try_from(size.get() - index.get() / TILE_WIDTH * TILE_WIDTH).unwrap_or(usize::MAX);
        let entries = &entries[..entries.len().min(within)];
        let at = (index.get() % TILE_WIDTH) as usize;
        entries.get(at..).and_then(take).ok_or_else(|| fail("too short".to_owned()))
    }

    /// The leaf hash of entry `index` in a tree of `size` entries.
    ///
    /// Cost: reads one tile.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the tile is missing or damaged.
    pub fn leaf(&self, index: LeafIndex, size: TreeSize) -> Result<Hash, LookupError> {
        let number = index.get() / TILE_WIDTH;
        let tile = tile_at(0, number, size).expect("the tile of an entry in the tree");
        let path = TilePath::Hashes(tile);
        let (bytes, _) = self.read_object(path)?;
        let hash = bytes.as_chunks::<HASH_BYTES>().0.get((index.get() % TILE_WIDTH) as usize);
        hash.map(|hash| Hash::from_bytes(*hash))
            .ok_or_else(|| LookupError::Store(path, "too short".to_owned()))
    }

    /// An entry and its leaf hash, on which the bundle and the tile of hashes agree. For decisions that stand for ever: a bit
    /// that has flipped in one of them is an error, and not a refusal of what is right.
    ///
    /// The two are not tied to the signed head here. That takes every tile on the way to the root and its right edge, some
    /// thousand hashes an entry, where this takes one: too much between two commits.
    ///
    /// Cost: reads one bundle and one tile.
    ///
    /// # Errors
    /// [`LookupError::Store`] if one of them is missing or damaged, or they differ.
    pub fn checked(&self, index: LeafIndex, size: TreeSize) -> Result<(Hash, Vec<u8>), LookupError> {
        let (entry, leaf) = (self.entry(index, size)?, self.leaf(index, size)?);
        if leaf_hash(&entry) == leaf {
            return Ok((leaf, entry));
        }
        let problem = format!("another, in entry {index}, than its tile of hashes says");
        Err(LookupError::Store(bundle_of(index, size), problem))
    }

    /// The partial object may have been superseded by the full one in the meantime.
    fn read_object(&self, path: TilePath) -> Result<(Vec<u8>, u16), LookupError> {
        let fail = |problem: String| LookupError::Store(path, problem);
        for candidate in [path, path.full()] {
            let bytes = self.tiles.read(&candidate).map_err(|error| fail(format!("unreadable ({error})")))?;
            if let Some(bytes) = bytes {
                return Ok((bytes, candidate.width()));
            }
        }
        Err(fail("missing".to_owned()))
    }
}

/// The bundle that holds entry `index` in a tree of `size` entries.
fn bundle_of(index: LeafIndex, size: TreeSize) -> TilePath {
    let number = index.get() / TILE_WIDTH;
    let width = (size.get() - number * TILE_WIDTH).min(TILE_WIDTH);
    let width = u16::try_from(width).expect("at most 256");
    TilePath::Entries(Bundle::new(number, width).expect("the bundle of an entry in the tree"))
}

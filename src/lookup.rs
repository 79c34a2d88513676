//! Finds an entry by its bytes: the index proposes, the stored entry decides.
//!
//! The index maps the full 256 bits of a leaf hash to a place. It can be lost and rebuilt, so it is never
//! believed: what it proposes is compared with the stored entry, byte for byte, before anyone is told
//! "this is in the log". An index that proposes a wrong place is condemned: a marker file makes the next
//! start rebuild it.
//!
//! Absent on purpose: entries of the batch at hand, which only [`crate::judge`] knows.

use std::path::PathBuf;
use std::sync::Arc;

use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeSize};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath};

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
        if leaf_hash(&entry) == *leaf {
            return Ok(Some((index, entry)));
        }
        if let Err(error) = std::fs::write(&self.condemned, b"the index proposed a wrong place\n") {
            tracing::error!(%error, "the index is wrong and cannot be marked for rebuilding");
        }
        Err(LookupError::IndexLies(index))
    }

    /// The stored bytes of entry `index` in a tree of `size` entries.
    ///
    /// Cost: reads one bundle.
    ///
    /// # Errors
    /// [`LookupError::Store`] if the bundle is missing or damaged.
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, LookupError> {
        let path = bundle_of(index, size);
        let fail = |problem: String| LookupError::Store(path, problem);
        let (bytes, width) = self.read_bundle(path)?;
        let entries = bundle::entries(&bytes, width).map_err(|error| fail(format!("damaged ({error})")))?;
        let at = (index.get() % TILE_WIDTH) as usize;
        entries.get(at).map(|entry| entry.to_vec()).ok_or_else(|| fail("too short".to_owned()))
    }

    /// The partial bundle may have been superseded by the full one in the meantime.
    fn read_bundle(&self, path: TilePath) -> Result<(Vec<u8>, u16), LookupError> {
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

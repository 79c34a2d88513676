//! Brings the index up to date with the recovered tree, from the tiles.
//!
//! Every head at which a run of the index ends is compared with the tree's own head of that size: an index of another
//! log, of an older copy or of a newer one is removed and begun anew. What it lacks is read from the level 0 tiles, and
//! in a log of records from the bundles too.
//!
//! Absent on purpose: what the index says about an entry, which [`crate::lookup`] checks each time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tlog::hash::{HASH_BYTES, Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeHead, TreeSize};
use tlog::tile::{TILE_WIDTH, TilePath, tile_at};

use crate::config::Admission;
use crate::integrate::EdgeError;
use crate::log::Log;
use crate::lookup::LookupError;
use crate::records::erase::EraseError;
use crate::records::lists::Ends;
use crate::records::marks::marks_of_entry;
use crate::records::replay::ReplayError;
use crate::recover::head_at;
use crate::store::index::{Index, IndexError, IndexFollower, Mark};
use crate::store::tiles::TileStore;

/// Level 0 tiles read at a time.
const READ_TILES: u64 = 64;
/// How often a full index is asked whether it has failed.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Why the index cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// The index cannot be opened or fed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A tile is missing or unreadable.
    #[error(
        "the index cannot be rebuilt: {0}. Run `daybook fsck` on the directory, and restore what it names"
    )]
    Tile(#[from] EdgeError),
    /// The tiles do not give the head of an earlier size.
    #[error(
        "the index cannot be rebuilt: {0}. Run `daybook fsck` on the directory, and restore what it names"
    )]
    Tree(String),
    /// An entry cannot be read.
    #[error("the index cannot be rebuilt: {0}")]
    Entry(#[from] LookupError),
    /// The entries do not make the registry of this log.
    #[error(transparent)]
    Registry(#[from] ReplayError),
    /// What tombstones say is gone cannot be destroyed.
    #[error("what was erased cannot be destroyed again, so nothing is served: {0}")]
    Erase(#[from] EraseError),
    /// A file cannot be removed.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

/// Opens the index of the log in `dir`, whose tree is `held`. One that is damaged, condemned or not of this tree is
/// removed and begun anew.
///
/// # Errors
/// [`ReindexError`] if the folder cannot be removed or created.
pub fn open(
    dir: &Path,
    tiles: &TileStore,
    held: TreeHead,
    tail_max: usize,
) -> Result<IndexFollower, ReindexError> {
    let (folder, condemned) = (dir.join("index"), dir.join("index.condemned"));
    let io = |path: &Path, error| ReindexError::Io(path.display().to_string(), error);
    if condemned.exists() {
        tracing::warn!("the index is rebuilt, because it proposed a wrong place");
        remove(&folder)?;
        std::fs::remove_file(&condemned).map_err(|error| io(&condemned, error))?;
    }
    let opened = Index::open(&folder).map_err(|error| error.to_string()).and_then(|index| {
        let foreign = index.heads().into_iter().find(|end| !is_of(tiles, held, *end));
        foreign.map_or(Ok(index), |end| Err(format!("it knows another tree of {} entries", end.size)))
    });
    let index = match opened {
        Ok(index) => index,
        Err(problem) => {
            tracing::warn!(problem, "the index cannot be used and is rebuilt from the tiles");
            remove(&folder)?;
            Index::open(&folder)?
        }
    };
    Ok(IndexFollower::start(index, tail_max)?)
}

fn is_of(tiles: &TileStore, held: TreeHead, end: TreeHead) -> bool {
    end.size <= held.size && head_at(tiles, held, end.size).is_ok_and(|head| head == end)
}

fn remove(folder: &Path) -> Result<(), ReindexError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ReindexError::Io(folder.display().to_string(), error))
        }
        _ => Ok(()),
    }
}

/// Pushes the marks that the index lacks. `progress` is told the size reached.
///
/// # Errors
/// [`ReindexError`] if a tile is missing, or the index fails.
pub fn fill(log: &Log, held: TreeHead, mut progress: impl FnMut(TreeSize)) -> Result<(), ReindexError> {
    let (index, tiles) = (&log.index, &log.tiles);
    let mut ends = Ends::new(Arc::clone(index));
    let mut at = index.written().size.get();
    while at < held.size.get() {
        let leaves = leaves(tiles, held, at)?;
        let mut marks: Vec<Mark> = leaves.iter().map(|(leaf, place)| Mark::leaf(*leaf, *place)).collect();
        if log.admission == Admission::Records {
            for leaves in leaves.chunk_by(|(_, one), (_, next)| one / TILE_WIDTH == next / TILE_WIDTH) {
                marks.extend(marks_of_statements(log, held.size, leaves, &mut ends)?);
            }
        }
        at += leaves.len() as u64;
        while !index.wait_for_room(ROOM_WAIT) {
            if let Some(error) = index.failure() {
                return Err(error.into());
            }
        }
        let size = TreeSize::new(at).expect("within the tree");
        let head =
            if size == held.size { held } else { head_at(tiles, held, size).map_err(ReindexError::Tree)? };
        index.push(&marks, head)?;
        ends.settle();
        progress(size);
    }
    Ok(())
}

/// The marks of statements that lie in one bundle.
fn marks_of_statements(
    log: &Log,
    size: TreeSize,
    leaves: &[(Hash, u64)],
    ends: &mut Ends,
) -> Result<Vec<Mark>, ReindexError> {
    let (_, first) = leaves[0];
    let first = LeafIndex::new(first).expect("an index of the tree");
    let entries = log.lookup.entries_from(first, size)?;
    let mut marks = Vec::with_capacity(leaves.len() * 4);
    for ((leaf, place), entry) in leaves.iter().zip(entries) {
        if leaf_hash(&entry) != *leaf {
            return Err(ReindexError::Tree(format!("entry {place} is not the one that its tile names")));
        }
        let place = LeafIndex::new(*place).expect("an index of the tree");
        marks.extend(marks_of_entry(&entry, place, ends)?);
    }
    Ok(marks)
}

/// The leaves from `from` on, up to the end of so many tiles or of the tree; at least one.
fn leaves(tiles: &TileStore, held: TreeHead, from: u64) -> Result<Vec<(Hash, u64)>, EdgeError> {
    let first = from / TILE_WIDTH;
    let mut leaves = Vec::new();
    for number in first..first + READ_TILES {
        if number * TILE_WIDTH >= held.size.get() {
            break;
        }
        let tile = tile_at(0, number, held.size).expect("a tile of the tree");
        let path = TilePath::Hashes(tile);
        let bytes = tiles.read(&path).map_err(|error| EdgeError::Read(path, error))?;
        let bytes = bytes.ok_or(EdgeError::Missing(path, held.size))?;
        let hashes = bytes.as_chunks::<HASH_BYTES>().0;
        if hashes.len() != usize::from(tile.width()) {
            return Err(EdgeError::Damaged(path, format!("{} hashes", hashes.len())));
        }
        leaves.extend((number * TILE_WIDTH..).zip(hashes).map(|(at, hash)| (Hash::from_bytes(*hash), at)));
    }
    leaves.retain(|(_, place)| *place >= from);
    Ok(leaves)
}

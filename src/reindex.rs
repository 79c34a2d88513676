//! Brings the index up to date with the recovered tree, from the tiles.
//!
//! Every head at which a run of the index ends is compared with the tree's own head of that size: an index of another
//! log, of an older copy or of a newer one is removed and begun anew. What it lacks is read from the level 0 tiles.
//!
//! Absent on purpose: what the index says about an entry, which [`crate::lookup`] checks each time.

use std::path::Path;
use std::time::Duration;

use tlog::hash::{HASH_BYTES, Hash};
use tlog::ids::{TreeHead, TreeSize};
use tlog::tile::{TILE_WIDTH, TilePath, tile_at};

use crate::integrate::EdgeError;
use crate::recover::head_at;
use crate::store::index::{Index, IndexError, IndexFollower};
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

/// Pushes the leaves that the index lacks. `progress` is told the size reached.
///
/// # Errors
/// [`ReindexError`] if a tile is missing, or the index fails.
pub fn fill(
    index: &IndexFollower,
    tiles: &TileStore,
    held: TreeHead,
    mut progress: impl FnMut(TreeSize),
) -> Result<(), ReindexError> {
    let mut at = index.written().size.get();
    while at < held.size.get() {
        let leaves = leaves(tiles, held, at)?;
        at += leaves.len() as u64;
        while !index.wait_for_room(ROOM_WAIT) {
            if let Some(error) = index.failure() {
                return Err(error.into());
            }
        }
        let size = TreeSize::new(at).expect("within the tree");
        let head =
            if size == held.size { held } else { head_at(tiles, held, size).map_err(ReindexError::Tree)? };
        index.push(&leaves, head)?;
        progress(size);
    }
    Ok(())
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

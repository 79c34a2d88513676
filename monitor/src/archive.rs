//! The hashes of every tree that was verified, on our own disk: what is needed to judge an older head, to check a
//! receipt, and to prove that a log forked, when the log itself no longer helps.
//!
//! One file for each level of tiles, the hashes of that level one after the other:
//!
//! ```text
//! hashes/0    the leaf hash of entry i is at byte 32 * i
//! hashes/1    hashes of 256 leaves each; tile N of level L is at byte 8192 * N of file L
//! ```
//!
//! 32 bytes an entry, and 0.4 % more for what is above. Where verification started at a pinned checkpoint the
//! files have a hole before it. Written ahead of the database, synced before it: what lies beyond the head that the
//! database names counts for nothing. And as with every tile, what is read is authenticated before it is used, so
//! a damaged file is noticed, and never taken for a lie of the log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tlog::hash::{HASH_BYTES, Hash};
use tlog::tile::{TILE_WIDTH, Tile};

use crate::source::SourceError;
use crate::tiles::Tiles;

/// Levels of tiles that a tree can have.
const LEVELS: u8 = 8;
/// Hashes that are searched at a time: 1 MiB.
const SEARCH_HASHES: u64 = 32_768;

/// The hashes of one log.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    levels: Vec<File>,
}

impl Archive {
    /// Opens the archive in this folder, making it if there is none.
    ///
    /// # Errors
    /// The system's answer.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let open = |level: u8| {
            let path = folder.join(level.to_string());
            File::options().read(true).write(true).create(true).truncate(false).open(path)
        };
        let levels = (0..LEVELS).map(open).collect::<io::Result<_>>()?;
        Ok(Self { folder: folder.to_owned(), levels })
    }

    /// Writes hashes of a level, from this place on.
    ///
    /// # Errors
    /// The system's answer.
    pub fn write(&self, level: u8, first: u64, hashes: &[Hash]) -> io::Result<()> {
        let bytes: Vec<u8> = hashes.iter().flat_map(Hash::as_bytes).copied().collect();
        self.level(level)?.write_all_at(&bytes, first * HASH_BYTES as u64)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// The system's answer.
    pub fn sync(&self) -> io::Result<()> {
        self.levels.iter().try_for_each(File::sync_all)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets everything, for a new beginning.
    ///
    /// # Errors
    /// The system's answer.
    pub fn clear(&self) -> io::Result<()> {
        self.levels.iter().try_for_each(|level| level.set_len(0))
    }

    /// Where the last leaf with this hash stands before `end`. What is found is not authenticated. Cost: reads the leaves.
    ///
    /// # Errors
    /// The system's answer.
    pub fn find_before(&self, leaf: &Hash, end: u64) -> io::Result<Option<u64>> {
        let mut end = end;
        while end > 0 {
            let first = end.saturating_sub(SEARCH_HASHES);
            let mut bytes = vec![0; usize::try_from(end - first).unwrap_or(0) * HASH_BYTES];
            self.level(0)?.read_exact_at(&mut bytes, first * HASH_BYTES as u64)?;
            let found = bytes.as_chunks::<HASH_BYTES>().0.iter().rposition(|one| one == leaf.as_bytes());
            if let Some(at) = found {
                return Ok(Some(first + at as u64));
            }
            end = first;
        }
        Ok(None)
    }

    fn level(&self, level: u8) -> io::Result<&File> {
        self.levels.get(usize::from(level)).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn tile(&self, tile: Tile) -> io::Result<Option<Bytes>> {
        let mut bytes = vec![0; usize::from(tile.width()) * HASH_BYTES];
        let at = tile.index() * TILE_WIDTH * HASH_BYTES as u64;
        match self.level(tile.level())?.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Tiles for Archive {
    fn tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let failed = |error| SourceError::Io(self.folder.display().to_string(), error);
        tiles.iter().map(|tile| self.tile(*tile).map_err(failed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;

    use super::*;

    #[test]
    fn the_last_leaf_before_a_place_is_found_across_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        let mut leaves: Vec<Hash> = (0..70_000_u32).map(|at| leaf_hash(&at.to_be_bytes())).collect();
        leaves[5] = leaves[60_000];
        archive.write(0, 0, &leaves).unwrap();
        let sought = leaves[60_000];
        assert_eq!(archive.find_before(&sought, 70_000).unwrap(), Some(60_000));
        assert_eq!(archive.find_before(&sought, 60_000).unwrap(), Some(5));
        assert_eq!(archive.find_before(&sought, 5).unwrap(), None);
        assert_eq!(archive.find_before(&leaf_hash(b"x"), 70_000).unwrap(), None);
        assert!(archive.find_before(&sought, 70_001).is_err(), "it is not there");
    }
}

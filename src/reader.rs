//! Reads tiles for those who ask, with the ones asked for often kept in memory.
//!
//! What is cached is what is on disk, as it is on disk; the published tree never changes under a path, so nothing
//! here expires. Bundles are also kept compressed, for clients that take gzip.
//!
//! Absent on purpose: trust, which [`crate::prove`] establishes, and HTTP.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tlog::tile::TilePath;

use crate::source::{SourceError, TileSource, cut};
use crate::store::tiles::TileStore;

/// Memory that a cached object takes beside its bytes.
const OVERHEAD_BYTES: u64 = 96;
/// About as many bytes as a full tile or bundle has.
const TYPICAL_BYTES: u64 = 8192;

/// How an object is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Compressed, where that makes it smaller.
    Gzip,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(TilePath, Encoding), Bytes> for ByBytes {
    fn weight(&self, _: &(TilePath, Encoding), bytes: &Bytes) -> u64 {
        bytes.len() as u64 + OVERHEAD_BYTES
    }
}

/// Reads tiles and bundles. Shared by all request handlers.
pub struct Reader {
    tiles: Arc<TileStore>,
    /// An empty value under [`Encoding::Gzip`] says that compression is not worth it.
    cache: Cache<(TilePath, Encoding), Bytes, ByBytes>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("tiles", &self.tiles).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads from this store, keeping up to so many bytes.
    #[must_use]
    pub fn new(tiles: Arc<TileStore>, cache_bytes: u64) -> Self {
        let items = usize::try_from(cache_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX).max(16);
        Self { tiles, cache: Cache::with_weighter(items, cache_bytes, ByBytes) }
    }

    /// The object if it is in memory. Never blocks.
    #[must_use]
    pub fn cached(&self, path: TilePath, encoding: Encoding) -> Option<(Bytes, Encoding)> {
        let bytes = self.cache.get(&(path, encoding))?;
        if encoding == Encoding::Gzip && bytes.is_empty() {
            return Some((self.cache.get(&(path, Encoding::Identity))?, Encoding::Identity));
        }
        Some((bytes, encoding))
    }

    /// The object, and how it is encoded; `None` if it is not there. Blocks on the disk.
    ///
    /// # Errors
    /// The system's answer.
    pub fn get(&self, path: TilePath, encoding: Encoding) -> io::Result<Option<(Bytes, Encoding)>> {
        if let Some(found) = self.cached(path, encoding) {
            return Ok(Some(found));
        }
        let plain = match self.cached(path, Encoding::Identity) {
            Some((bytes, _)) => bytes,
            None => match self.tiles.read(&path)? {
                Some(bytes) => Bytes::from(bytes),
                None => return Ok(None),
            },
        };
        self.cache.insert((path, Encoding::Identity), plain.clone());
        if encoding == Encoding::Identity {
            return Ok(Some((plain, Encoding::Identity)));
        }
        let packed = compress(&plain);
        self.cache.insert((path, Encoding::Gzip), packed.clone());
        let worth = !packed.is_empty();
        Ok(Some(if worth { (packed, Encoding::Gzip) } else { (plain, Encoding::Identity) }))
    }
}

impl TileSource for Arc<Reader> {
    fn read(&self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        paths.iter().map(|path| self.one(*path)).collect()
    }
}

impl Reader {
    fn one(&self, path: TilePath) -> Result<Option<Bytes>, SourceError> {
        let read = |path: TilePath| {
            let found = self.get(path, Encoding::Identity);
            found.map_err(|error| SourceError::Io(path.to_string(), error))
        };
        if let Some((bytes, _)) = read(path)? {
            return Ok(Some(bytes));
        }
        Ok(read(path.full())?.and_then(|(full, _)| cut(path, &full)))
    }
}

/// Empty where it is not worth it.
fn compress(plain: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::fast());
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes every write");
    if packed.len() + packed.len() / 8 < plain.len() { packed.into() } else { Bytes::new() }
}

#[cfg(test)]
mod tests {
    use tlog::bundle;
    use tlog::hash::HASH_BYTES;

    use super::*;
    use crate::store::disk::RealDisk;

    fn store() -> (tempfile::TempDir, Reader) {
        let dir = tempfile::tempdir().expect("a folder");
        let tiles = Arc::new(TileStore::new(dir.path().to_owned(), Arc::new(RealDisk::default())));
        let reader = Reader::new(tiles, 1 << 20);
        (dir, reader)
    }

    fn write(reader: &Reader, path: &str, bytes: &[u8]) {
        reader.tiles.write(&path.parse().expect("a path"), bytes).expect("written");
    }

    #[test]
    fn a_superseded_partial_object_is_cut_from_the_full_one() {
        let (_dir, reader) = store();
        let mut full = Vec::new();
        (0..256u16).for_each(|at| bundle::push_entry(&mut full, &at.to_be_bytes()).expect("short"));
        write(&reader, "tile/entries/000", &full);
        write(&reader, "tile/0/000", &[7; 256 * HASH_BYTES]);
        let paths = ["tile/entries/000.p/3", "tile/0/000.p/5", "tile/1/000.p/5"]
            .map(|path| path.parse().expect("a path"));
        let read = Arc::new(reader).read(&paths).expect("read");
        assert_eq!(read[0].as_deref(), Some(&full[..12]));
        assert_eq!(read[1].as_deref(), Some(&[7; 5 * HASH_BYTES][..]));
        assert_eq!(read[2], None);
    }

    #[test]
    fn compression_is_used_only_where_it_helps() {
        let (_dir, reader) = store();
        let noise: Vec<u8> = (0..4096u32)
            .flat_map(|at| tlog::hash::sha256(&at.to_be_bytes()).as_bytes()[..2].to_vec())
            .collect();
        write(&reader, "tile/entries/000.p/1", &noise);
        write(&reader, "tile/entries/000.p/2", &[b'a'; 4096]);
        let get = |path: &str| {
            reader.get(path.parse().expect("a path"), Encoding::Gzip).expect("read").expect("found")
        };
        for _ in 0..2 {
            assert_eq!(get("tile/entries/000.p/1"), (Bytes::from(noise.clone()), Encoding::Identity));
            let (packed, encoding) = get("tile/entries/000.p/2");
            assert!(packed.len() < 200 && encoding == Encoding::Gzip);
        }
    }
}

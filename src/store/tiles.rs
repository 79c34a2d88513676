//! The public tree: tiles, bundles and the checkpoint, as plain files in the C2SP layout.
//!
//! Any web server can serve the folder. Objects are written aside and renamed, so a reader sees a whole one or
//! none; they are synced later, together, by [`TileStore::flush`], and the journal keeps their batch until then.
//!
//! Partial objects stay until the full one is flushed and public, then [`TileStore::collect`] removes them.
//!
//! Absent on purpose: trust. Whoever reads a tile authenticates it.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tlog::tile::TilePath;

use crate::store::disk::Disk;

/// Threads that sync files at the same time.
const SYNC_THREADS: usize = 8;
const CHECKPOINT: &str = "checkpoint";

/// What was written and not yet synced.
#[derive(Debug, Default)]
pub struct Dirty {
    paths: HashSet<TilePath>,
}

impl Dirty {
    /// The full objects of the list.
    pub fn full(&self) -> impl Iterator<Item = TilePath> {
        self.paths.iter().copied().filter(|path| path.is_full())
    }

    /// Whether there is nothing to sync.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The public folder of a log.
pub struct TileStore {
    public: PathBuf,
    disk: Arc<dyn Disk>,
    /// Filled by the writer, emptied by housekeeping: every object that may not be on the device.
    dirty: Mutex<Dirty>,
}

impl std::fmt::Debug for TileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TileStore").field("public", &self.public).finish_non_exhaustive()
    }
}

impl TileStore {
    /// The store in this folder.
    #[must_use]
    pub fn new(public: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { public, disk, dirty: Mutex::default() }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.public
    }

    fn file(&self, path: &TilePath) -> PathBuf {
        self.public.join(path.to_string())
    }

    /// Writes an object. Visible at once, durable after the next flush.
    ///
    /// # Errors
    /// The system's answer; the object is then as it was before.
    pub fn write(&self, path: &TilePath, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(&self.file(path), bytes)?;
        // Listed once it is there: a flush that runs meanwhile must find every object of its list. What is written
        // and not listed yet is above the mark that this flush moves to.
        self.lock().paths.insert(*path);
        Ok(())
    }

    /// Reads an object; `None` if it is not there.
    ///
    /// # Errors
    /// The system's answer.
    pub fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        found(std::fs::read(self.file(path)))
    }

    /// Makes the checkpoint visible. Not synced: recovery signs the same bytes again.
    ///
    /// # Errors
    /// The system's answer.
    pub fn write_checkpoint(&self, note: &[u8]) -> io::Result<()> {
        self.disk.replace(&self.public.join(CHECKPOINT), note)
    }

    /// The checkpoint on disk; `None` if there is none.
    ///
    /// # Errors
    /// The system's answer.
    pub fn read_checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        found(std::fs::read(self.public.join(CHECKPOINT)))
    }

    /// Takes the list of what has to be synced. If the flush fails, the process ends, so nothing is put back.
    #[must_use]
    pub fn take_dirty(&self) -> Dirty {
        std::mem::take(&mut *self.lock())
    }

    /// Syncs every object of the list, then every folder from theirs up to the public one.
    ///
    /// # Errors
    /// The first failure; what was written may be lost then.
    pub fn flush(&self, dirty: &Dirty) -> io::Result<()> {
        let superseded = |path: &&TilePath| !path.is_full() && dirty.paths.contains(&path.full());
        let files: Vec<PathBuf> =
            dirty.paths.iter().filter(|path| !superseded(path)).map(|path| self.file(path)).collect();
        let mut folders = BTreeSet::new();
        for file in &files {
            let above = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.public));
            folders.extend(above.map(Path::to_owned));
        }
        self.sync_all(&files)?;
        self.sync_all(&folders.into_iter().rev().collect::<Vec<_>>())
    }

    fn sync_all(&self, paths: &[PathBuf]) -> io::Result<()> {
        let share = paths.len().div_ceil(SYNC_THREADS).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = paths
                .chunks(share)
                .map(|paths| scope.spawn(move || paths.iter().try_for_each(|path| self.disk.sync_path(path))))
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("syncing does not panic"))
        })
    }

    /// Removes the partial objects under full ones, which were flushed and are part of the published tree.
    ///
    /// # Errors
    /// The system's answer; what is left is removed the next time its folder is collected, or stays harmlessly.
    pub fn collect(&self, full: impl IntoIterator<Item = TilePath>) -> io::Result<()> {
        for path in full {
            debug_assert!(path.is_full(), "a partial object supersedes nothing");
            let mut folder = self.file(&path).into_os_string();
            folder.push(".p");
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Dirty> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn found(read: io::Result<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;

    #[test]
    fn a_flush_finds_every_object_of_its_list_while_others_are_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let tiles = TileStore::new(dir.path().to_owned(), Arc::new(RealDisk::default()));
        let written = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for index in 0..2000u64 {
                    let width = u16::try_from(index % 256 + 1).expect("a width");
                    let tile = tlog::tile::Tile::new(0, index / 256, width).expect("a tile");
                    tiles.write(&TilePath::Hashes(tile), &[1; 64]).expect("written");
                }
                written.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            while !written.load(std::sync::atomic::Ordering::SeqCst) {
                let dirty = tiles.take_dirty();
                tiles.flush(&dirty).expect("every listed object is there");
                tiles.collect(dirty.full()).expect("collected");
            }
        });
    }
}

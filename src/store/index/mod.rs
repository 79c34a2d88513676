//! The index: leaf hash to place in the tree. Losable; everything in it can be derived from the tiles.
//!
//! An LSM tree keyed on the full 32 bytes of the leaf hash, the value a big-endian u64, and a watermark (tree size
//! and root) that is written atomically with each batch. `follower.rs` feeds it behind the sequencer's back.
//!
//! What it says is never believed: [`crate::lookup`] compares every hit with the stored entry, and a miss counts
//! only because the follower's memory holds what is not yet written here.

mod follower;

pub use follower::{IndexError, IndexFollower};

use std::path::Path;

use fjall::config::{
    BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, PartitioningPolicy, PinningPolicy,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};

const WATERMARK: &[u8] = b"watermark";
/// Memory for keys that are not yet in sorted files.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// The LSM tree's own journal, before it is cleaned.
const JOURNALING_BYTES: u64 = 64 << 20;
/// Bits a key for filters that spare a search the read of a file: about one wrong guess in a thousand.
const FILTER_BITS_PER_KEY: f32 = 14.0;

/// The index on disk.
pub struct Index {
    database: Database,
    leaves: Keyspace,
    meta: Keyspace,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

impl Index {
    /// Opens the index in this folder, creating it if there is none.
    ///
    /// # Errors
    /// If the folder holds something that is no sound index; remove it and rebuild.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, fjall::Error> {
        let database = Database::builder(dir)
            .cache_size(cache_bytes)
            .manual_journal_persist(true)
            .max_journaling_size(JOURNALING_BYTES)
            .max_cached_files(Some(256))
            .worker_threads(1)
            .open()?;
        let options = || {
            let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(FILTER_BITS_PER_KEY));
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .filter_policy(FilterPolicy::all(filter))
                // Nearly every search is for a leaf that is not there. It must be answered from memory: a filter that
                // is read from its file for each search costs more than everything else that an append does.
                .filter_block_pinning_policy(PinningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(false))
                .index_block_pinning_policy(PinningPolicy::all(true))
        };
        let leaves = database.keyspace("leaves", options)?;
        let meta = database.keyspace("meta", KeyspaceCreateOptions::default)?;
        Ok(Self { database, leaves, meta })
    }

    /// The place that the index proposes for a leaf.
    ///
    /// # Errors
    /// What the store says.
    pub fn get(&self, leaf: &Hash) -> Result<Option<u64>, fjall::Error> {
        let value = self.leaves.get(leaf.as_bytes())?;
        Ok(value.and_then(|value| Some(u64::from_be_bytes(value.as_ref().try_into().ok()?))))
    }

    /// How far the index has come; the empty tree for a new one.
    ///
    /// # Errors
    /// What the store says.
    pub fn watermark(&self) -> Result<TreeHead, fjall::Error> {
        let value = self.meta.get(WATERMARK)?;
        let head = value.as_deref().and_then(|bytes| {
            let (size, root) = bytes.split_first_chunk::<8>()?;
            let size = TreeSize::new(u64::from_be_bytes(*size)).ok()?;
            Some(TreeHead { size, root: Hash::from_bytes(root.try_into().ok()?) })
        });
        Ok(head.unwrap_or(TreeHead::EMPTY))
    }

    /// Adds leaves and moves the watermark, atomically. Durable after [`Index::persist`].
    ///
    /// # Errors
    /// What the store says.
    pub fn write<'a>(
        &self,
        leaves: impl Iterator<Item = &'a (Hash, u64)>,
        watermark: &TreeHead,
    ) -> Result<(), fjall::Error> {
        let mut batch = self.database.batch();
        for (leaf, index) in leaves {
            batch.insert(&self.leaves, leaf.as_bytes().as_slice(), index.to_be_bytes().as_slice());
        }
        let mark = [watermark.size.get().to_be_bytes().as_slice(), watermark.root.as_bytes()].concat();
        batch.insert(&self.meta, WATERMARK, mark);
        batch.commit()
    }

    /// Waits until all that was written is on the device.
    ///
    /// # Errors
    /// What the store says.
    pub fn persist(&self) -> Result<(), fjall::Error> {
        self.database.persist(PersistMode::SyncAll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog::hash::leaf_hash;

    fn leaves(range: std::ops::Range<u64>) -> Vec<(Hash, u64)> {
        range.map(|index| (leaf_hash(&index.to_be_bytes()), index)).collect()
    }

    #[test]
    fn leaves_and_watermark_survive_reopening_and_being_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let head = |size| TreeHead { size: TreeSize::new(size).unwrap(), root: leaf_hash(b"root") };
        let index = Index::open(dir.path(), 1 << 20).unwrap();
        index.write(leaves(0..700).iter(), &head(700)).unwrap();
        index.persist().unwrap();
        drop(index);
        let index = Index::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(index.watermark().unwrap(), head(700));
        index.write(leaves(512..700).iter(), &head(700)).unwrap();
        for (leaf, at) in leaves(0..700) {
            assert_eq!(index.get(&leaf).unwrap(), Some(at));
        }
        assert_eq!(index.get(&leaf_hash(b"absent")).unwrap(), None);
    }
}

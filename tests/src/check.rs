//! The audit that ends every scenario: everything public, from the bytes alone.
//!
//! It reads the log's public folder as any web server would serve it, and trusts only the log's public keys.

use std::collections::BTreeMap;
use std::path::Path;

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::TreeSize;
use tlog::note::Note;
use tlog::tile::{TilePath, bundles, hash_tiles};
use tlog::tree::Frontier;
use tlog::verify_tiles::plan_whole_tiles;
use tlog::vkey::VerifierKey;

/// A public tree that was verified from the entries up.
#[derive(Debug)]
pub struct Audited {
    /// The published checkpoint.
    pub checkpoint: VerifiedCheckpoint,
    /// Every entry, in order.
    pub entries: Vec<Vec<u8>>,
}

impl Audited {
    /// The entries by their bytes.
    #[must_use]
    pub fn by_bytes(&self) -> BTreeMap<&[u8], u64> {
        (0..).zip(&self.entries).map(|(index, entry)| (entry.as_slice(), index)).collect()
    }
}

/// Verifies checkpoint, tiles and entries under `public`.
///
/// # Panics
/// If anything is missing, wrong, or stored twice.
#[must_use]
pub fn check(public: &Path, keys: &[VerifierKey]) -> Audited {
    let note = std::fs::read(public.join("checkpoint")).expect("a checkpoint");
    let note = Note::parse(&note).expect("a note");
    let checkpoint = VerifiedCheckpoint::verify(&note, keys).expect("a checkpoint signed by the log");
    assert!(checkpoint.tree_head_time().is_some(), "both keys sign");
    let head = checkpoint.head();
    let plan = plan_whole_tiles(head, hash_tiles(head.size));
    let tiles: Vec<_> = plan.tiles().iter().map(|tile| read(public, TilePath::Hashes(*tile))).collect();
    let tiles = plan.authenticate(&tiles).expect("tiles of the signed tree");
    let mut entries = Vec::new();
    let mut frontier = Frontier::new();
    for bundle in bundles(head.size) {
        let bytes = read(public, TilePath::Entries(bundle));
        let checked = tiles.check_bundle(bundle, &bytes).expect("entries of the signed tree");
        for entry in checked {
            frontier.push(leaf_hash(entry), |_, _| ());
            entries.push(entry.to_vec());
        }
    }
    assert_eq!(frontier.head(), head, "the entries alone give the signed root");
    let audited = Audited { checkpoint, entries };
    assert_eq!(audited.by_bytes().len(), audited.entries.len(), "no entry is stored twice");
    audited
}

fn read(public: &Path, path: TilePath) -> Vec<u8> {
    let file = |path: TilePath| std::fs::read(public.join(path.to_string()));
    let whole = |_| {
        let mut bytes = file(path.full()).unwrap_or_else(|error| panic!("{path}: {error}"));
        let TilePath::Hashes(tile) = path else { panic!("{path} is missing") };
        bytes.truncate(usize::from(tile.width()) * 32);
        bytes
    };
    file(path).unwrap_or_else(whole)
}

/// The root over the first `size` entries of an audited log.
///
/// # Panics
/// If there are fewer.
#[must_use]
pub fn root_at(audited: &Audited, size: TreeSize) -> Hash {
    let count = usize::try_from(size.get()).expect("a size that fits");
    let mut frontier = Frontier::new();
    for entry in &audited.entries[..count] {
        frontier.push(leaf_hash(entry), |_, _| ());
    }
    frontier.root()
}

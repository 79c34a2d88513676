//! The second opinion on every batch, before its head is committed.
//!
//! Takes the bytes that are about to be stored (the journal's payload, the tiles, the bundles), hashes
//! them with a second SHA-256 implementation and rebuilds the root from a right edge of its own. One flipped
//! bit in a signed leaf hash is beyond repair, so nothing that [`crate::integrate`] computed is believed here,
//! and no tree code is shared with it: an entry's place is found by counting, subtrees are merged like the
//! carries of a binary counter.
//!
//! Absent on purpose: `tlog::tree`, `tlog::bundle`, and the first hash implementation.

use tlog::crypto::sha256_independent;
use tlog::ids::TreeHead;
use tlog::tile::TilePath;

use crate::integrate::Object;

/// A SHA-256 digest by the second implementation.
pub type Digest = [u8; 32];

const WIDTH: usize = 256;

/// What the second path found wrong. Any of these ends the process before anything is signed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuditError {
    /// The payload does not split into the stated number of entries.
    #[error("the batch payload does not hold the {expected} entries it should (stopped after {found})")]
    Payload {
        /// Entries that the batch should hold.
        expected: u64,
        /// Entries that could be read.
        found: u64,
    },
    /// The rebuilt root or size differs from the head.
    #[error("the second hash path rebuilds another tree than the head says: size {size}")]
    Head {
        /// The rebuilt size.
        size: u64,
    },
    /// An object to be stored is not what the rebuilt tree needs.
    #[error("{0} would be stored with bytes that do not belong to the tree")]
    Object(TilePath),
    /// An object that the head needs is not among those to be stored.
    #[error("{objects} objects would be stored, the head needs {expected}")]
    Missing {
        /// Objects in the batch.
        objects: usize,
        /// Objects that the batch should have.
        expected: usize,
    },
}

/// What passed the audit, by digest: whatever is read back later must be this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The audited head.
    pub head: TreeHead,
    /// SHA-256 of the journal payload.
    pub payload: Digest,
    /// SHA-256 of each object.
    pub objects: Vec<(TilePath, Digest)>,
}

/// The auditor's own right edge.
#[derive(Clone, Debug, Default)]
pub struct Auditor {
    size: u64,
    /// Complete subtrees, largest first: (height, hash).
    peaks: Vec<(u32, Digest)>,
    /// The hashes of the partial tile of each level.
    rows: Vec<Vec<Digest>>,
}

/// Full rows that the batch at hand completed: (level, tile index, hashes).
type Filled = Vec<(usize, u64, Vec<Digest>)>;

impl Auditor {
    /// Starts from a tree whose edge was checked against its head: `leaves_of_level` are the partial tiles'
    /// hashes, level 0 first.
    ///
    /// # Errors
    /// [`AuditError::Head`] if they do not add up to the head.
    pub fn resume(head: &TreeHead, leaves_of_level: Vec<Vec<Digest>>) -> Result<Self, AuditError> {
        let size = head.size.get();
        let mut peaks = Vec::new();
        for (level, row) in leaves_of_level.iter().enumerate().rev() {
            let mut at = 0;
            for bit in (0..8).rev() {
                if row.len() & (1 << bit) != 0 {
                    let hash = tree_of(&row[at..at + (1 << bit)]);
                    peaks.push((8 * u32::try_from(level).expect("at most eight levels") + bit, hash));
                    at += 1 << bit;
                }
            }
        }
        let auditor = Self { size, peaks, rows: leaves_of_level };
        let counted: u64 = auditor.peaks.iter().map(|(height, _)| 1u64 << height).sum();
        if counted != size || auditor.root() != *head.root.as_bytes() {
            return Err(AuditError::Head { size: counted });
        }
        Ok(auditor)
    }

    /// Rebuilds the tree from `payload` (entries, each behind its 16-bit big-endian length) and compares it with
    /// the head and with every object. On success the auditor stands at `head`.
    ///
    /// Cost: one hash of every entry in `payload` and in the bundles, one node hash an entry.
    ///
    /// # Errors
    /// [`AuditError`] names the first thing that differs; the auditor must not be used again.
    pub fn check(
        &mut self,
        payload: &[u8],
        objects: &[Object],
        head: &TreeHead,
    ) -> Result<Sealed, AuditError> {
        // Digests first, checks after: a bit that flips in between is found by one or the other.
        let sealed = Sealed {
            head: *head,
            payload: sha256_independent(&[payload]),
            objects: objects
                .iter()
                .map(|object| (object.path, sha256_independent(&[&object.bytes])))
                .collect(),
        };
        let expected = head.size.get().checked_sub(self.size).ok_or(AuditError::Head { size: self.size })?;
        let mut filled = Filled::new();
        let (mut rest, mut found) = (payload, 0);
        while let Some((entry, after)) = split_entry(rest) {
            self.push(sha256_independent(&[&[0], entry]), &mut filled);
            (rest, found) = (after, found + 1);
        }
        if !rest.is_empty() || found != expected {
            return Err(AuditError::Payload { expected, found });
        }
        if self.size != head.size.get() || self.root() != *head.root.as_bytes() {
            return Err(AuditError::Head { size: self.size });
        }
        self.check_objects(objects, &filled)?;
        Ok(sealed)
    }

    fn check_objects(&self, objects: &[Object], filled: &Filled) -> Result<(), AuditError> {
        for object in objects {
            let right = match object.path {
                TilePath::Hashes(tile) => self
                    .row(usize::from(tile.level()), tile.index(), usize::from(tile.width()), filled)
                    .is_some_and(|row| row.as_flattened() == object.bytes),
                TilePath::Entries(bundle) => self
                    .row(0, bundle.index(), usize::from(bundle.width()), filled)
                    .is_some_and(|row| hashes_to(&object.bytes, row)),
            };
            if !right {
                return Err(AuditError::Object(object.path));
            }
        }
        let bundles = |row: &Vec<Digest>, level: usize| usize::from(level == 0 && !row.is_empty());
        let full: usize = filled.iter().map(|(level, _, row)| 1 + bundles(row, *level)).sum();
        let partial: usize =
            self.rows.iter().enumerate().map(|(l, row)| usize::from(!row.is_empty()) + bundles(row, l)).sum();
        if objects.len() != full + partial {
            return Err(AuditError::Missing { objects: objects.len(), expected: full + partial });
        }
        Ok(())
    }

    /// The row that a tile of this level, index and width must hold after the batch.
    fn row<'a>(&'a self, level: usize, index: u64, width: usize, filled: &'a Filled) -> Option<&'a [Digest]> {
        if width == WIDTH {
            let (_, _, row) = filled.iter().find(|(l, i, _)| (*l, *i) == (level, index))?;
            return Some(row);
        }
        let row = self.rows.get(level)?;
        let at = (self.size >> (8 * u32::try_from(level).ok()?)) / WIDTH as u64;
        (row.len() == width && at == index).then_some(row.as_slice())
    }

    fn push(&mut self, leaf: Digest, filled: &mut Filled) {
        self.size += 1;
        self.append_to_row(0, leaf, filled);
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(top, _)| *top == height) {
            hash = sha256_independent(&[&[1], &left, &hash]);
            height += 1;
            if height % 8 == 0 {
                self.append_to_row((height / 8) as usize, hash, filled);
            }
        }
        self.peaks.push((height, hash));
    }

    fn append_to_row(&mut self, level: usize, hash: Digest, filled: &mut Filled) {
        if self.rows.len() <= level {
            self.rows.push(Vec::with_capacity(WIDTH));
        }
        let row = &mut self.rows[level];
        row.push(hash);
        if row.len() == WIDTH {
            let index = (self.size >> (8 * level)) / WIDTH as u64 - 1;
            filled.push((level, index, std::mem::take(row)));
        }
    }

    fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some((_, smallest)) = peaks.next() else { return sha256_independent(&[]) };
        peaks.fold(*smallest, |right, (_, left)| sha256_independent(&[&[1], left, &right]))
    }
}

fn tree_of(hashes: &[Digest]) -> Digest {
    match hashes {
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            sha256_independent(&[&[1], &tree_of(left), &tree_of(right)])
        }
    }
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn hashes_to(bundle: &[u8], row: &[Digest]) -> bool {
    let mut rest = bundle;
    for hash in row {
        let Some((entry, after)) = split_entry(rest) else { return false };
        if sha256_independent(&[&[0], entry]) != *hash {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrate::Edge;
    use bytes::Bytes;
    use tlog::hash::leaf_hash;

    fn batch(edge: &mut Edge, from: u64, to: u64) -> (Vec<u8>, Vec<Object>) {
        let entries: Vec<_> = (from..to).map(|index| format!("entry {index}").into_bytes()).collect();
        let mut payload = Vec::new();
        for entry in &entries {
            tlog::bundle::push_entry(&mut payload, entry).unwrap();
        }
        let objects = edge.integrate(entries.iter().map(|entry| (leaf_hash(entry), entry.as_slice())));
        (payload, objects)
    }

    #[test]
    fn both_paths_agree_at_every_size_where_tiles_fill() {
        let (mut edge, mut auditor, mut at) = (Edge::empty(), Auditor::default(), 0);
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000] {
            let (payload, objects) = batch(&mut edge, at, size);
            auditor.check(&payload, &objects, &edge.head()).unwrap();
            let resumed = Auditor::resume(&edge.head(), auditor.rows.clone()).unwrap();
            assert_eq!(resumed.peaks, auditor.peaks, "size {size}");
            at = size;
        }
    }

    #[test]
    fn one_flipped_bit_in_payload_object_or_head_is_found() {
        let mut edge = Edge::empty();
        let mut auditor = Auditor::default();
        let (payload, objects) = batch(&mut edge, 0, 250);
        auditor.check(&payload, &objects, &edge.head()).unwrap();
        let (payload, objects) = batch(&mut edge, 250, 260);
        let head = edge.head();
        auditor.clone().check(&payload, &objects, &head).unwrap();
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            auditor.clone().check(&flipped, &objects, &head).unwrap_err();
        }
        for which in 0..objects.len() {
            for bit in (0..objects[which].bytes.len() * 8).step_by(7) {
                let mut flipped = objects.clone();
                let mut bytes = flipped[which].bytes.to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                flipped[which].bytes = Bytes::from(bytes);
                let error = auditor.clone().check(&payload, &flipped, &head).unwrap_err();
                assert_eq!(error, AuditError::Object(objects[which].path));
            }
            let mut fewer = objects.clone();
            fewer.remove(which);
            auditor.clone().check(&payload, &fewer, &head).unwrap_err();
        }
        for bit in 0..256 {
            let mut root = *head.root.as_bytes();
            root[bit / 8] ^= 1 << (bit % 8);
            let flipped = TreeHead { root: tlog::hash::Hash::from_bytes(root), ..head };
            assert_eq!(
                auditor.clone().check(&payload, &objects, &flipped).unwrap_err(),
                AuditError::Head { size: 260 }
            );
        }
    }

    #[test]
    fn the_empty_tree_audits_to_the_hash_of_nothing() {
        let mut auditor = Auditor::default();
        auditor.check(&[], &[], &TreeHead::EMPTY).unwrap();
        Auditor::resume(&TreeHead::EMPTY, Vec::new()).unwrap();
    }
}

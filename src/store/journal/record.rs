//! One record of the journal: its bytes, and the check that it can be trusted.
//!
//! ```text
//! at   bytes
//!   0      8   "DBJRNL01": magic and format version
//!   8      8   sequence number, u64 big-endian like all numbers here
//!  16     32   digest of the record before, zero for the first
//!  48      8   tree size after the batch
//!  56     32   root after the batch
//!  88      8   time of the batch, milliseconds since 1970
//!  96      8   tree size before the batch
//! 104      4   number of entries
//! 108      4   length of the payload
//! 112      n   payload: the entries, each behind its 16-bit length
//! 112+n   32   SHA-256 over the journal's key and everything above
//! ```
//!
//! followed by zeroes up to the next multiple of 4096, so that no later write touches a sector of this record.
//! The key is random and stands in the segment header: an entry that imitates a record cannot pass for one.

use sha2::{Digest, Sha256};
use tlog::bundle;
use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize, UnixMillis};

/// Records start at multiples of this.
pub const ALIGN_BYTES: usize = 4096;
/// The longest payload. A batch is bounded well below.
pub const PAYLOAD_BYTES_MAX: usize = 48 << 20;
pub(super) const MAGIC: &[u8; 8] = b"DBJRNL01";
const HEADER_BYTES: usize = 112;
const DIGEST_BYTES: usize = 32;

/// What makes this journal's digests its own.
pub(super) type Key = [u8; 32];

fn keyed(key: &Key, bytes: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::new().chain_update(key).chain_update(bytes).finalize().into())
}

/// A committed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The tree after it.
    pub head: TreeHead,
    /// Its clock reading.
    pub time: UnixMillis,
    /// The tree size before it.
    pub first: TreeSize,
    /// Its entries, each behind its 16-bit length.
    pub entries: Vec<u8>,
    /// How many they are.
    pub count: u32,
}

/// A record that was read and checked by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) seq: u64,
    pub(super) previous: Hash,
    pub(super) digest: Hash,
    pub(super) commit: Commit,
}

/// Appends the record's bytes, padded, to `out`, and returns its digest.
pub(super) fn encode(out: &mut Vec<u8>, key: &Key, seq: u64, previous: &Hash, commit: &Commit) -> Hash {
    let start = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(previous.as_bytes());
    out.extend_from_slice(&commit.head.size.get().to_be_bytes());
    out.extend_from_slice(commit.head.root.as_bytes());
    out.extend_from_slice(&commit.time.get().to_be_bytes());
    out.extend_from_slice(&commit.first.get().to_be_bytes());
    out.extend_from_slice(&commit.count.to_be_bytes());
    let length = u32::try_from(commit.entries.len()).expect("a payload is bounded");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&commit.entries);
    let digest = keyed(key, &out[start..]);
    out.extend_from_slice(digest.as_bytes());
    out.resize(start + (out.len() - start).next_multiple_of(ALIGN_BYTES), 0);
    digest
}

/// Bytes that a record with this payload takes, padding included.
pub(super) fn padded_bytes(payload: usize) -> usize {
    (HEADER_BYTES + payload + DIGEST_BYTES).next_multiple_of(ALIGN_BYTES)
}

/// Reads the record at the start of `bytes`. `None` for anything that is not whole and self-consistent.
pub(super) fn decode(key: &Key, bytes: &[u8]) -> Option<Record> {
    let header = bytes.first_chunk::<HEADER_BYTES>()?;
    if header[..8] != MAGIC[..] {
        return None;
    }
    let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let small = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    let hash = |at: usize| Hash::from_bytes(header[at..at + 32].try_into().expect("32 bytes"));
    let length = small(108) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let end = HEADER_BYTES + length;
    let digest = bytes.get(end..end + DIGEST_BYTES)?;
    if keyed(key, &bytes[..end]).as_bytes() != digest {
        return None;
    }
    let head = TreeHead { size: TreeSize::new(number(48)).ok()?, root: hash(56) };
    let first = TreeSize::new(number(96)).ok()?;
    let entries = bytes[HEADER_BYTES..end].to_vec();
    let commit = Commit { head, time: UnixMillis::new(number(88)), first, entries, count: small(104) };
    let counted = bundle::split(&commit.entries).ok()?.len() as u64;
    let grown = head.size.get().checked_sub(first.get())?;
    if counted != u64::from(commit.count) || counted != grown {
        return None;
    }
    let digest = Hash::from_bytes(digest.try_into().expect("32 bytes"));
    Some(Record { seq: number(8), previous: hash(16), digest, commit })
}

#[cfg(test)]
mod tests {
    use tlog::hash::leaf_hash;

    use super::super::segment::encode_header;
    use super::*;

    const SPECIFICATION: &str = include_str!("../../../docs/spec/journal.md");

    /// The specification's vectors: the lines of hex between fences.
    fn vectors() -> Vec<String> {
        let blocks = SPECIFICATION.split("```text\n").skip(1);
        blocks.map(|block| block.split("```").next().expect("a block").lines().collect()).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn key() -> Key {
        std::array::from_fn(|at| u8::try_from(at).expect("small"))
    }

    fn commit() -> Commit {
        let mut entries = Vec::new();
        bundle::push_entry(&mut entries, b"first").expect("short");
        let head = TreeHead { size: TreeSize::new(1).expect("a size"), root: leaf_hash(b"first") };
        Commit { head, time: UnixMillis::new(1_790_000_000_000), first: TreeSize::ZERO, entries, count: 1 }
    }

    #[test]
    fn segments_and_records_are_those_of_the_specification() {
        let [segment, record] = vectors().try_into().expect("two vectors");
        assert_eq!(hex(&encode_header(1, 1 << 20, &key())[..88]), segment);
        let mut bytes = Vec::new();
        encode(&mut bytes, &key(), 2, &Hash::from_bytes([0xaa; 32]), &commit());
        assert_eq!(bytes.len(), ALIGN_BYTES);
        assert_eq!(hex(&bytes[..record.len() / 2]), record);
        assert!(bytes[record.len() / 2..].iter().all(|byte| *byte == 0));
        let read = decode(&key(), &bytes).expect("a record");
        assert_eq!((read.seq, read.commit), (2, commit()));
    }

    #[test]
    fn every_flipped_bit_and_another_key_are_noticed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &key(), 2, &Hash::from_bytes([0xaa; 32]), &commit());
        let used = HEADER_BYTES + 7 + DIGEST_BYTES;
        for bit in 0..used * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&key(), &flipped).is_none(), "bit {bit}");
        }
        assert!(decode(&[0; 32], &bytes).is_none());
        assert!((0..used).all(|cut| decode(&key(), &bytes[..cut]).is_none()), "cut short");
    }

    proptest::proptest! {
        /// Arbitrary bytes under a right digest, as nobody without the key can make them.
        #[test]
        fn what_is_read_as_a_record_is_written_as_the_same_bytes(
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            (size, first, count) in (0_u64..4, 0_u64..4, 0_u32..4),
            entries in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..9), 0..4),
            raw: bool,
        ) {
            let mut payload = Vec::new();
            entries.iter().for_each(|entry| bundle::push_entry(&mut payload, entry).expect("short"));
            let payload = if raw { body.clone() } else { payload };
            let mut bytes = MAGIC.to_vec();
            bytes.resize(48, 7);
            bytes.extend(size.to_be_bytes());
            bytes.resize(96, 9);
            bytes.extend(first.to_be_bytes());
            bytes.extend(count.to_be_bytes());
            bytes.extend(u32::try_from(payload.len()).expect("short").to_be_bytes());
            bytes.extend(&payload);
            let digest = keyed(&key(), &bytes);
            bytes.extend(digest.as_bytes());
            proptest::prop_assert!(decode(&key(), &body).is_none());
            if let Some(Record { seq, previous, commit, digest: read }) = decode(&key(), &bytes) {
                let mut again = Vec::new();
                proptest::prop_assert_eq!(encode(&mut again, &key(), seq, &previous, &commit), read);
                proptest::prop_assert_eq!(&again[..bytes.len()], &bytes[..]);
                proptest::prop_assert_eq!(u64::from(commit.count), size - first);
            } else {
                let whole = bundle::split(&payload).is_ok_and(|split| split.len() == count as usize);
                proptest::prop_assert!(!whole || size.checked_sub(first) != Some(u64::from(count)));
            }
        }
    }
}

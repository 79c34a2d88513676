//! How values that may be erased lie at rest: encrypted under a key per record, so that destroying the key erases them.
//!
//! ```text
//! "DBVALUE1"   nonce: 19 bytes   (ciphertext of 65,536 bytes   tag: 16)*   ciphertext of 0 to 65,536 bytes   tag: 16
//! ```
//!
//! XChaCha20-Poly1305 (RFC 8439 with the extended nonce), a chunk at a time, so that an attachment of any length is
//! written and read in constant memory. The nonce of a chunk is the file's 19 random bytes, the chunk's number in 4
//! bytes, and 1 for the last chunk or 0: chunks cannot be moved, dropped or cut off. The additional data of each is
//! `DBVALUE1` and the 32 bytes of the commitment that the value opens, so that a file cannot stand for another.
//!
//! Key and nonce come from the caller's random source; both are drawn for each file anew, the key for each record.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use tlog::hash::Hash;
use zeroize::Zeroizing;

/// Bytes of plaintext in every chunk but the last.
pub const CHUNK_BYTES: usize = 65_536;
/// Bytes that a chunk grows by.
pub const TAG_BYTES: usize = 16;
/// Bytes of a file's nonce.
pub const FILE_NONCE_BYTES: usize = 19;
/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = MAGIC.len() + FILE_NONCE_BYTES;
/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"DBVALUE1";

/// Why a file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another format or version.
    #[error("not a stored value of version 1")]
    Version,
    /// Another key or commitment, or damaged, cut, or reordered.
    #[error("the stored value does not open: wrong key, another value's file, or damaged")]
    Closed,
    /// More chunks than a file can have.
    #[error("a stored value has at most 2^32 chunks of {CHUNK_BYTES} bytes")]
    TooLong,
}

/// The key of one record's erasable values. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct RecordSecret(Zeroizing<[u8; KEY_BYTES]>);

impl RecordSecret {
    /// A key from the caller's random source, or as it was kept.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to keep them where they can be destroyed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for RecordSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordSecret(..)")
    }
}

/// What both directions share: the cipher, and where in the file they are.
struct Chunks {
    cipher: XChaCha20Poly1305,
    nonce: [u8; FILE_NONCE_BYTES],
    aad: [u8; 40],
    next: u32,
    ended: bool,
}

impl Chunks {
    fn new(key: &RecordSecret, nonce: [u8; FILE_NONCE_BYTES], commitment: &Hash) -> Self {
        let mut aad = [0; 40];
        aad[..8].copy_from_slice(MAGIC);
        aad[8..].copy_from_slice(commitment.as_bytes());
        Self { cipher: XChaCha20Poly1305::new(key.as_bytes().into()), nonce, aad, next: 0, ended: false }
    }

    fn step(&mut self, last: bool) -> Result<[u8; 24], StoreError> {
        if self.ended {
            return Err(StoreError::TooLong);
        }
        let mut nonce = [0; 24];
        nonce[..FILE_NONCE_BYTES].copy_from_slice(&self.nonce);
        nonce[FILE_NONCE_BYTES..23].copy_from_slice(&self.next.to_be_bytes());
        nonce[23] = u8::from(last);
        self.ended = last || self.next == u32::MAX;
        self.next = self.next.wrapping_add(1);
        Ok(nonce)
    }
}

/// Writes a file, chunk by chunk.
pub struct Writer(Chunks);

/// Reads a file, chunk by chunk. Nothing that it returned counts before the last chunk opened.
pub struct Reader(Chunks);

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer(chunk {})", self.0.next)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader(chunk {})", self.0.next)
    }
}

impl Writer {
    /// A writer, and the header to write first.
    #[must_use]
    pub fn new(
        key: &RecordSecret,
        nonce: [u8; FILE_NONCE_BYTES],
        commitment: &Hash,
    ) -> (Self, [u8; HEADER_BYTES]) {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].copy_from_slice(&nonce);
        (Self(Chunks::new(key, nonce, commitment)), header)
    }

    /// The next chunk: [`CHUNK_BYTES`], or up to as many if it is the last, which every file has.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] after the last.
    ///
    /// # Panics
    /// If a chunk that is not the last is not full, or one is too long.
    pub fn chunk(&mut self, plain: &[u8], last: bool) -> Result<Vec<u8>, StoreError> {
        assert!(plain.len() <= CHUNK_BYTES && (last || plain.len() == CHUNK_BYTES), "chunks are full");
        let nonce = self.0.step(last)?;
        let sealed = self.0.cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: &self.0.aad });
        Ok(sealed.expect("a chunk is short enough"))
    }
}

impl Reader {
    /// A reader for a file that begins with `header`.
    ///
    /// # Errors
    /// [`StoreError::Version`].
    pub fn new(
        key: &RecordSecret,
        header: &[u8; HEADER_BYTES],
        commitment: &Hash,
    ) -> Result<Self, StoreError> {
        let nonce = header.strip_prefix(MAGIC).ok_or(StoreError::Version)?;
        let nonce = nonce.try_into().expect("the header's length is fixed");
        Ok(Self(Chunks::new(key, nonce, commitment)))
    }

    /// Opens the next chunk: [`CHUNK_BYTES`] and [`TAG_BYTES`], or fewer if it is the last.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn chunk(&mut self, sealed: &[u8], last: bool) -> Result<Vec<u8>, StoreError> {
        let full = CHUNK_BYTES + TAG_BYTES;
        if sealed.len() > full || (!last && sealed.len() != full) {
            return Err(StoreError::Closed);
        }
        let nonce = self.0.step(last)?;
        let opened = self.0.cipher.decrypt(&nonce.into(), Payload { msg: sealed, aad: &self.0.aad });
        opened.map_err(|_| StoreError::Closed)
    }
}

/// A whole file at once.
///
/// # Panics
/// If the value has 2^32 chunks or more, 256 TiB.
#[must_use]
pub fn encrypt(
    key: &RecordSecret,
    nonce: [u8; FILE_NONCE_BYTES],
    commitment: &Hash,
    plain: &[u8],
) -> Vec<u8> {
    let (mut writer, header) = Writer::new(key, nonce, commitment);
    let mut out = header.to_vec();
    let mut rest = plain;
    while let Some((chunk, more)) = rest.split_at_checked(CHUNK_BYTES).filter(|(_, more)| !more.is_empty()) {
        out.extend(writer.chunk(chunk, false).expect("memory holds fewer chunks"));
        rest = more;
    }
    out.extend(writer.chunk(rest, true).expect("memory holds fewer chunks"));
    out
}

/// The inverse of [`encrypt`].
///
/// # Errors
/// [`StoreError`].
pub fn decrypt(key: &RecordSecret, commitment: &Hash, file: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (header, mut rest) = file.split_first_chunk().ok_or(StoreError::Version)?;
    let mut reader = Reader::new(key, header, commitment)?;
    let mut out = Vec::with_capacity(rest.len());
    let full = CHUNK_BYTES + TAG_BYTES;
    while let Some((chunk, more)) = rest.split_at_checked(full).filter(|(_, more)| !more.is_empty()) {
        out.extend(reader.chunk(chunk, false)?);
        rest = more;
    }
    out.extend(reader.chunk(rest, true)?);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> RecordSecret {
        RecordSecret::new([byte; KEY_BYTES])
    }

    #[test]
    fn what_was_written_is_read_at_every_length_around_a_chunk() {
        let commitment = Hash::EMPTY_ROOT;
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 150_000] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let file = encrypt(&key(1), [9; FILE_NONCE_BYTES], &commitment, &plain);
            let chunks = length.div_ceil(CHUNK_BYTES).max(1);
            assert_eq!(file.len(), HEADER_BYTES + length + chunks * TAG_BYTES);
            assert_eq!(decrypt(&key(1), &commitment, &file).unwrap(), plain);
            assert_eq!(decrypt(&key(2), &commitment, &file), Err(StoreError::Closed), "another key");
            let other = tlog::hash::sha256(b"another value");
            assert_eq!(decrypt(&key(1), &other, &file), Err(StoreError::Closed), "another value's file");
        }
    }

    #[test]
    fn a_flipped_bit_a_cut_a_swap_or_an_addition_closes_it() {
        let commitment = Hash::EMPTY_ROOT;
        let plain = vec![7; 3 * CHUNK_BYTES + 5];
        let file = encrypt(&key(1), [9; FILE_NONCE_BYTES], &commitment, &plain);
        for at in (0..file.len()).step_by(4099).chain(0..40) {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert!(decrypt(&key(1), &commitment, &bad).is_err(), "byte {at}");
        }
        let full = CHUNK_BYTES + TAG_BYTES;
        for length in [0, 8, HEADER_BYTES, HEADER_BYTES + full, HEADER_BYTES + 2 * full, file.len() - 1] {
            assert!(decrypt(&key(1), &commitment, &file[..length]).is_err(), "cut to {length}");
        }
        let mut swapped = file.clone();
        let (first, second) = swapped[HEADER_BYTES..].split_at_mut(full);
        first.swap_with_slice(&mut second[..full]);
        assert!(decrypt(&key(1), &commitment, &swapped).is_err());
        assert!(decrypt(&key(1), &commitment, &[&file[..], b"x"].concat()).is_err());
        let newer = [b"DBVALUE2", &file[8..]].concat();
        assert_eq!(decrypt(&key(1), &commitment, &newer), Err(StoreError::Version));
    }

    #[test]
    fn neither_key_nor_salt_is_ever_shown() {
        assert_eq!(format!("{:?}", key(7)), "RecordSecret(..)");
        assert_eq!(format!("{:?}", crate::opening::Salt::new([7; 32])), "Salt(..)");
    }
}

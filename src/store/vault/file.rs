//! One attachment on its way in or out, encrypted on the way, a chunk in memory at a time.
//!
//! Absent on purpose: where its key lies, and when it counts as there ([`super::attachments`]).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use daemon::clock::Random;
use record::erasable::store::{
    CHUNK_BYTES, FILE_NONCE_BYTES, HEADER_BYTES, KEY_BYTES, Reader, RecordSecret, StoreError, TAG_BYTES,
    Writer,
};
use sha2::{Digest, Sha256};
use tlog::hash::Hash;

/// An attachment on its way in. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) secret: RecordSecret,
    /// For the opening, which is encrypted under the same key.
    pub(super) opening_nonce: [u8; FILE_NONCE_BYTES],
    writer: Writer,
    hasher: Sha256,
    bytes: u64,
    /// Fewer bytes than a chunk has, or a whole one until it is known whether more follows.
    chunk: Vec<u8>,
    pub(super) kept: bool,
}

impl Incoming {
    pub(super) fn create(path: PathBuf, commitment: &Hash, random: &dyn Random) -> io::Result<Self> {
        let (mut key, mut nonce) = ([0; KEY_BYTES], [0; FILE_NONCE_BYTES]);
        let mut opening_nonce = [0; FILE_NONCE_BYTES];
        random.fill(&mut key);
        random.fill(&mut nonce);
        random.fill(&mut opening_nonce);
        let secret = RecordSecret::new(key);
        let (writer, header) = Writer::new(&secret, nonce, commitment);
        let file = File::options().write(true).create_new(true).open(&path)?;
        let (hasher, chunk) = (Sha256::new(), Vec::with_capacity(CHUNK_BYTES));
        let mut incoming =
            Self { file, path, secret, opening_nonce, writer, hasher, bytes: 0, chunk, kept: false };
        incoming.file.write_all(&header)?;
        Ok(incoming)
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The system's answer.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.put(false)?;
            }
            let room = bytes.len().min(CHUNK_BYTES - self.chunk.len());
            let (now, later) = bytes.split_at(room);
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the last chunk, and returns the hash of all that came, and how much it was.
    pub(super) fn end(&mut self) -> io::Result<(Hash, u64)> {
        self.put(true)?;
        let hash = std::mem::take(&mut self.hasher).finalize();
        Ok((Hash::from_bytes(hash.into()), self.bytes))
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.writer.chunk(&self.chunk, last).map_err(io::Error::other)?;
        self.chunk.clear();
        self.file.write_all(&sealed)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody has its key, and the next start removes what is left.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// An attachment on its way out.
#[derive(Debug)]
pub struct Outgoing {
    file: File,
    reader: Reader,
    /// Bytes of plaintext that are still to come.
    left: u64,
    ended: bool,
}

/// Why a stored attachment cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is in it.
    #[error(transparent)]
    Closed(#[from] StoreError),
}

impl Outgoing {
    pub(super) fn open(
        mut file: File,
        secret: &RecordSecret,
        commitment: &Hash,
        bytes: u64,
    ) -> Result<Self, ReadError> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header)?;
        let reader = Reader::new(secret, &header, commitment)?;
        Ok(Self { file, reader, left: bytes, ended: false })
    }

    /// The next bytes; `None` after the last. What came counts only once that has been said.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let plain = usize::try_from(self.left.min(CHUNK_BYTES as u64)).expect("at most a chunk");
        let last = self.left <= CHUNK_BYTES as u64;
        let mut sealed = vec![0; plain + TAG_BYTES];
        self.file.read_exact(&mut sealed)?;
        let chunk = self.reader.chunk(&sealed, last)?;
        self.left -= plain as u64;
        self.ended = last;
        Ok(Some(chunk))
    }
}

/// How long the file of an attachment of so many bytes is.
pub(super) fn stored_bytes(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    HEADER_BYTES as u64 + bytes + chunks * TAG_BYTES as u64
}

//! Erasable attachments in the vault: a file each, named by its commitment, its key in one database, what opens the
//! commitment in the other.
//!
//! ```text
//! DIR/vault/attachments/ab/cdef...   the file, encrypted           (record::erasable::store)
//! values.sqlite   attachment(commitment, opening, at, named)       the opening is encrypted under the same key
//!                 erased(commitment, tombstone)                    what a tombstone has taken, for good
//! keys.sqlite     attachment(commitment, key)
//! ```
//!
//! It is there if all three are. On the way in the key comes last, on the way out it goes first, and the row in
//! `values.sqlite` is there from before the file until after it: so that whatever breaks off in between is found again. Until
//! a version names it nobody is shown it, and after some time it is destroyed: no tombstone could.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use daemon::clock::Random;
use record::erasable::AttachmentOpening;
use record::erasable::store::{KEY_BYTES, RecordSecret, decrypt, encrypt};
use rusqlite::{Connection, OptionalExtension, params};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use super::database::Database;
use super::file::{Incoming, Outgoing, ReadError, stored_bytes};
use super::{Vault, VaultError};

pub(super) const FOLDER: &str = "attachments";
pub(super) const INCOMING: &str = "incoming";
/// Uploads that [`Vault::expire`] looks at before it lets others have the vault.
const EXPIRE_MAX: i64 = 64;

/// Why an attachment was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Its bytes are not what its opening says.
    #[error("the bytes that came hash to {found}, and were to be {wanted}")]
    OtherBytes {
        /// As the opening says.
        wanted: Hash,
        /// As they came.
        found: Hash,
    },
    /// A tombstone has taken it.
    #[error("the attachment was erased by the tombstone at {0}")]
    Erased(LeafIndex),
    /// It cannot be written.
    #[error("the attachment cannot be stored: {0}")]
    Io(#[from] io::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Vault {
    /// Begins to take in the attachment with this commitment.
    ///
    /// # Errors
    /// The system's answer.
    pub fn begin(&self, commitment: &Hash, random: &dyn Random) -> io::Result<Incoming> {
        let number = self.incoming.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(FOLDER).join(INCOMING).join(number.to_string());
        Incoming::create(path, commitment, random)
    }

    /// Keeps an attachment, once its bytes are those that its opening names and are on the device. One that is there
    /// already stays as it is.
    ///
    /// # Errors
    /// [`KeepError`]; what came is gone then.
    pub fn keep(
        &self,
        mut incoming: Incoming,
        opening: &AttachmentOpening,
        now_seconds: i64,
    ) -> Result<(), KeepError> {
        let (found, bytes) = incoming.end()?;
        if found != opening.sha256 || bytes != opening.bytes {
            return Err(KeepError::OtherBytes { wanted: opening.sha256, found });
        }
        self.disk.sync_data(&incoming.file)?;
        let commitment = opening.commitment();
        let open = self.lock();
        let (values, keys) = &*open;
        if let Some(tombstone) = erased(values, &commitment)? {
            return Err(KeepError::Erased(tombstone));
        }
        if self.held_by(values, keys, &commitment)?.is_some() {
            self.touch(values, &commitment, now_seconds)?;
            return Ok(());
        }
        let text = opening.to_text();
        let sealed = encrypt(&incoming.secret, incoming.opening_nonce, &commitment, text.as_bytes());
        keys.execute("DELETE FROM attachment WHERE commitment = ?1", [commitment.as_bytes()])
            .map_err(VaultError::from)?;
        let row = "INSERT OR REPLACE INTO attachment (commitment, opening, at, named) VALUES (?1, ?2, ?3, 0)";
        values.execute(row, params![commitment.as_bytes(), sealed, now_seconds]).map_err(VaultError::from)?;
        let file = self.file(&commitment);
        let folder = file.parent().expect("a file lies in a folder");
        self.disk.create_dir_all(folder)?;
        self.disk.rename(&incoming.path, &file)?;
        incoming.kept = true;
        self.disk.sync_path(folder)?;
        self.disk.sync_path(&self.folder.join(FOLDER))?;
        let row = "INSERT INTO attachment (commitment, key) VALUES (?1, ?2)";
        keys.execute(row, params![commitment.as_bytes(), incoming.secret.as_bytes()])
            .map_err(VaultError::from)?;
        Ok(())
    }

    /// What opens the commitment of an attachment that is there. It stays for a while from now on, whoever names it.
    ///
    /// # Errors
    /// [`VaultError`], here and below.
    pub fn held(&self, commitment: &Hash, now_seconds: i64) -> Result<Option<AttachmentOpening>, VaultError> {
        let open = self.lock();
        let (values, keys) = &*open;
        let Some((_, opening)) = self.held_by(values, keys, commitment)? else { return Ok(None) };
        self.touch(values, commitment, now_seconds)?;
        Ok(Some(opening))
    }

    /// An attachment that is there, to be read.
    ///
    /// # Errors
    /// As above.
    pub fn attachment(&self, commitment: &Hash) -> Result<Option<(AttachmentOpening, Outgoing)>, VaultError> {
        let open = self.lock();
        let (values, keys) = &*open;
        let Some((secret, opening)) = self.held_by(values, keys, commitment)? else { return Ok(None) };
        let file = File::open(self.file(commitment))?;
        let outgoing =
            Outgoing::open(file, &secret, commitment, opening.bytes).map_err(|error| match error {
                ReadError::Io(error) => VaultError::File(error),
                ReadError::Closed(error) => VaultError::Store(error),
            })?;
        Ok(Some((opening, outgoing)))
    }

    /// The tombstone that took the attachment.
    ///
    /// # Errors
    /// As above.
    pub fn erased(&self, commitment: &Hash) -> Result<Option<LeafIndex>, VaultError> {
        erased(&self.lock().0, commitment)
    }

    /// Destroys an attachment: key, opening and file are gone when it returns, and it is never taken again. One that is
    /// there and is not what `is_its` asks for stays: a tombstone takes nothing from another record.
    ///
    /// # Errors
    /// As above; it is to be tried again.
    pub fn erase_attachment(
        &self,
        commitment: &Hash,
        tombstone: LeafIndex,
        is_its: impl FnOnce(&AttachmentOpening) -> bool,
    ) -> Result<bool, VaultError> {
        let open = self.lock();
        let (values, keys) = &*open;
        match opened(values, keys, commitment) {
            Ok(Some((_, opening))) if !is_its(&opening) => return Ok(false),
            Err(error @ VaultError::Sqlite(_)) => return Err(error),
            // What does not open any more was half destroyed before.
            _ => (),
        }
        let index = i64::try_from(tombstone.get()).expect("an index of a log");
        let row = "INSERT OR IGNORE INTO erased (commitment, tombstone) VALUES (?1, ?2)";
        values.execute(row, params![commitment.as_bytes(), index])?;
        self.destroy(values, keys, commitment)?;
        Ok(true)
    }

    /// Destroys uploads from before a time that nobody has named. `is_named` is asked once for each that was.
    ///
    /// # Errors
    /// As above, and what `is_named` says.
    pub fn expire<E: From<VaultError>>(
        &self,
        before_seconds: i64,
        is_named: impl Fn(&Hash) -> Result<bool, E>,
    ) -> Result<usize, E> {
        let mut destroyed = 0;
        loop {
            // Others may have the vault in between.
            let open = self.lock();
            let (values, keys) = &*open;
            let candidates = old(values, before_seconds)?;
            if candidates.is_empty() {
                return Ok(destroyed);
            }
            for commitment in candidates {
                if is_named(&commitment)? {
                    let named = "UPDATE attachment SET named = 1 WHERE commitment = ?1";
                    values.execute(named, [commitment.as_bytes()]).map_err(VaultError::from)?;
                } else {
                    self.destroy(values, keys, &commitment)?;
                    destroyed += 1;
                }
            }
        }
    }

    fn file(&self, commitment: &Hash) -> PathBuf {
        let name = commitment.to_string();
        self.folder.join(FOLDER).join(&name[..2]).join(&name[2..])
    }

    fn touch(&self, values: &Connection, commitment: &Hash, now_seconds: i64) -> Result<(), VaultError> {
        let row = "UPDATE attachment SET at = ?2 WHERE commitment = ?1 AND named = 0 AND at < ?2";
        values.prepare_cached(row)?.execute(params![commitment.as_bytes(), now_seconds])?;
        Ok(())
    }

    /// Key and opening of an attachment whose file is there and has its length.
    fn held_by(
        &self,
        values: &Connection,
        keys: &Connection,
        commitment: &Hash,
    ) -> Result<Option<(RecordSecret, AttachmentOpening)>, VaultError> {
        let Some((secret, opening)) = opened(values, keys, commitment)? else { return Ok(None) };
        match std::fs::metadata(self.file(commitment)) {
            Ok(file) if file.len() == stored_bytes(opening.bytes) => Ok(Some((secret, opening))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes to its end whatever an earlier call has done of it.
    fn destroy(&self, values: &Database, keys: &Database, commitment: &Hash) -> Result<(), VaultError> {
        keys.delete("DELETE FROM attachment WHERE commitment = ?1", [commitment.as_bytes()])?;
        keys.settle()?;
        let file = self.file(commitment);
        if file.try_exists()? {
            self.disk.remove(&file)?;
            self.disk.sync_path(file.parent().expect("a file lies in a folder"))?;
        }
        values.delete("DELETE FROM attachment WHERE commitment = ?1", [commitment.as_bytes()])?;
        values.settle()
    }
}

fn key(keys: &Connection, commitment: &Hash) -> Result<Option<[u8; KEY_BYTES]>, VaultError> {
    let mut query = keys.prepare_cached("SELECT key FROM attachment WHERE commitment = ?1")?;
    Ok(query.query_row([commitment.as_bytes()], |row| row.get(0)).optional()?)
}

fn erased(values: &Connection, commitment: &Hash) -> Result<Option<LeafIndex>, VaultError> {
    let mut query = values.prepare_cached("SELECT tombstone FROM erased WHERE commitment = ?1")?;
    let found: Option<i64> = query.query_row([commitment.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.and_then(|index| LeafIndex::new(u64::try_from(index).ok()?).ok()))
}

/// Key and opening, where both are there.
fn opened(
    values: &Connection,
    keys: &Connection,
    commitment: &Hash,
) -> Result<Option<(RecordSecret, AttachmentOpening)>, VaultError> {
    let Some(key) = key(keys, commitment)? else { return Ok(None) };
    let mut query = values.prepare_cached("SELECT opening FROM attachment WHERE commitment = ?1")?;
    let sealed: Option<Vec<u8>> = query.query_row([commitment.as_bytes()], |row| row.get(0)).optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    let secret = RecordSecret::new(key);
    let text = decrypt(&secret, commitment, &sealed)?;
    let opening = String::from_utf8(text).ok().and_then(|text| AttachmentOpening::parse(&text).ok());
    let opening = opening.filter(|opening| opening.commitment() == *commitment);
    Ok(Some((secret, opening.ok_or(VaultError::Opening(*commitment))?)))
}

fn old(values: &Connection, before_seconds: i64) -> Result<Vec<Hash>, VaultError> {
    let mut query = values.prepare_cached(
        "SELECT commitment FROM attachment WHERE named = 0 AND at < ?1 ORDER BY at LIMIT ?2",
    )?;
    let rows = query.query_map(params![before_seconds, EXPIRE_MAX], |row| row.get::<_, [u8; 32]>(0))?;
    let commitments: Result<Vec<_>, _> = rows.map(|row| row.map(Hash::from_bytes)).collect();
    Ok(commitments?)
}

//! The floor of free space: below it the log takes no entries and no uploads, and goes on answering readers.
//!
//! For entries it is looked at before each batch, so that a fast writer cannot run past it between two rounds of
//! housekeeping, and in each round, so that it is lifted when somebody has made room. An upload says beforehand how much is
//! to come, and that is set aside ([`Room`]): however many there are at a time, together they do not go below the floor.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daemon::config::ByteSize;

use crate::pool::{PauseBy, Pool};
use crate::store::disk::Disk;

/// Bytes of an upload after which the free space is looked at again: others write on the same disk.
const LOOK_BYTES: u64 = 1 << 20;

/// Watches the file system of a log's public tree.
#[derive(Clone)]
pub struct Space {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    pool: Arc<Pool>,
    floor: ByteSize,
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("floor", &self.floor).finish_non_exhaustive()
    }
}

impl Space {
    /// Watches the file system of `folder`, and stops and restarts what comes into `pool`.
    #[must_use]
    pub fn new(folder: &Path, disk: Arc<dyn Disk>, pool: Arc<Pool>, floor: ByteSize) -> Self {
        Self { folder: folder.to_owned(), disk, pool, floor }
    }

    /// Looks, and stops or restarts the pool. Says why there is no room, if there is none.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let free = free(&*self.disk, &self.folder)?;
        if free >= self.floor {
            if self.pool.is_paused_by(PauseBy::Space) {
                self.pool.resume(PauseBy::Space);
            }
            return None;
        }
        let reason = below(free, self.floor);
        if !self.pool.is_paused_by(PauseBy::Space) {
            tracing::error!("{reason}");
        }
        self.pool.pause(PauseBy::Space, &reason);
        Some(reason)
    }
}

/// `None`, and a warning, if it cannot be read.
fn free(disk: &dyn Disk, folder: &Path) -> Option<ByteSize> {
    match disk.free_bytes(folder) {
        Ok(free) => Some(ByteSize(free)),
        Err(error) => {
            tracing::warn!(%error, "the free space cannot be read");
            None
        }
    }
}

fn below(free: ByteSize, floor: ByteSize) -> String {
    format!("its disk has {free} left, below the floor of {floor}; free some space")
}

/// Room above the floor for uploads that are under way.
pub struct Room {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    floor: ByteSize,
    /// Bytes that uploads under way have announced and not written yet.
    awaited: Mutex<u64>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("floor", &self.floor)
            .field("awaited", &self.awaited)
            .finish_non_exhaustive()
    }
}

impl Room {
    /// Room on the file system of `folder`.
    #[must_use]
    pub fn new(folder: &Path, disk: Arc<dyn Disk>, floor: ByteSize) -> Arc<Self> {
        Arc::new(Self { folder: folder.to_owned(), disk, floor, awaited: Mutex::default() })
    }

    /// Sets room aside for an upload of so many bytes.
    ///
    /// # Errors
    /// Why there is none, as a phrase about the log.
    pub fn set_aside(self: &Arc<Self>, bytes: u64) -> Result<SetAside, String> {
        let mut awaited = self.lock();
        let needed = awaited.saturating_add(bytes);
        if let Some(free) = free(&*self.disk, &self.folder)
            && free.0.saturating_sub(needed) < self.floor.0
        {
            let (needed, floor) = (ByteSize(needed), self.floor);
            return Err(format!(
                "its disk has {free} left, and with the {needed} of uploads under way that would be less than the floor \
                 of {floor}; free some space"
            ));
        }
        *awaited = needed;
        drop(awaited);
        Ok(SetAside { room: Arc::clone(self), awaited: bytes, unseen: 0 })
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that is set aside for one upload, for as long as this lives.
#[derive(Debug)]
pub struct SetAside {
    room: Arc<Room>,
    awaited: u64,
    /// Written since the free space was looked at last.
    unseen: u64,
}

impl SetAside {
    /// So many bytes are written now, and no longer awaited.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if others have used the room meanwhile.
    pub fn written(&mut self, bytes: u64) -> io::Result<()> {
        self.release(bytes);
        self.unseen += bytes;
        if self.unseen < LOOK_BYTES {
            return Ok(());
        }
        self.unseen = 0;
        match free(&*self.room.disk, &self.room.folder) {
            Some(free) if free < self.room.floor => {
                Err(io::Error::new(io::ErrorKind::StorageFull, below(free, self.room.floor)))
            }
            _ => Ok(()),
        }
    }

    fn release(&mut self, bytes: u64) {
        let bytes = bytes.min(self.awaited);
        self.awaited -= bytes;
        let mut awaited = self.room.lock();
        *awaited = awaited.saturating_sub(bytes);
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        self.release(self.awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::fault::FaultDisk;

    #[test]
    fn uploads_at_the_same_time_are_given_no_more_than_there_is_above_the_floor() {
        let disk = Arc::new(FaultDisk::new(None));
        let room = Room::new(Path::new("."), Arc::clone(&disk) as Arc<dyn Disk>, ByteSize(1000));
        disk.set_free(Some(1300));
        let mut first = room.set_aside(200).unwrap();
        let said = room.set_aside(101).unwrap_err();
        assert!(said.contains("floor"), "{said}");
        let second = room.set_aside(100).unwrap();
        assert!(room.set_aside(1).is_err() && room.set_aside(0).is_ok());
        // What is written is on the disk, and is not counted twice.
        first.written(150).unwrap();
        disk.set_free(Some(1150));
        assert!(room.set_aside(1).is_err() && room.set_aside(0).is_ok());
        drop(second);
        assert!(room.set_aside(101).is_err());
        drop(first);
        assert!(room.set_aside(151).is_err());
        drop(room.set_aside(150).unwrap());
        assert_eq!(*room.lock(), 0);
    }

    #[test]
    fn an_upload_ends_when_others_have_used_its_room() {
        let disk = Arc::new(FaultDisk::new(None));
        let room = Room::new(Path::new("."), Arc::clone(&disk) as Arc<dyn Disk>, ByteSize(1000));
        disk.set_free(Some(3 * LOOK_BYTES));
        let mut upload = room.set_aside(2 * LOOK_BYTES).unwrap();
        upload.written(LOOK_BYTES).unwrap();
        disk.set_free(Some(999));
        upload.written(LOOK_BYTES - 1).unwrap();
        let error = upload.written(1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

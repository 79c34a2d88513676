//! A disk that fails when it is told to.
//!
//! Operations are counted from 0. At operation `at` the disk does what [`How`] says, and from then on every
//! operation fails, as on a disk that has gone away, unless the fault is to happen once.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Disk, RealDisk};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing happens, an error is reported.
    Fails,
    /// It happens, an error is reported all the same.
    FailsButDone,
    /// Half of what was to be written is written, an error is reported. Other operations: nothing happens.
    Torn,
}

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Counted from 0.
    pub at: u64,
    /// How.
    pub how: How,
    /// Whether later operations succeed again.
    pub once: bool,
}

/// A real disk with a fault.
#[derive(Debug, Default)]
pub struct FaultDisk {
    real: RealDisk,
    fault: Mutex<Option<Fault>>,
    count: AtomicU64,
    log: Mutex<Vec<&'static str>>,
    free: Mutex<Option<u64>>,
}

fn failure() -> io::Error {
    io::Error::other("injected fault")
}

impl FaultDisk {
    /// A disk with this fault, or none.
    #[must_use]
    pub fn new(fault: Option<Fault>) -> Self {
        Self { fault: Mutex::new(fault), ..Self::default() }
    }

    /// Sets the fault, counted from now.
    pub fn set(&self, fault: Option<Fault>) {
        self.count.store(0, Ordering::SeqCst);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Claims to have so many bytes left; `None` for as many as it has.
    pub fn set_free(&self, bytes: Option<u64>) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Operations since the last [`FaultDisk::set`].
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// The names of all operations so far, and forgets them.
    #[must_use]
    pub fn take_log(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn run<T>(
        &self,
        name: &'static str,
        done: impl FnOnce() -> io::Result<T>,
        torn: impl FnOnce(),
    ) -> io::Result<T> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) if number == fault.at => {
                match fault.how {
                    How::Fails => (),
                    How::FailsButDone => {
                        // Its own error would be reported as well; either way the caller sees an error.
                        let _ = done();
                    }
                    How::Torn => torn(),
                }
                Err(failure())
            }
            Some(fault) if number > fault.at && !fault.once => Err(failure()),
            _ => done(),
        }
    }
}

impl Disk for FaultDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.run("create_dir_all", || self.real.create_dir_all(dir), || ())
    }

    fn preallocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let torn = || drop(std::fs::write(path, vec![0; usize::try_from(bytes / 2).unwrap_or(0)]));
        self.run("preallocate", || self.real.preallocate(path, bytes), torn)
    }

    fn write_at(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        let torn = || drop(self.real.write_at(file, at, &bytes[..bytes.len() / 2]));
        self.run("write_at", || self.real.write_at(file, at, bytes), torn)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.run("sync_data", || self.real.sync_data(file), || ())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let torn = || drop(std::fs::write(path, &bytes[..bytes.len() / 2]));
        self.run("replace", || self.real.replace(path, bytes), torn)
    }

    fn sync_path(&self, path: &Path) -> io::Result<()> {
        self.run("sync_path", || self.real.sync_path(path), || ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run("rename", || self.real.rename(from, to), || ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run("remove", || self.real.remove(path), || ())
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let claimed = *self.free.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.map_or_else(|| self.real.free_bytes(dir), Ok)
    }
}

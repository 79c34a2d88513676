//! What a log of records does by itself, apart from every request: it carries out tombstones that nobody waits for, and
//! removes uploads that nobody names.
//!
//! On a thread of its own, since the vault may be busy: another program that reads its files holds up an erasure for seconds,
//! and nothing else is to wait for that. What fails is tried again, less and less often, and told each time: nobody is shown
//! what a tombstone takes meanwhile, but it is still there.

use std::io;
use std::time::Duration;

use tlog::ids::TreeSize;

use super::lists::Lists;
use super::{Records, marks};
use crate::log::Log;
use crate::store::index::{IndexError, IndexFollower, ListId};
use crate::store::vault::VaultError;

/// Pauses before a tombstone is tried again: the first, and the longest.
const ERASE_PAUSE: Duration = Duration::from_secs(1);
const ERASE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often uploads that nobody names are looked for.
const EXPIRE_PAUSE: Duration = Duration::from_secs(60 * 60);
/// An upload that no version names after so long is removed.
pub const UNNAMED_SECONDS_MAX: i64 = 24 * 60 * 60;

/// Why it is not known which uploads are named.
#[derive(Debug, thiserror::Error)]
enum ExpireError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Blobs(#[from] io::Error),
}

/// When what is due. Times of the monotonic clock.
#[derive(Debug, Default)]
pub struct Upkeep {
    erase_at: Duration,
    /// The last pause; none after a success.
    pause: Duration,
    expire_at: Duration,
}

impl Upkeep {
    /// Does what is due, in a log of records. A failure is told, and tried again.
    pub fn step(&mut self, log: &Log) {
        let Some(records) = &log.records else { return };
        let now = records.clock.monotonic();
        self.erase(log, records, now);
        if now >= self.expire_at {
            self.expire_at = now + EXPIRE_PAUSE;
            expire(log, records);
        }
    }

    fn erase(&mut self, log: &Log, records: &Records, now: Duration) {
        let size = log.published().head().size;
        if now < self.erase_at || !records.eraser.is_behind(size) {
            return;
        }
        self.pause = match records.carry_out(&log.index, &log.lookup, size) {
            Ok(()) => Duration::ZERO,
            Err(error) => {
                let pause = (self.pause * 2).clamp(ERASE_PAUSE, ERASE_PAUSE_MAX);
                let seconds = pause.as_secs();
                tracing::error!(%error, seconds, "a published tombstone cannot be carried out; tried again after a pause");
                pause
            }
        };
        self.erase_at = now + self.pause;
    }
}

fn expire(log: &Log, records: &Records) {
    let before = records.now_seconds() - UNNAMED_SECONDS_MAX;
    // Read each time: what was committed a moment ago counts.
    let committed = || log.heads.committed();
    let erasable = records
        .vault
        .expire(before, |commitment| is_named(&log.index, &marks::attachment(commitment), committed()));
    let public =
        records.blobs.expire(before, |sha256| is_named(&log.index, &marks::blob(sha256), committed()));
    for removed in [erasable, public] {
        match removed {
            Ok(0) => (),
            Ok(removed) => tracing::info!(removed, "uploads that no version of a record names are gone"),
            Err(error) => tracing::error!(%error, "uploads that nobody names cannot be removed"),
        }
    }
}

fn is_named(index: &IndexFollower, list: &ListId, size: TreeSize) -> Result<bool, ExpireError> {
    Ok(Lists::new(index, size).at(list, 0)?.is_some())
}

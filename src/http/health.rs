//! Whether the log is in order, for load balancers and for the person on call; and the gauges of `/metrics`.
//!
//! Ready means: the checkpoint that readers see is this log's, verifies, is the one in memory and is fresh, enough
//! witnesses cosign, and entries are taken in. The reason why not is told in words.

use std::sync::Arc;

use daemon::clock::Clock;
use daemon::metrics::{Metrics, Readiness};
use prometheus::IntGauge;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::note::Note;

use crate::log::Log;

/// A checkpoint is stale after so many refresh periods.
const STALE_PERIODS: u32 = 3;

/// The check behind `/readyz`.
#[must_use]
pub fn readiness(log: Arc<Log>, clock: Arc<dyn Clock>) -> Arc<Readiness> {
    Arc::new(move || check(&log, &*clock))
}

fn check(log: &Log, clock: &dyn Clock) -> Result<(), String> {
    let bytes =
        log.tiles.read_checkpoint().map_err(|error| format!("The checkpoint cannot be read: {error}."))?;
    let bytes = bytes.ok_or("There is no checkpoint file in the public folder.")?;
    let note = Note::parse(&bytes).map_err(|error| format!("The checkpoint file is malformed: {error}."))?;
    let keys = log.signer.verifier_keys();
    let checkpoint = VerifiedCheckpoint::verify(&note, keys)
        .and_then(|checkpoint| checkpoint.of(log.signer.origin()))
        .map_err(|error| format!("The checkpoint file does not verify: {error}."))?;
    // The file may be newer than the head in memory for a moment, never older.
    let (shown, published) = (checkpoint.head(), log.published().head());
    if shown.size < published.size {
        return Err("The checkpoint file is older than what has been published.".to_owned());
    }
    if shown.size == published.size && shown.root != published.root {
        return Err("The checkpoint file speaks of another tree than has been published.".to_owned());
    }
    if let Some(trouble) = log.board.as_ref().and_then(|board| board.trouble()) {
        return Err(format!("Nothing is published: {trouble}."));
    }
    let time = checkpoint.tree_head_time().ok_or("The checkpoint file has no time of this log's key.")?;
    let age = clock.unix_millis().saturating_sub(time.get());
    let limit = log.config.checkpoint.refresh.0 * STALE_PERIODS;
    if u128::from(age) > limit.as_millis() {
        let (age, limit) = (age / 1000, limit.as_secs());
        return Err(format!("The checkpoint is {age} seconds old; it must not be older than {limit}."));
    }
    match log.pool.paused() {
        Some(reason) => Err(format!("The log is not taking entries: {reason}.")),
        None => Ok(()),
    }
}

/// Gauges that are read from the log at intervals.
#[derive(Debug)]
pub struct Gauges {
    committed: IntGauge,
    published: IntGauge,
    published_seconds: IntGauge,
    pool_entries: IntGauge,
    unpublished_heads: IntGauge,
    index_backlog: IntGauge,
    paused: IntGauge,
    erasures_overdue: IntGauge,
}

impl Gauges {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            committed: metrics.gauge("daybook_tree_size_committed", "Entries that are durable."),
            published: metrics.gauge("daybook_tree_size_published", "Entries under the public checkpoint."),
            published_seconds: metrics.gauge(
                "daybook_checkpoint_time_seconds",
                "Time of the public checkpoint, in seconds since 1970.",
            ),
            pool_entries: metrics.gauge("daybook_pool_entries", "Entries waiting for the sequencer."),
            unpublished_heads: metrics
                .gauge("daybook_unpublished_heads", "Heads committed and not yet public."),
            index_backlog: metrics
                .gauge("daybook_index_backlog_entries", "Entries that the index has to catch up."),
            paused: metrics.gauge("daybook_paused", "1 while the log takes no entries."),
            erasures_overdue: metrics.gauge(
                "daybook_erasures_overdue",
                "Published tombstones that are not carried out: what they erase is shown to nobody, and still there.",
            ),
        }
    }

    /// Reads them.
    pub fn update(&self, log: &Log) {
        let published = log.published();
        self.committed.set(gauge(log.heads.committed().get()));
        self.published.set(gauge(published.head().size.get()));
        self.published_seconds.set(gauge(published.time.as_seconds()));
        self.pool_entries.set(gauge(log.pool.depth().0 as u64));
        self.unpublished_heads.set(gauge(log.unpublished.depth() as u64));
        self.index_backlog.set(gauge(log.index.backlog() as u64));
        self.paused.set(i64::from(log.pool.paused().is_some()));
        self.erasures_overdue.set(log.records.as_ref().map_or(0, |one| gauge(one.eraser.overdue() as u64)));
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

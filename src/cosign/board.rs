//! What operators are told of the rounds: why nothing is published, and the metrics of each witness.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use daemon::metrics::Metrics;
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use tlog::ids::TreeSize;

use super::answer::Trouble;

/// Metrics of the witnesses.
#[derive(Debug)]
pub struct WitnessMetrics {
    seconds: HistogramVec,
    failures: IntCounterVec,
    size: IntGaugeVec,
    excluded: IntGaugeVec,
    margin: IntGauge,
}

impl WitnessMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            seconds: metrics.seconds_by(
                "daybook_witness_seconds",
                "From a request to a witness to its answer, in seconds.",
                "witness",
            ),
            failures: metrics.counters_by(
                "daybook_witness_failures_total",
                "Requests to a witness without a cosignature, by reason.",
                &["witness", "reason"],
            ),
            size: metrics.gauges(
                "daybook_witness_cosigned_size",
                "Entries in the last tree that a witness has cosigned.",
                &["witness"],
            ),
            excluded: metrics.gauges(
                "daybook_witness_excluded",
                "1 if a witness is not asked: it claims a larger tree, or the operator left it out.",
                &["witness"],
            ),
            margin: metrics.gauge(
                "daybook_witness_quorum_margin",
                "How many operators of witnesses may fail, at worst, before nothing is published; -1 while nothing is.",
            ),
        }
    }
}

/// Shared by the rounds, which write it, and by health and metrics.
#[derive(Debug)]
pub struct Board {
    names: Vec<String>,
    /// Written by the rounds alone.
    state: Mutex<State>,
    metrics: OnceLock<WitnessMetrics>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Option<String>,
    margin: Option<i64>,
    excluded: Vec<bool>,
}

impl Board {
    pub(super) fn new(names: Vec<String>) -> Self {
        let excluded = vec![false; names.len()];
        Self { names, state: Mutex::new(State { excluded, ..State::default() }), metrics: OnceLock::new() }
    }

    /// Why no checkpoint is published at the moment, if none is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// The quorum margin of the last round; `None` before the first.
    #[must_use]
    pub fn margin(&self) -> Option<i64> {
        self.lock().margin
    }

    /// Begins to keep metrics, with every series at its beginning.
    pub fn keep(&self, metrics: WitnessMetrics) {
        let state = self.lock();
        for (name, excluded) in self.names.iter().zip(&state.excluded) {
            metrics.excluded.with_label_values(&[name]).set(i64::from(*excluded));
            metrics.size.with_label_values(&[name]).set(0);
        }
        metrics.margin.set(state.margin.unwrap_or(-1));
        // Kept once a process.
        let _ = self.metrics.set(metrics);
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        self.lock().trouble = trouble;
    }

    pub(super) fn set_margin(&self, margin: i64) {
        self.lock().margin = Some(margin);
        if let Some(metrics) = self.metrics.get() {
            metrics.margin.set(margin);
        }
    }

    pub(super) fn answered(&self, witness: usize, after: Duration) {
        if let Some(metrics) = self.metrics.get() {
            metrics.seconds.with_label_values(&[self.names[witness].as_str()]).observe(after.as_secs_f64());
        }
    }

    pub(super) fn failed(&self, witness: usize, trouble: Trouble) {
        if let Some(metrics) = self.metrics.get() {
            metrics.failures.with_label_values(&[self.names[witness].as_str(), trouble.code()]).inc();
        }
    }

    pub(super) fn cosigned(&self, witness: usize, size: TreeSize) {
        if let Some(metrics) = self.metrics.get() {
            let size = i64::try_from(size.get()).unwrap_or(i64::MAX);
            metrics.size.with_label_values(&[self.names[witness].as_str()]).set(size);
        }
    }

    pub(super) fn exclude(&self, witness: usize) {
        self.lock().excluded[witness] = true;
        if let Some(metrics) = self.metrics.get() {
            metrics.excluded.with_label_values(&[self.names[witness].as_str()]).set(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What the newsroom's half does, as gauges for Prometheus.

use daemon::metrics::Metrics;
use prometheus::{IntGauge, IntGaugeVec};

use super::Troubles;
use crate::status::LogStatus;
use crate::watch::Engine;

/// The parts that can be in trouble.
const PARTS: [&str; 3] = ["index", "watches", "channels"];

/// Gauges that are read at intervals.
#[derive(Debug)]
pub struct NewsroomGauges {
    engine: Engine,
    troubles: Troubles,
    indexed: IntGaugeVec,
    lag: IntGaugeVec,
    watches: IntGauge,
    finds: IntGauge,
    trouble: IntGaugeVec,
    waiting: IntGaugeVec,
    failures: IntGaugeVec,
    delivered: IntGaugeVec,
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl NewsroomGauges {
    pub(super) fn new(metrics: &Metrics, engine: Engine, troubles: Troubles) -> Self {
        let by = |label: &str, name: &str, help: &str| metrics.gauges(name, help, &[label]);
        Self {
            engine,
            troubles,
            indexed: by("origin", "daybook_monitor_indexed_entries", "Entries that can be searched."),
            lag: by(
                "origin",
                "daybook_monitor_index_lag_entries",
                "Entries that are verified and cannot be searched yet.",
            ),
            watches: metrics.gauge("daybook_monitor_watches", "Watches."),
            finds: metrics.gauge("daybook_monitor_finds", "What watches have found so far."),
            trouble: by(
                "part",
                "daybook_monitor_trouble",
                "1 while a part is interrupted; verification goes on.",
            ),
            waiting: by("channel", "daybook_monitor_channel_waiting_messages", "Messages that wait."),
            failures: by(
                "channel",
                "daybook_monitor_channel_failures",
                "Failures of the channel since it last delivered.",
            ),
            delivered: by(
                "channel",
                "daybook_monitor_channel_delivered_time_seconds",
                "When the channel last delivered, in seconds since 1970.",
            ),
        }
    }

    /// Reads them. What cannot be read keeps its last value, and is trouble.
    pub fn update(&self, logs: &[LogStatus]) {
        if let Err(error) = self.read(logs) {
            tracing::warn!(error, "gauges could not be read");
        }
        let troubles = self.troubles.all();
        for part in PARTS {
            let now = troubles.iter().any(|(other, _)| *other == part);
            self.trouble.with_label_values(&[part]).set(i64::from(now));
        }
    }

    fn read(&self, logs: &[LogStatus]) -> Result<(), String> {
        for one in self.engine.index.logs().map_err(|error| error.to_string())? {
            let Some(log) = logs.iter().find(|log| log.origin == one.origin) else { continue };
            let verified = log.verified.as_ref().map_or(0, |head| head.size);
            let origin = [one.origin.as_str()];
            self.indexed.with_label_values(&origin).set(gauge(one.next - one.first));
            self.lag.with_label_values(&origin).set(gauge(verified.saturating_sub(one.next)));
        }
        let totals = self.engine.store.totals().map_err(|error| error.to_string())?;
        self.watches.set(gauge(totals.watches));
        self.finds.set(gauge(totals.finds));
        for name in &self.engine.channels {
            let state = self.engine.store.channel(name).map_err(|error| error.to_string())?;
            let channel = [name.as_str()];
            self.waiting.with_label_values(&channel).set(gauge(state.waiting));
            self.failures.with_label_values(&channel).set(gauge(state.failures));
            self.delivered.with_label_values(&channel).set(gauge(state.delivered_at.unwrap_or(0)));
        }
        Ok(())
    }
}

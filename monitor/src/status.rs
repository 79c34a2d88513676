//! What is known of every log, as JSON and as gauges.

use std::sync::Arc;

use daemon::metrics::{Metrics, Readiness};
use prometheus::IntGaugeVec;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::crosscheck::{ANSWERS, Other};
use crate::store::AlarmRow;
use crate::verdict::{State, worst};

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// The worst of the logs' states.
    pub state: State,
    /// The logs, in the order of the configuration.
    pub logs: Vec<LogStatus>,
}

/// One log.
#[derive(Clone, Debug, Serialize)]
pub struct LogStatus {
    /// Its name.
    pub origin: String,
    /// Its name in paths.
    pub origin_hash: String,
    /// State.
    pub state: State,
    /// In words; empty where there is nothing to say.
    pub reason: String,
    /// The newest verified head.
    pub verified: Option<HeadStatus>,
    /// Entries rebuilt so far.
    pub reached: u64,
    /// Entries under the largest head to verify.
    pub signed: u64,
    /// Entries whose statements were judged; none where none are.
    pub judged: Option<u64>,
    /// Attachments that are longer than `values.bytes_max`, and are not checked.
    pub unchecked_attachments: u64,
    /// While there is a backlog: entries verified, or where all are, statements judged.
    pub entries_per_second: Option<u64>,
    /// Estimate.
    pub seconds_left: Option<u64>,
    /// Time of the newest head by its signers, in seconds since 1970.
    pub head_time: Option<u64>,
    /// When the log was last heard, in milliseconds since 1970.
    pub heard_at: Option<u64>,
    /// When nothing of it was last left unread, in milliseconds since 1970.
    pub read_at: Option<u64>,
    /// What each witness's endpoint and other monitor said last.
    pub others: Vec<Other>,
    /// Alarms that are open.
    pub alarms: Vec<AlarmRow>,
    /// Evidence files, relative to the monitor's directory.
    pub evidence: Vec<String>,
}

/// Size and root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeadStatus {
    /// Entries.
    pub size: u64,
    /// In base64.
    pub root: String,
}

/// The state of every log, now.
#[must_use]
pub fn status_of(cases: &[Arc<Case>]) -> Status {
    let logs: Vec<LogStatus> = cases.iter().map(|case| log_status(case)).collect();
    let state = worst(logs.iter().map(|log| log.state));
    Status { version: env!("CARGO_PKG_VERSION"), state, logs }
}

fn log_status(case: &Case) -> LogStatus {
    let (verdict, facts, pace) = (case.verdict(), case.facts(), case.pace());
    let verified = case.verified().map(|verified| HeadStatus {
        size: verified.head().size.get(),
        root: verified.head().root.to_base64(),
    });
    // Told as not known rather than as none: a database that fails ends the process anyway.
    let mut alarms = case.store.alarms(case.origin()).unwrap_or_default();
    alarms.retain(|alarm| alarm.cleared_at.is_none());
    let evidence = case.store.evidence(case.origin()).unwrap_or_default();
    LogStatus {
        origin: case.origin().to_owned(),
        origin_hash: case.hash.clone(),
        state: verdict.state,
        reason: verdict.reason,
        verified,
        reached: facts.reached,
        signed: facts.signed,
        judged: facts.judged,
        unchecked_attachments: facts.unchecked,
        entries_per_second: pace.entries_per_second,
        seconds_left: pace.seconds_left,
        head_time: facts.head_time,
        heard_at: facts.heard_at,
        read_at: facts.read_at,
        others: case.others(),
        alarms,
        evidence: evidence.into_iter().map(|row| row.file).collect(),
    }
}

/// Ready means: every log is verified. Otherwise each that is not is named.
#[must_use]
pub fn readiness(cases: Vec<Arc<Case>>) -> Arc<Readiness> {
    Arc::new(move || {
        let not: Vec<String> = cases
            .iter()
            .map(|case| (case.origin(), case.verdict()))
            .filter(|(_, verdict)| verdict.state != State::Verified)
            .map(|(origin, verdict)| format!("{origin} is {}: {}", verdict.state.name(), verdict.reason))
            .collect();
        if not.is_empty() { Ok(()) } else { Err(not.join("; ")) }
    })
}

/// Gauges that are read from the logs at intervals.
#[derive(Debug)]
pub struct Gauges {
    state: IntGaugeVec,
    verified: IntGaugeVec,
    backlog: IntGaugeVec,
    unjudged: IntGaugeVec,
    heard: IntGaugeVec,
    read: IntGaugeVec,
    others: IntGaugeVec,
    alarms: IntGaugeVec,
    evidence: IntGaugeVec,
    unchecked: IntGaugeVec,
}

impl Gauges {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let by_log = |name: &str, help: &str| metrics.gauges(name, help, &["origin"]);
        Self {
            state: metrics.gauges(
                "daybook_monitor_log_state",
                "1 for the state that the log is in, 0 for the others.",
                &["origin", "state"],
            ),
            verified: by_log("daybook_monitor_verified_entries", "Entries under the newest verified head."),
            backlog: by_log(
                "daybook_monitor_backlog_entries",
                "Entries that are signed and not verified yet.",
            ),
            unjudged: by_log(
                "daybook_monitor_unjudged_entries",
                "Entries that are verified and whose statements are not judged yet.",
            ),
            heard: by_log(
                "daybook_monitor_heard_time_seconds",
                "When the log was last heard, in seconds since 1970.",
            ),
            read: by_log(
                "daybook_monitor_read_time_seconds",
                "When nothing of the log was last left unread, in seconds since 1970.",
            ),
            others: metrics.gauges(
                "daybook_monitor_crosscheck",
                "1 for the last answer of a witness or another monitor, 0 for the others.",
                &["origin", "url", "answer"],
            ),
            alarms: by_log("daybook_monitor_alarms_open", "Alarms that are open."),
            evidence: by_log("daybook_monitor_evidence_files", "Evidence files about the log."),
            unchecked: by_log(
                "daybook_monitor_unchecked_attachments",
                "Attachments that are longer than values.bytes_max, and are not checked.",
            ),
        }
    }

    /// Reads them.
    pub fn update(&self, logs: &[LogStatus]) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for log in logs {
            let origin = [log.origin.as_str()];
            for state in State::ALL {
                let labels = [log.origin.as_str(), state.name()];
                self.state.with_label_values(&labels).set(i64::from(state == log.state));
            }
            let verified = log.verified.as_ref().map_or(0, |head| head.size);
            self.verified.with_label_values(&origin).set(gauge(verified));
            self.backlog.with_label_values(&origin).set(gauge(log.signed.saturating_sub(log.reached)));
            let unjudged = log.judged.map_or(0, |judged| verified.saturating_sub(judged));
            self.unjudged.with_label_values(&origin).set(gauge(unjudged));
            self.heard.with_label_values(&origin).set(gauge(log.heard_at.unwrap_or(0) / 1000));
            self.read.with_label_values(&origin).set(gauge(log.read_at.unwrap_or(0) / 1000));
            for (other, answer) in log.others.iter().flat_map(|other| ANSWERS.map(|answer| (other, answer))) {
                let labels = [log.origin.as_str(), other.url.as_str(), answer];
                self.others.with_label_values(&labels).set(i64::from(other.answer == answer));
            }
            self.alarms.with_label_values(&origin).set(gauge(log.alarms.len() as u64));
            self.evidence.with_label_values(&origin).set(gauge(log.evidence.len() as u64));
            self.unchecked.with_label_values(&origin).set(gauge(log.unchecked_attachments));
        }
    }
}

//! One round of the watches: what is new in the index, alerts of the part that verifies, heartbeats.

use std::sync::Arc;

use crate::case::Case;
use crate::channel::sender::Channel;
use crate::status::status_of;
use crate::store::Store;
use crate::watch::engine::LogAlert;
use crate::watch::message::Found;
use crate::watch::{Engine, EngineError};

/// Alerts of the part that verifies that are taken at a time.
const ALERTS_TOGETHER_MAX: u32 = 100;

/// One round: what is new in the index, what the part that verifies has to say, and signs of life. Returns how much
/// was found.
pub(super) fn look(
    engine: &Engine,
    channels: &[Channel],
    store: &Store,
    cases: &[Arc<Case>],
    now: u64,
) -> Result<usize, String> {
    let text = |error: EngineError| error.to_string();
    let found = engine.look(now).map_err(text)?;
    let after = engine.store.place("alerts").map_err(|error| error.to_string())?.unwrap_or(0);
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let alerts = store.alerts_after(after, ALERTS_TOGETHER_MAX).map_err(|error| error.to_string())?;
    let alerts: Vec<LogAlert> = alerts.iter().map(|alert| LogAlert::parse(alert.id, &alert.body)).collect();
    let told = engine.take_alerts(&alerts, now).map_err(text)?;
    for channel in channels {
        let Some(every) = channel.heartbeat else { continue };
        let body = heartbeat(engine, cases, now);
        engine.store.heartbeat(&channel.name, every, &body, now).map_err(|error| error.to_string())?;
    }
    Ok(found + told)
}

fn heartbeat(engine: &Engine, cases: &[Arc<Case>], now: u64) -> String {
    let logs = status_of(cases).logs;
    let lines = logs.iter().map(|log| {
        let verified = log.verified.as_ref().map_or(0, |head| head.size);
        format!("{}: {}, {verified} entries verified. {}", log.origin, log.state.name(), log.reason)
    });
    let found = Found {
        event: "heartbeat".to_owned(),
        title: "the monitor is at work".to_owned(),
        text: lines.collect::<Vec<_>>().join("; "),
        link: format!("{}/health", engine.address),
        found_at: now,
        ..Found::default()
    };
    serde_json::to_string(&found).expect("an alert has a JSON form")
}

//! The part that verifies, as the pages see it: plain values, made when they are asked for.

use std::sync::Arc;

use tlog::ids::LeafIndex;

use crate::case::Case;
use crate::status::status_of;
use crate::web::view::{AlarmView, EvidenceView, Inclusion, LogView, Verified};

/// The part that verifies, as the pages see it.
pub(super) fn verified(cases: &[Arc<Case>]) -> Verified {
    let (of_logs, of_proofs) = (cases.to_vec(), cases.to_vec());
    let prove = move |origin: &str, index: u64| {
        let case = of_proofs
            .iter()
            .find(|case| case.origin() == origin)
            .ok_or("this log is not followed any more")?;
        inclusion(case, index)
    };
    Verified { logs: Box::new(move || views(&of_logs)), prove: Box::new(prove) }
}

fn inclusion(case: &Case, index: u64) -> Result<Inclusion, String> {
    let verified = case.verified().ok_or("no head of the log is verified at the moment")?;
    let head = verified.head();
    let place = LeafIndex::new(index).map_err(|error| error.to_string())?;
    if index >= head.size.get() {
        return Err("the entry is not under the newest verified head yet".to_owned());
    }
    let (_, hashes) = case.leaf_at(&verified, place).ok_or("our own hashes cannot be read at the moment")?;
    Ok(Inclusion { index: place, head, hashes, checkpoint: verified.note().clone() })
}

fn views(cases: &[Arc<Case>]) -> Vec<LogView> {
    let logs = status_of(cases).logs;
    cases.iter().zip(logs).map(|(case, log)| view(case, log)).collect()
}

fn view(case: &Case, log: crate::status::LogStatus) -> LogView {
    let trust = &case.followed.trust;
    let verified = case.verified();
    let seen = |key: &tlog::vkey::VerifierKey| {
        let signed = verified.as_ref()?.cosignatures().iter().filter(|one| one.key == *key);
        signed.map(|one| one.seconds).max()
    };
    let evidence = case.store.evidence(case.origin()).unwrap_or_default();
    let witnesses = trust.witness_keys().iter().map(|key| (key.name().to_string(), seen(key)));
    LogView {
        hash: log.origin_hash,
        state: log.state.name(),
        reason: log.reason,
        verified: log.verified.map(|head| (head.size, head.root)),
        signed: log.signed,
        entries_per_second: log.entries_per_second,
        seconds_left: log.seconds_left,
        head_time: log.head_time,
        heard_at: log.heard_at,
        witnesses: witnesses.collect(),
        others: log.others.into_iter().map(|other| (other.url, other.answer)).collect(),
        alarms: log
            .alarms
            .into_iter()
            .map(|alarm| AlarmView {
                kind: alarm.kind,
                subject: alarm.subject,
                detail: alarm.detail,
                first_seen: alarm.first_seen,
            })
            .collect(),
        evidence: evidence.into_iter().map(|row| EvidenceView { file: row.file, form: row.kind }).collect(),
        policy: String::from_utf8_lossy(&trust.policy().to_bytes()).into_owned(),
        origin: log.origin,
    }
}

//! The past, for a watch that is made later: entries that the index has, and alerts out of the file that has all of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::engine::{Engine, EngineError, LogAlert};
use super::message::Named;
use super::rule::{Entry, Rule, When};
use super::store::NewHit;
use crate::index::Row;
use crate::index::extract::extract;
use crate::index::query::Query;
use crate::index::read::IndexedLog;
use crate::index::search::{PAGE_ROWS_MAX, Page};

/// What is shown of the past when a watch is made.
pub const PAST_HITS_MAX: usize = 500;
/// Pages that are looked at for that.
const PAST_PAGES_MAX: usize = 50;
/// Entries that follow one directly; more than two are a fork of its history.
const LATER_ROWS_MAX: usize = 8;
/// How much of the file is read, from its end.
const READ_BYTES_MAX: u64 = 1 << 20;

/// The newest alerts in the file, newest first; none if there is no file.
///
/// # Errors
/// The system's answer.
pub fn alerts(path: &Path, count: usize) -> std::io::Result<Vec<LogAlert>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let skipped = file.metadata()?.len().saturating_sub(READ_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have lost its beginning.
    let lines: Vec<&str> = text.lines().skip(usize::from(skipped > 0)).collect();
    let alerts = (1..).zip(lines.iter().rev()).map(|(number, line)| LogAlert::parse(number, line));
    Ok(alerts.take(count).collect())
}

impl Engine {
    /// What a watch would have told of what `logs` say is in the index, newest first, as far as is reasonable.
    pub(super) fn past(
        &self,
        watch: &Named,
        rule: &Rule,
        logs: &[IndexedLog],
        now: u64,
    ) -> Result<Vec<NewHit>, EngineError> {
        match rule.when {
            When::Misbehaviour => return self.past_alerts(watch, now),
            // Silence of now is told at the next look.
            When::Silent => return Ok(Vec::new()),
            _ => (),
        }
        let is_past = |row: &Row| logs.iter().any(|log| log.origin == row.origin && row.index < log.next);
        let mut found: BTreeMap<i64, NewHit> = BTreeMap::new();
        let mut page = Page::Newest(None);
        for _ in 0..PAST_PAGES_MAX {
            let hits = self.index.search(&rule.query, page, PAGE_ROWS_MAX)?;
            for row in hits.rows {
                // A record that was found can change into one that is not, and its tombstone says nothing of it.
                let later = if rule.when == When::Changed { self.later(&row)? } else { Vec::new() };
                for row in later.into_iter().chain([row]).filter(is_past) {
                    if found.len() < PAST_HITS_MAX && !found.contains_key(&row.id) {
                        found.extend(self.past_hit(watch, rule, &row, now)?.map(|hit| (row.id, hit)));
                    }
                }
            }
            match hits.next {
                Some(next) if found.len() < PAST_HITS_MAX => page = Page::Newest(Some(next)),
                _ => break,
            }
        }
        Ok(found.into_values().rev().collect())
    }

    fn past_hit(
        &self,
        watch: &Named,
        rule: &Rule,
        row: &Row,
        now: u64,
    ) -> Result<Option<NewHit>, EngineError> {
        let before = self.before(row)?;
        let (document, version) = (extract(&row.bytes), before.as_ref().map(|before| extract(&before.bytes)));
        let version = before.as_ref().zip(version.as_ref());
        let version = version.map(|(before, document)| Entry::new(before, document));
        let tells = rule.tells(&Entry::new(row, &document), version.as_ref());
        Ok(tells.then(|| self.hit(watch, rule, row, before.as_ref(), now)))
    }

    /// What follows an entry directly, or erases values of it.
    fn later(&self, row: &Row) -> Result<Vec<Row>, EngineError> {
        let query = Query::parse(&format!("previous:{0} OR erases:{0}", row.leaf));
        let mut rows = self.index.search(&query, Page::Newest(None), LATER_ROWS_MAX)?.rows;
        rows.retain(|later| later.origin == row.origin);
        Ok(rows)
    }

    /// What was told of logs before, newest first.
    pub(super) fn past_alerts(&self, watch: &Named, now: u64) -> Result<Vec<NewHit>, EngineError> {
        let failed = |error| EngineError::Alerts(self.alerts.display().to_string(), error);
        let alerts = alerts(&self.alerts, PAST_HITS_MAX).map_err(failed)?;
        let hit = |alert: &LogAlert| {
            let hit = self.alert(watch.clone(), alert, now);
            NewHit { what: format!("past:{now}:{}", alert.id), ..hit }
        };
        Ok(alerts.iter().map(hit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Lang;

    #[test]
    fn the_newest_alerts_come_first_and_a_long_file_costs_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        assert!(alerts(&path, 10).unwrap().is_empty());
        let line = |number: usize| {
            format!(
                "{{\"origin\":\"log\",\"kind\":\"fork\",\"event\":\"raised\",\"subject\":\"{number}\",\"detail\":\"d\"}}\n"
            )
        };
        let text: String = (0..20_000).map(line).collect();
        assert!(text.len() as u64 > READ_BYTES_MAX);
        std::fs::write(&path, text).unwrap();
        let found = alerts(&path, 3).unwrap();
        let fork = |size: &str| Lang::English.texts().alarm("fork", size, "log");
        let titles: Vec<&str> = found.iter().map(|alert| alert.title.as_str()).collect();
        assert_eq!(titles, ["19999", "19998", "19997"].map(fork));
        assert!(alerts(&path, usize::MAX).unwrap().len() < 20_000);
    }
}

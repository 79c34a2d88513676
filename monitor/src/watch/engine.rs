//! Watches at work: what is new in the index is asked about once, in order, log by log.
//!
//! The engine keeps its own place in each log and follows the index, never verification; so it needs no memory beyond
//! one page of entries, and an index that is made anew changes nothing: its entries were looked at before.

use std::path::PathBuf;
use std::sync::Arc;

use super::message::{Found, Named, of_entry};
use super::rule::{Rule, RuleError, Wanted, When};
use super::store::{NewHit, Watch, WatchError, WatchStore};
use crate::index::query::Query;
use crate::index::search::{PAGE_ROWS_MAX, Page};
use crate::index::{Index, IndexError, Row};

/// Entries that are looked at together.
const ROWS: usize = 200;
/// What is shown of the past when a watch is made.
pub const PAST_HITS_MAX: usize = 500;
/// Pages that are looked at for that.
const PAST_PAGES_MAX: usize = 50;

/// Why watches do not work. Verification goes on without them.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The watches.
    #[error(transparent)]
    Store(#[from] WatchError),
    /// The watch that is to be made.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The alerts of the past.
    #[error("{0}: {1}")]
    Alerts(String, std::io::Error),
}

/// An alert of the part that verifies.
#[derive(Clone, Debug)]
pub struct LogAlert {
    /// Its number; they rise.
    pub id: u64,
    /// The log.
    pub origin: String,
    /// In one line.
    pub title: String,
    /// In words.
    pub detail: String,
}

impl LogAlert {
    /// Out of the JSON that an alert is. A later version may know more; what is missing is empty.
    #[must_use]
    pub fn parse(id: i64, body: &str) -> Self {
        let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self {
            id: u64::try_from(id).unwrap_or(0),
            origin: text("origin"),
            title: format!("{} {} {}", text("event"), text("kind"), text("subject")),
            detail: format!("{} {}", text("detail"), text("file")),
        }
    }
}

/// Watches over an index.
#[derive(Clone, Debug)]
pub struct Engine {
    /// What is searched.
    pub index: Arc<Index>,
    /// What is remembered.
    pub store: Arc<WatchStore>,
    /// The file with every alert of the part that verifies.
    pub alerts: PathBuf,
    /// The address under which readers reach this monitor; without a slash at its end.
    pub address: String,
}

struct Active {
    watch: Watch,
    rule: Rule,
}

impl Engine {
    /// Makes a watch, with what it finds in the past. Returns its number.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn add(&self, wanted: &Wanted, channels: &[String], now: u64) -> Result<i64, EngineError> {
        let rule = wanted.rule(channels)?;
        let past = self.past(wanted, &rule, now)?;
        Ok(self.store.add(wanted, &past, now)?)
    }

    /// What a watch would have told, newest first, as far as is reasonable.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn past(&self, wanted: &Wanted, rule: &Rule, now: u64) -> Result<Vec<NewHit>, EngineError> {
        let mut hits = Vec::new();
        let mut page = Page::Newest(None);
        if rule.when == When::Misbehaviour {
            return self.past_alerts(wanted, now);
        }
        if rule.when == When::Silent {
            // Silence of now is told at the next look.
            return Ok(hits);
        }
        // A record that was found once can change into one that is not: those are found from their versions on.
        for _ in 0..PAST_PAGES_MAX {
            let found = self.index.search(&rule.query, page, PAGE_ROWS_MAX)?;
            for row in &found.rows {
                let before = self.before(row)?;
                if hits.len() < PAST_HITS_MAX && rule.tells(row, before.as_ref()) {
                    hits.push(self.hit(
                        &Named { id: 0, name: wanted.name.clone() },
                        rule,
                        row,
                        before.as_ref(),
                        now,
                    ));
                }
            }
            match found.next {
                Some(next) if hits.len() < PAST_HITS_MAX => page = Page::Newest(Some(next)),
                _ => break,
            }
        }
        Ok(hits)
    }

    fn past_alerts(&self, wanted: &Wanted, now: u64) -> Result<Vec<NewHit>, EngineError> {
        let failed = |error| EngineError::Alerts(self.alerts.display().to_string(), error);
        let alerts = super::past::alerts(&self.alerts, PAST_HITS_MAX).map_err(failed)?;
        let named = Named { id: 0, name: wanted.name.clone() };
        let hit = |alert: &LogAlert| {
            let hit = self.alert(named.clone(), alert, now);
            NewHit { what: format!("past:{now}:{}", alert.id), ..hit }
        };
        Ok(alerts.iter().map(hit).collect())
    }

    /// What a watch for misbehaviour finds.
    fn alert(&self, watch: Named, alert: &LogAlert, now: u64) -> NewHit {
        let id = watch.id;
        let found = Found {
            event: "misbehaviour".to_owned(),
            watch: Some(watch),
            title: alert.title.clone(),
            log: Some(alert.origin.clone()),
            text: alert.detail.clone(),
            link: format!("{}/evidence", self.address),
            found_at: now,
            ..Found::default()
        };
        NewHit {
            watch: id,
            what: format!("alert:{}", alert.id),
            entry: None,
            body: serde_json::to_string(&found).expect("an alert has a JSON form"),
            past: false,
            channels: Vec::new(),
        }
    }

    fn hit(&self, watch: &Named, rule: &Rule, row: &Row, before: Option<&Row>, now: u64) -> NewHit {
        let found = of_entry(watch.clone(), rule, row, before, &self.address, now);
        NewHit {
            watch: watch.id,
            what: format!("{}#{}", row.origin, row.index),
            entry: Some((row.origin.clone(), row.index)),
            body: serde_json::to_string(&found).expect("an alert has a JSON form"),
            past: false,
            channels: Vec::new(),
        }
    }

    /// The version that an entry follows.
    fn before(&self, row: &Row) -> Result<Option<Row>, IndexError> {
        let Some(previous) = row.previous.as_deref().filter(|_| row.kind.as_deref() == Some("record")) else {
            return Ok(None);
        };
        let query = Query::parse(&format!("hash:{previous}"));
        let found = self.index.search(&query, Page::Newest(None), 4)?;
        Ok(found.rows.into_iter().find(|other| other.leaf == previous && other.origin == row.origin))
    }

    fn active(&self) -> Result<Vec<Active>, EngineError> {
        let watches = self.store.watches()?;
        let active = |watch: Watch| watch.wanted.any_rule().ok().map(|rule| Active { watch, rule });
        Ok(watches.into_iter().filter_map(active).collect())
    }

    /// Looks at what is new. Returns how much was found.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn look(&self, now: u64) -> Result<usize, EngineError> {
        let active = self.active()?;
        let mut found = 0;
        for log in self.index.logs()? {
            let name = format!("log:{}", log.origin);
            let mut next = self.store.place(&name)?.unwrap_or(log.first).max(log.first);
            if active.iter().all(|one| matches!(one.rule.when, When::Silent | When::Misbehaviour)) {
                if next < log.next {
                    self.store.advance(&name, log.next, &[], now)?;
                }
                continue;
            }
            while next < log.next {
                let rows = self.index.range(&log.origin, next, ROWS)?;
                let Some(last) = rows.last() else { break };
                let after = last.index + 1;
                let hits = self.tell(&active, &rows, now)?;
                found += self.store.advance(&name, after, &hits, now)?;
                next = after;
            }
        }
        Ok(found + self.silent(&active, now)?)
    }

    fn tell(&self, active: &[Active], rows: &[Row], now: u64) -> Result<Vec<NewHit>, EngineError> {
        let mut hits = Vec::new();
        for row in rows {
            let before = self.before(row)?;
            for one in active.iter().filter(|one| one.rule.tells(row, before.as_ref())) {
                let named = Named { id: one.watch.id, name: one.watch.wanted.name.clone() };
                let hit = self.hit(&named, &one.rule, row, before.as_ref(), now);
                hits.push(NewHit { channels: one.watch.wanted.channels.clone(), ..hit });
            }
        }
        Ok(hits)
    }

    /// Watches for silence: told once for each silence.
    fn silent(&self, active: &[Active], now: u64) -> Result<usize, EngineError> {
        let mut found = 0;
        for one in active {
            let Some(longest) = one.rule.silence_seconds() else { continue };
            let newest = self.index.search(&one.rule.query, Page::Newest(None), 1)?.rows.pop();
            let since = newest.as_ref().and_then(|row| row.logged_after.or(row.at_seconds));
            let since = since.unwrap_or_else(|| i64::try_from(one.watch.made_at).unwrap_or(0));
            let silent = i64::try_from(now).unwrap_or(i64::MAX) - since;
            if silent <= longest {
                continue;
            }
            let last = newest
                .as_ref()
                .map_or_else(|| "never".to_owned(), |row| format!("{}#{}", row.origin, row.index));
            let hit = self.silence(one, &last, silent / 86_400, now);
            found += self.store.advance(&format!("silent:{}", one.watch.id), now, &[hit], now)?;
        }
        Ok(found)
    }

    fn silence(&self, one: &Active, last: &str, days: i64, now: u64) -> NewHit {
        let wanted = &one.watch.wanted;
        let found = Found {
            event: "silent".to_owned(),
            watch: Some(Named { id: one.watch.id, name: wanted.name.clone() }),
            title: wanted.name.clone(),
            text: format!("Nothing was published for {days} days; the last entry is {last}."),
            link: format!("{}/watches/{}", self.address, one.watch.id),
            found_at: now,
            ..Found::default()
        };
        NewHit {
            watch: one.watch.id,
            what: format!("silent:{last}"),
            entry: None,
            body: serde_json::to_string(&found).expect("an alert has a JSON form"),
            past: false,
            channels: wanted.channels.clone(),
        }
    }

    /// Tells the watches for misbehaviour of alerts of the part that verifies, each once. Returns how much was found.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn take_alerts(&self, alerts: &[LogAlert], now: u64) -> Result<usize, EngineError> {
        let Some(last) = alerts.last() else { return Ok(0) };
        let active = self.active()?;
        let mut hits = Vec::new();
        for alert in alerts {
            for one in active.iter().filter(|one| one.rule.when == When::Misbehaviour) {
                let named = Named { id: one.watch.id, name: one.watch.wanted.name.clone() };
                let hit = self.alert(named, alert, now);
                hits.push(NewHit { channels: one.watch.wanted.channels.clone(), ..hit });
            }
        }
        Ok(self.store.advance("alerts", last.id, &hits, now)?)
    }

    /// Sends a test message to the channels of a watch. `false` if there is no such watch.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn test(&self, id: i64, now: u64) -> Result<bool, EngineError> {
        let Some(watch) = self.store.watches()?.into_iter().find(|watch| watch.id == id) else {
            return Ok(false);
        };
        let found = Found {
            event: "test".to_owned(),
            watch: Some(Named { id, name: watch.wanted.name.clone() }),
            title: watch.wanted.name.clone(),
            text: "This is a test. What this watch finds will come this way.".to_owned(),
            link: format!("{}/watches/{id}", self.address),
            found_at: now,
            ..Found::default()
        };
        let body = serde_json::to_string(&found).expect("an alert has a JSON form");
        for channel in &watch.wanted.channels {
            self.store.send(channel, &format!("test:{id}:{now}"), &body, now)?;
        }
        Ok(true)
    }
}

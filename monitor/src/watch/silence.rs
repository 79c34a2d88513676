//! Watches for silence. Silence is told only where it is known: every log that could have broken it is verified, judged,
//! indexed and looked at up to a fresh head. Whoever was away, or has a backlog, has not heard anything yet.
//!
//! How long it has lasted is counted from the latest time at which the last entry can have been published: before the
//! first head that holds it, or before it was seen here. What an agency says of its own dates counts for nothing.

use super::engine::{Engine, EngineError};
use super::message::{Found, Named};
use super::roster::Active;
use super::rule::{Entry, Rule, When};
use super::store::NewHit;
use crate::index::extract::extract;
use crate::index::facet::Exact;
use crate::index::read::IndexedLog;
use crate::index::search::{PAGE_ROWS_MAX, Page};
use crate::index::{IndexError, Row};

const DAY_SECONDS: u64 = 86_400;
/// Seconds from one look for silence to the next; it is counted in days.
const PAUSE_SECONDS: u64 = 10;

/// A followed log, as far as silence goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The log.
    pub origin: String,
    /// Entries under its newest head, if that is fresh, and verified and judged to its end.
    pub verified: Option<u64>,
}

/// The newest entry that a watch for silence finds in a log.
enum Last {
    /// There is none.
    None,
    /// The one with this index, published before this time if that is known.
    Entry(u64, Option<u64>),
    /// It was not found among as many as are looked at.
    Unknown,
}

/// The place at which it is remembered when an entry that a watch waits for was seen last.
pub(super) fn place(watch: i64) -> String {
    format!("heard:{watch}")
}

impl Engine {
    /// Watches for silence: told once for each silence. `logs` are those that are followed, as they were before the last
    /// [`Engine::look`]. Writes nothing where nothing is told.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn listen(&self, logs: &[Heard], now: u64) -> Result<usize, EngineError> {
        if !self.is_due(now) {
            return Ok(0);
        }
        let roster = self.roster()?;
        let mut waiting = roster.all().iter().filter(|one| one.rule.when == When::Silent).peekable();
        if waiting.peek().is_none() {
            return Ok(0);
        }
        let indexed = self.index.logs()?;
        let mut known = Vec::with_capacity(logs.len());
        for log in logs {
            known.push((log.origin.as_str(), self.is_known(log, &indexed)?));
        }
        let mut found = 0;
        for one in waiting {
            let concerned: Vec<_> = known.iter().filter(|(origin, _)| one.rule.concerns(origin)).collect();
            if concerned.is_empty() || concerned.iter().any(|(_, known)| !known) {
                continue;
            }
            let origins: Vec<&str> = concerned.iter().map(|(origin, _)| *origin).collect();
            if let Some(hit) = self.silence(one, &origins, now)? {
                found += self.store.advance(&[], &[hit], now)?;
            }
        }
        Ok(found)
    }

    /// Whether it is time to look for silence again. A clock that was put back does not delay it.
    fn is_due(&self, now: u64) -> bool {
        let mut memory = self.memory();
        if memory.listened_at.is_some_and(|last| last <= now && now - last < PAUSE_SECONDS) {
            return false;
        }
        memory.listened_at = Some(now);
        true
    }

    /// Whether everything that a log has published was looked at.
    fn is_known(&self, log: &Heard, indexed: &[IndexedLog]) -> Result<bool, EngineError> {
        let Some(verified) = log.verified else { return Ok(false) };
        let next = indexed.iter().find(|one| one.origin == log.origin).map(|one| one.next);
        let looked = self.store.place(&super::engine::place(&log.origin))?;
        Ok([next, looked].iter().all(|reached| reached.is_some_and(|reached| reached >= verified)))
    }

    /// What is to be told of a watch for silence, if it has lasted long enough.
    fn silence(&self, one: &Active, origins: &[&str], now: u64) -> Result<Option<NewHit>, EngineError> {
        let Some(longest) = one.rule.silence_seconds() else { return Ok(None) };
        let seen = self.seen(one, now)?;
        let mut newest: Option<(u64, Option<String>)> = None;
        for origin in origins {
            let (until, name) = match self.last(&one.rule, origin)? {
                Last::None => continue,
                Last::Entry(index, until) => {
                    (until.map_or(seen, |until| until.min(seen)), Some(format!("{origin}#{index}")))
                }
                Last::Unknown => (seen, None),
            };
            if newest.as_ref().is_none_or(|(since, _)| until >= *since) {
                newest = Some((until, name));
            }
        }
        let silent = now.saturating_sub(newest.as_ref().map_or(seen, |(since, _)| *since));
        let last = match &newest {
            None => "never".to_owned(),
            Some((_, Some(name))) => name.clone(),
            Some((since, None)) => format!("before:{since}"),
        };
        let end = newest
            .and_then(|(_, name)| name)
            .map_or_else(String::new, |name| format!("; the last entry is {name}"));
        let text = format!("Nothing was published for {} days{end}.", silent / DAY_SECONDS);
        Ok((silent > longest).then(|| self.of_silence(one, format!("silent:{last}"), text, now)))
    }

    /// Before when everything was published that this watch has passed: what was there when it was made, and what it
    /// saw since then. A clock that was ahead meanwhile must not keep it silent until that time: it counts from now.
    fn seen(&self, one: &Active, now: u64) -> Result<u64, EngineError> {
        let name = place(one.watch.id);
        let made = Some(one.watch.made_at).filter(|made| *made <= now);
        let seen = match self.store.place(&name)? {
            Some(heard) if heard <= now => made.max(Some(heard)),
            Some(_) => None,
            None => made,
        };
        if let Some(seen) = seen {
            return Ok(seen);
        }
        self.store.advance(&[(name.as_str(), now)], &[], now)?;
        Ok(now)
    }

    fn last(&self, rule: &Rule, origin: &str) -> Result<Last, IndexError> {
        let query = rule.query.clone().with(Exact::Log, origin);
        let rows = if rule.has_pattern() { PAGE_ROWS_MAX } else { 1 };
        let hits = self.index.search(&query, Page::Newest(None), rows)?;
        let nothing_more = hits.next.is_none() && !hits.cut_short;
        let is_found = |row: &Row| {
            let document = extract(&row.bytes);
            row.origin == origin && rule.finds(&Entry::new(row, &document))
        };
        match hits.rows.into_iter().find(is_found) {
            Some(row) => Ok(Last::Entry(row.index, self.index.window(origin, row.index)?.before)),
            None => Ok(if nothing_more { Last::None } else { Last::Unknown }),
        }
    }

    fn of_silence(&self, one: &Active, what: String, text: String, now: u64) -> NewHit {
        let wanted = &one.watch.wanted;
        let found = Found {
            event: "silent".to_owned(),
            watch: Some(Named { id: one.watch.id, name: wanted.name.clone() }),
            title: wanted.name.clone(),
            text,
            link: format!("{}/watches/{}", self.address, one.watch.id),
            found_at: now,
            ..Found::default()
        };
        NewHit {
            watch: one.watch.id,
            what,
            entry: None,
            body: serde_json::to_string(&found).expect("an alert has a JSON form"),
            past: false,
            channels: self.channels_of(wanted),
        }
    }
}

//! Watches at work: what is new in the index is asked about once, in order, log by log.
//!
//! The engine keeps its own place in each log and follows the index, never verification; so it needs no memory beyond
//! one page of entries, and an index that is made anew changes nothing: its entries were looked at before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::message::{Found, Named, of_entry};
use super::roster::Roster;
use super::rule::{EVERY_CHANNEL, Entry, Rule, RuleError, Wanted, When, any_misbehaviour};
use super::silence;
use super::store::{NewHit, Version, WatchError, WatchStore};
use crate::index::extract::extract;
use crate::index::query::Query;
use crate::index::search::Page;
use crate::index::{Index, IndexError, Row};
use crate::web::texts::{Lang, fill};

/// Entries that are looked at together.
const ROWS: usize = 200;
/// Entries with one leaf hash among which the one of the same log is looked for.
const SAME_HASHES_MAX: usize = 4;

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
    /// `misbehaviour`, for which there is evidence, or `alarm` or `cleared`, which accuse nobody.
    pub event: String,
    /// What happened, and to which log, in one line.
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
        let (origin, kind, texts) = (text("origin"), text("kind"), Lang::English.texts());
        let alarm = texts.alarm(&kind, &text("subject"), &origin);
        let (event, title) = match text("event").as_str() {
            "misbehaviour" => ("misbehaviour", texts.accusation(&kind, &origin)),
            "cleared" => ("cleared", fill(texts.alarm_over, &[&alarm])),
            _ => ("alarm", alarm),
        };
        let detail = format!("{} {}", text("detail"), text("file"));
        Self { id: u64::try_from(id).unwrap_or(0), origin, event: event.to_owned(), title, detail }
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
    /// The names of the channels.
    pub channels: Vec<String>,
    memory: Arc<Mutex<Memory>>,
}

/// What need not be read again each time. It can be lost.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The watches, filed, and which they are.
    roster: Option<(Version, Arc<Roster>)>,
    /// When silence was looked for last, in seconds since 1970.
    pub(super) listened_at: Option<u64>,
}

/// What some entries come to.
#[derive(Default)]
struct Told {
    hits: Vec<NewHit>,
    /// The places of watches for silence that found something.
    heard: BTreeSet<String>,
}

/// The place up to which a log was looked at.
pub(super) fn place(origin: &str) -> String {
    format!("log:{origin}")
}

/// The place up to which alerts were taken that the database of this generation has numbered.
#[must_use]
pub fn alerts_place(generation: &str) -> String {
    format!("alerts:{generation}")
}

/// Makes the watch that every monitor begins with, if it is its time: see [`Engine::begin`]. Returns its number then.
///
/// # Errors
/// [`WatchError`].
pub fn begin(store: &WatchStore, now: u64) -> Result<Option<i64>, WatchError> {
    let tells = |wanted: &Wanted| wanted.when == When::Misbehaviour && !wanted.channels.is_empty();
    store.begin(&any_misbehaviour(), tells, now)
}

impl Engine {
    /// An engine over these; `channels` are the names of those that there are.
    #[must_use]
    pub fn new(
        index: Arc<Index>,
        store: Arc<WatchStore>,
        alerts: PathBuf,
        address: String,
        channels: Vec<String>,
    ) -> Self {
        Self { index, store, alerts, address, channels, memory: Arc::default() }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watches at work, filed again only if some were made or removed.
    pub(super) fn roster(&self) -> Result<Arc<Roster>, WatchError> {
        // Asked first: what changes in between is another version at the next look.
        let version = self.store.version()?;
        if let Some((known, roster)) = &self.memory().roster
            && *known == version
        {
            return Ok(Arc::clone(roster));
        }
        let roster = Arc::new(Roster::new(self.store.watches()?));
        self.memory().roster = Some((version, Arc::clone(&roster)));
        Ok(roster)
    }

    /// The channels that a watch tells.
    pub(super) fn channels_of(&self, wanted: &Wanted) -> Vec<String> {
        let every = wanted.channels.iter().any(|name| name == EVERY_CHANNEL);
        if every { self.channels.clone() } else { wanted.channels.clone() }
    }

    /// Makes a watch, with what it finds in the past. Returns its number.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn add(&self, wanted: &Wanted, now: u64) -> Result<i64, EngineError> {
        self.add_while(wanted, now, || ())
    }

    /// As [`Engine::add`]; `meanwhile` is what others do between the moment when the watch is there and the moment when
    /// its past is. The watch comes first: what comes into the index from then on the running engine tells, and what it
    /// passed without knowing of the watch was in the index before, and is found in the past.
    pub(super) fn add_while(
        &self,
        wanted: &Wanted,
        now: u64,
        meanwhile: impl FnOnce(),
    ) -> Result<i64, EngineError> {
        let rule = wanted.rule(&self.channels)?;
        let (id, new) = self.store.add(wanted, now)?;
        if !new {
            return Ok(id);
        }
        let named = Named { id, name: wanted.name.clone() };
        let past = self.index.logs().map_err(EngineError::from).and_then(|logs| {
            meanwhile();
            self.past(&named, &rule, &logs, now)
        });
        let kept = past.and_then(|past| Ok(self.store.keep_past(id, &past, now)?));
        if kept.is_err() {
            // It can be made again, with its past.
            self.store.remove(id)?;
        }
        kept.map(|()| id)
    }

    /// Makes the watch that every monitor begins with, with what it finds in the past: once, be it removed afterwards, and
    /// not where a watch for misbehaviour tells somebody already.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn begin(&self, now: u64) -> Result<(), EngineError> {
        let Some(id) = begin(&self.store, now)? else { return Ok(()) };
        let past = self.past_alerts(&Named { id, name: any_misbehaviour().name }, now)?;
        Ok(self.store.keep_past(id, &past, now)?)
    }

    /// What a watch for misbehaviour finds; what it is called is for whoever knows where the alert has its number from.
    pub(super) fn alert(&self, watch: Named, alert: &LogAlert, now: u64) -> NewHit {
        let id = watch.id;
        let found = Found {
            event: alert.event.clone(),
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
            what: String::new(),
            entry: None,
            body: serde_json::to_string(&found).expect("an alert has a JSON form"),
            past: false,
            channels: Vec::new(),
        }
    }

    pub(super) fn hit(
        &self,
        watch: &Named,
        rule: &Rule,
        row: &Row,
        before: Option<&Row>,
        now: u64,
    ) -> NewHit {
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

    /// The version that an entry follows, or the one whose values it erases.
    pub(super) fn before(&self, row: &Row) -> Result<Option<Row>, IndexError> {
        let follows = row.previous.as_deref().filter(|_| row.kind.as_deref() == Some("record"));
        let Some(leaf) = follows.or(row.erases.as_deref()) else { return Ok(None) };
        let query = Query::parse(&format!("hash:{leaf}"));
        let found = self.index.search(&query, Page::Newest(None), SAME_HASHES_MAX)?;
        Ok(found.rows.into_iter().find(|other| other.leaf == leaf && other.origin == row.origin))
    }

    /// Looks at what is new. Returns how much was found.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn look(&self, now: u64) -> Result<usize, EngineError> {
        let mut found = 0;
        // Before the watches are read: what is passed here without a new watch was in the index when it was made.
        for log in self.index.logs()? {
            let name = place(&log.origin);
            let mut next = self.store.place(&name)?.unwrap_or(log.first).max(log.first);
            while next < log.next {
                let roster = self.roster()?;
                if roster.asks_of_no_entry() {
                    self.store.advance(&[(name.as_str(), log.next)], &[], now)?;
                    break;
                }
                let rows = self.index.range(&log.origin, next, ROWS)?;
                let Some(last) = rows.last() else { break };
                next = last.index + 1;
                let told = self.tell(&roster, &rows, now)?;
                let mut places = vec![(name.as_str(), next)];
                places.extend(told.heard.iter().map(|name| (name.as_str(), now)));
                found += self.store.advance(&places, &told.hits, now)?;
            }
        }
        Ok(found)
    }

    fn tell(&self, roster: &Roster, rows: &[Row], now: u64) -> Result<Told, EngineError> {
        let mut told = Told::default();
        for row in rows {
            let document = extract(&row.bytes);
            let entry = Entry::new(row, &document);
            let before = if roster.follows_versions() { self.before(row)? } else { None };
            let document = before.as_ref().map(|before| extract(&before.bytes));
            let version = before.as_ref().zip(document.as_ref());
            let version = version.map(|(before, document)| Entry::new(before, document));
            let mut found = Vec::new();
            for one in roster.about(&entry, version.as_ref()) {
                if one.rule.when == When::Silent && one.rule.finds(&entry) {
                    told.heard.insert(silence::place(one.watch.id));
                } else if one.rule.tells(&entry, version.as_ref()) {
                    found.push(one);
                }
            }
            let asked = found.is_empty() || roster.follows_versions();
            let shown = if asked { None } else { self.before(row)? };
            let before = before.as_ref().or(shown.as_ref());
            for one in found {
                let named = Named { id: one.watch.id, name: one.watch.wanted.name.clone() };
                let hit = self.hit(&named, &one.rule, row, before, now);
                told.hits.push(NewHit { channels: self.channels_of(&one.watch.wanted), ..hit });
            }
        }
        Ok(told)
    }

    /// Tells the watches for misbehaviour of alerts of the part that verifies, each once. `generation` is the database
    /// that has numbered them. Returns how much was found.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn take_alerts(&self, generation: &str, alerts: &[LogAlert], now: u64) -> Result<usize, EngineError> {
        let Some(last) = alerts.last() else { return Ok(0) };
        let roster = self.roster()?;
        let mut hits = Vec::new();
        for alert in alerts {
            for one in roster.all().iter().filter(|one| one.rule.when == When::Misbehaviour) {
                let named = Named { id: one.watch.id, name: one.watch.wanted.name.clone() };
                let hit = self.alert(named, alert, now);
                hits.push(NewHit {
                    what: format!("alert:{generation}:{}", alert.id),
                    channels: self.channels_of(&one.watch.wanted),
                    ..hit
                });
            }
        }
        let place = alerts_place(generation);
        Ok(self.store.advance(&[(place.as_str(), last.id)], &hits, now)?)
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
        for channel in self.channels_of(&watch.wanted) {
            self.store.send(&channel, &format!("test:{id}:{now}"), &body, now)?;
        }
        Ok(true)
    }
}

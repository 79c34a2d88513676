//! The logs that are followed, in memory: what a request needs before it touches the disk.
//!
//! The heads here are copies: the writer sets them after each commit, and after a commit of unknown outcome it reads
//! them again. A request that was judged against an old copy loses the compare-and-swap. Keys are parsed at first
//! use, because a witness may follow many thousand logs of which few are active.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tlog::vkey::VerifierKey;

use crate::quota::Allowance;
use crate::state::heads::Head;
use crate::state::roster::LogRow;

/// A log that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Its number in the state.
    pub id: i64,
    origin: Arc<str>,
    vkeys: Box<str>,
    keys: OnceLock<Box<[VerifierKey]>>,
    current: Mutex<Current>,
}

/// What changes. The head is set by the writer alone.
#[derive(Clone, Copy, Debug)]
struct Current {
    head: Head,
    qpd: Option<u32>,
    disabled: bool,
    growth: Allowance,
    refresh: Allowance,
}

/// A log, for the status page.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Its head.
    pub head: Head,
    /// Checkpoints a day.
    pub qpd: Option<u32>,
    /// Those that are used.
    pub used: u32,
    /// Whether it is treated as unknown.
    pub disabled: bool,
}

impl Followed {
    fn new(row: LogRow) -> Self {
        let current = Current {
            head: row.head,
            qpd: row.qpd,
            disabled: row.disabled,
            growth: Allowance::default(),
            refresh: Allowance::default(),
        };
        Self {
            id: row.id,
            origin: row.origin.into(),
            vkeys: row.vkeys.into(),
            keys: OnceLock::new(),
            current: Mutex::new(current),
        }
    }

    /// Its name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys that it may sign with.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        let parse = || self.vkeys.lines().filter_map(|key| key.parse().ok()).collect();
        self.keys.get_or_init(parse)
    }

    /// The keys as they are written.
    pub fn vkeys(&self) -> impl Iterator<Item = &str> {
        self.vkeys.lines()
    }

    /// The head that was cosigned last, as far as is known here.
    #[must_use]
    pub fn head(&self) -> Head {
        self.lock().head
    }

    /// Sets the head; for the writer alone.
    pub fn set_head(&self, head: Head) {
        self.lock().head = head;
    }

    /// Uses one checkpoint of the day's, of those that grow the log or of those that repeat its head.
    ///
    /// # Errors
    /// If none is left: how long until there is one.
    pub fn take_quota(&self, grows: bool, now: Duration) -> Result<(), Duration> {
        let mut current = self.lock();
        let Some(qpd) = current.qpd else { return Ok(()) };
        if grows { current.growth.take(qpd, now) } else { current.refresh.take(qpd, now) }
    }

    /// What the status page shows.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let current = self.lock();
        let used = |qpd| current.growth.used(qpd, now).max(current.refresh.used(qpd, now));
        Status {
            head: current.head,
            qpd: current.qpd,
            used: current.qpd.map_or(0, used),
            disabled: current.disabled,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Logs {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_origin: HashMap<Arc<str>, Arc<Followed>>,
    /// In the order in which they were added.
    ordered: Vec<Arc<Followed>>,
}

impl Logs {
    /// The log of this origin, unless it is unknown or disabled.
    #[must_use]
    pub fn get(&self, origin: &str) -> Option<Arc<Followed>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let log = Arc::clone(table.by_origin.get(origin)?);
        let disabled = log.lock().disabled;
        (!disabled).then_some(log)
    }

    /// Takes over the roster: new logs, quotas, and which are disabled. Heads of known logs stay as they are.
    pub fn update(&self, rows: Vec<LogRow>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            if let Some(known) = table.by_origin.get(row.origin.as_str()) {
                let mut current = known.lock();
                (current.qpd, current.disabled) = (row.qpd, row.disabled);
            } else {
                let log = Arc::new(Followed::new(row));
                table.by_origin.insert(Arc::clone(&log.origin), Arc::clone(&log));
                table.ordered.push(log);
            }
        }
    }

    /// How many there are, disabled ones included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).ordered.len()
    }

    /// Some of them, in the order in which they were added.
    #[must_use]
    pub fn page(&self, from: usize, count: usize) -> Vec<Arc<Followed>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.ordered.iter().skip(from).take(count).cloned().collect()
    }

    /// The time of the last cosignature of all, in seconds since 1970.
    #[must_use]
    pub fn last_cosigned(&self) -> u64 {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.ordered.iter().map(|log| log.head().cosigned_at).max().unwrap_or(0)
    }
}

//! The registry in order: called by the sequencer alone, on one statement after the other.
//!
//! Here the race on a key ends: of two statements that name the same `previous`, the one that comes first takes the
//! place. What is asked about earlier entries is answered from the batch at hand, then from the index with its memory,
//! and entries are read from the tree, where two copies have to agree.
//!
//! What the registry admits is then held against the time of the batch, where a delegated key has signed. That is no rule of
//! the log: a replay, here or at a monitor's, asks the registry alone.
//!
//! Absent on purpose: signatures, which admission has checked in parallel, save those by keys that came in since.

use std::cell::RefCell;
use std::sync::Arc;

use record::registry::{
    Authentic, Chain, Effect, Grant, History, JudgeError, NotAllowed, Refusal, Registry, Signatures,
};
use record::statement::{Body, EntryRef};
use record::time::UtcTime;
use tlog::ids::{LeafIndex, TreeSize, UnixMillis};

use super::lists::Ends;
use super::marks::{self, marks};
use super::views::Views;
use super::{Admitted, Refused};
use crate::lookup::{Lookup, LookupError};
use crate::pool::Pending;
use crate::store::index::{IndexError, IndexFollower, Mark};

/// The registry of the newest judged statement.
#[derive(Debug)]
pub struct RecordJudge {
    views: Arc<Views>,
    /// Ahead of what is committed while a batch is judged; a batch that then fails ends the process.
    registry: Registry,
    /// Likewise.
    ends: RefCell<Ends>,
    /// What the statements of this batch add to the index.
    marks: Vec<Mark>,
    /// Whether this batch has changed the registry.
    changed: bool,
}

/// The entries before the statement at hand.
struct Before<'a> {
    ends: &'a RefCell<Ends>,
    lookup: &'a Lookup,
    committed: TreeSize,
    batch: &'a [Pending],
}

impl History for Before<'_> {
    type Error = LookupError;

    fn latest(&self, chain: &Chain) -> Result<Option<EntryRef>, LookupError> {
        let end = self.ends.borrow_mut().of(&marks::chain(chain)).map_err(|error| index_failed(&error))?;
        let Some(end) = end else { return Ok(None) };
        let leaf = match end.leaf {
            Some(leaf) => leaf,
            None => self.lookup.checked(end.last, self.committed)?.0,
        };
        Ok(Some(EntryRef { index: end.last, leaf }))
    }

    fn entry(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, LookupError> {
        match index.get().checked_sub(self.committed.get()) {
            None => self.lookup.checked(index, self.committed).map(|(_, entry)| Some(entry)),
            Some(at) => {
                let pending = usize::try_from(at).ok().and_then(|at| self.batch.get(at));
                Ok(pending.map(|pending| pending.entry.to_vec()))
            }
        }
    }
}

/// The end of the delegation under which a version of a record is signed, if it is past at that time.
///
/// The registry compares it with the record's own date, since no other time is in the log. A date that was chosen afterwards is
/// caught here, and here only: in order, so that it holds for a delegation that came in just before, and for one that was renewed.
fn ended_delegation(registry: &Registry, authentic: &Authentic, time: UnixMillis) -> Option<UtcTime> {
    let Body::Record(_) = authentic.statement().body() else { return None };
    let now_seconds = i64::try_from(time.get() / 1000).unwrap_or(i64::MAX);
    authentic.keys().iter().find_map(|key| match registry.key(key)?.grant {
        Grant::Delegate { until, .. } if until.unix_seconds() < now_seconds => Some(until),
        _ => None,
    })
}

fn index_failed(error: &IndexError) -> LookupError {
    LookupError::Index(error.to_string())
}

impl RecordJudge {
    /// A judge of a log without entries; [`RecordJudge::load`] gives it those there are.
    #[must_use]
    pub fn new(index: Arc<IndexFollower>, views: Arc<Views>) -> Self {
        let ends = RefCell::new(Ends::new(index));
        Self { views, registry: Registry::new(), ends, marks: Vec::new(), changed: false }
    }

    /// Goes on from the registry that start-up has replayed.
    pub fn load(&mut self, registry: Registry, size: TreeSize) {
        self.views.reset(size, Arc::new(registry.clone()));
        self.registry = registry;
    }

    /// Judges a statement that would become entry `committed + batch.len()` under a head of this time, and takes note of it if
    /// it may.
    ///
    /// # Errors
    /// [`LookupError`]: the log cannot tell; nothing was taken note of.
    pub fn judge(
        &mut self,
        pending: &Pending,
        batch: &[Pending],
        committed: TreeSize,
        lookup: &Lookup,
        time: UnixMillis,
    ) -> Result<Result<(), Refused>, LookupError> {
        let admitted = pending.statement.as_ref().expect("a log of records admits statements");
        let found_now;
        let authentic = match &**admitted {
            Admitted::Authentic(authentic) => authentic,
            Admitted::Unsettled(statement) => {
                // Before anything is verified: this is the sequencer's thread, and the sender may be nobody.
                if let Some(name) = self.registry.unknown_signer(statement) {
                    return Ok(Err(Refusal::from(NotAllowed::UnknownKey(name.clone())).into()));
                }
                match self.registry.authenticate(statement.clone(), Signatures::Check) {
                    Ok(authentic) => found_now = authentic,
                    Err(refusal) => return Ok(Err(refusal.into())),
                }
                &found_now
            }
        };
        let at = committed.get() + batch.len() as u64;
        let at = LeafIndex::new(at).expect("a log never grows past 2^63");
        let before = Before { ends: &self.ends, lookup, committed, batch };
        let effect = match self.registry.judge(at, authentic, &before) {
            Ok(effect) => effect,
            Err(JudgeError::Refused(refusal)) => return Ok(Err(refusal.into())),
            Err(JudgeError::History(error)) => return Err(error),
        };
        if let Some(until) = ended_delegation(&self.registry, authentic, time) {
            return Ok(Err(Refused::Late(until)));
        }
        self.take_in(authentic, effect).map_err(|error| index_failed(&error))?;
        Ok(Ok(()))
    }

    fn take_in(&mut self, authentic: &Authentic, effect: Effect) -> Result<(), IndexError> {
        let at = effect.entry().index;
        self.marks.extend(marks(authentic.statement(), at, self.ends.get_mut())?);
        self.changed |= effect.changes_registry();
        self.registry.apply(effect);
        Ok(())
    }

    /// What the batch adds to the index besides its leaves.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// The batch was committed, and the index has its marks. Readers see as much as is published.
    pub fn committed(&mut self, size: TreeSize, published: TreeSize) {
        self.ends.get_mut().settle();
        if std::mem::take(&mut self.changed) {
            self.views.push(size, Arc::new(self.registry.clone()), published);
        }
    }
}

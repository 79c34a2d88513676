//! Ends a round: what waited is settled, alarms are raised, and those whose cause is gone are cleared.

use std::sync::Arc;

use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::tile::TilePath;

use super::{Follower, RECHECKS_MAX, Shown};
use crate::case::CaseError;
use crate::rebuild::Damage;
use crate::report::{BEHIND, DAMAGE, HEADS, LOST, LOST_WATCHES, STALE, UNREACHABLE};
use crate::tiles::Tiles;
use crate::verdict::{State, backlog, is_silent, silence, staleness};

impl Follower {
    /// Ends a round: settles what waits, raises and clears alarms.
    pub(super) fn finish(&mut self, shown: &Shown) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        case.settle_pending()?;
        case.clear_forks()?;
        if case.store.has_room(case.origin())? {
            case.clear(HEADS, &[])?;
        }
        for damage in &self.damages {
            case.alarm(DAMAGE, &damage.subject(), &damage.to_string())?;
        }
        // Before anything is read again, which may take long.
        case.refresh_damage()?;
        if shown.largest.is_some() {
            let unread = self.unread.clone();
            if unread.is_none() {
                case.note_read()?;
                let mut still: Vec<String> = self.damages.iter().map(Damage::subject).collect();
                still.extend(self.recheck()?);
                case.clear(DAMAGE, &still)?;
                case.refresh_damage()?;
            }
            case.learn(|facts| facts.unread = unread);
        }
        self.note_state()
    }

    /// States that nobody signed: told as alarms while they last, each by itself, whatever else is wrong.
    fn note_state(&self) -> Result<(), CaseError> {
        let case = &self.case;
        let (facts, patience, now) = (case.facts(), case.patience(), case.now());
        match staleness(&facts, &patience, now).filter(|_| facts.rolled_back.is_none()) {
            Some(reason) => case.alarm(STALE, "checkpoint", &reason)?,
            // What was not heard, or not verified, can still be stale.
            None if facts.silence.is_none() && facts.signed <= facts.verified => case.clear(STALE, &[])?,
            None => (),
        }
        if is_silent(&facts, &patience, now) {
            case.alarm(UNREACHABLE, "log", &silence(&facts, &patience, now).unwrap_or_default())?;
        } else if facts.silence.is_none() && facts.unread.is_none() {
            case.clear(UNREACHABLE, &[])?;
        }
        if case.verdict().state == State::Verified && case.recalled()?.is_none() {
            // Verification does not bring watches back.
            case.clear(LOST, &[LOST_WATCHES.to_owned()])?;
        }
        self.note_backlog()
    }

    /// A backlog that does not end: told as an alarm, also while it is worked on.
    pub(super) fn note_backlog(&self) -> Result<(), CaseError> {
        let case = &self.case;
        let (facts, now) = (case.facts(), case.now());
        let Some(left) = backlog(&facts) else {
            case.learn(|facts| facts.behind_since = None);
            return case.clear(BEHIND, &[]);
        };
        let since = facts.behind_since.unwrap_or(now);
        case.learn(|facts| facts.behind_since = Some(since));
        let longest = u64::try_from(case.followed.behind_after.as_millis()).unwrap_or(u64::MAX);
        let spent = now.saturating_sub(since);
        // Of a log that was never heard there is nothing to catch up with.
        if spent <= longest || facts.signed == 0 {
            return Ok(());
        }
        case.alarm(BEHIND, "log", &format!("{left}; it has not been caught up with for {} s", spent / 1000))
    }

    /// Looks again at objects that were damaged and lie under the verified head; those that still are.
    fn recheck(&self) -> Result<Vec<String>, CaseError> {
        let case = &self.case;
        let Some(verified) = case.verified() else { return Ok(Vec::new()) };
        let mut still = Vec::new();
        let open = case.store.alarms(case.origin())?;
        let open = open.iter().filter(|alarm| alarm.cleared_at.is_none() && alarm.kind == DAMAGE);
        for (alarm, at) in open.zip(0..) {
            let Ok(path) = alarm.subject.parse::<TilePath>() else { continue };
            if path.index() * 256 + u64::from(path.width()) > verified.head().size.get() {
                continue;
            }
            if at >= RECHECKS_MAX || !self.is_right(path) {
                still.push(alarm.subject.clone());
            }
        }
        Ok(still)
    }

    /// Whether the first source serves an object as the verified tree has it.
    fn is_right(&self, path: TilePath) -> bool {
        let tile = match path {
            TilePath::Hashes(tile) => tile,
            TilePath::Entries(bundle) => bundle.tile(),
        };
        let own = self.case.own_tiles();
        let Ok(mut expected) = own.tiles(&[tile]) else { return false };
        let read = self.case.sources.first().map(|source| source.read(&[path]));
        let (Some(Some(expected)), Some(Ok(mut read))) = (expected.pop(), read) else { return false };
        let Some(Some(bytes)) = read.pop() else { return false };
        match path {
            TilePath::Hashes(_) => bytes == expected,
            TilePath::Entries(bundle) => {
                let entries = bundle::entries(&bytes, bundle.width());
                entries.is_ok_and(|entries| {
                    let leaves = entries.iter().map(|entry| leaf_hash(entry));
                    leaves.eq(expected.as_chunks::<32>().0.iter().map(|one| Hash::from_bytes(*one)))
                })
            }
        }
    }
}

//! Ends a round: what waited is settled, alarms are raised, and those whose cause is gone are cleared.

use std::sync::Arc;

use super::{Follower, Shown};
use crate::case::CaseError;
use crate::report::{BEHIND, HEADS, LOST, LOST_WATCHES, MEMORY, STALE, UNREACHABLE};
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
        self.tell_damage()?;
        // Before anything is read again, which may take long.
        case.refresh_damage()?;
        if shown.largest.is_some() {
            let unread = self.unread.clone();
            if unread.is_none() {
                case.note_read()?;
                self.recheck()?;
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
            // Verification brings neither watches back nor what was shown.
            case.clear(LOST, &[LOST_WATCHES, MEMORY].map(str::to_owned))?;
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
}

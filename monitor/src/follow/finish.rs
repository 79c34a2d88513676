//! Ends a round: what waited is settled, alarms are raised, and those whose cause is gone are cleared.

use std::sync::Arc;

use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::tile::TilePath;

use super::{Follower, RECHECKS_MAX, Shown};
use crate::case::CaseError;
use crate::rebuild::Damage;
use crate::report::{DAMAGE, FORK, LOST, LOST_WATCHES, STALE, UNREACHABLE};
use crate::tiles::Tiles;
use crate::verdict::State;

impl Follower {
    /// Ends a round: settles what waits, raises and clears alarms.
    pub(super) fn finish(&mut self, shown: &Shown) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        if case.settle_pending()? && shown.largest.is_some() {
            case.clear(FORK, &[])?;
        }
        for damage in &self.damages {
            case.alarm(DAMAGE, &damage.subject(), &damage.to_string())?;
        }
        if self.unread.is_some() || shown.largest.is_none() {
            let unread = self.unread.clone();
            case.learn(|facts| facts.silence = unread.or(facts.silence.take()));
        } else {
            let mut still: Vec<String> = self.damages.iter().map(Damage::subject).collect();
            still.extend(self.recheck()?);
            case.clear(DAMAGE, &still)?;
        }
        case.refresh_damage()?;
        self.note_state()
    }

    /// States that nobody signed: told as alarms while they last.
    fn note_state(&self) -> Result<(), CaseError> {
        let case = &self.case;
        let verdict = case.verdict();
        if verdict.state == State::Stale && case.facts().rolled_back.is_none() {
            case.alarm(STALE, "checkpoint", &verdict.reason)?;
        } else if verdict.state != State::Unreachable {
            case.clear(STALE, &[])?;
        }
        if case.is_silent() {
            case.alarm(UNREACHABLE, "log", &verdict.reason)?;
        } else if case.facts().silence.is_none() {
            case.clear(UNREACHABLE, &[])?;
        }
        if verdict.state == State::Verified {
            // Verification does not bring watches back.
            case.clear(LOST, &[LOST_WATCHES.to_owned()])?;
        }
        Ok(())
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

//! Objects that are missing or wrong: told one by one up to a number, all of them remembered, and looked at again until
//! they are right.

use std::collections::BTreeSet;

use tlog::hash::HASH_BYTES;
use tlog::ids::TreeHead;
use tlog::tile::{TilePath, tile_at};

use super::Follower;
use crate::case::CaseError;
use crate::rebuild::Damage;
use crate::report::DAMAGE;
use crate::reread::holds;
use crate::tiles::prove_tiles;

/// Damaged objects that have an alarm of their own; beyond, there is one for all.
const ALARMS_MAX: usize = 1000;
/// What the alarm for all others is about.
const REST: &str = "more objects";
/// Damaged objects that are looked at again in one round.
const RECHECKS_MAX: usize = 64;
/// Damaged objects that are considered for it.
const CONSIDERED_MAX: u32 = 1000;

impl Follower {
    /// Raises alarms about what this round found.
    pub(super) fn tell_damage(&self) -> Result<(), CaseError> {
        if self.damages.is_empty() {
            return Ok(());
        }
        let case = &self.case;
        let mut known = case.store.open_subjects(case.origin(), DAMAGE)?;
        let mut count = known.values().filter(|told| **told).count();
        let (mut told, mut rest) = (Vec::new(), Vec::new());
        for damage in &self.damages {
            let about = (damage.subject(), damage.to_string());
            if known.contains_key(&about.0) {
                told.push(about);
            } else if count < ALARMS_MAX {
                known.insert(about.0.clone(), true);
                count += 1;
                told.push(about);
            } else {
                rest.push(about);
            }
        }
        case.alarm_all(DAMAGE, &told)?;
        if !rest.is_empty() {
            case.remember_all(DAMAGE, &rest)?;
        }
        self.tell_rest()
    }

    /// The alarm for all that have none of their own.
    fn tell_rest(&self) -> Result<(), CaseError> {
        let case = &self.case;
        match case.store.count_untold(case.origin(), DAMAGE)? {
            0 => case.clear_about(DAMAGE, &[REST.to_owned()]),
            count => {
                let detail = format!(
                    "{count} more objects are missing, or are not what the signed tree holds; each is looked at again, \
                     and this alarm ends with the last of them"
                );
                case.alarm(DAMAGE, REST, &detail)
            }
        }
    }

    /// Ends the alarms about objects that are right again. Those under the verified head are looked at, a number at a
    /// time; those beyond it this round would have found.
    pub(super) fn recheck(&self) -> Result<(), CaseError> {
        let case = &self.case;
        let found: BTreeSet<String> = self.damages.iter().map(Damage::subject).collect();
        let verified = case.verified().map(|verified| verified.head());
        let (mut right, mut wrong, mut looks) = (Vec::new(), Vec::new(), 0);
        for subject in case.store.least_seen(case.origin(), DAMAGE, CONSIDERED_MAX)? {
            if subject == REST || found.contains(&subject) {
                continue;
            }
            let path =
                subject.parse::<TilePath>().ok().zip(verified).filter(|(path, head)| is_under(*path, *head));
            let Some((path, head)) = path else {
                right.push(subject);
                continue;
            };
            if looks == RECHECKS_MAX {
                continue;
            }
            looks += 1;
            let fate = if self.is_right(path, head) { &mut right } else { &mut wrong };
            fate.push(subject);
        }
        case.clear_about(DAMAGE, &right)?;
        case.store.seen_again(case.origin(), DAMAGE, &wrong, case.now())?;
        self.tell_rest()
    }

    /// Whether the first source serves an object as the verified tree has it.
    fn is_right(&self, path: TilePath, head: TreeHead) -> bool {
        let tile = tile_of(path);
        let Some(whole) = tile_at(tile.level(), tile.index(), head.size) else { return false };
        let own = self.case.own_tiles();
        let tiles = prove_tiles(&own, head, [whole]).inspect_err(|error| own.note_damage(error));
        let Ok(tiles) = tiles else { return false };
        let expected = tiles.hashes(whole).and_then(|hashes| hashes.get(..usize::from(tile.width())));
        let read = self.case.sources.first().map(|source| source.read(&[path]));
        let (Some(expected), Some(Ok(mut read))) = (expected, read) else { return false };
        let Some(Some(bytes)) = read.pop() else { return false };
        match path {
            TilePath::Hashes(_) => {
                bytes.len() == expected.len() * HASH_BYTES
                    && bytes.chunks(HASH_BYTES).zip(expected).all(|(one, hash)| one == hash.as_bytes())
            }
            TilePath::Entries(bundle) => holds(&bytes, bundle, expected),
        }
    }
}

fn tile_of(path: TilePath) -> tlog::tile::Tile {
    match path {
        TilePath::Hashes(tile) => tile,
        TilePath::Entries(bundle) => bundle.tile(),
    }
}

/// Whether the tree of this head has the object, or one of which it is the beginning.
fn is_under(path: TilePath, head: TreeHead) -> bool {
    let tile = tile_of(path);
    tile_at(tile.level(), tile.index(), head.size).is_some_and(|whole| whole.width() >= tile.width())
}

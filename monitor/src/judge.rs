//! What a signed head says beside all that is known: the log's own, a witness's, another monitor's, a reader's.
//!
//! A head that our own hashes show to be a beginning of the verified tree is settled at once: the log cannot prevent that,
//! and it takes no room. Every other is kept before it is judged further, and is not dropped before it is settled: a larger
//! one waits until the follower has verified that much; one that does not fit waits for what proves it. There is room for so many, and what finds none is said.

mod forks;

use std::cell::Cell;
use std::sync::atomic::Ordering;

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::Hash;
use tlog::ids::TreeHead;
use tlog::note::Note;
use tlog::tile::Tile;

use crate::accuse::View;
use crate::case::{Case, CaseError};
use crate::heads::{Verdict, compare};
use crate::report::HEADS;
use crate::source::{Source, SourceError};
use crate::store::{NewHead, Standing};
use crate::tiles::{Tiles, Unproved, head_at};

/// Heads that do not fit whose proof is looked for again in one round; it may take the log's tiles.
const PROOFS_MAX: usize = 8;

/// What our own hashes say of a head.
enum Own {
    /// A beginning of the verified tree, or that tree.
    Beginning(Seen),
    /// Not a beginning of it.
    Differs(VerifiedCheckpoint),
    /// They cannot say, or not yet.
    Unknown(String),
}

/// What became of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The newest verified head.
    Same,
    /// Proved to be a beginning of the verified tree.
    Older,
    /// Kept until it is settled.
    Kept(String),
    /// Contradicts another signed head; the evidence files.
    Contradiction(Vec<String>),
}

/// Several sources, one after the other, as one place to read tiles.
#[derive(Clone, Copy, Debug)]
pub struct AnyOf<'a>(pub &'a [Source]);

impl Tiles for AnyOf<'_> {
    fn tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<bytes::Bytes>>, SourceError> {
        let mut last = Ok(vec![None; tiles.len()]);
        for source in self.0 {
            last = source.tiles(tiles);
            if last.as_ref().is_ok_and(|found| found.iter().all(Option::is_some)) {
                return last;
            }
        }
        last
    }
}

/// The hashes of the verified tree: our own, and from the log what lies before the pinned checkpoint.
#[derive(Debug)]
pub struct OwnTiles<'a> {
    case: &'a Case,
    asked_others: Cell<bool>,
}

impl Tiles for OwnTiles<'_> {
    fn tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<bytes::Bytes>>, SourceError> {
        let start = u128::from(self.case.start().get());
        let before = |tile: &Tile| {
            let end = u128::from(tile.index() * 256 + u64::from(tile.width()));
            end << (8 * u32::from(tile.level())) <= start
        };
        let mut found = self.case.archive.tiles(tiles)?;
        let others: Vec<Tile> = tiles.iter().copied().filter(before).collect();
        if others.is_empty() {
            return Ok(found);
        }
        self.asked_others.set(true);
        let mut read = AnyOf(&self.case.sources).tiles(&others)?.into_iter();
        for (tile, bytes) in tiles.iter().zip(&mut found) {
            if before(tile) {
                *bytes = read.next().flatten();
            }
        }
        Ok(found)
    }
}

impl OwnTiles<'_> {
    /// Hashes that do not belong to the tree that we verified are damaged, if they are all our own.
    pub(crate) fn note_damage(&self, error: &Unproved) {
        if !matches!(error, Unproved::Read(_)) && !self.asked_others.get() {
            tracing::error!(origin = self.case.origin(), %error, "our own hashes are damaged");
            self.case.mark_damaged();
        }
    }
}

/// The note with the signatures that an earlier one had and this one lacks: whoever shows a head again cannot take a
/// witness's word away from it.
fn joined(note: &Note, known: &[u8]) -> Vec<u8> {
    let Ok(known) = Note::parse(known) else { return note.to_bytes() };
    if known.text() != note.text() {
        let fewer = note.signatures().len() < known.signatures().len();
        return if fewer { known.to_bytes() } else { note.to_bytes() };
    }
    let mut lines = note.signatures().to_vec();
    for line in known.signatures() {
        let again = lines.iter().any(|new| new.name() == line.name() && new.id() == line.id());
        if !again {
            lines.push(line.clone());
        }
    }
    note.with_signatures(lines).map_or_else(|_| known.to_bytes(), |note| note.to_bytes())
}

impl Case {
    /// The hashes of the verified tree.
    pub(crate) fn own_tiles(&self) -> OwnTiles<'_> {
        OwnTiles { case: self, asked_others: Cell::new(false) }
    }

    /// Takes a note that somebody shows: parsed, signed by the log, kept, judged.
    ///
    /// # Errors
    /// Why the note is no signed head of this log, in words; or that the monitor cannot go on.
    pub fn show(&self, bytes: &[u8], from: &str) -> Result<Result<Seen, String>, CaseError> {
        let note = match Note::parse(bytes) {
            Ok(note) => note,
            Err(error) => return Ok(Err(format!("not a signed note: {error}"))),
        };
        match self.followed.trust.signed(&note) {
            Ok(checkpoint) => self.see(&checkpoint, from).map(Ok),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Keeps and judges a signed head.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn see(&self, checkpoint: &VerifiedCheckpoint, from: &str) -> Result<Seen, CaseError> {
        let (origin, head) = (self.origin(), checkpoint.head());
        let own = self.beside_own(checkpoint);
        let note = match self.store.head_note(origin, head)? {
            Some(known) => joined(checkpoint.note(), &known),
            None => checkpoint.note().to_bytes(),
        };
        let settled = matches!(own, Own::Beginning(_));
        let new = NewHead { origin, head, note: &note, source: from };
        let kept = self.store.keep_head(&new, settled, self.now())?;
        let files = self.against_others(checkpoint, settled)?;
        if !files.is_empty() {
            return Ok(Seen::Contradiction(files));
        }
        match own {
            Own::Beginning(seen) => {
                self.store.settle(origin, head, Standing::Consistent)?;
                Ok(seen)
            }
            Own::Differs(verified) => self.forked(&verified, checkpoint),
            Own::Unknown(why) if kept => Ok(Seen::Kept(why)),
            Own::Unknown(_) => {
                let detail = format!(
                    "more heads wait to be verified than can be kept; the one of {} entries was not",
                    head.size
                );
                self.alarm(HEADS, "too many", &detail)?;
                self.refresh_damage()?;
                Ok(Seen::Kept(
                    "too many heads wait; this one was held against those of its size alone".to_owned(),
                ))
            }
        }
    }

    /// A head that was kept. It was signed when it came, and is verified again: the policy may have changed.
    pub(crate) fn kept(&self, head: TreeHead) -> Result<Option<VerifiedCheckpoint>, CaseError> {
        let note = self.store.head_note(self.origin(), head)?;
        Ok(note.and_then(|note| self.own_note(&note)).filter(|kept| kept.head() == head))
    }

    /// Holds a head against those of its size with another root; the evidence files.
    fn against_others(
        &self,
        checkpoint: &VerifiedCheckpoint,
        settled: bool,
    ) -> Result<Vec<String>, CaseError> {
        let head = checkpoint.head();
        let mut files = Vec::new();
        for (other, standing) in self.store.other_heads(self.origin(), head)? {
            let Some(kept) = self.kept(other)? else { continue };
            let found = self.accuse_roots(checkpoint, &kept)?;
            let waits = [(head, !settled), (other, standing == Standing::Pending)];
            if found.is_empty() {
                // Signed by one key of the log each: no key has contradicted itself, and both wait.
                for (one, _) in waits.iter().filter(|(_, waits)| *waits) {
                    self.two_roots_unproved(*one)?;
                }
            } else {
                for (one, _) in waits {
                    self.store.settle(self.origin(), one, Standing::Contradicts)?;
                }
            }
            files.extend(found);
        }
        Ok(files)
    }

    /// What our own hashes say of a head.
    fn beside_own(&self, checkpoint: &VerifiedCheckpoint) -> Own {
        let Some(verified) = self.verified() else {
            return Own::Unknown("nothing of this log is verified yet".to_owned());
        };
        let (head, known) = (checkpoint.head(), verified.head());
        if head.size > known.size {
            return Own::Unknown(format!("larger than what is verified, {} entries", known.size));
        }
        let (own, proof) = match self.tree_at(&verified, head) {
            Ok(found) => found,
            Err(why) => return Own::Unknown(why),
        };
        if own.root != head.root {
            return Own::Differs(verified);
        }
        let proof = (head.size < known.size).then_some(proof);
        match compare(&verified, checkpoint, proof.as_deref()) {
            Verdict::Same => Own::Beginning(Seen::Same),
            Verdict::Older => Own::Beginning(Seen::Older),
            other => Own::Unknown(format!("cannot be settled: {other:?}")),
        }
    }

    /// The verified tree at the size of `head`, with the proof between them: from our own hashes, else from the log.
    fn tree_at(
        &self,
        verified: &VerifiedCheckpoint,
        head: TreeHead,
    ) -> Result<(TreeHead, Vec<Hash>), String> {
        let known = verified.head();
        if head.size == known.size {
            return Ok((known, Vec::new()));
        }
        let own = self.own_tiles();
        head_at(&own, known, head.size).map_err(|error| {
            own.note_damage(&error);
            error.to_string()
        })
    }

    /// The log signed a tree that is no beginning of the verified one. Evidence, if its hashes can be had.
    fn forked(&self, verified: &VerifiedCheckpoint, other: &VerifiedCheckpoint) -> Result<Seen, CaseError> {
        let ours = View { checkpoint: verified, tiles: &self.own_tiles() };
        let files = if verified.head().size == other.head().size {
            self.accuse_roots(verified, other)?
        } else {
            let theirs = AnyOf(&self.sources);
            self.accuse_fork(&ours, &View { checkpoint: other, tiles: &theirs })?
        };
        if files.is_empty() {
            if verified.head().size == other.head().size {
                self.two_roots_unproved(other.head())?;
            } else {
                self.unproved_fork(other.head())?;
            }
            let why = "not a beginning of the verified tree; what would prove it to others cannot be had";
            return Ok(Seen::Kept(why.to_owned()));
        }
        self.store.settle(self.origin(), other.head(), Standing::Contradicts)?;
        Ok(Seen::Contradiction(files))
    }

    /// Settles every kept head up to the verified one that can be settled.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn settle_pending(&self) -> Result<(), CaseError> {
        let Some(size) = self.verified().map(|verified| verified.head().size) else { return Ok(()) };
        let mut differ = Vec::new();
        for waiting in self.store.pending(self.origin())? {
            if waiting.head.size > size {
                break;
            }
            let Some(checkpoint) = self.kept(waiting.head)? else {
                // The policy has changed since: nobody whom we trust signed it any more.
                self.store.settle(self.origin(), waiting.head, Standing::Consistent)?;
                continue;
            };
            match self.beside_own(&checkpoint) {
                Own::Beginning(_) => self.store.settle(self.origin(), waiting.head, Standing::Consistent)?,
                Own::Differs(_) => differ.push(waiting.head),
                Own::Unknown(_) => (),
            }
        }
        // Proofs may need the log's tiles, so there are a few a round, and everyone's turn comes.
        let first = self.turn.fetch_add(PROOFS_MAX, Ordering::Relaxed);
        for at in 0..differ.len().min(PROOFS_MAX) {
            let head = differ[first.wrapping_add(at) % differ.len()];
            if let Some(checkpoint) = self.kept(head)?
                && let Own::Differs(verified) = self.beside_own(&checkpoint)
            {
                self.forked(&verified, &checkpoint)?;
            }
        }
        Ok(())
    }
}

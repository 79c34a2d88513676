//! What a signed head says beside all that is known: the log's own, a witness's, another monitor's, a reader's.
//!
//! A head is kept before it is judged, and none is dropped before it is settled: proved to be a beginning of the
//! verified tree, or to contradict it. A smaller one is judged with our own hashes, so the log cannot prevent that; a
//! larger one waits until the follower has verified that much.

use std::cell::Cell;

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::Hash;
use tlog::ids::TreeHead;
use tlog::note::Note;
use tlog::tile::Tile;

use crate::accuse::View;
use crate::case::{Case, CaseError};
use crate::heads::{Verdict, compare};
use crate::report::{FORK, HEADS};
use crate::source::{Source, SourceError};
use crate::store::Standing;
use crate::tiles::{Tiles, Unproved, head_at};

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
        let head = checkpoint.head();
        let note = match self.store.head_note(self.origin(), head)? {
            Some(known) => joined(checkpoint.note(), &known),
            None => checkpoint.note().to_bytes(),
        };
        let (kept, others) = self.store.keep_head(self.origin(), head, &note, from, self.now())?;
        let mut files = Vec::new();
        for other in others {
            // What is kept was signed when it came; it is verified again before anybody is accused with it.
            let Ok(other) = Note::parse(&other.note) else { continue };
            let Ok(other) = self.followed.trust.signed(&other) else { continue };
            files.extend(self.contradiction(checkpoint, &other)?);
        }
        if !files.is_empty() {
            return Ok(Seen::Contradiction(files));
        }
        if !kept {
            let detail = format!(
                "more heads wait to be verified than can be kept; the one of {} entries was not",
                head.size
            );
            self.alarm(HEADS, "too many", &detail)?;
            return Ok(Seen::Kept("too many heads wait; this one was judged by its size alone".to_owned()));
        }
        self.against_verified(checkpoint)
    }

    fn contradiction(
        &self,
        one: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Result<Vec<String>, CaseError> {
        let files = self.accuse_roots(one, other)?;
        for head in [one.head(), other.head()] {
            self.store.settle(self.origin(), head, Standing::Contradicts)?;
        }
        Ok(files)
    }

    /// Judges a head beside the verified one.
    fn against_verified(&self, checkpoint: &VerifiedCheckpoint) -> Result<Seen, CaseError> {
        let Some(verified) = self.verified() else {
            return Ok(Seen::Kept("nothing of this log is verified yet".to_owned()));
        };
        let (head, known) = (checkpoint.head(), verified.head());
        if head.size > known.size {
            return Ok(Seen::Kept(format!("larger than what is verified, {} entries", known.size)));
        }
        let (own, proof) = match self.tree_at(&verified, head) {
            Ok(found) => found,
            Err(why) => return Ok(Seen::Kept(why)),
        };
        if own.root != head.root {
            let files = self.forked(&verified, checkpoint)?;
            return Ok(if files.is_empty() {
                Seen::Kept(
                    "not a beginning of the verified tree; the tiles that would prove it are not served"
                        .to_owned(),
                )
            } else {
                Seen::Contradiction(files)
            });
        }
        let proof = (head.size < known.size).then_some(proof);
        match compare(&verified, checkpoint, proof.as_deref()) {
            Verdict::Same => {
                self.store.settle(self.origin(), head, Standing::Consistent)?;
                Ok(Seen::Same)
            }
            Verdict::Older => {
                self.store.settle(self.origin(), head, Standing::Consistent)?;
                Ok(Seen::Older)
            }
            other => Ok(Seen::Kept(format!("cannot be settled: {other:?}"))),
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
    fn forked(
        &self,
        verified: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Result<Vec<String>, CaseError> {
        let ours = View { checkpoint: verified, tiles: &self.own_tiles() };
        let files = if verified.head().size == other.head().size {
            self.accuse_roots(verified, other)?
        } else {
            let theirs = AnyOf(&self.sources);
            self.accuse_fork(&ours, &View { checkpoint: other, tiles: &theirs })?
        };
        if files.is_empty() {
            self.unproved_fork(other.head())?;
        } else {
            self.store.settle(self.origin(), other.head(), Standing::Contradicts)?;
        }
        Ok(files)
    }

    /// A head that does not fit, and hashes that would prove it which nobody serves: an alarm, and the head is kept.
    pub(crate) fn unproved_fork(&self, head: TreeHead) -> Result<(), CaseError> {
        let detail = format!(
            "the log has signed a tree of {} entries with the root {} that is not the beginning of its verified tree, \
             and does not serve the tiles that would prove it; the signed head is kept",
            head.size,
            head.root.to_base64()
        );
        self.learn(|facts| facts.damage = Some(detail.clone()));
        self.alarm(FORK, &head.size.to_string(), &detail)
    }

    /// Settles every kept head up to the verified one. `false` if some could not be.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn settle_pending(&self) -> Result<bool, CaseError> {
        let Some(verified) = self.verified() else { return Ok(true) };
        let mut all = true;
        for row in self.store.pending(self.origin())? {
            if row.head.size > verified.head().size {
                break;
            }
            let signed = Note::parse(&row.note).ok().and_then(|note| self.followed.trust.signed(&note).ok());
            match signed {
                Some(checkpoint) => {
                    all &= !matches!(self.against_verified(&checkpoint)?, Seen::Kept(_));
                }
                // The policy has changed since: nobody whom we trust signed it any more.
                None => self.store.settle(self.origin(), row.head, Standing::Consistent)?,
            }
        }
        Ok(all)
    }
}

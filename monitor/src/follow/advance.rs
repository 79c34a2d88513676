//! Rebuilds the tree towards a target, writes hashes down, and remembers what was verified.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::{TreeHead, TreeSize};

use super::{COMMIT_PAUSE, Follower};
use crate::case::{CaseError, Pace};
use crate::edge::{Broken, Completed, Edge};
use crate::feed::{Batch, FEED_BYTES_MAX};
use crate::rebuild::{Damage, Failure, Hashed, Span, Wanted, read_span, span_from};
use crate::store::{LogRow, Standing};

impl Follower {
    /// Rebuilds the tree up to the target. `true` if it has the signed root. `tied`: the target was held against what is
    /// verified; if every bundle is of its tree as well and the sum is not, what we began with is damaged.
    pub(super) fn advance(&mut self, target: &VerifiedCheckpoint, tied: bool) -> Result<bool, CaseError> {
        let head = target.head();
        let Some(begun) = self.edge.clone() else { return Ok(false) };
        let (started, mut edge) = (self.case.clock.monotonic(), begun.clone());
        if edge.size() > head.size {
            // Rebuilt under a larger head that is not shown any more; this one is judged by our own hashes then.
            return Ok(false);
        }
        let case = Arc::clone(&self.case);
        let mut authentic = tied;
        while edge.size() < head.size {
            if self.shutdown.is_asked() || case.is_misbehaving() {
                self.commit(&edge, true)?;
                return Ok(false);
            }
            let wanted = Wanted {
                sources: &case.sources,
                head,
                compare_tiles: case.followed.compare_tiles,
                keep_bytes: if case.feed.is_wanted() { FEED_BYTES_MAX } else { 0 },
            };
            let span = read_span(&wanted, span_from(edge.next_bundle(), head.size));
            let (verified, complete) = (span.verified, span.stopped.is_none());
            authentic &= verified;
            if let Err(broken) = self.take(span, &mut edge)? {
                self.does_not_add_up(Damage::Changed(broken.0), authentic);
                return Ok(false);
            }
            if verified {
                // Every bundle of it was held against the signed tree.
                self.edge = Some(edge.clone());
                case.learn(|facts| facts.reached = edge.size().get());
                if complete {
                    case.note_read()?;
                }
                self.commit(&edge, false)?;
            }
            self.set_pace(started, begun.size(), edge.size(), head.size);
            if !complete {
                return Ok(false);
            }
        }
        if edge.head() == head {
            self.edge = Some(edge);
            return Ok(true);
        }
        self.does_not_add_up(Damage::Root(head.size), authentic);
        self.edge = Some(begun);
        Ok(false)
    }

    /// The entries do not continue what we had. If they are those of the signed tree, and that tree begins with the
    /// verified one, the log has done nothing wrong: what we had is not what we verified.
    fn does_not_add_up(&mut self, damage: Damage, authentic: bool) {
        if authentic {
            tracing::error!(origin = self.case.origin(), %damage, "our own tree is damaged");
            self.case.mark_damaged();
        } else {
            self.damages.push(damage);
        }
    }

    /// Appends what was read, and writes its hashes down. Broken, if it does not continue the edge.
    fn take(&mut self, span: Span, edge: &mut Edge) -> Result<Result<(), Broken>, CaseError> {
        let case = Arc::clone(&self.case);
        let failed =
            |error| CaseError::Io(case.folder.hashes(&case.followed.origin).display().to_string(), error);
        let first = span.bundles.first().map_or(0, |hashed| hashed.bundle.index() * 256);
        let (mut leaves, mut completed): (Vec<_>, Vec<Completed>) = (Vec::new(), Vec::new());
        let mut continued = Ok(());
        for Hashed { bundle, leaves: these, bytes } in span.bundles {
            if let Err(error) = edge.append(&these, |one| completed.push(one)) {
                continued = Err(error);
                break;
            }
            leaves.extend_from_slice(&these);
            if span.verified && case.feed.is_wanted() {
                let end = bundle.index() * 256 + these.len() as u64;
                match bytes {
                    Some(bytes) => case.feed.put(Batch::new(bundle.index(), bytes, these)),
                    None => case.feed.advance(end),
                }
            }
        }
        case.archive.write(0, first, &leaves).map_err(failed)?;
        let mut run = completed.as_slice();
        while let Some(one) = run.first() {
            // Neighbours of one level are written together.
            let alike = |at: &usize| run[*at].level == one.level && run[*at].index == one.index + *at as u64;
            let count = (1..run.len()).take_while(alike).count() + 1;
            let hashes: Vec<_> = run[..count].iter().map(|one| one.hash).collect();
            case.archive.write(one.level, one.index, &hashes).map_err(failed)?;
            run = &run[count..];
        }
        self.damages.extend(span.findings);
        match span.stopped {
            Some(Failure::Damage(damage)) => self.damages.push(damage),
            Some(Failure::Read(error)) => self.unread = Some(error.to_string()),
            None => (),
        }
        Ok(continued)
    }

    fn set_pace(&self, started: Duration, begun: TreeSize, reached: TreeSize, target: TreeSize) {
        let spent = self.case.clock.monotonic().saturating_sub(started);
        let pace = Pace::of(reached.get() - begun.get(), target.get() - reached.get(), spent);
        self.case.set_pace(pace);
    }

    /// Makes progress durable, if it is time.
    pub(super) fn commit(&mut self, edge: &Edge, now: bool) -> Result<(), CaseError> {
        let time = self.case.clock.monotonic();
        if !now && time.saturating_sub(self.committed_at) < COMMIT_PAUSE {
            return Ok(());
        }
        self.committed_at = time;
        self.note_backlog()?;
        let verified = self.case.verified().map(|known| (known.head(), known.note().to_bytes()));
        self.write_row(edge, verified)
    }

    fn write_row(&self, edge: &Edge, verified: Option<(TreeHead, Vec<u8>)>) -> Result<(), CaseError> {
        let case = &self.case;
        let path = case.folder.hashes(&case.followed.origin);
        case.archive.sync().map_err(CaseError::io(&path))?;
        let grown_at = case.facts().grown_at;
        let row =
            LogRow { verified, reached: edge.size(), peaks: edge.peaks(), start: case.start(), grown_at };
        Ok(case.store.set_log(case.origin(), &row)?)
    }

    /// Step 5. The hashes are durable first, then the database, then the copy of the head beside it.
    pub(super) fn remember(&mut self, target: VerifiedCheckpoint) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        let (head, note) = (target.head(), target.note().to_bytes());
        let Some(edge) = self.edge.clone() else { return Ok(()) };
        if case.is_misbehaving() {
            // Found meanwhile, by somebody who showed a head or a receipt: nothing moves any more.
            return Ok(());
        }
        let now = case.now();
        case.learn(|facts| facts.grown_at = Some(now));
        self.write_row(&edge, Some((head, note.clone())))?;
        case.store.settle(case.origin(), head, Standing::Consistent)?;
        if case.recalled()?.is_none_or(|recalled| recalled <= head.size) {
            // A larger head that was verified before stays there until everything has led to it.
            let path = case.folder.verified(&case.followed.origin);
            case.folder
                .write(&PathBuf::from("logs").join(&case.hash).join("verified"), &note)
                .map_err(CaseError::io(&path))?;
        }
        case.set_verified(target);
        case.set_pace(Pace::default());
        case.feed.advance(head.size.get());
        tracing::info!(origin = case.origin(), size = head.size.get(), "verified");
        case.settle_receipts()?;
        Ok(case.store.thin_heads(case.origin())?)
    }
}

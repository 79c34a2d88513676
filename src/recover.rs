//! From durable state to a log that may sign again, or to a refusal that says what to do.
//!
//! In order: replay the journal from the flushed watermark, through the sequencer's own [`Applier`]; compare the
//! result with everything that remembers a head (published checkpoint, ledger, anchor). Nothing is signed here that the
//! journal does not hold. The index comes after, in [`crate::reindex`].
//!
//! A head that somebody remembers and the log does not have means that the log has forgotten entries it promised,
//! mostly because an old copy was put back. It never signs then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::bundle;
use tlog::checkpoint::{CheckpointError, VerifiedCheckpoint};
use tlog::hash::{HASH_BYTES, leaf_hash};
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::Note;
use tlog::tile::TilePath;
use tlog::verify_tiles::{TilesError, consistency_nodes, plan_tiles};

use crate::applied::{Applied, Mark};
use crate::audit::{AuditError, Auditor};
use crate::integrate::{Edge, EdgeError};
use crate::sequencer::{Applier, ApplyError};
use crate::signer::LogSigner;
use crate::store::anchor::{Anchor, AnchorError};
use crate::store::disk::Disk;
use crate::store::journal::{Commit, Journal, JournalError};
use crate::store::ledger::{Ledger, LedgerError, MarkName};
use crate::store::tiles::TileStore;

/// Why the log refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal is damaged or unreadable.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ledger is damaged or unreadable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The anchor is damaged, in use, or another log's.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The stored tiles do not belong to the head.
    #[error(
        "the stored tree is damaged: {0}. Run `daybook fsck` on the directory, and restore what it names"
    )]
    Edge(#[from] EdgeError),
    /// A tile could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A commit in the journal does not lead to the head it states.
    #[error("journal record {seq} does not lead to the tree it states ({problem}); restore the journal")]
    Commit {
        /// The record.
        seq: u64,
        /// The tree size before it.
        first: TreeSize,
        /// What is wrong.
        problem: String,
    },
    /// The journal begins after the flushed tree ends.
    #[error(
        "the ledger says that {flushed} entries are flushed, and the journal begins at {first}: restore the ledger"
    )]
    Gap {
        /// The flushed size.
        flushed: TreeSize,
        /// Where the oldest record begins.
        first: TreeSize,
    },
    /// Somebody remembers a larger tree.
    #[error(
        "{witness} knows {size} entries, this directory holds {held}: it is an old copy, or has lost its newest \
         entries. Signing now would fork the log. Put back the newest copy of the directory, or fetch entries {held} \
         to {size} from a mirror"
    )]
    Forgotten {
        /// Who remembers.
        witness: String,
        /// What it remembers.
        size: TreeSize,
        /// What is here.
        held: TreeSize,
    },
    /// Somebody remembers another tree.
    #[error(
        "{witness} knows another tree of {size} entries than this directory holds; this is not the same log any more"
    )]
    Forked {
        /// Who remembers.
        witness: String,
        /// The size.
        size: TreeSize,
    },
    /// A tile needed for the comparison is missing or wrong.
    #[error(
        "the stored tree cannot be compared with what {witness} knows: {problem}. Run `daybook fsck` on the directory"
    )]
    Incomparable {
        /// Who remembers.
        witness: String,
        /// What is wrong.
        problem: String,
    },
    /// The published checkpoint is not one of ours.
    #[error(
        "the published checkpoint is not signed by this log's key ({0}); restore the keys or the directory"
    )]
    Checkpoint(String),
    /// A file cannot be read.
    #[error("{file}: {1}", file = .0.display())]
    Io(PathBuf, std::io::Error),
}

/// A log that may sign again.
#[derive(Debug)]
pub struct Recovered {
    /// The commit point, open.
    pub journal: Journal,
    /// The right edge, by the first path.
    pub edge: Edge,
    /// The right edge, by the second.
    pub auditor: Auditor,
    /// Has applied everything in the journal.
    pub applier: Applier,
    /// The anchor, if there is one.
    pub anchor: Option<Anchor>,
    /// The watermarks.
    pub applied: Arc<Applied>,
    /// The checkpoint that was published last, as far as is known, with its cosignatures.
    pub shown: Option<VerifiedCheckpoint>,
}

/// Where a log's state lies.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The log's directory.
    pub dir: &'a Path,
    /// Its anchor.
    pub anchor: Option<&'a Path>,
    /// The file operations.
    pub disk: &'a Arc<dyn Disk>,
    /// Its ledger.
    pub ledger: &'a Ledger,
    /// Its tree.
    pub tiles: &'a Arc<TileStore>,
    /// Its keys.
    pub signer: &'a LogSigner,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Recovers the tree, and compares it with everything that remembers one.
///
/// A last record that does not lead to the tree it states was never confirmed, so nothing was signed for it: the
/// sequencer reads every record back before it signs. If a second reading agrees and nobody remembers its head, it is
/// struck, and kept beside the journal.
///
/// # Errors
/// [`RecoverError`]: the log must not sign.
pub fn recover(sources: Sources<'_>) -> Result<Recovered, RecoverError> {
    let (seq, first, problem) = match attempt(&sources) {
        Err(RecoverError::Commit { seq, first, problem }) => (seq, first, problem),
        result => return result,
    };
    match attempt(&sources) {
        Err(RecoverError::Commit { seq: again, problem: the_same, .. })
            if again == seq && the_same == problem => {}
        result => return result,
    }
    let remembered = remembered(&sources)?;
    if let Some((witness, known)) = remembered.known.iter().find(|(_, known)| known.size > first) {
        let (witness, size) = (witness.clone(), known.size);
        return Err(RecoverError::Forgotten { witness, size, held: first });
    }
    // The anchor is opened again by the last attempt.
    drop(remembered);
    let Some(bytes) = Journal::strike_last(&sources.dir.join("journal"), sources.disk, seq)? else {
        return Err(RecoverError::Commit { seq, first, problem });
    };
    let kept = sources.dir.join(format!("journal.struck-{seq}"));
    tracing::error!(seq, problem, kept = %kept.display(), "the last record of the journal was never signed and is struck");
    if let Err(error) = std::fs::write(&kept, bytes) {
        tracing::warn!(%error, "the struck record could not be kept");
    }
    attempt(&sources)
}

fn attempt(sources: &Sources<'_>) -> Result<Recovered, RecoverError> {
    let flushed = sources.ledger.mark(MarkName::Flushed)?;
    let flushed = flushed.unwrap_or(Mark { head: TreeHead::EMPTY, seq: 0 });
    let mut replay = Replay::start(sources, flushed)?;
    let disk = Arc::clone(sources.disk);
    let journal = Journal::open(&sources.dir.join("journal"), disk, |seq, commit| replay.step(seq, &commit))?;
    let Replay { edge, auditor, applier, applied, .. } = replay;
    let held = journal.head();
    if edge.head() != held {
        let problem = format!("it ends at {} entries, the tree at {}", held.size, edge.head().size);
        return Err(RecoverError::Commit { seq: journal.seq(), first: held.size, problem });
    }
    let Remembered { known, anchor, shown } = remembered(sources)?;
    for (witness, head) in known {
        check_remembered(sources, &witness, head, held)?;
    }
    Ok(Recovered { journal, edge, auditor, applier, anchor, applied, shown })
}

struct Replay {
    edge: Edge,
    auditor: Auditor,
    applier: Applier,
    applied: Arc<Applied>,
    flushed: Mark,
    started: bool,
}

impl Replay {
    fn start(sources: &Sources<'_>, flushed: Mark) -> Result<Self, RecoverError> {
        let edge = Edge::load(&flushed.head, |path| sources.tiles.read(path))?;
        let rows = rows_of(&edge);
        let auditor = Auditor::resume(&flushed.head, rows).map_err(|error| RecoverError::Commit {
            seq: flushed.seq,
            first: flushed.head.size,
            problem: error.to_string(),
        })?;
        let applied = Arc::new(Applied::new(flushed, flushed));
        let applier = Applier::new(Arc::clone(sources.tiles), Arc::clone(&applied));
        Ok(Self { edge, auditor, applier, applied, flushed, started: false })
    }

    /// Commits up to the flushed one are in the tiles; from there on each is applied again.
    fn step(&mut self, seq: u64, commit: &Commit) -> Result<(), RecoverError> {
        let flushed = self.flushed.head.size;
        if !std::mem::replace(&mut self.started, true) && commit.first > flushed {
            return Err(RecoverError::Gap { flushed, first: commit.first });
        }
        if seq <= self.flushed.seq {
            return Ok(());
        }
        let bad = |problem: String| RecoverError::Commit { seq, first: commit.first, problem };
        if commit.first != self.edge.head().size {
            return Err(bad(format!(
                "it begins at {}, the tree ends at {}",
                commit.first,
                self.edge.head().size
            )));
        }
        let entries = bundle::split(&commit.entries).map_err(|error| bad(error.to_string()))?;
        let objects = self.edge.integrate(entries.iter().map(|entry| (leaf_hash(entry), *entry)));
        let check = self.auditor.check(&commit.entries, &objects, &commit.head);
        check.map_err(|error: AuditError| bad(error.to_string()))?;
        self.applier.apply(&objects, Mark { head: commit.head, seq })?;
        Ok(())
    }
}

fn rows_of(edge: &Edge) -> Vec<Vec<[u8; HASH_BYTES]>> {
    edge.levels().iter().map(|row| row.iter().map(|hash| *hash.as_bytes()).collect()).collect()
}

/// Everything that remembers a head.
struct Remembered {
    known: Vec<(String, TreeHead)>,
    anchor: Option<Anchor>,
    /// The newer of the checkpoint file and the ledger's latest; of the same time, the one with more signatures.
    shown: Option<VerifiedCheckpoint>,
}

fn remembered(sources: &Sources<'_>) -> Result<Remembered, RecoverError> {
    let (mut known, mut shown) = (Vec::new(), Vec::new());
    let path = sources.tiles.folder().join("checkpoint");
    let stored = sources.tiles.read_checkpoint().map_err(|error| RecoverError::Io(path, error))?;
    // A power cut can leave the file empty or cut short: it is not synced, and is written again from the journal.
    match stored.map(|bytes| Note::parse(&bytes)) {
        Some(Ok(seen)) => {
            let seen = VerifiedCheckpoint::verify(&seen, sources.signer.verifier_keys())
                .map_err(|error| RecoverError::Checkpoint(error.to_string()))?;
            known.push(("the published checkpoint".to_owned(), seen.head()));
            shown.push(seen);
        }
        Some(Err(_)) => {
            tracing::warn!("the checkpoint file is cut short, as by a power cut; it is written again");
        }
        None => (),
    }
    if let Some(latest) = sources.ledger.latest()? {
        known.push(("the ledger".to_owned(), latest.head));
        let verified = Note::parse(&latest.note).map_err(CheckpointError::from);
        let verified =
            verified.and_then(|note| VerifiedCheckpoint::verify(&note, sources.signer.verifier_keys()));
        shown.push(verified.map_err(|error| RecoverError::Checkpoint(error.to_string()))?);
    }
    let newest = |one: &VerifiedCheckpoint| (one.tree_head_time(), one.note().signatures().len());
    let shown = shown.into_iter().max_by_key(newest);
    let Some(path) = sources.anchor else { return Ok(Remembered { known, anchor: None, shown }) };
    let (anchor, anchored) = Anchor::open(path, Arc::clone(sources.disk), sources.signer.origin())?;
    known.push((format!("the anchor {}", path.display()), anchored.head));
    Ok(Remembered { known, anchor: Some(anchor), shown })
}

fn check_remembered(
    sources: &Sources<'_>,
    witness: &str,
    known: TreeHead,
    held: TreeHead,
) -> Result<(), RecoverError> {
    let witness = || witness.to_owned();
    if known.size > held.size {
        return Err(RecoverError::Forgotten { witness: witness(), size: known.size, held: held.size });
    }
    let incomparable = |problem: String| RecoverError::Incomparable { witness: witness(), problem };
    let head = head_at(sources.tiles, held, known.size).map_err(incomparable)?;
    if head == known { Ok(()) } else { Err(RecoverError::Forked { witness: witness(), size: known.size }) }
}

/// The head that the tree of `held` had when it had `size` entries, from its authenticated tiles.
pub(crate) fn head_at(tiles: &TileStore, held: TreeHead, size: TreeSize) -> Result<TreeHead, String> {
    let nodes = consistency_nodes(size, held.size).map_err(|error| error.to_string())?;
    let plan = plan_tiles(held, &nodes);
    let mut fetched = Vec::new();
    for tile in plan.tiles() {
        let path = TilePath::Hashes(*tile);
        let bytes = tiles.read(&path).map_err(|error| format!("{path}: {error}"))?;
        fetched.push(bytes.ok_or_else(|| format!("{path} is missing"))?);
    }
    let compared = plan.authenticate(&fetched).and_then(|tiles| tiles.consistency(size));
    compared.map(|(head, _)| head).map_err(|error: TilesError| error.to_string())
}

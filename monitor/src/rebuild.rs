//! Entry bytes to leaf hashes: reads bundles side by side, hashes them, and holds each against the signed tree.
//!
//! The work goes in spans, the entries under one tile of level 1 (65,536). That tile is authenticated first, so
//! that every bundle of the span is verified by itself, in any order, on any thread, and a wrong one is named. Where
//! a log does not serve its tiles the bundles are hashed all the same, and only the root at the end decides.
//!
//! What is held in memory is bounded: the leaf hashes of a span (2 MiB), one bundle a thread, and of the entries
//! what [`Wanted::keep_bytes`] allows.
//!
//! Absent on purpose: order and growth, which are [`crate::edge`]'s, and what a finding means, [`crate::follow`]'s.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tlog::bundle;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{TreeHead, TreeSize};
use tlog::tile::{Bundle, TILE_WIDTH, TilePath, tile_at};
use tlog::tree::root_of;
use tlog::verify_tiles::AuthenticTiles;

use crate::source::{Source, SourceError};
use crate::tiles::{Unproved, prove_tiles};

/// Bundles that a reader of URLs asks for together.
const BUNDLES_TOGETHER: usize = 4;
/// Fewer bundles than this are not worth a thread.
const BUNDLES_ALONE_MAX: u64 = 2;

/// Bytes that nobody signed, or that are not there. No lie, and no proof of anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not there.
    #[error("{0} is missing")]
    Missing(String),
    /// Not what such an object looks like.
    #[error("{0} is malformed: {1}")]
    Malformed(String, String),
    /// Not what the signed tree holds.
    #[error("{0} does not hold what the signed tree holds")]
    NotInTree(String),
    /// The entries give another root than the signed one.
    #[error("the entries do not hash to the signed root of the tree of {0} entries")]
    Root(TreeSize),
    /// The entries are not those that were verified before.
    #[error("the entries up to {0} are not those that were verified before")]
    Changed(TreeSize),
    /// A tile of hashes that others rest on; which one, if that is known.
    #[error("the tiles under the head of {0} entries cannot be used: {2}")]
    Tiles(TreeSize, Option<TilePath>, String),
}

impl Damage {
    /// What it is about: one alarm each.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Missing(path) | Self::Malformed(path, _) | Self::NotInTree(path) => path.clone(),
            Self::Root(size) | Self::Changed(size) => format!("entries up to {size}"),
            Self::Tiles(_, Some(path), _) => path.to_string(),
            Self::Tiles(size, None, _) => format!("tiles of {size} entries"),
        }
    }

    /// Tiles under this head that prove nothing: one for each that may be the cause.
    #[must_use]
    pub fn of_tiles(size: TreeSize, error: &Unproved) -> Vec<Self> {
        let paths = error.paths();
        if paths.is_empty() {
            return vec![Self::Tiles(size, None, error.to_string())];
        }
        paths.into_iter().map(|path| Self::Tiles(size, Some(path), error.to_string())).collect()
    }
}

/// Why a bundle gave no leaf hashes.
#[derive(Debug)]
pub enum Failure {
    /// Not read: nothing is known.
    Read(SourceError),
    /// Read, and wrong.
    Damage(Damage),
}

/// A bundle that was read and hashed.
#[derive(Debug)]
pub struct Hashed {
    /// Which.
    pub bundle: Bundle,
    /// Its leaf hashes.
    pub leaves: Vec<Hash>,
    /// Its bytes, if somebody wants them and there was room.
    pub bytes: Option<Bytes>,
}

/// What a span gave: bundles from the first one on, in order, and what stopped it before the last one.
#[derive(Debug, Default)]
pub struct Span {
    /// In order, without a gap.
    pub bundles: Vec<Hashed>,
    /// Whether each was held against an authentic hash of the signed tree.
    pub verified: bool,
    /// What is wrong beside it: tiles that differ, copies that were bad where another was good.
    pub findings: Vec<Damage>,
    /// Why there is no more.
    pub stopped: Option<Failure>,
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// From where; the next one is asked for what the one before does not have.
    pub sources: &'a [Source],
    /// The signed tree.
    pub head: TreeHead,
    /// Whether level 0 tiles are read and compared.
    pub compare_tiles: bool,
    /// How many bytes of entries to hand back.
    pub keep_bytes: u64,
}

/// The bundles from `first` on that lie under one tile of level 1.
#[must_use]
pub fn span_from(first: u64, size: TreeSize) -> Range<u64> {
    let count = size.get().div_ceil(TILE_WIDTH);
    first..count.min((first / TILE_WIDTH + 1) * TILE_WIDTH)
}

/// Reads and checks the bundles of one span.
#[must_use]
pub fn read_span(wanted: &Wanted<'_>, bundles: Range<u64>) -> Span {
    let (expected, mut findings) = match authentic_tiles(wanted, bundles.start / TILE_WIDTH) {
        Ok(found) => found,
        Err(error) => return Span { stopped: Some(Failure::Read(error)), ..Span::default() },
    };
    let work = Work {
        wanted,
        expected: expected.as_ref(),
        next: AtomicU64::new(bundles.start),
        end: bundles.end,
        kept: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        done: Mutex::new(Vec::new()),
    };
    let readers = wanted.sources.first().map_or(1, Source::readers);
    if bundles.end - bundles.start <= BUNDLES_ALONE_MAX {
        work.run();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| work.run());
            }
        });
    }
    let mut done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|one| one.index);
    let mut span = Span { verified: expected.is_some(), ..Span::default() };
    for (one, at) in done.into_iter().zip(bundles) {
        // A gap can only be behind a failure, which ends the span.
        if one.index != at {
            break;
        }
        findings.extend(one.findings);
        match one.result {
            Ok(hashed) => span.bundles.push(hashed),
            Err(failure) => {
                span.stopped = Some(failure);
                break;
            }
        }
    }
    span.findings = findings;
    span
}

/// The span's tile of level 1 and the right edge, authentic; without them, what is wrong with them.
fn authentic_tiles(
    wanted: &Wanted<'_>,
    span: u64,
) -> Result<(Option<AuthenticTiles>, Vec<Damage>), SourceError> {
    let (mut findings, mut unread) = (Vec::new(), None);
    let tile = tile_at(1, span, wanted.head.size);
    for source in wanted.sources {
        match prove_tiles(source, wanted.head, tile) {
            Ok(tiles) => return Ok((Some(tiles), findings)),
            // Not read is not wrong; another may have it.
            Err(Unproved::Read(error)) if !error.is_senseless() => {
                unread.get_or_insert(error);
            }
            Err(error) => findings.extend(Damage::of_tiles(wanted.head.size, &error)),
        }
    }
    match unread {
        Some(error) if findings.is_empty() => Err(error),
        _ => Ok((None, findings)),
    }
}

struct One {
    index: u64,
    result: Result<Hashed, Failure>,
    findings: Vec<Damage>,
}

/// A span at work. The threads take bundles by number from `next` and leave what they made in `done`.
struct Work<'a> {
    wanted: &'a Wanted<'a>,
    expected: Option<&'a AuthenticTiles>,
    next: AtomicU64,
    end: u64,
    kept: AtomicUsize,
    /// A bundle failed: what comes after it is of no use.
    over: AtomicBool,
    done: Mutex<Vec<One>>,
}

impl Work<'_> {
    fn run(&self) {
        let together = match self.wanted.sources.first() {
            Some(Source::Url(_)) => BUNDLES_TOGETHER,
            _ => 1,
        };
        while !self.over.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(together as u64, Ordering::Relaxed);
            let last = (first + together as u64).min(self.end);
            if first >= last {
                return;
            }
            let done = self.read(first..last);
            if done.iter().any(|one| one.result.is_err()) {
                self.over.store(true, Ordering::Relaxed);
            }
            self.done.lock().unwrap_or_else(PoisonError::into_inner).extend(done);
        }
    }

    fn read(&self, indexes: Range<u64>) -> Vec<One> {
        let bundles: Vec<Bundle> = indexes
            .filter_map(|index| {
                let tile = tile_at(0, index, self.wanted.head.size)?;
                Bundle::new(tile.index(), tile.width()).ok()
            })
            .collect();
        let mut paths: Vec<TilePath> = bundles.iter().map(|bundle| TilePath::Entries(*bundle)).collect();
        if self.wanted.compare_tiles {
            paths.extend(bundles.iter().map(|bundle| TilePath::Hashes(bundle.tile())));
        }
        let first = self.wanted.sources.first().map(|source| source.read(&paths));
        let mut objects = match first {
            Some(Ok(objects)) => objects.into_iter().map(Ok).collect(),
            // Together they failed; one by one it shows which.
            Some(Err(_)) => paths.iter().map(|path| self.read_alone(*path)).collect::<Vec<_>>(),
            None => Vec::new(),
        };
        let tiles = if self.wanted.compare_tiles { objects.split_off(bundles.len()) } else { Vec::new() };
        let mut tiles = tiles.into_iter();
        bundles
            .into_iter()
            .zip(objects)
            .map(|(bundle, object)| self.one(bundle, object, tiles.next()))
            .collect()
    }

    fn read_alone(&self, path: TilePath) -> Result<Option<Bytes>, SourceError> {
        let source = self.wanted.sources.first();
        let mut found = source.map_or_else(|| Ok(Vec::new()), |source| source.read(&[path]))?;
        Ok(found.pop().flatten())
    }

    fn one(
        &self,
        bundle: Bundle,
        object: Result<Option<Bytes>, SourceError>,
        tile: Option<Result<Option<Bytes>, SourceError>>,
    ) -> One {
        let mut findings = Vec::new();
        let mut result = self.check(bundle, object);
        for source in self.wanted.sources.iter().skip(1) {
            let Err(failure) = result else { break };
            if let Failure::Damage(damage) = &failure {
                findings.push(damage.clone());
            }
            let read = source.read(&[TilePath::Entries(bundle)]).map(|mut found| found.pop().flatten());
            result = self.check(bundle, read).map_err(|_| failure);
        }
        if let (Ok(hashed), Some(tile)) = (&result, tile) {
            findings.extend(compare_tile(hashed, tile));
        }
        One { index: bundle.index(), result, findings }
    }

    fn check(&self, bundle: Bundle, object: Result<Option<Bytes>, SourceError>) -> Result<Hashed, Failure> {
        let path = TilePath::Entries(bundle).to_string();
        let damage = |damage| Err(Failure::Damage(damage));
        let bytes = match object {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return damage(Damage::Missing(path)),
            Err(error) if error.is_senseless() => {
                return damage(Damage::Malformed(path, error.to_string()));
            }
            Err(error) => return Err(Failure::Read(error)),
        };
        let entries = match bundle::entries(&bytes, bundle.width()) {
            Ok(entries) => entries,
            Err(error) => return damage(Damage::Malformed(path, error.to_string())),
        };
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        if self.expected.is_some_and(|tiles| !matches(tiles, bundle, &leaves)) {
            return damage(Damage::NotInTree(path));
        }
        let room = self.kept.fetch_add(bytes.len(), Ordering::Relaxed) as u64 + bytes.len() as u64;
        let bytes = (room <= self.wanted.keep_bytes).then_some(bytes);
        Ok(Hashed { bundle, leaves, bytes })
    }
}

/// Whether the leaves are those of the signed tree.
fn matches(tiles: &AuthenticTiles, bundle: Bundle, leaves: &[Hash]) -> bool {
    if !bundle.tile().is_full() {
        return tiles.hashes(bundle.tile()).is_some_and(|hashes| hashes == leaves);
    }
    let above = tile_at(1, bundle.index() / TILE_WIDTH, tiles.head().size);
    let hashes = above.and_then(|tile| tiles.hashes(tile)).unwrap_or_default();
    let at = usize::try_from(bundle.index() % TILE_WIDTH).expect("below 256");
    hashes.get(at).is_some_and(|hash| *hash == root_of(leaves))
}

/// What is wrong with a level 0 tile beside entries that are right.
fn compare_tile(hashed: &Hashed, tile: Result<Option<Bytes>, SourceError>) -> Option<Damage> {
    let path = TilePath::Hashes(hashed.bundle.tile()).to_string();
    match tile {
        Ok(Some(bytes)) => {
            let same = bytes.len() == hashed.leaves.len() * tlog::hash::HASH_BYTES
                && bytes
                    .chunks(tlog::hash::HASH_BYTES)
                    .zip(&hashed.leaves)
                    .all(|(one, leaf)| one == leaf.as_bytes());
            (!same).then_some(Damage::NotInTree(path))
        }
        Ok(None) => Some(Damage::Missing(path)),
        Err(error) if error.is_senseless() => Some(Damage::Malformed(path, error.to_string())),
        // Not read is not wrong; the entries were.
        Err(_) => None,
    }
}

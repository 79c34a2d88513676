//! Checks a whole log from its bytes: every entry is hashed, every tile is derived again, and the result is
//! compared with the signed root. What is wrong is named, object by object.
//!
//! The walk goes down from the checkpoint. A tile whose parent vouches for it is authentic, and vouches for what
//! is below it. Under a tile that is wrong, hashes are derived from the entries upward until they meet one that
//! is authentic again, so one bad object does not hide the state of the others.
//!
//! Absent on purpose: signatures and policy, which the caller has checked to have a [`TreeHead`].

use bytes::Bytes;
use serde::Serialize;
use tlog::bundle;
use tlog::hash::{HASH_BYTES, Hash, leaf_hash};
use tlog::ids::TreeHead;
use tlog::tile::{Bundle, TILE_WIDTH, Tile, TilePath, partial_tiles, tile_at};
use tlog::tree::{Frontier, root_of};
use tlog::verify_tiles::plan_tiles;

use crate::source::{SourceError, TileSource};

/// Tiles read at a time, with their bundles.
const READ_TILES: usize = 16;

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object's path.
    pub path: String,
    /// In words.
    pub problem: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Entries whose bytes are what the checkpoint promises.
    pub entries_good: u64,
    /// Entries in the tree.
    pub entries: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything is what the checkpoint promises.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.entries_good == self.entries
    }
}

/// Checks the tree of `head`. `seen` is told each authentic entry in order, `progress` how many were checked.
///
/// Cost: reads everything; two hashes an entry.
///
/// # Errors
/// [`SourceError`] if something cannot be read; what is missing or wrong is in the report.
pub fn fsck<S: TileSource>(
    source: &S,
    head: TreeHead,
    seen: &mut dyn FnMut(u64, &[u8]),
    progress: &mut dyn FnMut(u64),
) -> Result<Report, SourceError> {
    let report = Report { entries: head.size.get(), ..Report::default() };
    let mut walk = Walk { source, head, report, seen, progress, checked: 0 };
    walk.start()?;
    Ok(walk.report)
}

struct Walk<'a, S> {
    source: &'a S,
    head: TreeHead,
    report: Report,
    seen: &'a mut dyn FnMut(u64, &[u8]),
    progress: &'a mut dyn FnMut(u64),
    checked: u64,
}

/// A tile to visit, and what is known of it.
#[derive(Clone, Copy)]
struct Visit {
    tile: Tile,
    /// The hash of the whole tile, where the parent is authentic.
    expected: Option<Hash>,
}

impl<S: TileSource> Walk<'_, S> {
    /// The partial tiles are the peaks: together they are authentic, or nothing at the right edge is.
    fn start(&mut self) -> Result<(), SourceError> {
        let edge: Vec<Tile> = partial_tiles(self.head.size).collect();
        let plan = plan_tiles(self.head, &[]);
        let paths: Vec<TilePath> = plan.tiles().iter().map(|tile| TilePath::Hashes(*tile)).collect();
        let stored: Vec<Option<Bytes>> = self.read(&paths)?;
        for (path, _) in paths.iter().zip(&stored).filter(|(_, bytes)| bytes.is_none()) {
            self.find(*path, "is missing");
        }
        let bytes: Vec<Bytes> = stored.iter().flatten().cloned().collect();
        let authentic = if bytes.len() == paths.len() {
            plan.authenticate(&bytes).map_err(|error| self.find_text("right edge", error.to_string())).ok()
        } else {
            None
        };
        let mut roots = Vec::new();
        // From the highest level down is from the first entry to the last.
        for tile in edge.into_iter().rev() {
            let hashes = authentic.as_ref().and_then(|tiles| tiles.hashes(tile));
            if tile.level() == 0 {
                roots.push(self.leaves(&[Visit { tile, expected: None }], &[hashes.map(<[Hash]>::to_vec)])?);
            } else {
                roots.push(self.children(tile, hashes)?);
            }
        }
        if authentic.is_none() {
            self.judge_derived(&roots);
        }
        Ok(())
    }

    /// Without an authentic right edge the entries still may be right: their own root decides.
    fn judge_derived(&mut self, roots: &[Vec<Option<Hash>>]) {
        let derived: Option<Vec<Hash>> = roots.iter().flatten().copied().collect();
        // The peaks of each partial tile, in order, are the peaks of the tree.
        let sizes: Vec<(u8, usize)> = {
            let tiles: Vec<Tile> = partial_tiles(self.head.size).collect();
            tiles.into_iter().rev().map(|tile| (tile.level(), usize::from(tile.width()))).collect()
        };
        let peaks = derived.map(|hashes| {
            let mut rest = hashes.as_slice();
            let mut peaks = Vec::new();
            for (_, width) in sizes {
                let (mut tile, after) = rest.split_at(width.min(rest.len()));
                while let Some(height) = tile.len().checked_ilog2() {
                    let (peak, others) = tile.split_at(1 << height);
                    peaks.push(root_of(peak));
                    tile = others;
                }
                rest = after;
            }
            peaks
        });
        let root = peaks.and_then(|peaks| Frontier::from_peaks(self.head.size, peaks).ok());
        let root = root.map(|frontier| frontier.root());
        if root == Some(self.head.root) {
            self.report.entries_good = self.report.entries;
            self.find_text("tiles", "the entries are right, and tiles over them are wrong".to_owned());
        } else {
            self.report.entries_good = 0;
            self.find_text("entries", "the entries do not hash to the signed root".to_owned());
        }
    }

    /// Visits the full tiles under `tile`; the hash of each as it follows from the entries, where they are
    /// there.
    fn children(&mut self, tile: Tile, hashes: Option<&[Hash]>) -> Result<Vec<Option<Hash>>, SourceError> {
        let first = tile.index() * TILE_WIDTH;
        let mut roots = Vec::with_capacity(usize::from(tile.width()));
        let visits: Vec<Visit> = (0..u64::from(tile.width()))
            .filter_map(|at| {
                let below = tile_at(tile.level() - 1, first + at, self.head.size)?;
                let expected = hashes.and_then(|hashes| hashes.get(usize::try_from(at).ok()?).copied());
                Some(Visit { tile: below, expected })
            })
            .collect();
        for group in visits.chunks(READ_TILES) {
            let stored = self.hashes_of(group)?;
            if tile.level() == 1 {
                roots.extend(self.leaves(group, &stored)?);
                continue;
            }
            for (visit, hashes) in group.iter().zip(stored) {
                let below = self.children(visit.tile, hashes.as_deref())?;
                roots.push(if hashes.is_some() { visit.expected } else { self.derive(*visit, &below) });
            }
        }
        Ok(roots)
    }

    /// The stored hashes of each tile where they are authentic; what is not is reported.
    fn hashes_of(&mut self, visits: &[Visit]) -> Result<Vec<Option<Vec<Hash>>>, SourceError> {
        let paths: Vec<TilePath> = visits.iter().map(|visit| TilePath::Hashes(visit.tile)).collect();
        let read = self.read(&paths)?;
        let mut all = Vec::with_capacity(visits.len());
        for ((visit, path), bytes) in visits.iter().zip(&paths).zip(read) {
            let hashes = bytes.as_deref().and_then(|bytes| parse(visit.tile, bytes));
            let right = hashes.filter(|hashes| visit.expected == Some(root_of(hashes)));
            if right.is_none() && visit.expected.is_some() {
                let problem = if bytes.is_none() { "is missing" } else { "does not belong to the tree" };
                self.find(*path, problem);
            }
            all.push(right);
        }
        Ok(all)
    }

    /// Hashes the entries under level 0 tiles.
    fn leaves(
        &mut self,
        visits: &[Visit],
        stored: &[Option<Vec<Hash>>],
    ) -> Result<Vec<Option<Hash>>, SourceError> {
        let bundles = visits.iter().map(|visit| {
            let bundle = Bundle::new(visit.tile.index(), visit.tile.width());
            TilePath::Entries(bundle.expect("a level 0 tile has a bundle"))
        });
        let paths: Vec<TilePath> = bundles.collect();
        let read = self.read(&paths)?;
        let mut roots = Vec::with_capacity(visits.len());
        for (((visit, path), bytes), expected) in visits.iter().zip(&paths).zip(read).zip(stored) {
            let leaves = self.bundle(*visit, *path, bytes.as_deref(), expected.as_deref());
            if visit.tile.is_full() {
                roots.push(leaves.map(|leaves| root_of(&leaves)));
            } else {
                let width = usize::from(visit.tile.width());
                roots.extend(
                    leaves.map_or_else(|| vec![None; width], |leaves| leaves.into_iter().map(Some).collect()),
                );
            }
        }
        Ok(roots)
    }

    /// Hashes one bundle and compares it with what is authentic: the tile, or else the tile's own hash.
    fn bundle(
        &mut self,
        visit: Visit,
        path: TilePath,
        bytes: Option<&[u8]>,
        expected: Option<&[Hash]>,
    ) -> Option<Vec<Hash>> {
        let width = visit.tile.width();
        self.checked += u64::from(width);
        (self.progress)(self.checked);
        let Some(bytes) = bytes else {
            self.find(path, "is missing");
            return None;
        };
        let entries = match bundle::entries(bytes, width) {
            Ok(entries) => entries,
            Err(error) => {
                self.find(path, &format!("is malformed: {error}"));
                return None;
            }
        };
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let first = visit.tile.index() * TILE_WIDTH;
        match (expected, visit.expected) {
            (Some(expected), _) if leaves == expected => {
                self.report.entries_good += u64::from(width);
                (first..).zip(&entries).for_each(|(index, entry)| (self.seen)(index, entry));
            }
            (Some(expected), _) => {
                for (index, (leaf, expected)) in (first..).zip(leaves.iter().zip(expected)) {
                    if leaf == expected {
                        self.report.entries_good += 1;
                    } else {
                        self.find(path, &format!("holds another entry {index} than the tree"));
                    }
                }
            }
            (None, Some(expected)) if root_of(&leaves) == expected => {
                self.report.entries_good += u64::from(width);
                (first..).zip(&entries).for_each(|(index, entry)| (self.seen)(index, entry));
            }
            (None, Some(_)) => self.find(path, "does not belong to the tree"),
            // Judged further up, by what the entries hash to.
            (None, None) => (),
        }
        Some(leaves)
    }

    /// What the entries below a tile that is not authentic say about it.
    fn derive(&mut self, visit: Visit, below: &[Option<Hash>]) -> Option<Hash> {
        let hashes: Option<Vec<Hash>> = below.iter().copied().collect();
        let derived = root_of(&hashes?);
        let span = TILE_WIDTH.pow(u32::from(visit.tile.level()) + 1);
        if visit.expected == Some(derived) {
            self.report.entries_good += span;
        } else if visit.expected.is_some() {
            let first = visit.tile.index() * span;
            let last = first + span - 1;
            self.find_text(
                &format!("entries {first} to {last}"),
                "do not hash to what the tree holds; which of them is wrong cannot be told".to_owned(),
            );
        }
        Some(derived)
    }

    fn read(&mut self, paths: &[TilePath]) -> Result<Vec<Option<Bytes>>, SourceError> {
        let read = self.source.read(paths)?;
        self.report.bytes += read.iter().flatten().map(|bytes| bytes.len() as u64).sum::<u64>();
        Ok(read)
    }

    fn find(&mut self, path: TilePath, problem: &str) {
        self.find_text(&path.to_string(), problem.to_owned());
    }

    fn find_text(&mut self, path: &str, problem: String) {
        self.report.findings.push(Finding { path: path.to_owned(), problem });
    }
}

fn parse(tile: Tile, bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    let whole = hashes.len() == usize::from(tile.width()) && rest.is_empty();
    whole.then(|| hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect())
}

//! Tiles and their paths (C2SP tlog-tiles, "Merkle Tree" and "Log entries").
//!
//! A tile at level `l` holds up to 256 hashes of complete subtrees of height `8 * l`; a bundle holds up to 256
//! entries. Their paths have one canonical form:
//!
//! ```text
//! tile/0/x001/x234/067         level 0, index 1234067, full
//! tile/2/000.p/17              level 2, index 0, the first 17 hashes
//! tile/entries/000.p/17        entries 0 to 16
//! ```
//!
//! Trusting what is in a tile is [`crate::verify_tiles`]'s business.

use std::fmt;
use std::str::FromStr;

use crate::ids::{SIZE_MAX, TreeSize};
use crate::tree::Node;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// The highest level that a path may name.
pub const LEVEL_MAX: u8 = 63;
/// Levels that a tree of up to 2^63 - 1 leaves can have.
const LEVELS: u8 = 8;

/// Why there is no such tile, or no such path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A part is out of range.
    #[error("no such tile: levels go to 63, widths from 1 to 256, and the tree to 2^63-1 leaves")]
    Range,
    /// The text is not the canonical path of a tile.
    #[error("not the canonical path of a tile: {0:?}")]
    Path(String),
}

/// A tile of hashes: level, index within the level, and width (256 when full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

/// An entry bundle: index, and width (256 when full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    index: u64,
    width: u16,
}

fn check_width(index: u64, width: u16) -> Result<(), TileError> {
    let fits = (1..=TILE_WIDTH).contains(&u64::from(width)) && index <= SIZE_MAX / TILE_WIDTH;
    if fits { Ok(()) } else { Err(TileError::Range) }
}

impl Tile {
    /// A tile.
    ///
    /// # Errors
    /// [`TileError::Range`].
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        check_width(index, width)?;
        if level <= LEVEL_MAX { Ok(Self { level, index, width }) } else { Err(TileError::Range) }
    }

    /// 0 for leaf hashes.
    #[must_use]
    pub fn level(self) -> u8 {
        self.level
    }

    /// Counted from 0 within the level.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// Hashes in it, 1 to 256.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether it holds 256 hashes and will never change.
    #[must_use]
    pub fn is_full(self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The tile as it will be once it is full.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: 256, ..self }
    }

    /// The tile that holds this full tile's hash, and the place there; `None` where no tree has one.
    pub(crate) fn parent(self, size: TreeSize) -> Option<(Self, usize)> {
        let parent = tile_at(self.level + 1, self.index / TILE_WIDTH, size)?;
        Some((parent, (self.index % TILE_WIDTH) as usize))
    }
}

impl Bundle {
    /// A bundle.
    ///
    /// # Errors
    /// [`TileError::Range`].
    pub fn new(index: u64, width: u16) -> Result<Self, TileError> {
        check_width(index, width).map(|()| Self { index, width })
    }

    /// Counted from 0.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// Entries in it, 1 to 256.
    #[must_use]
    pub fn width(self) -> u16 {
        self.width
    }

    /// The level 0 tile with the hashes of these entries.
    #[must_use]
    pub fn tile(self) -> Tile {
        Tile { level: 0, index: self.index, width: self.width }
    }
}

/// What can be fetched below `tile/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TilePath {
    /// Hashes.
    Hashes(Tile),
    /// Entries.
    Entries(Bundle),
}

impl TilePath {
    /// Hashes or entries in it.
    #[must_use]
    pub fn width(self) -> u16 {
        match self {
            Self::Hashes(tile) => tile.width,
            Self::Entries(bundle) => bundle.width,
        }
    }

    /// Its index among its kind and level.
    #[must_use]
    pub fn index(self) -> u64 {
        match self {
            Self::Hashes(tile) => tile.index,
            Self::Entries(bundle) => bundle.index,
        }
    }

    /// Whether it will never change.
    #[must_use]
    pub fn is_full(self) -> bool {
        u64::from(self.width()) == TILE_WIDTH
    }

    /// The same, full.
    #[must_use]
    pub fn full(self) -> Self {
        match self {
            Self::Hashes(tile) => Self::Hashes(tile.full()),
            Self::Entries(bundle) => Self::Entries(Bundle { width: 256, ..bundle }),
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashes(tile) => write!(f, "tile/{}/", tile.level)?,
            Self::Entries(_) => write!(f, "tile/entries/")?,
        }
        let (index, mut scale) = (self.index(), 1);
        while index / scale >= 1000 {
            scale *= 1000;
        }
        while scale > 1 {
            write!(f, "x{:03}/", index / scale % 1000)?;
            scale /= 1000;
        }
        write!(f, "{:03}", index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width()) }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let parsed = parse_path(text).filter(|path| path.to_string() == text);
        parsed.ok_or_else(|| TileError::Path(text.chars().take(100).collect()))
    }
}

/// Lenient; the caller compares with the canonical form.
fn parse_path(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|width| *width < 256)?),
        None => (rest, 256),
    };
    let mut index = 0_u64;
    for part in number.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    if kind == "entries" {
        Bundle::new(index, width).ok().map(TilePath::Entries)
    } else {
        Tile::new(kind.parse().ok()?, index, width).ok().map(TilePath::Hashes)
    }
}

/// Tile `index` of `level` as it is in a tree of that size; `None` if it is empty there.
#[must_use]
pub fn tile_at(level: u8, index: u64, size: TreeSize) -> Option<Tile> {
    if level >= LEVELS {
        return None;
    }
    let hashes = size.get() >> (8 * u32::from(level));
    let width = hashes.checked_sub(index.checked_mul(TILE_WIDTH)?)?.min(TILE_WIDTH);
    Tile::new(level, index, u16::try_from(width).expect("at most 256")).ok()
}

/// The tile from which the hash of a complete subtree can be computed, as it is in a tree of that size; `None`
/// if the subtree is not in the tree.
#[must_use]
pub fn tile_of(node: Node, size: TreeSize) -> Option<Tile> {
    if node.index.checked_add(1)? > size.get() >> u32::from(node.height).min(63) {
        return None;
    }
    let level = node.height / 8;
    tile_at(level, (node.index << (node.height % 8)) / TILE_WIDTH, size)
}

/// The partial tiles of a tree of that size, lowest level first.
pub fn partial_tiles(size: TreeSize) -> impl Iterator<Item = Tile> {
    (0..LEVELS).filter_map(move |level| {
        let index = (size.get() >> (8 * u32::from(level))) / TILE_WIDTH;
        tile_at(level, index, size)
    })
}

/// Every tile of hashes of a tree of that size, level by level.
pub fn hash_tiles(size: TreeSize) -> impl Iterator<Item = Tile> {
    (0..LEVELS).flat_map(move |level| {
        let count = (size.get() >> (8 * u32::from(level))).div_ceil(TILE_WIDTH);
        (0..count).filter_map(move |index| tile_at(level, index, size))
    })
}

/// Every bundle of a tree of that size.
pub fn bundles(size: TreeSize) -> impl Iterator<Item = Bundle> {
    let count = size.get().div_ceil(TILE_WIDTH);
    (0..count).filter_map(move |index| {
        tile_at(0, index, size).map(|tile| Bundle { index: tile.index, width: tile.width })
    })
}

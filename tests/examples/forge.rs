//! Makes a large log as plain files, signed with keys that are the same in every run: `forge DIR ENTRIES BYTES`, or
//! `forge DIR ENTRIES statements` for signed statements of about 1 KiB, ten versions a record.
//!
//! It exists for benchmarks of readers. The policy that trusts it is `DIR/policy.txt`, the origin `log.example/forged`; the
//! leaf hash of the first statement is `DIR/genesis`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use daemon::clock::{Clock, SystemClock};
use tests::liar::Keys;
use tests::records::{Office, World};
use tlog::hash::{HASH_BYTES, Hash, leaf_hash};
use tlog::tile::{TILE_WIDTH, Tile, TilePath, bundles};
use tlog::tree::{Frontier, root_of};

const ORIGIN: &str = "log.example/forged";
/// How often it is said how far it is.
const TOLD_BUNDLES: u64 = 1000;

/// Hashes of one level that are not in a full tile yet.
#[derive(Default)]
struct Level {
    hashes: Vec<Hash>,
    full: u64,
}

struct Forge {
    public: PathBuf,
    levels: Vec<Level>,
}

/// What the entries are.
enum Sort {
    /// Opaque bytes of this length, each with its number in front.
    Opaque(Vec<u8>),
    /// Statements of one agency.
    Statements(Box<Statements>),
}

impl Sort {
    fn entry(&mut self, index: u64) -> Vec<u8> {
        match self {
            Self::Opaque(entry) => {
                entry[..8].copy_from_slice(&index.to_be_bytes());
                entry.clone()
            }
            Self::Statements(statements) => statements.entry(index),
        }
    }
}

/// Versions of a record.
const VERSIONS: u64 = 10;
/// Entries before the first record.
const PREAMBLE: u64 = 3;

/// A registrar, an agency, a register, and records in it.
struct Statements {
    world: World,
    office: Office,
    text: String,
    previous: Option<Hash>,
}

impl Statements {
    fn new() -> Self {
        let text = "Zuwendung an eine Gemeinde für den Bau einer Schule. ".repeat(11);
        Self { world: World::new(ORIGIN), office: Office::new("works.gov.example"), text, previous: None }
    }

    fn entry(&mut self, index: u64) -> Vec<u8> {
        match index {
            0 => self.world.genesis(),
            1 => self.world.enrol(&self.office),
            2 => self.world.open(&self.office, "grants"),
            later => self.record(later - PREAMBLE),
        }
    }

    fn record(&mut self, number: u64) -> Vec<u8> {
        let public = format!(r#"{{"amount":"{number}.00","number":{number},"purpose":"{}"}}"#, self.text);
        let previous = self.previous.take().filter(|_| !number.is_multiple_of(VERSIONS));
        let key = format!("G-{}", number / VERSIONS);
        let entry = self.world.put(&self.office, "grants", &key, previous, &public);
        self.previous = Some(leaf_hash(&entry));
        entry
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, entries, sort] = arguments.as_slice() else {
        anyhow::bail!("forge DIR ENTRIES BYTES|statements")
    };
    let entries: u64 = entries.parse()?;
    let mut sort = if sort == "statements" {
        Sort::Statements(Box::new(Statements::new()))
    } else {
        let bytes: usize = sort.parse()?;
        ensure!((8..=65_535).contains(&bytes), "an entry has 8 to 65,535 bytes");
        Sort::Opaque(vec![b'.'; bytes])
    };
    let size = tlog::ids::TreeSize::new(entries)?;
    let mut forge = Forge { public: Path::new(dir).join("public"), levels: Vec::new() };
    let mut frontier = Frontier::new();
    for bundle in bundles(size) {
        let mut body = Vec::new();
        for at in 0..u64::from(bundle.width()) {
            let index = bundle.index() * TILE_WIDTH + at;
            let entry = sort.entry(index);
            tlog::bundle::push_entry(&mut body, &entry)?;
            let leaf = leaf_hash(&entry);
            if index == 0 && matches!(sort, Sort::Statements(_)) {
                std::fs::create_dir_all(dir)?;
                std::fs::write(Path::new(dir).join("genesis"), leaf.to_string())?;
            }
            frontier.push(leaf, |_, _| ());
            forge.push(0, leaf)?;
        }
        forge.write(TilePath::Entries(bundle), &body)?;
        if (bundle.index() + 1).is_multiple_of(TOLD_BUNDLES) {
            eprintln!("{} of {entries} entries", (bundle.index() + 1) * TILE_WIDTH);
        }
    }
    forge.finish()?;
    let keys = Keys::new(ORIGIN);
    let seconds = SystemClock.unix_millis() / 1000;
    std::fs::write(forge.public.join("checkpoint"), keys.sign(frontier.head(), &[0, 1], seconds))?;
    std::fs::write(Path::new(dir).join("policy.txt"), keys.policy(true))?;
    println!("{ORIGIN}");
    Ok(())
}

impl Forge {
    fn push(&mut self, level: u8, hash: Hash) -> Result<()> {
        let at = usize::from(level);
        if self.levels.len() == at {
            self.levels.push(Level::default());
        }
        self.levels[at].hashes.push(hash);
        if self.levels[at].hashes.len() as u64 == TILE_WIDTH {
            let hashes = std::mem::take(&mut self.levels[at].hashes);
            let index = self.levels[at].full;
            self.levels[at].full += 1;
            self.write_tile(level, index, &hashes)?;
            self.push(level + 1, root_of(&hashes))?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        for (level, Level { hashes, full }) in (0..).zip(&self.levels) {
            if !hashes.is_empty() {
                self.write_tile(level, *full, hashes)?;
            }
        }
        Ok(())
    }

    fn write_tile(&self, level: u8, index: u64, hashes: &[Hash]) -> Result<()> {
        let tile = Tile::new(level, index, u16::try_from(hashes.len())?)?;
        let bytes: Vec<u8> = hashes.iter().flat_map(Hash::as_bytes).copied().collect();
        ensure!(bytes.len() == hashes.len() * HASH_BYTES);
        self.write(TilePath::Hashes(tile), &bytes)
    }

    fn write(&self, path: TilePath, bytes: &[u8]) -> Result<()> {
        let file = self.public.join(path.to_string());
        let folder = file.parent().context("a tile is in a folder")?;
        std::fs::create_dir_all(folder)?;
        Ok(std::fs::write(file, bytes)?)
    }
}

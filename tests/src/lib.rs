//! What the end-to-end tests share: a log in a temporary directory, stepped by hand, and an audit of everything
//! public that ends every scenario.
//!
//! The tests over the real binaries use [`binaries`]; the tests of faults and flipped bits open the log in
//! process, with [`Bench`], because only there the disk and the buffers can be reached.

pub mod agency;
pub mod binaries;
pub mod check;
pub mod clerk;
pub mod cosigners;
pub mod home;
pub mod letters;
pub mod liar;
pub mod minimal;
pub mod outside;
pub mod records;
pub mod road;
pub mod served;
pub mod server;
pub mod testlog;
pub mod uploads;
pub mod volume;
pub mod watch;
pub mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cosigners::Witnesses;
use daemon::clock::{Clock, ManualClock, SystemRandom};
use daemon::config::ByteSize;
use daybook::config::{Admission, Config};
use daybook::cosign::Courier;
use daybook::init::{NewLog, init};
use daybook::log::{AddError, Admitted, Engine, EngineError, Log, OpenError, System, open, placed};
use daybook::pool::{Decision, Outcome, Placed};
use daybook::probe::Probe;
use daybook::records::Refused;
use daybook::records::admit::{Examined, examine};
use daybook::records::genesis::Genesis;
use daybook::store::disk::Disk;
use daybook::store::disk::fault::FaultDisk;
use tempfile::TempDir;
use tokio::sync::oneshot::Receiver;

use crate::records::World;

/// The name of every log in process.
pub const ORIGIN: &str = "log.example/tests";
/// When every test begins.
pub const START: u64 = 1_795_426_200_000;

/// The test data, or `None` with a loud line where there is none; under `CI` that is a failure.
///
/// # Panics
/// Under `CI`, if there is none.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let configured = std::env::var_os("DAYBOOK_TEST_DATA").map(PathBuf::from);
    let dir = configured.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs the test data at {}", dir.display());
    eprintln!("SKIPPED: no test data at {}; set DAYBOOK_TEST_DATA", dir.display());
    None
}

/// A log's directory with a clock, a disk and witnesses that the test drives.
#[derive(Debug)]
pub struct Bench {
    root: TempDir,
    /// Time.
    pub clock: Arc<ManualClock>,
    /// Faults.
    pub disk: Arc<FaultDisk>,
    /// Settings for the next start.
    pub config: Config,
    /// Those who must cosign; there may be none.
    pub witnesses: Arc<Witnesses>,
}

/// A log that is running, stepped by hand.
#[derive(Debug)]
pub struct Running {
    /// What handlers see.
    pub log: Arc<Log>,
    /// What moves it.
    pub engine: Engine,
    clock: Arc<ManualClock>,
}

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// An entry.
    Placed(Placed),
    /// Admission did not take it, for this reason.
    NotTaken(&'static str),
    /// The judge did not.
    Refused(Refused),
}

impl Became {
    /// The index of the entry that it became, or was already.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        match self {
            Self::Placed(placed) => Some(placed.index.get()),
            _ => None,
        }
    }

    /// Why it did not become one; empty if it did.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Placed(_) => "",
            Self::NotTaken(code) => code,
            Self::Refused(refused) => refused.code(),
        }
    }
}

impl Bench {
    /// A new log, open to all, without an anchor.
    #[must_use]
    pub fn new() -> Self {
        Self::with_anchor(false)
    }

    /// A new log, with an anchor if asked for.
    #[must_use]
    pub fn with_anchor(anchor: bool) -> Self {
        Self::with(anchor, 0, 0)
    }

    /// A new log, and so many witnesses of which its policy asks for `threshold`; the first start is to follow.
    #[must_use]
    pub fn with_witnesses(threshold: usize, count: usize) -> Self {
        Self::with(false, threshold, count)
    }

    /// A new log with all that is asked for.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with(anchor: bool, threshold: usize, count: usize) -> Self {
        Self::made(anchor, threshold, count, None)
    }

    /// A new log that takes statements, and begins with this world's genesis.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn of_records(world: &World) -> Self {
        Self::of_records_with_witnesses(world, 0, 0)
    }

    /// Such a log, and so many witnesses of which its policy asks for `threshold`; the first start is to follow.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn of_records_with_witnesses(world: &World, threshold: usize, count: usize) -> Self {
        let genesis = Genesis::parse(&world.genesis(), &world.origin).expect("a genesis");
        Self::made(false, threshold, count, Some(genesis))
    }

    fn made(anchor: bool, threshold: usize, count: usize, genesis: Option<Genesis>) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(START));
        let anchor = anchor.then(|| root.path().join("other-volume/anchor"));
        let origin = ORIGIN.parse().expect("an origin");
        let admission = if genesis.is_some() { Admission::Records } else { Admission::Open };
        // Small segments, so that tests cross from one to the next.
        let journal_segment = ByteSize(1 << 20);
        let witnesses = Witnesses::new(count);
        let policy = (count > 0).then(|| witnesses.policy(threshold, |at| format!("http://w{at}.invalid")));
        let new = NewLog {
            origin,
            admission,
            anchor: anchor.clone(),
            url: None,
            witnesses: policy,
            journal_segment,
            genesis,
        };
        let made = init(&root.path().join("log"), &new, &*clock, &SystemRandom).expect("a new log");
        witnesses.accept(&made.keys);
        let mut config = Config::default();
        config.anchor.path = anchor;
        config.storage.free_space_min.0 = 0;
        Self { root, clock, disk: Arc::new(FaultDisk::new(None)), config, witnesses }
    }

    /// The log's directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("log")
    }

    /// The temporary directory around it.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The test's clock and disk.
    #[must_use]
    pub fn system(&self) -> System {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let disk = Arc::clone(&self.disk) as Arc<dyn Disk>;
        let courier = Arc::clone(&self.witnesses) as Arc<dyn Courier>;
        System { clock, random: Arc::new(SystemRandom), disk, courier, probe: Probe::none() }
    }

    /// Starts the log.
    ///
    /// # Errors
    /// What start-up says.
    pub fn start(&self) -> Result<Running, OpenError> {
        self.start_with(Probe::none())
    }

    /// Starts the log with a probe.
    ///
    /// # Errors
    /// What start-up says.
    ///
    /// # Panics
    /// If the index cannot be filled.
    pub fn start_with(&self, probe: Probe) -> Result<Running, OpenError> {
        self.clock.advance(Duration::from_millis(5));
        self.witnesses.hang_up();
        let system = System { probe, ..self.system() };
        let (log, mut engine) = open(&self.dir(), self.config.clone(), &system)?;
        engine.fill_index(&log, |_| ()).expect("the index can be filled");
        Ok(Running { log, engine, clock: Arc::clone(&self.clock) })
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Running {
    /// Lets a moment pass, commits and publishes what waits.
    ///
    /// # Errors
    /// What the engine says; it must not be used again.
    pub fn step(&mut self) -> Result<(), EngineError> {
        self.clock.advance(Duration::from_millis(1));
        self.engine.step()
    }

    /// Adds entries as one submission and steps until it is answered. `None` if the engine failed: the outcome
    /// is unknown.
    ///
    /// # Errors
    /// What the log answers.
    pub fn add(&mut self, entries: &[&[u8]]) -> Result<Option<Vec<Placed>>, AddError> {
        let entries = entries.iter().map(|entry| Bytes::copy_from_slice(entry)).collect();
        match self.log.admit(entries)? {
            Admitted::Known(placed) => Ok(Some(placed)),
            Admitted::Waiting(answer) => {
                let stepped = self.step();
                Ok(self.answer(answer, stepped.is_ok())?)
            }
        }
    }

    /// Submits entries without waiting for an answer.
    ///
    /// # Errors
    /// What the log answers at once.
    ///
    /// # Panics
    /// If all of them are published already.
    pub fn submit(&self, entries: &[&[u8]]) -> Result<Receiver<Outcome>, AddError> {
        let entries = entries.iter().map(|entry| Bytes::copy_from_slice(entry)).collect();
        match self.log.admit(entries)? {
            Admitted::Waiting(answer) => Ok(answer),
            Admitted::Known(placed) => panic!("published already: {placed:?}"),
        }
    }

    /// Submits statements together, as they are examined one by one, and steps until they are answered. `None` if the
    /// engine failed.
    ///
    /// # Errors
    /// What the pool answers.
    ///
    /// # Panics
    /// If this is no log of records.
    pub fn submit_statements(&mut self, statements: &[Vec<u8>]) -> Result<Option<Vec<Became>>, AddError> {
        let records = self.log.records.as_ref().expect("a log of records");
        let (mut became, mut pending) = (Vec::new(), Vec::new());
        for statement in statements {
            became.push(match examine(&self.log, records, Bytes::copy_from_slice(statement)) {
                Ok(Examined::New(new)) => {
                    pending.push(*new);
                    None
                }
                Ok(Examined::Known(index)) => Some(Became::Placed(Placed { index, duplicate: true })),
                Err(reason) => Some(Became::NotTaken(reason.code())),
            });
        }
        let mut decisions = Vec::new();
        if !pending.is_empty() {
            let answer = self.log.pool.submit(pending)?;
            let alive = self.step().is_ok();
            let Some(decided) = self.decided(answer, alive)? else { return Ok(None) };
            decisions = decided;
        }
        let mut decisions = decisions.into_iter().map(|decision| match decision {
            Ok(placed) => Became::Placed(placed),
            Err(refused) => Became::Refused(refused),
        });
        let decided = |became: Option<Became>| became.or_else(|| decisions.next()).expect("a decision each");
        Ok(Some(became.into_iter().map(decided).collect()))
    }

    fn answer(&self, answer: Receiver<Outcome>, alive: bool) -> Result<Option<Vec<Placed>>, AddError> {
        Ok(self.decided(answer, alive)?.map(placed))
    }

    fn decided(&self, mut answer: Receiver<Outcome>, alive: bool) -> Result<Option<Vec<Decision>>, AddError> {
        match answer.try_recv() {
            Ok(outcome) => Ok(Some(outcome?)),
            Err(_) => {
                assert!(!alive, "an engine that lives answers");
                Ok(None)
            }
        }
    }
}

/// All bytes of all files below a folder, without blocks of nothing but zeroes.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn all_bytes(folder: &Path) -> Vec<u8> {
    const BLOCK_BYTES: usize = 4096;
    let mut out = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            out.extend(all_bytes(&path));
            continue;
        }
        let Some(bytes) = unless_gone(std::fs::read(&path)) else { continue };
        // A preallocated journal is mostly that.
        let blocks = bytes.chunks(BLOCK_BYTES).filter(|block| **block != [0; BLOCK_BYTES][..block.len()]);
        blocks.for_each(|block| out.extend_from_slice(block));
    }
    out
}

/// Whether some bytes are among others.
#[must_use]
pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Copies a folder and all that is in it.
///
/// # Panics
/// If that fails.
pub fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file");
        let target = to.join(file.file_name());
        if file.path().is_dir() {
            copy_all(&file.path(), &target);
        } else {
            unless_gone(std::fs::copy(file.path(), target));
        }
    }
}

/// What was found, unless a process that is at work in the folder has removed the file since it was listed.
fn unless_gone<T>(found: std::io::Result<T>) -> Option<T> {
    match found {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        found => Some(found.expect("a file")),
    }
}

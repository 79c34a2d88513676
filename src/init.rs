//! Makes the directory of a new log.
//!
//! Everything is made in a folder beside the wanted one and renamed into place, so that a directory either is a
//! log or does not exist. The first commit is the empty tree.
//!
//! ```text
//! DIR/log.toml        identity: format version, origin, admission; never edited
//! DIR/config.toml     the operator's settings
//! DIR/policy.txt      the trust policy to give to those who verify, and that the log enforces
//! DIR/keys/           private keys, readable by the owner alone
//! DIR/journal/        committed batches not yet flushed
//! DIR/ledger.sqlite   published checkpoints, watermarks
//! DIR/index/          leaf hash to index, rebuildable
//! DIR/public/         checkpoint and tiles, servable by any web server
//! DIR/blobs/          attachments of records
//! DIR/README.txt      in logs of records: what entry 0 is
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::clock::{Clock, Random};
use daemon::config::ByteSize;
use daemon::files::in_words;
use tlog::ids::{Origin, TreeHead, TreeSize, UnixMillis};
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;

use crate::config::{Admission, FORMAT_VERSION, Identity};
use crate::keys::{self, KeyError};
use crate::records::genesis::Genesis;
use crate::signer::SignError;
use crate::store::anchor::{Anchor, AnchorError, AnchoredHead};
use crate::store::disk::{Disk, RealDisk};
use crate::store::journal::{Commit, Journal, JournalError};
use crate::store::tiles::TileStore;

/// The settings of a new log, with every key and what it does.
pub const CONFIG_TEMPLATE: &str = include_str!("../deploy/config.toml");

/// Why there is no new log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory is there and is not empty.
    #[error("{file} exists and is not empty; choose another directory, a log is never made over something else", file = .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("{file}: {}", in_words(.1), file = .0.display())]
    Io(PathBuf, std::io::Error),
    /// The keys could not be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The journal could not be made.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The anchor could not be made.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The first signature failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A log of records begins with a genesis, and no other log does.
    #[error(
        "a log of records needs a genesis that its registrar has signed, and a log of any bytes has none"
    )]
    Genesis,
}

/// What a new log is to be.
#[derive(Clone, Debug)]
pub struct NewLog {
    /// Its name.
    pub origin: Origin,
    /// What it takes in.
    pub admission: Admission,
    /// Its anchor, on another volume.
    pub anchor: Option<PathBuf>,
    /// Where it will be reached, for the policy file.
    pub url: Option<String>,
    /// The witnesses who must cosign, from a policy whose logs do not matter.
    pub witnesses: Option<Policy>,
    /// Size of its journal's segments.
    pub journal_segment: ByteSize,
    /// Its first entry, signed by the registrar: in logs of records.
    pub genesis: Option<Genesis>,
}

/// What those who verify need to know of a new log.
#[derive(Clone, Debug)]
pub struct Made {
    /// The verifier keys: Ed25519, then the tree head key.
    pub keys: Vec<VerifierKey>,
    /// The trust policy, which the log itself enforces.
    pub policy: Policy,
}

/// Makes a log in `dir`.
///
/// # Errors
/// [`InitError`]; nothing is left behind but, at worst, a folder named `dir` with `.init` at its end.
pub fn init(dir: &Path, new: &NewLog, clock: &dyn Clock, random: &dyn Random) -> Result<Made, InitError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| InitError::Io(path, error)
    };
    if (new.admission == Admission::Records) != new.genesis.is_some() {
        return Err(InitError::Genesis);
    }
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(InitError::InUse(dir.to_owned())),
        Ok(false) => std::fs::remove_dir(dir).map_err(io(dir))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(InitError::Io(dir.to_owned(), error)),
    }
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".init");
    let aside = PathBuf::from(aside);
    for folder in ["keys", "journal", "public"] {
        let folder = aside.join(folder);
        std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    }
    let made = fill(&aside, new, clock, random)?;
    std::fs::rename(&aside, dir).map_err(io(dir))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    RealDisk::default().sync_path(parent).map_err(io(parent))?;
    Ok(made)
}

fn fill(dir: &Path, new: &NewLog, clock: &dyn Clock, random: &dyn Random) -> Result<Made, InitError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
    let signer = keys::create(dir, &new.origin, random)?;
    let time = UnixMillis::new(clock.unix_millis());
    let first = Commit { head: TreeHead::EMPTY, time, first: TreeSize::ZERO, entries: Vec::new(), count: 0 };
    let segment_bytes = new.journal_segment.0;
    let key = keys::draw(random);
    let mut journal = Journal::create(&dir.join("journal"), Arc::clone(&disk), *key, segment_bytes, &first)?;
    if let Some(path) = &new.anchor {
        let head = AnchoredHead { head: TreeHead::EMPTY, time, seq: journal.seq() };
        Anchor::create(path, Arc::clone(&disk), &new.origin, &head)?;
    }
    if let Some(genesis) = &new.genesis {
        journal.append(&first_commit(genesis, time))?;
    }
    let note = signer.sign(TreeHead::EMPTY, time)?.note().to_bytes();
    let tiles = TileStore::new(dir.join("public"), disk);
    tiles.write_checkpoint(&note).map_err(|error| InitError::Io(dir.join("public/checkpoint"), error))?;
    let keys = signer.verifier_keys().to_vec();
    let url = new.url.as_ref().map(|url| url.clone().into_bytes());
    let policy = match &new.witnesses {
        Some(witnesses) => witnesses.for_log(keys[0].clone(), url),
        None => Policy::of_log(keys[0].clone(), url),
    };
    let mut policy_text = policy.to_bytes();
    if let Some(genesis) = &new.genesis {
        let pinned =
            format!("\n# Entry 0, the registrar's genesis, has the leaf hash\n# {}\n", genesis.leaf());
        policy_text.extend_from_slice(pinned.as_bytes());
        write(&dir.join("README.txt"), readme(new, genesis).as_bytes())?;
    }
    write(&dir.join("policy.txt"), &policy_text)?;
    write(&dir.join("config.toml"), config_text(new).as_bytes())?;
    let genesis = new.genesis.as_ref().map(|genesis| genesis.leaf().to_string());
    let origin = new.origin.to_string();
    let identity = Identity { version: FORMAT_VERSION, origin, admission: new.admission, genesis };
    let identity = toml::to_string(&identity).expect("an identity has a TOML form");
    write(&dir.join("log.toml"), identity.as_bytes())?;
    Ok(Made { keys, policy })
}

/// Published at the first start, which writes its tiles.
fn first_commit(genesis: &Genesis, time: UnixMillis) -> Commit {
    let mut entries = Vec::new();
    tlog::bundle::push_entry(&mut entries, genesis.bytes()).expect("a statement is short enough for a leaf");
    let size = TreeSize::new(1).expect("a small size");
    let head = TreeHead { size, root: genesis.leaf() };
    Commit { head, time: UnixMillis::new(time.get() + 1), first: TreeSize::ZERO, entries, count: 1 }
}

fn readme(new: &NewLog, genesis: &Genesis) -> String {
    format!(
        "This is the directory of the log {}, which takes signed records of enrolled agencies.\n\n\
         Its entry 0, the genesis, was signed by the registrar {} and has the leaf hash\n\n    {}\n\n\
         Publish that hash together with policy.txt, in a place that the log's operator does not control. Whoever \
         knows it knows who enrols agencies here, and a log that begins with another entry is another log.\n\n\
         Nothing in this directory is edited by hand but config.toml. Keep keys/ to yourself.\n",
        new.origin,
        genesis.registrar(),
        genesis.leaf()
    )
}

fn config_text(new: &NewLog) -> String {
    let mut text = CONFIG_TEMPLATE.to_owned();
    if let Some(path) = &new.anchor {
        let line = format!("path = {}", toml::Value::from(path.display().to_string()));
        text = text.replace("# path = \"/other-volume/daybook.anchor\"", &line);
    }
    if let Some(url) = &new.url {
        let line = format!("public_url = {}", toml::Value::from(url.clone()));
        text = text.replace("# public_url = \"https://log.example/\"", &line);
    }
    text
}

fn write(path: &Path, text: &[u8]) -> Result<(), InitError> {
    let failed = |error| InitError::Io(path.to_owned(), error);
    std::fs::write(path, text).map_err(failed)?;
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(failed)
}

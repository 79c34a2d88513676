//! The directory of a witness: made, opened, taken over after a copy, and its keys rotated.
//!
//! ```text
//! DIR/witness.toml     identity: format version and name; never edited
//! DIR/config.toml      the operator's settings
//! DIR/state.sqlite     what was cosigned last, for every log: never restore an old copy
//! DIR/keys/N/          private keys, readable by the owner alone; the highest N that the state knows is in use
//! DIR/keys/state-id    which state the keys belong to
//! DIR/keys/bastion.pem the key that bastions know the witness by
//! DIR/lock             held while it serves
//! ```
//!
//! Everything is made in a folder beside the wanted one and renamed into place, so that a directory either is a
//! witness or does not exist. Opening refuses whenever keys, state, place and counter do not belong together.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::clock::{Clock, Random};
use daemon::keyfile::{self, KeyFileError, draw};
use daemon::lock::{FileLock, LockError};
use tlog::hash::{Hash, sha256};
use tlog::ids::KeyName;
use tlog::sign::Ed25519Signer;
use tlog::vkey::VerifierKey;

use crate::config::{Config, FORMAT_VERSION, IdentityFile, SettingsError};
use crate::keys::{KeyError, WitnessKeys, folder};
use crate::state::counter::{Counter, CounterError};
use crate::state::roster::LogRow;
use crate::state::{STATE_ID_BYTES, State, StateError};

/// The settings of a new witness, with every key and what it does.
const CONFIG_TEMPLATE: &str = include_str!("../../deploy/witness.toml");
const STATE_FILE: &str = "state.sqlite";
const STATE_ID_FILE: &str = "keys/state-id";
const BASTION_FILE: &str = "keys/bastion.pem";
/// A clock that is further behind the last cosignature than this does not start.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(300);

/// Why a witness cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is there and is not empty.
    #[error(
        "{file} exists and is not empty; choose another directory, a witness is never made over something else",
        file = .0.display()
    )]
    InUse(PathBuf),
    /// The system refuses.
    #[error("{file}: {1}", file = .0.display())]
    Io(PathBuf, std::io::Error),
    /// Identity or settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The bastion's key.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The counter.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The clock would make cosignatures go back in time.
    #[error(
        "the clock is {behind} seconds behind this witness's last cosignature; set the clock (the last cosignature was \
         made at {last}, in seconds since 1970)"
    )]
    Clock {
        /// By how much.
        behind: u64,
        /// The last cosignature.
        last: u64,
    },
}

/// A witness's directory, opened: keys and state belong together, and nobody else has it.
#[derive(Debug)]
pub struct Opened {
    /// Where.
    pub dir: PathBuf,
    /// The operator's settings.
    pub config: Config,
    /// The keys in use.
    pub keys: WitnessKeys,
    /// Every key that it ever had.
    pub all_keys: Vec<VerifierKey>,
    /// The logs that it follows.
    pub logs: Vec<LogRow>,
    /// The state.
    pub state: State,
    /// The external counter.
    pub counter: Option<Counter>,
    /// Held for as long as this lives.
    pub lock: FileLock,
}

/// The database of the witness in `dir`.
#[must_use]
pub fn state_path(dir: &Path) -> PathBuf {
    dir.join(STATE_FILE)
}

/// Makes a witness.
///
/// # Errors
/// [`OpenError`]; nothing is left behind but, at worst, a folder named `dir` with `.init` at its end.
pub fn init(
    dir: &Path,
    name: &KeyName,
    counter: Option<&Path>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Vec<VerifierKey>, OpenError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| OpenError::Io(path, error)
    };
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(OpenError::InUse(dir.to_owned())),
        Ok(false) => std::fs::remove_dir(dir).map_err(io(dir))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(OpenError::Io(dir.to_owned(), error)),
    }
    let mut aside = dir.as_os_str().to_owned();
    aside.push(".init");
    let aside = PathBuf::from(aside);
    std::fs::create_dir_all(&aside).map_err(io(&aside))?;
    let keys = WitnessKeys::create(&folder(&aside, 1), name, random)?;
    let mut state_id = [0; STATE_ID_BYTES];
    random.fill(&mut state_id);
    let state = State::create(&state_path(&aside), state_id, keys.verifier_keys(), seconds(clock))?;
    if let Some(path) = counter {
        Counter::create(path, &state.identity()?)?;
    }
    drop(state);
    let bastion = Ed25519Signer::from_seed(name.clone(), &draw(random));
    keyfile::write(&aside.join(BASTION_FILE), &bastion.to_pkcs8_der())?;
    write(&aside.join(STATE_ID_FILE), &hex(&state_id))?;
    write(&aside.join("config.toml"), &config_text(counter))?;
    let identity = IdentityFile { version: FORMAT_VERSION, name: name.to_string() };
    write(&aside.join("witness.toml"), &toml::to_string(&identity).expect("an identity has a TOML form"))?;
    sync_folder(&aside.join("keys"))?;
    sync_folder(&aside)?;
    std::fs::rename(&aside, dir).map_err(io(dir))?;
    sync_folder(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(keys.verifier_keys().to_vec())
}

fn config_text(counter: Option<&Path>) -> String {
    let Some(path) = counter else { return CONFIG_TEMPLATE.to_owned() };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let line = format!("path = {}", toml::Value::from(path.display().to_string()));
    CONFIG_TEMPLATE.replace("# path = \"/other-volume/witness.counter\"", &line)
}

fn write(path: &Path, text: &str) -> Result<(), OpenError> {
    let failed = |error| OpenError::Io(path.to_owned(), error);
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let synced = std::fs::File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| OpenError::Io(path.to_owned(), error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
}

fn seconds(clock: &dyn Clock) -> u64 {
    clock.unix_millis() / 1000
}

/// Opens a witness to serve it.
///
/// # Errors
/// [`OpenError`] says what does not belong together, and what to do.
pub fn open(dir: &Path, clock: &dyn Clock) -> Result<Opened, OpenError> {
    let name = IdentityFile::load(dir)?;
    let config = Config::load(&dir.join("config.toml"))?;
    let lock = FileLock::take(&dir.join("lock"))?;
    let state = State::open(&state_path(dir))?;
    let keys = keys_of(dir, &name, &state)?;
    let counter = match &config.counter.path {
        Some(path) => Some(Counter::open(path, &state.identity()?)?),
        None => None,
    };
    let logs = state.logs()?;
    let (now, last) = (seconds(clock), logs.iter().map(|log| log.head.cosigned_at).max().unwrap_or(0));
    if now + CLOCK_BEHIND_MAX.as_secs() < last {
        return Err(OpenError::Clock { behind: last - now, last });
    }
    let all_keys = state.all_keys()?;
    Ok(Opened { dir: dir.to_owned(), config, keys, all_keys, logs, state, counter, lock })
}

/// The keys that the state says are in use, if keys and state belong together.
fn keys_of(dir: &Path, name: &KeyName, state: &State) -> Result<WitnessKeys, OpenError> {
    let identity = state.identity()?;
    let foreign = || StateError::Foreign(state.path().to_owned(), dir.join("keys").display().to_string());
    let path = dir.join(STATE_ID_FILE);
    let known = std::fs::read_to_string(&path).map_err(|error| OpenError::Io(path, error))?;
    if known != hex(&identity.state_id) {
        return Err(foreign().into());
    }
    let keys = WitnessKeys::load(&folder(dir, identity.key_number), name)?;
    let fingerprint: Hash = keys.fingerprint();
    if fingerprint == identity.fingerprint { Ok(keys) } else { Err(foreign().into()) }
}

/// The verifier keys of a witness that may be serving.
///
/// # Errors
/// [`OpenError`].
pub fn verifier_keys(dir: &Path) -> Result<Vec<VerifierKey>, OpenError> {
    let name = IdentityFile::load(dir)?;
    let state = State::open_reader(&state_path(dir))?;
    Ok(keys_of(dir, &name, &state)?.verifier_keys().to_vec())
}

/// The key that bastions know the witness by, as PKCS#8.
///
/// # Errors
/// [`OpenError`].
pub fn bastion_key(dir: &Path) -> Result<impl AsRef<[u8]> + use<>, OpenError> {
    Ok(keyfile::read(&dir.join(BASTION_FILE))?)
}

/// The first segment of the witness's paths at a bastion: SHA-256 of the public half of [`bastion_key`].
///
/// # Errors
/// [`OpenError`].
pub fn bastion_path(dir: &Path) -> Result<String, OpenError> {
    let path = dir.join(BASTION_FILE);
    let name = IdentityFile::load(dir)?;
    let signer = Ed25519Signer::from_pkcs8_der(name, &keyfile::read(&path)?)
        .map_err(|error| KeyError::Key(path, error))?;
    Ok(sha256(signer.verifier_key().material()).to_string())
}

/// Declares that the state in `dir` is the newest there is: its place is its own from now on, and so is its counter.
///
/// # Errors
/// [`OpenError`]; a counter that is ahead of the state is never overruled.
pub fn adopt(dir: &Path) -> Result<(), OpenError> {
    let name = IdentityFile::load(dir)?;
    let config = Config::load(&dir.join("config.toml"))?;
    let _lock = FileLock::take(&dir.join("lock"))?;
    let state = State::open_anywhere(&state_path(dir))?;
    keys_of(dir, &name, &state)?;
    if let Some(path) = &config.counter.path {
        match Counter::open(path, &state.identity()?) {
            Ok(_) => (),
            Err(CounterError::Ahead { path, state, counter }) => {
                return Err(CounterError::Ahead { path, state, counter }.into());
            }
            Err(_) => drop(Counter::create(path, &state.identity()?)?),
        }
    }
    Ok(state.settle()?)
}

/// Draws a new key pair under the same name and makes it the one in use; the old one is kept, and never used again.
/// The witness must not be serving.
///
/// # Errors
/// [`OpenError`].
pub fn rotate(dir: &Path, clock: &dyn Clock, random: &dyn Random) -> Result<Vec<VerifierKey>, OpenError> {
    let opened = open(dir, clock)?;
    let number = opened.state.identity()?.key_number + 1;
    let place = folder(dir, number);
    // A pair that was drawn and never came into use, because the machine went down in between, may be half a pair.
    if place.exists() {
        std::fs::remove_dir_all(&place).map_err(|error| OpenError::Io(place.clone(), error))?;
    }
    let keys = WitnessKeys::create(&place, opened.keys.name(), random)?;
    sync_folder(&dir.join("keys"))?;
    opened.state.rotate(number, keys.verifier_keys(), seconds(clock))?;
    Ok(keys.verifier_keys().to_vec())
}

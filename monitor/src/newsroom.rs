//! Index, watches, channels and pages, put together beside the part that verifies, and never in its way.
//!
//! Nothing here ends the process: what fails is told in the log and on the health page, and tried again. Verification
//! goes on whatever happens to the index.

mod bell;
mod gauges;
mod once;
mod round;
mod views;

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::clock::{Clock, Random, SystemRandom};
use daemon::config::{ConfigError, read_secret};
use daemon::metrics::Metrics;
use daemon::shutdown::Shutdown;

use crate::case::{Case, CaseError};
use crate::channel::ChannelError;
use crate::channel::sender::{Channel, channels};
use crate::config::Config;
use crate::folder::Folder;
use crate::index::follow::{Indexer, Looked};
use crate::index::{Index, IndexError};
use crate::report::{LOST, LOST_WATCHES};
use crate::store::{Store, StoreError};
use crate::watch::engine::alerts_place;
use crate::watch::store::WatchError;
use crate::watch::{Engine, EngineError, WatchStore};
use crate::web::{App, Desk};
use bell::Bell;
pub use gauges::NewsroomGauges;
pub use once::Caught;

/// Pause between two looks for something new to watch.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// The file with the token in the monitor's directory.
pub const TOKEN_FILE: &str = "token";
/// The index in the monitor's directory.
pub const INDEX_FILE: &str = "index.sqlite";
/// The watches in the monitor's directory.
pub const WATCHES_FILE: &str = "watches.sqlite";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;
/// Where earlier builds kept up to which alert was told, whatever database had numbered it.
const PLACE_WITHOUT_GENERATION: &str = "alerts";

/// Why the newsroom's half cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NewsroomError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The watches.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The first watch.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The database of the part that verifies.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An alarm.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The channels.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The token.
    #[error(transparent)]
    Token(#[from] ConfigError),
    /// The token cannot be made.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
}

/// What is wrong with a part at the moment, for the health page.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    /// The part and what is wrong. Written by the threads, read by pages.
    now: Arc<Mutex<Vec<(&'static str, String)>>>,
}

impl Troubles {
    fn set(&self, part: &'static str, trouble: Option<String>) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.retain(|(other, _)| *other != part);
        now.extend(trouble.map(|trouble| (part, trouble)));
    }

    /// What is wrong.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, String)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The newsroom's half of a monitor.
#[derive(Debug)]
pub struct Newsroom {
    /// Taken by the thread that indexes.
    indexer: Option<Indexer>,
    engine: Engine,
    channels: Vec<Channel>,
    store: Arc<Store>,
    /// Which database that is.
    generation: String,
    cases: Vec<Arc<Case>>,
    troubles: Troubles,
    token: String,
}

/// The token, made at the first start.
fn token(dir: &Path, random: &dyn Random) -> Result<String, NewsroomError> {
    let path = dir.join(TOKEN_FILE);
    let failed = |error| NewsroomError::Io(path.display().to_string(), error);
    if !path.exists() {
        let mut bytes = [0; TOKEN_BYTES];
        random.fill(&mut bytes);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file =
            std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    let bytes = read_secret(&path)?;
    let text = String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    if text.len() < 16 {
        let error =
            std::io::Error::other("the token has fewer than 16 letters; delete the file, and one is made");
        return Err(failed(error));
    }
    Ok(text)
}

/// The watches. Damaged ones are moved aside, and an alarm says so: what verifies goes on without them.
fn watches(path: &Path, cases: &[Arc<Case>], now: u64) -> Result<WatchStore, NewsroomError> {
    let (watches, damaged) = WatchStore::open_whole(path, now)?;
    let Some(damaged) = damaged else {
        for case in cases {
            case.clear_about(LOST, &[LOST_WATCHES.to_owned()])?;
        }
        return Ok(watches);
    };
    let detail = format!(
        "the watches were damaged ({}) and are now {}; they, what they found and messages that waited are lost: make the \
         watches again",
        damaged.why,
        damaged.aside.display()
    );
    tracing::error!(detail, "watches are lost");
    // It is about no log; the first one stands for all.
    cases.first().map_or(Ok(()), |case| case.alarm(LOST, LOST_WATCHES, &detail))?;
    Ok(watches)
}

/// The name of the database that has numbered the alerts. One that was put back from a copy gets another name: it gives
/// numbers again that stand for alerts which were told.
fn generation(store: &Store, watches: &WatchStore, random: &dyn Random) -> Result<String, NewsroomError> {
    let (newest, known) = (store.newest_alert()?, store.generation(random)?);
    watches.rename_place(PLACE_WITHOUT_GENERATION, &alerts_place(&known), newest)?;
    let told = watches.place(&alerts_place(&known))?;
    if told.is_none_or(|told| told <= newest) { Ok(known) } else { Ok(store.begin_generation(random)?) }
}

impl Newsroom {
    /// Opens index, watches and channels in a monitor's directory. `listen` is where readers reach it, unless another
    /// address is configured for them.
    ///
    /// # Errors
    /// [`NewsroomError`].
    pub fn open(
        folder: &Folder,
        config: &Config,
        cases: &[Arc<Case>],
        store: &Arc<Store>,
        listen: SocketAddr,
        clock: &dyn Clock,
    ) -> Result<Self, NewsroomError> {
        let (dir, now) = (folder.root(), clock.unix_millis() / 1000);
        let channels = channels(&config.channel, dir)?;
        let token = token(dir, &SystemRandom)?;
        let indexer = Indexer::open(&dir.join(INDEX_FILE), cases)?;
        let watches = watches(&dir.join(WATCHES_FILE), cases, now)?;
        let generation = generation(store, &watches, &SystemRandom)?;
        let engine = Engine::new(
            Arc::new(Index::open(&dir.join(INDEX_FILE))?),
            Arc::new(watches),
            dir.join(crate::alerts::FILE),
            config.web.address(listen, config.listen.tls_certificate.is_some()),
            channels.iter().map(|channel| channel.name.clone()).collect(),
        );
        engine.begin(now)?;
        Ok(Self {
            indexer: Some(indexer),
            engine,
            channels,
            store: Arc::clone(store),
            generation,
            cases: cases.to_vec(),
            troubles: Troubles::default(),
            token,
        })
    }

    /// The pages over it.
    #[must_use]
    pub fn app(&self, clock: Arc<dyn Clock>) -> Arc<App> {
        let desk = Desk {
            engine: self.engine.clone(),
            channels: self.engine.channels.clone(),
            token: self.token.clone(),
            troubles: self.troubles.clone(),
        };
        Arc::new(App::new(views::verified(&self.cases), desk, clock))
    }

    /// Its gauges.
    #[must_use]
    pub fn gauges(&self, metrics: &Metrics) -> NewsroomGauges {
        NewsroomGauges::new(metrics, self.engine.clone(), self.troubles.clone())
    }

    /// Starts the threads. They end when they are asked to.
    ///
    /// # Errors
    /// The system's answer.
    pub fn start(
        mut self,
        clock: &Arc<dyn Clock>,
        shutdown: &Shutdown,
        runtime: &tokio::runtime::Handle,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        for channel in self.channels.clone() {
            let (store, clock, ended) = (Arc::clone(&self.engine.store), Arc::clone(clock), shutdown.clone());
            let troubles = self.troubles.clone();
            runtime.spawn(send(channel, store, clock, ended, troubles));
        }
        let bell = Bell::default();
        let index = self.start_index(shutdown, &bell)?;
        let watch = self.start_watches(Arc::clone(clock), shutdown, bell)?;
        Ok(vec![index, watch])
    }

    fn start_index(&mut self, shutdown: &Shutdown, bell: &Bell) -> std::io::Result<JoinHandle<()>> {
        let mut indexer = self.indexer.take().expect("started once");
        let (ended, troubles, bell) = (shutdown.clone(), self.troubles.clone(), bell.clone());
        std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            while !ended.is_asked() {
                match indexer.look() {
                    Ok(Looked::Ended) => return,
                    Ok(looked) => {
                        troubles.set("index", None);
                        if looked == Looked::Indexed {
                            bell.ring();
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "indexing is interrupted");
                        troubles.set("index", Some(error.to_string()));
                        pause(&ended, FAILURE_PAUSE);
                    }
                }
            }
        })
    }

    fn start_watches(
        self,
        clock: Arc<dyn Clock>,
        shutdown: &Shutdown,
        bell: Bell,
    ) -> std::io::Result<JoinHandle<()>> {
        let Self { engine, channels, store, generation, cases, troubles, .. } = self;
        let ended = shutdown.clone();
        std::thread::Builder::new().name("watches".to_owned()).spawn(move || {
            while !ended.is_asked() {
                let now = clock.unix_millis() / 1000;
                match round::look(&engine, &channels, &store, &generation, &cases, now) {
                    Ok(found) => {
                        troubles.set("watches", None);
                        if found > 0 {
                            channels.iter().for_each(|channel| channel.wake.notify_one());
                        }
                        bell.wait(LOOK_PAUSE);
                    }
                    Err(error) => {
                        tracing::error!(error, "watches are interrupted");
                        troubles.set("watches", Some(error));
                        pause(&ended, FAILURE_PAUSE);
                    }
                }
            }
        })
    }
}

async fn send(
    channel: Channel,
    store: Arc<WatchStore>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    troubles: Troubles,
) {
    while !shutdown.is_asked() {
        let ran = channel.clone().run(Arc::clone(&store), Arc::clone(&clock), shutdown.clone()).await;
        let Err(error) = ran else { return };
        tracing::error!(channel = channel.name, %error, "the channel is interrupted");
        troubles.set("channels", Some(error.to_string()));
        tokio::select! { () = tokio::time::sleep(FAILURE_PAUSE) => (), () = shutdown.asked() => () }
    }
}

fn pause(shutdown: &Shutdown, length: Duration) {
    let step = Duration::from_millis(100);
    let mut waited = Duration::ZERO;
    while waited < length && !shutdown.is_asked() {
        std::thread::sleep(step);
        waited += step;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_token_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = token(folder.path(), &SystemRandom).unwrap();
        assert_eq!(made.len(), 2 * TOKEN_BYTES);
        assert_eq!(token(folder.path(), &SystemRandom).unwrap(), made);
        let path = folder.path().join(TOKEN_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(token(folder.path(), &SystemRandom).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(token(folder.path(), &SystemRandom).is_err(), "others can read it");
    }

    #[test]
    fn troubles_are_those_of_now() {
        let troubles = Troubles::default();
        troubles.set("index", Some("full".to_owned()));
        troubles.set("watches", Some("gone".to_owned()));
        troubles.set("index", None);
        assert_eq!(troubles.all(), [("watches", "gone".to_owned())]);
    }
}

//! Index, watches, channels and pages, put together beside the part that verifies, and never in its way.
//!
//! Nothing here ends the process: what fails is told in the log and on the health page, and tried again. Verification
//! goes on whatever happens to the index.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::clock::{Clock, Random, SystemRandom};
use daemon::config::{ConfigError, read_secret};
use daemon::shutdown::Shutdown;
use tlog::ids::LeafIndex;

use crate::case::Case;
use crate::channel::ChannelError;
use crate::channel::sender::{Channel, channels};
use crate::config::Config;
use crate::folder::Folder;
use crate::index::follow::Indexer;
use crate::index::{Index, IndexError};
use crate::status::status_of;
use crate::store::Store;
use crate::watch::engine::LogAlert;
use crate::watch::message::Found;
use crate::watch::store::WatchError;
use crate::watch::{Engine, EngineError, WatchStore};
use crate::web::view::{AlarmView, Inclusion, LogView, Verified};
use crate::web::{App, Desk};

/// Pause between two looks for something new to watch.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// Pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Alerts of the part that verifies that are taken at a time.
const ALERTS_TOGETHER_MAX: u32 = 100;
/// The file with the token in the monitor's directory.
pub const TOKEN_FILE: &str = "token";
/// The index in the monitor's directory.
pub const INDEX_FILE: &str = "index.sqlite";
/// The watches in the monitor's directory.
pub const WATCHES_FILE: &str = "watches.sqlite";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;

/// Why the newsroom's half cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NewsroomError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The watches.
    #[error(transparent)]
    Watch(#[from] WatchError),
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
    indexer: Indexer,
    engine: Engine,
    channels: Vec<Channel>,
    store: Arc<Store>,
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

impl Newsroom {
    /// Opens index, watches and channels in a monitor's directory.
    ///
    /// # Errors
    /// [`NewsroomError`].
    pub fn open(
        folder: &Folder,
        config: &Config,
        cases: &[Arc<Case>],
        store: &Arc<Store>,
    ) -> Result<Self, NewsroomError> {
        let dir = folder.root();
        let channels = channels(&config.channel, dir)?;
        let token = token(dir, &SystemRandom)?;
        let indexer = Indexer::open(&dir.join(INDEX_FILE), cases)?;
        let engine = Engine {
            index: Arc::new(Index::open(&dir.join(INDEX_FILE))?),
            store: Arc::new(WatchStore::open(&dir.join(WATCHES_FILE))?),
            address: config.web.address(config.listen.address),
        };
        Ok(Self {
            indexer,
            engine,
            channels,
            store: Arc::clone(store),
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
            channels: self.channels.iter().map(|channel| channel.name.clone()).collect(),
            token: self.token.clone(),
            troubles: self.troubles.clone(),
        };
        Arc::new(App::new(verified(&self.cases), desk, clock))
    }

    /// Starts the threads. They end when they are asked to.
    ///
    /// # Errors
    /// The system's answer.
    pub fn start(
        self,
        clock: &Arc<dyn Clock>,
        shutdown: &Shutdown,
        runtime: &tokio::runtime::Handle,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        for channel in self.channels.clone() {
            let (store, clock, ended) = (Arc::clone(&self.engine.store), Arc::clone(clock), shutdown.clone());
            let troubles = self.troubles.clone();
            runtime.spawn(send(channel, store, clock, ended, troubles));
        }
        let Self { mut indexer, engine, channels, store, cases, troubles, .. } = self;
        let (ended, told) = (shutdown.clone(), troubles.clone());
        let index = std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            while !ended.is_asked() {
                match indexer.look() {
                    Ok(true) => told.set("index", None),
                    Ok(false) => return,
                    Err(error) => {
                        tracing::error!(%error, "indexing is interrupted");
                        told.set("index", Some(error.to_string()));
                        pause(&ended, FAILURE_PAUSE);
                    }
                }
            }
        })?;
        let (ended, clock) = (shutdown.clone(), Arc::clone(clock));
        let watch = std::thread::Builder::new().name("watches".to_owned()).spawn(move || {
            while !ended.is_asked() {
                let result = look(&engine, &channels, &store, &cases, clock.unix_millis() / 1000);
                let wait = if result.is_ok() { LOOK_PAUSE } else { FAILURE_PAUSE };
                if let Err(error) = &result {
                    tracing::error!(error, "watches are interrupted");
                }
                troubles.set("watches", result.err());
                pause(&ended, wait);
            }
        })?;
        Ok(vec![index, watch])
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

/// One round: what is new in the index, what the part that verifies has to say, and signs of life.
fn look(
    engine: &Engine,
    channels: &[Channel],
    store: &Store,
    cases: &[Arc<Case>],
    now: u64,
) -> Result<(), String> {
    let text = |error: EngineError| error.to_string();
    engine.look(now).map_err(text)?;
    let after = engine.store.place("alerts").map_err(|error| error.to_string())?.unwrap_or(0);
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let alerts = store.alerts_after(after, ALERTS_TOGETHER_MAX).map_err(|error| error.to_string())?;
    let alerts: Vec<LogAlert> = alerts.iter().map(|alert| log_alert(alert.id, &alert.body)).collect();
    engine.take_alerts(&alerts, now).map_err(text)?;
    for channel in channels {
        let Some(every) = channel.heartbeat else { continue };
        let body = heartbeat(engine, cases, now);
        engine.store.heartbeat(&channel.name, every, &body, now).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn log_alert(id: i64, body: &str) -> LogAlert {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    LogAlert {
        id: u64::try_from(id).unwrap_or(0),
        origin: text("origin"),
        title: format!("{} {} {}", text("event"), text("kind"), text("subject")),
        detail: format!("{} {}", text("detail"), text("file")),
    }
}

fn heartbeat(engine: &Engine, cases: &[Arc<Case>], now: u64) -> String {
    let logs = status_of(cases).logs;
    let lines = logs.iter().map(|log| {
        let verified = log.verified.as_ref().map_or(0, |head| head.size);
        format!("{}: {}, {verified} entries verified. {}", log.origin, log.state.name(), log.reason)
    });
    let found = Found {
        event: "heartbeat".to_owned(),
        title: "the monitor is at work".to_owned(),
        text: lines.collect::<Vec<_>>().join("; "),
        link: format!("{}/health", engine.address),
        found_at: now,
        ..Found::default()
    };
    serde_json::to_string(&found).expect("an alert has a JSON form")
}

/// The part that verifies, as the pages see it.
fn verified(cases: &[Arc<Case>]) -> Verified {
    let (of_logs, of_proofs) = (cases.to_vec(), cases.to_vec());
    let prove = move |origin: &str, index: u64| {
        let case = of_proofs
            .iter()
            .find(|case| case.origin() == origin)
            .ok_or("this log is not followed any more")?;
        inclusion(case, index)
    };
    Verified { logs: Box::new(move || views(&of_logs)), prove: Box::new(prove) }
}

fn inclusion(case: &Case, index: u64) -> Result<Inclusion, String> {
    let verified = case.verified().ok_or("no head of the log is verified at the moment")?;
    let head = verified.head();
    let place = LeafIndex::new(index).map_err(|error| error.to_string())?;
    if index >= head.size.get() {
        return Err("the entry is not under the newest verified head yet".to_owned());
    }
    let (_, hashes) = case.leaf_at(&verified, place).ok_or("our own hashes cannot be read at the moment")?;
    Ok(Inclusion { index: place, head, hashes, checkpoint: verified.note().clone() })
}

fn views(cases: &[Arc<Case>]) -> Vec<LogView> {
    let logs = status_of(cases).logs;
    cases.iter().zip(logs).map(|(case, log)| view(case, log)).collect()
}

fn view(case: &Case, log: crate::status::LogStatus) -> LogView {
    let trust = &case.followed.trust;
    let verified = case.verified();
    let seen = |key: &tlog::vkey::VerifierKey| {
        let signed = verified.as_ref()?.cosignatures().iter().filter(|one| one.key == *key);
        signed.map(|one| one.seconds).max()
    };
    let witnesses = trust.witness_keys().iter().map(|key| (key.name().to_string(), seen(key)));
    LogView {
        hash: log.origin_hash,
        state: log.state.name(),
        reason: log.reason,
        verified: log.verified.map(|head| (head.size, head.root)),
        signed: log.signed,
        entries_per_second: log.entries_per_second,
        seconds_left: log.seconds_left,
        head_time: log.head_time,
        heard_at: log.heard_at,
        witnesses: witnesses.collect(),
        alarms: log
            .alarms
            .into_iter()
            .map(|alarm| AlarmView {
                kind: alarm.kind,
                subject: alarm.subject,
                detail: alarm.detail,
                first_seen: alarm.first_seen,
            })
            .collect(),
        evidence: log.evidence,
        policy: String::from_utf8_lossy(&trust.policy().to_bytes()).into_owned(),
        origin: log.origin,
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

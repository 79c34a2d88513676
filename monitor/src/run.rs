//! A monitor at work: a thread for each log, one for the others' heads, one for alerts, two listeners, and an
//! orderly end. Whatever cannot be remembered ends the process: a monitor that forgets must not look as if it knew.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::clock::{Clock, SystemRandom};
use daemon::fetch::{FetchOptions, Fetcher};
use daemon::listen::{self, ListenMetrics, Listener, tls_config};
use daemon::lock::FileLock;
use daemon::metrics::{AdminService, Metrics};
use daemon::shutdown::Shutdown;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::alerts::Deliverer;
use crate::case::{Case, CaseError};
use crate::config::{Config, Followed, MonitorConfigError};
use crate::folder::{Folder, FolderError, read};
use crate::follow::Follower;
use crate::newsroom::{Newsroom, NewsroomError, NewsroomGauges};
use crate::replay::Replay;
use crate::report::{DATABASE, LOST};
use crate::service::HttpService;
use crate::source::Network;
use crate::status::{Gauges, readiness, status_of};
use crate::store::{Opened, RECALLED, Store, StoreError};
use crate::values::Values;
use crate::web::front::Front;
use crate::web::pages;

/// Pause between two rounds of asking the others.
const CROSSCHECK_PAUSE: Duration = Duration::from_secs(60);
/// Pause between two looks at the gauges.
const GAUGES_PAUSE: Duration = Duration::from_secs(1);

/// Why a monitor cannot work.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] MonitorConfigError),
    /// Its directory.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it found cannot be remembered.
    #[error("the monitor has to stop: {0}")]
    Case(#[from] CaseError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}; is another program using it? Change it in monitor.toml")]
    Bind(SocketAddr, io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] listen::TlsError),
    /// Only one of the two is set.
    #[error("monitor.toml: listen.tls_certificate and listen.tls_key are needed together")]
    TlsHalf,
    /// Index, watches, channels or pages.
    #[error(transparent)]
    Newsroom(#[from] NewsroomError),
    /// The process lacks something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// A monitor, opened.
pub struct Monitor {
    /// Its configuration.
    pub config: Config,
    /// Its logs.
    pub cases: Vec<Arc<Case>>,
    /// What must not be forgotten.
    pub store: Arc<Store>,
    /// How its database was found.
    pub opened: Opened,
    /// Its directory.
    pub folder: Folder,
    /// The network.
    pub network: Network,
    clock: Arc<dyn Clock>,
    _lock: FileLock,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Where a monitor is reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The public listener.
    pub public: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
    /// Whether the public listener speaks TLS.
    pub tls: bool,
}

impl Monitor {
    /// Opens the monitor in `dir`. The network is driven by this runtime.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub fn open(
        dir: &Path,
        config: Config,
        logs: Vec<Followed>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Self, MonitorError> {
        let folder = Folder::new(dir);
        let lock = folder.open()?;
        let (store, opened) = Store::open(&folder.database(), clock.unix_millis())?;
        let store = Arc::new(store);
        let options = FetchOptions {
            connect_timeout: config.fetch.connect_timeout.0,
            total_timeout: config.fetch.total_timeout.0,
        };
        let network = Network::new(Fetcher::new(options), runtime);
        let mut cases = Vec::with_capacity(logs.len());
        for followed in logs {
            let case = Case::open(followed, &network, &folder, Arc::clone(&store), Arc::clone(&clock))?;
            recall_head(&case, &opened)?;
            cases.push(Arc::new(case));
        }
        Ok(Self { config, cases, store, opened, folder, network, clock, _lock: lock })
    }

    /// Delivers alerts.
    #[must_use]
    pub fn deliverer(&self) -> Deliverer {
        let clock = Arc::clone(&self.clock);
        Deliverer::new(
            Arc::clone(&self.store),
            self.folder.clone(),
            clock,
            self.config.alerts.command.clone(),
        )
    }
}

/// The last verified head is also a file: if the database does not know it any more, it must lead there again.
fn recall_head(case: &Case, opened: &Opened) -> Result<(), CaseError> {
    if case.verified().is_some() {
        return Ok(());
    }
    let path = case.folder.verified(&case.followed.origin);
    let kept = read(&path).map_err(CaseError::io(&path))?;
    let Some(note) = kept else { return Ok(()) };
    if let Some(known) = case.own_note(&note) {
        case.see(&known, RECALLED)?;
        case.wait_again(&known)?;
    } else {
        tracing::warn!(origin = case.origin(), path = %path.display(), "the kept head is not signed by this log");
    }
    let why = match opened {
        Opened::Damaged(aside, why) => {
            format!("the database was damaged ({why}) and is now {}", aside.display())
        }
        _ => "the database does not know this log any more".to_owned(),
    };
    let detail =
        format!("{why}; everything is verified again, and must lead to the head that was verified before");
    case.alarm(LOST, DATABASE, &detail)
}

/// Runs the monitor until it is told to stop, or has to. `ready` is told the addresses once both listeners answer.
///
/// # Errors
/// [`MonitorError`].
pub async fn run(monitor: Monitor, ready: impl FnOnce(Addresses)) -> Result<(), MonitorError> {
    let listen = &monitor.config.listen;
    let tls = match (&listen.tls_certificate, &listen.tls_key) {
        (Some(certificate), Some(key)) => Some(tls_config(certificate, key)?),
        (None, None) => None,
        _ => return Err(MonitorError::TlsHalf),
    };
    let has_tls = tls.is_some();
    let public = bind(listen.address, tls).await?;
    let admin = bind(monitor.config.admin.address, None).await?;
    let address = |listener: &Listener| {
        listener.address().map_err(|error| MonitorError::System("the address cannot be read", error))
    };
    let addresses = Addresses { public: address(&public)?, admin: address(&admin)?, tls: has_tls };

    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| MonitorError::System("signals cannot be handled", error))?;
    let metrics = Metrics::new();
    let connections = ListenMetrics(metrics.counters(
        "daybook_monitor_connections_total",
        "Connections by outcome.",
        "outcome",
    ));
    let gauges = Gauges::new(&metrics);
    let (failed, mut failures) = mpsc::channel(1);
    let newsroom = Newsroom::open(
        &monitor.folder,
        &monitor.config,
        &monitor.cases,
        &monitor.store,
        addresses.public,
        &*monitor.clock,
    )?;
    let pages = pages(newsroom.app(Arc::clone(&monitor.clock)));
    let newsroom_gauges = newsroom.gauges(&metrics);
    let mut threads = Threads::start(&monitor, &shutdown, &failed)?;
    let started = newsroom.start(&monitor.clock, &shutdown, &Handle::current());
    threads
        .running
        .extend(started.map_err(|error| MonitorError::System("a thread cannot be started", error))?);
    drop(failed);

    let health = AdminService::new(metrics, readiness(monitor.cases.clone()));
    let service = Front::new(HttpService::new(monitor.cases.clone(), threads.wake.clone()), pages);
    let limits = listen::Limits::default();
    let admin = listen::serve(admin, health, limits, shutdown.clone(), connections.clone());
    let admin = tokio::spawn(admin);
    let update = tokio::spawn(update(gauges, newsroom_gauges, monitor.cases.clone(), shutdown.clone()));
    ready(addresses);
    let served = listen::serve(public, service, limits, shutdown.clone(), connections);
    let failure = tokio::select! {
        left = served => {
            if left > 0 { tracing::warn!(left, "requests were cut off by the end"); }
            None
        }
        failure = failures.recv() => failure,
    };
    shutdown.ask();
    // Neither has anything to lose.
    let _ = (admin.await, update.await);
    let ended = tokio::task::spawn_blocking(move || threads.end()).await;
    ended.map_err(|error| MonitorError::System("the end went wrong", io::Error::other(error)))?;
    match failure.or(failures.recv().await) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

async fn update(gauges: Gauges, newsroom: NewsroomGauges, cases: Vec<Arc<Case>>, shutdown: Shutdown) {
    let all = Arc::new((gauges, newsroom));
    while !shutdown.is_asked() {
        let (all, cases) = (Arc::clone(&all), cases.clone());
        let read = move || {
            let logs = status_of(&cases).logs;
            all.0.update(&logs);
            all.1.update(&logs);
        };
        // A panic has ended the process.
        let _ = tokio::task::spawn_blocking(read).await;
        tokio::select! { () = tokio::time::sleep(GAUGES_PAUSE) => (), () = shutdown.asked() => () }
    }
}

async fn bind(address: SocketAddr, tls: Option<listen::ServerConfig>) -> Result<Listener, MonitorError> {
    Listener::bind(address, tls).await.map_err(|error| MonitorError::Bind(address, error))
}

/// The threads of a monitor.
struct Threads {
    running: Vec<JoinHandle<()>>,
    /// One for each log: looks at once. Dropped, or told, when the end is asked for.
    wake: Vec<SyncSender<()>>,
    stop_crosscheck: SyncSender<()>,
}

impl Threads {
    fn start(
        monitor: &Monitor,
        shutdown: &Shutdown,
        failed: &mpsc::Sender<CaseError>,
    ) -> Result<Self, MonitorError> {
        let (mut running, mut wake) = (Vec::new(), Vec::new());
        for case in &monitor.cases {
            // Before anything is verified: what was judged before is compared with what is verified now.
            let Some(replay) = Replay::open(Arc::clone(case))? else { continue };
            let ended = shutdown.clone();
            running.push(supervise("replay", failed, move || replay.run(&ended))?);
            let Some(values) = Values::open(Arc::clone(case), Arc::new(SystemRandom))? else { continue };
            let ended = shutdown.clone();
            running.push(supervise("values", failed, move || values.run(&ended))?);
        }
        for case in &monitor.cases {
            let (sender, woken) = sync_channel(1);
            let follower = Follower::new(Arc::clone(case), shutdown.clone())?;
            running.push(supervise("follower", failed, move || follower.run(&woken))?);
            wake.push(sender);
        }
        let (deliverer, ended) = (monitor.deliverer(), shutdown.clone());
        running.push(supervise("alerts", failed, move || deliverer.run(&ended))?);
        let (stop_crosscheck, stopped) = sync_channel(1);
        let (cases, network) = (monitor.cases.clone(), monitor.network.clone());
        let (peers, told) = (monitor.config.peers.clone(), wake.clone());
        let ended = shutdown.clone();
        running.push(supervise("crosscheck", failed, move || {
            crosscheck(&cases, &network, &peers, &told, &ended, &stopped)
        })?);
        Ok(Self { running, wake, stop_crosscheck })
    }

    /// The end was asked for: wakes everyone and waits. What failed has said so already.
    fn end(self) {
        for wake in &self.wake {
            let _ = wake.try_send(());
        }
        let _ = self.stop_crosscheck.try_send(());
        for thread in self.running {
            let _ = thread.join();
        }
    }
}

fn crosscheck(
    cases: &[Arc<Case>],
    network: &Network,
    peers: &[String],
    wake: &[SyncSender<()>],
    shutdown: &Shutdown,
    stopped: &Receiver<()>,
) -> Result<(), CaseError> {
    while !shutdown.is_asked() {
        for (case, wake) in cases.iter().zip(wake) {
            case.crosscheck(network, peers)?;
            // The follower settles what came, if it can; if it has been told already, it will.
            let _ = wake.try_send(());
        }
        // Told to stop, timed out, or nobody is left to tell.
        let _ = stopped.recv_timeout(CROSSCHECK_PAUSE);
    }
    Ok(())
}

fn supervise(
    name: &str,
    failed: &mpsc::Sender<CaseError>,
    work: impl FnOnce() -> Result<(), CaseError> + Send + 'static,
) -> Result<JoinHandle<()>, MonitorError> {
    let failed = failed.clone();
    let run = move || {
        if let Err(error) = work() {
            tracing::error!(%error, "the monitor has to stop: what it finds cannot be remembered");
            // If nobody listens, another part has failed before and the process is ending.
            let _ = failed.blocking_send(error);
        }
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| MonitorError::System("a thread cannot be started", error))
}

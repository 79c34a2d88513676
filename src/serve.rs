//! A log at work: the engine on threads of its own, two listeners, and an orderly end.
//!
//! Order of the end: the listener stops accepting and lets requests finish; the pool is shut and drained; the
//! publisher answers what is left; housekeeping makes everything durable. A part that fails ends the process
//! at once instead: the next start recovers, as after a power cut.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::clock::{Clock, SystemClock, SystemRandom};
use daemon::listen::{self, ListenMetrics, Listener, tls_config};
use daemon::metrics::{AdminService, Metrics};
use daemon::shutdown::Shutdown;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::cosign::{HttpCourier, WitnessMetrics};
use crate::http::HttpService;
use crate::http::health::{Gauges, readiness};
use crate::log::{Engine, EngineError, Log, OpenError, System, open};
use crate::probe::Probe;
use crate::records::RecordMetrics;
use crate::records::upkeep::Upkeep;
use crate::reindex::ReindexError;
use crate::sequencer::Step;
use crate::store::disk::RealDisk;
use crate::store::lock::FileLock;

/// How long an idle engine thread sleeps before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause between rounds of housekeeping, and of what a log of records does besides.
const HOUSEKEEPING_PAUSE: Duration = Duration::from_millis(200);

/// Why a log cannot be served, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The index cannot be filled.
    #[error(transparent)]
    Index(#[from] ReindexError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}; is another program using it? Change it in config.toml")]
    Bind(SocketAddr, io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] listen::TlsError),
    /// Only one of the two is set.
    #[error("config.toml: listen.tls_certificate and listen.tls_key are needed together")]
    TlsHalf,
    /// The engine stopped.
    #[error("the log had to stop: {0}")]
    Engine(#[from] EngineError),
    /// The process lacks something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// Where a log is reached.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The public listener.
    pub public: SocketAddr,
    /// Metrics and health.
    pub admin: SocketAddr,
    /// Whether the public listener speaks TLS.
    pub tls: bool,
}

/// Serves the log in `dir` until it is told to stop, or has to. `ready` is told the addresses once both
/// listeners answer; `filling` how far the index is while it is brought up to date before that.
///
/// # Errors
/// [`ServeError`].
pub fn serve(
    dir: &Path,
    config: Config,
    filling: impl FnMut(u64),
    ready: impl FnOnce(&Log, Addresses),
) -> Result<(), ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let disk = Arc::new(RealDisk::default());
    let courier = Arc::new(HttpCourier::new(config.witnesses.deadline.0));
    let random = Arc::new(SystemRandom);
    let system = System { clock: Arc::clone(&clock), random, disk, courier, probe: Probe::none() };
    let (log, mut engine) = open(dir, config, &system)?;
    let mut filling = filling;
    engine.fill_index(&log, |size| filling(size.get()))?;
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| ServeError::System("the runtime cannot be made", error))?;
    runtime.block_on(run(log, engine, clock, ready))
}

async fn run(
    log: Arc<Log>,
    engine: Engine,
    clock: Arc<dyn Clock>,
    ready: impl FnOnce(&Log, Addresses),
) -> Result<(), ServeError> {
    let settings = &log.config.listen;
    let tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(tls_config(certificate, key)?),
        (None, None) => None,
        _ => return Err(ServeError::TlsHalf),
    };
    let has_tls = tls.is_some();
    let public = bind(settings.address, tls).await?;
    let admin = bind(log.config.admin.address, None).await?;
    let address = |listener: &Listener| {
        listener.address().map_err(|error| ServeError::System("the listener has no address", error))
    };
    let addresses = Addresses { public: address(&public)?, admin: address(&admin)?, tls: has_tls };

    let metrics = Metrics::new();
    let connections = metrics.counters("daybook_connections_total", "Connections by outcome.", "outcome");
    let connections = ListenMetrics(connections);
    let limits = listen::Limits {
        connections_max: settings.connections_max,
        connections_per_client_max: settings.connections_per_client_max,
        ..listen::Limits::default()
    };
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| ServeError::System("signals cannot be handled", error))?;
    let gauges = Gauges::new(&metrics);
    if let Some(board) = &log.board {
        board.keep(WitnessMetrics::new(&metrics));
    }
    if let Some(records) = &log.records {
        records.keep(RecordMetrics::new(&metrics));
    }
    let service = HttpService::new(Arc::clone(&log), &clock, Arc::new(SystemRandom), &metrics);
    let health = AdminService::new(metrics, readiness(Arc::clone(&log), clock));

    let (failed, mut failures) = mpsc::channel(1);
    let threads = Threads::start(engine, Arc::clone(&log), gauges, &failed);
    drop(failed);
    let admin_shutdown = Shutdown::new();
    let admin_limits = listen::Limits { grace: Duration::ZERO, ..listen::Limits::default() };
    let admin = listen::serve(admin, health, admin_limits, admin_shutdown.clone(), connections.clone());
    let admin = tokio::spawn(admin);
    ready(&log, addresses);

    let served = listen::serve(public, service, limits, shutdown, connections);
    tokio::select! {
        left = served => if left > 0 { tracing::warn!(left, "requests were cut off by the end"); },
        // Nothing is to be saved: whatever is not durable was not answered.
        failure = failures.recv() => if let Some(error) = failure { return Err(error.into()); },
    }
    let ended = tokio::task::spawn_blocking(move || threads.end(&log)).await;
    admin_shutdown.ask();
    // The admin listener has nothing to lose.
    let _ = admin.await;
    ended.map_err(|error| ServeError::System("the end went wrong", io::Error::other(error)))?;
    failures.recv().await.map_or(Ok(()), |error| Err(error.into()))
}

async fn bind(address: SocketAddr, tls: Option<listen::ServerConfig>) -> Result<Listener, ServeError> {
    Listener::bind(address, tls).await.map_err(|error| ServeError::Bind(address, error))
}

/// The engine at work.
struct Threads {
    sequencer: JoinHandle<()>,
    publisher: JoinHandle<()>,
    housekeeper: JoinHandle<()>,
    stop_housekeeping: SyncSender<()>,
    /// In a log of records.
    upkeep: Option<JoinHandle<()>>,
    stop_upkeep: SyncSender<()>,
    /// Held until everything is durable.
    _lock: FileLock,
}

impl Threads {
    fn start(engine: Engine, log: Arc<Log>, gauges: Gauges, failed: &mpsc::Sender<EngineError>) -> Self {
        let Engine { mut sequencer, mut publisher, mut housekeeper, lock, .. } = engine;
        let (stop_housekeeping, stopped) = sync_channel(1);
        let (stop_upkeep, upkeep_stopped) = sync_channel(1);
        let records = Arc::clone(&log);
        let upkeep = log.records.is_some().then(|| {
            supervise("upkeep", failed, move || {
                let (mut upkeep, mut on) = (Upkeep::default(), true);
                // Once more at the end: what was published last is carried out.
                while on {
                    on = goes_on(&upkeep_stopped);
                    upkeep.step(&records);
                }
                Ok(())
            })
        });
        Self {
            upkeep,
            stop_upkeep,
            sequencer: supervise("sequencer", failed, move || {
                while sequencer.step(PATIENCE)? != Step::Ended {}
                Ok(())
            }),
            publisher: supervise("publisher", failed, move || {
                while publisher.step(PATIENCE)?.is_ok() {}
                Ok(())
            }),
            housekeeper: supervise("housekeeper", failed, move || {
                while goes_on(&stopped) {
                    housekeeper.step()?;
                    gauges.update(&log);
                }
                Ok(housekeeper.finish()?)
            }),
            stop_housekeeping,
            _lock: lock,
        }
    }

    /// What failed has said so already.
    fn end(self, log: &Log) {
        log.pool.end();
        let _ = self.sequencer.join();
        log.unpublished.end();
        let _ = self.publisher.join();
        drop(self.stop_upkeep);
        let _ = self.upkeep.map(JoinHandle::join);
        drop(self.stop_housekeeping);
        let _ = self.housekeeper.join();
    }
}

/// Waits for the next round; false once there is to be none.
fn goes_on(stopped: &Receiver<()>) -> bool {
    stopped.recv_timeout(HOUSEKEEPING_PAUSE) == Err(RecvTimeoutError::Timeout)
}

fn supervise(
    name: &str,
    failed: &mpsc::Sender<EngineError>,
    work: impl FnOnce() -> Result<(), EngineError> + Send + 'static,
) -> JoinHandle<()> {
    let failed = failed.clone();
    let run = move || {
        if let Err(error) = work() {
            tracing::error!(%error, "the log has to stop; restart it when the cause is gone");
            // If nobody listens, another part has failed before and the process is ending.
            let _ = failed.blocking_send(error);
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the system has threads")
}

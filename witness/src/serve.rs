//! One process, one or several witnesses on one listener, and an orderly end.
//!
//! Every witness has its own directory, keys, state and writer thread. The listener's settings are those of the first
//! one. Order of the end: the listener stops accepting and lets requests finish; then the writers have nobody left
//! who could ask, and end after their last commit. A writer that fails ends the process at once: the next start
//! reads everything anew.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use daemon::bastion::{Bastion, BastionError, Surroundings};
use daemon::clock::{Clock, SystemClock, SystemRandom};
use daemon::fetch::{FetchOptions, Fetcher};
use daemon::listen::{self, ListenMetrics, Listener, tls_config};
use daemon::metrics::{AdminService, Metrics, Readiness};
use daemon::shutdown::Shutdown;
use prometheus::IntGauge;
use tlog::hash::sha256;
use tokio::sync::mpsc;

use crate::config::Listen;
use crate::init::{OpenError, bastion_key, open};
use crate::lists::{self, ListMetrics};
use crate::probe::Probe;
use crate::service::{WitnessService, prefix};
use crate::state::State;
use crate::witness::Witness;
use crate::writer::{Writer, WriterError, WriterMetrics};

/// Witnesses in one process.
pub const WITNESSES_MAX: usize = 64;
/// How often the state is asked whether the command line has changed the roster.
const ROSTER_PERIOD: Duration = Duration::from_millis(500);
/// How long the end waits for what reads the disk.
const RUNTIME_END_MAX: Duration = Duration::from_secs(5);

/// Why witnesses cannot be served, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// One cannot be opened.
    #[error("{dir}: {1}", dir = .0.display())]
    Open(PathBuf, OpenError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}; is another program using it? Change it in config.toml")]
    Bind(SocketAddr, io::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] listen::TlsError),
    /// A bastion cannot be used.
    #[error("config.toml: {0}")]
    Bastion(#[from] BastionError),
    /// None, or too many.
    #[error("give between 1 and {WITNESSES_MAX} directories")]
    Count,
    /// A writer stopped.
    #[error("the witness had to stop: {0}")]
    Writer(#[from] WriterError),
    /// The process lacks something.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// Where one witness is reached.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Its name.
    pub name: String,
    /// What comes before `/add-checkpoint`.
    pub url: String,
    /// Its verifier keys.
    pub vkeys: Vec<String>,
}

/// Where everything is reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The public listener.
    pub url: String,
    /// Metrics and health.
    pub admin_url: String,
    /// The witnesses, in the order of their directories.
    pub witnesses: Vec<Reached>,
}

/// Overrides of the settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listening {
    /// Instead of `listen.address`.
    pub public: Option<SocketAddr>,
    /// Instead of `admin.address`.
    pub admin: Option<SocketAddr>,
}

/// Serves the witnesses in `dirs` until the process is told to stop, or has to. `ready` is told where they are once
/// both listeners answer.
///
/// # Errors
/// [`ServeError`].
pub fn serve(
    dirs: &[PathBuf],
    listening: Listening,
    ready: impl FnOnce(&Addresses),
) -> Result<(), ServeError> {
    if dirs.is_empty() || dirs.len() > WITNESSES_MAX {
        return Err(ServeError::Count);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::new();
    let writer_metrics = WriterMetrics::new(&metrics);
    let (mut witnesses, mut writers) = (Vec::new(), Vec::new());
    for dir in dirs {
        let failed = |error| ServeError::Open(dir.clone(), error);
        let opened = open(dir, &*clock).map_err(failed)?;
        let (witness, writer) =
            Witness::new(opened, Arc::clone(&clock), Probe::none(), writer_metrics.clone())
                .map_err(failed)?;
        witnesses.push(Arc::new(witness));
        writers.push(writer);
    }
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| ServeError::System("the runtime cannot be made", error))?;
    let (failed, failures) = mpsc::channel(1);
    let threads: Vec<JoinHandle<()>> = writers.into_iter().map(|writer| start(writer, &failed)).collect();
    drop(failed);
    let served = runtime.block_on(run(witnesses, listening, &metrics, failures, ready));
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    if served.is_ok() {
        for thread in threads {
            // A writer that failed has said so already.
            let _ = thread.join();
        }
    }
    served
}

fn start(writer: Writer, failed: &mpsc::Sender<WriterError>) -> JoinHandle<()> {
    let failed = failed.clone();
    let work = move || {
        if let Err(error) = writer.run() {
            tracing::error!(%error, "the witness has to stop; restart it when the cause is gone");
            // If nobody listens, another writer has failed before and the process is ending.
            let _ = failed.blocking_send(error);
        }
    };
    std::thread::Builder::new().name("writer".to_owned()).spawn(work).expect("the system has threads")
}

async fn run(
    witnesses: Vec<Arc<Witness>>,
    listening: Listening,
    metrics: &Metrics,
    mut failures: mpsc::Receiver<WriterError>,
    ready: impl FnOnce(&Addresses),
) -> Result<(), ServeError> {
    let first = witnesses[0].config.clone();
    let (public, tls) = bind_public(&first.listen, listening.public).await?;
    let admin = bind(listening.admin.unwrap_or(first.admin.address), None).await?;
    let addresses = addresses(&witnesses, &public, tls, &admin)?;
    let connections =
        metrics.counters("daybook_witness_connections_total", "Connections by outcome.", "outcome");
    let connections = ListenMetrics(connections);
    let limits = listen::Limits {
        connections_max: first.listen.connections_max,
        connections_per_client_max: first.listen.connections_per_client_max,
        ..listen::Limits::default()
    };
    let shutdown = Shutdown::new();
    shutdown.on_signals().map_err(|error| ServeError::System("signals cannot be handled", error))?;
    let gauges = Arc::new(Gauges::new(metrics));
    let followers: Vec<_> = witnesses
        .iter()
        .map(|witness| tokio::spawn(follow_roster(Arc::clone(witness), shutdown.clone())))
        .collect();
    let lists = follow_lists(&witnesses, metrics, &shutdown);
    let service = WitnessService::new(witnesses.clone(), Arc::new(SystemRandom), metrics);
    let through = bastions(&witnesses, &service, &shutdown, &connections, metrics)?;
    let gauging = tokio::spawn(gauge(witnesses.clone(), gauges, shutdown.clone()));
    let health = AdminService::new(metrics.clone(), readiness(witnesses));
    let admin_shutdown = Shutdown::new();
    let admin_limits = listen::Limits { grace: Duration::ZERO, ..listen::Limits::default() };
    let admin = listen::serve(admin, health, admin_limits, admin_shutdown.clone(), connections.clone());
    let admin = tokio::spawn(admin);
    ready(&addresses);

    let served = listen::serve(public, service, limits, shutdown, connections);
    tokio::select! {
        left = served => if left > 0 { tracing::warn!(left, "requests were cut off by the end"); },
        // Nothing is to be saved: whatever is not durable was not answered.
        failure = failures.recv() => if let Some(error) = failure { return Err(error.into()); },
    }
    for task in followers.into_iter().chain(lists).chain(through) {
        // Its end has nothing to say.
        let _ = task.await;
    }
    let _ = gauging.await;
    admin_shutdown.ask();
    // The admin listener has nothing to lose.
    let _ = admin.await;
    Ok(())
}

async fn bind_public(settings: &Listen, instead: Option<SocketAddr>) -> Result<(Listener, bool), ServeError> {
    let tls = match (&settings.tls_certificate, &settings.tls_key) {
        (Some(certificate), Some(key)) => Some(tls_config(certificate, key)?),
        _ => None,
    };
    let has_tls = tls.is_some();
    Ok((bind(instead.unwrap_or(settings.address), tls).await?, has_tls))
}

async fn bind(address: SocketAddr, tls: Option<listen::ServerConfig>) -> Result<Listener, ServeError> {
    Listener::bind(address, tls).await.map_err(|error| ServeError::Bind(address, error))
}

fn addresses(
    witnesses: &[Arc<Witness>],
    public: &Listener,
    tls: bool,
    admin: &Listener,
) -> Result<Addresses, ServeError> {
    let address = |listener: &Listener| {
        listener.address().map_err(|error| ServeError::System("the listener has no address", error))
    };
    let url = format!("{}://{}", if tls { "https" } else { "http" }, address(public)?);
    let reached = |(at, witness): (usize, &Arc<Witness>)| Reached {
        name: witness.keys().name().to_string(),
        url: format!("{url}{}", prefix(at, witnesses.len())),
        vkeys: witness.keys().verifier_keys().iter().map(ToString::to_string).collect(),
    };
    let witnesses = witnesses.iter().enumerate().map(reached).collect();
    Ok(Addresses { url, admin_url: format!("http://{}", address(admin)?), witnesses })
}

fn readiness(witnesses: Vec<Arc<Witness>>) -> Arc<Readiness> {
    Arc::new(move || witnesses.iter().try_for_each(|witness| witness.readiness()))
}

/// Takes over what the command line changes in the roster while the witness serves.
async fn follow_roster(witness: Arc<Witness>, shutdown: Shutdown) {
    while !ends_within(&shutdown, ROSTER_PERIOD).await {
        let witness = Arc::clone(&witness);
        let refreshed = tokio::task::spawn_blocking(move || witness.refresh_roster()).await;
        if let Ok(Err(error)) = refreshed {
            tracing::error!(%error, "the roster of logs cannot be read");
        }
    }
}

/// Each witness is reached through its own bastions, without a number before its paths.
fn bastions(
    witnesses: &[Arc<Witness>],
    service: &WitnessService,
    shutdown: &Shutdown,
    connections: &ListenMetrics,
    metrics: &Metrics,
) -> Result<Vec<tokio::task::JoinHandle<()>>, ServeError> {
    let connected = metrics.gauge("daybook_witness_bastions_connected", "Connections to bastions.");
    let mut tasks = Vec::new();
    for (at, witness) in witnesses.iter().enumerate() {
        for settings in &witness.config.bastions {
            let key =
                bastion_key(&witness.dir).map_err(|error| ServeError::Open(witness.dir.clone(), error))?;
            let bastion = Bastion::new(&settings.address, settings.ca_certificate.as_deref(), key.as_ref())?;
            let path = sha256(bastion.public_key());
            tracing::info!(bastion = settings.address, %path, "this witness is reached through a bastion");
            let around = Surroundings {
                clock: Arc::new(SystemClock),
                random: Arc::new(SystemRandom),
                limits: listen::Limits::default(),
                shutdown: shutdown.clone(),
                metrics: connections.clone(),
                connected: connected.clone(),
            };
            tasks.push(tokio::spawn(bastion.serve(service.of_one(at), around)));
        }
    }
    Ok(tasks)
}

fn follow_lists(
    witnesses: &[Arc<Witness>],
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Vec<tokio::task::JoinHandle<()>> {
    let fetcher = Fetcher::new(FetchOptions::default());
    let metrics = ListMetrics::new(metrics);
    let lists = witnesses
        .iter()
        .flat_map(|witness| witness.config.lists.iter().map(move |list| (Arc::clone(witness), list.clone())));
    let follow = |(witness, list)| {
        tokio::spawn(lists::follow(witness, list, fetcher.clone(), metrics.clone(), shutdown.clone()))
    };
    lists.map(follow).collect()
}

/// Waits for so long; `true` if the end was asked for meanwhile.
pub(crate) async fn ends_within(shutdown: &Shutdown, period: Duration) -> bool {
    tokio::time::timeout(period, shutdown.asked()).await.is_ok()
}

struct Gauges {
    logs: IntGauge,
    last_cosigned: IntGauge,
    evidence: IntGauge,
}

impl Gauges {
    fn new(metrics: &Metrics) -> Self {
        Self {
            logs: metrics.gauge("daybook_witness_logs", "Logs that are followed."),
            last_cosigned: metrics.gauge(
                "daybook_witness_last_cosigned_seconds",
                "Time of the last cosignature, in seconds since 1970.",
            ),
            evidence: metrics.gauge("daybook_witness_evidence", "Contradictions that are kept."),
        }
    }

    fn update(&self, witnesses: &[Arc<Witness>]) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.logs.set(gauge(witnesses.iter().map(|witness| witness.logs.count() as u64).sum()));
        let last = witnesses.iter().map(|witness| witness.last_cosigned()).max().unwrap_or(0);
        self.last_cosigned.set(gauge(last));
        let kept = witnesses.iter().map(|witness| witness.read(State::evidence_count).unwrap_or(0)).sum();
        self.evidence.set(gauge(kept));
    }
}

async fn gauge(witnesses: Vec<Arc<Witness>>, gauges: Arc<Gauges>, shutdown: Shutdown) {
    loop {
        let (gauges, witnesses) = (Arc::clone(&gauges), witnesses.clone());
        // A failure to count is told by the next reader of the state.
        let _ = tokio::task::spawn_blocking(move || gauges.update(&witnesses)).await;
        if ends_within(&shutdown, ROSTER_PERIOD).await {
            return;
        }
    }
}

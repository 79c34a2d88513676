//! The listener: HTTP/1.1 and HTTP/2 on hyper, with a limit on everything a client can hold on to.
//!
//! | What | Limit |
//! |---|---|
//! | headers | [`HEADER_BYTES_MAX`], within [`Limits::header_timeout`] |
//! | request body | the handler's, through [`body::read_body`]: size, idle time, total time |
//! | a connection on which no byte moves | [`Limits::idle_timeout`] |
//! | a client that reads too slowly | [`RATE_BYTES_PER_SECOND_MIN`] while a response waits for it |
//! | a client that does not take one answer of many | the handler's, through [`HangUp`] |
//! | connections | [`Limits::connections_max`], and [`Limits::connections_per_client_max`] for each address |
//!
//! Beyond the connection limits a connection is counted, told so (429 or 503) and closed. Shutdown lets requests finish within
//! a grace time. Errors while accepting (no file descriptors left) wait and go on; they never end the loop.

pub mod body;
mod refuse;
mod tls;
mod watch;

pub use rustls::ServerConfig;
pub use tls::{TlsError, tls_config};

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::IntCounterVec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::shutdown::Shutdown;
use refuse::{Over, Refusals};
use watch::Watched;

/// The most bytes of request line and headers.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// The most headers.
const HEADERS_MAX: usize = 64;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// What one HTTP/2 connection may have sent before it is read, over all its streams.
const WINDOW_BYTES: u32 = 128 * 1024;
/// What waits to be sent on one HTTP/2 stream.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// Slower readers are cut off.
pub const RATE_BYTES_PER_SECOND_MIN: u64 = 1024;
/// How long to wait after the system could not accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// Without a byte in either direction.
    pub idle_timeout: Duration,
    /// Requests that run at shutdown may take this long.
    pub grace: Duration,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_client_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            grace: Duration::from_secs(20),
            connections_max: 4096,
            connections_per_client_max: 1024,
        }
    }
}

/// Connections by outcome: `accepted`, `over_limit`, `over_client_limit`, `tls`, `slow`, `error`.
#[derive(Clone, Debug)]
pub struct ListenMetrics(pub IntCounterVec);

impl ListenMetrics {
    fn count(&self, outcome: &str) {
        self.0.with_label_values(&[outcome]).inc();
    }
}

/// Who sent a request; the listener puts it into each request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Ends the connection that a request came on, with every request on it; the listener puts one into each request's
/// extensions. For answers that their client does not take: bytes that move do not show that, where many answers share
/// a connection.
#[derive(Clone, Debug)]
pub struct HangUp(Arc<Notify>);

impl HangUp {
    /// Ends the connection soon, counted as `slow`.
    pub fn hang_up(&self) {
        self.0.notify_one();
    }
}

/// A service that tells each request who sent it.
#[derive(Clone)]
struct Addressed<S> {
    service: S,
    client: ClientAddress,
    hang_up: HangUp,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Addressed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client);
        request.extensions_mut().insert(self.hang_up.clone());
        self.service.call(request)
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
}

impl Listener {
    /// Binds the address; with `tls`, only TLS is spoken.
    ///
    /// # Errors
    /// The system's answer.
    pub async fn bind(address: SocketAddr, tls: Option<rustls::ServerConfig>) -> std::io::Result<Self> {
        Ok(Self { tcp: TcpListener::bind(address).await?, tls: tls.map(Arc::new) })
    }

    /// The address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// The system's answer.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Who is connected. A slot is given back when it is dropped.
#[derive(Debug, Default)]
struct Connections {
    total: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

struct Slot {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    fn take(self: &Arc<Self>, client: IpAddr, limits: &Limits) -> Result<Slot, Over> {
        if self.total.load(Ordering::Acquire) >= limits.connections_max {
            return Err(Over::All);
        }
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_client.entry(client).or_insert(0);
        if *count >= limits.connections_per_client_max {
            return Err(Over::Client);
        }
        *count += 1;
        self.total.fetch_add(1, Ordering::AcqRel);
        Ok(Slot { connections: Arc::clone(self), client })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.total.fetch_sub(1, Ordering::AcqRel);
        let mut by_client = self.connections.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

/// Serves until shutdown is asked for. Returns how many connections had to be cut off at the end.
pub async fn serve<S, B>(
    listener: Listener,
    service: S,
    limits: Limits,
    shutdown: Shutdown,
    metrics: ListenMetrics,
) -> usize
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let connections = Arc::new(Connections::default());
    let refusals = Refusals::default();
    let builder = Arc::new(connection_builder(&limits));
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = shutdown.asked() => break,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections at the moment");
                metrics.count("error");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let slot = match connections.take(client.ip(), &limits) {
            Ok(slot) => slot,
            Err(over) => {
                metrics.count(over.label());
                if listener.tls.is_none() {
                    refusals.refuse(stream, client, over);
                }
                continue;
            }
        };
        metrics.count("accepted");
        // Small answers must not wait for the client's acknowledgement of the last one.
        let _ = stream.set_nodelay(true);
        let hang_up = HangUp(Arc::new(Notify::new()));
        let service = Addressed {
            service: service.clone(),
            client: ClientAddress(client.ip()),
            hang_up: hang_up.clone(),
        };
        let connection = Connection {
            builder: Arc::clone(&builder),
            service,
            hang_up,
            limits,
            shutdown: shutdown.clone(),
            metrics: metrics.clone(),
        };
        let tls = listener.tls.clone();
        tokio::spawn(async move {
            connection.accept(stream, tls).await;
            drop(slot);
        });
    }
    drop(listener);
    wait_for_the_end(&connections, limits.grace).await
}

async fn wait_for_the_end(connections: &Connections, grace: Duration) -> usize {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while connections.total.load(Ordering::Acquire) > 0 && waited < grace {
        tokio::time::sleep(step).await;
        waited += step;
    }
    connections.total.load(Ordering::Acquire)
}

fn connection_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEADER_BYTES_MAX.max(8192))
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).expect("a small constant"))
        .keep_alive_interval(Some(limits.idle_timeout / 2))
        .keep_alive_timeout(limits.header_timeout);
    builder
}

/// Serves HTTP/2 on a connection that is there already, until it ends or shutdown is asked for. The limits are those of
/// a listener, as far as they concern one connection.
pub async fn serve_http2<I, S, B>(
    stream: I,
    service: S,
    limits: Limits,
    shutdown: Shutdown,
    metrics: ListenMetrics,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let builder = Arc::new(connection_builder(&limits).http2_only());
    let hang_up = HangUp(Arc::new(Notify::new()));
    Connection { builder, service, hang_up, limits, shutdown, metrics }.run(stream).await;
}

struct Connection<S> {
    builder: Arc<auto::Builder<TokioExecutor>>,
    service: S,
    hang_up: HangUp,
    limits: Limits,
    shutdown: Shutdown,
    metrics: ListenMetrics,
}

impl<S, B> Connection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn accept(self, stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) {
        let Some(config) = tls else { return self.run(stream).await };
        let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(self.limits.header_timeout, handshake).await {
            Ok(Ok(stream)) => self.run(stream).await,
            _ => self.metrics.count("tls"),
        }
    }

    async fn run<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: I) {
        let (stream, watch) = Watched::new(stream);
        let connection = self.builder.serve_connection(TokioIo::new(stream), self.service.clone());
        tokio::pin!(connection);
        let mut stopping = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if result.is_err() {
                        self.metrics.count("error");
                    }
                    return;
                }
                () = watch.too_slow(self.limits.idle_timeout) => {
                    self.metrics.count("slow");
                    return;
                }
                () = self.hang_up.0.notified() => {
                    self.metrics.count("slow");
                    return;
                }
                () = self.shutdown.asked(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

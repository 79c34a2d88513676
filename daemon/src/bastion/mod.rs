//! A backend of a bastion (C2SP https-bastion): a server that is reached although its host has no open port.
//!
//! It connects out to the bastion over TLS 1.3 with ALPN `bastion/0`, shows its Ed25519 key in a self-signed
//! certificate, and then serves HTTP/2 on that connection as if the other side had made it. A connection that ends is
//! made again, after a pause that grows.

mod certificate;

pub use certificate::{NotEd25519, self_signed};

use std::convert::Infallible;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use prometheus::IntGauge;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::{Clock, Random};
use crate::listen::{Limits, ListenMetrics, serve_http2};
use crate::shutdown::Shutdown;

const ALPN: &[u8] = b"bastion/0";
/// What the certificate calls the backend; the bastion looks at its key alone.
const BACKEND_NAME: &str = "backend.invalid";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// A connection that lasted so long was a good one: the next pause is short again.
const GOOD_CONNECTION: Duration = Duration::from_secs(60);

/// Why a bastion cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BastionError {
    /// No host and port.
    #[error("{0:?} is no bastion: write host:port")]
    Address(String),
    /// The host has no name that a certificate could have.
    #[error("{0:?} is no bastion: {1}")]
    Name(String, InvalidDnsNameError),
    /// The certificate authorities cannot be read.
    #[error("{file}: no usable PEM certificates in it: {1}", file = .0.display())]
    Authorities(PathBuf, String),
    /// The key is of another kind.
    #[error(transparent)]
    Key(#[from] NotEd25519),
    /// TLS refuses.
    #[error("TLS to the bastion cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection failed.
    #[error("{0}: {1}")]
    Connect(String, std::io::Error),
    /// The bastion speaks something else.
    #[error("{0} does not speak bastion/0")]
    Alpn(String),
}

/// A bastion, and the key that it knows this backend by.
#[derive(Clone)]
pub struct Bastion {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
    public_key: Vec<u8>,
}

impl std::fmt::Debug for Bastion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bastion").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a backend needs of its process.
#[derive(Clone)]
pub struct Surroundings {
    /// Measures how long a connection lasted.
    pub clock: Arc<dyn Clock>,
    /// Spreads the pauses.
    pub random: Arc<dyn Random>,
    /// What each connection allows.
    pub limits: Limits,
    /// Ends everything.
    pub shutdown: Shutdown,
    /// Counts connections.
    pub metrics: ListenMetrics,
    /// Connections to bastions at the moment.
    pub connected: IntGauge,
}

impl Bastion {
    /// A bastion at `host:port`. `authorities` is a PEM file that stands in for the web's certificate authorities;
    /// `key` an Ed25519 key as PKCS#8.
    ///
    /// # Errors
    /// [`BastionError`].
    pub fn new(address: &str, authorities: Option<&Path>, key: &[u8]) -> Result<Self, BastionError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (host, _) = address.rsplit_once(':').ok_or_else(|| BastionError::Address(address.to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            ServerName::try_from(host).map_err(|error| BastionError::Name(address.to_owned(), error))?;
        let der = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let signing = provider.key_provider.load_private_key(der())?;
        let certificate = self_signed(&*signing, BACKEND_NAME)?;
        let public = signing.public_key().ok_or(NotEd25519)?;
        // The last 32 bytes of an Ed25519 SubjectPublicKeyInfo are the key.
        let public_key = public.last_chunk::<32>().ok_or(NotEd25519)?.to_vec();
        let roots = roots(authorities)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], der())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { address: address.to_owned(), name, tls, public_key })
    }

    /// The Ed25519 public key; the first segment of the backend's paths at the bastion is its SHA-256.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Serves through the bastion until shutdown is asked for.
    pub async fn serve<S, B>(self, service: S, around: Surroundings)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut pause = PAUSE_MIN;
        loop {
            let connected = tokio::select! {
                connected = self.connect() => connected,
                () = around.shutdown.asked() => return,
            };
            let began = around.clock.monotonic();
            match connected {
                Ok(stream) => {
                    tracing::info!(bastion = self.address, "connected to the bastion");
                    around.connected.inc();
                    let (shutdown, metrics) = (around.shutdown.clone(), around.metrics.clone());
                    serve_http2(stream, service.clone(), around.limits, shutdown, metrics).await;
                    around.connected.dec();
                    tracing::warn!(bastion = self.address, "the connection to the bastion ended");
                }
                Err(error) => tracing::warn!(%error, "the bastion cannot be reached"),
            }
            if around.clock.monotonic().saturating_sub(began) >= GOOD_CONNECTION {
                pause = PAUSE_MIN;
            }
            let waited = tokio::time::timeout(spread(pause, &*around.random), around.shutdown.asked()).await;
            if waited.is_ok() {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, BastionError> {
        let failed = |error| BastionError::Connect(self.address.clone(), error);
        let connecting = async {
            let tcp = TcpStream::connect(&self.address).await?;
            // Small answers must not wait for the other side's acknowledgement of the last one.
            let _ = tcp.set_nodelay(true);
            self.tls.connect(self.name.clone(), tcp).await
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let stream = connected.map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        if stream.get_ref().1.alpn_protocol() == Some(ALPN) {
            Ok(stream)
        } else {
            Err(BastionError::Alpn(self.address.clone()))
        }
    }
}

fn roots(authorities: Option<&Path>) -> Result<rustls::RootCertStore, BastionError> {
    let Some(path) = authorities else {
        return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
    };
    let bad = |error: String| BastionError::Authorities(path.to_owned(), error);
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(bad("there is none".to_owned())) } else { Ok(roots) }
}

/// Between the pause and half as much again, so that backends do not come back together.
fn spread(pause: Duration, random: &dyn Random) -> Duration {
    let mut byte = [0];
    random.fill(&mut byte);
    pause + pause * u32::from(byte[0]) / 510
}

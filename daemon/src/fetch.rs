//! The outbound HTTP client: `http://` and `https://`, keep-alive, and a limit on everything a server can do to it.
//!
//! Redirects are not followed. A GET is tried again after a refused connection or a 503, a few times, with the
//! server's `Retry-After` respected up to a bound; a POST never is.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Times a GET is tried.
const ATTEMPTS_MAX: u32 = 4;
/// The longest wait between two of them.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// A body must bring [`WINDOW_BYTES_MIN`] in each such window, or end in it.
const WINDOW: Duration = Duration::from_secs(10);
/// The least pace of a body, in bytes a window.
const WINDOW_BYTES_MIN: usize = 10 * 1024;
/// Idle connections kept to one host.
const IDLE_CONNECTIONS_MAX: usize = 32;
/// How long an idle connection is kept: longer than the minute that many of our clients wait between requests.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(90);

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// To connect.
    pub connect_timeout: Duration,
    /// From the first byte of the request to the last of the answer.
    pub total_timeout: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), total_timeout: Duration::from_secs(60) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is no URL for this client.
    #[error("{0:?} is not an http:// or https:// URL")]
    Url(String),
    /// The server could not be reached, or broke off.
    #[error("{url}: {error}; is the address right, and the server running?")]
    Network {
        /// What was asked for.
        url: String,
        /// What happened.
        error: String,
    },
    /// It took too long.
    #[error("{0}: no complete answer within the time allowed")]
    TimedOut(String),
    /// The answer is too long.
    #[error("{url}: the answer has more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The answer is not compressed as it says.
    #[error("{0}: the answer's gzip encoding is damaged")]
    Encoding(String),
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

/// A client. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    options: FetchOptions,
}

impl Fetcher {
    /// A client with the web's certificate authorities.
    #[must_use]
    pub fn new(options: FetchOptions) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(options.connect_timeout));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .expect("the provider has safe protocol versions")
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(https);
        Self { client, options }
    }

    /// Fetches, with at most `bytes_max` bytes after decompression.
    ///
    /// # Errors
    /// [`FetchError`]; an answer with an error status is no error here.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Fetched, FetchError> {
        self.get_with(url, HeaderMap::new(), bytes_max).await
    }

    /// Fetches with more headers.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn get_with(
        &self,
        url: &str,
        headers: HeaderMap,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let mut wait = Duration::from_millis(200);
        for attempt in 1.. {
            let result = self.send(Method::GET, url, &headers, Bytes::new(), bytes_max).await;
            let again = match &result {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    retry_after(answer).unwrap_or(wait)
                }
                Err(FetchError::Network { .. }) => wait,
                _ => return result,
            };
            if attempt == ATTEMPTS_MAX {
                return result;
            }
            tokio::time::sleep(again.min(RETRY_WAIT_MAX)).await;
            wait *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// Fetches, and does not try again.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn get_once(&self, url: &str, bytes_max: usize) -> Result<Fetched, FetchError> {
        self.send(Method::GET, url, &HeaderMap::new(), Bytes::new(), bytes_max).await
    }

    /// Posts, once.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.send(Method::POST, url, &headers, body, bytes_max).await
    }

    /// Sends a request of any kind, once.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<Fetched, FetchError> {
        let uri: Uri = url.parse().map_err(|_| FetchError::Url(url.to_owned()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(FetchError::Url(url.to_owned()));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let sent = request.headers_mut();
        sent.extend(headers.clone());
        sent.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("daybook/", env!("CARGO_PKG_VERSION"))),
        );
        sent.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| network(url, &error))?;
            let (parts, body) = response.into_parts();
            let body = read(url, body, bytes_max).await?;
            let body = decode(url, &parts.headers, body, bytes_max)?;
            Ok(Fetched { status: parts.status, headers: parts.headers, body })
        };
        let timed = tokio::time::timeout(self.options.total_timeout, exchange).await;
        timed.map_err(|_| FetchError::TimedOut(url.to_owned()))?
    }
}

fn network(url: &str, error: &dyn std::error::Error) -> FetchError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    FetchError::Network { url: url.to_owned(), error: text }
}

fn retry_after(answer: &Fetched) -> Option<Duration> {
    let seconds = answer.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads a body to its end. One that drips is cut off after a window, one that does not end by its size.
async fn read(url: &str, mut body: Incoming, bytes_max: usize) -> Result<Bytes, FetchError> {
    let mut all = BytesMut::new();
    loop {
        let enough = all.len() + WINDOW_BYTES_MIN;
        let window = tokio::time::timeout(WINDOW, read_until(url, &mut body, &mut all, enough, bytes_max));
        if window.await.map_err(|_| FetchError::TimedOut(url.to_owned()))?? {
            return Ok(all.freeze());
        }
    }
}

/// Reads on until `all` has `enough` bytes; `true` at the end of the body.
async fn read_until(
    url: &str,
    body: &mut Incoming,
    all: &mut BytesMut,
    enough: usize,
    bytes_max: usize,
) -> Result<bool, FetchError> {
    while all.len() < enough {
        let Some(frame) = body.frame().await else { return Ok(true) };
        let Ok(data) = frame.map_err(|error| network(url, &error))?.into_data() else { continue };
        if all.len() + data.len() > bytes_max {
            return Err(FetchError::TooLarge { url: url.to_owned(), bytes_max });
        }
        all.extend_from_slice(&data);
    }
    Ok(false)
}

/// Decompresses, never to more than `bytes_max` bytes.
fn decode(url: &str, headers: &HeaderMap, body: Bytes, bytes_max: usize) -> Result<Bytes, FetchError> {
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let limit = bytes_max as u64 + 1;
    let read = flate2::read::GzDecoder::new(&body[..]).take(limit).read_to_end(&mut plain);
    match read {
        Err(_) => Err(FetchError::Encoding(url.to_owned())),
        Ok(bytes) if bytes > bytes_max => Err(FetchError::TooLarge { url: url.to_owned(), bytes_max }),
        Ok(_) => Ok(plain.into()),
    }
}

//! Webhooks: a signed POST to an address that was checked after its name was resolved.
//!
//! ```text
//! POST /hook HTTP/1.1
//! Content-Type: application/json
//! Daybook-Signature: t=1790000000,v1=<hex of HMAC-SHA-256 over "1790000000." and the body>
//!
//! {"alerts":[..]}
//! ```
//!
//! The connection goes to exactly the addresses that were checked: the connector resolves names with [`Checked`], which
//! leaves out what is not allowed, and an address in the URL itself is checked before. Redirects are not followed. Any
//! status from 200 to 299 is a delivery.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;

use super::address::is_public;

/// To connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the first byte of the request to the status.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The shortest secret that is any.
pub const SECRET_BYTES_MIN: usize = 16;

/// A webhook.
#[derive(Clone)]
pub struct Webhook {
    url: Uri,
    secret: Vec<u8>,
    client: Client<HttpsConnector<HttpConnector<Checked>>, Full<Bytes>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host()).finish_non_exhaustive()
    }
}

/// Resolves names to addresses that may be reached.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    allow_private: bool,
}

impl Checked {
    fn allows(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

/// Why an address is not reached.
fn refused(host: &str) -> String {
    format!(
        "{host} is an address of this machine or of a private network; set allow_private if that is meant"
    )
}

impl tower_service::Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let checked = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| checked.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(std::io::Error::other(refused(name.as_str())));
            }
            Ok(allowed.into_iter())
        })
    }
}

impl Webhook {
    /// A webhook to this URL.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(url: &str, secret: Vec<u8>, allow_private: bool) -> Result<Self, String> {
        let url: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let host = url.host().ok_or_else(|| format!("{url} has no host"))?;
        let checked = Checked { allow_private };
        match url.scheme_str() {
            Some("https") => (),
            Some("http") if allow_private => (),
            _ => return Err(format!("{url}: only https:// is possible; http:// with allow_private")),
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("the URL must not have a name or a password in it".to_owned());
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !checked.allows(address)) {
            return Err(refused(host));
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("the secret has fewer than {SECRET_BYTES_MIN} bytes"));
        }
        let mut connector = HttpConnector::new_with_resolver(checked);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| error.to_string())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, secret, client })
    }

    /// Sends a body, signed.
    ///
    /// # Errors
    /// Why it was not taken, in words.
    pub async fn send(&self, body: String, now: u64) -> Result<(), String> {
        let signature = sign(&self.secret, now, body.as_bytes());
        let mut request = Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("daybook-monitor/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let value = HeaderValue::from_str(&signature).expect("a signature is plain");
        request.headers_mut().insert("daybook-signature", value);
        let answer = tokio::time::timeout(TOTAL_TIMEOUT, self.client.request(request)).await;
        let answer = answer.map_err(|_| "no answer within the time allowed".to_owned())?;
        let status = answer.map_err(|error| causes(&error))?.status();
        if status.is_success() {
            return Ok(());
        }
        let hint =
            if status.is_redirection() { "; redirects are not followed: set the final address" } else { "" };
        Err(format!("the answer was {status}{hint}"))
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The value of the signature's header.
#[must_use]
pub fn sign(secret: &[u8], seconds: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length of key is possible");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn secret() -> Vec<u8> {
        b"0123456789abcdef".to_vec()
    }

    /// Answers one request, and returns it.
    async fn one_request(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&received).contains("\"alerts\"") {
                let count = stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the request is whole");
                received.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(received).unwrap()
        });
        (format!("http://{address}/hook"), task)
    }

    #[tokio::test]
    async fn a_request_is_signed_over_its_time_and_its_body() {
        let (url, received) = one_request("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
        let hook = Webhook::new(&url, secret(), true).unwrap();
        hook.send("{\"alerts\":[]}".to_owned(), 1_790_000_000).await.unwrap();
        let request = received.await.unwrap();
        let expected = sign(&secret(), 1_790_000_000, b"{\"alerts\":[]}");
        assert!(request.contains(&format!("daybook-signature: {expected}\r\n")), "{request}");
        assert_ne!(expected, sign(&secret(), 1_790_000_001, b"{\"alerts\":[]}"));
    }

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[tokio::test]
    async fn a_redirect_is_a_failure_and_is_not_followed() {
        let (target, never) = one_request("HTTP/1.1 200 OK\r\n\r\n").await;
        let answer: &'static str = Box::leak(
            format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n")
                .into_boxed_str(),
        );
        let (url, _received) = one_request(answer).await;
        let hook = Webhook::new(&url, secret(), true).unwrap();
        let error = hook.send("{\"alerts\":[]}".to_owned(), 5).await.unwrap_err();
        assert!(error.contains("307") && error.contains("not followed"), "{error}");
        assert!(!never.is_finished());
        never.abort();
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_in_every_spelling() {
        for url in [
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.0.0.1:8443/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::ffff:127.0.0.1]/",
            "http://1.1.1.1/",
            "ftp://1.1.1.1/",
            "https://user:pass@example.org/",
        ] {
            assert!(Webhook::new(url, secret(), false).is_err(), "{url}");
        }
        assert!(Webhook::new("https://1.1.1.1/", secret(), false).is_ok());
        assert!(Webhook::new("https://1.1.1.1/", b"short".to_vec(), false).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused_after_it_was_resolved() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Other spellings of an address are names for the connector, and resolved by the system.
        for host in ["localhost", "2130706433", "0x7f.1", "127.1"] {
            let hook = Webhook::new(&format!("https://{host}:{port}/"), secret(), false).unwrap();
            let error = hook.send("{\"alerts\":[]}".to_owned(), 5).await.unwrap_err();
            let told = ["private network", "dns error", "invalid dns name"];
            assert!(told.iter().any(|reason| error.contains(reason)), "{host}: {error}");
        }
        let accepted = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(accepted.is_err(), "nobody connected");
    }
}

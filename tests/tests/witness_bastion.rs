//! A witness without an open port, reached through a bastion (C2SP https-bastion) that the test plays.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tests::testlog::TestLog;
use tests::witness::{WitnessSite, verified};
use tlog::hash::sha256;
use tlog::sign::Ed25519Signer;
use tlog::witness_wire::parse_cosignatures;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const PATIENCE: Duration = Duration::from_secs(60);
/// `SubjectPublicKeyInfo` of Ed25519 up to the key.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Takes any certificate whose key signs the handshake, as a bastion does that has a list of keys.
#[derive(Debug)]
struct AnyEd25519;

impl ClientCertVerifier for AnyEd25519 {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 hides client certificates".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The bastion's own certificate, for `localhost`, and its TLS.
fn bastion_tls(alpn: &[u8]) -> (CertificateDer<'static>, ServerConfig) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = Ed25519Signer::from_seed("bastion.example".parse().expect("a name"), &[77; 32]).to_pkcs8_der();
    let der = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let signing = provider.key_provider.load_private_key(der()).expect("a key");
    let certificate = daemon::bastion::self_signed(&*signing, "localhost").expect("a certificate");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(Arc::new(AnyEd25519))
        .with_single_cert(vec![certificate.clone()], der())
        .expect("a certificate and its key");
    config.alpn_protocols = vec![alpn.to_vec()];
    (certificate, config)
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The hash of the key in a backend's certificate: the first segment of its paths.
fn key_hash(stream: &TlsStream<tokio::net::TcpStream>) -> String {
    let certificates = stream.get_ref().1.peer_certificates().expect("the backend shows a certificate");
    let at = certificates[0].windows(12).position(|window| window == ED25519_SPKI).expect("an Ed25519 key");
    sha256(&certificates[0][at + 12..at + 44]).to_string()
}

async fn accept(listener: &TcpListener, tls: &TlsAcceptor) -> TlsStream<tokio::net::TcpStream> {
    let (tcp, _) =
        tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a socket");
    tls.accept(tcp).await.expect("TLS")
}

async fn post(stream: TlsStream<tokio::net::TcpStream>, path: &str, body: Vec<u8>) -> (u16, Bytes) {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://witness{path}"))
        .header("x-forwarded-for", "192.0.2.1")
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    connection.abort();
    (status, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_serves_through_a_bastion_and_comes_back_when_the_connection_ends() {
    // "A backend connects to the bastion's backend endpoint with TLS 1.3, specifying the ALPN protocol `bastion/0`. ...
    // The backend MUST present as its client certificate an Ed25519 certificate containing the backend public key."
    let (certificate, config) = bastion_tls(b"bastion/0");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (site, log) = (WitnessSite::new(), TestLog::new("log.example/through", 1, 9));
    site.follow(&log, &[]);
    let authorities = site.root().join("ca.pem");
    std::fs::write(&authorities, pem(&certificate)).expect("written");
    let settings = format!("[[bastion]]\naddress = \"localhost:{port}\"\nca_certificate = {authorities:?}");
    site.configure(&settings);
    let tls = TlsAcceptor::from(Arc::new(config));
    let server = site.start();
    for (old, new) in [(0, 5), (5, 9)] {
        let stream = accept(&listener, &tls).await;
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn_protocol(), Some(&b"bastion/0"[..]));
        let path = key_hash(&stream);
        let status = site.run(&["status", "--json"], &[]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
        assert_eq!(status["bastion_path"], path);
        let request = log.request(old, new);
        let (status, body) = post(stream, "/add-checkpoint", request.to_bytes()).await;
        assert_eq!(status, 200, "{body:?}");
        let lines = parse_cosignatures(&body).expect("lines");
        assert_eq!(verified(&lines, &request.checkpoint, &site.keys).len(), 2);
        // The connection ends here, and the witness comes back.
    }
    assert_eq!(server.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_with_another_certificate_is_not_served() {
    // "The backend verifies the bastion's TLS certificate chain as usual."
    let (_, config) = bastion_tls(b"bastion/0");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let site = WitnessSite::new();
    site.configure(&format!("[[bastion]]\naddress = \"localhost:{port}\""));
    let server = site.start();
    let tls = TlsAcceptor::from(Arc::new(config));
    let (tcp, _) =
        tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a socket");
    assert!(tls.accept(tcp).await.is_err(), "the witness breaks off");
    assert_eq!(server.metric("daybook_witness_bastions_connected"), 0);
    assert_eq!(server.stop(), 0);
}

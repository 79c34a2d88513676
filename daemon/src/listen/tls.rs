//! TLS for a listener: certificate chain and key from PEM files, one provider, named explicitly.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{ConfigError, read_secret};

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A file is not the PEM it should be.
    #[error("{0}: no usable PEM in it: {1}")]
    Pem(String, String),
    /// Certificate and key do not go together.
    #[error("the certificate and the key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// Reads a certificate chain and its private key.
///
/// # Errors
/// [`TlsError`]; a key that others can read is refused.
pub fn tls_config(certificate: &Path, key: &Path) -> Result<rustls::ServerConfig, TlsError> {
    let pem_error = |path: &Path, error: String| TlsError::Pem(path.display().to_string(), error);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| pem_error(certificate, error.to_string()))?
        .collect();
    let chain = chain.map_err(|error| pem_error(certificate, error.to_string()))?;
    let key_pem = read_secret(key)?;
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| pem_error(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

//! What an operator may set, and what is fixed for a witness's life.
//!
//! A witness's directory holds two small files for this. `witness.toml` is its identity (format version, name):
//! written once by `daybook-witness init`, never edited. `config.toml` is the operator's. Every key of it has a
//! default, and an unknown key is an error.
//!
//! Absent on purpose: keys, which live under `keys/`, and logs, which live in the state.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{ConfigError, HumanDuration};
use serde::{Deserialize, Serialize};
use tlog::ids::KeyName;

/// The directory format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// A list is never fetched more often.
const LIST_REFRESH_MIN: Duration = Duration::from_secs(1);

/// `witness.toml`: fixed for the witness's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFile {
    /// Version of the directory's layout.
    pub version: u32,
    /// The witness's name, in every cosignature.
    pub name: String,
}

/// Why a witness's identity or settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file is missing or malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory was written by a newer version.
    #[error(
        "this directory has format {found}, and this Daybook knows {FORMAT_VERSION}: install a newer Daybook"
    )]
    Newer {
        /// The version in the file.
        found: u32,
    },
    /// The name is not one.
    #[error("witness.toml: the name {0:?} cannot be used: {1}")]
    Name(String, tlog::ids::IdError),
    /// Only one of the two is set.
    #[error("config.toml: listen.tls_certificate and listen.tls_key are needed together")]
    TlsHalf,
    /// A list would be fetched without end.
    #[error("config.toml: a list's refresh must be at least 1s")]
    Refresh,
}

impl IdentityFile {
    /// Reads `DIR/witness.toml`; the witness's name.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn load(dir: &Path) -> Result<KeyName, SettingsError> {
        let file: Self = daemon::config::load(&dir.join("witness.toml"))?;
        if file.version != FORMAT_VERSION {
            return Err(SettingsError::Newer { found: file.version });
        }
        file.name.parse().map_err(|error| SettingsError::Name(file.name, error))
    }
}

/// `config.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public listener.
    pub listen: Listen,
    /// Metrics and health.
    pub admin: Admin,
    /// The external counter.
    pub counter: CounterPath,
    /// Lists of logs.
    #[serde(rename = "list")]
    pub lists: Vec<List>,
    /// Bastions.
    #[serde(rename = "bastion")]
    pub bastions: Vec<Bastion>,
}

/// The public listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// Certificate chain, PEM.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// The URL under which others reach the witness.
    pub public_url: Option<String>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_client_max: usize,
}

impl Default for Listen {
    fn default() -> Self {
        let limits = daemon::listen::Limits::default();
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8090)),
            tls_certificate: None,
            tls_key: None,
            public_url: None,
            connections_max: limits.connections_max,
            connections_per_client_max: limits.connections_per_client_max,
        }
    }
}

/// Metrics and health.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where.
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8091)) }
    }
}

/// The external counter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CounterPath {
    /// A file on another volume.
    pub path: Option<PathBuf>,
}

/// A list of logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// A file, or an `https://` URL.
    pub source: String,
    /// How often it is read again.
    #[serde(default = "default_refresh")]
    pub refresh: HumanDuration,
}

fn default_refresh() -> HumanDuration {
    HumanDuration(Duration::from_secs(3600))
}

/// A bastion.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bastion {
    /// Host and port.
    pub address: String,
    /// Certificate authorities instead of the web's, PEM.
    #[serde(default)]
    pub ca_certificate: Option<PathBuf>,
}

impl Config {
    /// Reads `DIR/config.toml`.
    ///
    /// # Errors
    /// [`SettingsError`] names file, line and key.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let config: Self = daemon::config::load(path)?;
        if config.listen.tls_certificate.is_some() != config.listen.tls_key.is_some() {
            return Err(SettingsError::TlsHalf);
        }
        if config.lists.iter().any(|list| list.refresh.0 < LIST_REFRESH_MIN) {
            return Err(SettingsError::Refresh);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, SettingsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path())
    }

    #[test]
    fn the_sample_says_the_defaults_and_its_comments_are_valid_settings() {
        let sample = include_str!("../../deploy/witness.toml");
        assert_eq!(format!("{:?}", load(sample).unwrap()), format!("{:?}", Config::default()));
        let keys = ["tls_", "public_url", "path", "[[", "source", "refresh", "address", "# ca_"];
        let uncomment = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if keys.iter().any(|key| rest.starts_with(key)) => rest.replace("# ", ""),
            _ => line.to_owned(),
        };
        let text: Vec<String> = sample.lines().map(uncomment).collect();
        let config = load(&text.join("\n")).unwrap();
        assert!(config.counter.path.is_some() && config.listen.tls_key.is_some());
        assert!(config.lists.len() == 1 && config.bastions[0].ca_certificate.is_some());
    }

    #[test]
    fn an_unknown_key_and_half_a_tls_setting_are_refused() {
        let error = load("[listen]\nadress = \"127.0.0.1:1\"\n").unwrap_err().to_string();
        assert!(error.contains("adress") && error.contains("line 2"), "{error}");
        let error = load("[[bastion]]\naddress = \"b:1\"\nport = 3\n").unwrap_err().to_string();
        assert!(error.contains("port"), "{error}");
        assert!(matches!(load("[listen]\ntls_key = \"/k\"\n"), Err(SettingsError::TlsHalf)));
        let often = load("[[list]]\nsource = \"/l\"\nrefresh = \"1ms\"\n");
        assert!(matches!(often, Err(SettingsError::Refresh)));
    }
}

//! What an operator may set, and what is fixed for a log's life.
//!
//! A log directory holds two small files for this. `log.toml` is the log's identity (format version, origin,
//! admission): written once by `daybook init`, never edited. `config.toml` is the operator's: addresses,
//! limits, the anchor. Every key of it has a default, and an unknown key is an error.
//!
//! Absent on purpose: keys, which live under `keys/` and are read by [`crate::keys`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{ByteSize, ConfigError, HumanDuration};
use serde::{Deserialize, Serialize};
use tlog::ids::Origin;

/// The directory format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What the log takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Any bytes, from anyone who can reach the log.
    Open,
    /// Signed statements of enrolled agencies only.
    Records,
}

/// `log.toml`: fixed for the log's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of the directory's layout.
    pub version: u32,
    /// The log's name, the first line of every checkpoint.
    pub origin: String,
    /// What the log takes in.
    pub admission: Admission,
    /// The leaf hash of entry 0, in hex: in logs of records the registrar's genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis: Option<String>,
}

/// Why a log's identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is missing or malformed.
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
    /// The origin is not one.
    #[error("log.toml: the origin {0:?} cannot be used: {1}")]
    Origin(String, String),
}

impl Identity {
    /// Reads `DIR/log.toml`.
    ///
    /// # Errors
    /// [`IdentityError`], also for a directory written by a newer version.
    pub fn load(dir: &Path) -> Result<(Self, Origin), IdentityError> {
        let identity: Self = daemon::config::load(&dir.join("log.toml"))?;
        if identity.version > FORMAT_VERSION {
            return Err(IdentityError::Newer { found: identity.version });
        }
        let origin = identity.origin.parse().map_err(|error: tlog::ids::IdError| {
            IdentityError::Origin(identity.origin.clone(), error.to_string())
        })?;
        Ok((identity, origin))
    }
}

/// `config.toml`: the operator's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the log is served.
    pub listen: Listen,
    /// Metrics and health, for the operator alone.
    pub admin: Admin,
    /// The copy of the head on another volume.
    pub anchor: AnchorConfig,
    /// How fresh the checkpoint is kept.
    pub checkpoint: CheckpointConfig,
    /// How patient the log is with its witnesses; which they are is in `policy.txt`.
    pub witnesses: Witnesses,
    /// How much may wait, and how large things may be.
    pub limits: Limits,
    /// The disk.
    pub storage: Storage,
}

/// `[listen]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Address and port of the public listener.
    pub address: SocketAddr,
    /// PEM file of the certificate chain; with `tls_key`, the listener speaks TLS.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the private key.
    pub tls_key: Option<PathBuf>,
    /// The URL under which the public reaches the log, for `log.json` and the start page.
    pub public_url: Option<String>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections at a time from one client address. Raise it behind a reverse proxy.
    pub connections_per_client_max: usize,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_certificate: None,
            tls_key: None,
            public_url: None,
            connections_max: 4096,
            connections_per_client_max: 1024,
        }
    }
}

/// `[admin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of `/metrics`, `/livez` and `/readyz`. Keep it off the public network.
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}

/// `[anchor]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnchorConfig {
    /// A file on another volume than the log. Without it, a log restored as a whole from an old copy
    /// cannot notice.
    pub path: Option<PathBuf>,
}

/// `[checkpoint]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// An idle log signs a fresh head this often.
    pub refresh: HumanDuration,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { refresh: HumanDuration(Duration::from_secs(60)) }
    }
}

/// `[witnesses]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Witnesses {
    /// Publish without a quorum when the deadline has passed.
    pub fail_open: bool,
    /// How long a witness may take to answer, and a submission may wait for a quorum.
    pub deadline: HumanDuration,
    /// Witnesses that this process leaves out; only ever given on the command line.
    #[serde(skip)]
    pub left_out: Vec<String>,
}

impl Default for Witnesses {
    fn default() -> Self {
        Self { fail_open: false, deadline: HumanDuration(Duration::from_secs(5)), left_out: Vec::new() }
    }
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Entries that may wait for the sequencer.
    pub pool_entries_max: usize,
    /// Bytes of entries that may wait for the sequencer.
    pub pool_bytes_max: ByteSize,
    /// Entries in one `POST /add-batch`.
    pub batch_entries_max: usize,
    /// Bytes in one `POST /add-batch`.
    pub batch_bytes_max: ByteSize,
    /// Entries committed and not yet published.
    pub unpublished_entries_max: u64,
    /// Entries that the index may lag behind.
    pub index_tail_entries_max: usize,
    /// Bytes of one attachment.
    pub attachment_bytes_max: ByteSize,
    /// Statements a second from one agency; 0 for no limit.
    pub agency_statements_per_second_max: u64,
    /// Statements a second from one network (an IPv4 /24, an IPv6 /48); 0 for no limit. Raise it behind a reverse
    /// proxy.
    pub network_statements_per_second_max: u64,
    /// Attachments on their way to one network at a time; 0 for as many as the log sends at all, which is 512. Raise it behind
    /// a reverse proxy.
    pub network_downloads_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_entries_max: 65_536,
            pool_bytes_max: ByteSize(64 << 20),
            batch_entries_max: 16_384,
            batch_bytes_max: ByteSize(4 << 20),
            unpublished_entries_max: 262_144,
            index_tail_entries_max: 262_144,
            attachment_bytes_max: ByteSize(64 << 20),
            agency_statements_per_second_max: 20_000,
            network_statements_per_second_max: 20_000,
            network_downloads_max: 64,
        }
    }
}

/// `[storage]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Writes stop below this much free space; reads go on.
    pub free_space_min: ByteSize,
    /// Size of a journal segment.
    pub journal_segment: ByteSize,
    /// Journal that may wait to be flushed before writes stop.
    pub journal_max: ByteSize,
    /// Memory for tiles that are read often.
    pub tile_cache: ByteSize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            free_space_min: ByteSize(512 << 20),
            journal_segment: ByteSize(64 << 20),
            journal_max: ByteSize(1 << 30),
            tile_cache: ByteSize(32 << 20),
        }
    }
}

impl Config {
    /// Reads `DIR/config.toml`.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        daemon::config::load(path)
    }
}

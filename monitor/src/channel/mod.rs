//! How alerts reach people.
//!
//! | Room | Does |
//! |---|---|
//! | [`feed`] | Atom and JSON Feed, pure |
//! | [`address`] | which addresses a webhook may reach, pure |
//! | [`webhook`] | HTTPS requests with a signature |
//! | [`mail`] | e-mail |
//! | [`program`] | a command |
//! | [`sender`] | messages on their way, with retries |
//!
//! Feeds are read by whoever wants to; the other three are configured, each by `[[channel]]` in `monitor.toml`. A channel
//! that fails is tried again, with longer pauses, is shown on the health page, and stops nothing but itself.

pub mod address;
pub mod feed;
pub mod mail;
pub mod program;
pub mod sender;
pub mod webhook;

use std::path::PathBuf;

use daemon::config::HumanDuration;
use serde::Deserialize;

/// The most channels of one monitor.
pub const CHANNELS_MAX: usize = 64;

/// `[[channel]]` in `monitor.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Its name, which watches use.
    pub name: String,
    /// E-mail.
    pub mail: Option<MailConfig>,
    /// A webhook.
    pub webhook: Option<WebhookConfig>,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
    /// Messages are gathered for so long and leave together.
    pub digest: Option<HumanDuration>,
    /// A message comes at least so often, so that silence means that something is broken.
    pub heartbeat: Option<HumanDuration>,
}

/// `channel.mail`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `smtps://host`, `smtp://host?tls=required`, or `smtp://localhost` for a server on this machine.
    pub server: String,
    /// For servers that ask for a name.
    pub user: Option<String>,
    /// A file with the password, readable by its owner alone; relative to `monitor.toml`.
    pub password_file: Option<PathBuf>,
    /// Whom the message is from.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<String>,
}

/// `channel.webhook`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to.
    pub url: String,
    /// A file with the secret of the signature, readable by its owner alone; relative to `monitor.toml`.
    pub secret_file: PathBuf,
    /// Whether addresses of this machine and of private networks may be reached.
    #[serde(default)]
    pub allow_private: bool,
}

/// Why a channel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Its settings.
    #[error("channel {0}: {1}")]
    Config(String, String),
    /// There are too many.
    #[error("{0} channels are configured; at most {CHANNELS_MAX} are possible")]
    TooMany(usize),
}

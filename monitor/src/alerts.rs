//! Alerts on their way out: a line of `alerts.ndjson` each, and a command where one is configured.
//!
//! An alert waits in the database from the transaction that holds its cause until it was delivered; a crash in between
//! repeats it. A command that fails is tried again, with longer pauses, and stops nothing but itself.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use daemon::shutdown::Shutdown;

use crate::case::CaseError;
use crate::folder::Folder;
use crate::store::{Alert, Store};

/// Pause between two looks for alerts.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a command may take.
const COMMAND_SECONDS_MAX: u64 = 60;
/// The longest pause before a command is tried again.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// The file in the monitor's directory.
pub const FILE: &str = "alerts.ndjson";

/// Delivers alerts, in order.
pub struct Deliverer {
    store: Arc<Store>,
    folder: Folder,
    clock: Arc<dyn Clock>,
    command: Vec<String>,
    /// The alert whose line is in the file, while its command fails.
    written: Option<i64>,
    retry: Duration,
    retry_at: Duration,
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("command", &self.command).finish_non_exhaustive()
    }
}

impl Deliverer {
    /// Delivers what waits in this store.
    #[must_use]
    pub fn new(store: Arc<Store>, folder: Folder, clock: Arc<dyn Clock>, command: Vec<String>) -> Self {
        let retry = Duration::from_secs(1);
        Self { store, folder, clock, command, written: None, retry, retry_at: Duration::ZERO }
    }

    /// Delivers everything that waits, as far as the command lets it.
    ///
    /// # Errors
    /// [`CaseError`]: the alert file or the database cannot be written.
    pub fn deliver(&mut self) -> Result<(), CaseError> {
        while let Some(alert) = self.store.next_alert()? {
            if self.written != Some(alert.id) {
                let path = self.folder.root().join(FILE);
                self.folder.append_line(Path::new(FILE), &alert.body).map_err(CaseError::io(&path))?;
                self.written = Some(alert.id);
            }
            if self.clock.monotonic() < self.retry_at {
                return Ok(());
            }
            if let Err(error) = self.run_command(&alert) {
                tracing::warn!(%error, alert = alert.body, "the alert command failed and will be tried again");
                self.retry_at = self.clock.monotonic() + self.retry;
                self.retry = (self.retry * 2).min(RETRY_MAX);
                return Ok(());
            }
            self.retry = Duration::from_secs(1);
            self.store.delivered(alert.id, self.clock.unix_millis())?;
        }
        Ok(())
    }

    fn run_command(&self, alert: &Alert) -> Result<(), String> {
        let Some((program, arguments)) = self.command.split_first() else { return Ok(()) };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read its input may still do its work.
            let _ = writeln!(input, "{}", alert.body);
        }
        let since = self.clock.monotonic();
        loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                return if status.success() { Ok(()) } else { Err(format!("{program}: {status}")) };
            }
            if self.clock.monotonic().saturating_sub(since).as_secs() > COMMAND_SECONDS_MAX {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program} took more than {COMMAND_SECONDS_MAX} s"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Delivers until the end is asked for.
    ///
    /// # Errors
    /// As [`Deliverer::deliver`].
    pub fn run(mut self, shutdown: &Shutdown) -> Result<(), CaseError> {
        while !shutdown.is_asked() {
            self.deliver()?;
            std::thread::sleep(PAUSE);
        }
        self.deliver()
    }
}

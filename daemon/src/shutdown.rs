//! Orderly ends: one signal asks for a graceful stop, a second one stops at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit code after a second signal.
const EXIT_INTERRUPTED: i32 = 130;

/// Tells every part of a process that it is to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    asked: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Not asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self { asked: watch::Sender::new(false) }
    }

    /// Asks for the end.
    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Returns once the end was asked for.
    pub async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives in `self`, so the wait ends only by being asked.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    /// Asks for the end at the first SIGTERM or SIGINT, and exits at the second.
    ///
    /// # Errors
    /// If the system refuses the signal handlers.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
            shutdown.ask();
            tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(())
    }
}

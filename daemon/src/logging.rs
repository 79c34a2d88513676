//! Log lines: for people on a terminal, JSON for machines. The level comes from `DAYBOOK_LOG`.
//!
//! Secrets never get here: the types that hold them do not print them.

use tracing_subscriber::EnvFilter;

/// Exit code of a process that ends because of a bug of its own.
pub const EXIT_BUG: i32 = 101;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One line of text each.
    Human,
    /// One JSON object each.
    Json,
}

/// Sends log lines to standard error. A second call does nothing.
pub fn start(style: Style) {
    start_with(style, "info");
}

/// The same for a command that answers a person and ends: only what is wrong is a log line.
pub fn start_quiet(style: Style) {
    start_with(style, "warn");
}

fn start_with(style: Style, level: &str) {
    let filter = || EnvFilter::try_from_env("DAYBOOK_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).with_target(false);
    // A subscriber that is set already stays; that is the caller's, and no error here.
    let _ = match style {
        Style::Human => builder.try_init(),
        Style::Json => builder.json().try_init(),
    };
}

/// Ends the process at the first panic of any thread: a server whose one thread has died must not go on
/// with state that nobody vouches for.
pub fn end_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        tracing::error!("a bug in Daybook ended the process; please report the lines above");
        std::process::exit(EXIT_BUG);
    }));
}

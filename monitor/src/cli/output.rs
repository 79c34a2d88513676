//! Text for people, one JSON document for programs; progress on the terminal only.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// What was checked is wrong.
pub(super) const EXIT_WRONG: i32 = 1;
/// The command, or a file given to it, is malformed.
pub(super) const EXIT_MALFORMED: i32 = 2;
/// It could not be done.
pub(super) const EXIT_FAILED: i32 = 3;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command, or a file given to it, is malformed.
    Malformed(String),
    /// It could not be done.
    Failed(String),
}

impl Failure {
    pub(super) fn exit_code(&self) -> i32 {
        match self {
            Self::Malformed(_) => EXIT_MALFORMED,
            Self::Failed(_) => EXIT_FAILED,
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::Malformed(message) | Self::Failed(message) => message,
        }
    }

    pub(super) fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    error: &'a str,
    exit_code: i32,
}

impl Output {
    /// The result of a command.
    pub(super) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line =
            if self.json { serde_json::to_string(value).expect("results have a JSON form") } else { text() };
        // A reader that has gone away, such as `head`, is no error of the command.
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.json {
            let document = FailureJson { error: failure.message(), exit_code: failure.exit_code() };
            self.result(&document, String::new);
        } else {
            eprintln!("error: {}", failure.message());
        }
    }

    /// A bar over `total` units, shown where a person can see it.
    pub(super) fn bar(&self, total: u64, what: String) -> ProgressBar {
        let hidden = self.json || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
        bar.with_style(style.expect("the template is valid"))
    }
}

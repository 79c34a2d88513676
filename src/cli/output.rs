//! Text for people, one JSON document for programs; progress on the terminal only.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::failure::{EXIT_WRONG, Failure};

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
        put(&line);
    }

    /// A line that only people read.
    pub(super) fn say(&self, text: &str) {
        if !self.json {
            put(text);
        }
    }

    pub(super) fn failure(&self, failure: &Failure) {
        let code = failure.exit_code();
        if matches!(failure, Failure::Shown(_)) {
            return;
        }
        if self.json {
            let document = FailureJson { error: failure.message(), exit_code: code };
            put(&serde_json::to_string(&document).expect("failures have a JSON form"));
        } else {
            let what = if code == EXIT_WRONG { "WRONG" } else { "error" };
            eprintln!("{what}: {}", failure.message());
        }
    }

    /// A bar over `total` units, shown where a person can see it.
    pub(super) fn bar(&self, total: u64, what: &'static str) -> ProgressBar {
        let hidden = self.json || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
        bar.with_style(style.expect("the template is valid"))
    }
}

/// A reader that has gone away, such as `head`, is no error of the command.
fn put(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

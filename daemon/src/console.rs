//! What a command prints, and why it did not succeed: text for people or one JSON document for programs, progress on a
//! terminal only, and an exit code.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::files::in_words;

/// What was checked is wrong.
pub const EXIT_WRONG: i32 = 1;
/// The command, or a file given to it, is malformed.
pub const EXIT_MALFORMED: i32 = 2;
/// It could not be done.
pub const EXIT_FAILED: i32 = 3;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// What was checked is wrong.
    Wrong(String),
    /// The command, or a file given to it, is malformed.
    Malformed(String),
    /// It could not be done.
    Failed(String),
    /// The result that was printed says what, and this is the exit code.
    Shown(i32),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Wrong(_) => EXIT_WRONG,
            Self::Malformed(_) => EXIT_MALFORMED,
            Self::Failed(_) => EXIT_FAILED,
            Self::Shown(code) => *code,
        }
    }

    /// In words.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Wrong(message) | Self::Malformed(message) | Self::Failed(message) => message,
            Self::Shown(_) => "the result says what",
        }
    }

    /// What was checked is wrong.
    pub fn wrong(error: impl Display) -> Self {
        Self::Wrong(error.to_string())
    }

    /// The command, or a file given to it, is malformed.
    pub fn malformed(error: impl Display) -> Self {
        Self::Malformed(error.to_string())
    }

    /// It could not be done.
    pub fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// A file could not be read or written: which, why, and what to do.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Failed(format!("{}: {}", path.display(), in_words(&error)))
    }
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// As JSON.
    pub json: bool,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    error: &'a str,
    exit_code: i32,
}

impl Output {
    /// The result of a command.
    ///
    /// # Panics
    /// If it has no JSON form.
    pub fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line =
            if self.json { serde_json::to_string(value).expect("results have a JSON form") } else { text() };
        put(&line);
    }

    /// A line that only people read.
    pub fn say(&self, text: &str) {
        if !self.json {
            put(text);
        }
    }

    /// Why a command did not succeed, unless its result said so.
    pub fn failure(&self, failure: &Failure) {
        let code = failure.exit_code();
        match failure {
            Failure::Shown(_) => (),
            _ if self.json => {
                self.result(&FailureJson { error: failure.message(), exit_code: code }, String::new);
            }
            Failure::Wrong(message) => eprintln!("WRONG: {message}"),
            _ => eprintln!("error: {}", failure.message()),
        }
    }

    /// A bar over `total` units, shown where a person can see it.
    ///
    /// # Panics
    /// Never: the template is valid.
    #[must_use]
    pub fn bar(&self, total: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
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

/// The process's exit code.
#[must_use]
pub fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_their_codes_and_words() {
        let path = Path::new("/nowhere/x");
        let file = Failure::file(path)(std::io::Error::other("gone"));
        let all =
            [Failure::wrong("a"), Failure::malformed("b"), Failure::failed("c"), file, Failure::Shown(7)];
        assert_eq!(all.each_ref().map(Failure::exit_code), [1, 2, 3, 3, 7]);
        assert_eq!(all[..3].iter().map(Failure::message).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(all[3].message().starts_with("/nowhere/x: gone; "), "{:?}", all[3]);
        assert_eq!(
            (exit(0), exit(101), exit(-1)),
            (ExitCode::SUCCESS, ExitCode::from(101), ExitCode::from(255))
        );
    }
}

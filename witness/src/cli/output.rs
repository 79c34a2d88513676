//! Text for people, one JSON document for programs; and why a command did not succeed.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

/// What was checked is wrong.
pub(super) const EXIT_WRONG: i32 = 1;
/// The command, or a file given to it, is malformed.
pub(super) const EXIT_MALFORMED: i32 = 2;
/// It could not be done.
pub(super) const EXIT_FAILED: i32 = 3;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) struct Failure {
    code: i32,
    message: String,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    error: &'a str,
    exit_code: i32,
}

impl Failure {
    /// It was told already.
    pub(super) fn shown(code: i32) -> Self {
        Self { code, message: String::new() }
    }

    /// The command, or a file given to it, is malformed.
    pub(super) fn malformed(error: impl Display) -> Self {
        Self { code: EXIT_MALFORMED, message: error.to_string() }
    }

    /// It could not be done.
    pub(super) fn failed(error: impl Display) -> Self {
        Self { code: EXIT_FAILED, message: error.to_string() }
    }

    pub(super) fn exit_code(&self) -> i32 {
        self.code
    }
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
        if failure.message.is_empty() {
            return;
        }
        if self.json {
            let document = FailureJson { error: &failure.message, exit_code: failure.code };
            put(&serde_json::to_string(&document).expect("failures have a JSON form"));
        } else {
            eprintln!("error: {}", failure.message);
        }
    }
}

/// A reader that has gone away, such as `head`, is no error of the command.
fn put(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

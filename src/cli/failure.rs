//! Why a command did not succeed, by exit code.

use std::fmt::Display;
use std::path::Path;

use crate::fsck::Report;
use crate::prove::ProveError;
use crate::source::SourceError;

/// What was checked is wrong.
pub(super) const EXIT_WRONG: i32 = 1;
/// The command, or a file given to it, is malformed.
pub(super) const EXIT_MALFORMED: i32 = 2;
/// It could not be done.
pub const EXIT_FAILED: i32 = 3;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was checked is wrong.
    Wrong(String),
    /// The command, or a file given to it, is malformed.
    Malformed(String),
    /// It could not be done.
    Failed(String),
    /// The result that was printed says what, and this is the exit code.
    Shown(i32),
}

/// What is printed: an error in its own words.
pub(super) struct Message(String);

impl<E: Display> From<E> for Message {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    pub(super) fn exit_code(&self) -> i32 {
        match self {
            Self::Wrong(_) => EXIT_WRONG,
            Self::Malformed(_) => EXIT_MALFORMED,
            Self::Failed(_) => EXIT_FAILED,
            Self::Shown(code) => *code,
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::Wrong(message) | Self::Malformed(message) | Self::Failed(message) => message,
            Self::Shown(_) => "the result says what",
        }
    }

    pub(super) fn failed(error: impl Into<Message>) -> Self {
        Self::Failed(error.into().0)
    }

    pub(super) fn wrong(error: impl Into<Message>) -> Self {
        Self::Wrong(error.into().0)
    }

    pub(super) fn malformed(error: impl Into<Message>) -> Self {
        Self::Malformed(error.into().0)
    }

    /// Of a file.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Failed(format!("{}: {error}", path.display()))
    }

    /// Of a check of a whole log.
    pub(super) fn unless_good(report: &Report) -> Result<(), Self> {
        if report.is_good() {
            return Ok(());
        }
        let count = report.findings.len();
        let plural = if count == 1 { "object is" } else { "objects are" };
        Err(Self::Wrong(format!("{count} {plural} not what the checkpoint promises")))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::failed(error)
    }
}

impl From<ProveError> for Failure {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::OutOfTree(..) | ProveError::Order(..) => Self::malformed(error),
            ProveError::NotPublished(..) | ProveError::Read(_) => Self::failed(error),
            ProveError::Missing(_) | ProveError::Damaged(_) => Self::wrong(error),
        }
    }
}

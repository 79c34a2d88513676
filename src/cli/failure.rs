//! Why a command did not succeed, by exit code: [`daemon::console`], and what this log's own rooms report.

pub use daemon::console::EXIT_FAILED;
pub(super) use daemon::console::{EXIT_MALFORMED, EXIT_WRONG, Failure};

use crate::fsck::Report;
use crate::prove::ProveError;
use crate::source::SourceError;

/// The outcome of a check of a whole log.
pub(super) fn unless_good(report: &Report) -> Result<(), Failure> {
    if report.is_good() {
        return Ok(());
    }
    let count = report.findings.len();
    let plural = if count == 1 { "object is" } else { "objects are" };
    Err(Failure::Wrong(format!("{count} {plural} not what the checkpoint promises")))
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

//! What a path of the records' interface means.

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsRoute {
    /// `/records`
    Submit,
    /// `/records/batch`
    SubmitBatch,
}

impl RecordsRoute {
    /// Parses the parts of a path.
    #[must_use]
    pub fn parse(parts: &[&str]) -> Option<Self> {
        Some(match parts {
            ["records"] => Self::Submit,
            ["records", "batch"] => Self::SubmitBatch,
            _ => return None,
        })
    }

    /// The metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Submit => "records",
            Self::SubmitBatch => "records_batch",
        }
    }

    /// The methods that are allowed, as in `Allow`.
    #[must_use]
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Submit | Self::SubmitBatch => "POST",
        }
    }
}

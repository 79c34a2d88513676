//! Where tests reach into the path of a checkpoint: between its steps.
//!
//! A probe may stall a step, end the process there as a power cut would, or report a failure of the disk that may or
//! may not have happened. The witness runs with [`Probe::none`], which costs a branch.

use std::fmt;
use std::sync::Arc;

/// A place between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// The checkpoint was judged good and cosigned in memory; nothing is written.
    Judged,
    /// The transaction is complete and not committed. A failure here is a commit that did not happen.
    BeforeCommit,
    /// The commit is durable. A failure here is a commit that happened and was reported as failed.
    AfterCommit,
    /// The external counter has advanced; nobody has been answered.
    AfterCounter,
}

impl Point {
    /// Every point, in the order of the path.
    pub const ALL: [Self; 4] = [Self::Judged, Self::BeforeCommit, Self::AfterCommit, Self::AfterCounter];
}

/// The disk is to have failed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure was injected")]
pub struct Fault;

type Hook = dyn Fn(Point) -> Result<(), Fault> + Send + Sync;

/// Is called at every [`Point`].
#[derive(Clone, Default)]
pub struct Probe {
    hook: Option<Arc<Hook>>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", if self.hook.is_some() { "set" } else { "none" })
    }
}

impl Probe {
    /// No probe.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A probe that calls `hook` at every point. Failures count at [`Point::BeforeCommit`] and
    /// [`Point::AfterCommit`].
    #[must_use]
    pub fn new(hook: impl Fn(Point) -> Result<(), Fault> + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    pub(crate) fn at(&self, point: Point) -> Result<(), Fault> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(point))
    }
}

//! Where results go, and why a command did not succeed: [`daemon::console`].

pub(super) use daemon::console::{EXIT_MALFORMED, Failure, Output};

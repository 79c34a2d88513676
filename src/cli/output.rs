//! Where results go: [`daemon::console`].

pub(super) use daemon::console::Output;

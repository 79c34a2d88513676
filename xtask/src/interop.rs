//! `cargo xtask interop`: a running log, read by clients that others wrote.

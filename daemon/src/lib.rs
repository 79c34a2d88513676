//! The process shell that every Daybook server shares: listener, outbound HTTP, shutdown, metrics, logging,
//! configuration, clock and random source.
//!
//! It knows nothing about logs, records or witnesses. What it adds to the libraries it wraps is limits: every
//! connection, body, wait and retry is bounded by a named constant.

pub mod bastion;
pub mod clock;
pub mod config;
pub mod console;
pub mod fetch;
pub mod files;
pub mod html;
pub mod keyfile;
pub mod listen;
pub mod lock;
pub mod logging;
pub mod metrics;
pub mod problem;
pub mod shutdown;

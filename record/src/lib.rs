//! Records: what agencies sign, who may sign it, and what can be shown or destroyed later.
//!
//! Pure: no I/O, no clock, no randomness. A monitor and a server that use this crate see the same records.
//!
//! Start with [`statement`], what a leaf is; [`registry`] decides which statements a log admits,
//! [`evidence`] shows that it took one that it should not, and [`provenance`] who may sign. [`sealed`] fields are
//! shown one by one, [`erasable`] ones can be destroyed, both by an [`opening`]. [`json`], [`ids`] and [`time`] are the
//! small values they are made of. [`rsf`] and [`exchange`] read registers as others publish them.

#![forbid(unsafe_code)]

pub mod diff;
pub mod erasable;
pub mod evidence;
pub mod exchange;
pub mod ids;
pub mod json;
pub mod opening;
pub mod provenance;
pub mod registry;
pub mod rsf;
pub mod sealed;
pub mod statement;
pub mod time;

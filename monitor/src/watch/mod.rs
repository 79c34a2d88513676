//! Watches: saved searches that tell when something new is found.
//!
//! | Room | Does |
//! |---|---|
//! | [`rule`] | what a watch waits for, and whether an entry is it, pure |
//! | [`message`] | what an alert says, pure |
//! | [`store`] | watches, finds and messages that wait, in SQLite |
//! | [`engine`] | new entries to finds, each once |
//! | [`past`] | alerts of the past, for watches that are made later |
//!
//! Absent on purpose: how messages leave, which is [`crate::channel`]'s.

pub mod engine;
pub mod message;
pub mod past;
pub mod rule;
pub mod store;

#[cfg(test)]
mod tests;

pub use engine::{Engine, EngineError};
pub use rule::{Wanted, When};
pub use store::{Watch, WatchStore};

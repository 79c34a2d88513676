//! Watches: saved searches that tell when something new is found.
//!
//! | Room | Does |
//! |---|---|
//! | [`rule`] | what a watch waits for, and whether an entry is it, pure |
//! | [`message`] | what an alert says, pure |
//! | [`store`] | watches, finds and messages that wait, in SQLite |
//! | [`engine`] | new entries to finds, each once |
//! | `roster` | which of many watches an entry is worth asking about, pure |
//! | `silence` | nothing published for so long, where that is known |
//! | [`past`] | what was there before a watch was made |
//!
//! Absent on purpose: how messages leave, which is [`crate::channel`]'s.

pub mod engine;
pub mod message;
pub mod past;
mod roster;
pub mod rule;
mod silence;
pub mod store;

#[cfg(test)]
mod tests;

pub use engine::{Engine, EngineError};
pub use roster::{Active, Roster};
pub use rule::{Wanted, When};
pub use silence::Heard;
pub use store::{Watch, WatchStore};

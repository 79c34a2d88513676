//! What a government record is, apart from the log that holds it. Pure: no I/O, clock or randomness.
//!
//! | Room | Holds |
//! |---|---|
//! | [`rsf`] | registers in Register Serialisation Format: parsed, replayed, their published roots checked |

pub mod rsf;

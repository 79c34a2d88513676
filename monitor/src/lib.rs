//! A monitor: follows logs, believes nothing, and keeps what contradicts itself.
//!
//! | Room | Does |
//! |---|---|
//! | [`heads`] | what a newly seen checkpoint says beside the last verified one, pure |

pub mod heads;

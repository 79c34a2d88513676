//! A witness: cosigns a log's checkpoint only if it is consistent with every one that it cosigned before.
//!
//! | Room | Does |
//! |---|---|
//! | [`judge`] | the decision over one request, pure |
//! | [`witness`] | one witness at work: from a body to cosignatures that are durable |
//! | [`writer`] | the one thread that moves heads, in group commits |
//! | [`state`] | what must never be forgotten, in SQLite, and the counter outside it |
//! | [`logs`] | the logs that are followed, in memory |
//! | [`roster`] | which keys a log may have |
//! | [`quota`] | how many checkpoints a day a log may send |
//! | [`lists`] | lists of logs, read again and again |
//! | [`suspects`] | contradictions, found or sent in |
//! | [`keys`] | the key pairs |
//! | [`init`] | makes a witness, takes over a copy, rotates its keys |
//! | [`config`] | what an operator may set |
//! | [`service`] | HTTP: the only room that knows methods, paths and status codes |
//! | [`serve`] | one process, one or several witnesses, and an orderly end |
//! | [`probe`] | where tests reach in |
//! | [`cli`] | the command line, `daybook-witness` |

pub mod cli;
pub mod config;
pub mod init;
pub mod judge;
pub mod keys;
pub mod lists;
pub mod logs;
pub mod probe;
pub mod quota;
pub mod roster;
pub mod serve;
pub mod service;
pub mod state;
pub mod suspects;
pub mod witness;
pub mod writer;

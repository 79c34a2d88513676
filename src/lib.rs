//! The Daybook log server: appends entries to a Merkle tree, publishes signed tree heads, proves what it holds.
//!
//! | Room | Does |
//! |---|---|
//! | [`http`] | the only one that knows methods, paths and status codes |
//! | [`log`] | a log, opened: what handlers share, and the engine that moves it |
//! | [`pool`] | bounded waiting room between admission and the sequencer |
//! | [`sequencer`] | the one owner of the tree: judge, integrate, audit, commit, sign, apply |
//! | [`judge`], [`lookup`] | duplicates, in order; entries by hash and by index |
//! | [`integrate`], [`audit`] | entries to tiles and head; the second opinion on both |
//! | [`signer`], [`keys`] | signed checkpoints; key files |
//! | [`config`] | what is fixed for a log's life, and what its operator sets |
//! | [`probe`] | where tests reach into the write path |
//! | [`cosign`] | rounds with the witnesses |
//! | [`publish`], [`heads`], [`applied`] | from committed to public; the heads and watermarks |
//! | [`housekeeping`], [`space`] | flushing, journal, ledger, refresh; the floor of free space |
//! | [`init`], [`recover`], [`reindex`] | a new directory; an existing one, or a refusal; its index, brought up to date |
//! | [`store`] | durable state |
//! | [`source`], [`reader`] | tiles from a folder or URL; tiles for readers, cached |
//! | [`prove`], [`fsck`] | proofs from authenticated tiles; everything derived again |
//! | [`provenance`] | who may sign, and histories, proved from outside |
//! | [`records`] | statements of agencies: admission, the registry in order, what pages are made of |
//! | [`submit`] | entries to a log over HTTP |
//! | [`client`], [`clerk`], [`officer`] | statements to a log over HTTP; from an agency's files to statements; officers' keys |
//! | [`serve`] | threads, listeners, and an orderly end |
//! | [`cli`] | the command line |
//!
//! Hashes, proofs and notes are in the crate `tlog`.

pub mod applied;
pub mod audit;
pub mod clerk;
pub mod cli;
pub mod client;
pub mod config;
pub mod cosign;
mod csv;
pub mod fsck;
pub mod heads;
pub mod housekeeping;
pub mod http;
pub mod init;
pub mod integrate;
pub mod judge;
pub mod keys;
pub mod log;
pub mod lookup;
pub mod officer;
pub mod pool;
pub mod probe;
pub mod prove;
pub mod provenance;
pub mod publish;
pub mod reader;
pub mod records;
pub mod recover;
pub mod reindex;
pub mod sequencer;
pub mod serve;
pub mod signer;
pub mod source;
pub mod space;
pub mod store;
pub mod submit;

//! A monitor: follows logs, believes nothing, and keeps what contradicts itself.
//!
//! | Room | Does |
//! |---|---|
//! | [`config`] | which logs, whom to trust, how patient to be |
//! | [`trust`] | whose signatures count, pure |
//! | [`source`] | bytes from URLs and folders, bounded in every way |
//! | [`tiles`] | tiles to hashes, through authentication |
//! | [`rebuild`] | entry bytes to leaf hashes, side by side |
//! | [`edge`] | the right edge of the rebuilt tree, pure |
//! | [`archive`] | the hashes of the verified tree on disk |
//! | [`store`] | what must not be forgotten |
//! | [`folder`] | the directory |
//! | [`case`] | one log, as all who deal with it share it |
//! | [`follow`] | looks, ties, rebuilds, remembers |
//! | [`look`] | one look at every log, for who looks once |
//! | [`judge`] | what a signed head says beside all that is known |
//! | [`heads`] | what one head says beside another, pure |
//! | [`receipt`] | whether a receipt is honoured |
//! | [`accuse`] | contradictions to evidence files |
//! | [`report`] | alarm reports |
//! | [`verdict`] | facts to one of seven states, pure |
//! | [`feed`] | verified entries to consumers |
//! | [`reread`] | entries that a consumer missed |
//! | [`replay`] | the registry replayed, every statement judged |
//! | [`values`] | attachments, values that are shown, and what was erased |
//! | [`crosscheck`] | what witnesses and other monitors hold |
//! | [`alerts`] | alerts on their way out |
//! | [`service`] | the monitor over HTTP |
//! | [`status`] | states as JSON and as gauges |
//! | [`index`] | verified entries, searchable: one SQLite file |
//! | [`channel`] | how alerts reach people |
//! | [`newsroom`] | index, watches, channels and pages, put together |
//! | [`history`] | a record through time, with what changed |
//! | [`rows`] | entries as CSV and NDJSON, pure |
//! | [`watch`] | saved searches that tell when something new is found |
//! | [`web`] | pages for people |
//! | [`run`] | threads, listeners, and an orderly end |
//! | [`cli`] | the command line |

pub mod accuse;
pub mod alerts;
pub mod archive;
pub mod case;
pub mod channel;
pub mod cli;
pub mod config;
pub mod crosscheck;
pub mod edge;
pub mod feed;
pub mod folder;
pub mod follow;
pub mod heads;
pub mod history;
pub mod index;
pub mod judge;
pub mod look;
pub mod newsroom;
pub mod rebuild;
pub mod receipt;
pub mod replay;
pub mod report;
pub mod reread;
pub mod rows;
pub mod run;
pub mod service;
pub mod source;
pub mod status;
pub mod store;
pub mod tiles;
pub mod trust;
pub mod values;
pub mod verdict;
pub mod watch;
pub mod web;

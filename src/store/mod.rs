//! Durable state, split by the consistency that each part needs.
//!
//! | Room | Holds | Must be |
//! |---|---|---|
//! | [`journal`] | committed batches not yet flushed | ordered, durable, chained: the commit point |
//! | [`tiles`] | the public tree: tiles, bundles, checkpoint | immutable, durable once flushed |
//! | [`ledger`] | published checkpoints, watermarks, start-up epochs | serializable, durable |
//! | [`index`] | hashes to indexes, lists of indexes | losable, rebuilt from the tree |
//! | [`blobs`] | attachments of records | immutable, durable before they have a name |
//! | [`vault`] | erasable values, encrypted, and their keys | durable, and gone when erased |
//! | [`anchor`] | a copy of the head, on another volume | never ahead of the journal |
//!
//! Every file operation of journal, tiles and anchor goes through [`disk`], where tests inject faults.

pub mod anchor;
pub mod blobs;
pub mod disk;
pub mod index;
pub mod journal;
pub mod ledger;
pub use daemon::lock;
pub mod tiles;
pub mod vault;

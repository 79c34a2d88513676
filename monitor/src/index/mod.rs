//! Verified entries, searchable: one SQLite file that other tools open as it is.
//!
//! | Room | Does |
//! |---|---|
//! | [`text`] | words of any language, folded; pairs of letters where there are no spaces |
//! | [`extract`] | what is indexed of an entry |
//! | [`amount`] | money in JSON, in one unit |
//! | [`facet`] | exact values as search words |
//! | [`query`] | what people type, understood |
//! | [`matching`] | whether an entry is what a query asks for |
//! | [`write`](mod@write) | the one writer, with its watermark |
//! | [`follow`] | verified entries from the feeds into the index |
//! | [`read`] | readers: entries, histories, agencies, times |
//! | [`search`] | a query to a page of rows |
//! | [`highlight`] | the part of a text that shows why it was found |
//!
//! Indexing follows verification and never delays it. Nothing here is believed by anybody who verifies: the file can
//! be deleted, and is made again.

pub mod amount;
pub mod extract;
pub mod facet;
pub mod follow;
pub mod highlight;
pub mod matching;
pub mod query;
pub mod read;
mod schema;
pub mod search;
pub mod text;
pub mod write;

#[cfg(test)]
mod tests;

pub use read::{Index, Row};
pub use schema::IndexError;
pub use write::Writer;

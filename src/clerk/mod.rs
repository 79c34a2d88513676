//! From an agency's files to statements: what a clerk has, and what is kept beside it.
//!
//! | Part | Does |
//! |---|---|
//! | [`input`] | a file, a folder, lines, a table: records to submit, one after the other |
//! | [`csv`], [`mapping`] | tables; which column is which field |
//! | [`json`] | JSON that says one thing, or is refused |
//! | [`entry`] | one record as the clerk wrote it, and the statement that it becomes |
//! | [`values`] | what opens commitments, secret |
//! | [`journal`] | what was signed, so that after an interruption the same bytes are sent |
//! | [`files`] | files written whole or not at all |
//!
//! Absent on purpose: the network.

pub mod csv;
pub mod entry;
pub mod files;
pub mod input;
pub mod journal;
pub mod json;
pub mod mapping;
pub mod values;

//! Registers as others write them, mapped to records and back. Pure: what is signed and sent is the caller's.
//!
//! [`rsf`] is for registers as GOV.UK published them, [`ocds`] for open contracting release packages. Both give
//! [`Version`]s in the order in which they are to be submitted; each becomes a [`Record`] once the leaf hash of the version
//! before it is known.

pub mod ocds;
pub mod rsf;

use tlog::hash::Hash;
use tlog::ids::Origin;

use crate::ids::{Line, RecordKey};
use crate::json::Object;
use crate::statement::{Content, Record, Register};
use crate::time::UtcTime;

/// A version of a record as it came from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Under which key.
    pub key: RecordKey,
    /// The time that the source gives it.
    pub at: UtcTime,
    /// What it says.
    pub public: Object,
}

impl Version {
    /// The record, after the version with this leaf hash, in a register.
    #[must_use]
    pub fn to_record(&self, register: &Register, log: &Origin, previous: Option<Hash>) -> Record {
        let schema: Option<Line> = register.schema.clone();
        Record {
            agency: register.agency.clone(),
            register: register.register.clone(),
            key: self.key.clone(),
            at: self.at,
            log: log.clone(),
            previous,
            content: Some(Content { public: self.public.clone(), schema, ..Content::default() }),
        }
    }
}

//! The registry again, from the statements that made it: at start-up, and for readers who ask for an older size.
//!
//! Only statements about agencies and registers change the registry, and they are few; the index lists them. Each is
//! read from the tree and judged by the same rules as when it came. Signatures are not verified again: the tree is ours,
//! and was recovered and compared before.

use record::registry::{JudgeError, MemoryHistory, Registry, Signatures};
use record::statement::Statement;
use tlog::ids::{LeafIndex, TreeSize};

use super::lists::{Lists, Order};
use super::marks;
use crate::lookup::{Lookup, LookupError};
use crate::store::index::{IndexError, IndexFollower};

/// Statements read at a time.
const PAGE: usize = 1024;

/// Why the entries make no registry.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The index cannot list them.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// An entry cannot be read.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// An entry changed the registry when it came in, and may not now.
    #[error(
        "entry {0} does not replay into the registry ({1}); remove the folder `index` and start the log again, and \
         if that does not help, run `daybook fsck` on the directory"
    )]
    Entry(u64, String),
    /// Entry 0 is not the genesis that the log was made with.
    #[error(
        "log.toml pins the genesis {pinned}, and entry 0 is {found}: the directory was put together from two logs"
    )]
    Genesis {
        /// In log.toml.
        pinned: String,
        /// In the tree.
        found: String,
    },
}

/// The registry of the first `size` entries.
///
/// # Errors
/// [`ReplayError`].
pub fn registry(index: &IndexFollower, lookup: &Lookup, size: TreeSize) -> Result<Registry, ReplayError> {
    let mut registry = Registry::new();
    let (list, lists, mut from) = (marks::registry(), Lists::new(index, size), 0);
    loop {
        let places = lists.page(&list, from, PAGE, Order::Forward)?;
        let Some(last) = places.last() else { return Ok(registry) };
        from = last.get() + 1;
        for place in places {
            let bad = |problem: String| ReplayError::Entry(place.get(), problem);
            let bytes = lookup.entry(place, size)?;
            let statement = Statement::parse(&bytes).map_err(|error| bad(error.to_string()))?;
            take_in(&mut registry, place, statement).map_err(bad)?;
        }
    }
}

/// The chains of agencies and registers are the registry's own, so no history is asked.
fn take_in(registry: &mut Registry, place: LeafIndex, statement: Statement) -> Result<(), String> {
    let authentic =
        registry.authenticate(statement, Signatures::Trust).map_err(|refusal| refusal.to_string())?;
    match registry.judge(place, &authentic, &MemoryHistory::default()) {
        Ok(effect) => registry.apply(effect),
        Err(JudgeError::Refused(refusal)) => return Err(refusal.to_string()),
        Err(JudgeError::History(never)) => match never {},
    }
    Ok(())
}

/// Entry 0 is the genesis that `log.toml` pins.
///
/// # Errors
/// [`ReplayError::Genesis`].
pub fn check_genesis(registry: &Registry, pinned: Option<&str>) -> Result<(), ReplayError> {
    let found = registry.genesis().map(|leaf| leaf.to_string());
    if found.as_deref() == pinned {
        return Ok(());
    }
    let none = || "none".to_owned();
    Err(ReplayError::Genesis {
        pinned: pinned.map_or_else(none, str::to_owned),
        found: found.unwrap_or_else(none),
    })
}

//! Erasing what tombstones say: key and value are destroyed before a tombstone is acknowledged.
//!
//! What it takes are values of a version, and attachments by their commitments, which later versions may name as well: it
//! takes them from those too. An upload that no version names in time is destroyed without one.
//!
//! A tombstone is first an entry like any other, committed and public, and only then carried out: a crash in between
//! leaves a value that its tombstone says is gone. So every start carries out all tombstones of the log again before
//! anything is served, which also covers a vault that was put back from an older copy. A reader is told "erased" by
//! the tombstone alone, never by the absence of a value.

use std::sync::{Mutex, PoisonError};

use record::erasable::Erasures;
use record::registry::Chain;
use record::statement::{AttachmentContent, Body, EntryRef, Erased, Statement, Tombstone};
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};

use super::lists::{Lists, Order};
use super::marks;
use crate::lookup::{Lookup, LookupError};
use crate::store::index::{IndexError, IndexFollower};
use crate::store::vault::{Vault, VaultError};

/// Tombstones read at a time.
const PAGE: usize = 256;
/// An upload that no version names after so long is destroyed.
pub const UNNAMED_SECONDS_MAX: i64 = 24 * 60 * 60;

/// Why it is not known whether everything is erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The tombstones cannot be listed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A tombstone cannot be read.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A value cannot be destroyed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Carries out tombstones, in order.
#[derive(Debug, Default)]
pub struct Eraser {
    /// Every tombstone below this index is carried out. Held while one is, so that nobody overtakes it.
    done_below: Mutex<u64>,
}

impl Eraser {
    /// Carries out every tombstone among the first `size` entries that was not yet.
    ///
    /// # Errors
    /// [`EraseError`]; what was carried out stays so.
    pub fn carry_out(
        &self,
        vault: &Vault,
        index: &IndexFollower,
        lookup: &Lookup,
        size: TreeSize,
    ) -> Result<(), EraseError> {
        let mut done = self.done_below.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found = Lists::new(index, size).page(&marks::tombstones(), *done, PAGE, Order::Forward)?;
            if found.is_empty() {
                *done = size.get().max(*done);
                return Ok(());
            }
            for place in found {
                let entry = lookup.entry(place, size)?;
                if let Ok(Body::Tombstone(tombstone)) = Statement::parse(&entry).map(|s| s.body().clone()) {
                    let mut erasures = Erasures::default();
                    let at = EntryRef { index: place, leaf: tombstone.entry.leaf };
                    erasures.add(at, &tombstone.erased);
                    vault.erase(&tombstone.entry.leaf, |item| is_erased(&erasures, item))?;
                    erase_attachments(vault, lookup, place, &tombstone)?;
                }
                *done = place.get() + 1;
            }
        }
    }
}

/// Destroys the attachments that a tombstone names, if they are that record's: anybody could name another's commitment.
fn erase_attachments(
    vault: &Vault,
    lookup: &Lookup,
    place: LeafIndex,
    tombstone: &Tombstone,
) -> Result<(), EraseError> {
    let names = |name| tombstone.erased.contains(&Erased::Attachment(name));
    if !tombstone.erased.iter().any(|erased| matches!(erased, Erased::Attachment(_))) {
        return Ok(());
    }
    // The version comes before its tombstone.
    let before = TreeSize::new(place.get()).expect("an index is a size");
    let entry = lookup.entry(tombstone.entry.index, before)?;
    let Ok(Body::Record(record)) = Statement::parse(&entry).map(|s| s.body().clone()) else { return Ok(()) };
    for attachment in record.content.iter().flat_map(|content| &content.attachments) {
        if let AttachmentContent::Erasable(commitment) = &attachment.content
            && names(attachment.name.clone())
        {
            vault.erase_attachment(commitment, place, |opening| opening.is_of(&record))?;
        }
    }
    Ok(())
}

/// Destroys uploads that no version among the first `size` entries names, though there was time enough.
///
/// # Errors
/// [`EraseError`].
pub fn expire(
    vault: &Vault,
    index: &IndexFollower,
    size: TreeSize,
    now_seconds: i64,
) -> Result<usize, EraseError> {
    vault.expire(now_seconds - UNNAMED_SECONDS_MAX, |commitment| {
        let named = Lists::new(index, size).at(&marks::attachment(commitment), 0)?;
        Ok::<_, EraseError>(named.is_some())
    })
}

/// Whether an item of the vault is gone: a JSON Pointer a line, of which one is erased.
#[must_use]
pub fn is_erased(erasures: &Erasures, item: &str) -> bool {
    let erased = |line: &str| line.parse::<Erased>().is_ok_and(|erased| erasures.of(&erased).is_some());
    item.lines().any(erased)
}

/// What the tombstones of a version have taken away, among the first `size` entries.
///
/// # Errors
/// [`EraseError`].
pub fn erasures(
    index: &IndexFollower,
    lookup: &Lookup,
    leaf: &Hash,
    size: TreeSize,
) -> Result<Erasures, EraseError> {
    let (chain, mut from, mut out) = (marks::chain(&Chain::Tombstones(*leaf)), 0, Erasures::default());
    loop {
        let found = Lists::new(index, size).page(&chain, from, PAGE, Order::Forward)?;
        let Some(last) = found.last() else { return Ok(out) };
        from = last.get() + 1;
        for place in found {
            let entry = lookup.entry(place, size)?;
            let Ok(statement) = Statement::parse(&entry) else { continue };
            if let Body::Tombstone(tombstone) = statement.body() {
                out.add(EntryRef { index: place, leaf: statement.leaf_hash() }, &tombstone.erased);
            }
        }
    }
}

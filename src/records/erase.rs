//! Erasing what tombstones say: key and value are destroyed before a tombstone is acknowledged.
//!
//! What it takes are values of a version, and attachments by their commitments, which later versions may name as well: it
//! takes them from those too. An upload that no version names in time is destroyed without one ([`super::upkeep`]).
//!
//! A tombstone is first an entry like any other, committed and public, and only then carried out: by the request that
//! brought it, or by [`super::upkeep`] where the request was over before, or the vault did not let go of something. A crash in
//! between leaves a value that its tombstone says is gone. So every start carries out all published tombstones again before
//! anything is served, which also covers a vault that was put back from an older copy. A reader is told "erased" by the
//! tombstone alone, from its publication on, never by the absence of a value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record::erasable::{AttachmentOpening, Erasures};
use record::registry::Chain;
use record::statement::{AttachmentContent, Body, EntryRef, Erased, Record, Statement};
use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};

use super::lists::{self, Lists};
use super::marks;
use crate::lookup::{Lookup, LookupError};
use crate::store::index::{IndexError, IndexFollower};
use crate::store::vault::{Vault, VaultError};

/// Tombstones read at a time.
const PAGE: usize = 256;

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

/// What one tombstone takes from the vault.
#[derive(Debug)]
struct Order {
    tombstone: LeafIndex,
    /// The version that it is about.
    leaf: Hash,
    erasures: Erasures,
    /// The version itself, if attachments are taken from it.
    record: Option<Record>,
}

impl Order {
    /// Reads the tombstone at an index; `None` if there is another entry, which only an operator can have put there.
    fn read(lookup: &Lookup, tombstone: LeafIndex, size: TreeSize) -> Result<Option<Self>, EraseError> {
        let entry = lookup.entry(tombstone, size)?;
        let Ok(Body::Tombstone(body)) = Statement::parse(&entry).map(|one| one.body().clone()) else {
            return Ok(None);
        };
        let leaf = body.entry.leaf;
        let mut erasures = Erasures::default();
        erasures.add(EntryRef { index: tombstone, leaf }, &body.erased);
        let mut order = Self { tombstone, leaf, erasures, record: None };
        let takes_attachments = body.erased.iter().any(|erased| matches!(erased, Erased::Attachment(_)));
        if takes_attachments && body.entry.index < tombstone {
            // Read as the published tree has it: trees that no head was signed of have no bundles.
            let entry = lookup.entry(body.entry.index, size)?;
            if let Ok(Body::Record(record)) = Statement::parse(&entry).map(|one| one.body().clone()) {
                order.record = Some(record);
            }
        }
        Ok(Some(order))
    }

    /// The erasable attachments that it takes, by their commitments.
    fn attachments(&self) -> impl Iterator<Item = &Hash> {
        let content = self.record.iter().flat_map(|record| &record.content);
        content.flat_map(|content| &content.attachments).filter_map(|one| match &one.content {
            AttachmentContent::Erasable(commitment) => {
                self.erasures.of(&Erased::Attachment(one.name.clone())).map(|_| commitment)
            }
            AttachmentContent::Public(_) => None,
        })
    }

    /// Whether an attachment is the version's: anybody could name another's commitment.
    fn is_its(&self, opening: &AttachmentOpening) -> bool {
        self.record.as_ref().is_some_and(|record| opening.is_of(record))
    }

    fn carry_out(&self, vault: &Vault) -> Result<(), VaultError> {
        vault.erase(&self.leaf, |item| is_erased(&self.erasures, item))?;
        for commitment in self.attachments() {
            vault.erase_attachment(commitment, self.tombstone, |opening| self.is_its(opening))?;
        }
        Ok(())
    }
}

/// Carries out tombstones, and knows which are not carried out yet.
#[derive(Debug, Default)]
pub struct Eraser {
    /// Held while tombstones are carried out, so that nobody overtakes whoever does.
    at_work: Mutex<()>,
    /// Held for as long as it takes to read a few entries: readers ask too.
    agenda: Mutex<Agenda>,
}

/// What is to be carried out. As long as the vault does not let go, it grows with the tombstones.
#[derive(Debug, Default)]
struct Agenda {
    /// Every tombstone below this index is carried out, or among the orders.
    read_below: u64,
    orders: BTreeMap<u64, Arc<Order>>,
}

impl Agenda {
    /// Takes in a page of those among the first `size` entries that come next; whether these were all.
    fn read(&mut self, index: &IndexFollower, lookup: &Lookup, size: TreeSize) -> Result<bool, EraseError> {
        if self.read_below >= size.get() {
            return Ok(true);
        }
        let page = Lists::new(index, size).page(
            &marks::tombstones(),
            self.read_below,
            PAGE,
            lists::Order::Forward,
        )?;
        let whole = page.len() < PAGE;
        for place in page {
            if let Some(order) = Order::read(lookup, place, size)? {
                self.orders.insert(place.get(), Arc::new(order));
            }
            self.read_below = place.get() + 1;
        }
        if whole {
            self.read_below = size.get();
        }
        Ok(whole)
    }
}

impl Eraser {
    /// Carries out every tombstone among the first `size` entries that was not yet. One that fails for itself does not hold
    /// up the others.
    ///
    /// # Errors
    /// [`EraseError`], the first one; what was carried out stays so, and the rest is to be tried again.
    pub fn carry_out(
        &self,
        vault: &Vault,
        index: &IndexFollower,
        lookup: &Lookup,
        size: TreeSize,
    ) -> Result<(), EraseError> {
        let _at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut failed, mut tried_below) = (None, 0);
        loop {
            let (read, orders) = {
                let mut agenda = self.agenda();
                let read = agenda.read(index, lookup, size);
                let orders: Vec<_> =
                    agenda.orders.range(tried_below..).map(|(_, one)| Arc::clone(one)).collect();
                tried_below = agenda.read_below;
                (read, orders)
            };
            for order in orders {
                match order.carry_out(vault) {
                    Ok(()) => {
                        self.agenda().orders.remove(&order.tombstone.get());
                    }
                    Err(error @ VaultError::File(_)) => {
                        failed.get_or_insert(error);
                    }
                    // It would be the same for every other.
                    Err(error) => return Err(error.into()),
                }
            }
            if read? {
                return failed.map_or(Ok(()), |error| Err(error.into()));
            }
        }
    }

    /// Whether there may be something to carry out among the first `size` entries.
    #[must_use]
    pub fn is_behind(&self, size: TreeSize) -> bool {
        let agenda = self.agenda();
        agenda.read_below < size.get() || !agenda.orders.is_empty()
    }

    /// Whether no entry of these is a tombstone that is still to be carried out.
    #[must_use]
    pub fn has_carried_out(&self, entries: &[LeafIndex]) -> bool {
        let agenda = self.agenda();
        entries.iter().all(|one| one.get() < agenda.read_below && !agenda.orders.contains_key(&one.get()))
    }

    /// How many tombstones are known and not carried out.
    #[must_use]
    pub fn overdue(&self) -> usize {
        self.agenda().orders.len()
    }

    /// The tombstone among the first `size` entries that takes an attachment and is not carried out yet. Those that are have
    /// left their mark in the vault.
    ///
    /// # Errors
    /// [`EraseError`]: it may be erased.
    pub fn takes(
        &self,
        index: &IndexFollower,
        lookup: &Lookup,
        size: TreeSize,
        opening: &AttachmentOpening,
    ) -> Result<Option<LeafIndex>, EraseError> {
        let mut agenda = self.agenda();
        while !agenda.read(index, lookup, size)? {}
        if agenda.orders.is_empty() {
            return Ok(None);
        }
        let commitment = opening.commitment();
        let takes =
            |order: &&Arc<Order>| order.attachments().any(|one| *one == commitment) && order.is_its(opening);
        let found = agenda.orders.values().find(takes);
        Ok(found.map(|order| order.tombstone).filter(|tombstone| tombstone.get() < size.get()))
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let found = Lists::new(index, size).page(&chain, from, PAGE, lists::Order::Forward)?;
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

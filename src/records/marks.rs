//! What a statement adds to the index: its text, and its place in the lists that pages and the registry are made of.
//!
//! | List | Holds |
//! |---|---|
//! | a chain | its entries |
//! | registry | statements that change the registry |
//! | agency | statements about an agency and its registers |
//! | register | every statement about a register and its records |
//! | keys | the first entry under each key of a register |
//! | tombstones | every tombstone |
//! | attachment | the versions that name an erasable attachment |
//! | blob | the versions that name a public attachment |
//!
//! Nothing here decides anything: marks are derived from an entry that is in the tree, in order, by the sequencer and
//! by whoever builds the index anew.

use record::registry::Chain;
use record::statement::{Attachment, AttachmentContent, Body, EntryRef, Statement};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;

use super::lists::Ends;
use crate::store::index::{IndexError, ListId, Mark};

/// The entries of a chain.
#[must_use]
pub fn chain(chain: &Chain) -> ListId {
    ListId::from_hash(chain.id())
}

/// Every statement that changes the registry.
#[must_use]
pub fn registry() -> ListId {
    ListId::new("registry", &[])
}

/// Statements about an agency and its registers.
#[must_use]
pub fn agency(agency: &str) -> ListId {
    ListId::new("agency", &[agency.as_bytes()])
}

/// Every statement about a register and its records.
#[must_use]
pub fn register(agency: &str, register: &str) -> ListId {
    ListId::new("register", &[agency.as_bytes(), register.as_bytes()])
}

/// The first entry under each key of a register.
#[must_use]
pub fn keys(agency: &str, register: &str) -> ListId {
    ListId::new("keys", &[agency.as_bytes(), register.as_bytes()])
}

/// Every tombstone.
#[must_use]
pub fn tombstones() -> ListId {
    ListId::new("tombstones", &[])
}

/// The versions that name the erasable attachment with this commitment.
#[must_use]
pub fn attachment(commitment: &Hash) -> ListId {
    ListId::new("attachment", &[commitment.as_bytes()])
}

/// The versions that name the public attachment with this SHA-256.
#[must_use]
pub fn blob(sha256: &Hash) -> ListId {
    ListId::new("blob", &[sha256.as_bytes()])
}

/// The lists that a statement stands in.
fn lists(body: &Body) -> Vec<ListId> {
    let owner = body.agency().as_str();
    let mut lists = vec![chain(&Chain::of(body))];
    match body {
        Body::Genesis(_) | Body::Agency(_) => lists.extend([registry(), agency(owner)]),
        Body::Dispute(_) => lists.push(agency(owner)),
        Body::Register(body) => {
            lists.extend([registry(), agency(owner), register(owner, body.register.as_str())]);
        }
        Body::Record(body) => {
            lists.push(register(owner, body.register.as_str()));
            if body.previous.is_none() {
                lists.push(keys(owner, body.register.as_str()));
            }
            lists.extend(body.content.iter().flat_map(|content| &content.attachments).map(named));
        }
        Body::Tombstone(body) => {
            lists.extend([register(owner, body.register.as_str()), tombstones()]);
        }
    }
    lists
}

fn named(one: &Attachment) -> ListId {
    match &one.content {
        AttachmentContent::Erasable(commitment) => attachment(commitment),
        AttachmentContent::Public(sha256) => blob(sha256),
    }
}

/// The marks of a statement besides its leaf's. They have to be pushed before `ends` is settled.
///
/// # Errors
/// [`IndexError`] if it cannot be told where a list ends.
pub fn marks(statement: &Statement, index: LeafIndex, ends: &mut Ends) -> Result<Vec<Mark>, IndexError> {
    let entry = EntryRef { index, leaf: statement.leaf_hash() };
    let mut marks = vec![Mark::text(statement.identity(), index.get())];
    for list in lists(statement.body()) {
        marks.push(Mark::item(&list, ends.push(&list, entry)?, index.get()));
    }
    Ok(marks)
}

/// The marks of an entry of a log of statements. One that is no statement, which only an operator can have put there, has
/// none: it can be found by its hash, and stands in no list.
///
/// # Errors
/// As above.
pub fn marks_of_entry(entry: &[u8], index: LeafIndex, ends: &mut Ends) -> Result<Vec<Mark>, IndexError> {
    match Statement::parse(entry) {
        Ok(statement) => marks(&statement, index, ends),
        Err(error) => {
            tracing::warn!(%index, %error, "an entry of this log is no statement");
            Ok(Vec::new())
        }
    }
}

//! The questions that readers ask of a register, answered from the published tree and the index.
//!
//! Everything is as it was at a tree size: the published one, or an older one that the query names. Lists are paged by
//! index: `from=<index>` goes forward from there, `before=<index>` back from there. The index proposes entries; what
//! is shown comes from the tree, with its leaf hash, and its receipt is at `/entry/<index>`.
//!
//! A page holds entries as they are stored, a bounded number of bytes of them, and ends early where they are many; whoever
//! shows them parses one at a time. A bundle that several of them are in is read once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use daemon::problem::Problem;
use record::ids::{AgencyId, RecordKey, RegisterId};
use record::registry::{Chain, Registry};
use record::statement::{Body, Dispute, EntryRef, Statement, Tombstone};
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{LeafIndex, TreeSize};

use crate::http::{App, error};
use crate::lookup::{LookupError, StoredBundle};
use crate::records::lists::{Lists, Order};
use crate::records::marks;
use crate::store::index::{IndexError, ListId};

/// Items on a page unless the query says otherwise.
const ITEMS_DEFAULT: usize = 100;
/// The most items that a query can ask for.
const ITEMS_MAX: usize = 1000;
/// A page ends before it would hold more bytes of entries than this; it has at least one.
pub(super) const PAGE_BYTES_MAX: usize = 4 << 20;
/// The same for pages for people, where markup is added, and what changed is shown from both sides.
pub(super) const PAGE_FOR_PEOPLE_BYTES_MAX: usize = 1 << 20;
/// A page ends when this much has been read for it: entries of a list can lie far apart.
const READ_BYTES_MAX: usize = 128 << 20;
/// Tombstones of one version that are shown with it. Each takes something that was there, so there are few.
const TOMBSTONES_MAX: usize = 1000;
/// Bundles kept while a page is made: one of the list, and one of what it leads to.
const BUNDLES_KEPT: usize = 2;

/// What a query string asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    size: Option<TreeSize>,
    from: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
}

impl Query {
    /// Parses a query string. Unknown names are refused: a filter that is not applied would be a wrong answer.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut out = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || value.parse::<TreeSize>().map_err(|_| bad(pair));
            match name {
                "size" => out.size = Some(number()?),
                "from" => out.from = Some(number()?.get()),
                "before" => out.before = Some(number()?.get()),
                "limit" => {
                    let limit = usize::try_from(number()?.get()).unwrap_or(usize::MAX);
                    out.limit = Some(limit).filter(|limit| (1..=ITEMS_MAX).contains(limit));
                    if out.limit.is_none() {
                        return Err(error::malformed(format!("limit is a number from 1 to {ITEMS_MAX}.")));
                    }
                }
                _ => return Err(bad(pair)),
            }
        }
        match (out.from, out.before) {
            (Some(_), Some(_)) => Err(error::malformed("Give from or before, not both.")),
            _ => Ok(out),
        }
    }

    fn order(&self) -> Order {
        if self.before.is_some() { Order::Backward } else { Order::Forward }
    }

    /// From the oldest on, so many at a time, of the same tree.
    pub(super) fn of_the_first(&self, limit: usize) -> Self {
        Self { size: self.size, limit: Some(limit), from: None, before: None }
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(ITEMS_DEFAULT)
    }

    /// The query of the page that follows one whose last item has this index. A page of an older tree, or one of another
    /// length, is followed by its like.
    fn following(&self, last: u64) -> String {
        let place = match self.order() {
            Order::Forward => format!("from={}", last + 1),
            Order::Backward => format!("before={last}"),
        };
        let size = self.size.map(|size| format!("&size={size}")).unwrap_or_default();
        let length = self.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        format!("{place}{size}{length}")
    }

    /// A part of what is in memory, by the index of the entry that brought each in, and the query of the next part. What one
    /// entry brought in stays together.
    pub(super) fn part<T>(&self, all: impl Iterator<Item = T>, since: impl Fn(&T) -> u64) -> Part<T> {
        let (from, before) = (self.from.unwrap_or(0), self.before.unwrap_or(u64::MAX));
        let mut all: Vec<T> = all.filter(|one| (from..before).contains(&since(one))).collect();
        all.sort_by_key(&since);
        if self.order() == Order::Backward {
            all.reverse();
        }
        let limit = self.limit();
        let last = all.get(limit - 1).map(&since);
        let count = last.map_or(all.len(), |last| {
            let more = all[limit..].iter().take_while(|one| since(one) == last).count();
            limit + more
        });
        let next = last.filter(|_| count < all.len()).map(|last| self.following(last));
        all.truncate(count);
        Part { all, next }
    }
}

/// A part of what is in memory.
#[derive(Clone, Debug)]
pub(super) struct Part<T> {
    pub(super) all: Vec<T>,
    /// The query of the next part.
    pub(super) next: Option<String>,
}

fn bad(pair: &str) -> Problem {
    let detail =
        format!("The query has {pair:?}; size, from, before and limit are known, each a decimal number.");
    error::malformed(detail)
}

/// The log as a reader sees it.
pub(super) struct View<'a> {
    app: &'a App,
    pub(super) size: TreeSize,
    pub(super) registry: Arc<Registry>,
    page_bytes_max: usize,
    bundles: RefCell<Bundles>,
}

/// What was read for a page.
#[derive(Debug, Default)]
struct Bundles {
    /// The one used last comes first.
    kept: VecDeque<StoredBundle>,
    read_bytes: usize,
}

/// An entry that is a statement.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) index: LeafIndex,
    pub(super) statement: Statement,
}

/// An entry of a page, as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: LeafIndex,
    pub(super) leaf: Hash,
    bytes: Vec<u8>,
}

impl Entry {
    /// The statement that it is. Takes many times the memory of the entry: to be had one at a time.
    pub(super) fn item(&self) -> Result<Item, Problem> {
        let statement = Statement::parse(&self.bytes).map_err(|cause| {
            tracing::error!(index = %self.index, %cause, "an entry that a list names is no statement");
            error::internal()
        })?;
        Ok(Item { index: self.index, statement })
    }
}

/// A part of a list.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The places in the list of these entries, and of at least one more if there is one.
    found: Vec<LeafIndex>,
    query: Query,
}

impl Page {
    /// The query of the next page.
    pub(super) fn next(&self) -> Option<String> {
        let last = self.found.get(self.entries.len().checked_sub(1)?)?;
        (self.entries.len() < self.found.len()).then(|| self.query.following(last.get()))
    }

    /// Ends the page after so many entries.
    pub(super) fn truncate(&mut self, count: usize) {
        self.entries.truncate(count);
    }
}

fn index_failed(cause: &IndexError) -> Problem {
    tracing::error!(%cause, "a list cannot be read");
    error::internal()
}

fn entry_failed(cause: &LookupError) -> Problem {
    tracing::error!(%cause, "an entry of a list cannot be read");
    error::internal()
}

impl App {
    /// The log at the size that the query asks for.
    pub(super) fn view(&self, query: Query) -> Result<View<'_>, Problem> {
        let published = self.log.published().head().size;
        let registry = self.records()?.views.published(published);
        let size = query.size.unwrap_or(published);
        if size > published {
            let error = crate::prove::ProveError::NotPublished(size, published);
            return Err(error::prove(&error));
        }
        let registry = self.records()?.views.at(&registry, size).ok_or_else(|| self.busy())?;
        Ok(View { app: self, size, registry, page_bytes_max: PAGE_BYTES_MAX, bundles: RefCell::default() })
    }
}

impl View<'_> {
    /// Ends pages before they hold more bytes of entries than this.
    pub(super) fn with_page_bytes_max(self, page_bytes_max: usize) -> Self {
        Self { page_bytes_max, ..self }
    }

    fn lists(&self) -> Lists<'_> {
        Lists::new(&self.app.log.index, self.size)
    }

    pub(super) fn item(&self, index: LeafIndex) -> Result<Item, Problem> {
        self.entry(index)?.item()
    }

    pub(super) fn entry(&self, index: LeafIndex) -> Result<Entry, Problem> {
        let mut bundles = self.bundles.borrow_mut();
        let Bundles { kept, read_bytes } = &mut *bundles;
        match kept.iter().position(|bundle| bundle.entry(index).is_some()) {
            Some(at) => kept.swap(0, at),
            None => {
                // Before the next is read: the memory is for so many.
                kept.truncate(BUNDLES_KEPT - 1);
                let read = self.app.log.lookup.bundle(index, self.size);
                let read = read.map_err(|cause| entry_failed(&cause))?;
                *read_bytes += read.length();
                kept.push_front(read);
            }
        }
        let bytes = kept.front().and_then(|bundle| bundle.entry(index)).ok_or_else(|| {
            tracing::error!(%index, "an entry that a list names is not in its bundle");
            error::internal()
        })?;
        Ok(Entry { index, leaf: leaf_hash(bytes), bytes: bytes.to_vec() })
    }

    /// A page of one entry, which nothing follows.
    pub(super) fn alone(&self, entry: Entry) -> Page {
        Page { found: vec![entry.index], entries: vec![entry], query: Query::default() }
    }

    pub(super) fn page(&self, list: &ListId, query: Query) -> Result<Page, Problem> {
        self.gather(list, query, |place| self.entry(place))
    }

    /// A page of a list, with an entry for each of its places.
    fn gather(
        &self,
        list: &ListId,
        query: Query,
        entry_for: impl Fn(LeafIndex) -> Result<Entry, Problem>,
    ) -> Result<Page, Problem> {
        let start = query.before.or(query.from).unwrap_or(0);
        let found = self.lists().page(list, start, query.limit() + 1, query.order());
        let found = found.map_err(|cause| index_failed(&cause))?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for place in found.iter().take(query.limit()) {
            let full = self.bundles.borrow().read_bytes >= READ_BYTES_MAX;
            if full && !entries.is_empty() {
                break;
            }
            let entry = entry_for(*place)?;
            bytes += entry.bytes.len();
            if bytes > self.page_bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(Page { entries, found, query })
    }

    /// The latest version of each record of a register, ordered by the first.
    pub(super) fn records(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
        query: Query,
    ) -> Result<Page, Problem> {
        let keys = marks::keys(agency.as_str(), register.as_str());
        self.gather(&keys, query, |place| {
            let first = self.entry(place)?;
            let chain = marks::chain(&Chain::of(first.item()?.statement.body()));
            match self.lists().last(&chain).map_err(|cause| index_failed(&cause))? {
                Some(index) if index != first.index => self.entry(index),
                _ => Ok(first),
            }
        })
    }

    /// The latest version of one record.
    pub(super) fn record(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
        key: &RecordKey,
    ) -> Result<Entry, Problem> {
        let chain = Chain::Record(agency.clone(), register.clone(), key.clone());
        let latest = self.lists().last(&marks::chain(&chain)).map_err(|cause| index_failed(&cause))?;
        match latest {
            Some(index) => self.entry(index),
            None => Err(error::not_there(format!(
                "The register {register} of {agency} has no record {key:?} in the first {} entries.",
                self.size,
                key = key.as_str()
            ))),
        }
    }

    /// The tombstones of the version with this leaf hash, oldest first.
    pub(super) fn tombstones(&self, leaf: &Hash) -> Result<Vec<(EntryRef, Tombstone)>, Problem> {
        let list = marks::chain(&Chain::Tombstones(*leaf));
        let found = self.lists().page(&list, 0, TOMBSTONES_MAX, Order::Forward);
        let found = found.map_err(|cause| index_failed(&cause))?;
        let tombstone = |place: LeafIndex| {
            let item = self.item(place)?;
            let entry = EntryRef { index: place, leaf: item.statement.leaf_hash() };
            match item.statement.body() {
                Body::Tombstone(tombstone) => Ok(Some((entry, tombstone.clone()))),
                _ => Ok(None),
            }
        };
        found.into_iter().filter_map(|place| tombstone(place).transpose()).collect()
    }

    /// The disputes of an agency, newest first, at most so many.
    pub(super) fn disputes(
        &self,
        agency: &AgencyId,
        count: usize,
    ) -> Result<Vec<(LeafIndex, Dispute)>, Problem> {
        let list = marks::chain(&Chain::Disputes(agency.clone()));
        let found = self.lists().page(&list, u64::MAX, count, Order::Backward);
        let found = found.map_err(|cause| index_failed(&cause))?;
        let dispute = |place: LeafIndex| match self.item(place)?.statement.body() {
            Body::Dispute(dispute) => Ok(Some((place, dispute.clone()))),
            _ => Ok(None),
        };
        found.into_iter().filter_map(|place| dispute(place).transpose()).collect()
    }

    /// How many entries a list has.
    pub(super) fn length(&self, list: &ListId) -> Result<u64, Problem> {
        self.lists().length(list).map_err(|cause| index_failed(&cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_meet_and_what_came_in_together_stays_together() {
        let since = [3_u64, 1, 1, 1, 7, 3, 9];
        for (start, limit) in [("from=0", 1), ("from=0", 2), ("before=100", 2), ("before=100", 3), ("", 4)] {
            let (mut seen, mut query) = (Vec::new(), format!("{start}&limit={limit}&size=10"));
            loop {
                let asked = Query::parse(&query).unwrap();
                let part = asked.part(since.iter(), |since| **since);
                assert!(!part.all.is_empty() && part.all.len() <= limit + 2, "{query}: {part:?}");
                seen.push(part.all.into_iter().copied().collect::<Vec<u64>>());
                match part.next {
                    Some(next) => query = next,
                    None => break,
                }
            }
            for pair in seen.windows(2) {
                assert_ne!(pair[0].last(), pair[1].first(), "{start} {limit}: {seen:?}");
            }
            let mut all = seen.concat();
            all.sort_unstable();
            assert_eq!(all, [1, 1, 1, 3, 3, 7, 9], "{start} {limit}");
        }
        let none = Query::parse("from=10").unwrap().part(since.iter(), |since| **since);
        assert!(none.all.is_empty() && none.next.is_none());
    }

    #[test]
    fn a_query_is_understood_as_a_whole_or_refused() {
        let query = Query::parse("size=7&from=3&limit=2").unwrap();
        assert_eq!((query.from, query.limit, query.order()), (Some(3), Some(2), Order::Forward));
        assert_eq!(Query::parse("").unwrap(), Query::default());
        for bad in ["size=", "size=01", "size=-1", "limit=0", "limit=1001", "form=1", "from=1&before=2", "x"]
        {
            assert_eq!(Query::parse(bad).unwrap_err().kind(), "malformed", "{bad}");
        }
    }
}

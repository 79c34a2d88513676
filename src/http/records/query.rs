//! The questions that readers ask of a register, answered from the published tree and the index.
//!
//! Everything is as it was at a tree size: the published one, or an older one that the query names. Lists are paged by
//! index: `from=<index>` goes forward from there, `before=<index>` back from there. The index proposes entries; what
//! is shown comes from the tree, with its leaf hash, and its receipt is at `/entry/<index>`.

use std::sync::Arc;

use daemon::problem::Problem;
use record::ids::{AgencyId, RecordKey, RegisterId};
use record::registry::{Chain, Registry};
use record::statement::Statement;
use tlog::ids::{LeafIndex, TreeSize};

use crate::http::{App, error};
use crate::lookup::LookupError;
use crate::records::lists::{Lists, Order};
use crate::records::marks;
use crate::store::index::{IndexError, ListId};

/// Items on a page unless the query says otherwise.
const ITEMS_DEFAULT: usize = 100;
/// The most items that a query can ask for.
const ITEMS_MAX: usize = 1000;

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
}

/// An entry that is a statement.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) index: LeafIndex,
    pub(super) statement: Statement,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// The query of the next page.
    pub(super) next: Option<String>,
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
        let current = registry.size() <= size;
        let registry = if current { registry } else { Arc::new(registry.at(size)) };
        Ok(View { app: self, size, registry })
    }
}

impl View<'_> {
    fn lists(&self) -> Lists<'_> {
        Lists::new(&self.app.log.index, self.size)
    }

    pub(super) fn item(&self, index: LeafIndex) -> Result<Item, Problem> {
        let entry = self.app.log.lookup.entry(index, self.size).map_err(|cause| entry_failed(&cause))?;
        let statement = Statement::parse(&entry).map_err(|cause| {
            tracing::error!(%index, %cause, "an entry that a list names is no statement");
            error::internal()
        })?;
        Ok(Item { index, statement })
    }

    pub(super) fn page(&self, list: &ListId, query: Query) -> Result<Page, Problem> {
        let limit = query.limit.unwrap_or(ITEMS_DEFAULT);
        let order = query.order();
        let start = query.before.or(query.from).unwrap_or(0);
        let mut found =
            self.lists().page(list, start, limit + 1, order).map_err(|cause| index_failed(&cause))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let items: Result<Vec<Item>, Problem> = found.into_iter().map(|index| self.item(index)).collect();
        let items = items?;
        let next = items.last().filter(|_| more).map(|last| match order {
            Order::Forward => format!("from={}", last.index.get() + 1),
            Order::Backward => format!("before={}", last.index),
        });
        // A page of an older tree, or one of another length, is followed by its like.
        let size = query.size.map(|size| format!("&size={size}")).unwrap_or_default();
        let length = query.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        Ok(Page { items, next: next.map(|next| format!("{next}{size}{length}")) })
    }

    /// The latest version of each record of a register, ordered by the first.
    pub(super) fn records(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
        query: Query,
    ) -> Result<Page, Problem> {
        let keys = marks::keys(agency.as_str(), register.as_str());
        let Page { items, next } = self.page(&keys, query)?;
        let latest = |first: Item| {
            let chain = marks::chain(&Chain::of(first.statement.body()));
            match self.lists().last(&chain).map_err(|cause| index_failed(&cause))? {
                Some(index) if index != first.index => self.item(index),
                _ => Ok(first),
            }
        };
        let items: Result<Vec<Item>, Problem> = items.into_iter().map(latest).collect();
        Ok(Page { items: items?, next })
    }

    /// The latest version of one record.
    pub(super) fn record(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
        key: &RecordKey,
    ) -> Result<Item, Problem> {
        let chain = Chain::Record(agency.clone(), register.clone(), key.clone());
        let latest = self.lists().last(&marks::chain(&chain)).map_err(|cause| index_failed(&cause))?;
        match latest {
            Some(index) => self.item(index),
            None => Err(error::not_there(format!(
                "The register {register} of {agency} has no record {key:?} in the first {} entries.",
                self.size,
                key = key.as_str()
            ))),
        }
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

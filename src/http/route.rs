//! What a path means. One path has one spelling: what does not format back to itself is no route.

use std::str::FromStr;

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeSize};
use tlog::tile::TilePath;

use super::records::route::RecordsRoute;

/// A call of RFC 6962, section 4, without those that certificates need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtCall {
    /// 4.3
    GetSth,
    /// 4.4
    GetSthConsistency,
    /// 4.5
    GetProofByHash,
    /// 4.6
    GetEntries,
    /// 4.8
    GetEntryAndProof,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`
    Start,
    /// `/log.json`
    LogJson,
    /// `/checkpoint`
    Checkpoint,
    /// `/tile/...`
    Tile(TilePath),
    /// `/add`
    Add,
    /// `/add-batch`
    AddBatch,
    /// `/proof/inclusion/<index>/<size>`
    Inclusion {
        /// Of this entry.
        index: LeafIndex,
        /// In the tree of this size.
        size: TreeSize,
    },
    /// `/proof/consistency/<old>/<new>`
    Consistency {
        /// The smaller tree.
        old: TreeSize,
        /// The larger one.
        new: TreeSize,
    },
    /// `/entry/<index>`
    Entry(LeafIndex),
    /// `/entry/by-hash/<hex>`
    EntryByHash(Hash),
    /// `/ct/v1/...`
    Ct(CtCall),
    /// `/events`
    Events,
    /// Of the records' interface.
    Records(RecordsRoute),
}

impl Route {
    /// Parses a path. Numbers are decimal without leading zeros, hashes lower-case hex.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if path.starts_with("tile/") {
            return path.parse().ok().map(Self::Tile);
        }
        let parts: Vec<&str> = path.split('/').collect();
        Some(match parts.as_slice() {
            [""] => Self::Start,
            ["log.json"] => Self::LogJson,
            ["checkpoint"] => Self::Checkpoint,
            ["add"] => Self::Add,
            ["add-batch"] => Self::AddBatch,
            ["proof", "inclusion", index, size] => Self::Inclusion { index: get(index)?, size: get(size)? },
            ["proof", "consistency", old, new] => Self::Consistency { old: get(old)?, new: get(new)? },
            ["entry", "by-hash", leaf] => Self::EntryByHash(get(leaf)?),
            ["events"] => Self::Events,
            ["entry", index] => Self::Entry(get(index)?),
            ["ct", "v1", call] => Self::Ct(match *call {
                "get-sth" => CtCall::GetSth,
                "get-sth-consistency" => CtCall::GetSthConsistency,
                "get-proof-by-hash" => CtCall::GetProofByHash,
                "get-entries" => CtCall::GetEntries,
                "get-entry-and-proof" => CtCall::GetEntryAndProof,
                _ => return None,
            }),
            parts => Self::Records(RecordsRoute::parse(parts)?),
        })
    }

    /// The metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::LogJson => "log_json",
            Self::Checkpoint => "checkpoint",
            Self::Tile(TilePath::Hashes(_)) => "tile",
            Self::Tile(TilePath::Entries(_)) => "bundle",
            Self::Add => "add",
            Self::AddBatch => "add_batch",
            Self::Inclusion { .. } => "inclusion",
            Self::Consistency { .. } => "consistency",
            Self::Entry(_) => "entry",
            Self::EntryByHash(_) => "entry_by_hash",
            Self::Ct(_) => "ct",
            Self::Events => "events",
            Self::Records(route) => route.label(),
        }
    }
}

fn get<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_canonical_is_no_route() {
        let no = [
            "",
            "checkpoint",
            "/checkpoint/",
            "//checkpoint",
            "/Checkpoint",
            "/tile/0/0",
            "/tile/0/000.p/256",
            "/tile/0/000.p/0",
            "/tile/64/000",
            "/tile/00/000",
            "/tile/0/x000/001",
            "/tile/entries/000.p/01",
            "/entry/01",
            "/entry/+1",
            "/entry/-1",
            "/entry/",
            "/entry/9223372036854775808",
            "/proof/inclusion/1",
            "/proof/inclusion/1/2/3",
            "/proof/inclusion/1/02",
            "/ct/v1/add-chain",
            "/entry/by-hash/ABCD",
            "/add/",
            "/%63heckpoint",
            "/proof/consistency/1/ 2",
        ];
        for path in no {
            assert_eq!(Route::parse(path), None, "{path}");
        }
        let upper = "A".repeat(64);
        assert_eq!(Route::parse(&format!("/entry/by-hash/{upper}")), None);
    }

    #[test]
    fn every_path_of_the_interface_is_a_route() {
        let leaf = "a".repeat(64);
        let yes = [
            "/",
            "/log.json",
            "/checkpoint",
            "/add",
            "/add-batch",
            "/tile/0/000",
            "/tile/63/x001/000",
            "/tile/entries/x001/x002/003.p/255",
            "/proof/inclusion/0/1",
            "/proof/consistency/0/0",
            "/entry/0",
            &format!("/entry/by-hash/{leaf}"),
            "/ct/v1/get-sth",
            "/ct/v1/get-entries",
            "/records",
            "/records/batch",
        ];
        for path in yes {
            assert!(Route::parse(path).is_some(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_makes_the_router_panic_and_none_has_two_spellings(
            path in "/(tile|entry|proof|ct|checkpoint|add|[a-z]{0,5})(/(x?[0-9+-]{0,20}|entries|by-hash|inclusion|v1|[0-9a-fA-F]{64}|\\PC{0,4})){0,5}",
        ) {
            let Some(route) = Route::parse(&path) else { return Ok(()) };
            for other in [format!("{path}/"), path.replacen('/', "//", 1), path.replacen('/', "/0", 1)] {
                proptest::prop_assert_ne!(Route::parse(&other), Some(route.clone()), "{}", other);
            }
        }
    }
}

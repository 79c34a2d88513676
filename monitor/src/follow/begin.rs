//! Where a log's verification starts, and how it starts again when our own hashes are damaged.

use std::sync::Arc;

use tlog::ids::TreeSize;
use tlog::tile::partial_tiles;
use tlog::tree::Frontier;
use tlog::verify_tiles::consistency_nodes;

use super::Follower;
use crate::case::CaseError;
use crate::edge::Edge;
use crate::judge::AnyOf;
use crate::rebuild::Damage;
use crate::report::OWN;
use crate::tiles::{Unproved, prove_nodes};

impl Follower {
    /// The edge to start from: nothing, or the right edge of the pinned checkpoint.
    pub(super) fn begin(&mut self) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        let Some(pinned) = case.followed.pinned.clone() else {
            self.edge = Some(Edge::default());
            return Ok(());
        };
        case.see(&pinned, "pinned")?;
        let head = pinned.head();
        let nodes = consistency_nodes(head.size, head.size).unwrap_or_default();
        let tiles = match prove_nodes(&AnyOf(&case.sources), head, &nodes) {
            Ok(tiles) => tiles,
            Err(Unproved::Read(error)) => {
                self.unread = Some(error.to_string());
                return Ok(());
            }
            Err(error) => {
                self.damages.extend(Damage::of_tiles(head.size, &error));
                return Ok(());
            }
        };
        let peaks: Option<Vec<_>> = nodes.iter().map(|node| tiles.node(*node)).collect();
        let peaks = peaks.unwrap_or_default();
        let (Ok(edge), Ok(_)) =
            (Edge::from_peaks(head.size, &peaks), Frontier::from_peaks(head.size, peaks.clone()))
        else {
            return Ok(());
        };
        let path = case.folder.hashes(&case.followed.origin);
        for tile in partial_tiles(head.size) {
            let hashes = tiles.hashes(tile).unwrap_or_default();
            case.archive.write(tile.level(), tile.index() * 256, hashes).map_err(CaseError::io(&path))?;
        }
        case.set_start(head.size);
        case.feed.advance(head.size.get());
        self.edge = Some(edge);
        self.remember(pinned)
    }

    /// Our own hashes are damaged: everything is read again, and must lead to the heads that were verified before.
    pub(super) fn start_again(&mut self) -> Result<(), CaseError> {
        let case = Arc::clone(&self.case);
        if let Some(verified) = case.verified() {
            case.wait_again(&verified)?;
        }
        let detail = "our own copy of the hashes was damaged; everything is being read and verified again";
        case.alarm(OWN, "hashes", detail)?;
        let path = case.folder.hashes(&case.followed.origin);
        case.archive.clear().map_err(CaseError::io(&path))?;
        case.forget_verified();
        case.store.forget_log(case.origin())?;
        case.set_start(TreeSize::ZERO);
        self.edge = None;
        case.clear(OWN, &[])
    }
}

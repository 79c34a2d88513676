//! Consistency proofs for witnesses, from our own tiles, authenticated like anybody's.

use std::collections::BTreeMap;
use std::path::Path;

use tlog::hash::Hash;
use tlog::ids::{TreeHead, TreeSize};

use crate::prove::{ProveError, Prover};
use crate::source::Source;

/// The committed tree, as far as proofs need it.
#[derive(Debug)]
pub struct Tree {
    prover: Prover<Source>,
    /// Proofs to the head asked for last, by old size: witnesses mostly stand at one size.
    proofs: BTreeMap<TreeSize, Vec<Hash>>,
    head: TreeHead,
}

impl Tree {
    /// The tree whose tiles lie in this folder.
    #[must_use]
    pub fn new(public: &Path) -> Self {
        let prover = Prover::new(Source::Folder(public.to_owned()));
        Self { prover, proofs: BTreeMap::new(), head: TreeHead::EMPTY }
    }

    /// Proves that the tree of `old` entries is a prefix of that of a committed head. Empty from size 0.
    ///
    /// # Errors
    /// [`ProveError`]: the tiles do not hold what was committed.
    pub(super) fn proof(&mut self, old: TreeSize, head: TreeHead) -> Result<Vec<Hash>, ProveError> {
        if old == TreeSize::ZERO || old == head.size {
            return Ok(Vec::new());
        }
        if self.head != head {
            self.proofs.clear();
            self.head = head;
        }
        if let Some(known) = self.proofs.get(&old) {
            return Ok(known.clone());
        }
        let (.., proof) = self.prover.consistency(old, head.size, head)?;
        self.proofs.insert(old, proof.clone());
        Ok(proof)
    }

    /// The head that the tree had at this size.
    ///
    /// # Errors
    /// As [`Tree::proof`].
    pub(super) fn at(&self, size: TreeSize, head: TreeHead) -> Result<TreeHead, ProveError> {
        if size == TreeSize::ZERO {
            return Ok(TreeHead::EMPTY);
        }
        Ok(self.prover.consistency(size, head.size, head)?.0)
    }
}

//! "Is my receipt honoured?": a receipt proves that the log promised an entry a place; the verified tree shows what
//! is there.
//!
//! A receipt whose entry the tree does not hold at that index is two leaves at one index, both signed: evidence.

use serde::Serialize;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::evidence::{Leaf, Proved};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::proof::check_inclusion;
use tlog::tlog_proof::TlogProof;
use tlog::tree::Node;
use tlog::verify_tiles::inclusion_nodes;

use crate::case::{Case, CaseError};
use crate::judge::Seen;
use crate::store::ReceiptRow;
use crate::tiles::prove_nodes;

/// What became of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The entry is in the verified tree, where the receipt says.
    Honoured {
        /// Its place.
        index: u64,
    },
    /// The entry's place is not verified yet; the receipt is kept and judged then.
    Pending {
        /// Its place.
        index: u64,
        /// What it waits for.
        reason: String,
    },
    /// The log has broken its promise. The evidence files.
    NotHonoured {
        /// The entry's place.
        index: u64,
        /// Relative to the monitor's directory.
        evidence: Vec<String>,
    },
    /// It is no receipt of this log for this entry.
    Invalid {
        /// Why.
        reason: String,
    },
}

impl Case {
    /// Judges a receipt for the entry with this leaf hash.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn receipt(&self, leaf: Hash, bytes: &[u8]) -> Result<Answer, CaseError> {
        let invalid = |reason: String| Ok(Answer::Invalid { reason });
        let receipt = match TlogProof::parse(bytes) {
            Ok(receipt) => receipt,
            Err(error) => return invalid(error.to_string()),
        };
        let checkpoint = match self.followed.trust.signed(&receipt.checkpoint) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return invalid(error.to_string()),
        };
        if let Err(error) = check_inclusion(&leaf, receipt.index, &checkpoint.head(), &receipt.proof) {
            return invalid(format!("the receipt does not prove this entry: {error}"));
        }
        let index = receipt.index.get();
        let seen = self.see(&checkpoint, "receipt")?;
        let Some(verified) = self.verified().filter(|verified| index < verified.head().size.get()) else {
            if let Seen::Contradiction(evidence) = seen {
                return Ok(Answer::NotHonoured { index, evidence });
            }
            let row = ReceiptRow { index, leaf, receipt: bytes.to_vec() };
            let kept = self.store.keep_receipt(self.origin(), &row, self.now())?;
            let reason = if kept {
                "entries up to there are not verified yet"
            } else {
                "entries up to there are not verified yet, and too many receipts wait: ask again"
            };
            return Ok(Answer::Pending { index, reason: reason.to_owned() });
        };
        self.compare_leaf(&verified, &checkpoint, leaf, receipt)
    }

    fn compare_leaf(
        &self,
        verified: &VerifiedCheckpoint,
        checkpoint: &VerifiedCheckpoint,
        leaf: Hash,
        receipt: TlogProof,
    ) -> Result<Answer, CaseError> {
        let index = receipt.index.get();
        let Some((own, proof)) = self.leaf_at(verified, receipt.index) else {
            let reason = "our own hashes for it cannot be read at the moment".to_owned();
            return Ok(Answer::Pending { index, reason });
        };
        if own == leaf {
            return Ok(Answer::Honoured { index });
        }
        let ours = Proved { checkpoint: verified.note().clone(), content: Leaf::Hash(own), proof };
        let theirs =
            Proved { checkpoint: checkpoint.note().clone(), content: Leaf::Hash(leaf), proof: receipt.proof };
        let evidence = self.accuse_leaves(receipt.index, &ours, &theirs)?;
        Ok(Answer::NotHonoured { index, evidence })
    }

    /// A receipt for a verified entry, under the verified head, from our own hashes; with the entry's leaf hash.
    /// `None` if it is not verified, or our hashes cannot be used at the moment.
    #[must_use]
    pub fn prove(&self, index: LeafIndex) -> Option<(Hash, TlogProof)> {
        let verified = self.verified()?;
        let (leaf, proof) = self.leaf_at(&verified, index)?;
        let checkpoint = verified.note().clone();
        Some((leaf, TlogProof { extra: None, index, proof, checkpoint }))
    }

    /// The leaf of the verified tree, and its inclusion proof.
    pub(crate) fn leaf_at(
        &self,
        verified: &VerifiedCheckpoint,
        index: LeafIndex,
    ) -> Option<(Hash, Vec<Hash>)> {
        let nodes = inclusion_nodes(index, verified.head().size).ok()?;
        let own = self.own_tiles();
        let tiles = prove_nodes(&own, verified.head(), &nodes);
        let tiles = tiles.inspect_err(|error| own.note_damage(error)).ok()?;
        let leaf = tiles.node(Node { height: 0, index: index.get() })?;
        Some((leaf, tiles.inclusion(index).ok()?))
    }

    /// Judges the receipts that waited for what is verified now.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn settle_receipts(&self) -> Result<(), CaseError> {
        let Some(verified) = self.verified() else { return Ok(()) };
        for row in self.store.take_receipts(self.origin(), verified.head().size)? {
            if !matches!(self.receipt(row.leaf, &row.receipt)?, Answer::Pending { .. }) {
                self.store.forget_receipt(self.origin(), &row)?;
            }
        }
        Ok(())
    }
}

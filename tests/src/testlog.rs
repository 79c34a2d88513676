//! A log that a test holds in its hands: every leaf, so that what others claim of it can be checked against the
//! whole tree, and a key, so that it can lie.

use tlog::checkpoint::Checkpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::{TreeHead, TreeSize};
use tlog::note::{Note, SignatureLine};
use tlog::proof::{plan_consistency, plan_subtree_consistency};
use tlog::sign::Ed25519Signer;
use tlog::tree::root_of;
use tlog::witness_wire::{AddCheckpoint, SignSubtree};

/// A log with all its leaves.
#[derive(Debug)]
pub struct TestLog {
    /// Its name.
    pub origin: String,
    /// Its key.
    pub signer: Ed25519Signer,
    /// Its leaves.
    pub leaves: Vec<Hash>,
}

/// A size.
///
/// # Panics
/// Beyond 2^63 - 1.
#[must_use]
pub fn size(size: u64) -> TreeSize {
    TreeSize::new(size).expect("a size")
}

impl TestLog {
    /// A log with this many leaves, whose key bears its name.
    ///
    /// # Panics
    /// If the origin cannot name a key.
    #[must_use]
    pub fn new(origin: &str, seed: u8, leaves: u64) -> Self {
        let signer = Ed25519Signer::from_seed(origin.parse().expect("a key name"), &[seed; 32]);
        let mut log = Self { origin: origin.to_owned(), signer, leaves: Vec::new() };
        log.grow(leaves, "");
        log
    }

    /// The same log up to `keep` leaves, and then another one up to `leaves`.
    #[must_use]
    pub fn fork(&self, keep: usize, leaves: u64, salt: &str) -> Self {
        let signer = Ed25519Signer::from_pkcs8_der(
            self.signer.verifier_key().name().clone(),
            &self.signer.to_pkcs8_der(),
        )
        .expect("its own key");
        let mut fork = Self { origin: self.origin.clone(), signer, leaves: self.leaves[..keep].to_vec() };
        fork.grow(leaves, salt);
        fork
    }

    /// Appends leaves up to `leaves`.
    pub fn grow(&mut self, leaves: u64, salt: &str) {
        for at in self.leaves.len() as u64..leaves {
            self.leaves.push(leaf_hash(format!("{} {at} {salt}", self.origin).as_bytes()));
        }
    }

    /// The head at a size.
    #[must_use]
    pub fn head(&self, at: u64) -> TreeHead {
        TreeHead { size: size(at), root: root_of(&self.leaves[..to_usize(at)]) }
    }

    /// The verifier key.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.signer.verifier_key().to_string()
    }

    /// The text of the checkpoint at a size.
    ///
    /// # Panics
    /// If the origin is none.
    #[must_use]
    pub fn text(&self, at: u64) -> String {
        Checkpoint::new(self.origin.parse().expect("an origin"), self.head(at)).to_text()
    }

    /// The signed checkpoint at a size.
    #[must_use]
    pub fn note(&self, at: u64) -> Note {
        self.sign(self.text(at), &[])
    }

    /// A signed text, with more lines under it.
    ///
    /// # Panics
    /// If that is no note.
    #[must_use]
    pub fn sign(&self, text: String, more: &[SignatureLine]) -> Note {
        let lines = [&[self.signer.sign(&text)], more].concat();
        Note::new(text, lines).expect("a note")
    }

    /// The consistency proof between two sizes.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn proof(&self, old: u64, new: u64) -> Vec<Hash> {
        let plan = plan_consistency(size(old), size(new)).expect("a plan");
        let hashes: Vec<Hash> = plan.nodes().iter().map(|node| self.node(node.leaves())).collect();
        plan.finish(&hashes).expect("a proof")
    }

    /// The hash over a range of leaves.
    #[must_use]
    pub fn node(&self, range: std::ops::Range<u64>) -> Hash {
        root_of(&self.leaves[to_usize(range.start)..to_usize(range.end)])
    }

    /// The body that asks for a cosignature at `new` from a witness that has `old`.
    #[must_use]
    pub fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        let proof = if old <= new { self.proof(old, new) } else { Vec::new() };
        AddCheckpoint { old: size(old), proof, checkpoint: self.note(new) }
    }

    /// The body that asks for a cosignature on a subtree.
    ///
    /// # Panics
    /// If there is no such subtree.
    #[must_use]
    pub fn subtree_request(&self, start: u64, end: u64, checkpoint: Note, at: u64) -> SignSubtree {
        let plan = plan_subtree_consistency(start, end, size(at)).expect("a plan");
        let hashes: Vec<Hash> = plan.nodes().iter().map(|node| self.node(node.leaves())).collect();
        let proof = plan.finish(&hashes).expect("a proof");
        SignSubtree { start, end, hash: self.node(start..end), proof, checkpoint }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

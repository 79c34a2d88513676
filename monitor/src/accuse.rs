//! From a contradiction to an evidence file.
//!
//! Only positive contradictions between signed things get here; each form is made by [`tlog::evidence`] or
//! [`record::evidence`], which refuse whatever would not verify, and is verified once more before it is written. If hashes that would prove a
//! contradiction cannot be had, there is no evidence, and the caller raises an alarm instead.

mod entries;

use record::evidence::file::EvidenceFile;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::evidence::fork::{self, ForkSearch, Step};
use tlog::evidence::{Evidence, Leaf, Proved, Role};
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::tree::Node;
use tlog::verify_tiles::AuthenticTiles;

use crate::case::{Case, CaseError};
use crate::folder;
use crate::tiles::{Tiles, prove_nodes};

pub use entries::Shown;

/// A signed tree and where its hashes are read.
pub struct View<'a, T> {
    /// The signed head.
    pub checkpoint: &'a VerifiedCheckpoint,
    /// Its tiles.
    pub tiles: &'a T,
}

impl<T: Tiles> View<'_, T> {
    fn nodes(&self, nodes: &[Node]) -> Option<AuthenticTiles> {
        prove_nodes(self.tiles, self.checkpoint.head(), nodes).ok()
    }
}

fn hashes(tiles: &AuthenticTiles, nodes: &[Node]) -> Option<Vec<Hash>> {
    nodes.iter().map(|node| tiles.node(*node)).collect()
}

/// The smallest complete subtree that is known to differ between two views; `None` if none does, or if it cannot be
/// told.
fn parting<A: Tiles, B: Tiles>(one: &View<'_, A>, other: &View<'_, B>) -> Option<Node> {
    let [first, second] = [one.checkpoint.head().size, other.checkpoint.head().size];
    let mut search = ForkSearch::new(first, second);
    let mut found = None;
    loop {
        let nodes = search.nodes().to_vec();
        let Some(ours) = one.nodes(&nodes).and_then(|tiles| hashes(&tiles, &nodes)) else { return found };
        let Some(theirs) = other.nodes(&nodes).and_then(|tiles| hashes(&tiles, &nodes)) else { return found };
        let differs = nodes.iter().zip(ours.iter().zip(&theirs)).find(|(_, (ours, theirs))| ours != theirs);
        found = differs.map(|(node, _)| *node).or(found);
        match search.advance(&ours, &theirs) {
            Ok(Step::Search(deeper)) => search = deeper,
            Ok(Step::Leaf(node)) => return Some(node),
            Ok(Step::Consistent) | Err(_) => return found,
        }
    }
}

impl Case {
    /// Evidence of a fork between two signed trees of different sizes; the files written. None if it cannot be had.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn accuse_fork<A: Tiles, B: Tiles>(
        &self,
        one: &View<'_, A>,
        other: &View<'_, B>,
    ) -> Result<Vec<String>, CaseError> {
        let Some(node) = parting(one, other) else { return Ok(Vec::new()) };
        let proofs = |view: &VerifiedCheckpoint| fork::subtree_nodes(node, view.head().size).ok();
        let (Some(ours), Some(theirs)) = (proofs(one.checkpoint), proofs(other.checkpoint)) else {
            return Ok(Vec::new());
        };
        let (Some(ours), Some(theirs)) = (one.nodes(&ours), other.nodes(&theirs)) else {
            return Ok(Vec::new());
        };
        let views = ((one.checkpoint.note(), &ours), (other.checkpoint.note(), &theirs));
        self.accuse(|keys| fork::evidence(keys, node, views.0, views.1).ok())
    }

    /// Evidence of two roots for one size.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn accuse_roots(
        &self,
        one: &VerifiedCheckpoint,
        other: &VerifiedCheckpoint,
    ) -> Result<Vec<String>, CaseError> {
        self.accuse(|keys| Evidence::two_roots(keys, one.note(), other.note()).ok())
    }

    /// Evidence of two leaves at one index.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn accuse_leaves(
        &self,
        index: LeafIndex,
        one: &Proved<Leaf>,
        other: &Proved<Leaf>,
    ) -> Result<Vec<String>, CaseError> {
        self.accuse(|keys| Evidence::two_leaves(keys, index, one.clone(), other.clone()).ok())
    }

    /// Makes the evidence against the log, and against every witness that vouched for both sides.
    fn accuse(
        &self,
        make: impl Fn(&[tlog::vkey::VerifierKey]) -> Option<Evidence>,
    ) -> Result<Vec<String>, CaseError> {
        let trust = &self.followed.trust;
        let accused = trust.log_keys().iter().chain(trust.witness_keys());
        let made: Vec<Evidence> = accused.filter_map(|key| make(std::slice::from_ref(key))).collect();
        made.into_iter().map(|evidence| self.keep(&evidence.into())).filter_map(Result::transpose).collect()
    }

    /// Writes an evidence file, remembers it, and alerts; `None` if it would not hold.
    pub(crate) fn keep(&self, evidence: &EvidenceFile) -> Result<Option<String>, CaseError> {
        let key = std::slice::from_ref(evidence.accused());
        let bytes = evidence.to_bytes();
        let again = EvidenceFile::parse(&bytes).ok().filter(|again| again.verify(key).is_ok());
        if again.is_none() {
            tracing::error!(origin = self.origin(), "evidence that does not verify was not written");
            return Ok(None);
        }
        let id = evidence.id().to_string();
        let relative = format!("evidence/{id}.evidence");
        let path = self.folder.root().join(&relative);
        if folder::read(&path).ok().flatten().as_deref() != Some(&bytes[..]) {
            self.folder.write(relative.as_ref(), &bytes).map_err(CaseError::io(&path))?;
        }
        if self.store.keep_evidence(self.origin(), &id, evidence.form(), &relative, self.now())? {
            let form = evidence.form();
            tracing::error!(
                origin = self.origin(),
                form,
                file = relative,
                "MISBEHAVIOUR: evidence was written"
            );
        }
        // A witness's lie is not the log's.
        if evidence.role() == Role::Log {
            self.learn(|facts| {
                facts.evidence.get_or_insert_with(|| relative.clone());
            });
        }
        Ok(Some(relative))
    }

    /// Evidence files that are on disk count, whatever the database says.
    pub(crate) fn recall_evidence(&self) -> Result<(), CaseError> {
        let place = self.folder.evidence();
        let trust = &self.followed.trust;
        let keys: Vec<_> = trust.log_keys().iter().chain(trust.witness_keys()).cloned().collect();
        for file in self.folder.evidence_files().map_err(CaseError::io(&place))? {
            let Some(bytes) = folder::read(&file).map_err(CaseError::io(&file))? else { continue };
            let Ok(evidence) = EvidenceFile::parse(&bytes) else { continue };
            if *evidence.origin() == self.followed.origin && evidence.verify(&keys).is_ok() {
                self.keep(&evidence)?;
            }
        }
        Ok(())
    }
}

//! From a contradiction to an evidence file.
//!
//! Only positive contradictions between signed things get here; each form is made by [`tlog::evidence`] or
//! [`record::evidence`], which refuse whatever would not verify, and is verified once more before it is written. If hashes that would prove a
//! contradiction cannot be had, there is no evidence, and the caller raises an alarm instead.

mod entries;

use std::path::Path;
use std::sync::PoisonError;

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
use crate::report::OWN;
use crate::store::EvidenceRow;
use crate::tiles::{Tiles, prove_nodes};

pub use entries::Shown;

/// Evidence of one form about one log that is written: more proves nothing more, and a liar can make it without end.
const EVIDENCE_MAX: usize = 64;

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
        let Some(relative) = self.keep_file(evidence, bytes)? else { return Ok(None) };
        // A witness's lie is not the log's.
        if evidence.role() == Role::Log {
            self.learn(|facts| {
                facts.evidence.get_or_insert_with(|| relative.clone());
            });
        }
        Ok(Some(relative))
    }

    /// Writes the file and remembers it with its bytes. Two finders of one contradiction may have it in different
    /// signatures: the first one's stays.
    fn keep_file(&self, evidence: &EvidenceFile, bytes: Vec<u8>) -> Result<Option<String>, CaseError> {
        let _one_at_a_time = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, form) = (evidence.id().to_string(), evidence.form());
        let relative = format!("evidence/{id}.evidence");
        let all = self.store.evidence(self.origin())?;
        let mut alike = all.iter().filter(|row| row.kind == form);
        if !alike.clone().any(|row| row.id == id)
            && let Some(enough) = alike.nth(EVIDENCE_MAX - 1)
        {
            tracing::warn!(origin = self.origin(), form, "proved so often already that no more is written");
            return Ok(Some(enough.file.clone()));
        }
        let bytes = self.store.evidence_bytes(&id)?.unwrap_or(bytes);
        let path = self.folder.root().join(&relative);
        if self.holds(&path, &id).is_none() {
            self.folder.write(relative.as_ref(), &bytes).map_err(CaseError::io(&path))?;
        }
        let row = EvidenceRow {
            id,
            origin: self.origin().to_owned(),
            kind: form.to_owned(),
            file: relative.clone(),
        };
        if self.store.keep_evidence(&row, &bytes, self.now())? {
            tracing::error!(
                origin = self.origin(),
                form,
                file = relative,
                "MISBEHAVIOUR: evidence was written"
            );
        }
        Ok(Some(relative))
    }

    /// The evidence of this name in a file, if it is there and holds.
    fn holds(&self, path: &Path, id: &str) -> Option<EvidenceFile> {
        let bytes = folder::read(path).ok().flatten()?;
        let evidence = EvidenceFile::parse(&bytes).ok()?;
        let holds = evidence.verify(std::slice::from_ref(evidence.accused())).is_ok();
        (holds && evidence.id().to_string() == id).then_some(evidence)
    }

    /// Takes up the evidence that was found before. A row counts when its file is gone, a file when its row is: whoever
    /// moves, deletes or damages one of them clears nothing. A file that is not right is written again, and that is said.
    pub(crate) fn recall_evidence(&self) -> Result<(), CaseError> {
        let rows = self.store.evidence(self.origin())?;
        for row in &rows {
            if row.accuses_log() {
                self.learn(|facts| {
                    facts.evidence.get_or_insert_with(|| row.file.clone());
                });
            }
            self.recall_file(row)?;
        }
        let place = self.folder.evidence();
        let trust = &self.followed.trust;
        let keys: Vec<_> = trust.log_keys().iter().chain(trust.witness_keys()).cloned().collect();
        for file in self.folder.evidence_files().map_err(CaseError::io(&place))? {
            // A file that cannot be read is no reason not to start; fsck tells of it.
            let bytes = folder::read(&file).ok().flatten();
            let Some(evidence) = bytes.and_then(|bytes| EvidenceFile::parse(&bytes).ok()) else { continue };
            let known = rows.iter().any(|row| row.id == evidence.id().to_string());
            if !known && *evidence.origin() == self.followed.origin && evidence.verify(&keys).is_ok() {
                self.keep(&evidence)?;
            }
        }
        Ok(())
    }

    fn recall_file(&self, row: &EvidenceRow) -> Result<(), CaseError> {
        let path = self.folder.root().join(&row.file);
        let kept = self.store.evidence_bytes(&row.id)?;
        if let Some(evidence) = self.holds(&path, &row.id) {
            if kept.is_none() {
                self.store.keep_evidence(row, &evidence.to_bytes(), self.now())?;
            }
            return Ok(());
        }
        let said = match kept {
            Some(bytes) => {
                self.folder.write(row.file.as_ref(), &bytes).map_err(CaseError::io(&path))?;
                format!("{} was missing or damaged, and was written again from the database", row.file)
            }
            None => format!(
                "{} is missing or damaged, and the database does not have its bytes: put it back from a copy",
                row.file
            ),
        };
        tracing::error!(origin = self.origin(), said);
        self.alarm(OWN, &row.file, &said)?;
        self.note_repair(said);
        Ok(())
    }
}

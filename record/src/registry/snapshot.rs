//! The registry as bytes: the statements that made it, so that a restart need not read the whole log.
//!
//! ```text
//! daybook/registry/v1\n   size: u64   count: u32   (index: u64   length: u16   statement)*   SHA-256
//! ```
//!
//! All numbers are big-endian; the hash is over everything before it. Restoring replays the statements through the
//! same rules, so a snapshot cannot say anything that the log could not; its owner decides whether signatures are
//! verified again. `genesis`, `agency` and `register` suffice: no other kind changes the registry.

use std::convert::Infallible;

use tlog::hash::{HASH_BYTES, sha256};
use tlog::ids::{LeafIndex, TreeSize};

use super::{Chain, History, JudgeError, Refusal, Registry, Signatures};
use crate::statement::{EntryRef, Statement, StatementError};

/// The version that is written, and the only one that is read.
pub const REGISTRY_VERSION: u8 = 1;
const MAGIC: &[u8] = b"daybook/registry/v1\n";

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Another format or version.
    #[error("not a registry snapshot of version {REGISTRY_VERSION}; rebuild it from the log")]
    Version,
    /// Cut short, grown, or its hash is another.
    #[error("the registry snapshot is damaged; rebuild it from the log")]
    Damaged,
    /// A statement does not parse.
    #[error("the registry snapshot holds, as entry {0}, what is no statement: {1}")]
    Statement(u64, StatementError),
    /// A statement breaks a rule.
    #[error("the registry snapshot holds, as entry {0}, a statement that is not admissible: {1}")]
    Refused(u64, Refusal),
    /// A statement does not change the registry, or is out of order.
    #[error("the registry snapshot holds, as entry {0}, a statement that does not belong there")]
    Misplaced(u64),
}

/// The statements in a snapshot ask for no history.
struct NoHistory;

impl History for NoHistory {
    type Error = Infallible;

    fn latest(&self, _: &Chain) -> Result<Option<EntryRef>, Infallible> {
        Ok(None)
    }

    fn entry(&self, _: LeafIndex) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(SnapshotError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const BYTES: usize>(&mut self) -> Result<u64, SnapshotError> {
        let bytes = self.take(BYTES)?;
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

impl Registry {
    /// The snapshot. Equal registries have equal snapshots.
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.size.to_be_bytes());
        let count = u32::try_from(self.made_by.len()).expect("memory holds fewer");
        out.extend(count.to_be_bytes());
        for (index, statement) in &self.made_by {
            let bytes = statement.to_bytes();
            out.extend(index.get().to_be_bytes());
            out.extend(u16::try_from(bytes.len()).expect("a statement is a leaf").to_be_bytes());
            out.extend(bytes);
        }
        let hash = sha256(&out);
        out.extend(hash.as_bytes());
        out
    }

    /// The registry that a snapshot was taken of.
    ///
    /// Cost: one judgement, and with [`Signatures::Check`] the verification, of each statement in it.
    ///
    /// # Errors
    /// [`SnapshotError`]: rebuild the registry from the log.
    pub fn from_snapshot(bytes: &[u8], signatures: Signatures) -> Result<Self, SnapshotError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Version)?;
        let body = bytes.len().checked_sub(HASH_BYTES).filter(|at| *at >= MAGIC.len());
        let body = body.ok_or(SnapshotError::Damaged)?;
        if sha256(&bytes[..body]).as_bytes() != &bytes[body..] {
            return Err(SnapshotError::Damaged);
        }
        let mut reader = Reader(&rest[..rest.len() - HASH_BYTES]);
        let size = TreeSize::new(reader.number::<8>()?).map_err(|_| SnapshotError::Damaged)?;
        let count = reader.number::<4>()?;
        let mut registry = Self::new();
        for _ in 0..count {
            let index = reader.number::<8>()?;
            let length = usize::try_from(reader.number::<2>()?).expect("16 bits");
            let entry = reader.take(length)?;
            if index < registry.size || index >= size.get() {
                return Err(SnapshotError::Misplaced(index));
            }
            let statement =
                Statement::parse(entry).map_err(|error| SnapshotError::Statement(index, error))?;
            registry.restore(index, statement, signatures)?;
        }
        if !reader.0.is_empty() {
            return Err(SnapshotError::Damaged);
        }
        registry.size = size.get();
        Ok(registry)
    }

    fn restore(
        &mut self,
        index: u64,
        statement: Statement,
        signatures: Signatures,
    ) -> Result<(), SnapshotError> {
        let place = LeafIndex::new(index).map_err(|_| SnapshotError::Damaged)?;
        let refused = |refusal| SnapshotError::Refused(index, refusal);
        let authentic = self.authenticate(statement, signatures).map_err(refused)?;
        match self.judge(place, &authentic, &NoHistory) {
            Ok(effect) if effect.changes_registry() => {
                self.apply(effect);
                Ok(())
            }
            Ok(_) => Err(SnapshotError::Misplaced(index)),
            Err(JudgeError::Refused(refusal)) => Err(refused(refusal)),
            Err(JudgeError::History(never)) => match never {},
        }
    }

    /// The size with which the registry of the first `size` entries last changed: from there up to `size` it says the same.
    #[must_use]
    pub fn changed_at(&self, size: TreeSize) -> TreeSize {
        let before = self.made_by.partition_point(|(index, _)| index.get() < size.get());
        let last = before.checked_sub(1).map_or(0, |at| self.made_by[at].0.get() + 1);
        TreeSize::new(last).expect("an entry has one after it")
    }

    /// The registry as it was when the log had `size` entries.
    ///
    /// Cost: a judgement of each statement that changed it before, without signatures.
    ///
    /// # Panics
    /// If `size` is beyond the entries seen.
    #[must_use]
    pub fn at(&self, size: TreeSize) -> Self {
        assert!(size <= self.size(), "the registry has not seen {size} entries");
        let mut registry = Self::new();
        for (index, statement) in self.made_by.iter().filter(|(index, _)| index.get() < size.get()) {
            let restored = registry.restore(index.get(), Statement::clone(statement), Signatures::Trust);
            restored.expect("it was admitted before");
        }
        registry.size = size.get();
        registry
    }
}

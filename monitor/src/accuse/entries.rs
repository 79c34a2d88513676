//! Evidence that the tree holds entries which rule each other out ([`record::evidence`]), proved under the verified head.

use record::evidence::{NoFinding, ProvedEntry, RecordEvidence};
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::ids::LeafIndex;

use crate::case::{Case, CaseError};

/// What came of looking for evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is in these files.
    Files(Vec<String>),
    /// These entries alone do not rule each other out.
    Nothing,
    /// An entry or a proof cannot be had at the moment.
    Later(String),
}

impl Case {
    /// Evidence from the genesis and one or two entries after it, in ascending order.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn accuse_entries(&self, indexes: &[u64]) -> Result<Shown, CaseError> {
        let Some(verified) = self.verified() else {
            return Ok(Shown::Later("nothing is verified yet".to_owned()));
        };
        let proved: Result<Vec<ProvedEntry>, String> =
            indexes.iter().map(|index| self.proved_entry(&verified, *index)).collect();
        let entries = match proved {
            Ok(entries) => entries,
            Err(why) => return Ok(Shown::Later(why)),
        };
        let mut files = Vec::new();
        for key in self.followed.trust.log_keys() {
            let made = RecordEvidence::new(std::slice::from_ref(key), verified.note(), entries.clone());
            match made {
                Ok(evidence) => files.extend(self.keep(&evidence.into())?),
                // Another of the log's keys may have signed.
                Err(NoFinding::NotSigned) => (),
                Err(why) => {
                    tracing::debug!(origin = self.origin(), ?indexes, %why, "no evidence");
                    return Ok(Shown::Nothing);
                }
            }
        }
        Ok(if files.is_empty() { Shown::Nothing } else { Shown::Files(files) })
    }

    fn proved_entry(&self, verified: &VerifiedCheckpoint, index: u64) -> Result<ProvedEntry, String> {
        let batch = self.reread(&(index..index + 1)).map_err(|error| error.to_string())?;
        let entry = batch.entries(index).next().ok_or("the entry is not in its bundle")?;
        let at = LeafIndex::new(index).map_err(|error| error.to_string())?;
        let (leaf, proof) = self.leaf_at(verified, at).ok_or("our own hashes cannot be used")?;
        if leaf != entry.leaf {
            return Err("our own hashes have changed".to_owned());
        }
        Ok(ProvedEntry { index: at, entry: entry.bytes.to_vec(), proof })
    }
}

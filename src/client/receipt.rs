//! Entries with their receipts, held against a policy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::hash::{Hash, leaf_hash};
use tlog::ids::LeafIndex;
use tlog::policy::Policy;
use tlog::tlog_proof::TlogProof;
use tokio::task::JoinSet;

use super::{ANSWER_BYTES_MAX, Client, ClientError, accept_json};

/// Requests in flight at the same time.
const REQUESTS_MAX: usize = 16;

/// An entry and what the log offers as its receipt.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its receipt, not verified.
    pub receipt: TlogProof,
}

impl Entered {
    /// Verifies that the entry is in the policy's log where the receipt says.
    ///
    /// # Errors
    /// [`ClientError::Receipt`].
    pub fn verify(&self, policy: &Policy) -> Result<VerifiedCheckpoint, ClientError> {
        verify(&self.receipt, &leaf_hash(&self.bytes), policy)
    }
}

/// Verifies a receipt for the entry of this leaf hash.
///
/// # Errors
/// [`ClientError::Receipt`].
pub fn verify(receipt: &TlogProof, leaf: &Hash, policy: &Policy) -> Result<VerifiedCheckpoint, ClientError> {
    receipt.verify(leaf, policy).map_err(|error| ClientError::Receipt(error.to_string()))
}

impl Client {
    /// The entry at an index, with its receipt; none if the log is not that large.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn entry(&self, index: LeafIndex) -> Result<Option<Entered>, ClientError> {
        self.entered(&format!("entry/{index}"))
    }

    /// The entry with this leaf hash, with its receipt.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn entry_by_hash(&self, leaf: &Hash) -> Result<Option<Entered>, ClientError> {
        self.entered(&format!("entry/by-hash/{leaf}"))
    }

    fn entered(&self, path: &str) -> Result<Option<Entered>, ClientError> {
        let Some(document) = self.get_json(path)? else { return Ok(None) };
        entered(&document).map(Some).ok_or_else(|| self.odd(path, "no entry with a receipt"))
    }

    /// The receipts of entries, verified, in order.
    ///
    /// # Errors
    /// [`ClientError::Receipt`] if one is not good.
    pub fn receipts(
        &self,
        entries: &[(LeafIndex, Hash)],
        policy: &Policy,
    ) -> Result<Vec<TlogProof>, ClientError> {
        let paths: Vec<String> = entries.iter().map(|(index, _)| format!("entry/{index}")).collect();
        let documents = self.get_all(&paths)?;
        let mut receipts = Vec::with_capacity(entries.len());
        for ((index, leaf), document) in entries.iter().zip(documents) {
            let path = format!("entry/{index}");
            let found = document.as_ref().and_then(entered);
            let Entered { receipt, .. } = found.ok_or_else(|| self.odd(&path, "no entry with a receipt"))?;
            if receipt.index != *index {
                return Err(ClientError::Receipt(format!("it is for entry {}, not {index}", receipt.index)));
            }
            verify(&receipt, leaf, policy)?;
            receipts.push(receipt);
        }
        Ok(receipts)
    }

    /// Documents, several at a time, in order; none where nothing is.
    pub(super) fn get_all(&self, paths: &[String]) -> Result<Vec<Option<Value>>, ClientError> {
        let mut found: Vec<Option<Value>> = vec![None; paths.len()];
        self.runtime.block_on(async {
            let mut running = JoinSet::new();
            for (at, path) in paths.iter().enumerate() {
                if running.len() == REQUESTS_MAX {
                    self.settle(&mut running, paths, &mut found).await?;
                }
                let (fetcher, url) = (self.fetcher.clone(), format!("{}/{path}", self.base));
                running.spawn(
                    async move { (at, fetcher.get_with(&url, accept_json(), ANSWER_BYTES_MAX).await) },
                );
            }
            while !running.is_empty() {
                self.settle(&mut running, paths, &mut found).await?;
            }
            Ok(found)
        })
    }

    async fn settle(
        &self,
        running: &mut Running,
        paths: &[String],
        found: &mut [Option<Value>],
    ) -> Result<(), ClientError> {
        if let Some(Ok((at, fetched))) = running.join_next().await {
            found[at] = self.document(&paths[at], &fetched?)?;
        }
        Ok(())
    }
}

type Running = JoinSet<(usize, Result<daemon::fetch::Fetched, daemon::fetch::FetchError>)>;

fn entered(document: &Value) -> Option<Entered> {
    let bytes = STANDARD.decode(document["entry"].as_str()?).ok()?;
    let receipt = TlogProof::parse(document["receipt"].as_str()?.as_bytes()).ok()?;
    Some(Entered { bytes, receipt })
}

//! What the pages ask of the part that verifies, as plain values: the pages decide nothing about a log.

use tlog::hash::Hash;
use tlog::ids::{LeafIndex, TreeHead};
use tlog::note::Note;
use tlog::tlog_proof::TlogProof;

/// A log, as it is known now.
#[derive(Clone, Debug, Default)]
pub struct LogView {
    /// Its name.
    pub origin: String,
    /// Its name in paths.
    pub hash: String,
    /// The name of its state.
    pub state: &'static str,
    /// In words; empty where there is nothing to say.
    pub reason: String,
    /// Entries under the newest verified head, and its root in base64.
    pub verified: Option<(u64, String)>,
    /// Entries under the largest head that the log has signed.
    pub signed: u64,
    /// While there is a backlog.
    pub entries_per_second: Option<u64>,
    /// Estimate.
    pub seconds_left: Option<u64>,
    /// Time of the newest head by its signers, in seconds since 1970.
    pub head_time: Option<u64>,
    /// When it was last heard, in milliseconds since 1970.
    pub heard_at: Option<u64>,
    /// The witnesses of the policy and when each has signed the newest verified head, in seconds since 1970.
    pub witnesses: Vec<(String, Option<u64>)>,
    /// Witnesses' endpoints and other monitors that are asked, and the name of what each said last.
    pub others: Vec<(String, &'static str)>,
    /// Open alarms.
    pub alarms: Vec<AlarmView>,
    /// Evidence files.
    pub evidence: Vec<EvidenceView>,
    /// The policy, as whoever verifies offline needs it.
    pub policy: String,
}

/// An evidence file.
#[derive(Clone, Debug, Default)]
pub struct EvidenceView {
    /// Where it is, relative to the monitor's directory.
    pub file: String,
    /// The name of its form.
    pub form: String,
}

/// An open alarm.
#[derive(Clone, Debug, Default)]
pub struct AlarmView {
    /// Which sort.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub detail: String,
    /// When it was raised, in milliseconds since 1970.
    pub first_seen: u64,
}

/// A proof that an entry is in a signed tree.
#[derive(Clone, Debug)]
pub struct Inclusion {
    /// The entry.
    pub index: LeafIndex,
    /// The tree.
    pub head: TreeHead,
    /// The neighbours, from the leaf to the root.
    pub hashes: Vec<Hash>,
    /// The signed head.
    pub checkpoint: Note,
}

impl Inclusion {
    /// The receipt, in the C2SP tlog-proof format.
    #[must_use]
    pub fn receipt(&self) -> Vec<u8> {
        let proof = TlogProof {
            extra: None,
            index: self.index,
            proof: self.hashes.clone(),
            checkpoint: self.checkpoint.clone(),
        };
        proof.to_bytes()
    }
}

type Logs = dyn Fn() -> Vec<LogView> + Send + Sync;
type Prove = dyn Fn(&str, u64) -> Result<Inclusion, String> + Send + Sync;

/// The part that verifies, as the pages see it.
pub struct Verified {
    /// Every log, now.
    pub logs: Box<Logs>,
    /// The proof for an entry of a log under its newest verified head.
    pub prove: Box<Prove>,
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verified")
    }
}

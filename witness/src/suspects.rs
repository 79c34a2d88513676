//! Contradictions: what a log signed that cannot both be true, and what anyone sends in.
//!
//! A log that sends a validly signed root for exactly the size that was cosigned last, and another root, has given
//! itself away, whatever else is wrong with its request. A proof that does not hold is nothing: anyone can put junk
//! beside a genuine checkpoint. Only what [`tlog::evidence`] can prove is kept, only against logs that are followed
//! here or against this witness itself, and only so much of each.

use serde::Deserialize;
use tlog::evidence::container::EvidenceParseError;
use tlog::evidence::{Evidence, NoContradiction};
use tlog::note::{Note, NoteError};

use crate::judge::{self, Refusal, Signed};
use crate::logs::Followed;
use crate::state::StateError;
use crate::state::evidence::{EvidenceRow, Kept};
use crate::state::roster::origin_hash;
use crate::witness::Witness;
use crate::writer::Busy;

/// Checkpoints in one submission.
const CHECKPOINTS_MAX: usize = 2;
/// The log number of this witness itself.
const OURSELVES: i64 = 0;

/// Suspect checkpoints of one log: two, or one to be compared with what was cosigned last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suspects {
    checkpoints: Vec<String>,
}

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
pub enum SuspectError {
    /// Neither of the two forms.
    #[error(
        "send an evidence file, or {{\"checkpoints\": [\"...\", \"...\"]}} with one or two signed checkpoints of one log: {0}"
    )]
    Malformed(String),
    /// An evidence file that cannot be read.
    #[error(transparent)]
    File(#[from] EvidenceParseError),
    /// A checkpoint that is no note.
    #[error("a checkpoint is malformed: {0}")]
    Note(#[from] NoteError),
    /// A checkpoint of a log that is not followed, or that it did not sign.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It accuses someone unknown.
    #[error("it accuses {0}, which is neither a log that this witness follows nor the witness itself")]
    Stranger(String),
    /// It proves nothing.
    #[error("it proves nothing: {0}")]
    Nothing(#[from] NoContradiction),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Too much waits to be written.
    #[error("the witness is writing as much as it can")]
    Busy,
}

/// Something that was proved.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Its name.
    pub id: String,
    /// What it shows.
    pub form: &'static str,
    /// What became of it; `None` if nobody knows.
    pub kept: Option<Kept>,
}

impl Witness {
    /// Keeps evidence if what the log signed contradicts what was cosigned last.
    pub(crate) async fn compare(&self, log: &Followed, signed: &Signed) {
        if !judge::contradicts(signed.head(), log.head().head) {
            return;
        }
        match self.accuse(log, std::slice::from_ref(signed)).await {
            Ok(proof) if proof.kept == Some(Kept::New) => {
                tracing::error!(
                    origin = log.origin(),
                    size = signed.head().size.get(),
                    evidence = proof.id,
                    "ALARM: the log has signed two different trees of one size"
                );
            }
            Ok(proof) => tracing::debug!(origin = log.origin(), evidence = proof.id, "not kept again"),
            // A refresh may have moved the head meanwhile, and what is full is full.
            Err(error) => tracing::warn!(origin = log.origin(), %error, "no evidence was kept"),
        }
    }

    /// Takes what anyone sends in, and keeps it if it proves something.
    ///
    /// # Errors
    /// [`SuspectError`]: nothing was kept.
    pub async fn take_suspects(&self, body: &[u8]) -> Result<Proof, SuspectError> {
        if body.starts_with(b"daybook/") {
            return self.take_file(body).await;
        }
        let malformed = |error: serde_json::Error| SuspectError::Malformed(error.to_string());
        let Suspects { checkpoints } = serde_json::from_slice(body).map_err(malformed)?;
        if checkpoints.is_empty() || checkpoints.len() > CHECKPOINTS_MAX {
            return Err(SuspectError::Malformed(format!("{} checkpoints", checkpoints.len())));
        }
        let notes =
            checkpoints.iter().map(|note| Note::parse(note.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let claimed = judge::claimed(&notes[0])?;
        let origin = claimed.origin().as_str();
        let log = self.logs.get(origin).ok_or_else(|| Refusal::UnknownOrigin(origin.to_owned()))?;
        let signed = notes.iter().map(|note| judge::open(note, log.keys())).collect::<Result<Vec<_>, _>>()?;
        self.accuse(&log, &signed).await
    }

    /// Looks for two that contradict each other, among these and what was cosigned last.
    async fn accuse(&self, log: &Followed, signed: &[Signed]) -> Result<Proof, SuspectError> {
        let mut notes =
            signed.iter().map(|signed| signed.note(&[])).collect::<Result<Vec<_>, NoteError>>()?;
        if let Some(known) = self.note_of(&origin_hash(log.origin()))? {
            notes.push(Note::parse(&known)?);
        }
        let mut failed = NoContradiction::NotSigned;
        for (at, one) in notes.iter().enumerate() {
            for other in &notes[at + 1..] {
                match Evidence::two_roots(log.keys(), one, other) {
                    Ok(evidence) => return self.keep(log.id, &evidence).await,
                    Err(error) => failed = error,
                }
            }
        }
        Err(failed.into())
    }

    async fn take_file(&self, body: &[u8]) -> Result<Proof, SuspectError> {
        let evidence = Evidence::parse(body)?;
        if self.all_keys().contains(evidence.accused()) {
            evidence.verify(self.all_keys())?;
            tracing::error!("ALARM: this witness has been shown to have cosigned two different trees");
            return self.keep(OURSELVES, &evidence).await;
        }
        let origin = evidence.origin().as_str();
        let log = self.logs.get(origin).filter(|log| log.keys().contains(evidence.accused()));
        let log = log.ok_or_else(|| SuspectError::Stranger(evidence.accused().name().to_string()))?;
        evidence.verify(log.keys())?;
        self.keep(log.id, &evidence).await
    }

    async fn keep(&self, log: i64, evidence: &Evidence) -> Result<Proof, SuspectError> {
        let row = EvidenceRow {
            id: evidence.id(),
            log,
            kind: evidence.form().to_owned(),
            found: self.now(),
            file: evidence.to_bytes(),
        };
        let proof = Proof { id: row.id.to_string(), form: evidence.form(), kept: None };
        let kept = self.queue().keep(row).await.map_err(|Busy| SuspectError::Busy)?;
        Ok(Proof { kept, ..proof })
    }
}

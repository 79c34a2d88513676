//! Whose signatures count: a policy file, or the log's key. Never what the log itself says.

use std::path::{Path, PathBuf};

use clap::Args;
use tlog::checkpoint::VerifiedCheckpoint;
use tlog::note::Note;
use tlog::policy::Policy;

use super::failure::Failure;
use crate::source::Source;

/// Whom to trust.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub(super) struct Trust {
    /// The policy file: the log's key, and which witnesses must have signed.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The log's verifier key, where there is no policy file.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
}

impl Trust {
    /// The policy, from the arguments alone.
    pub(super) fn policy(&self) -> Result<Policy, Failure> {
        match (&self.policy, &self.key) {
            (Some(path), _) => read_policy(path),
            (None, Some(key)) => {
                let key = key.parse().map_err(|error| Failure::Malformed(format!("--key: {error}")))?;
                Ok(Policy::of_log(key, None))
            }
            (None, None) => Err(Failure::Malformed(
                "whom shall be trusted? Give --policy FILE, or the log's key with --key VKEY. A log's own word \
                 is not enough"
                    .to_owned(),
            )),
        }
    }

    /// The policy; for a log's own directory, where its operator works, the policy beside it.
    pub(super) fn policy_for(&self, source: &str) -> Result<Policy, Failure> {
        let own = Path::new(source).join("policy.txt");
        if self.policy.is_none() && self.key.is_none() && own.is_file() {
            return read_policy(&own);
        }
        self.policy()
    }

    /// Opens a log and checks its checkpoint.
    pub(super) fn open(&self, source: &str) -> Result<(Source, VerifiedCheckpoint), Failure> {
        let policy = self.policy_for(source)?;
        let source = Source::open(source)?;
        let checkpoint = checkpoint(&source, &policy)?;
        Ok((source, checkpoint))
    }
}

/// Reads a policy file.
pub(super) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    Policy::parse(&bytes).map_err(|error| Failure::Malformed(format!("{}: {error}", path.display())))
}

/// Fetches the checkpoint and holds it against the policy.
pub(super) fn checkpoint(source: &Source, policy: &Policy) -> Result<VerifiedCheckpoint, Failure> {
    let bytes = source.checkpoint()?;
    let note = Note::parse(&bytes)
        .map_err(|error| Failure::Wrong(format!("the checkpoint is malformed: {error}")))?;
    policy.verify(&note).map_err(|error| Failure::Wrong(format!("the checkpoint is not acceptable: {error}")))
}

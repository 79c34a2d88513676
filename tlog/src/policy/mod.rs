//! Trust policies (C2SP tlog-policy): which logs, which witnesses, and how many of them.
//!
//! ```text
//! log <vkey> [<url>]
//! witness <name> <vkey> [<url>]
//! group <name> all|any|<k> <name>...
//! quorum <name>|none
//! ```
//!
//! A checkpoint is accepted when one of the logs signed it under its own origin, every signature by a known key
//! holds, and the quorum is met by distinct keys. Names are octets and mean nothing outside the file.
//!
//! Parsing is in `parse`, advice to the author of a policy in `lint`.

mod lint;
mod parse;

pub use lint::Warning;
pub use parse::{PolicyParseError, Problem};

use crate::checkpoint::{CheckpointError, VerifiedCheckpoint};
use crate::note::{Note, NoteError};
use crate::vkey::VerifierKey;

/// The longest policy file in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
/// The most logs in a policy; the specification asks for at least 32.
pub const LOGS_MAX: usize = 128;
/// The most witnesses in a policy.
pub const WITNESSES_MAX: usize = 128;
/// The most groups in a policy.
pub const GROUPS_MAX: usize = 128;

/// Why a policy does not accept a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The signatures do not hold, or no known key signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// None of the policy's logs signed under its own name.
    #[error("no log of the policy has signed this checkpoint of {0:?}")]
    NoLog(String),
    /// Too few witnesses.
    #[error("the policy's quorum of witnesses is not met: {found} of its {known} witnesses have cosigned")]
    Quorum {
        /// Witnesses of the policy whose cosignature holds.
        found: usize,
        /// Witnesses in the policy.
        known: usize,
    },
}

/// A log that the policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its key; the key's name is the log's origin.
    pub key: VerifierKey,
    /// Where it is reached, as the file has it.
    pub url: Option<Vec<u8>>,
}

/// A witness that the policy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessEntry {
    /// Its name within the file.
    pub name: Vec<u8>,
    /// Its key.
    pub key: VerifierKey,
    /// Where it is reached, as the file has it.
    pub url: Option<Vec<u8>>,
}

/// A witness or a group, by its place among its kind in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A witness.
    Witness(usize),
    /// A group.
    Group(usize),
}

/// A group: at least `threshold` of its members must have witnessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name within the file.
    pub name: Vec<u8>,
    /// From 1 to the number of members.
    pub threshold: usize,
    /// Each defined before the group.
    pub members: Vec<Member>,
}

/// A trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<LogEntry>,
    witnesses: Vec<WitnessEntry>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

impl Policy {
    /// Parses a policy file.
    ///
    /// # Errors
    /// [`PolicyParseError`] names the line and what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyParseError> {
        parse::parse(bytes)
    }

    /// A policy of one log and no witnesses, as for a log that has none yet.
    #[must_use]
    pub fn of_log(key: VerifierKey, url: Option<Vec<u8>>) -> Self {
        let logs = vec![LogEntry { key, url }];
        Self { logs, witnesses: Vec::new(), groups: Vec::new(), quorum: None }
    }

    /// The same witnesses and quorum, for one log.
    #[must_use]
    pub fn for_log(&self, key: VerifierKey, url: Option<Vec<u8>>) -> Self {
        Self { logs: vec![LogEntry { key, url }], ..self.clone() }
    }

    /// The policy as a file, without comments. Parses back to an equal policy.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        parse::format(self)
    }

    /// The logs.
    #[must_use]
    pub fn logs(&self) -> &[LogEntry] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessEntry] {
        &self.witnesses
    }

    /// The groups, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What must have witnessed; `None` where the file says `quorum none`.
    #[must_use]
    pub fn quorum(&self) -> Option<Member> {
        self.quorum
    }

    /// What the author of the policy should know about it.
    #[must_use]
    pub fn lint(&self) -> Vec<Warning> {
        lint::lint(self)
    }

    /// Whether these witnesses (by place in [`Policy::witnesses`]) meet the quorum.
    #[must_use]
    pub fn is_met_by(&self, cosigned: impl Fn(usize) -> bool) -> bool {
        let mut met = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, met: &[bool]| match *member {
            Member::Witness(at) => cosigned(at),
            Member::Group(at) => met[at],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &met)).count();
            met.push(count >= group.threshold);
        }
        self.quorum.as_ref().is_none_or(|member| holds(member, &met))
    }

    /// Verifies a signed checkpoint against the policy.
    ///
    /// # Errors
    /// [`PolicyError`]: a known key's signature that fails is an error even if the quorum would be met.
    pub fn verify(&self, note: &Note) -> Result<VerifiedCheckpoint, PolicyError> {
        let logs = self.logs.iter().map(|log| &log.key);
        let witnesses = self.witnesses.iter().map(|witness| &witness.key);
        let keys: Vec<VerifierKey> = logs.chain(witnesses).cloned().collect();
        let verified = note.verify(&keys)?;
        let checkpoint = VerifiedCheckpoint::from_verified(note, &verified)?;
        let origin = checkpoint.origin().as_str();
        let by_log = |key: &VerifierKey| self.logs.iter().any(|log| log.key == *key);
        if !verified.iter().any(|one| by_log(one.key) && one.key.name().as_str() == origin) {
            return Err(PolicyError::NoLog(origin.to_owned()));
        }
        let cosigned = |at: usize| verified.iter().any(|one| *one.key == self.witnesses[at].key);
        if self.is_met_by(cosigned) {
            return Ok(checkpoint);
        }
        let known = self.witnesses.len();
        Err(PolicyError::Quorum { found: (0..known).filter(|at| cosigned(*at)).count(), known })
    }
}

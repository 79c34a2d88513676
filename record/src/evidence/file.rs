//! An evidence file of either kind, about trees or about records, and what it says to somebody who has the keys.
//!
//! What every `verify-evidence` has in common, whichever program it belongs to: the keys, the verdict on a file, its
//! JSON and its words, and the exit code. Absent on purpose: arguments, and reading files.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use tlog::evidence::{Evidence, EvidenceParseError, NoContradiction, Role};
use tlog::hash::Hash;
use tlog::ids::Origin;
use tlog::policy::Policy;
use tlog::vkey::{KeyKind, VerifierKey, VkeyError};

use super::{NoFinding, RecordEvidence};

/// The file proves nothing against the owners of the keys that were given.
pub const EXIT_NOT_PROVED: i32 = 1;
/// It is no evidence file.
pub const EXIT_MALFORMED: i32 = 2;
/// It could not be read.
pub const EXIT_UNREAD: i32 = 3;

/// A file of either kind. One that was parsed says nothing before [`EvidenceFile::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceFile {
    /// Two trees that contradict each other.
    Trees(Box<Evidence>),
    /// A tree that holds entries which rule each other out.
    Records(Box<RecordEvidence>),
}

/// Why a file proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvesNothing {
    /// About trees.
    #[error(transparent)]
    Trees(#[from] NoContradiction),
    /// About records.
    #[error(transparent)]
    Records(#[from] NoFinding),
}

/// What a file proves, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The facts by name, every value as text.
    pub facts: Vec<(String, String)>,
    /// In words.
    pub text: String,
}

impl EvidenceFile {
    /// Parses a file. Accepts only bytes that [`EvidenceFile::to_bytes`] gives back. No cryptography is done.
    ///
    /// # Errors
    /// [`EvidenceParseError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceParseError> {
        match Evidence::parse(bytes) {
            Ok(evidence) => Ok(evidence.into()),
            Err(EvidenceParseError::UnknownForm(_)) => RecordEvidence::parse(bytes).map(Self::from),
            Err(error) => Err(error),
        }
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Trees(evidence) => evidence.to_bytes(),
            Self::Records(evidence) => evidence.to_bytes(),
        }
    }

    /// Verifies the file with keys that the verifier knows to be the accused's.
    ///
    /// # Errors
    /// [`ProvesNothing`] says why.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Proof, ProvesNothing> {
        match self {
            Self::Trees(evidence) => {
                let found = evidence.verify(keys)?;
                Ok(Proof { facts: found.facts(), text: found.to_string() })
            }
            Self::Records(evidence) => {
                let found = evidence.verify(keys)?;
                Ok(Proof { facts: found.facts(), text: found.to_string() })
            }
        }
    }

    /// The name of the contradiction.
    #[must_use]
    pub fn id(&self) -> Hash {
        match self {
            Self::Trees(evidence) => evidence.id(),
            Self::Records(evidence) => evidence.id(),
        }
    }

    /// The name of the form.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self {
            Self::Trees(evidence) => evidence.form(),
            Self::Records(evidence) => evidence.form().as_str(),
        }
    }

    /// Whom the file accuses; nothing is proved by that.
    #[must_use]
    pub fn accused(&self) -> &VerifierKey {
        match self {
            Self::Trees(evidence) => evidence.accused(),
            Self::Records(evidence) => evidence.accused(),
        }
    }

    /// As what.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Trees(evidence) => evidence.role(),
            Self::Records(_) => Role::Log,
        }
    }

    /// The log that the first checkpoint names.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Trees(evidence) => evidence.origin(),
            Self::Records(evidence) => evidence.origin(),
        }
    }
}

impl From<Evidence> for EvidenceFile {
    fn from(evidence: Evidence) -> Self {
        Self::Trees(Box::new(evidence))
    }
}

impl From<RecordEvidence> for EvidenceFile {
    fn from(evidence: RecordEvidence) -> Self {
        Self::Records(Box::new(evidence))
    }
}

/// Why a key accuses nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is none.
    #[error(transparent)]
    Malformed(#[from] VkeyError),
    /// Its signatures do not name the log.
    #[error(
        "{0} signs RFC 6962 tree heads, which do not name the log; evidence rests on the key that signs its checkpoints"
    )]
    TreeHeads(String),
}

/// A key with which evidence can be verified.
///
/// # Errors
/// [`KeyError`].
pub fn parse_key(text: &str) -> Result<VerifierKey, KeyError> {
    let key: VerifierKey = text.parse()?;
    if key.kind() == KeyKind::TreeHeadP256 {
        return Err(KeyError::TreeHeads(key.name().to_string()));
    }
    Ok(key)
}

/// The keys of the logs and the witnesses that a policy names.
#[must_use]
pub fn keys_of(policy: &Policy) -> Vec<VerifierKey> {
    let logs = policy.logs().iter().map(|log| &log.key);
    logs.chain(policy.witnesses().iter().map(|witness| &witness.key)).cloned().collect()
}

/// What was found out about one file. Its JSON is described in `docs/cli.md`.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    file: String,
    proved: bool,
    exit_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(flatten)]
    facts: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    text: String,
}

impl Checked {
    /// The verdict on the bytes of a file.
    #[must_use]
    pub fn new(file: String, bytes: &[u8], keys: &[VerifierKey]) -> Self {
        let evidence = match EvidenceFile::parse(bytes) {
            Ok(evidence) => evidence,
            Err(error) => return Self::not(file, EXIT_MALFORMED, "MALFORMED", error.to_string()),
        };
        match evidence.verify(keys) {
            Ok(proof) => Self {
                text: format!("PROVED: {file}\n{}", proof.text),
                file,
                proved: true,
                exit_code: 0,
                form: Some(evidence.form()),
                id: Some(evidence.id().to_string()),
                facts: proof.facts.into_iter().map(|(name, value)| (name, value.into())).collect(),
                error: None,
            },
            Err(error) => Self::not(file, EXIT_NOT_PROVED, "NOT PROVED", error.to_string()),
        }
    }

    /// A file that could not be read.
    #[must_use]
    pub fn unread(file: String, error: &impl fmt::Display) -> Self {
        Self::not(file, EXIT_UNREAD, "error", error.to_string())
    }

    fn not(file: String, exit_code: i32, what: &str, why: String) -> Self {
        Self {
            text: format!("{what}: {file}: {why}"),
            file,
            proved: false,
            exit_code,
            form: None,
            id: None,
            facts: Map::new(),
            error: Some(why),
        }
    }
}

/// What was found out about several files.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    proved: bool,
    exit_code: i32,
    files: Vec<Checked>,
}

impl Report {
    /// The verdicts, in the order of the files.
    #[must_use]
    pub fn new(files: Vec<Checked>) -> Self {
        let exit_code = files.iter().map(|file| file.exit_code).max().unwrap_or(EXIT_MALFORMED);
        Self { proved: exit_code == 0, exit_code, files }
    }

    /// The largest over all files; 0 only if each proves something.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        self.exit_code
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.files.iter().map(|file| file.text.as_str()).collect();
        f.write_str(&texts.join("\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "log.example/2027+a605dc9d+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

    #[test]
    fn the_worst_file_decides_and_no_file_proves_nothing() {
        let keys = [parse_key(KEY).unwrap()];
        let junk = Checked::new("junk".to_owned(), b"daybook/evidence/v2\n", &keys);
        let gone = Checked::unread("gone".to_owned(), &"no such file");
        let report = Report::new(vec![gone, junk.clone()]);
        assert_eq!((report.exit_code(), report.proved), (EXIT_UNREAD, false));
        assert!(report.to_string().starts_with("error: gone: no such file\n\nMALFORMED: junk: "));
        assert_eq!(Report::new(vec![junk]).exit_code(), EXIT_MALFORMED);
        assert_ne!(Report::new(Vec::new()).exit_code(), 0);
    }

    #[test]
    fn a_key_that_signs_tree_heads_alone_accuses_nobody() {
        assert!(matches!(parse_key("log.example"), Err(KeyError::Malformed(_))));
        let spki = tlog::sign::TreeHeadSigner::from_seed("log.example/2027".parse().unwrap(), &[2; 32]);
        let key = spki.unwrap().verifier_key().to_string();
        assert!(matches!(parse_key(&key), Err(KeyError::TreeHeads(_))));
    }
}

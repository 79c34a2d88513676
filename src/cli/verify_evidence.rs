//! `daybook verify-evidence`: does this file prove that a log or a witness lied? No network.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use record::evidence::RecordEvidence;
use serde::Serialize;
use serde_json::{Map, Value};
use tlog::evidence::{EVIDENCE_BYTES_MAX, Evidence, EvidenceParseError};
use tlog::hash::Hash;
use tlog::policy::Policy;
use tlog::vkey::{KeyKind, VerifierKey};

use super::failure::{EXIT_FAILED, EXIT_MALFORMED, EXIT_WRONG, Failure};
use super::output::Output;
use super::trust::read_policy;

#[derive(Args, Debug)]
pub(super) struct VerifyEvidence {
    /// Evidence files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    accused: Accused,
}

/// Whose keys they are must be known from somewhere else than the file.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Accused {
    /// The accused log's or witness's verifier key; may be given several times.
    #[arg(long, value_name = "VKEY")]
    key: Vec<String>,
    /// A policy file with the keys of logs and witnesses.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Accused {
    fn keys(&self) -> Result<Vec<VerifierKey>, Failure> {
        let Some(path) = &self.policy else {
            return self.key.iter().map(|key| parse_key(key)).collect();
        };
        Ok(keys_of(&read_policy(path)?))
    }
}

fn parse_key(text: &str) -> Result<VerifierKey, Failure> {
    let key: VerifierKey = text.parse().map_err(|error| Failure::Malformed(format!("--key: {error}")))?;
    if key.kind() == KeyKind::TreeHeadP256 {
        return Err(Failure::Malformed(format!(
            "--key: {} signs RFC 6962 tree heads, which do not name the log; evidence rests on the key that signs \
             its checkpoints",
            key.name()
        )));
    }
    Ok(key)
}

fn keys_of(policy: &Policy) -> Vec<VerifierKey> {
    let logs = policy.logs().iter().map(|log| &log.key);
    logs.chain(policy.witnesses().iter().map(|witness| &witness.key)).cloned().collect()
}

/// What one file says.
enum Verdict {
    Proved { form: &'static str, id: Hash, text: String, facts: Vec<(String, String)> },
    Not { exit_code: i32, why: String },
}

#[derive(Serialize)]
struct Checked {
    proved: bool,
    files: Vec<CheckedFile>,
    exit_code: i32,
}

#[derive(Serialize)]
struct CheckedFile {
    file: String,
    proved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(flatten)]
    facts: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    exit_code: i32,
    #[serde(skip)]
    text: String,
}

impl VerifyEvidence {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let keys = self.accused.keys()?;
        let files: Vec<CheckedFile> = self.files.iter().map(|file| checked(file, &keys)).collect();
        let exit_code = files.iter().map(|file| file.exit_code).max().unwrap_or(0);
        let checked = Checked { proved: exit_code == 0, files, exit_code };
        output.result(&checked, || {
            let texts: Vec<&str> = checked.files.iter().map(|file| file.text.as_str()).collect();
            texts.join("\n\n")
        });
        if exit_code == 0 { Ok(()) } else { Err(Failure::Shown(exit_code)) }
    }
}

fn checked(path: &Path, keys: &[VerifierKey]) -> CheckedFile {
    let file = path.display().to_string();
    match judge(path, keys) {
        Verdict::Proved { form, id, text, facts } => CheckedFile {
            text: format!("PROVED: {file}\n{text}"),
            file,
            proved: true,
            form: Some(form),
            id: Some(id.to_string()),
            facts: facts.into_iter().map(|(name, value)| (name, value.into())).collect(),
            error: None,
            exit_code: 0,
        },
        Verdict::Not { exit_code, why } => {
            let what = match exit_code {
                EXIT_WRONG => "NOT PROVED",
                EXIT_MALFORMED => "MALFORMED",
                _ => "error",
            };
            CheckedFile {
                text: format!("{what}: {file}: {why}"),
                file,
                proved: false,
                form: None,
                id: None,
                facts: Map::new(),
                error: Some(why),
                exit_code,
            }
        }
    }
}

fn judge(path: &Path, keys: &[VerifierKey]) -> Verdict {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Verdict::Not { exit_code: EXIT_FAILED, why: error.to_string() },
    };
    match Evidence::parse(&bytes) {
        Ok(evidence) => verdict(evidence.verify(keys).map(|found| {
            let (text, facts) = (found.to_string(), found.facts());
            Verdict::Proved { form: evidence.form(), id: evidence.id(), text, facts }
        })),
        Err(EvidenceParseError::UnknownForm(_)) => judge_records(&bytes, keys),
        Err(error) => Verdict::Not { exit_code: EXIT_MALFORMED, why: error.to_string() },
    }
}

/// The forms that are about records and not about trees.
fn judge_records(bytes: &[u8], keys: &[VerifierKey]) -> Verdict {
    match RecordEvidence::parse(bytes) {
        Ok(evidence) => verdict(evidence.verify(keys).map(|found| {
            let (text, facts) = (found.to_string(), found.facts());
            Verdict::Proved { form: evidence.form().as_str(), id: evidence.id(), text, facts }
        })),
        Err(error) => Verdict::Not { exit_code: EXIT_MALFORMED, why: error.to_string() },
    }
}

fn verdict<E: std::fmt::Display>(verified: Result<Verdict, E>) -> Verdict {
    verified.unwrap_or_else(|error| Verdict::Not { exit_code: EXIT_WRONG, why: error.to_string() })
}

/// No more than one byte beyond what can be evidence, so that its length is still refused with a reason.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(EVIDENCE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

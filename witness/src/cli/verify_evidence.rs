//! `daybook-witness verify-evidence`: does this file prove that a log or a witness lied? No network.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use tlog::evidence::{EVIDENCE_BYTES_MAX, Evidence};
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;

use super::output::{EXIT_FAILED, EXIT_MALFORMED, EXIT_WRONG, Failure, Output};

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
    key: Vec<VerifierKey>,
    /// A policy file with the keys of logs and witnesses.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
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
        let files: Vec<CheckedFile> = self.files.iter().map(|file| check(file, &keys)).collect();
        let exit_code = files.iter().map(|file| file.exit_code).max().unwrap_or(0);
        let checked = Checked { proved: exit_code == 0, files, exit_code };
        output.result(&checked, || {
            let texts: Vec<&str> = checked.files.iter().map(|file| file.text.as_str()).collect();
            texts.join("\n\n")
        });
        if exit_code == 0 { Ok(()) } else { Err(Failure::shown(exit_code)) }
    }
}

impl Accused {
    fn keys(&self) -> Result<Vec<VerifierKey>, Failure> {
        let Some(path) = &self.policy else { return Ok(self.key.clone()) };
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| Failure::failed(format!("{shown}: {error}")))?;
        let policy =
            Policy::parse(&bytes).map_err(|error| Failure::malformed(format!("{shown}: {error}")))?;
        let logs = policy.logs().iter().map(|log| &log.key);
        Ok(logs.chain(policy.witnesses().iter().map(|witness| &witness.key)).cloned().collect())
    }
}

fn check(path: &Path, keys: &[VerifierKey]) -> CheckedFile {
    let file = path.display().to_string();
    let not = |exit_code, what: &str, why: String| CheckedFile {
        text: format!("{what}: {file}: {why}"),
        file: file.clone(),
        proved: false,
        form: None,
        id: None,
        facts: Map::new(),
        error: Some(why),
        exit_code,
    };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => return not(EXIT_FAILED, "error", error.to_string()),
    };
    let evidence = match Evidence::parse(&bytes) {
        Ok(evidence) => evidence,
        Err(error) => return not(EXIT_MALFORMED, "MALFORMED", error.to_string()),
    };
    match evidence.verify(keys) {
        Ok(contradiction) => CheckedFile {
            text: format!("PROVED: {file}\n{contradiction}"),
            file,
            proved: true,
            form: Some(evidence.form()),
            id: Some(evidence.id().to_string()),
            facts: contradiction.facts().into_iter().map(|(name, value)| (name, value.into())).collect(),
            error: None,
            exit_code: 0,
        },
        Err(error) => not(EXIT_WRONG, "NOT PROVED", error.to_string()),
    }
}

/// No more than one byte beyond what can be evidence, so that its length is still refused with a reason.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(EVIDENCE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

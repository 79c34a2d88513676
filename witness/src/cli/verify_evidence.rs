//! `daybook-witness verify-evidence`: does this file prove that a log or a witness lied? No network.
//! The verdict is [`record::evidence::file`]'s.

use std::path::{Path, PathBuf};

use clap::Args;
use daemon::files::read_up_to;
use record::evidence::file::{Checked, Report, keys_of, parse_key};
use tlog::evidence::EVIDENCE_BYTES_MAX;
use tlog::policy::Policy;
use tlog::vkey::VerifierKey;

use super::output::{Failure, Output};

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

impl VerifyEvidence {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let keys = self.accused.keys()?;
        let report = Report::new(self.files.iter().map(|file| checked(file, &keys)).collect());
        output.result(&report, || report.to_string());
        if report.exit_code() == 0 { Ok(()) } else { Err(Failure::Shown(report.exit_code())) }
    }
}

impl Accused {
    fn keys(&self) -> Result<Vec<VerifierKey>, Failure> {
        let parse =
            |key: &String| parse_key(key).map_err(|error| Failure::malformed(format!("--key: {error}")));
        let Some(path) = &self.policy else { return self.key.iter().map(parse).collect() };
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(Failure::file(path))?;
        let policy =
            Policy::parse(&bytes).map_err(|error| Failure::malformed(format!("{shown}: {error}")))?;
        Ok(keys_of(&policy))
    }
}

/// The verdict on one file. Not more is read of it than can be evidence, and one byte, so that it is refused with a reason.
fn checked(path: &Path, keys: &[VerifierKey]) -> Checked {
    let name = path.display().to_string();
    match read_up_to(path, EVIDENCE_BYTES_MAX + 1) {
        Ok(bytes) => Checked::new(name, &bytes, keys),
        Err(error) => Checked::unread(name, &error),
    }
}

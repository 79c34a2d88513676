//! Who signs: key files, and where their passphrases come from.

use std::path::{Path, PathBuf};

use clap::Args;
use tlog::ids::KeyName;
use tlog::vkey::VerifierKey;

use super::failure::Failure;
use crate::officer::passphrase::{PassphraseError, PassphraseSource};
use crate::officer::{Officer, OfficerError};

/// Where passphrases come from.
#[derive(Args, Clone, Debug)]
pub(super) struct Passphrases {
    /// A file whose only line is the passphrase of the keys. Without it the environment variable DAYBOOK_PASSPHRASE is
    /// taken, and without that you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Passphrases {
    pub(super) fn source(&self) -> PassphraseSource {
        PassphraseSource { file: self.passphrase_file.clone() }
    }
}

/// Who signs.
#[derive(Args, Clone, Debug)]
pub(super) struct Signers {
    /// A key file that signs; repeat for several officers. Where the file does not say which key it holds:
    /// NAME=FILE.
    #[arg(long = "signer", value_name = "FILE")]
    signers: Vec<String>,
    #[command(flatten)]
    passphrases: Passphrases,
}

impl Signers {
    /// Whether anybody signs.
    pub(super) fn are_given(&self) -> bool {
        !self.signers.is_empty()
    }

    /// The keys, in the order given.
    pub(super) fn load(&self) -> Result<Vec<Officer>, Failure> {
        let source = self.passphrases.source();
        self.signers.iter().map(|text| load(text, &source)).collect()
    }

    /// The keys, of which there must be one.
    pub(super) fn load_some(&self) -> Result<Vec<Officer>, Failure> {
        if self.signers.is_empty() {
            return Err(Failure::Malformed(
                "who signs? Give --signer FILE, a key file made by `daybook keygen`".to_owned(),
            ));
        }
        self.load()
    }

    pub(super) fn source(&self) -> PassphraseSource {
        self.passphrases.source()
    }
}

/// Opens a key file, `FILE` or `NAME=FILE`.
pub(super) fn load(text: &str, source: &PassphraseSource) -> Result<Officer, Failure> {
    let (name, path) = parse(text)?;
    Officer::read(&path, name, |path| source.get(path)).map_err(failed)
}

fn parse(text: &str) -> Result<(Option<KeyName>, PathBuf), Failure> {
    let path = Path::new(text);
    match text.split_once('=') {
        Some((name, file)) if !path.exists() => {
            let name = name.parse();
            let name = name.map_err(|error| Failure::Malformed(format!("--signer {text}: {error}")))?;
            Ok((Some(name), file.into()))
        }
        _ => Ok((None, path.to_owned())),
    }
}

/// What a key argument names: a key file of ours, which signs too, or a verifier key of somebody who signs later.
#[derive(Debug)]
pub(super) enum KeyArg {
    /// Ours.
    Ours(Box<Officer>),
    /// Somebody else's.
    Theirs(VerifierKey),
}

impl KeyArg {
    pub(super) fn load(text: &str, source: &PassphraseSource) -> Result<Self, Failure> {
        if let Ok(key) = text.parse() {
            return Ok(Self::Theirs(key));
        }
        load(text, source).map(|officer| Self::Ours(Box::new(officer)))
    }

    pub(super) fn key(&self) -> VerifierKey {
        match self {
            Self::Ours(officer) => officer.verifier_key(),
            Self::Theirs(key) => key.clone(),
        }
    }
}

pub(super) fn failed(error: OfficerError) -> Failure {
    match error {
        OfficerError::Nameless(_) | OfficerError::Kind(_) | OfficerError::Other(..) => {
            Failure::malformed(error)
        }
        OfficerError::Passphrase(
            PassphraseError::Text | PassphraseError::Short | PassphraseError::Different,
        ) => Failure::malformed(error),
        error => Failure::failed(error),
    }
}

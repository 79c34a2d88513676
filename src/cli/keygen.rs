//! `daybook keygen`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use daemon::clock::SystemRandom;
use serde::Serialize;
use tlog::ids::KeyName;

use super::failure::Failure;
use super::output::Output;
use super::signers::{Passphrases, failed};
use crate::officer::{Algorithm, Officer};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256, as in many agencies' hardware.
    EcdsaP256,
}

#[derive(Args, Debug)]
pub(super) struct Keygen {
    /// The key's name, such as treasury.gov.example/clerk: the agency, a slash, and whose key it is.
    name: KeyName,
    /// The file for the private key. It must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The kind of key.
    #[arg(long, value_enum, default_value = "ed25519")]
    kind: Kind,
    /// Encrypt the file under a passphrase.
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrases: Passphrases,
}

#[derive(Serialize)]
struct Made {
    file: PathBuf,
    vkey: String,
    encrypted: bool,
}

impl Keygen {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        if self.out.exists() {
            let message = format!("{}: the file exists; a key is never overwritten", self.out.display());
            return Err(Failure::Failed(message));
        }
        let passphrase = match self.encrypt {
            true => Some(self.passphrases.source().get_new(&self.out).map_err(|error| failed(error.into()))?),
            false => None,
        };
        let algorithm = match self.kind {
            Kind::Ed25519 => Algorithm::Ed25519,
            Kind::EcdsaP256 => Algorithm::EcdsaP256,
        };
        let officer = Officer::draw(&self.name, algorithm, &SystemRandom).map_err(failed)?;
        officer.write(&self.out, passphrase.as_ref(), &SystemRandom).map_err(failed)?;
        let vkey = officer.verifier_key().to_string();
        let made = Made { file: self.out, vkey, encrypted: passphrase.is_some() };
        output.result(&made, || {
            let file = made.file.display();
            format!("The private key is in {file}: nobody else may have it.\nThe verifier key, for everybody:\n{}", made.vkey)
        });
        Ok(())
    }
}

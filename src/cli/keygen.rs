//! `daybook keygen`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use daemon::clock::SystemRandom;
use serde::Serialize;
use tlog::ids::KeyName;
use tlog::sign::{EcdsaP256Signer, Ed25519Signer};

use super::failure::Failure;
use super::output::Output;
use crate::keys;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Ed25519.
    Ed25519,
    /// ECDSA over P-256, as in many agencies' hardware.
    EcdsaP256,
}

#[derive(Args, Debug)]
pub(super) struct Keygen {
    /// The key's name, such as finance.agency.example.
    name: KeyName,
    /// The file for the private key. It must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The kind of key.
    #[arg(long, value_enum, default_value = "ed25519")]
    kind: Kind,
}

#[derive(Serialize)]
struct Made {
    file: PathBuf,
    vkey: String,
}

impl Keygen {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let seed = keys::draw(&SystemRandom);
        let (der, vkey) = match self.kind {
            Kind::Ed25519 => {
                let signer = Ed25519Signer::from_seed(self.name, &seed);
                (signer.to_pkcs8_der(), signer.verifier_key())
            }
            Kind::EcdsaP256 => {
                // One draw in 2^32 is no key; the next one is.
                let signer = EcdsaP256Signer::from_seed(self.name, &seed).map_err(Failure::failed)?;
                (signer.to_pkcs8_der(), signer.verifier_key())
            }
        };
        keys::write(&self.out, &der).map_err(Failure::failed)?;
        let made = Made { file: self.out, vkey: vkey.to_string() };
        output.result(&made, || {
            let file = made.file.display();
            format!("The private key is in {file}: nobody else may have it.\nThe verifier key, for everybody:\n{}", made.vkey)
        });
        Ok(())
    }
}

//! `daybook sign` and `daybook cosign`: signatures for a statement that several officers sign, one after the other.

use std::path::PathBuf;

use clap::Args;

use super::ceremony::{self, Carried, Out};
use super::desk::{At, RegisterArg};
use super::failure::Failure;
use super::output::Output;
use super::signers::Signers;
use super::submit::{Inputs, Writer};
use crate::clerk::files::with_ending;
use crate::client::Client;
use crate::client::draft::Draft;
use crate::client::standing::possession;

#[derive(Args, Debug)]
pub(super) struct Sign {
    #[command(flatten)]
    at: At,
    /// The record, a JSON file as for `submit`.
    file: PathBuf,
    /// The register: AGENCY/REGISTER.
    #[arg(long)]
    register: RegisterArg,
    #[command(flatten)]
    inputs: Inputs,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    out: Out,
}

impl Sign {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let out = self.out.out.clone().unwrap_or_else(|| with_ending(&self.file, ".draft"));
        if out.exists() {
            let message = format!(
                "{}: the file exists. If it waits for signatures, go on with `daybook cosign`; else name another with \
                 --out",
                out.display()
            );
            return Err(Failure::Malformed(message));
        }
        let officers = self.signers.load_some()?;
        let desk = self.at.open()?;
        let facts = desk.register(&self.register)?;
        let mut items = self.inputs.read(&self.file, &facts.definition, None)?.items;
        let (Some(item), true) = (items.pop(), items.is_empty()) else {
            let message = format!("{}: sign takes one record at a time", self.file.display());
            return Err(Failure::Malformed(message));
        };
        let writer = Writer::new(&desk, &officers, &facts.definition);
        let draft = writer.draft(&item, &out)?;
        draft.write(&out).map_err(ceremony::draft_failed)?;
        let standing = desk.client.standing(&draft).map_err(ceremony::failed)?;
        let carried = Carried::waiting(&out, &standing);
        output.result(&carried, || carried.text("The record"));
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(super) struct Cosign {
    /// The statement that waits; also a genesis that `daybook init` wrote.
    file: PathBuf,
    #[command(flatten)]
    signers: Signers,
    /// The log's URL, to be told who still has to sign.
    #[arg(long, value_name = "URL")]
    log: Option<String>,
}

impl Cosign {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let mut draft = Draft::read(&self.file).map_err(ceremony::draft_failed)?;
        if !self.signers.are_given() && self.log.is_none() {
            let message =
                "nothing to do: give --signer FILE to sign, or --log URL to be told who still has to";
            return Err(Failure::malformed(message));
        }
        // An officer sees what they sign before they are asked for the passphrase of their key.
        ceremony::show(&draft, output);
        let officers = self.signers.load()?;
        officers.iter().for_each(|officer| draft.sign(officer));
        if !officers.is_empty() {
            draft.write(&self.file).map_err(ceremony::draft_failed)?;
        }
        let standing = match &self.log {
            Some(url) => {
                let client = Client::new(url).map_err(ceremony::failed)?;
                client.standing(&draft).map_err(ceremony::failed)?
            }
            None => possession(&draft),
        };
        let carried = Carried::waiting(&self.file, &standing);
        output.result(&carried, || match &self.log {
            Some(_) => carried.text("The statement"),
            None => {
                let missing = match carried.missing.is_empty() {
                    true => String::new(),
                    false => format!("\nStill: {}.", carried.missing.join("; ")),
                };
                format!("{} is signed by {}.{missing}", carried.file.display(), carried.signed.join(", "))
            }
        });
        Ok(())
    }
}

//! `daybook agency`: who an agency's officers are, from the first request to the last revocation.
//!
//! Every command makes one statement and lets it be signed: by the keys at hand, and through a file by those elsewhere.
//! The registrar is an agency like the others, so its own keys change by the same commands.

mod change;
mod keys;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use record::ids::{AgencyId, Line};
use record::statement::{Agency, AgencyAction, Body};

use self::keys::NewKeys;
use super::ceremony::{self, Carried, Out};
use super::desk::{At, Desk};
use super::failure::Failure;
use super::output::Output;
use super::signers::Signers;
use crate::client::draft::Draft;
use crate::officer::Officer;

#[derive(Debug, Subcommand)]
pub(super) enum AgencyCommand {
    /// Ask to be enrolled: makes the request that the registrar's officers sign.
    Request(Request),
    /// Enrol an agency that has asked: adds the registrar's signatures, and sends the request once it has enough.
    Enrol(Enrol),
    /// Give an agency more keys.
    AddKey(change::AddKey),
    /// Replace keys, or change how many officers must sign.
    Rotate(change::Rotate),
    /// Cut keys off at once.
    Revoke(change::Revoke),
    /// Replace all keys, with the offline recovery key or by the registrar.
    Recover(change::Recover),
    /// Let a unit's key sign records of some registers for a time.
    Delegate(change::Delegate),
    /// Disown what a stolen key has signed.
    Dispute(change::Dispute),
}

impl AgencyCommand {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Request(command) => command.run(output),
            Self::Enrol(command) => command.run(output),
            Self::AddKey(command) => command.run(output),
            Self::Rotate(command) => command.run(output),
            Self::Revoke(command) => command.run(output),
            Self::Recover(command) => command.run(output),
            Self::Delegate(command) => command.run(output),
            Self::Dispute(command) => command.run(output),
        }
    }
}

/// A statement about an agency that is enrolled.
fn amend(
    (desk, agency): (&Desk, &AgencyId),
    action: AgencyAction,
    signers: &[Officer],
    out: &Out,
    output: &Output,
) -> Result<(), Failure> {
    let (word, facts) = (action.as_str(), desk.agency(agency)?);
    let body = Body::Agency(Agency {
        agency: agency.clone(),
        at: desk.now(),
        log: desk.origin.clone(),
        previous: Some(facts.latest.leaf),
        action,
    });
    let file = out.out.clone().unwrap_or_else(|| format!("{agency}.{word}.txt").into());
    let carried = ceremony::begin(&desk.client, &desk.policy, &body, signers, &file)?;
    say(&carried, &format!("The statement ({word}) about {agency}"), output);
    Ok(())
}

fn say(carried: &Carried, what: &str, output: &Output) {
    output.result(carried, || carried.text(what));
}

#[derive(Args, Debug)]
pub(super) struct Request {
    #[command(flatten)]
    at: At,
    /// The agency: a domain name of yours, such as treasury.gov.example.
    agency: AgencyId,
    /// The agency's name for people.
    #[arg(long)]
    title: String,
    #[command(flatten)]
    keys: NewKeys,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    out: Out,
}

impl Request {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let title: Line =
            self.title.parse().map_err(|form| Failure::Malformed(format!("--title: a title is {form}")))?;
        let (keys, mut signers) = self.keys.load(&self.signers.source())?;
        signers.extend(self.signers.load()?);
        let desk = self.at.open()?;
        if desk.client.agency(&self.agency).map_err(ceremony::failed)?.is_some() {
            let message = format!(
                "the agency {} is enrolled already. Give it another key with: daybook agency add-key",
                self.agency
            );
            return Err(Failure::Failed(message));
        }
        let body = Body::Agency(Agency {
            agency: self.agency.clone(),
            at: desk.now(),
            log: desk.origin.clone(),
            previous: None,
            action: AgencyAction::Enrol { title, keys },
        });
        let file = self.out.out.unwrap_or_else(|| format!("{}.enrol.txt", self.agency).into());
        let carried = ceremony::begin(&desk.client, &desk.policy, &body, &signers, &file)?;
        output.result(&carried, || {
            let next = format!(
                "\nSend it to the registrar, whose officers enrol the agency with: daybook agency enrol {} {} --signer \
                 KEYFILE --policy FILE",
                self.at.url(),
                file.display()
            );
            let next = if carried.entered { String::new() } else { next };
            format!("{}{next}", carried.text(&format!("The request to enrol {}", self.agency)))
        });
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(super) struct Enrol {
    #[command(flatten)]
    at: At,
    /// The request.
    file: PathBuf,
    #[command(flatten)]
    signers: Signers,
}

impl Enrol {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let mut draft = Draft::read(&self.file).map_err(ceremony::draft_failed)?;
        let agency = match draft.body() {
            Body::Agency(Agency { agency, action: AgencyAction::Enrol { keys, .. }, .. }) => {
                keys::one_name_each(keys)?;
                agency.clone()
            }
            _ => {
                let message = format!(
                    "{}: is no request to enrol an agency; see `daybook cosign`",
                    self.file.display()
                );
                return Err(Failure::Malformed(message));
            }
        };
        // An officer sees what they sign before they are asked for the passphrase of their key.
        ceremony::show(&draft, output);
        let signers = self.signers.load()?;
        let desk = self.at.open()?;
        signers.iter().for_each(|officer| draft.sign(officer));
        let carried = ceremony::go_on(&desk.client, &desk.policy, &draft, &self.file)?;
        say(&carried, &format!("The enrolment of {agency}"), output);
        Ok(())
    }
}

//! `daybook verify-disclosure`: sealed fields that an agency has shown, its receipt and a policy; no network.

use std::path::PathBuf;

use clap::Args;
use record::json::Value;
use record::sealed::{Disclosure, DisclosureError};
use record::statement::{Problem, StatementError};
use serde::Serialize;

use super::about::About;
use super::failure::Failure;
use super::output::{Output, printable};
use super::verify::{ByReceipt, Place};

#[derive(Args, Debug)]
pub(super) struct VerifyDisclosure {
    /// The document.
    document: PathBuf,
    #[command(flatten)]
    by: ByReceipt,
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    fields: Vec<Field>,
    #[serde(flatten)]
    place: Place,
    statement: About,
}

#[derive(Serialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Value,
}

impl VerifyDisclosure {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let policy = self.by.trust.policy()?;
        let name = self.document.display();
        let bytes = std::fs::read(&self.document).map_err(Failure::file(&self.document))?;
        let disclosure = Disclosure::parse(&bytes).map_err(|error| failed(&name.to_string(), &error))?;
        let statement = disclosure.statement();
        let shown = self.by.shown(&self.document, &statement.leaf_hash(), &policy)?;
        let origin = shown.checkpoint.origin();
        if statement.body().log() != origin {
            return Err(Failure::Wrong(format!(
                "{name}: the statement is for the log {}, and the receipt of {origin}",
                statement.body().log()
            )));
        }
        let about = self.by.about(&shown, statement, &policy)?;
        let fields = disclosure.fields().iter().map(|field| Field {
            name: field.opening.name.to_string(),
            kind: field.opening.kind.as_str(),
            value: field.opening.value.clone(),
        });
        let verified =
            Verified { verified: true, fields: fields.collect(), place: shown.place, statement: about };
        output.result(&verified, || {
            let fields: String = verified
                .fields
                .iter()
                .map(|field| format!("\n  {} = {}", field.name, printable(&field.value.to_text())))
                .collect();
            format!(
                "RIGHT: {name} shows what was sealed in {}{fields}{}",
                verified.place.text(),
                verified.statement.text()
            )
        });
        Ok(())
    }
}

/// A document that cannot be read is malformed; one that can, and shows something else than was sealed, is wrong.
fn failed(shown: &str, error: &DisclosureError) -> Failure {
    let message = format!("{shown}: {error}");
    match error {
        DisclosureError::TooLong(_) | DisclosureError::Statement(_) => Failure::Malformed(message),
        DisclosureError::Document(StatementError::Field(field)) => match field.problem {
            Problem::Conflict(_) => Failure::Wrong(message),
            _ => Failure::Malformed(message),
        },
        DisclosureError::Document(_) => Failure::Malformed(message),
        _ => Failure::Wrong(message),
    }
}

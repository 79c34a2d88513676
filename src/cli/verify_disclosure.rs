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
use super::trust::Trust;
use super::verify::{Place, place, receipt_beside};
use super::who::Who;

#[derive(Args, Debug)]
pub(super) struct VerifyDisclosure {
    /// The document.
    document: PathBuf,
    /// The receipt of the statement in it; by default the document's name with .tlog-proof at its end.
    receipt: Option<PathBuf>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    fields: Vec<Shown>,
    #[serde(flatten)]
    place: Place,
    statement: About,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Value,
}

impl VerifyDisclosure {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        let policy = self.trust.policy()?;
        let shown = self.document.display();
        let bytes = std::fs::read(&self.document).map_err(Failure::file(&self.document))?;
        let disclosure = Disclosure::parse(&bytes).map_err(|error| failed(&shown.to_string(), &error))?;
        let statement = disclosure.statement();
        let path = self.receipt.clone().unwrap_or_else(|| receipt_beside(&self.document));
        let (place, checkpoint, index) = place(&path, &statement.leaf_hash(), &policy)?;
        if statement.body().log() != checkpoint.origin() {
            return Err(Failure::Wrong(format!(
                "{shown}: the statement is for the log {}, and the receipt of {}",
                statement.body().log(),
                checkpoint.origin()
            )));
        }
        let signed = self.who.signed(&policy, &checkpoint, index, statement)?;
        let fields = disclosure.fields().iter().map(|field| Shown {
            name: field.opening.name.to_string(),
            kind: field.opening.kind.as_str(),
            value: field.opening.value.clone(),
        });
        let verified = Verified {
            verified: true,
            fields: fields.collect(),
            place,
            statement: About::new(statement, signed),
        };
        output.result(&verified, || {
            let fields: String = verified
                .fields
                .iter()
                .map(|field| format!("\n  {} = {}", field.name, printable(&field.value.to_text())))
                .collect();
            format!(
                "RIGHT: {shown} shows what was sealed in {}{fields}{}",
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

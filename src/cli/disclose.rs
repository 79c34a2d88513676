//! `daybook disclose`: chosen sealed fields of a version, as a document that anybody can check.
//!
//! What opens the fields, the agency keeps beside the statement, secret. The document shows the chosen ones and hides that
//! there are others.

use std::path::{Path, PathBuf};

use clap::Args;
use daemon::clock::SystemClock;
use daemon::config::read_secret;
use record::sealed::{Disclosure, DisclosureError, SealedValues};
use record::statement::Statement;
use serde::Serialize;
use tlog::hash::{Hash, sha256};

use super::ceremony::failed;
use super::failure::Failure;
use super::output::Output;
use super::signers::Signers;
use super::trust::Trust;
use super::verify::receipt_beside;
use crate::clerk::files;
use crate::clerk::values::{SEALED_ENDING, sealed_path};
use crate::client::Client;
use crate::client::read::now;
use crate::records::upload::Upload;

#[derive(Args, Debug)]
pub(super) struct Disclose {
    /// The statement, as it is in the log.
    statement: PathBuf,
    /// A field to show; may be given several times.
    #[arg(long = "field", value_name = "NAME", required = true)]
    fields: Vec<String>,
    /// What opens the sealed fields; by default the statement's name with .sealed at its end, or what `submit` has left
    /// beside it.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
    /// The file for the document. The statement's receipt goes beside it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also show the document to everybody, at the log of this URL. Needs --signer and --policy.
    #[arg(long, value_name = "URL")]
    publish: Option<String>,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Serialize)]
struct Disclosed {
    document: PathBuf,
    receipt: Option<PathBuf>,
    leaf_hash: String,
    fields: Vec<String>,
    /// Where the log shows it.
    published: Option<String>,
}

impl Disclose {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        if self.out.exists() {
            let out = self.out.display();
            return Err(Failure::Malformed(format!("{out} exists; nothing is written over it")));
        }
        let statement = read_statement(&self.statement)?;
        let path = self.values.clone().unwrap_or_else(|| values_beside(&self.statement, &statement));
        let values = read_secret(&path).map_err(Failure::failed)?;
        let values = std::str::from_utf8(&values).ok().map(SealedValues::parse);
        let malformed = |why: String| Failure::Malformed(format!("{}: {why}", path.display()));
        let values = values.ok_or_else(|| malformed("not UTF-8".to_owned()))?;
        let values = values.map_err(|error| malformed(error.to_string()))?;
        let names: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let leaf = statement.leaf_hash();
        let agency = statement.body().agency().clone();
        let disclosure = Disclosure::new(statement, &values, &names).map_err(|error| match error {
            DisclosureError::NoField(_) => {
                let all: Vec<&str> = values.openings().iter().map(|opening| opening.name.as_str()).collect();
                Failure::Malformed(format!("{error}; it has {}", all.join(", ")))
            }
            error => Failure::malformed(error),
        })?;
        let document = disclosure.to_bytes();
        let published = match &self.publish {
            Some(url) => Some(self.publish(url, &leaf, agency, &document)?),
            None => None,
        };
        files::replace(&self.out, &document).map_err(Failure::failed)?;
        let disclosed = Disclosed {
            receipt: copy_receipt(&self.statement, &self.out)?,
            document: self.out,
            leaf_hash: leaf.to_string(),
            fields: self.fields,
            published,
        };
        output.result(&disclosed, || disclosed.text());
        Ok(())
    }

    fn publish(
        &self,
        url: &str,
        leaf: &Hash,
        agency: record::ids::AgencyId,
        document: &[u8],
    ) -> Result<String, Failure> {
        let policy = self.trust.policy()?;
        let officers = self.signers.load_some()?;
        let client = Client::new(url).map_err(failed)?;
        let path = format!("/records/{leaf}/disclosures");
        let upload = Upload {
            log: client.origin(Some(&policy)).map_err(failed)?.to_string(),
            agency,
            path: path.clone(),
            sha256: sha256(document),
            bytes: document.len() as u64,
            at: now(&SystemClock),
        };
        let text = upload.to_text();
        let header = upload.to_header(officers.iter().map(|officer| officer.sign(&text)).collect());
        client.put(&path, &header, &[], &document.to_vec().into()).map_err(failed)?;
        Ok(format!("{}{path}", client.url()))
    }
}

/// What opens the sealed fields: the file of that name, or what `submit` has left, which says which version it is of.
fn values_beside(path: &Path, statement: &Statement) -> PathBuf {
    let named = files::with_ending(path, SEALED_ENDING);
    let left = sealed_path(&path.with_extension(""), &statement.identity());
    if !named.exists() && left.exists() { left } else { named }
}

impl Disclosed {
    fn text(&self) -> String {
        let (document, fields) = (self.document.display(), self.fields.join(", "));
        let receipt = match &self.receipt {
            Some(receipt) => {
                format!("The statement's receipt is in {}: give both away together.", receipt.display())
            }
            None => "The statement's receipt does not lie beside it; whoever checks the document needs it."
                .to_owned(),
        };
        let published =
            self.published.as_ref().map_or_else(String::new, |url| format!("\nThe log shows it at {url}."));
        format!(
            "{document} shows {fields}, and nothing else.\n{receipt}{published}\nIt is checked, without any network, with: \
             daybook verify-disclosure {document} --policy FILE"
        )
    }
}

fn read_statement(path: &Path) -> Result<Statement, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::file(path))?;
    Statement::parse(&bytes).map_err(|error| Failure::Malformed(format!("{}: {error}", path.display())))
}

/// The statement's receipt, copied to where `verify-disclosure` looks for it.
fn copy_receipt(statement: &Path, document: &Path) -> Result<Option<PathBuf>, Failure> {
    let receipt = receipt_beside(statement);
    if !receipt.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(&receipt).map_err(Failure::file(&receipt))?;
    let copy = receipt_beside(document);
    files::replace(&copy, &bytes).map_err(Failure::failed)?;
    Ok(Some(copy))
}

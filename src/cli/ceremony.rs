//! A statement that several officers sign: signed with the keys at hand, sent once it is complete, kept in a file until
//! then. The tool says who has signed and who still has to.

use std::path::{Path, PathBuf};

use clap::Args;
use record::statement::Body;
use serde::Serialize;
use tlog::policy::Policy;

use super::failure::Failure;
use super::output::{Output, printable};
use crate::clerk::files::{self, with_ending};
use crate::client::draft::{Draft, DraftError};
use crate::client::standing::Standing;
use crate::client::{Client, ClientError, Posted, Refusal, receipt};
use crate::officer::Officer;

/// The end of a receipt's name.
pub(super) const RECEIPT_ENDING: &str = ".tlog-proof";

/// Where the statement goes.
#[derive(Args, Clone, Debug)]
pub(super) struct Out {
    /// The file for the statement. While signatures are missing it is a draft for the next officer to `cosign`; once it is
    /// in the log the receipt lies beside it.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// What became of a statement.
#[derive(Serialize)]
pub(super) struct Carried {
    /// The file with the statement.
    pub(super) file: PathBuf,
    /// Whether it is in the log.
    pub(super) entered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leaf_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<PathBuf>,
    /// Who has signed.
    pub(super) signed: Vec<String>,
    /// What is missing.
    pub(super) missing: Vec<String>,
}

impl Carried {
    /// A draft that waits.
    pub(super) fn waiting(file: &Path, standing: &Standing) -> Self {
        Self {
            file: file.to_owned(),
            entered: false,
            index: None,
            leaf_hash: None,
            duplicate: None,
            receipt: None,
            signed: standing.signed.clone(),
            missing: standing.missing(),
        }
    }

    /// For people.
    pub(super) fn text(&self, what: &str) -> String {
        let file = self.file.display();
        if let (Some(index), Some(receipt)) = (self.index, &self.receipt) {
            let again = if self.duplicate == Some(true) { ", as it was before" } else { "" };
            return format!(
                "{what} is entry {index} of the log{again}.\nThe statement is in {file}, its receipt in {}.",
                receipt.display()
            );
        }
        let signed = if self.signed.is_empty() { "nobody".to_owned() } else { self.signed.join(", ") };
        let next = match self.missing.is_empty() {
            true => format!("Nothing is missing. Send it with: daybook submit URL {file} --policy FILE"),
            false => format!(
                "Still to sign: {}.\nHand the file on; each signs with: daybook cosign {file} --signer KEYFILE",
                self.missing.join("; ")
            ),
        };
        format!("{what} waits in {file}.\nSigned by {signed}.\n{next}")
    }
}

/// Shows a statement to the officer who is about to sign it: line by line, and no letter in it acts on the terminal, or turns
/// others around, so that they would read another text than they sign.
pub(super) fn show(draft: &Draft, output: &Output) {
    let lines: Vec<String> = draft.text().trim_end().lines().map(printable).collect();
    output.say(&lines.join("\n"));
}

/// Signs a new statement, and sends it if nobody else has to sign.
pub(super) fn begin(
    client: &Client,
    policy: &Policy,
    body: &Body,
    signers: &[Officer],
    out: &Path,
) -> Result<Carried, Failure> {
    if out.exists() {
        let message = format!(
            "{}: the file exists. If it is this statement, go on with `daybook cosign` while it waits for signatures, and \
             with `daybook submit` once it has them; else name another with --out",
            out.display()
        );
        return Err(Failure::Malformed(message));
    }
    let mut draft = Draft::new(body).map_err(Failure::malformed)?;
    signers.iter().for_each(|officer| draft.sign(officer));
    go_on(client, policy, &draft, out)
}

/// Writes a draft, and sends it if it is complete.
pub(super) fn go_on(client: &Client, policy: &Policy, draft: &Draft, out: &Path) -> Result<Carried, Failure> {
    draft.write(out).map_err(draft_failed)?;
    let standing = client.standing(draft).map_err(failed)?;
    if !standing.is_complete() {
        return Ok(Carried::waiting(out, &standing));
    }
    send(client, policy, draft, out, standing.signed)
}

/// Sends a complete draft, and keeps its receipt beside it.
fn send(
    client: &Client,
    policy: &Policy,
    draft: &Draft,
    file: &Path,
    signed: Vec<String>,
) -> Result<Carried, Failure> {
    let sent = try_to_send(client, policy, draft, file, signed)?;
    sent.map_err(|refusal| refused(&file.display().to_string(), &refusal))
}

/// As [`send`], where more than words is to be made of a refusal.
pub(super) fn try_to_send(
    client: &Client,
    policy: &Policy,
    draft: &Draft,
    file: &Path,
    signed: Vec<String>,
) -> Result<Result<Carried, Refusal>, Failure> {
    let bytes = draft.to_bytes();
    match client.post(&bytes).map_err(failed)? {
        Posted::Placed(placed) => {
            let proof = placed.receipt.as_ref().ok_or_else(|| Failure::failed("the log sent no receipt"))?;
            receipt::verify(proof, &placed.leaf, policy).map_err(failed)?;
            // The file is the leaf from now on, whatever order its signatures had.
            draft.write(file).map_err(draft_failed)?;
            let path = with_ending(file, RECEIPT_ENDING);
            files::replace(&path, &proof.to_bytes()).map_err(Failure::failed)?;
            Ok(Ok(Carried {
                file: file.to_owned(),
                entered: true,
                index: Some(placed.index.get()),
                leaf_hash: Some(placed.leaf.to_string()),
                duplicate: Some(placed.duplicate),
                receipt: Some(path),
                signed,
                missing: Vec::new(),
            }))
        }
        Posted::Refused(refusal) => Ok(Err(refusal)),
    }
}

/// What a refusal means for a person.
pub(super) fn refused(what: &str, refusal: &Refusal) -> Failure {
    let field = refusal.field.as_ref().map(|field| format!(" (at {})", printable(field))).unwrap_or_default();
    let advice = match (refusal.kind.as_str(), refusal.reason.as_deref()) {
        ("stale", _) => {
            let latest = refusal.latest.as_ref().map(|latest| format!(", entry {}", latest.index));
            format!(
                " Something else was entered under this name meanwhile{}: look at it, then write the statement anew",
                latest.unwrap_or_default()
            )
        }
        ("attachment-missing" | "attachment-differs", _) => {
            " Run the same command again: the file is uploaded again".to_owned()
        }
        ("other-signatures", _) => {
            " The same text is in the log, signed by others: nothing is to be done".to_owned()
        }
        (_, Some("key_revoked" | "key_retired")) => {
            " Sign with a key that is live: see the agency's keys under /agencies/ at the log".to_owned()
        }
        (_, Some("unknown_key")) => {
            " The agency has to bring the key in first: daybook agency request, or agency add-key".to_owned()
        }
        (_, Some("quorum" | "possession")) => {
            " See who has to sign: daybook cosign FILE --log URL".to_owned()
        }
        _ => String::new(),
    };
    Failure::Failed(format!("{what}: {}{field}{advice}", printable(&refusal.to_string())))
}

pub(super) fn failed(error: ClientError) -> Failure {
    // Some of it is the log's own words.
    let text = printable(&error.to_string());
    match error {
        ClientError::Receipt(_) => Failure::Wrong(text),
        ClientError::OtherLog { .. } => Failure::Malformed(text),
        ClientError::Problem(refusal) if refusal.kind == "outcome-unknown" => {
            Failure::Failed(format!("{text} Run the same command again: nothing is entered twice"))
        }
        _ => Failure::Failed(text),
    }
}

pub(super) fn draft_failed(error: DraftError) -> Failure {
    match error {
        DraftError::Form(..) => Failure::malformed(error),
        DraftError::File(_) => Failure::failed(error),
    }
}

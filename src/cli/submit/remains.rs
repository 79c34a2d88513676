//! What becomes of the secret values of statements that were not entered.
//!
//! They are clear text on a clerk's machine, and go when it is certain that the log will never hold their statement: then they
//! open nothing. It is certain
//!
//! - when another statement that follows the same entry is proved to be in the signed tree: of those the log takes one;
//! - when the statement was signed by this very run, and the log has refused it for what it says.
//!
//! Otherwise they stay, and are named: a statement that an earlier run has sent without hearing the answer may be in the log, and
//! nobody could ever show what it commits to without them.

use std::path::{Path, PathBuf};

use record::registry::Chain;
use record::statement::{Body, Statement};

use super::super::ceremony::failed;
use super::super::desk::Desk;
use super::super::failure::Failure;
use crate::clerk::journal::Journal;
use crate::clerk::values;
use crate::client::Refusal;
use crate::http::records::route::encode;

/// Why values of a statement that is not entered are still there.
pub(super) const KEPT: &str =
    "its secret values are kept, because it is not certain that the log will never hold it";

/// Removes the values of all other statements that follow the same entry as this one, which is in the log, with a receipt.
pub(super) fn forget_rivals(journal: &Journal, stem: &Path, entered: &Statement) -> Result<(), Failure> {
    let rivals = journal.rivals(entered);
    rivals.iter().try_for_each(|rival| values::forget(stem, rival)).map_err(Failure::failed)
}

/// Removes the values of a statement that was refused, if that is its end. Those that stay.
pub(super) fn after_refusal(
    desk: &Desk,
    stem: &Path,
    statement: &Statement,
    is_its_end: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let identity = statement.identity();
    if values::kept(stem, &identity).is_empty() {
        return Ok(Vec::new());
    }
    // What cannot be asked now is not certain: the values stay, and the outcome of the submission is as it was.
    if is_its_end || matches!(has_successor(desk, statement), Ok(true)) {
        values::forget(stem, &identity).map_err(Failure::failed)?;
    }
    Ok(values::kept(stem, &identity))
}

/// Whether a refusal is about what the statement says or who signed it, and not about the time, or what else is in the log.
pub(super) fn is_about_the_statement(refusal: &Refusal) -> bool {
    matches!(refusal.status, 403 | 413 | 422)
}

/// Whether the entry that a statement follows is followed by another, proved to be in the signed tree.
fn has_successor(desk: &Desk, statement: &Statement) -> Result<bool, Failure> {
    let Body::Record(record) = statement.body() else { return Ok(false) };
    let (agency, register, key) = (&record.agency, &record.register, encode(record.key.as_str()));
    let history = desk.client.items(&format!("registers/{agency}/{register}/records/{key}/history"));
    let history = history.map_err(failed)?.unwrap_or_default();
    let Some(next) = history.into_iter().find(|item| follows_the_same(&item.body, statement.body())) else {
        return Ok(false);
    };
    let Some(entered) = desk.client.entry(next.entry.index).map_err(failed)? else { return Ok(false) };
    entered.verify(&desk.policy).map_err(failed)?;
    // The list was the log's word; this is what it has signed. The same text under other signatures is the statement itself.
    let proved = Statement::parse(&entered.bytes).map_err(Failure::wrong)?;
    Ok(follows_the_same(proved.body(), statement.body()) && proved.identity() != statement.identity())
}

fn follows_the_same(one: &Body, other: &Body) -> bool {
    Chain::of(one) == Chain::of(other) && one.log() == other.log() && one.previous() == other.previous()
}

//! One look at every log, for programs that look once and say what they saw.
//!
//! A look ends when its backlog is verified and judged, which may be hours after the log was heard, and after another log
//! was. What is said at the end is about the end: whoever was heard too long ago by then is looked at again, which is
//! short, since only what came in between is left.

use std::sync::Arc;

use crate::case::{Case, CaseError};
use crate::verdict::SILENCE_MILLIS_MIN;

/// So often at most; a log that grows faster than it can be judged is behind, and is said to be.
const LOOKS_MAX: usize = 4;
/// A log that was heard so long ago is looked at again.
const AGED_MILLIS: u64 = SILENCE_MILLIS_MIN / 2;

/// Looks at every log side by side, and again at those that were heard too long ago when all looks have ended.
///
/// # Errors
/// The first that a look has; the others are made to their end.
///
/// # Panics
/// If a look does.
pub fn at_all(
    cases: &[Arc<Case>],
    look: &(impl Fn(&Arc<Case>) -> Result<(), CaseError> + Sync),
) -> Result<(), CaseError> {
    let mut due: Vec<&Arc<Case>> = cases.iter().collect();
    for _ in 0..LOOKS_MAX {
        let results: Vec<Result<(), CaseError>> = std::thread::scope(|scope| {
            let looking: Vec<_> = due.iter().map(|case| scope.spawn(move || look(case))).collect();
            looking.into_iter().map(|one| one.join().expect("a panic has ended the process")).collect()
        });
        results.into_iter().collect::<Result<(), CaseError>>()?;
        due = cases.iter().filter(|case| is_aged(case)).collect();
        if due.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Whether the log answered, and a while ago. One that did not answer has had its look.
fn is_aged(case: &Case) -> bool {
    let facts = case.facts();
    let heard = facts.heard_at.filter(|_| facts.silence.is_none());
    heard.is_some_and(|heard| case.now().saturating_sub(heard) > AGED_MILLIS)
}

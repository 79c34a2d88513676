//! Into an open log of its own: the leaves whose root the government published, byte for byte.

use record::rsf::Register;

use crate::cli::add::failed;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::trust::{Trust, checkpoint};
use crate::prove::Prover;
use crate::source::Source;
use crate::submit::Submitter;

/// Entries sent in one request.
const BATCH: usize = 500;

/// Appends what is missing and compares the log's signed roots with the published ones.
pub(super) fn append(register: &Register, url: &str, trust: &Trust, output: &Output) -> Result<u64, Failure> {
    let policy = trust.policy()?;
    let source = Source::open(url)?;
    let before = checkpoint(&source, &policy)?.head();
    if before.size > register.head.size {
        return Err(Failure::Failed(format!(
            "the log has {} entries and the register {}: a register needs a log of its own",
            before.size, register.head.size
        )));
    }
    let submitter = Submitter::new(url).map_err(Failure::failed)?;
    let bar = output.bar(register.leaves.len() as u64, "adding entries");
    let mut expected = 0;
    for batch in register.leaves.chunks(BATCH) {
        for index in submitter.add_batch(batch).map_err(failed)? {
            if index.get() != expected {
                return Err(Failure::Failed(format!(
                    "the log put entry {expected} of the register at {index}: it already holds something else, and a \
                     register needs a log of its own"
                )));
            }
            expected += 1;
        }
        bar.set_position(expected);
    }
    bar.finish_and_clear();
    let head = checkpoint(&source, &policy)?.head();
    let prover = Prover::new(source);
    for assertion in register.assertions.iter().map(|assertion| assertion.head).chain([register.head]) {
        let (found, ..) = prover.consistency(assertion.size, head.size, head)?;
        if found.root != assertion.root {
            return Err(Failure::Wrong(format!(
                "after {} entries the log's root is {} and the register's {}",
                assertion.size, found.root, assertion.root
            )));
        }
    }
    Ok(head.size.get())
}

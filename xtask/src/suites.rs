//! The slow suites: the same tests that CI runs a slice of, at length.

use std::process::Command;

use anyhow::Result;

use crate::ci::BUILT;
use crate::run::{Counts, cargo, test};

/// Kills the log under load.
pub(crate) fn kill(rounds: u32) -> Result<()> {
    let mut tests =
        cargo(&["test", "--release", "--package", "tests", "--test", "kill", "--", "--nocapture"]);
    test(tests.env("DAYBOOK_KILLS", rounds.to_string()), &mut Counts::default())
}

/// Cuts the power under the log.
pub(crate) fn power_loss(rounds: u32) -> Result<()> {
    test(&mut cuts(&["test", "--release", "--package", "tests"], rounds), &mut Counts::default())
}

/// A few cuts, with what the tests have built already.
pub(crate) fn power_loss_slice(rounds: u32, counts: &mut Counts) -> Result<()> {
    let before = *counts;
    let result = test(cuts(&["test", "--workspace"], rounds).env(BUILT, "1"), counts);
    // They are ignored where nobody asks for them, and were counted as skipped then.
    let run = counts.passed + counts.failed - before.passed - before.failed;
    counts.skipped = before.skipped.saturating_sub(run);
    result
}

fn cuts(how: &[&str], rounds: u32) -> Command {
    let mut tests = cargo(how);
    tests.args(["--locked", "--test", "power_loss", "--", "--ignored", "--nocapture"]);
    tests.env("DAYBOOK_CUTS", rounds.to_string());
    tests
}

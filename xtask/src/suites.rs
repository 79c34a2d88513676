//! The slow suites: the same tests that CI runs a slice of, at length.

use anyhow::Result;

use crate::run::{Counts, cargo, test};

/// Kills the log under load.
pub(crate) fn kill(rounds: u32) -> Result<()> {
    let mut tests =
        cargo(&["test", "--release", "--package", "tests", "--test", "kill", "--", "--nocapture"]);
    test(tests.env("DAYBOOK_KILLS", rounds.to_string()), &mut Counts::default())
}

/// Cuts the power under the log.
pub(crate) fn power_loss(rounds: u32) -> Result<()> {
    let mut tests = cargo(&[
        "test",
        "--release",
        "--package",
        "tests",
        "--test",
        "power_loss",
        "--",
        "--ignored",
        "--nocapture",
    ]);
    test(tests.env("DAYBOOK_CUTS", rounds.to_string()), &mut Counts::default())
}

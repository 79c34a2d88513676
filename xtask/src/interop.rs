//! `cargo xtask interop`: a running log, read by clients that others wrote.
//!
//! The Go module `golang.org/x/mod` has an implementation of tiles, proofs and notes of its own (`sumdb/tlog`,
//! `sumdb/note`). A small program around it, in `tests/interop/go`, opens the checkpoint with the log's key,
//! fetches tiles, checks inclusion of every entry and consistency between sizes, and copies the log.

use anyhow::{Result, bail};

use crate::run::{cargo, command, has, output, root, run};

pub(crate) fn interop() -> Result<()> {
    if !has_go() {
        bail!("the Go toolchain is not installed: install Go 1.23 or newer, then run this again");
    }
    run(&mut cargo(&["build", "--locked", "--package", "daybook"]))?;
    let place = root().join("target/interop");
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    std::fs::create_dir_all(&place)?;
    let client = place.join("client");
    let mut build = command("go", &["build", "-o", &client.to_string_lossy(), "."]);
    run(build.current_dir(root().join("tests/interop/go")))?;
    let mut tests = cargo(&[
        "test",
        "--locked",
        "--package",
        "tests",
        "--test",
        "interop",
        "--",
        "--ignored",
        "--nocapture",
    ]);
    run(tests.env("DAYBOOK_INTEROP_CLIENT", &client))
}

fn has_go() -> bool {
    has("go") || output(&mut command("go", &["version"])).is_ok()
}

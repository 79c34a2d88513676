//! `cargo xtask interop`: a running log, read by clients that others wrote.
//!
//! The Go module `golang.org/x/mod` has an implementation of tiles, proofs and notes of its own (`sumdb/tlog`,
//! `sumdb/note`). A small program around it, in `tests/interop/go`, opens the checkpoint with the log's key,
//! fetches tiles, checks inclusion of every entry and consistency between sizes, and copies the log.
//!
//! Two foreign witnesses, `witness-log-cli` and `aics-witness`, are installed into `target/interop-tools` and asked the same
//! things as ours; their clients are fed to ours. A log that Tessera's example for POSIX file systems writes is followed by our
//! monitor. docs/interop.md is the record.

use anyhow::{Result, bail};

use crate::run::{cargo, command, has, output, root, run};

const WITNESS_LOG: &str = "0.6.1";
const AICS_WITNESS: &str = "aics-witness==0.1.0";
const AICS_TLOG: &str = "aics-tlog==0.2.1";
const TESSERA: &str = "github.com/transparency-dev/tessera/cmd/examples/posix-oneshot@v1.0.4";

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
    run(tests.env("DAYBOOK_INTEROP_CLIENT", &client))?;
    logs()?;
    witnesses()
}

/// `go install`, once, and our monitor over what the program writes.
fn logs() -> Result<()> {
    let tools = root().join("target/interop-tools");
    let place = tools.join("bin");
    if !place.join("posix-oneshot").exists() {
        run(command("go", &["install", TESSERA]).env("GOBIN", &place))?;
    }
    run(&mut cargo(&["build", "--locked", "--package", "monitor"]))?;
    let test = ["test", "--locked", "--package", "tests", "--test", "interop_logs"];
    let mut tests = cargo(&[&test[..], &["--", "--ignored", "--nocapture"]].concat());
    run(tests.env("DAYBOOK_INTEROP_TOOLS", &tools))
}

/// `cargo install` and `pip install --target`, once, and the tests over what they give.
fn witnesses() -> Result<()> {
    let tools = root().join("target/interop-tools");
    let folder = tools.to_string_lossy().into_owned();
    if !tools.join("bin/witness-log").exists() {
        run(&mut cargo(&[
            "install",
            "witness-log-cli",
            "--version",
            WITNESS_LOG,
            "--locked",
            "--root",
            &folder,
        ]))?;
    }
    let python = tools.join("python");
    if !python.join("aics_witness").exists() {
        let target = python.to_string_lossy().into_owned();
        let pip = ["-m", "pip", "install", "--quiet", "--target", &target];
        // They ask for Python 3.12 and run on 3.11 as well; what they need is installed for the Python that is there.
        let theirs = ["--ignore-requires-python", "--no-deps", AICS_WITNESS, AICS_TLOG];
        run(&mut command("python3", &[&pip[..], &["cryptography>=50.0.2"]].concat()))?;
        run(&mut command("python3", &[&pip[..], &theirs].concat()))?;
    }
    run(&mut cargo(&["build", "--locked", "--package", "witness"]))?;
    let test = ["test", "--locked", "--package", "tests", "--test", "interop_witness"];
    let mut tests = cargo(&[&test[..], &["--", "--ignored", "--nocapture", "--test-threads", "1"]].concat());
    run(tests.env("DAYBOOK_INTEROP_TOOLS", &tools))
}

fn has_go() -> bool {
    has("go") || output(&mut command("go", &["version"])).is_ok()
}

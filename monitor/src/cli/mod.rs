//! The command line: arguments, output for people or as JSON, exit codes.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | done, and what was checked is right; `once`, `status`: every log is verified |
//! | 1 | what was checked is wrong; a log is misbehaving |
//! | 2 | the command, or a file given to it, is malformed |
//! | 3 | it could not be done: network, disk; a log is unreachable |
//! | 4 to 7 | `once`, `status`: a log is behind, stale, lacks its quorum, is damaged; see [`crate::verdict`] |
//! | 101 | a bug in Daybook |
//!
//! Absent on purpose: what the commands do, beyond putting it together.

mod compare;
mod export;
mod fsck;
mod init;
mod once;
mod output;
mod run;
mod search;
mod status;
mod verify;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use daemon::clock::SystemClock;
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::run::{Monitor, MonitorError};
use output::{Failure, Output};

/// Watches transparency logs: verifies everything, believes nothing, and proves it when a log lies.
#[derive(Debug, Parser)]
#[command(name = "daybook-monitor", version, propagate_version = true)]
struct Args {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a monitor's directory, with its configuration.
    Init(init::Init),
    /// Watch, until told to stop.
    Run(run::Run),
    /// Look once, verify all there is, and say what came of it.
    Once(once::Once),
    /// Ask the monitor that is running what it knows.
    Status(status::Status),
    /// Check an evidence file, offline.
    VerifyEvidence(verify::VerifyEvidence),
    /// Check what this monitor has kept: hashes, heads, evidence.
    Fsck(fsck::Fsck),
    /// Search what is verified.
    Search(search::Search),
    /// Saved searches that tell when something new is found.
    Watch(watch::Watch),
    /// Export what is verified, as a table or as a database.
    Export(export::Export),
    /// Compare our heads with those of other monitors and witnesses.
    Compare(compare::Compare),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    daemon::logging::end_on_panic();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows which.
            let code = if error.use_stderr() { output::EXIT_MALFORMED } else { 0 };
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return exit(code);
        }
    };
    let output = Output { json: args.json };
    match run(args.command, &output) {
        Ok(code) => exit(code),
        Err(failure) => {
            output.failure(&failure);
            exit(failure.exit_code())
        }
    }
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn run(command: Command, output: &Output) -> Result<i32, Failure> {
    match command {
        Command::Init(command) => command.run(output).map(|()| 0),
        Command::Run(command) => command.run(output).map(|()| 0),
        Command::Once(command) => command.run(output),
        Command::Status(command) => command.run(output),
        Command::VerifyEvidence(command) => command.run(output),
        Command::Fsck(command) => command.run(output),
        Command::Search(command) => command.run(output).map(|()| 0),
        Command::Watch(command) => command.run(output).map(|()| 0),
        Command::Export(command) => command.run(output).map(|()| 0),
        Command::Compare(command) => command.run(output),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| Failure::Failed(format!("the runtime cannot be made: {error}")))
}

/// Opens the monitor in a directory.
fn open(dir: &Path, runtime: &Runtime) -> Result<Monitor, Failure> {
    let (config, logs) = Config::load(dir).map_err(|error| Failure::Malformed(error.to_string()))?;
    let clock = Arc::new(SystemClock);
    Monitor::open(dir, config, logs, clock, runtime.handle().clone()).map_err(|error| failed(&error))
}

fn failed(error: &MonitorError) -> Failure {
    match error {
        MonitorError::Config(_) | MonitorError::TlsHalf => Failure::Malformed(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}

//! The command line: arguments, output for people or as JSON, exit codes.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | done, and what was checked is right |
//! | 1 | what was checked is wrong |
//! | 2 | the command, or a file given to it, is malformed |
//! | 3 | it could not be done: network, disk, refusal |
//! | 101 | a bug in Daybook |
//!
//! Absent on purpose: what the commands do, beyond putting it together.

mod adopt;
mod evidence;
mod init;
mod key;
mod list;
mod log;
mod output;
mod serve;
mod status;
mod verify_evidence;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::{EXIT_MALFORMED, Failure, Output};

/// A witness of transparency logs: cosigns what is consistent with everything it cosigned before.
#[derive(Debug, Parser)]
#[command(name = "daybook-witness", version, propagate_version = true)]
struct Args {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new witness: keys, state, settings.
    Init(init::Init),
    /// Serve one or several witnesses.
    Serve(serve::Serve),
    /// The logs that a witness follows.
    #[command(subcommand)]
    Log(log::Log),
    /// Lists of logs.
    #[command(subcommand)]
    List(list::List),
    /// The contradictions that a witness has found.
    Evidence(evidence::Evidence),
    /// Check an evidence file, offline.
    VerifyEvidence(verify_evidence::VerifyEvidence),
    /// What a witness has cosigned.
    Status(status::Status),
    /// The keys of a witness.
    #[command(subcommand)]
    Key(key::Key),
    /// Declare a copied state to be the newest there is.
    Adopt(adopt::Adopt),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows which.
            let code = if error.use_stderr() { EXIT_MALFORMED } else { 0 };
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            return exit(code);
        }
    };
    let output = Output { json: args.json };
    match run(args.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            exit(failure.exit_code())
        }
    }
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Init(command) => command.run(output),
        Command::Serve(command) => command.run(output),
        Command::Log(command) => command.run(output),
        Command::List(command) => command.run(output),
        Command::Evidence(command) => command.run(output),
        Command::VerifyEvidence(command) => command.run(output),
        Command::Status(command) => command.run(output),
        Command::Key(command) => command.run(output),
        Command::Adopt(command) => command.run(output),
    }
}

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

mod about;
mod add;
mod agency;
mod anchor;
mod bench;
mod ceremony;
mod demo;
mod desk;
mod diff;
mod disclose;
mod erase;
mod export;
mod failure;
mod fsck;
mod get;
mod history;
mod import;
mod init;
mod keygen;
mod output;
mod own_copies;
mod prove;
mod register;
mod serve;
mod sign;
mod signers;
mod submit;
mod trust;
mod verify;
mod verify_disclosure;
mod verify_evidence;
mod who;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::EXIT_FAILED;
use failure::Failure;
use output::Output;

/// A transparency log for government records: nobody can quietly change what was entered, and anyone can check.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, propagate_version = true)]
struct Args {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole system at work on sample records.
    Demo(demo::Demo),
    /// Make a new log.
    Init(init::Init),
    /// Serve a log.
    Serve(serve::Serve),
    /// Add files, or the lines of a file, to a log.
    Add(add::Add),
    /// Fetch an entry and check that it is in the log.
    Get(get::Get),
    /// Make a proof from a log's tiles.
    #[command(subcommand)]
    Prove(prove::Prove),
    /// Check a file and its receipt, offline.
    Verify(verify::Verify),
    /// Show and check all versions of a record.
    History(history::History),
    /// Show what changed between two versions of a record.
    Diff(diff::Diff),
    /// Show chosen sealed fields of a statement, in a document that anybody can check.
    Disclose(disclose::Disclose),
    /// Check disclosed fields, offline.
    VerifyDisclosure(verify_disclosure::VerifyDisclosure),
    /// Destroy values of a record, and say so in a tombstone.
    Erase(erase::Erase),
    /// Check evidence that a log or a witness lied, offline.
    VerifyEvidence(verify_evidence::VerifyEvidence),
    /// Check every byte of a log.
    Fsck(fsck::Fsck),
    /// Add what others have published to a log.
    #[command(subcommand)]
    Import(import::Import),
    /// Copy a log, or a register of it, checking every byte.
    Export(export::Export),
    /// Measure a log under load.
    Bench(bench::Bench),
    /// Make a signing key.
    Keygen(keygen::Keygen),
    /// Enrol an agency, and change its keys.
    #[command(subcommand)]
    Agency(agency::AgencyCommand),
    /// Open a register, or define it anew.
    #[command(subcommand)]
    Register(register::RegisterCommand),
    /// Submit records, or a statement that has its signatures, and keep the receipts.
    Submit(submit::Submit),
    /// Write a record that several officers sign, and sign it first.
    Sign(sign::Sign),
    /// Sign a statement that waits for signatures.
    Cosign(sign::Cosign),
    /// Make the anchor of an existing log anew.
    Anchor(anchor::MakeAnchor),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows which.
            let code = if error.use_stderr() { failure::EXIT_MALFORMED } else { 0 };
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
        Command::Demo(command) => command.run(output),
        Command::Init(command) => command.run(output),
        Command::Serve(command) => command.run(output),
        Command::Add(command) => command.run(output),
        Command::Get(command) => command.run(output),
        Command::Prove(command) => command.run(output),
        Command::Verify(command) => command.run(output),
        Command::History(command) => command.run(output),
        Command::Diff(command) => command.run(output),
        Command::Disclose(command) => command.run(output),
        Command::VerifyDisclosure(command) => command.run(output),
        Command::Erase(command) => command.run(output),
        Command::VerifyEvidence(command) => command.run(output),
        Command::Fsck(command) => command.run(output),
        Command::Import(command) => command.run(output),
        Command::Export(command) => command.run(output),
        Command::Bench(command) => command.run(output),
        Command::Keygen(command) => command.run(output),
        Command::Agency(command) => command.run(output),
        Command::Register(command) => command.run(output),
        Command::Submit(command) => command.run(output),
        Command::Sign(command) => command.run(output),
        Command::Cosign(command) => command.run(output),
        Command::Anchor(command) => command.run(output),
    }
}

//! Project automation: `cargo xtask --help` lists what there is.

mod bench;
mod bench_monitor;
mod bench_records;
mod bench_search;
mod bench_witness;
mod browser;
mod ci;
mod fuzz;
mod interop;
mod run;
mod suites;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Project automation.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that must hold: format, lints, tests, docs, licences, and a slice of each slow suite.
    Ci,
    /// Kills the log again and again under load, and checks every receipt it gave.
    Kill {
        /// Kills.
        #[arg(long, default_value_t = 500)]
        rounds: u32,
    },
    /// Cuts the power of a file system on a loop device under a running log. Needs root.
    PowerLoss {
        /// Cuts.
        #[arg(long, default_value_t = 50)]
        rounds: u32,
    },
    /// Fuzzes the parsers; each must give back the bytes that it took.
    Fuzz {
        /// One target; by default all of them.
        target: Option<String>,
        /// Seconds a target.
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Reads, checks and copies a running log with clients that others wrote.
    Interop,
    /// Walks through the monitor's pages with a real browser.
    Browser,
    /// Measures everything in docs/benchmarks.md and prints its table.
    Bench {
        /// Entries in the large log.
        #[arg(long, default_value_t = 10_000_000)]
        large: u64,
        /// Seconds a measurement.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
        /// Only what a quorum of witnesses adds to a receipt.
        #[arg(long)]
        quorum: bool,
    },
    /// Measures how fast a monitor verifies a large log, in how much memory, and how soon it alerts.
    BenchMonitor(bench_monitor::BenchMonitor),
    /// Measures how fast a monitor indexes records, and how long a search takes.
    BenchSearch {
        /// Records.
        #[arg(long, default_value_t = 5_000_000)]
        records: u64,
        /// Queries of each sort.
        #[arg(long, default_value_t = 40)]
        rounds: u32,
        /// With an executable that is not optimised, to try the benchmark itself.
        #[arg(long)]
        debug: bool,
    },
    /// Measures records: writing, reading a long history, replaying. Prints its table.
    BenchRecords {
        /// Entries in the large log.
        #[arg(long, default_value_t = 5_000_000)]
        large: u64,
        /// Versions of one key in it.
        #[arg(long, default_value_t = 10_000)]
        versions: u64,
        /// Statements of each measurement of writing.
        #[arg(long, default_value_t = 200_000)]
        statements: u64,
        /// Statements that are replayed.
        #[arg(long, default_value_t = 1_000_000)]
        replayed: u64,
        /// With executables that are not optimised, to try the benchmark itself.
        #[arg(long)]
        debug: bool,
    },
    /// Measures the witness and prints its table.
    BenchWitness {
        /// Logs.
        #[arg(long, default_value_t = 40_000)]
        logs: u32,
        /// Checkpoints a second, of all logs together.
        #[arg(long, default_value_t = 5000)]
        rate: u32,
        /// Seconds a measurement.
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Ci => ci::ci(),
        Command::Kill { rounds } => suites::kill(rounds),
        Command::PowerLoss { rounds } => suites::power_loss(rounds),
        Command::Fuzz { target, seconds } => fuzz::fuzz(target.as_deref(), seconds),
        Command::Browser => browser::browser(),
        Command::Interop => interop::interop(),
        Command::Bench { seconds, quorum: true, .. } => bench::quorum_alone(seconds),
        Command::Bench { large, seconds, quorum: false } => bench::bench(large, seconds),
        Command::BenchMonitor(command) => command.run(),
        Command::BenchRecords { large, versions, statements, replayed, debug } => {
            let sizes = bench_records::Sizes { large, versions, statements, replayed, debug };
            bench_records::bench_records(sizes)
        }
        Command::BenchSearch { records, rounds, debug } => bench_search::bench_search(records, rounds, debug),
        Command::BenchWitness { logs, rate, seconds } => bench_witness::bench_witness(logs, rate, seconds),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

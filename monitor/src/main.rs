//! The `daybook-monitor` executable.

fn main() -> std::process::ExitCode {
    monitor::cli::main()
}

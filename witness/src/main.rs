//! The `daybook-witness` executable.

fn main() -> std::process::ExitCode {
    witness::cli::main()
}

//! The `daybook` executable.

fn main() -> std::process::ExitCode {
    daybook::cli::main()
}

//! The binary `exp`.

fn main() -> std::process::ExitCode {
    emberlab::cli::main()
}

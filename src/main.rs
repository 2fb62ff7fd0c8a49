//! Wire and run.

use std::process::ExitCode;

fn main() -> ExitCode {
    signalbox::cli::main()
}

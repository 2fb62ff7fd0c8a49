//! Wire and run.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = match args.first().map(String::as_str) {
        Some("run-shim") if args.len() == 2 => signalbox::cli::run_shim::run(Path::new(&args[1])),
        Some("scripted-agent") => signalbox::scripted::main(&args[1..]),
        _ => 64,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

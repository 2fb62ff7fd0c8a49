//! `signalbox completions`.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;

use super::args::Args;
use super::exit;

/// Prints the completion script.
#[must_use]
pub fn run(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "signalbox", &mut script);
    match std::io::stdout().lock().write_all(&script) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(exit::FAILURE),
        _ => ExitCode::from(exit::OK),
    }
}

//! `signalbox serve`.

use std::process::ExitCode;

use super::args::{Global, Serve};
use super::exit;

/// Runs the service until it is told to end.
#[must_use]
pub fn run(_global: &Global, _args: &Serve) -> ExitCode {
    ExitCode::from(exit::FAILURE)
}

//! `signalbox demo`.

use std::process::ExitCode;

use super::args::{Global, Demo};
use super::exit;

/// Shows a whole run in a scratch folder.
#[must_use]
pub fn run(_global: &Global, _args: &Demo) -> ExitCode {
    ExitCode::from(exit::FAILURE)
}

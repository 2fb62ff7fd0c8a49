//! Exit codes, and failures on their way to one.

use std::io;

/// All went well.
pub const OK: u8 = 0;
/// Something failed.
pub const FAILURE: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// No service answers.
pub const NO_SERVICE: u8 = 3;
/// The service refused: the act is not possible now, or not allowed.
pub const REFUSED: u8 = 4;
/// There is no such task, issue or run.
pub const NOT_FOUND: u8 = 5;
/// The rules have errors.
pub const INVALID: u8 = 10;

/// A failure, as the person at the terminal is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// What is wrong; empty: say nothing.
    pub error: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Failure {
    /// A failure of no special kind.
    #[must_use]
    pub fn other(error: impl Into<String>) -> Self {
        Self {
            code: FAILURE,
            error: error.into(),
            help: None,
        }
    }

    /// Wrong arguments.
    #[must_use]
    pub fn usage(error: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            error: error.into(),
            help: None,
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

impl From<io::Error> for Failure {
    /// A reader that went away (`| head`) is no failure worth a word.
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::BrokenPipe => Self {
                code: OK,
                error: String::new(),
                help: None,
            },
            _ => Self::other(format!("the answer cannot be written: {e}")),
        }
    }
}

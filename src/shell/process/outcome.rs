//! What the supervisor answers, and what may go wrong.

use std::io;
use std::path::PathBuf;

use super::start::START_LIMIT;
use super::{Alive, Exit};

/// What is known of a run after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Its shim runs: adopt it.
    Alive(Alive),
    /// It ended.
    Exited(Exit),
    /// It never started, and never will: the run was taken from its shim.
    NeverStarted,
    /// It started, its shim is gone and left no exit: sweep, then take it for lost.
    Gone,
    /// What lies there may not be read or taken by this user, which is no evidence of an end; says what, and why.
    Barred(String),
}

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The shim recorded the exit; everything that belonged to the run is gone.
    Exited(Exit),
    /// The shim died without a word: sweep.
    Gone,
    /// The shim is gone, and what it said may not be read by this user; says what, and why.
    Barred(String),
}

/// What a sweep achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes of the run that were found.
    pub found: u32,
    /// Those that are still there: another user's, or stuck in the kernel. Until this is 0 the run is not over.
    pub left: u32,
}

/// Why a run could not be started. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Nothing was started; the disk may be full.
    #[error("cannot prepare run directory {dir}: {source}; free disk space or mend its permissions")]
    Prepare {
        /// The run directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory is another run's. Nothing of it was touched.
    #[error(
        "{dir} is there already, of a run that the database does not know: was an older database put in its place? Nothing is wrong \
         with disk or task; its number is passed over"
    )]
    Taken {
        /// The run directory.
        dir: PathBuf,
    },
    /// The service's own binary could not be started.
    #[error("cannot start the run shim {exe}: {source}; is the binary still where the service was started from?")]
    Start {
        /// The binary.
        exe: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shim ended before it took the run.
    #[error("the run shim ended before it took {dir}; {detail}")]
    Died {
        /// The run directory.
        dir: PathBuf,
        /// What it said, or where to look.
        detail: String,
    },
    /// The shim did not report in time; it was killed.
    #[error("the run shim did not take {dir} within {} s and was killed; is the machine overloaded or the disk full?", START_LIMIT.as_secs())]
    Silent {
        /// The run directory.
        dir: PathBuf,
    },
}

/// Why an order to stop could not be given.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The shim may not be signalled.
    #[error("cannot signal the shim (pid {pid}) of {dir}: {source}; does it run under another user?")]
    Signal {
        /// The shim.
        pid: i32,
        /// The run directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Without its shim, what is left of the run could not be ended.
    #[error("{left} processes of {dir} could not be ended; they run under another user or are stuck in the kernel")]
    Left {
        /// How many.
        left: u32,
        /// The run directory.
        dir: PathBuf,
    },
}

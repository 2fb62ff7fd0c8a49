//! What can go wrong with git, one variant per reaction of the caller.

use std::io;
use std::path::PathBuf;

use super::locks;

/// A git operation that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No `git` in `PATH`: nothing works until it is installed.
    #[error("git was not found in PATH; install git {} or newer and start again", super::command::NEEDED)]
    Missing,
    /// The installed git cannot do what is needed.
    #[error("git {found} is installed ({}), but git {} or newer is needed (`git merge-tree --write-tree`)", program.display(), super::command::NEEDED)]
    TooOld {
        /// What it says it is.
        found: String,
        /// Where it is.
        program: PathBuf,
    },
    /// The file system or the start of the process failed: worth another try.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The command was killed for taking too long: worth another try.
    #[error("`git {command}` did not end within {seconds} s and was killed")]
    Timeout {
        /// Sub-command.
        command: String,
        /// The limit, seconds.
        seconds: u64,
    },
    /// The command was ended from outside, as the kernel does where memory is short, or when the machine goes down: worth
    /// another try.
    #[error("`git {command}` was ended by signal {signal}")]
    Ended {
        /// Sub-command.
        command: String,
        /// Which signal.
        signal: i32,
    },
    /// The answer is larger than the caller allows: no other try will help.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit, bytes.
        limit: usize,
    },
    /// git ended with an error of its own: the repository lacks something or is damaged.
    #[error("`git {command}` failed (exit {code}): {stderr}")]
    Failed {
        /// Sub-command.
        command: String,
        /// Exit status; -1 for a signal.
        code: i32,
        /// The first lines it printed, without control characters.
        stderr: String,
    },
    /// git answered something that this version of the service does not understand.
    #[error("`git {command}` answered unexpectedly: {what}")]
    Odd {
        /// Sub-command.
        command: String,
        /// What was strange about it.
        what: String,
    },
    /// The remote does not answer or refuses: worth another try later.
    #[error("the repository at {remote} did not answer or refused: {why}")]
    Remote {
        /// Its URL (URLs never hold credentials here).
        remote: String,
        /// git's own words.
        why: String,
    },
    /// The remote refuses the credential: for a person to mend; worth another try later.
    #[error("the forge refuses the service's token for {remote} ({why}): {from}; put a good one there and restart the service")]
    Denied {
        /// Its URL.
        remote: String,
        /// Whether it is not known there, or may not do or see this.
        why: &'static str,
        /// Where the credential is read from.
        from: String,
    },
    /// The remote's URL cannot be used as configured.
    #[error("cannot use `{url}` as a repository: {why}")]
    BadRemote {
        /// As configured, without user information.
        url: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The branch is not there: the repository is empty or the name is wrong.
    #[error(
        "branch `{branch}` does not exist in {remote}: push a first commit to it, or name the right branch in the project's `default_branch`"
    )]
    NoBranch {
        /// Short name.
        branch: String,
        /// The remote's URL.
        remote: String,
    },
    /// The name cannot be a task branch.
    #[error("`{name}` cannot be used as a task branch: {why}")]
    Name {
        /// The name, as given.
        name: String,
        /// The rule it breaks.
        why: String,
    },
    /// The text is not an object id.
    #[error("`{0}` is not an object id (40 or 64 hexadecimal digits)")]
    BadId(String),
}

impl GitError {
    /// Wraps an error of the file system with what was attempted.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether a folder of the service's own keeps its user from writing there. Nothing was done then, and nothing is wrong
    /// with the task: it passes once somebody has mended that.
    #[must_use]
    pub fn kept_out(&self) -> bool {
        match self {
            Self::Io { source, .. } => keeps_out(source),
            Self::Failed { stderr, .. } => no_leave(stderr),
            // Where the far side is a path it is a repository of the service's own.
            Self::Remote { remote, why } => remote.starts_with('/') && no_leave(why),
            _ => false,
        }
    }
}

/// Whether a folder or file may not be written, or lies where a folder ought to: its rights, a mount that is read-only.
#[must_use]
pub fn keeps_out(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory
    )
}

/// The same in the words of git, or of another program.
#[must_use]
pub fn no_leave(words: &str) -> bool {
    let said = [
        "Permission denied",
        "insufficient permission",
        "Operation not permitted",
        "Read-only file system",
        "Not a directory",
        // What the far side of a push says, without the system's words.
        "unable to create temporary object directory",
    ];
    said.iter().any(|w| words.contains(w))
}

/// Whether the words of the system, or of git, say that no room is left on a disk.
pub(super) fn no_room(words: &str) -> bool {
    let said = [
        "No space left on device",
        "Disk quota exceeded",
        "no storage space",
        // What git says where a write was cut short.
        "Out of diskspace",
        "write error",
        "unable to write file",
    ];
    said.iter().any(|w| words.contains(w))
}

/// Whether the words are those of a machine that is short of something for now: memory, processes, open files; or of a lock
/// that somebody holds.
pub(super) fn short_for_now(words: &str) -> bool {
    let said = [
        "Out of memory",
        "out of memory",
        "Cannot allocate memory",
        "Resource temporarily unavailable",
        "Too many open files",
    ];
    said.iter().any(|w| words.contains(w)) || locks::held(words)
}

/// Whether the words are those of something that passes: no room, a machine that is short of something, a lock that is held.
#[must_use]
pub fn passes(words: &str) -> bool {
    no_room(words) || short_for_now(words)
}

/// Text of another program as it may stand in a message: no control characters, not endless.
pub(crate) fn printable(text: &[u8]) -> String {
    const LONGEST: usize = 1500;
    let text = String::from_utf8_lossy(text);
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    clean.trim_end().to_owned()
}

//! What can go wrong, one variant per reaction of the caller.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::beside::{AtWork, last, quoted, told};
use crate::shell::limit;

/// What is to be done about a damaged file; it is known again by these words.
pub(super) const DAMAGED: &str = "end the service and put a back-up in its place";
/// What keeps a database from being used that somebody else holds; who it is follows where its path is known.
const HELD: &str = "another program holds the database";

/// A request to the store failed; nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The state that the request was decided on has moved, or a unique key is taken: read and decide again.
    #[error("the state has moved since it was read: decide again")]
    Conflict,
    /// There is no such row.
    #[error("there is no such row")]
    Gone,
    /// A row holds what this version cannot read: leave it alone and tell an operator.
    #[error("row {id} of table {table} cannot be read ({why}); restore a back-up, or use the version of signalbox that wrote it")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row: its id, or its key where it has no number.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// The request can never succeed as it is: a defect of the caller. Trying again is no use.
    #[error("the store refuses this request: {why}")]
    Refused {
        /// What is wrong with it.
        why: String,
    },
    /// The database cannot be written or read at present (disk full, I/O error, out of memory,
    /// damaged, held by another program): start nothing new, tell an operator, try again.
    #[error("the database is out of order: {why}")]
    Degraded {
        /// The original message.
        why: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// A request that cannot be right.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    /// The same of the database at this path: its words say how to find who holds it.
    pub(super) fn of(self, database: &Path) -> Self {
        match self {
            Self::Degraded { why } if why.ends_with(HELD) => Self::Degraded {
                why: format!("{why}: end it (`fuser {}` names it)", quoted(database)),
            },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        match &e {
            rusqlite::Error::QueryReturnedNoRows => Self::Gone,
            rusqlite::Error::SqliteFailure(cause, _) => from_sqlite(*cause, &e),
            _ => Self::refused(e.to_string()),
        }
    }
}

fn from_sqlite(cause: ffi::Error, e: &rusqlite::Error) -> StoreError {
    match cause.code {
        ErrorCode::ConstraintViolation => match cause.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => StoreError::Conflict,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Gone,
            _ => StoreError::refused(e.to_string()),
        },
        ErrorCode::TooBig | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange | ErrorCode::Unknown => {
            StoreError::refused(e.to_string())
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Degraded {
            why: format!("{e}: {HELD}"),
        },
        ErrorCode::DiskFull => StoreError::Degraded {
            why: format!("{e}: free some space on the disk of the data directory"),
        },
        ErrorCode::OutOfMemory => StoreError::Degraded {
            why: format!("{e}: free some memory"),
        },
        ErrorCode::SystemIoFailure => StoreError::Degraded {
            why: format!(
                "{e}: the disk of the data directory fails; the kernel's messages say more (`dmesg`){}",
                limit::hint(limit::in_force())
            ),
        },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Degraded {
            why: format!("{e}: {DAMAGED} (`signalbox restore FOLDER --replace`)"),
        },
        _ => StoreError::Degraded { why: e.to_string() },
    }
}

/// The store cannot be opened; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another instance is at work in this directory.
    #[error("{} is in use by another signalbox{}: stop it first, or let it do the work", path.display(), holder(*pid))]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The other instance's process id, where it could be read.
        pid: Option<u32>,
    },
    /// The directory cannot be created, read or written.
    #[error("the data directory {} cannot be used ({why}): give the service's user the right to write there, or name another directory", path.display())]
    Directory {
        /// What could not be used.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// There is no database.
    #[error("there is no database {} yet: no service has run with this data directory; is `data` of signalbox.toml the one that is meant?", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is no database any more, under a service that works with it.
    #[error(
        "a signalbox{} works with this data directory, and its database {} was moved away or removed: it records nothing meanwhile. Move the \
         same file back, with its -wal and -shm, and work goes on by itself; or end the service, and put a back-up in its place with \
         `signalbox restore FOLDER --replace`",
        holder(*pid),
        path.display()
    )]
    Removed {
        /// Where it was.
        path: PathBuf,
        /// The service's process id, where it could be read.
        pid: Option<u32>,
    },
    /// A folder lies where a file of the database is or will be.
    #[error("{} is a folder, where signalbox keeps a file: move it away, and what was there before back in its place", path.display())]
    Folder {
        /// What could not be used.
        path: PathBuf,
    },
    /// No space is left.
    #[error("no space is left for the database in {} ({why}): free some and start again", path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The file is no database of signalbox.
    #[error("{} is not a signalbox database ({why}): move the file away, or name another data directory", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// How that was found out.
        why: String,
    },
    /// The database is damaged.
    #[error("{} is damaged ({why}): put a back-up in its place with `signalbox restore FOLDER --replace`, which keeps what is there", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found.
        why: String,
    },
    /// A newer signalbox has written here.
    #[error("{} has schema version {found}, this signalbox knows versions up to {known}: run the version that wrote it, or a newer one", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// Another program holds the file.
    #[error("{} is held by another program ({why}): end it (`fuser {}` names it) and start again", path.display(), path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        why: String,
    },
    /// The directory is on a network file system, where locks and shared memory cannot be relied on.
    #[error("{} is on a network file system ({kind}), where SQLite loses data: name a data directory on a local disk", path.display())]
    NetworkFileSystem {
        /// The data directory.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// Work that was committed is missing from the write-ahead log, or may be.
    #[error("{}: work that was committed {what}. Nothing was started. {remedy}", path.display())]
    LogMissing {
        /// The log.
        path: PathBuf,
        /// What is missing, and how surely.
        what: String,
        /// What to do, and how to tell what is right.
        remedy: String,
    },
    /// The database is gone or empty, and runs that it told of are still there.
    #[error(
        "{} is gone or empty, but {} holds runs of a database that was there. Nothing was started. Bring the file back, or put a \
         back-up in its place with `signalbox restore FOLDER --replace`; to begin anew, move the whole folder {} away",
        path.display(),
        data.join("runs").display(),
        data.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// A restore was cut off between its first move and its last.
    #[error(
        "a restore of {} was cut off: {lies}. No service starts on it. `{again}` takes it up again, and all is whole then",
        data.display()
    )]
    Restoring {
        /// The data directory.
        data: PathBuf,
        /// What of it lies there.
        lies: String,
        /// The command that finishes it.
        again: String,
    },
    /// The database is older than runs beside it, and in some of those somebody is at work.
    #[error(
        "{} is older than the runs beside it: {}, and agents are at work in later ones, which nobody would \
         follow or stop. Nothing was started. Bring the newer database back with its -wal, and they are adopted. Or go on with this one \
         without them: {}",
        path.display(),
        last(*known),
        told(runs)
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The highest number that it has given to a run.
        known: i64,
        /// Those that are at work.
        runs: Vec<AtWork>,
    },
    /// This build or system cannot run the store.
    #[error("the database {} cannot be set up ({why})", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is missing, and the remedy.
        why: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

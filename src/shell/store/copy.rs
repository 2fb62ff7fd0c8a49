//! The database as a whole: copied while it is in use, and looked at before it is put in place.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::lock::{Lock, files, in_use};
use super::open::{FILE, ours, refused};
use super::{OpenError, beside, migrations, restoring};
use crate::engine::model::RunId;

/// Copies the database of a data directory to `to`, as of one moment; whoever uses it is not disturbed.
/// Gives the version of its schema.
///
/// # Errors
/// When there is none, it is not ours, it is damaged, its restore was cut off, or `to` cannot be written.
pub fn copy_database(data: &Path, to: &Path) -> Result<i64, OpenError> {
    if let Some(refused) = restoring::unfinished(data) {
        return Err(refused);
    }
    let from = data.join(FILE);
    let source = reading(&from).map_err(|e| removed(e, data))?;
    ours(&from, &source)?;
    let refuse = |e: rusqlite::Error| refused(to, &e);
    let mut target = Connection::open(to).map_err(refuse)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(refuse)?;
        // All pages in one step: one moment, however much is written meanwhile.
        backup.step(-1).map_err(refuse)?;
    }
    // Whole in one file: a copy has no companions that could be forgotten.
    target
        .pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))
        .map_err(refuse)?;
    drop(target);
    check_database(to)
}

/// Looks at a database that nobody uses, every page of it; gives the version of its schema.
///
/// # Errors
/// When it is missing, damaged, another program's, or of a newer signalbox.
pub fn check_database(path: &Path) -> Result<i64, OpenError> {
    let conn = reading(path)?;
    ours(path, &conn)?;
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(refuse)?;
    if found != "ok" {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            why: found,
        });
    }
    migrations::version(&conn).map_err(refuse)
}

/// Sees to it that no run of a database that nobody uses will ever have this number, or a lower one that is free.
///
/// # Errors
/// When it cannot be written.
pub fn pass_over_runs(path: &Path, run: RunId) -> Result<(), OpenError> {
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(refuse)?;
    beside::pass_over(&conn, run).map_err(refuse)
}

/// Keeps every service out of a data directory until it is dropped.
pub struct KeptOut {
    _lock: Lock,
}

/// Keeps services out of a data directory.
///
/// # Errors
/// [`OpenError::Locked`] while one uses it.
pub fn keep_out(data: &Path) -> Result<KeptOut, OpenError> {
    Ok(KeptOut { _lock: Lock::take(data)? })
}

/// That a database is missing is something else under a service that works with it than where none has ever run.
fn removed(error: OpenError, data: &Path) -> OpenError {
    match (error, in_use(data)) {
        (OpenError::Missing { path }, Some(OpenError::Locked { pid, .. })) => OpenError::Removed { path, pid },
        (error, _) => error,
    }
}

fn reading(path: &Path) -> Result<Connection, OpenError> {
    files(path)?;
    if path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let refuse = |e: rusqlite::Error| refused(path, &e);
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(refuse)?;
    conn.busy_timeout(std::time::Duration::from_secs(5)).map_err(refuse)?;
    Ok(conn)
}

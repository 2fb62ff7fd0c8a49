//! Whether the files that are open are still those that lie at their paths. A database that was moved away or replaced
//! takes every write as if nothing were wrong, and at the next start all of that is missing.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::witness::beside;
use super::{Result, StoreError};

/// Who a file is: device and inode.
type Id = (u64, u64);

/// The database's files as they were when they were opened.
pub(super) struct Place {
    /// The database, by the path that people know.
    pub database: PathBuf,
    database_id: Id,
    log: PathBuf,
    log_id: Id,
}

impl Place {
    /// Of a database that is open, and has been written to: its log is there.
    ///
    /// # Errors
    /// What keeps a file from being looked at.
    pub fn of(database: &Path) -> io::Result<Self> {
        let database = std::path::absolute(database)?;
        // Where the path is a link, the log lies beside what it leads to.
        let log = beside(&fs::canonicalize(&database)?, "-wal");
        Ok(Self {
            database_id: id(&database)?,
            log_id: id(&log)?,
            database,
            log,
        })
    }

    /// Looks at both: two calls of the system, a microsecond each.
    ///
    /// # Errors
    /// [`StoreError::Degraded`] while one of them is not the file that is open.
    pub fn look(&self) -> Result<()> {
        if let Some(what) = differs(&self.database, self.database_id) {
            return Err(StoreError::Degraded {
                why: format!(
                    "{what}: the service still has the file open that was there, and whatever it recorded in it would be lost, so that \
                     it records nothing. Move the same files back, {} with its -wal and -shm, and work goes on by itself; or end the \
                     service, put the database back or another in its place (`signalbox restore FOLDER --replace`), and start it again",
                    self.database.display()
                ),
            });
        }
        if let Some(what) = differs(&self.log, self.log_id) {
            return Err(StoreError::Degraded {
                why: format!(
                    "{what}: it is the log of the database {}, and whatever is recorded in it now would be lost, so that nothing is. \
                     Move the same file back and work goes on by itself; or end the service with SIGTERM, by which all that was \
                     recorded before comes into the database, and start it again",
                    self.database.display()
                ),
            });
        }
        Ok(())
    }

    /// Whether the database itself is not at its path any more.
    pub fn moved(&self) -> bool {
        differs(&self.database, self.database_id).is_some()
    }
}

fn id(path: &Path) -> io::Result<Id> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// What is wrong at this path, if another file is there than this one.
fn differs(path: &Path, known: Id) -> Option<String> {
    let path_shown = path.display();
    match id(path) {
        Ok(found) if found == known => None,
        Ok(_) => Some(format!("{path_shown} was replaced by another file")),
        Err(e) if e.kind() == ErrorKind::NotFound => Some(format!("{path_shown} was moved away or removed")),
        Err(e) => Some(format!("{path_shown} cannot be looked at ({e})")),
    }
}

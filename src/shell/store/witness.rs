//! Notices that committed work is missing before anything is decided on what is left.
//!
//! SQLite takes a write-ahead log that is gone, cut off or damaged for one that was never written:
//! it goes on with what it finds, and paid work would be done again. A file lies beside the
//! database while a service uses it. Where one is found at the start, the last service did not
//! end in good order, its log must be there, and — the machine not having been started anew — must
//! hold as many pages as the shared index says were committed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::lock::unusable;
use super::open::refused;
use crate::engine::model::Millis;

/// The file's name in the data directory.
pub(super) const FILE: &str = "signalbox.open";

/// What puts a back-up in place.
const RESTORE: &str = "`signalbox restore FOLDER --replace`";

/// What is known of the log before SQLite has looked at it.
pub(super) struct Witness {
    file: PathBuf,
    boot: String,
    /// Pages that were committed to the log, at least.
    pages: Option<u32>,
    /// Whether whoever used the database last ended in good order.
    pub in_order: bool,
}

impl Witness {
    /// Reads what the last service left.
    ///
    /// # Errors
    /// [`OpenError::LogMissing`] when it did not end in good order and its log is gone.
    pub fn look(data: &Path, database: &Path) -> Result<Self, OpenError> {
        let file = data.join(FILE);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let mut witness = Self {
            file,
            boot,
            pages: None,
            in_order: false,
        };
        let left = match fs::read_to_string(&witness.file) {
            Ok(left) => left,
            Err(error) => {
                witness.in_order = error.kind() == std::io::ErrorKind::NotFound;
                return Ok(witness);
            }
        };
        let log = beside(database, "-wal");
        if fs::metadata(&log).map_or(0, |m| m.len()) == 0 {
            return Err(witness.gone(database));
        }
        let mut lines = left.lines();
        if lines.next().is_some_and(|boot| boot == witness.boot && !boot.is_empty()) {
            witness.pages = committed(&beside(database, "-shm"));
        }
        // SQLite has made the index anew since: what was missing then is missing still.
        let known = lines.next().and_then(|line| line.parse().ok());
        witness.pages = witness.pages.max(known);
        Ok(witness)
    }

    /// Compares it with what SQLite found.
    ///
    /// # Errors
    /// [`OpenError::LogMissing`] when SQLite found less than was committed.
    pub fn compare(&self, conn: &Connection, database: &Path) -> Result<(), OpenError> {
        let refuse = |e: rusqlite::Error| refused(database, &e);
        if let Some(pages) = self.pages {
            let found = "PRAGMA wal_checkpoint(NOOP)";
            let found: u32 = conn
                .query_row(found, [], |row| row.get::<_, i64>(1))
                .map_err(refuse)?
                .try_into()
                .unwrap_or(0);
            if found < pages {
                self.write(&format!("{}\n{pages}\n", self.boot))?;
                return Err(self.missing(database, &format!("{found} of its {pages} pages can be read")));
            }
        }
        Ok(())
    }

    /// Marks the database as in use.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn mark(&self) -> Result<(), OpenError> {
        self.write(&format!("{}\n", self.boot))
    }

    fn write(&self, text: &str) -> Result<(), OpenError> {
        let write = || -> std::io::Result<()> {
            let mut file = fs::File::create(&self.file)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| unusable(&self.file, &e))
    }

    /// The log is gone. With its index it goes when a program closes the database in good order, which takes it into the
    /// database: one that had it open when the service was killed. Nothing tells that from a log that was lost with its index.
    fn gone(&self, database: &Path) -> OpenError {
        if beside(database, "-shm").exists() {
            return self.missing(database, "the file is gone");
        }
        let last = last_event(database).map_or_else(String::new, |at| {
            format!(
                " The last event that the database holds came at {}: the service's log tells whether it did anything later.",
                at.utc()
            )
        });
        let remedy = format!(
            "If another program, such as sqlite3, had the database open when the service was killed, and closed it since, nothing is \
             missing: what was in the log is in the database.{last} If so, remove {} and start again. If the log was lost, or an older \
             database was put in its place, bring back what was there, or put a back-up in its place with {RESTORE}",
            self.file.display()
        );
        Self::refuse(
            database,
            "may be missing (the file is gone, and so is its index)".to_owned(),
            remedy,
        )
    }

    fn refuse(database: &Path, what: String, remedy: String) -> OpenError {
        OpenError::LogMissing {
            path: beside(database, "-wal"),
            what,
            remedy,
        }
    }

    fn missing(&self, database: &Path, why: &str) -> OpenError {
        let remedy = format!(
            "Put a back-up in its place with {RESTORE}; if you know that another program has closed the database in good order since, or \
             accept the loss, remove {} and start again",
            self.file.display()
        );
        Self::refuse(database, format!("is missing ({why})"), remedy)
    }
}

/// When the last event came that a database holds, which nobody uses and which stays as it is: no log and no index is made beside it.
fn last_event(database: &Path) -> Option<Millis> {
    let path = database.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags).ok()?;
    let sql = "SELECT at FROM inbox ORDER BY seq DESC LIMIT 1";
    conn.query_row(sql, [], |row| row.get(0)).ok().map(Millis)
}

/// The database is about to be closed in good order: from here on its log may be gone.
pub(super) fn closing(data: &Path) {
    // One that cannot be removed is named by the next start, with what to do.
    let _ = fs::remove_file(data.join(FILE));
}

/// A companion of the database, by its suffix.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// How many pages the index of the log says are committed: the header's two copies, which agree
/// unless someone died between writing them.
fn committed(index: &Path) -> Option<u32> {
    const HEADER: usize = 48;
    const PAGES: std::ops::Range<usize> = 16..20;
    let bytes = fs::read(index).ok()?;
    let (one, two) = (bytes.get(..HEADER)?, bytes.get(HEADER..2 * HEADER)?);
    (one == two).then(|| u32::from_ne_bytes(one[PAGES].try_into().unwrap_or_default()))
}

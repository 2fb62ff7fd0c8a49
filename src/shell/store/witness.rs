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

use rusqlite::Connection;

use super::OpenError;
use super::lock::unusable;
use super::open::refused;

/// The file's name in the data directory.
pub(super) const FILE: &str = "signalbox.open";

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
            return Err(witness.missing(database, "the file is gone"));
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

    fn missing(&self, database: &Path, what: &str) -> OpenError {
        OpenError::LogMissing {
            path: beside(database, "-wal"),
            why: what.to_owned(),
            mark: self.file.clone(),
        }
    }
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

//! Upkeep: back-ups, and the check whether the database can be written again.

use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OptionalExtension};

use super::codec::exec;
use super::error::DAMAGED;
use super::{Result, Store, StoreError};

/// Half the bytes that must find room for the database to be in order again.
const ROOM: i64 = 128 * 1024;
/// Pages copied at a time.
const PAGES: i32 = 4096;

impl Store {
    /// Copies the database, as it is at one moment, to a file that does not exist yet. Work goes on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file exists or cannot be written; nothing is left of it then.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let to = to.to_owned();
        self.read(move |conn| {
            if to.exists() {
                return Err(StoreError::refused(format!(
                    "{} exists: name a new file for the back-up",
                    to.display()
                )));
            }
            copy(conn, &to).inspect_err(|_| {
                let _ = std::fs::remove_file(&to);
            })
        })
        .await
    }

    /// Looks whether the files that are open are still those at their paths. Each commit does; this is for a service that has
    /// nothing to commit. Where they are not, everyone is told, as by a commit that fails.
    ///
    /// # Errors
    /// [`StoreError::Degraded`] while they are not.
    pub async fn watch_files(&self) -> Result<()> {
        let place = std::sync::Arc::clone(&self.0.place);
        let looked = tokio::task::spawn_blocking(move || place.look()).await;
        match looked {
            Ok(Ok(())) => Ok(()),
            // The thread that writes is the only one that says what is wrong, and that all is well again.
            _ => self.write(|_| Ok(())).await,
        }
    }

    /// Writes something that changes nothing: whether the database is in order again. One that was
    /// found damaged has to be whole besides, page by page: writing proves nothing of that.
    ///
    /// # Errors
    /// [`StoreError::Degraded`] while it is not.
    pub async fn probe(&self) -> Result<()> {
        let damaged = self.trouble().borrow().as_ref().is_some_and(|why| why.contains(DAMAGED));
        if damaged {
            let found: String = self.read(|conn| super::codec::one(conn, "PRAGMA quick_check(1)", [])).await?;
            if found != "ok" {
                return Err(StoreError::Degraded {
                    why: format!("{found}: {DAMAGED} (`signalbox restore FOLDER --replace`)"),
                });
            }
        }
        // More than a page or two: a log that still has room for those would tell of a disk that has none.
        let room = "INSERT INTO notices (key, task, text, since) SELECT 'probe', id, hex(zeroblob(?1)), 0 FROM tasks LIMIT 1";
        self.write(move |conn| {
            exec(conn, room, [ROOM])?;
            exec(conn, "DELETE FROM notices WHERE key = 'probe'", [])?;
            exec(conn, "UPDATE meta SET opens = opens", []).map(drop)
        })
        .await
    }
}

fn copy(from: &Connection, to: &Path) -> Result<()> {
    let failed = |e: rusqlite::Error| StoreError::refused(format!("the back-up {} cannot be written: {e}", to.display()));
    let mut target = Connection::open(to).map_err(failed)?;
    // Within the reading's transaction every page is of the same moment.
    Backup::new(from, &mut target)
        .and_then(|copy| copy.run_to_completion(PAGES, std::time::Duration::ZERO, None))
        .map_err(failed)?;
    // A single file: it needs no log beside it.
    let mode: Option<String> = target
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    match mode.as_deref() {
        Some("delete") => target.close().map_err(|(_, e)| failed(e)),
        other => Err(StoreError::refused(format!(
            "the back-up {} stays in journal mode {other:?}",
            to.display()
        ))),
    }
}

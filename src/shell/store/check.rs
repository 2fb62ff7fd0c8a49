//! The database read page by page before anything is launched on it: at once while it is small,
//! beside the service where that takes longer than anyone should wait for a start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::watch;

use super::OpenError;
use super::open::{FILE, reader, refused};

/// A database up to this size, in bytes, with its log, is read whole before it is used: a tenth of
/// a second where the disk is slow to answer.
const SMALL: u64 = 16 * 1024 * 1024;

/// What is known of the database as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Every page was read, and is as it must be.
    Whole,
    /// It is being read: nothing may be launched on it yet.
    UnderWay,
    /// It is damaged: nothing may be decided on it, nothing is written to it.
    Damaged {
        /// What was found, and what to do.
        why: String,
    },
}

/// How a check is cut short.
struct UnderWay {
    interrupt: Arc<InterruptHandle>,
    ending: Arc<AtomicBool>,
}

/// A check that is due, under way or over.
pub(super) struct Checking {
    path: PathBuf,
    state: watch::Sender<Integrity>,
    under_way: Mutex<Option<(UnderWay, JoinHandle<()>)>>,
}

impl Checking {
    /// Of the database of a data directory, which was read `whole` before or is still to be.
    pub fn new(data: &Path, whole: bool) -> Self {
        let known = if whole { Integrity::Whole } else { Integrity::UnderWay };
        Self {
            path: data.join(FILE),
            state: watch::Sender::new(known),
            under_way: Mutex::new(None),
        }
    }

    /// What is known by now.
    pub fn state(&self) -> watch::Receiver<Integrity> {
        self.state.subscribe()
    }

    /// Whether writing is out of the question, and why.
    pub fn damaged(&self) -> Option<String> {
        match &*self.state.borrow() {
            Integrity::Damaged { why } => Some(why.clone()),
            Integrity::Whole | Integrity::UnderWay => None,
        }
    }

    /// Reads it in a thread of its own, through a connection of its own, unless it was read before
    /// or is being read.
    pub fn begin(&self) {
        let mut under_way = self.lock();
        if under_way.is_some() || *self.state.borrow() != Integrity::UnderWay {
            return;
        }
        match self.start() {
            Ok(started) => *under_way = Some(started),
            // Nothing is launched on what nobody can read.
            Err(error) => {
                let why = format!("end the service first: {error}");
                self.state.send_replace(Integrity::Damaged { why });
            }
        }
    }

    fn start(&self) -> Result<(UnderWay, JoinHandle<()>), OpenError> {
        let conn = reader(&self.path)?;
        let under_way = UnderWay {
            interrupt: Arc::new(conn.get_interrupt_handle()),
            ending: Arc::default(),
        };
        let (path, ending, tell) = (self.path.clone(), Arc::clone(&under_way.ending), self.state.clone());
        let thread = std::thread::Builder::new()
            .name("store-check".to_owned())
            .spawn(move || read_whole(&conn, &path, &ending, &tell))
            .map_err(|e| OpenError::Unsupported {
                path: self.path.clone(),
                why: format!("no thread can be started: {e}"),
            })?;
        Ok((under_way, thread))
    }

    /// Ends it, whether or not it is through.
    pub fn end(&self) {
        let Some((under_way, thread)) = self.lock().take() else { return };
        under_way.ending.store(true, Ordering::SeqCst);
        // An interruption counts only while a statement runs: one that is about to begin does not notice it.
        while !thread.is_finished() {
            under_way.interrupt.interrupt();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        // A panic of the thread leaves the check under way: nothing is launched on it.
        let _ = thread.join();
    }

    fn lock(&self) -> MutexGuard<'_, Option<(UnderWay, JoinHandle<()>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the database is read whole before it is used.
pub(super) fn at_once(path: &Path) -> bool {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    size(path).saturating_add(size(&PathBuf::from(log))) <= SMALL
}

/// What `PRAGMA quick_check` says of every page.
pub(super) fn look(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: rusqlite::Result<String> = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(why) => Err(OpenError::Damaged {
            path: path.to_owned(),
            why,
        }),
        Err(e) => Err(refused(path, &e)),
    }
}

fn read_whole(conn: &Connection, path: &Path, ending: &AtomicBool, tell: &watch::Sender<Integrity>) {
    let begun = std::time::Instant::now();
    let found = look(conn, path);
    if ending.load(Ordering::SeqCst) {
        return;
    }
    match found {
        Ok(()) => {
            let took = begun.elapsed().as_millis();
            // Before it is said: whoever reads the log finds it so.
            tell.send_replace(Integrity::Whole);
            tracing::info!(
                took_ms = took,
                "the database was read whole and is sound: runs are launched from now on"
            );
        }
        Err(error) => {
            let why = format!("end the service first: {error}");
            tell.send_replace(Integrity::Damaged { why: why.clone() });
            tracing::error!("the database cannot be relied on, nothing is decided or written any more: {why}");
        }
    }
}

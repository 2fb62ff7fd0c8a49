//! A few read-only connections; each reading sees one moment of the database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{Result, StoreError};

/// Readers at the same time.
pub(super) const READERS: usize = 3;

/// The pool.
#[derive(Clone)]
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    /// A pool of these connections.
    pub fn new(connections: Vec<Connection>) -> Self {
        let places = Arc::new(Semaphore::new(connections.len()));
        Self {
            free: Arc::new(Mutex::new(connections)),
            places,
        }
    }

    /// Reads within one transaction.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let free = Arc::clone(&self.free);
        let reading = tokio::task::spawn_blocking(move || {
            let Some(conn) = lock(&free).pop() else {
                return Err(StoreError::Closed);
            };
            let outcome = moment(&conn, work);
            lock(&free).push(conn);
            drop(place);
            outcome
        });
        reading.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for readings under way and closes the connections.
    pub async fn close(&self) {
        let all = self.places.acquire_many(u32::try_from(READERS).unwrap_or(u32::MAX)).await;
        self.places.close();
        lock(&self.free).clear();
        drop(all);
    }
}

fn lock(free: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

fn moment<T>(conn: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    conn.execute_batch("BEGIN")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| work(conn)))
        .unwrap_or_else(|_| Err(StoreError::refused("a defect: the reading panicked; the log has its message")));
    if !conn.is_autocommit() {
        conn.execute_batch("COMMIT")?;
    }
    outcome
}

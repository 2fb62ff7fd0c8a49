//! The store: one SQLite file, and the only place with SQL.
//!
//! Its interface speaks in domain verbs (`record`, `commit_step`, `claim`, `end_run` …), each of
//! them one transaction. All writes go through one thread, which answers when they are on disk;
//! readings go through a few read-only connections. The store has no clock: times are given.
//!
//! What it guarantees, by schema or by transaction: an event is recorded once per `dedupe` key
//! and applied once; one task per project and issue, work item id or branch among those that are
//! not cancelled; one run at a time per job and per checkout; a run that has ended never changes;
//! a job of a task that is over is never queued.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::watch;

mod beside;
mod boards;
mod breakers;
mod chat;
mod check;
mod clock;
mod codec;
mod copy;
mod crowd;
mod deliveries;
mod depends;
mod effect;
mod error;
mod forge;
mod freezes;
mod history;
mod inbox;
mod jobs;
mod lock;
mod migrations;
mod notices;
mod open;
mod outbox;
mod past;
mod place;
mod projection;
mod put_back;
mod reader;
mod repos;
mod restoring;
mod rows;
mod rulesets;
mod runs;
mod spending;
mod step;
mod tasks;
mod timers;
mod tracker;
mod upkeep;
mod witness;
mod writer;

#[cfg(test)]
mod tests;

pub use beside::{Asked, AtWork, REPLACED, highest_run, quoted, told};
pub use boards::{KnownBoard, LeftBoard};
pub use breakers::Guard;
pub use chat::{CardRow, Entry};
pub use check::Integrity;
pub use copy::{KeptOut, check_database, copy_database, keep_out, pass_over_runs};
pub use crowd::{Among, Crowd};
pub use deliveries::{DeliveryRow, HeldDelivery, NewDelivery, Peer};
pub use depends::Declared;
pub use effect::{Class, Effect, Lane, OutboxRow};
pub use error::{OpenError, StoreError};
pub use forge::{ChangeRow, ChangeState, NewChange, NewReview, NewStatus, ReviewRow, SeenChange, StatusRow};
pub use freezes::{FreezeRow, Note};
pub use lock::in_use;
pub use notices::NoticeRow;
pub use outbox::GivenUp;
pub use projection::Taken;
pub use put_back::NOT_LAUNCHED;
pub use restoring::{FRESH, MARK, Restoring, left_over, unfinished};
pub use rows::{
    BoardChanges, Claim, Committed, JobRow, JobState, NewEvent, Pending, ProcessId, Projection, QueueView, RunRow, RunState, StepCommit,
    StepRow, Target,
};
pub use spending::{Allowance, By, CostRow, SpentTask, day, day_ends};
pub use tracker::{ActivityRow, CommentRow, EventMaker, IssueRow, NewComment, NewIssue};

use writer::About;

/// What the store answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    host: Arc<str>,
    writer: writer::Writer,
    readers: reader::Readers,
    news: writer::News,
    in_flight: outbox::InFlight,
    check: check::Checking,
    place: Arc<place::Place>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether whoever used it last ended in good order.
    in_order: bool,
}

impl Store {
    /// Opens the store of a data directory, and creates both where they are missing. `host` names
    /// this machine in the rows that its workers own.
    ///
    /// # Errors
    /// [`OpenError`]; whatever it is, nothing was changed.
    pub fn open(data: &Path, host: &str) -> Result<Self, OpenError> {
        Self::open_beside(data, host, &|_| None)
    }

    /// Like [`Store::open`]; of each run's folder that the database does not know of it is asked who is `at_work` there.
    ///
    /// # Errors
    /// [`OpenError::Older`] besides, where somebody is.
    pub fn open_beside(data: &Path, host: &str, at_work: Asked<'_>) -> Result<Self, OpenError> {
        let opened = open::open(data, reader::READERS, at_work)?;
        let check = check::Checking::new(data, opened.whole);
        let place = Arc::new(opened.place);
        let started = writer::Writer::start(opened.writer, opened.lock, data, Arc::clone(&place));
        let (writer, news, thread) = started.map_err(|e| OpenError::Unsupported {
            path: data.to_owned(),
            why: format!("no thread can be started: {e}"),
        })?;
        Ok(Self(Arc::new(Inner {
            host: Arc::from(host),
            writer,
            readers: reader::Readers::new(opened.readers),
            news,
            in_flight: outbox::InFlight::default(),
            check,
            place,
            thread: Mutex::new(Some(thread)),
            in_order: opened.in_order,
        })))
    }

    /// Whether it had been closed in good order when it was opened, or was new: no crash came before.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.0.in_order
    }

    /// Counts up after every commit that changed something besides [deliveries](Self::deliveries): look again.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.0.news.commits.clone()
    }

    /// Counts up after every commit that recorded or changed a delivery.
    #[must_use]
    pub fn deliveries(&self) -> watch::Receiver<u64> {
        self.0.news.deliveries.clone()
    }

    /// Why the database could not be written last time; `None` again after the next commit.
    /// While there is something, nothing new should be started.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.0.news.trouble.clone()
    }

    /// What is known of the database as a whole. A large one is read page by page while it is in
    /// use already: until that has ended well nothing may be launched on it.
    #[must_use]
    pub fn integrity(&self) -> watch::Receiver<Integrity> {
        self.0.check.state()
    }

    /// Begins to read a large database whole, where that was not done when it was opened.
    pub fn check(&self) {
        self.0.check.begin();
    }

    /// Carries out what is queued, moves the log into the database, closes it and gives the lock
    /// back. Other clones answer [`StoreError::Closed`] from now on.
    pub async fn close(self) {
        let inner = Arc::clone(&self.0);
        // Its reading would keep the log from being moved into the database.
        let _ = tokio::task::spawn_blocking(move || inner.check.end()).await;
        self.0.writer.close().await;
        self.0.readers.close().await;
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread has been answered with `Closed` to everyone who waited.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// The machine's name in rows.
    fn host(&self) -> Arc<str> {
        Arc::clone(&self.0.host)
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_about(About::Work, work).await
    }

    /// Like [`Store::write`], told to those whom it is news for.
    async fn write_about<T, F>(&self, about: About, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.sound()?;
        let outcome = self.0.writer.run(about, (), work).await;
        outcome.map_err(|e| e.of(&self.0.place.database))
    }

    /// Like [`Store::write`], for the outcome of an effect: afterwards it is no longer being carried out.
    async fn write_outcome<T, F>(&self, effect: Option<i64>, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.sound()?;
        let landing = effect.map(|id| self.0.in_flight.landing(id));
        let outcome = self.0.writer.run(About::Work, landing, work).await;
        outcome.map_err(|e| e.of(&self.0.place.database))
    }

    /// A database that is known to be damaged is left as it is.
    fn sound(&self) -> Result<()> {
        self.0.check.damaged().map_or(Ok(()), |why| Err(StoreError::Degraded { why }))
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.0.readers.run(work).await.map_err(|e| e.of(&self.0.place.database))
    }
}

//! One thread owns the only connection that writes. It takes what is queued, carries each request
//! out in a savepoint of its own, commits all of them with one flush to the disk, and only then answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};
use tokio::sync::{mpsc, oneshot, watch};

use super::lock::Lock;
use super::place::Place;
use super::{Result, StoreError, witness};
use crate::shell::crash;

/// Requests that one commit takes at most.
const BATCH: usize = 256;
/// Requests that wait at most; more make their callers wait.
const QUEUE: usize = 1024;

/// Whom what a request changes is news for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Tasks and all that is done for them.
    Work,
    /// Deliveries alone: whoever decides on tasks need not look.
    Deliveries,
}

/// A request under way.
trait Command: Send {
    /// Carries it out; whether it went well.
    fn run(&mut self, conn: &Connection) -> Result<()>;
    /// Whom its changes are news for.
    fn about(&self) -> About;
    /// Ends what lasts until the outcome is on disk.
    fn release(&mut self);
    /// Answers the caller: what `run` gave, unless the transaction came to nothing.
    fn answer(self: Box<Self>, transaction: Result<()>);
}

struct Request<F, T, G> {
    about: About,
    work: Option<F>,
    outcome: Result<T>,
    reply: oneshot::Sender<Result<T>>,
    until: Option<G>,
}

impl<F, T, G> Command for Request<F, T, G>
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
    G: Send,
{
    fn run(&mut self, conn: &Connection) -> Result<()> {
        let Some(work) = self.work.take() else {
            return Err(StoreError::Closed);
        };
        self.outcome = catch_unwind(AssertUnwindSafe(|| work(conn)))
            .unwrap_or_else(|_| Err(StoreError::refused("a defect: the request panicked; the log has its message")));
        self.outcome.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn about(&self) -> About {
        self.about
    }

    fn release(&mut self) {
        self.until = None;
    }

    fn answer(self: Box<Self>, transaction: Result<()>) {
        // A caller that went away does not mind; what it asked for has been done.
        let _ = self.reply.send(transaction.and(self.outcome));
    }
}

enum Message {
    Work(Box<dyn Command>),
    Close,
}

/// The way to the writer thread.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Message>);

/// What the writer thread tells everyone.
pub(super) struct News {
    pub commits: watch::Receiver<u64>,
    pub deliveries: watch::Receiver<u64>,
    pub trouble: watch::Receiver<Option<String>>,
}

impl Writer {
    /// Starts the thread. It keeps `lock` until its connection is closed.
    pub fn start(conn: Connection, lock: Lock, data: &Path, place: Arc<Place>) -> std::io::Result<(Self, News, JoinHandle<()>)> {
        let (send, receive) = mpsc::channel(QUEUE);
        let (commits, seen) = watch::channel(0);
        let (deliveries, heard) = watch::channel(0);
        let (trouble, troubled) = watch::channel(None);
        let data = data.to_owned();
        let state = State {
            conn,
            commits,
            deliveries,
            trouble,
            data,
            place,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
            state.serve(receive);
            drop(lock);
        })?;
        Ok((
            Self(send),
            News {
                commits: seen,
                deliveries: heard,
                trouble: troubled,
            },
            thread,
        ))
    }

    /// Has `work` carried out in a transaction; answers once that is on disk. `until` is dropped
    /// then, before anyone is told of the commit — whether or not the caller still waits.
    pub async fn run<T, F, G>(&self, about: About, until: G, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
        G: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (work, until) = (Some(work), Some(until));
        let request = Request {
            about,
            work,
            outcome: Err(StoreError::Closed),
            reply,
            until,
        };
        self.0
            .send(Message::Work(Box::new(request)))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Has the thread finish what is queued, and end.
    pub async fn close(&self) {
        let _ = self.0.send(Message::Close).await;
    }
}

struct State {
    conn: Connection,
    commits: watch::Sender<u64>,
    deliveries: watch::Sender<u64>,
    trouble: watch::Sender<Option<String>>,
    data: PathBuf,
    place: Arc<Place>,
}

impl State {
    fn serve(self, mut queue: mpsc::Receiver<Message>) {
        while let Some(message) = queue.blocking_recv() {
            let mut batch = Vec::new();
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Work(command) => batch.push(command),
                    // Whoever comes now is refused; what is queued is still carried out.
                    Message::Close => queue.close(),
                }
                next = if batch.len() < BATCH { queue.try_recv().ok() } else { None };
            }
            while !batch.is_empty() {
                batch = self.commit(batch);
            }
        }
        if self.place.moved() {
            // What lies at the path is not ours: the mark keeps a start from taking it for what we leave behind, whose log
            // stays as it is, to be brought back with it.
            let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            let _ = self.conn.close();
            return;
        }
        witness::closing(&self.data);
        // Only this thread moves the log into the database; a failure is made good at the next start.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let _ = self.conn.close();
    }

    /// One transaction. Gives back the requests that were not reached because SQLite rolled back by itself.
    fn commit(&self, batch: Vec<Box<dyn Command>>) -> Vec<Box<dyn Command>> {
        if let Err(e) = self.conn.execute_batch("BEGIN IMMEDIATE") {
            let error = StoreError::from(e).of(&self.place.database);
            self.report(&error);
            batch.into_iter().for_each(|command| command.answer(Err(error.clone())));
            return Vec::new();
        }
        let mut queue = batch.into_iter();
        let mut done = Vec::with_capacity(queue.len());
        let (mut changes, mut heard) = (0, 0);
        let mut broken = None;
        for mut command in queue.by_ref() {
            let outcome = self.savepoint(command.as_mut());
            let news = match command.about() {
                About::Work => &mut changes,
                About::Deliveries => &mut heard,
            };
            done.push(command);
            match outcome {
                Ok(n) => *news += n,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        // As late as can be: what were committed to files that lie elsewhere by now would be acknowledged and lost.
        let broken = broken
            .or_else(|| self.injected(changes + heard))
            .or_else(|| self.place.look().err());
        let transaction = broken.map_or_else(|| self.conn.execute_batch("COMMIT").map_err(StoreError::from), Err);
        if let Err(error) = &transaction {
            if !self.conn.is_autocommit() {
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            self.report(error);
        }
        done.iter_mut().for_each(|command| command.release());
        // A transaction that wrote nothing says nothing about the disk, and wakes nobody.
        if transaction.is_ok() && changes + heard > 0 {
            self.trouble.send_if_modified(|trouble| trouble.take().is_some());
            self.tell(changes, heard);
        }
        done.into_iter().for_each(|command| command.answer(transaction.clone()));
        queue.collect()
    }

    /// What was changed is on disk.
    fn tell(&self, work: u64, deliveries: u64) {
        for (changed, ear) in [(work, &self.commits), (deliveries, &self.deliveries)] {
            if changed > 0 {
                ear.send_modify(|count| *count += 1);
            }
        }
    }

    /// One request in its savepoint; how many rows it changed. An error means that the whole
    /// transaction is lost, with its reason.
    fn savepoint(&self, command: &mut dyn Command) -> Result<u64> {
        let before = self.conn.total_changes();
        self.conn.prepare_cached("SAVEPOINT request")?.execute([])?;
        let outcome = command.run(&self.conn);
        if let Err(error @ StoreError::Degraded { .. }) = &outcome {
            self.report(error);
        }
        if self.conn.is_autocommit() {
            // Full disk, I/O error or no memory: SQLite has rolled everything back by itself.
            return Err(outcome
                .err()
                .unwrap_or_else(|| StoreError::refused("a request ended the transaction")));
        }
        if outcome.is_ok() {
            self.conn.prepare_cached("RELEASE request")?.execute([])?;
            return Ok(self.conn.total_changes() - before);
        }
        self.conn.execute_batch("ROLLBACK TO request; RELEASE request")?;
        Ok(0)
    }

    /// The fault that a test has ordered for this commit; what writes nothing needs no disk.
    fn injected(&self, changes: u64) -> Option<StoreError> {
        let code = match crash::commit_fails(changes > 0)? {
            "full" => ffi::SQLITE_FULL,
            "nomem" => ffi::SQLITE_NOMEM,
            "corrupt" => ffi::SQLITE_CORRUPT,
            _ => ffi::SQLITE_IOERR_WRITE,
        };
        Some(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into())
    }

    fn report(&self, error: &StoreError) {
        let why = error.to_string();
        self.trouble.send_if_modified(|trouble| {
            let changed = trouble.as_ref() != Some(&why);
            *trouble = Some(why);
            changed
        });
    }
}

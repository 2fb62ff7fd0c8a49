//! The budget of a key: Plane counts requests per key over a sliding minute, whoever sends them.
//!
//! A crate's token bucket would not do: what the server says about the rest of the minute has to
//! correct it, and what people wait for goes before listings.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::shell::secret::Secret;

/// The server's window, and a moment for the way there.
const WINDOW: Duration = Duration::from_millis(60_500);
/// Requests per window until the server has said how many it allows: its default.
const ASSUMED: usize = 60;
/// Of the requests in a window this part is kept for what people wait for: one in three.
const RESERVE: usize = 3;
/// Where the server said that little is left, it is asked again so often: what others had sent
/// before leaves its minute when we do not know.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest pause that a server is believed.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// How soon a request is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A person waits for it, or sees it.
    Now,
    /// Listings and sweeps: when there is room.
    Whenever,
}

impl Urgency {
    /// How long a request waits for room before it is put off.
    fn patience(self) -> Duration {
        match self {
            Self::Now => Duration::from_secs(20),
            Self::Whenever => Duration::from_secs(60),
        }
    }
}

/// The budgets of all keys: two projects with one key share one.
#[derive(Clone, Default)]
pub struct Budgets(Arc<Mutex<BTreeMap<[u8; 32], Arc<Budget>>>>);

impl Budgets {
    /// The budget of a key on a server.
    #[must_use]
    pub fn of(&self, url: &str, key: &Secret) -> Arc<Budget> {
        let mut hash = Sha256::new();
        hash.update(url.as_bytes());
        hash.update([0]);
        hash.update(key.reveal().as_bytes());
        let mut all = lock(&self.0);
        Arc::clone(all.entry(hash.finalize().into()).or_default())
    }
}

/// The budget of one key.
#[derive(Default)]
pub struct Budget {
    window: Mutex<Window>,
    room: Notify,
}

struct Window {
    sent: VecDeque<Instant>,
    /// Requests whose answer is awaited: the server may not have counted them yet.
    under_way: usize,
    limit: usize,
    closed_until: Option<Instant>,
    /// Urgent requests that wait for room.
    urgent: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            sent: VecDeque::new(),
            under_way: 0,
            limit: ASSUMED,
            closed_until: None,
            urgent: 0,
        }
    }
}

impl Window {
    /// How long to wait; `None` when there is room.
    fn wait(&mut self, urgency: Urgency, now: Instant) -> Option<Duration> {
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            self.sent.pop_front();
        }
        if let Some(until) = self.closed_until {
            if until > now {
                return Some(until - now);
            }
            self.closed_until = None;
        }
        let most = match urgency {
            Urgency::Now => self.limit,
            Urgency::Whenever if self.urgent > 0 => 0,
            Urgency::Whenever => self.limit - self.limit.div_ceil(RESERVE).min(self.limit - 1),
        };
        if self.sent.len() < most {
            return None;
        }
        // The oldest that has to leave the window before there is room.
        let leaves = self.sent.get(self.sent.len().saturating_sub(most.max(1)));
        let wait = leaves.map_or(Duration::from_millis(50), |at| (*at + WINDOW).duration_since(now));
        // The server counts others' requests, too, or ours from before a start: one asks what is left now.
        let last = self.sent.back().filter(|_| most > 0 && self.sent.len() < ASSUMED.saturating_sub(1));
        match last.map(|at| (*at + AGAIN).saturating_duration_since(now)) {
            Some(Duration::ZERO) if self.limit < ASSUMED => None,
            Some(again) if self.limit < ASSUMED => Some(wait.min(again)),
            _ => Some(wait),
        }
    }
}

/// A request under way. Dropped without an answer it stays counted: the server may have seen it.
pub(super) struct Sent<'a>(&'a Budget, Instant);

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let mut window = lock(&self.0.window);
        window.under_way = window.under_way.saturating_sub(1);
    }
}

impl Sent<'_> {
    /// What the server says is left of the minute.
    pub(super) fn remaining(&self, left: usize) {
        let mut window = lock(&self.0.window);
        let counted = window.sent.len().saturating_sub(window.under_way.saturating_sub(1));
        window.limit = left.saturating_add(counted).clamp(2, 100_000);
        drop(window);
        self.0.room.notify_waiters();
    }

    /// It never reached the server: there was no connection.
    pub(super) fn uncounted(&self) {
        let mut window = lock(&self.0.window);
        if let Some(at) = window.sent.iter().rposition(|at| *at == self.1) {
            window.sent.remove(at);
        }
        drop(window);
        self.0.room.notify_waiters();
    }

    /// The server refused for now: nobody asks before `pause` is over.
    pub(super) fn refused(&self, pause: Duration) {
        let mut window = lock(&self.0.window);
        window.closed_until = Some(Instant::now() + pause.min(PAUSE_MAX));
    }
}

impl Budget {
    /// Waits for room; the error is how long there will be none.
    pub(super) async fn take(&self, urgency: Urgency) -> Result<Sent<'_>, Duration> {
        let deadline = Instant::now() + urgency.patience();
        let mut queued: Option<Queued<'_>> = None;
        loop {
            let news = self.room.notified();
            let wait = {
                let (mut window, now) = (lock(&self.window), Instant::now());
                match window.wait(urgency, now) {
                    None => {
                        window.sent.push_back(now);
                        window.under_way += 1;
                        return Ok(Sent(self, now));
                    }
                    Some(wait) => wait,
                }
            };
            if Instant::now() + wait > deadline {
                return Err(wait);
            }
            if urgency == Urgency::Now && queued.is_none() {
                lock(&self.window).urgent += 1;
                queued = Some(Queued(self));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = news => {}
            }
        }
    }
}

/// An urgent request that waits; listings stand behind it.
struct Queued<'a>(&'a Budget);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut window = lock(&self.0.window);
        window.urgent = window.urgent.saturating_sub(1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;

//! The budget of a key: Plane counts requests per key over a sliding minute, whoever sends them.
//!
//! A crate's token bucket would not do: what the server says about the rest of the minute has to
//! correct it, and a part of it is kept back for what people do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::shell::secret::Secret;

use super::urgency::{Haste, Urgency};

/// The server's window, and a moment for the way there.
const WINDOW: Duration = Duration::from_millis(60_500);
/// Requests per window until the server has said how many it allows: its default.
const ASSUMED: usize = 60;
/// The last requests of a minute are for what people do, also where one asks again to learn what is left.
const LAST: usize = 10;
/// Where the server said that little is left, it is asked again so often: what others had sent
/// before leaves its minute when we do not know.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest pause that a server is believed.
const PAUSE_MAX: Duration = Duration::from_secs(600);

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
    /// Requests that wait for room, by urgency.
    waiting: [usize; Urgency::ALL],
}

impl Default for Window {
    fn default() -> Self {
        Self {
            sent: VecDeque::new(),
            under_way: 0,
            limit: ASSUMED,
            closed_until: None,
            waiting: [0; Urgency::ALL],
        }
    }
}

impl Window {
    /// How long to wait; `None` when there is room for so many `requests`.
    fn wait(&mut self, urgency: Urgency, requests: usize, now: Instant) -> Option<Duration> {
        while self.sent.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            self.sent.pop_front();
        }
        if let Some(until) = self.closed_until {
            if until > now {
                return Some(until - now);
            }
            self.closed_until = None;
        }
        let first = self.waiting.iter().take(urgency as usize).all(|waiting| *waiting == 0);
        let share = urgency.share(self.limit).max(1);
        let after = self.sent.len() + requests.clamp(1, share);
        if first && after <= share {
            return None;
        }
        // The last that has to leave the window before there is room.
        let leaves = after.checked_sub(share + 1).and_then(|last| self.sent.get(last));
        let wait = leaves.map_or(Duration::from_millis(50), |at| (*at + WINDOW).duration_since(now));
        // The server counts others' requests, too, or ours from before a start: one asks what is left now.
        let kept = if urgency <= Urgency::Person { 0 } else { LAST };
        let asks = first && self.sent.len() + 1 < ASSUMED && (kept == 0 || self.sent.len() + kept < self.limit);
        let last = self.sent.back().filter(|_| asks);
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
    pub(super) async fn take(&self, haste: Haste) -> Result<Sent<'_>, Duration> {
        self.wait(haste, 1, |window, now| {
            window.sent.push_back(now);
            window.under_way += 1;
            Sent(self, now)
        })
        .await
    }

    /// Waits for room for so many requests in a row, which is not kept for them; the error is how long there will be none.
    pub(super) async fn room(&self, haste: Haste, requests: usize) -> Result<(), Duration> {
        self.wait(haste, requests, |_, _| ()).await
    }

    async fn wait<T>(&self, haste: Haste, requests: usize, then: impl FnOnce(&mut Window, Instant) -> T) -> Result<T, Duration> {
        let (urgency, deadline) = (haste.urgency, Instant::now() + haste.patience);
        let mut queued: Option<Queued<'_>> = None;
        loop {
            let news = self.room.notified();
            let wait = {
                let (mut window, now) = (lock(&self.window), Instant::now());
                match window.wait(urgency, requests, now) {
                    None => return Ok(then(&mut window, now)),
                    Some(wait) => wait,
                }
            };
            if Instant::now() + wait > deadline {
                return Err(wait);
            }
            if queued.is_none() {
                queued = Some(Queued::new(self, urgency));
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = news => {}
            }
        }
    }
}

/// A request that waits; less urgent ones stand behind it.
struct Queued<'a>(&'a Budget, Urgency);

impl<'a> Queued<'a> {
    fn new(budget: &'a Budget, urgency: Urgency) -> Self {
        if let Some(waiting) = lock(&budget.window).waiting.get_mut(urgency as usize) {
            *waiting += 1;
        }
        Self(budget, urgency)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = lock(&self.0.window).waiting.get_mut(self.1 as usize) {
            *waiting = waiting.saturating_sub(1);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;

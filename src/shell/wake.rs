//! What wakes the loop: commits, work that ended without one, and the next moment that is due.
//!
//! The one rule that keeps it from sleeping through something: what has been seen is marked
//! *before* it is looked at. Whatever happens after the mark, while the loop looks or while it
//! works out how long to sleep, ends the sleep at once. `tests/sim/wake.rs` tries the interleavings.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What a look has found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again when something happens, at the latest after this long.
    Within(Duration),
    /// Looking is of no use before this long has passed, whatever happens.
    NotBefore(Duration),
}

/// The ear of the loop.
pub struct Bell {
    /// Counts up after every commit that changed something.
    pub commits: watch::Receiver<u64>,
    /// Rung for what no commit tells: one ring is kept for a loop that is not asleep.
    pub ring: Arc<Notify>,
}

impl Bell {
    /// Calls `look` until `stop` is cancelled, each time something may be due; `sleep` is the clock.
    /// It also ends when nobody can commit any more.
    pub async fn attend<Look, Looked, Sleep, Slept>(mut self, stop: &CancellationToken, look: Look, sleep: Sleep)
    where
        Look: Fn() -> Looked,
        Looked: Future<Output = Next>,
        Sleep: Fn(Duration) -> Slept,
        Slept: Future<Output = ()>,
    {
        while !stop.is_cancelled() {
            self.commits.borrow_and_update();
            match look().await {
                Next::Within(nap) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    open = self.commits.changed() => if open.is_err() { return },
                    () = self.ring.notified() => {}
                    () = sleep(nap) => {}
                },
                Next::NotBefore(rest) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = sleep(rest) => {}
                },
            }
        }
    }
}

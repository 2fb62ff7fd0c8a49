//! The clock: the only place where time is read for events.
//!
//! What is due is counted on the clock of this boot, suspended time included, and written down as
//! wall time. [`now`] is that: wall time that nobody can set. When the wall clock was set by more
//! than [`JUMP`], [`moved`] says by how much; whoever asked moves what is due along, and then tells
//! [`follow`]. Until then nothing is early or late; only what people see is.
//!
//! `SIGNALBOX_CLOCK=FILE` adds the milliseconds in FILE to the wall clock: tests set it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::engine::model::Millis;

/// A wall clock that differs by more than this was set; less is followed without a word.
pub const JUMP: Millis = Millis::secs(5);

/// What the wall clock is ahead of the clock of this boot, as far as followed.
static AHEAD: LazyLock<AtomicI64> = LazyLock::new(|| AtomicI64::new(wall().0.saturating_sub(boot())));

static ADDED: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("SIGNALBOX_CLOCK").map(PathBuf::from));

/// Now, in milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> Millis {
    Millis(boot().saturating_add(ahead()))
}

/// What [`now`] adds to the clock of this boot, in milliseconds.
#[must_use]
pub fn ahead() -> i64 {
    AHEAD.load(Ordering::Relaxed)
}

/// By how much the wall clock was set since it was last followed. A little is followed at once.
#[must_use]
pub fn moved() -> Option<Millis> {
    let by = Millis(wall().0.saturating_sub(now().0));
    if by.0.saturating_abs() > JUMP.0 {
        return Some(by);
    }
    follow(by);
    None
}

/// Follows the wall clock: from now on it is this much later.
pub fn follow(by: Millis) {
    AHEAD.fetch_add(by.0, Ordering::Relaxed);
}

/// Milliseconds since the machine was started, suspended time included.
fn boot() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)
}

/// The wall clock; zero if it stands before 1970.
fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(added()))
}

fn added() -> i64 {
    let text = ADDED.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|t| t.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_wall_clock_as_long_as_nobody_sets_that() {
        assert!((wall().0 - now().0).abs() <= JUMP.0);
        assert_eq!(moved(), None);
    }
}

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
static WATCH: LazyLock<Watch> = LazyLock::new(|| Watch::new(wall().0.saturating_sub(boot())));

static ADDED: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("SIGNALBOX_CLOCK").map(PathBuf::from));

/// Now, in milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> Millis {
    Millis(boot().saturating_add(ahead()))
}

/// What [`now`] adds to the clock of this boot, in milliseconds.
#[must_use]
pub fn ahead() -> i64 {
    WATCH.ahead()
}

/// By how much the wall clock was set since it was last followed. A little is followed at once.
#[must_use]
pub fn moved() -> Option<Millis> {
    WATCH.jump(wall().0.saturating_sub(boot()))
}

/// Follows the wall clock: from now on it is this much later.
pub fn follow(by: Millis) {
    WATCH.known(by);
}

/// How far a clock that may be set is ahead of one that may not, as far as followed.
pub struct Watch(AtomicI64);

impl Watch {
    /// From now on, by what it is ahead now, in milliseconds.
    #[must_use]
    pub fn new(ahead: i64) -> Self {
        Self(AtomicI64::new(ahead))
    }

    /// How far it is ahead, as far as followed, in milliseconds.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// How far the clock jumped that is ahead by so much, if it did. Small corrections are taken as they come, however
    /// many; a jump is told until it is [`Self::known`].
    #[must_use]
    pub fn jump(&self, ahead: i64) -> Option<Millis> {
        let by = Millis(ahead.saturating_sub(self.ahead()));
        if by.0.saturating_abs() > JUMP.0 {
            return Some(by);
        }
        self.known(by);
        None
    }

    /// What follows from a jump by so much has been done.
    pub fn known(&self, by: Millis) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
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
    fn a_jump_is_told_until_it_is_known_and_corrections_never_are() {
        let watch = Watch::new(100);
        for ahead in [3_000, 6_000, 9_000, 4_100] {
            assert_eq!(watch.jump(ahead), None, "small steps add up to nothing");
        }
        assert_eq!(watch.jump(-3_600_000), Some(Millis(-3_604_100)));
        assert_eq!(watch.jump(-3_600_000), Some(Millis(-3_604_100)), "until it is known");
        watch.known(Millis(-3_604_100));
        assert_eq!(watch.jump(-3_600_000), None);
        assert_eq!(watch.jump(0), Some(Millis(3_600_000)), "forward as well");
    }

    #[test]
    fn it_is_the_wall_clock_as_long_as_nobody_sets_that() {
        assert!((wall().0 - now().0).abs() <= JUMP.0);
        assert_eq!(moved(), None);
    }
}

//! The wall clock: the only place where time is read for events. People set it; what waits goes by
//! the time since the machine was started.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::model::Millis;

/// A clock that is corrected by no more than this is left alone, in milliseconds.
const JUMP: i64 = 5_000;

/// Now, in milliseconds since the Unix epoch; zero if the clock stands before it.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How far the wall clock is ahead of the time since the machine was started, in milliseconds:
/// the same for ever, unless somebody sets the clock. Sleep of the machine counts on both.
#[must_use]
pub fn ahead() -> i64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let millis = boot.tv_sec.saturating_mul(1000).saturating_add(boot.tv_nsec / 1_000_000);
    now().0.saturating_sub(millis)
}

/// Notices that the wall clock was set.
pub struct Watch(AtomicI64);

impl Watch {
    /// From now on; `ahead` as [`ahead`] tells it.
    #[must_use]
    pub fn new(ahead: i64) -> Self {
        Self(AtomicI64::new(ahead))
    }

    /// How far the clock jumped since it was looked at last, if it did. Small corrections are taken
    /// as they come, however many; a jump is told until it is [`Self::known`].
    #[must_use]
    pub fn jump(&self, ahead: i64) -> Option<Millis> {
        let by = ahead.saturating_sub(self.0.load(Ordering::SeqCst));
        if by.abs() > JUMP {
            return Some(Millis(by));
        }
        self.0.store(ahead, Ordering::SeqCst);
        None
    }

    /// What follows from a jump by so much has been done.
    pub fn known(&self, by: Millis) {
        self.0.fetch_add(by.0, Ordering::SeqCst);
    }
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
        let by = watch.jump(-3_600_000).unwrap();
        watch.known(by);
        assert_eq!(watch.jump(-3_600_000), None);
        assert_eq!(watch.jump(0), Some(Millis(3_600_000)), "forward as well");
    }

    #[test]
    fn the_wall_clock_stays_where_it_is_beside_the_other() {
        let watch = Watch::new(ahead());
        assert_eq!(watch.jump(ahead()), None);
    }
}

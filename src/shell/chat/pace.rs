//! How fast a room may be written to.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Between two messages, edits included.
const EACH: Duration = Duration::from_secs(1);
/// Messages that a group takes in a minute.
const PER_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// What was sent lately.
pub(super) struct Pace {
    group: bool,
    sent: VecDeque<Instant>,
}

impl Pace {
    /// Of a room; groups have a limit by the minute besides.
    pub fn new(group: bool) -> Self {
        Self {
            group,
            sent: VecDeque::new(),
        }
    }

    /// When the next message may go.
    pub fn next(&self) -> Option<Instant> {
        let spaced = self.sent.back().map(|last| *last + EACH);
        let full = self.group && self.sent.len() >= PER_MINUTE;
        let minute = self.sent.front().filter(|_| full).map(|first| *first + MINUTE);
        spaced.max(minute)
    }

    /// A message went.
    pub fn went(&mut self, now: Instant) {
        self.sent.push_back(now);
        while self.sent.len() > PER_MINUTE {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(group: bool, count: usize) -> Vec<Duration> {
        let (mut pace, start) = (Pace::new(group), Instant::now());
        let mut now = start;
        let mut times = Vec::new();
        for _ in 0..count {
            now = pace.next().unwrap_or(now).max(now);
            pace.went(now);
            times.push(now.duration_since(start));
        }
        times
    }

    #[test]
    fn a_person_gets_one_a_second() {
        let times = send(false, 50);
        assert!(times.windows(2).all(|w| w[1] - w[0] == EACH), "{times:?}");
    }

    #[test]
    fn a_group_gets_no_more_than_twenty_in_any_minute() {
        let times = send(true, 70);
        assert!(times.windows(2).all(|w| w[1] - w[0] >= EACH), "{times:?}");
        assert!(times.windows(PER_MINUTE + 1).all(|w| w[PER_MINUTE] - w[0] >= MINUTE), "{times:?}");
        assert_eq!(times[19], Duration::from_secs(19));
        assert_eq!(times[20], MINUTE);
    }
}

//! The end of what a log had no room for, kept in memory until there is room again.

use std::collections::VecDeque;

/// Most that is kept, in bytes: what runs are judged by, and a long last line.
const MOST: usize = 256 * 1024;

/// Output on its way to a log that cannot be written.
#[derive(Default)]
pub(super) struct Held {
    tail: VecDeque<u8>,
    /// Bytes before it that are lost, and were not told about.
    untold: u64,
}

impl Held {
    /// Takes more; how many of the oldest bytes are lost for it.
    pub(super) fn push(&mut self, bytes: &[u8]) -> u64 {
        self.tail.extend(bytes);
        let over = self.tail.len().saturating_sub(MOST);
        self.tail.drain(..over);
        self.untold += over as u64;
        over as u64
    }

    /// Bytes lost before what is kept, of which nothing is said in the log yet.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }

    /// The log says it.
    pub(super) fn told(&mut self) {
        self.untold = 0;
    }

    /// The oldest of what is kept, at most so many bytes.
    pub(super) fn first(&self, most: usize) -> Vec<u8> {
        self.tail.iter().take(most).copied().collect()
    }

    /// So many of the oldest bytes are written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.tail.drain(..bytes.min(self.tail.len()));
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.tail.len()
    }

    /// Whether the log lacks nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.untold == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_counted() {
        let mut held = Held::default();
        assert!(held.is_empty());
        assert_eq!(held.push(b"first "), 0);
        assert_eq!(held.push(&vec![b'x'; MOST - 6]), 0);
        assert_eq!((held.len(), held.push(b"end"), held.untold()), (MOST, 3, 3));
        assert_eq!(held.first(4), b"st x");
        held.told();
        held.written(MOST - 3);
        assert_eq!((held.first(64 * 1024), held.untold()), (b"end".to_vec(), 0));
        held.written(9);
        assert!(held.is_empty());
    }
}

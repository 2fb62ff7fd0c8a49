//! Two streams of output become one log: a line that one has begun is not cut by the other.
//!
//! Whoever begins a line at the end of the log goes on there until its newline, byte for byte as it comes; what the other
//! says meanwhile is held. It is not held for ever: whose line is not ended for a while, or never will be, is interrupted,
//! and then a newline is put in between, so that the other begins on a line of its own. No other byte is added, and none
//! of a stream is changed, dropped or moved before an earlier one of the same stream.

use std::time::Duration;

use tokio::time::Instant;

/// Most that is held of one stream while the other ends its line, in bytes.
const MOST: usize = 1024 * 1024;

/// One of the streams of an agent's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output: results come here, in lines that may be long.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    fn other(self) -> Self {
        match self {
            Self::Out => Self::Err,
            Self::Err => Self::Out,
        }
    }

    /// How long its unfinished line may keep the other waiting: when it adds nothing to it, and in all. A result that is
    /// cut in two is lost; a message that is cut in two can still be read.
    fn patience(self) -> (Duration, Duration) {
        match self {
            Self::Out => (Duration::from_secs(5), Duration::from_secs(15)),
            Self::Err => (Duration::from_millis(200), Duration::from_secs(1)),
        }
    }
}

/// Whose line stands unfinished at the end of the log.
struct Owner {
    stream: Stream,
    /// When something was added to it last.
    heard: Instant,
}

/// Joins two streams, whole lines of each.
#[derive(Default)]
pub(super) struct Merge {
    owner: Option<Owner>,
    /// What the stream that does not own the log has said meanwhile.
    held: Vec<u8>,
    /// When it began to wait for the owner's line.
    since: Option<Instant>,
    /// Streams that are over.
    over: Vec<Stream>,
}

impl Merge {
    /// Takes what one stream says, or nothing where all of it is kept back to be masked; gives what the log gets now.
    pub(super) fn push(&mut self, from: Stream, bytes: &[u8], now: Instant) -> Vec<u8> {
        let mut log = Vec::with_capacity(bytes.len());
        match &mut self.owner {
            Some(owner) if owner.stream == from => owner.heard = now,
            Some(_) if bytes.is_empty() => return log,
            Some(owner) => {
                let over = self.over.contains(&owner.stream);
                self.since.get_or_insert(now);
                self.held.extend_from_slice(bytes);
                if over || self.held.len() > MOST {
                    self.interrupt(now, &mut log);
                }
                return log;
            }
            None => {}
        }
        self.say(from, bytes, now, &mut log);
        log
    }

    /// Nothing more comes of this stream; what the log gets now.
    pub(super) fn end(&mut self, stream: Stream, now: Instant) -> Vec<u8> {
        let mut log = Vec::new();
        self.over.push(stream);
        if self.owner() == Some(stream) {
            self.interrupt(now, &mut log);
        }
        log
    }

    /// Whose line is unfinished at the end of the log.
    pub(super) fn owner(&self) -> Option<Stream> {
        self.owner.as_ref().map(|owner| owner.stream)
    }

    /// When what is held has waited long enough, if anything is.
    pub(super) fn due(&self) -> Option<Instant> {
        let (owner, since) = self.owner.as_ref().zip(self.since)?;
        let (quiet, longest) = owner.stream.patience();
        Some((owner.heard + quiet).min(since + longest))
    }

    /// What the log gets because something has waited long enough.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<u8> {
        let mut log = Vec::new();
        if self.due().is_some_and(|due| due <= now) {
            self.interrupt(now, &mut log);
        }
        log
    }

    /// Writes what the owner of the log says, or anyone while nobody is; behind its newline goes what is held.
    fn say(&mut self, from: Stream, bytes: &[u8], now: Instant, log: &mut Vec<u8>) {
        let Some(last) = bytes.last() else { return };
        let first = if self.held.is_empty() { None } else { memchr::memchr(b'\n', bytes) };
        let (line, rest) = bytes.split_at(first.map_or(0, |at| at + 1));
        log.extend_from_slice(line);
        if first.is_some() {
            self.release_lines(now, log);
        }
        log.extend_from_slice(rest);
        if *last != b'\n' {
            self.own(from, now);
            return;
        }
        self.owner = None;
        self.release(from.other(), now, log);
    }

    /// Writes the whole lines of what is held. The rest waits for another line, and anew.
    fn release_lines(&mut self, now: Instant, log: &mut Vec<u8>) {
        let end = memchr::memrchr(b'\n', &self.held).map_or(0, |at| at + 1);
        log.extend(self.held.drain(..end));
        self.since = (!self.held.is_empty()).then_some(now);
    }

    /// Writes all that is held, which `of` said; nobody's line is unfinished before it.
    fn release(&mut self, of: Stream, now: Instant, log: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.since = None;
        log.extend_from_slice(&held);
        if held.last().is_some_and(|last| *last != b'\n') {
            self.own(of, now);
        }
    }

    /// Writes all that is held on a line of its own, in the middle of the owner's.
    fn interrupt(&mut self, now: Instant, log: &mut Vec<u8>) {
        if self.held.is_empty() {
            return;
        }
        if let Some(owner) = self.owner.take() {
            log.push(b'\n');
            self.release(owner.stream.other(), now, log);
        }
    }

    fn own(&mut self, stream: Stream, now: Instant) {
        self.owner = Some(Owner { stream, heard: now });
    }
}

#[cfg(test)]
mod tests;

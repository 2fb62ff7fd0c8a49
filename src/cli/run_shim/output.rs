//! The way of an agent's output: each stream through a pipe of its own, masked, into one log.
//!
//! A pipe for each, so that a line of one is not cut by the other: see [`super::merge`]. A shim that stands still lets the
//! agent wait; nothing else does: of what the disk has no room for only the end is held.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::log_cap::LogCap;
use super::merge::{Merge, Stream};
use super::streams::Streams;
use crate::shell::mask::Mask;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Most that is read of each stream after the end of the run, in bytes: the largest pipe an ordinary user may have. Whoever
/// still writes then does not belong to the run.
const LEFT: usize = 1024 * 1024;
/// Pace of tries to write what is held, while the agent prints nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Output on its way.
pub(super) struct Output {
    stop: oneshot::Sender<()>,
    task: JoinHandle<LogCap>,
}

impl Output {
    /// Takes what comes out of two pipes into a log.
    ///
    /// # Errors
    /// When one is no pipe, or cannot be watched.
    pub(super) fn begin(pipes: Streams, mask: &Mask, log: LogCap) -> io::Result<Self> {
        let pump = Pump {
            out: Tap::new(pipes.out, mask)?,
            err: Tap::new(pipes.err, mask)?,
            merge: Merge::default(),
            log,
            chunk: vec![0; CHUNK],
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(pump.run(stopped));
        Ok(Self { stop, task })
    }

    /// Nothing of the run lives any more: what still is in the pipes is taken, and no end of it waited for. Returns the
    /// log, which may still wait for room.
    pub(super) async fn end(self) -> Option<LogCap> {
        // One that has seen the end of both pipes no longer listens.
        let _ = self.stop.send(());
        self.task.await.ok()
    }
}

/// One stream: its pipe until that has ended, and what is masked in it.
struct Tap {
    pipe: Option<Receiver>,
    mask: Mask,
}

impl Tap {
    fn new(pipe: OwnedFd, mask: &Mask) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(Receiver::from_owned_fd(pipe)?),
            mask: mask.clone(),
        })
    }

    /// Waits until there is something to read; for ever once it has ended.
    async fn readable(&self) -> io::Result<()> {
        match &self.pipe {
            Some(pipe) => pipe.readable().await,
            None => std::future::pending().await,
        }
    }
}

struct Pump {
    out: Tap,
    err: Tap,
    merge: Merge,
    log: LogCap,
    chunk: Vec<u8>,
}

impl Pump {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> LogCap {
        while self.out.pipe.is_some() || self.err.pipe.is_some() {
            let due = self.merge.due();
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                ready = self.out.readable() => if ready.is_err() { break },
                ready = self.err.readable() => if ready.is_err() { break },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = sleep(PAUSE), if self.log.behind() => { self.log.catch_up(); }
            }
            for stream in self.order() {
                self.take(stream);
            }
            self.overdue();
            // Whoever prints without a pause must not keep the shim from its deadline.
            tokio::task::yield_now().await;
        }
        for stream in self.order() {
            self.drain(stream);
        }
        self.log
    }

    fn tap(&mut self, stream: Stream) -> &mut Tap {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Which is read first: whose line is unfinished, so that the other waits the shorter. Else errors come last, since
    /// the last word of a run that failed is one.
    fn order(&self) -> [Stream; 2] {
        match self.merge.owner() {
            Some(Stream::Err) => [Stream::Err, Stream::Out],
            Some(Stream::Out) | None => [Stream::Out, Stream::Err],
        }
    }

    /// Takes one chunk of what has come.
    fn take(&mut self, stream: Stream) {
        let mut chunk = std::mem::take(&mut self.chunk);
        match self.tap(stream).pipe.as_ref().map(|pipe| pipe.try_read(&mut chunk)) {
            Some(Ok(n @ 1..)) => self.write(stream, &chunk[..n]),
            Some(Err(e)) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Some(Ok(_) | Err(_)) => self.end(stream),
            None => {}
        }
        self.chunk = chunk;
    }

    /// Takes one chunk of what lies in the pipe, whether the runtime has noticed it or not; how much that was.
    fn take_now(&mut self, stream: Stream) -> usize {
        let mut chunk = std::mem::take(&mut self.chunk);
        let read = match &self.tap(stream).pipe {
            Some(pipe) => nix::unistd::read(pipe, &mut chunk).unwrap_or(0),
            None => 0,
        };
        if read > 0 {
            self.write(stream, &chunk[..read]);
        }
        self.chunk = chunk;
        read
    }

    /// Lets go what has waited long enough for the end of a line. Whoever is to end it is heard first: the runtime may not
    /// have noticed yet what lies in the pipe.
    fn overdue(&mut self) {
        if self.merge.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        if let Some(owner) = self.merge.owner() {
            self.take_now(owner);
        }
        let bytes = self.merge.overdue(Instant::now());
        self.log.write(&bytes);
    }

    /// Takes what still is in the pipe, and ends it.
    fn drain(&mut self, stream: Stream) {
        let mut left = LEFT;
        while left > 0
            && let n @ 1.. = self.take_now(stream)
        {
            left = left.saturating_sub(n);
        }
        if self.tap(stream).pipe.is_some() {
            self.end(stream);
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let bytes = self.tap(stream).mask.push(bytes);
        let bytes = self.merge.push(stream, &bytes, Instant::now());
        self.log.write(&bytes);
    }

    fn end(&mut self, stream: Stream) {
        let tap = self.tap(stream);
        tap.pipe = None;
        let rest = tap.mask.finish();
        let now = Instant::now();
        let mut bytes = self.merge.push(stream, &rest, now);
        bytes.extend(self.merge.end(stream, now));
        self.log.write(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_cap::Kept;
    use super::*;
    use std::io::{PipeWriter, Write as _};

    /// Output on its way, what the program writes to, and where the log is.
    fn begin(dir: &tempfile::TempDir) -> io::Result<(Output, PipeWriter, PipeWriter, std::path::PathBuf)> {
        let path = dir.path().join("1.log");
        let (read, write) = Streams::pipes()?;
        let output = Output::begin(read, &Mask::new(["hunter2-abc"]), LogCap::create(&path, 1 << 20)?)?;
        Ok((output, write.out.into(), write.err.into(), path))
    }

    #[tokio::test]
    async fn what_lies_in_the_pipe_is_taken_and_its_end_not_waited_for() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (output, mut out, err, path) = begin(&dir)?;
        out.write_all(b"one hunt")?;
        tokio::task::yield_now().await;
        out.write_all(b"er2-abc two hunter2-")?;
        // Somebody else holds the pipes open: that is not waited for.
        let kept = output.end().await.map(LogCap::finish).unwrap_or_default();
        assert_eq!(std::fs::read_to_string(&path)?, "one *** two hunter2-");
        assert_eq!((kept.printed, kept.truncated), (20, false));
        drop((out, err));
        Ok(())
    }

    #[tokio::test]
    async fn an_output_that_was_closed_is_no_trouble() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (output, out, err, _) = begin(&dir)?;
        drop((out, err));
        tokio::task::yield_now().await;
        assert_eq!(output.end().await.map(LogCap::finish), Some(Kept::default()));
        Ok(())
    }

    #[tokio::test]
    async fn each_stream_is_masked_for_itself() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (output, mut out, mut err, path) = begin(&dir)?;
        out.write_all(b"one hunt")?;
        err.write_all(b"er2-abc is none; hunter2-")?;
        while std::fs::read_to_string(&path)? != "one " {
            sleep(Duration::from_millis(1)).await;
        }
        err.write_all(b"abc is\n")?;
        out.write_all(b"er2-abc two\nhunter2-")?;
        let kept = output.end().await.map(LogCap::finish).unwrap_or_default();
        assert_eq!(std::fs::read_to_string(&path)?, "one *** two\ner2-abc is none; *** is\nhunter2-");
        assert!(!kept.truncated);
        Ok(())
    }

    #[tokio::test]
    async fn one_stream_goes_on_when_the_other_is_closed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (output, mut out, mut err, path) = begin(&dir)?;
        err.write_all(b"no newline")?;
        drop(err);
        while std::fs::read_to_string(&path)? != "no newline" {
            sleep(Duration::from_millis(1)).await;
        }
        out.write_all(b"result")?;
        while std::fs::read_to_string(&path)? != "no newline\nresult" {
            sleep(Duration::from_millis(1)).await;
        }
        drop(out);
        let kept = output.end().await.map(LogCap::finish).unwrap_or_default();
        assert_eq!((kept.printed, kept.truncated), (17, false));
        Ok(())
    }

    #[tokio::test]
    async fn a_line_in_a_full_pipe_is_whole_at_the_end() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (output, mut out, mut err, path) = begin(&dir)?;
        let line = "x".repeat(40_000);
        out.write_all(&line.as_bytes()[..20_000])?;
        err.write_all(b"warning\n")?;
        out.write_all(&line.as_bytes()[20_000..])?;
        output.end().await.map(LogCap::finish).unwrap_or_default();
        assert_eq!(std::fs::read_to_string(&path)?, format!("{line}\nwarning\n"));
        Ok(())
    }
}

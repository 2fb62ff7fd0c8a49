//! The way of an agent's output: through one pipe, masked, into the log.
//!
//! Both streams share the pipe, so that their order stays. A shim that stands still lets the agent wait; nothing else
//! does: of what the disk has no room for only the end is held.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::log_cap::LogCap;
use crate::shell::mask::Mask;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Most that is read after the end of the run, in bytes: the largest pipe an ordinary user may have. Whoever still
/// writes then does not belong to the run.
const LEFT: usize = 1024 * 1024;
/// Pace of tries to write what is held, while the agent prints nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Output on its way.
pub(super) struct Output {
    stop: oneshot::Sender<()>,
    task: JoinHandle<LogCap>,
}

impl Output {
    /// Takes what comes out of a pipe into a log.
    ///
    /// # Errors
    /// When it is no pipe, or cannot be watched.
    pub(super) fn begin(pipe: OwnedFd, mask: Mask, log: LogCap) -> io::Result<Self> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(pump(pipe, mask, log, stopped));
        Ok(Self { stop, task })
    }

    /// Nothing of the run lives any more: what still is in the pipe is taken, and no end of it waited for. Returns the
    /// log, which may still wait for room.
    pub(super) async fn end(self) -> Option<LogCap> {
        // One that has seen the end of the pipe no longer listens.
        let _ = self.stop.send(());
        self.task.await.ok()
    }
}

async fn pump(pipe: Receiver, mut mask: Mask, mut log: LogCap, mut stopped: oneshot::Receiver<()>) -> LogCap {
    let mut chunk = vec![0; CHUNK];
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            ready = pipe.readable() => if ready.is_err() { break },
            () = sleep(PAUSE), if log.behind() => { log.catch_up(); }
        }
        match pipe.try_read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => log.write(&mask.push(&chunk[..n])),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
        // Whoever prints without a pause must not keep the shim from its deadline.
        tokio::task::yield_now().await;
    }
    let mut left = LEFT;
    while left > 0
        && let Ok(n @ 1..) = nix::unistd::read(&pipe, &mut chunk)
    {
        log.write(&mask.push(&chunk[..n]));
        left = left.saturating_sub(n);
    }
    log.write(&mask.finish());
    log
}

#[cfg(test)]
mod tests {
    use super::super::log_cap::Kept;
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn what_lies_in_the_pipe_is_taken_and_its_end_not_waited_for() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let (reader, mut writer) = io::pipe()?;
        let output = Output::begin(reader.into(), Mask::new(["hunter2-abc"]), LogCap::create(&path, 1 << 20)?)?;
        writer.write_all(b"one hunt")?;
        tokio::task::yield_now().await;
        writer.write_all(b"er2-abc two hunter2-")?;
        // Somebody else holds the pipe open: that is not waited for.
        let kept = output.end().await.map(LogCap::finish).unwrap_or_default();
        assert_eq!(std::fs::read_to_string(&path)?, "one *** two hunter2-");
        assert_eq!((kept.printed, kept.truncated), (20, false));
        drop(writer);
        Ok(())
    }

    #[tokio::test]
    async fn an_output_that_was_closed_is_no_trouble() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (reader, writer) = io::pipe()?;
        let output = Output::begin(reader.into(), Mask::new([""; 0]), LogCap::create(&dir.path().join("1.log"), 0)?)?;
        drop(writer);
        tokio::task::yield_now().await;
        assert_eq!(output.end().await.map(LogCap::finish), Some(Kept::default()));
        Ok(())
    }
}

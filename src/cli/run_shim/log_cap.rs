//! The bound on a log: beginning and end are kept, the middle is given back to the file system.
//!
//! The agent writes to the file itself, so nothing can stand in between. Instead a hole is
//! punched: offsets stay what they were, appends go on, only the disk space of the middle
//! is freed; a notice stands where the hole begins. Between two looks an agent may exceed the
//! bound by what it writes in that time. Where the file system has no holes, the log is cut back
//! to its beginning and the notice instead, and goes on from there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

/// How often an ordinary log is looked at, and one that grows quickly.
const SLOW: Duration = Duration::from_secs(1);
const FAST: Duration = Duration::from_millis(100);
/// A smaller bound would not hold the notice and a useful tail.
const LEAST: u64 = 16 * 1024;

pub(super) struct LogCap {
    /// Not in append mode: the notice goes to a place in the middle.
    file: Option<File>,
    cap: u64,
    /// Where kept output begins again, once something was dropped.
    resume: u64,
    /// Bytes that a file system without holes has cut off.
    cut: u64,
    last: u64,
}

impl LogCap {
    /// Watches a log that may not exist yet.
    pub(super) fn new(path: &Path, cap: u64) -> Self {
        let file = OpenOptions::new().write(true).read(true).open(path).ok();
        Self {
            file,
            cap: cap.max(LEAST),
            resume: 0,
            cut: 0,
            last: 0,
        }
    }

    /// Drops what is over the bound. Returns after how long to look again.
    pub(super) fn look(&mut self) -> Duration {
        // Nothing a run could do about it: the log is a service to people, not the run's work.
        let Ok(size) = self.bound() else { return SLOW };
        let grown = size.saturating_sub(self.last);
        self.last = size;
        if grown > self.cap / 8 { FAST } else { SLOW }
    }

    /// Bytes printed in all, and whether some were dropped.
    pub(super) fn total(&mut self) -> (u64, bool) {
        let size = self.bound().unwrap_or(self.last);
        (size + self.cut, self.resume > 0)
    }

    fn head(&self) -> u64 {
        self.cap / 4
    }

    fn bound(&mut self) -> io::Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        let size = file.metadata()?.len();
        // The agent may have truncated the file itself.
        self.resume = self.resume.min(size);
        let kept = if self.resume == 0 {
            size
        } else {
            self.head() + (size - self.resume)
        };
        if kept <= self.cap {
            return Ok(size);
        }
        let resume = size - self.cap / 2;
        let head = self.head();
        let notice = notice(resume - head + self.cut);
        let hole = head + notice.len() as u64;
        let signed = |n: u64| i64::try_from(n).map_err(io::Error::other);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(file, flags, signed(hole)?, signed(resume - hole)?) {
            Ok(()) => {
                file.write_all_at(notice.as_bytes(), head)?;
                self.resume = resume;
                Ok(size)
            }
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                self.cut += size - hole;
                let notice = self::notice(self.cut);
                file.set_len(head)?;
                file.write_all_at(notice.as_bytes(), head)?;
                self.resume = head;
                Ok(hole)
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// Always of the same length, so that it can be written over.
fn notice(dropped: u64) -> String {
    format!("\n\n[signalbox: {dropped:>20} bytes of output were dropped here, the log had reached its limit]\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn beginning_and_end_stay_and_disk_use_is_bounded() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let mut agent = OpenOptions::new().append(true).create(true).open(&path)?;
        let cap = 256 * 1024;
        let mut log = LogCap::new(&path, cap);
        writeln!(agent, "the beginning")?;
        for n in 0..40 {
            agent.write_all(format!("{n:>63}\n").repeat(1024).as_bytes())?;
            assert_eq!(log.look(), FAST);
            let used = std::fs::metadata(&path)?.blocks() * 512;
            assert!(used <= cap + 8192, "{used} bytes on disk after {n}");
        }
        writeln!(agent, "the end")?;
        let (bytes, truncated) = log.total();
        assert_eq!((bytes, truncated), (14 + 40 * 65536 + 8, true));
        let text = crate::shell::process::tail(&path, bytes)?;
        assert!(text.starts_with("the beginning\n") && text.ends_with("the end\n"));
        assert_eq!(text.matches("[signalbox:").count(), 1);
        assert!(text.len() as u64 <= cap, "{} bytes readable", text.len());
        Ok(())
    }

    #[test]
    fn a_small_log_is_left_alone() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        std::fs::write(&path, "short\n")?;
        let mut log = LogCap::new(&path, 0);
        assert_eq!((log.look(), log.total()), (SLOW, (6, false)));
        assert_eq!(std::fs::read(&path)?, b"short\n");
        Ok(())
    }
}

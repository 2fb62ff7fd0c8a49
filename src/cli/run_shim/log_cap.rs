//! The log, and the bound on it: beginning and end are kept, the middle is given back to the file system.
//!
//! A hole is punched: offsets stay what they were, so that whoever reads along goes on where it was; only
//! the disk space of the middle is freed; a notice stands where the hole begins. Where the file system has no
//! holes, the log is cut back to its beginning and the notice instead, and goes on from there.
//!
//! The file is opened once and never by its name again: whatever the agent puts there, nothing else is written to.
//! So it is at the limit on the size of files. What the disk has no room for is dropped, which a notice says once there is room.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

/// A smaller bound would not hold the notice and a useful tail.
const LEAST: u64 = 16 * 1024;
/// Bytes written between two looks at the bound.
const STEP: usize = 64 * 1024;

pub(super) struct LogCap {
    /// Not in append mode: the notice goes to a place in the middle.
    file: File,
    cap: u64,
    /// Where the middle begins, once there is one.
    head: u64,
    /// Where the next byte goes.
    size: u64,
    /// Where kept output begins again, once something was dropped.
    resume: u64,
    /// Bytes that a file system without holes has cut off.
    cut: u64,
    /// Bytes given to be written.
    printed: u64,
    /// Those of them for which there was no room, and those not yet told about.
    lost: u64,
    untold: u64,
}

impl LogCap {
    /// Opens a log, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened, or something else lies in its place.
    pub(super) fn create(path: &Path, cap: u64) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(flags.bits()).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let cap = cap.max(LEAST);
        Ok(Self {
            file,
            cap,
            head: cap / 4,
            size: found.len(),
            resume: 0,
            cut: 0,
            printed: 0,
            lost: 0,
            untold: 0,
        })
    }

    /// Writes, and drops what is over the bound, or what there is no room for.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.printed += bytes.len() as u64;
        for piece in bytes.chunks(STEP) {
            let done = if self.tell() { self.put(piece) } else { 0 };
            self.lost += (piece.len() - done) as u64;
            self.untold += (piece.len() - done) as u64;
            // Nothing a run could do about it: the log is a service to people, not the run's work.
            let _ = self.bound();
        }
    }

    /// The last word. Bytes printed in all, and whether some were dropped.
    pub(super) fn finish(mut self) -> (u64, bool) {
        self.tell();
        (self.printed, self.resume > 0 || self.lost > 0)
    }

    /// Says what was lost, if it was not said yet and can be.
    fn tell(&mut self) -> bool {
        if self.untold == 0 {
            return true;
        }
        let (at, notice) = (self.size, lost(self.untold));
        if self.put(notice.as_bytes()) == notice.len() {
            self.untold = 0;
            return true;
        }
        // A torn notice would be taken for the agent's own words.
        self.size = self.size.min(at);
        let _ = self.file.set_len(self.size);
        false
    }

    /// Writes as much as there is room for.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.write_at(&bytes[done..], self.size) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    self.size += n as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::FileTooLarge && self.shorten() => {}
                Err(_) => break,
            }
        }
        done
    }

    fn bound(&mut self) -> io::Result<()> {
        let (size, head) = (self.size, self.head);
        let kept = if self.resume == 0 { size } else { head + (size - self.resume) };
        if kept <= self.cap {
            return Ok(());
        }
        let resume = size - self.cap / 2;
        let notice = notice(resume - head + self.cut);
        let hole = head + notice.len() as u64;
        let signed = |n: u64| i64::try_from(n).map_err(io::Error::other);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(&self.file, flags, signed(hole)?, signed(resume - hole)?) {
            Ok(()) => {
                self.file.write_all_at(notice.as_bytes(), head)?;
                self.resume = resume;
                Ok(())
            }
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.cut_back(),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives back all but the beginning, and goes on from there.
    fn cut_back(&mut self) -> io::Result<()> {
        let hole = self.head + notice(0).len() as u64;
        self.cut += self.size.saturating_sub(hole);
        let notice = notice(self.cut);
        self.file.set_len(self.head)?;
        self.file.write_all_at(notice.as_bytes(), self.head)?;
        (self.resume, self.size) = (self.head, hole);
        Ok(())
    }

    /// No file may grow over what this one has come to. Whether there is room again.
    fn shorten(&mut self) -> bool {
        if self.resume == 0 {
            self.head = self.head.min(self.size / 4);
        }
        self.size > self.head + LEAST && self.cut_back().is_ok()
    }
}

/// Always of the same length, so that it can be written over.
fn notice(dropped: u64) -> String {
    format!("\n\n[signalbox: {dropped:>20} bytes of output were dropped here, the log had reached its limit]\n\n")
}

fn lost(bytes: u64) -> String {
    format!("\n\n[signalbox: {bytes} bytes of output were lost here, they could not be written; was the disk full?]\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn beginning_and_end_stay_and_disk_use_is_bounded() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let cap = 256 * 1024;
        let mut log = LogCap::create(&path, cap)?;
        log.write(b"the beginning\n");
        for n in 0..40 {
            log.write(format!("{n:>63}\n").repeat(1024).as_bytes());
            let used = std::fs::metadata(&path)?.blocks() * 512;
            assert!(used <= cap + 8192, "{used} bytes on disk after {n}");
        }
        log.write(b"the end\n");
        let (bytes, truncated) = log.finish();
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
        let mut log = LogCap::create(&path, 0)?;
        log.write(b"short\n");
        assert_eq!(log.finish(), (6, false));
        assert_eq!(std::fs::read(&path)?, b"short\n");
        Ok(())
    }

    #[test]
    fn what_could_not_be_written_is_said() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let mut log = LogCap::create(&path, 0)?;
        log.write(b"one\n");
        // Every write to this one finds the disk full.
        let real = std::mem::replace(&mut log.file, OpenOptions::new().write(true).open("/dev/full")?);
        log.write(b"two\n");
        log.write(b"three\n");
        log.file = real;
        log.write(b"four\n");
        assert_eq!(log.finish(), (19, true));
        let text = std::fs::read_to_string(&path)?;
        assert!(
            text.starts_with("one\n\n\n[signalbox: 10 bytes of output were lost here") && text.ends_with("]\n\nfour\n"),
            "{text}"
        );
        Ok(())
    }

    #[test]
    fn only_a_file_is_taken_for_a_log() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link)?;
        assert!(LogCap::create(&pipe, 0).is_err() && LogCap::create(&link, 0).is_err());
        assert!(!dir.path().join("elsewhere").exists());
        Ok(())
    }
}

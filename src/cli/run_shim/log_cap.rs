//! The log, and the bound on it: beginning and end are kept, the middle is given back to the file system.
//!
//! A hole is punched: offsets stay what they were, so that whoever reads along goes on where it was; only
//! the disk space of the middle is freed; a notice stands where the hole begins. Where the file system has no
//! holes, the log is cut back to its beginning and the notice instead, and goes on from there.
//!
//! The file is opened once and never by its name again: whatever the agent puts there, nothing else is written to.
//! So it is at the limit on the size of files. Of what the disk has no room for the end is held in memory and written once there
//! is room, before what follows; a notice says how much is missing before it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use super::held::Held;

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
    /// Those of them that are lost because they could not be written, and those of these that only lacked room.
    lost: u64,
    starved: u64,
    /// What could not be written yet.
    held: Held,
    /// Whether the last try failed for want of room.
    no_room: bool,
}

/// What became of a run's output.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// Bytes printed in all.
    pub(super) printed: u64,
    /// Whether some of them are missing in the log.
    pub(super) truncated: bool,
    /// How many are missing because the disk had no room for them.
    pub(super) starved: u64,
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
            starved: 0,
            held: Held::default(),
            no_room: false,
        })
    }

    /// Writes, drops what is over the bound, and holds the end of what cannot be written.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.printed += bytes.len() as u64;
        for piece in bytes.chunks(STEP) {
            let done = if self.catch_up() { self.put(piece) } else { 0 };
            let over = self.held.push(&piece[done..]);
            self.lose(over);
            // Nothing a run could do about it: the log is a service to people, not the run's work.
            let _ = self.bound();
        }
    }

    /// Whether something waits to be written.
    pub(super) fn behind(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether it waits for nothing but room.
    pub(super) fn waits_for_room(&self) -> bool {
        self.behind() && self.no_room
    }

    /// Writes what is held, as far as that can be done; `true` when all of it is written.
    pub(super) fn catch_up(&mut self) -> bool {
        if !self.behind() {
            return true;
        }
        if !self.tell() {
            return false;
        }
        while self.behind() {
            let piece = self.held.first(STEP);
            let done = self.put(&piece);
            self.held.written(done);
            let _ = self.bound();
            if done < piece.len() {
                return false;
            }
        }
        true
    }

    /// The last word: what is held by now is lost.
    pub(super) fn finish(mut self) -> Kept {
        self.lose(self.held.len() as u64);
        Kept {
            printed: self.printed,
            truncated: self.resume > 0 || self.lost > 0,
            starved: self.starved,
        }
    }

    fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
        self.starved += if self.no_room { bytes } else { 0 };
    }

    /// Says what was lost, if it was not said yet and can be.
    fn tell(&mut self) -> bool {
        if self.held.untold() == 0 {
            return true;
        }
        let (at, notice) = (self.size, lost(self.held.untold()));
        if self.put(notice.as_bytes()) == notice.len() {
            self.held.told();
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
        self.no_room = false;
        while done < bytes.len() {
            match self.file.write_at(&bytes[done..], self.size) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    self.size += n as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::FileTooLarge && self.shorten() => {}
                Err(e) => {
                    self.no_room = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
                    break;
                }
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
        let kept = log.finish();
        assert_eq!((kept.printed, kept.truncated, kept.starved), (14 + 40 * 65536 + 8, true, 0));
        let text = crate::shell::process::tail(&path, kept.printed)?;
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
        let kept = log.finish();
        assert_eq!((kept.printed, kept.truncated, kept.starved), (6, false, 0));
        assert_eq!(std::fs::read(&path)?, b"short\n");
        Ok(())
    }

    /// A log, and what is to be its file again: until then every write to it finds the disk full.
    fn full(path: &Path, cap: u64) -> io::Result<(LogCap, File)> {
        let mut log = LogCap::create(path, cap)?;
        log.write(b"one\n");
        let real = std::mem::replace(&mut log.file, OpenOptions::new().write(true).open("/dev/full")?);
        Ok((log, real))
    }

    #[test]
    fn what_a_full_disk_had_no_room_for_is_written_before_what_follows() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let (mut log, real) = full(&path, 0)?;
        log.write(b"two\n");
        log.write(b"three\n");
        assert!(log.waits_for_room() && !log.catch_up());
        log.file = real;
        log.write(b"four\n");
        assert!(!log.behind());
        let kept = log.finish();
        assert_eq!((kept.printed, kept.truncated, kept.starved), (19, false, 0));
        assert_eq!(std::fs::read_to_string(&path)?, "one\ntwo\nthree\nfour\n");
        Ok(())
    }

    #[test]
    fn of_much_the_end_comes_behind_a_notice_of_what_is_missing() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let (mut log, real) = full(&path, 1 << 20)?;
        for _ in 0..16 {
            log.write(format!("{:>63}\n", "much").repeat(1024).as_bytes());
        }
        log.write(b"the result\n");
        log.file = real;
        assert!(log.catch_up());
        let kept = log.finish();
        assert_eq!(
            (kept.printed, kept.truncated, kept.starved),
            (4 + (1 << 20) + 11, true, (3 << 18) + 11)
        );
        let text = std::fs::read_to_string(&path)?;
        assert!(text.starts_with("one\n\n\n[signalbox: 786443 bytes of output were lost here"));
        assert!(text.ends_with("much\nthe result\n") && text.len() > 256 * 1024);
        Ok(())
    }

    #[test]
    fn what_is_written_late_keeps_to_the_bound() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let (mut log, real) = full(&path, 64 * 1024)?;
        log.write(&b"late line\n".repeat(20 * 1024));
        log.file = real;
        assert!(log.catch_up());
        log.write(b"the result\n");
        assert!(log.finish().truncated);
        assert!(std::fs::metadata(&path)?.blocks() * 512 <= 64 * 1024 + 8192);
        assert!(crate::shell::process::tail(&path, 1 << 20)?.ends_with("late line\nthe result\n"));
        Ok(())
    }

    #[test]
    fn only_room_is_waited_for() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("1.log");
        let (mut log, _real) = full(&path, 0)?;
        log.file = File::open(&path)?;
        log.write(b"two\n");
        assert!(log.behind() && !log.waits_for_room(), "it may not be written at all");
        let kept = log.finish();
        assert_eq!((kept.truncated, kept.starved), (true, 0));
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

//! Keeps a second instance out of a data directory: by a lock on the directory itself, which nobody can remove under a running
//! service, and by one on `signalbox.lock`, which says who it is and keeps out versions that know only that.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::OpenError;

/// The lock's name in the data directory.
const FILE: &str = "signalbox.lock";

/// The lock of a data directory, given back when dropped. The file stays: removing a lock file
/// that another process has just opened would let two in.
pub(super) struct Lock {
    file: Flock<File>,
    _directory: Flock<File>,
}

impl Lock {
    /// Takes the lock and writes our process id into it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process holds it, else what keeps directory or file from being used.
    pub fn take(data: &Path) -> Result<Self, OpenError> {
        let directory = File::open(data).map_err(|e| unusable(data, &e))?;
        let directory = exclusive(data, data, directory)?;
        let path = data.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| unusable(&path, &e))?;
        let mut file = exclusive(data, &path, file)?;
        write_pid(&mut file).map_err(|e| unusable(&path, &e))?;
        Ok(Self {
            file,
            _directory: directory,
        })
    }
}

fn exclusive(data: &Path, path: &Path, file: File) -> Result<Flock<File>, OpenError> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, errno)| match errno {
        Errno::EWOULDBLOCK => held(data, &file),
        errno => unusable(path, &errno.into()),
    })
}

/// Who uses a data directory now; nothing is made or changed there.
#[must_use]
pub fn in_use(data: &Path) -> Option<OpenError> {
    [data.to_owned(), data.join(FILE)].iter().find_map(|path| {
        // Where it cannot be read, whoever opens the directory is told why.
        let file = File::open(path).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((file, Errno::EWOULDBLOCK)) => Some(held(data, &file)),
            _ => None,
        }
    })
}

/// Who holds this lock of a data directory: what its file says, or, where that is gone, the system.
fn held(data: &Path, lock: &File) -> OpenError {
    let said = File::open(data.join(FILE)).ok().and_then(read_pid);
    OpenError::Locked {
        path: data.to_owned(),
        pid: said.or_else(|| {
            let inode = lock.metadata().ok()?.ino();
            holder(&std::fs::read_to_string("/proc/locks").ok()?, inode)
        }),
    }
}

/// The process that holds a lock of this kind on an inode, by the system's list of locks: `1: FLOCK ADVISORY WRITE 77 fd:01:1234 0
/// EOF`. The device is left out: file systems such as Btrfs tell another one to whoever asks for the file.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = words[..] else {
            return None;
        };
        let same = place.rsplit(':').next()?.parse() == Ok(inode);
        pid.parse().ok().filter(|_| same)
    })
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A stale process id would only mislead; failing to clear it does no harm.
        let _ = self.file.set_len(0);
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(mut file: File) -> Option<u32> {
    let mut text = String::new();
    Read::by_ref(&mut file).take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Refuses a folder in the place of one of the database's files, of which SQLite says no more than that it cannot be opened.
pub(super) fn files(database: &Path) -> Result<(), OpenError> {
    let named = |suffix: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut all = ["", "-wal", "-shm", "-journal"].into_iter().map(named);
    all.find(|path| path.is_dir())
        .map_or(Ok(()), |path| Err(OpenError::Folder { path }))
}

/// What keeps a file or directory from being used.
pub(super) fn unusable(path: &Path, e: &std::io::Error) -> OpenError {
    if e.kind() == ErrorKind::IsADirectory {
        return OpenError::Folder { path: path.to_owned() };
    }
    if matches!(
        e.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    ) {
        OpenError::DiskFull {
            path: path.to_owned(),
            why: e.to_string(),
        }
    } else {
        OpenError::Directory {
            path: path.to_owned(),
            why: e.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_kept_out_and_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).err().unwrap();
        assert_eq!(in_use(dir.path()).map(|e| e.to_string()), Some(refused.to_string()));
        assert!(
            matches!(refused, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
            "{refused}"
        );
        assert!(refused.to_string().contains(&std::process::id().to_string()));
        drop(held);
        assert!(in_use(dir.path()).is_none() && in_use(&dir.path().join("missing")).is_none());
        Lock::take(dir.path()).unwrap();
    }

    /// Neither is the directory free when somebody removes the file, nor is the process forgotten that holds it.
    #[test]
    fn a_lock_file_that_is_removed_or_replaced_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        for _ in 0..2 {
            let refused = Lock::take(dir.path()).err().unwrap();
            assert!(
                matches!(&refused, OpenError::Locked { pid: Some(pid), .. } if *pid == std::process::id()),
                "{refused}"
            );
            assert!(in_use(dir.path()).is_some());
            assert!(!dir.path().join(FILE).exists(), "who is kept out makes nothing");
        }
        std::fs::write(dir.path().join(FILE), "").unwrap();
        assert!(in_use(dir.path()).is_some());
        drop(held);
        Lock::take(dir.path()).unwrap();
    }

    /// As a service of a version that knows only the file holds it.
    #[test]
    fn a_lock_of_the_file_alone_counts_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(FILE)).unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert!(Lock::take(dir.path()).is_err() && in_use(dir.path()).is_some());
        drop(held);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn the_systems_list_names_who_holds_a_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:42 0 EOF\n2: FLOCK  ADVISORY  WRITE 77 fd:01:420 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 78 fd:01:42 0 EOF\n3: FLOCK  ADVISORY  WRITE 79 00:2f:42 0 EOF\nodd\n";
        assert_eq!(
            (holder(locks, 42), holder(locks, 420), holder(locks, 7)),
            (Some(79), Some(77), None)
        );
    }

    #[test]
    fn a_longer_pid_of_a_dead_holder_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "99999999999999\n").unwrap();
        let _held = Lock::take(dir.path()).unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.path().join(FILE)).unwrap(),
            format!("{}\n", std::process::id())
        );
    }
}

//! `signalbox.lock` keeps a second instance out of a data directory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::OpenError;

/// The lock's name in the data directory.
const FILE: &str = "signalbox.lock";

/// The lock of a data directory, given back when dropped. The file stays: removing a lock file
/// that another process has just opened would let two in.
pub(super) struct Lock(Flock<File>);

impl Lock {
    /// Takes the lock and writes our process id into it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process holds it, else what keeps the file from being used.
    pub fn take(data: &Path) -> Result<Self, OpenError> {
        let path = data.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| unusable(&path, &e))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((file, Errno::EWOULDBLOCK)) => {
                return Err(OpenError::Locked {
                    path: data.to_owned(),
                    pid: read_pid(file),
                });
            }
            Err((_, errno)) => return Err(unusable(&path, &errno.into())),
        };
        write_pid(&mut lock).map_err(|e| unusable(&path, &e))?;
        Ok(Self(lock))
    }
}

/// Who uses a data directory now; nothing is made or changed there.
#[must_use]
pub fn in_use(data: &Path) -> Option<OpenError> {
    // Where it cannot be read, whoever opens the directory is told why.
    let file = File::open(data.join(FILE)).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Err((file, Errno::EWOULDBLOCK)) => Some(OpenError::Locked {
            path: data.to_owned(),
            pid: read_pid(file),
        }),
        _ => None,
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A stale process id would only mislead; failing to clear it does no harm.
        let _ = self.0.set_len(0);
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

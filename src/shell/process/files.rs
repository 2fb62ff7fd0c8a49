//! Small JSON files that appear whole or not at all, and reading what an agent may have put in the place of a file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::shell::folder;

/// Writes `value` as JSON so that a reader, even after a power loss, sees the old file or the
/// new one: temporary file, fsync, rename, fsync of the directory. Mode 0600.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    let temp = temp_name(path);
    let written = write_synced(&temp, &bytes)
        .and_then(|()| fs::rename(&temp, path))
        .and_then(|()| sync_parent(path));
    if written.is_err() {
        // A half-written temporary file would only eat the space that the next try needs.
        let _ = fs::remove_file(&temp);
    }
    written
}

/// Makes `path` with `bytes` unless it exists; `false` when it does. Content and name appear together.
pub(crate) fn create_exclusive(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temp = temp_name(path);
    let made = write_synced(&temp, bytes).and_then(|()| match fs::hard_link(&temp, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    });
    let _ = fs::remove_file(&temp);
    if made? {
        sync_parent(path)?;
        return Ok(true);
    }
    Ok(false)
}

/// Gives us back a folder or file of our own whose permissions somebody took away: agents work under the same user. Whether that was
/// needed.
///
/// # Errors
/// When it is not there, or its permissions cannot be changed.
pub(crate) fn reclaim(path: &Path) -> io::Result<bool> {
    let found = path.symlink_metadata()?;
    let mode = found.permissions().mode();
    let needed = match (found.is_dir(), found.is_file()) {
        (true, _) => OURS,
        (_, true) => OURS_OF_FILE,
        _ => return Ok(false),
    };
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !ours || mode & needed == needed {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 | needed))?;
    Ok(true)
}

/// Makes `dir` a folder that can be written into, whatever lies there: its permissions are mended, and what is no folder is removed.
///
/// # Errors
/// When that cannot be done.
pub(crate) fn folder(dir: &Path) -> io::Result<()> {
    match dir.symlink_metadata() {
        Ok(found) if found.is_dir() => reclaim(dir).map(drop),
        Ok(_) => fs::remove_file(dir).and_then(|()| fs::create_dir(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(dir),
        Err(error) => Err(error),
    }
}

/// What an owner needs to work in a folder: `rwx`.
const OURS: u32 = 0o700;
/// The same of a file: `rw`.
const OURS_OF_FILE: u32 = 0o600;
/// Longest small file, in bytes: what is larger is nobody's record.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Opens a file below a run's folder for reading. Whatever an agent put there instead is refused, not
/// waited for: a pipe nobody writes to would be read for ever, a device without end.
///
/// # Errors
/// When it cannot be opened, or is no regular file.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// Reads a small file below a run's folder.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer than 16 MiB.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if open_regular(path)?.take(LONGEST + 1).read_to_end(&mut bytes)? as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
    }
    Ok(bytes)
}

/// Reads a JSON file; `None` when it is absent.
///
/// # Errors
/// When it cannot be read, or is not what it should be.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_small(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn temp_name(path: &Path) -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    name.into()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(folder::of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_creator_wins() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("owner");
        assert!(create_exclusive(&path, b"one")?);
        assert!(!create_exclusive(&path, b"two")?);
        assert_eq!(fs::read(&path)?, b"one");
        assert_eq!(fs::read_dir(dir.path())?.count(), 1, "temporary files stayed behind");
        Ok(())
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (pipe, link) = (dir.path().join("pipe"), dir.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
        std::os::unix::fs::symlink("/dev/zero", &link)?;
        for path in [&pipe, &link, Path::new("/dev/zero"), dir.path()] {
            assert!(read_small(path).is_err(), "{}", path.display());
            assert!(read_json::<Vec<i32>>(path).is_err(), "{}", path.display());
        }
        Ok(())
    }

    #[test]
    fn a_folder_is_ours_again_whatever_became_of_it() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let place = dir.path().join("place");
        let mode = || io::Result::Ok(fs::metadata(&place)?.permissions().mode() & 0o7777);
        folder(&place)?;
        for spoilt in [0o000, 0o500, 0o1055] {
            fs::set_permissions(&place, Permissions::from_mode(spoilt))?;
            assert!(reclaim(&place)?);
            assert_eq!(mode()?, spoilt | 0o700, "what others may is left alone");
            assert!(!reclaim(&place)?, "nothing to mend");
        }
        fs::remove_dir(&place)?;
        assert!(reclaim(&place).is_err());
        fs::write(&place, "in the way")?;
        folder(&place)?;
        fs::remove_dir(&place)?;
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &place)?;
        assert!(!reclaim(&place)?, "a link is nobody's folder");
        folder(&place)?;
        assert!(place.symlink_metadata()?.is_dir());
        Ok(())
    }

    #[test]
    fn json_round_trip_and_absence() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("x.json");
        assert_eq!(read_json::<Vec<i32>>(&path)?, None);
        write_json(&path, &vec![1, 2])?;
        write_json(&path, &vec![3])?;
        assert_eq!(read_json::<Vec<i32>>(&path)?, Some(vec![3]));
        fs::write(&path, "{")?;
        assert!(read_json::<Vec<i32>>(&path).is_err());
        Ok(())
    }
}

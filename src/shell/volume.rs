//! Room on a disk.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// A disk with less room than this, in bytes, is full: git and agents need more than that for anything.
const LEAST: u64 = 1 << 20;
/// The same of files and folders that may still be made: a checkout has more.
const LEAST_FILES: u64 = 16;

/// Room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What who is not root may still write, in bytes.
    pub free: u64,
    /// All of it, used or not, in bytes.
    pub total: u64,
    /// How many files and folders who is not root may still make (inodes); `None` where that is not bounded.
    pub files: Option<u64>,
}

impl Room {
    /// Whether hardly anything more can be written, be it for want of bytes or of inodes.
    #[must_use]
    pub fn full(&self) -> bool {
        self.free < LEAST || self.files.is_some_and(|files| files < LEAST_FILES)
    }

    /// What is left, in words: `0 MiB free`, `812 MiB and 0 inodes free`.
    #[must_use]
    pub fn left(&self) -> String {
        let free = self.free >> 20;
        match self.files.filter(|files| *files < LEAST_FILES) {
            Some(files) => format!("{free} MiB and {files} inodes free"),
            None => format!("{free} MiB free"),
        }
    }
}

/// Room of the file system on which `path` lies.
///
/// # Errors
/// What the system says: `path` is not there, or may not be looked at.
pub fn room(path: &Path) -> io::Result<Room> {
    let stat = statvfs(path)?;
    Ok(Room {
        free: stat.blocks_available().saturating_mul(stat.fragment_size()),
        total: stat.blocks().saturating_mul(stat.fragment_size()),
        // Some file systems count none: they have none to run out of.
        files: (stat.files() > 0).then(|| stat.files_available()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(free: u64, files: Option<u64>) -> Room {
        Room {
            free,
            total: 1 << 30,
            files,
        }
    }

    #[test]
    fn a_disk_is_full_without_bytes_or_without_inodes() {
        for room in [with(LEAST, None), with(1 << 30, Some(LEAST_FILES))] {
            assert!(!room.full(), "{room:?}");
        }
        for (room, left) in [
            (with(0, None), "0 MiB free"),
            (with(LEAST - 1, Some(5000)), "0 MiB free"),
            (with(812 << 20, Some(0)), "812 MiB and 0 inodes free"),
        ] {
            assert!(room.full(), "{room:?}");
            assert_eq!(room.left(), left);
        }
    }

    #[test]
    fn this_disk_says_how_much_room_it_has() {
        let found = room(Path::new("/")).unwrap();
        assert!(found.total >= found.free && room(Path::new("/no/such/place")).is_err());
    }
}

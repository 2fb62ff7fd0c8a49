//! Room on a disk.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What who is not root may still write.
    pub free: u64,
    /// All of it, used or not.
    pub total: u64,
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
    })
}

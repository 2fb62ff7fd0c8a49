//! Copies of files that have holes: logs are capped by giving the blocks of their middle back to the file system, while
//! the offsets stay. What takes no room is not to take any in the copy.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// Copies a file with those of its permissions that are in `rights`; what are holes in it stay holes.
///
/// # Errors
/// As [`std::fs::copy`].
pub(super) fn copy(from: &Path, to: &Path, rights: u32) -> io::Result<()> {
    let mut source = File::open(from)?;
    let found = source.metadata()?;
    let mut options = OpenOptions::new();
    let kept = found.mode() & rights;
    options.write(true).create(true).truncate(true).mode(kept);
    let mut target = options.open(to)?;
    target.set_permissions(Permissions::from_mode(kept))?;
    // Of a file that grows meanwhile, what it had at the beginning.
    let length = found.len();
    target.set_len(length)?;
    let mut at = 0;
    while let Some((begin, end)) = data(&source, at, length)? {
        source.seek(SeekFrom::Start(begin))?;
        target.seek(SeekFrom::Start(begin))?;
        io::copy(&mut (&source).take(end - begin), &mut target)?;
        at = end;
    }
    Ok(())
}

/// The next stretch of a file, behind `from` and up to `length`, that is no hole.
fn data(file: &File, from: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if from >= length {
        return Ok(None);
    }
    let begin = match seek(file, from, Whence::SeekData) {
        Ok(begin) => begin,
        // All the rest is a hole.
        Err(Errno::ENXIO) => return Ok(None),
        // A file system that does not tell has none.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some((from, length))),
        Err(errno) => return Err(errno.into()),
    };
    let end = match seek(file, begin, Whence::SeekHole) {
        Ok(end) => end.min(length),
        // It was cut off meanwhile.
        Err(Errno::ENXIO) => length,
        Err(errno) => return Err(errno.into()),
    };
    Ok((begin < end).then_some((begin, end)))
}

fn seek(file: &File, from: u64, whence: Whence) -> Result<u64, Errno> {
    let from = from.try_into().map_err(|_| Errno::EOVERFLOW)?;
    let at = lseek(file, from, whence)?;
    u64::try_from(at).map_err(|_| Errno::EOVERFLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    /// A log as the cap leaves it: a beginning, a hole of a gigabyte, an end, and no room behind it.
    #[test]
    fn holes_stay_holes_and_every_byte_is_where_it_was() {
        const GIB: u64 = 1 << 30;
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("7.log"), dir.path().join("copy"));
        let mut file = File::create(&from).unwrap();
        file.write_all(&[b'a'; 70_000]).unwrap();
        file.seek(SeekFrom::Start(GIB)).unwrap();
        file.write_all(b"the end").unwrap();
        file.set_len(GIB + (1 << 20)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
        file.sync_all().unwrap();
        copy(&from, &to, !0).unwrap();
        File::open(&to).unwrap().sync_all().unwrap();
        let (was, is) = (from.metadata().unwrap(), to.metadata().unwrap());
        assert_eq!((is.len(), is.mode()), (was.len(), was.mode()));
        assert!(is.blocks() <= was.blocks() + 64, "{} blocks of {}", is.blocks(), was.blocks());
        let mut copied = File::open(&to).unwrap();
        let mut read = |at: u64, len: usize| {
            let mut bytes = vec![1; len];
            copied.seek(SeekFrom::Start(at)).unwrap();
            copied.read_exact(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read(0, 70_000), [b'a'; 70_000]);
        assert_eq!(read(70_000, 9), [0; 9]);
        assert_eq!(read(GIB, 8), b"the end\0");
    }

    #[test]
    fn files_without_holes_and_without_content_are_copied_too() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"x", &[7; 300_000]] {
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            fs::write(&from, content).unwrap();
            fs::write(&to, "what was there before is longer than a word").unwrap();
            copy(&from, &to, !0).unwrap();
            assert_eq!(fs::read(&to).unwrap(), content);
        }
        let hole = dir.path().join("hole");
        File::create(&hole).unwrap().set_len(1 << 20).unwrap();
        copy(&hole, &dir.path().join("to"), !0).unwrap();
        assert_eq!(fs::read(dir.path().join("to")).unwrap(), vec![0; 1 << 20]);
        let gone = copy(&dir.path().join("gone"), &dir.path().join("never"), !0);
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!dir.path().join("never").exists());
    }
}

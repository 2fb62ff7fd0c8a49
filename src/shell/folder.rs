//! The folder that a path lies in.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The folder that a path lies in, as something that can be opened: `.` for a bare name, whose parent is the empty
/// path, which no system call takes. `/` lies in itself.
#[must_use]
pub fn of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Makes a folder that only its user may enter, and what it lies in as any other; one that is there is left as it is.
///
/// # Errors
/// What keeps it from being made, or that something else lies there.
pub fn private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(of(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(_) if path.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_folder_is_closed_to_others_and_one_that_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (above, data) = (dir.path().join("above"), dir.path().join("above/data"));
        private(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        assert_eq!(mode(&above), mode(&other), "what it lies in is as any other");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
        private(&data).unwrap();
        assert_eq!(mode(&data), 0o750);
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(private(&dir.path().join("file")).is_err() && private(&dir.path().join("file/data")).is_err());
    }

    #[test]
    fn every_path_lies_in_a_folder_with_a_name() {
        for (path, folder) in [("a", "."), ("./a", "."), ("a/b", "a"), ("/a", "/"), ("/", "/"), ("a/", ".")] {
            assert_eq!(of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}

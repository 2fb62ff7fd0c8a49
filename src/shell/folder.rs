//! The folder that a path lies in.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_lies_in_a_folder_with_a_name() {
        for (path, folder) in [("a", "."), ("./a", "."), ("a/b", "a"), ("/a", "/"), ("/", "/"), ("a/", ".")] {
            assert_eq!(of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}

//! Artefacts that a run wrote and never committed, kept before its checkout is removed.
//!
//! The checkout belonged to an agent: nothing of it is followed, only regular files are read, and
//! their number, size and depth are bounded. Its processes are verified gone.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most files kept of a task.
const FILES: usize = 1000;
/// Largest file kept, bytes.
const LARGEST: u64 = 16 << 20;
/// Deepest folder looked into, below the artefact folder.
const DEPTH: usize = 16;

/// Copies what lies in the artefact folder of each checkout below `checkouts` and is not in the
/// archive `to` already; how many files.
///
/// # Errors
/// A file of ours cannot be written; what cannot be read of the agent's is left out.
pub(super) fn copy(checkouts: &Path, folder: &str, to: &Path) -> io::Result<usize> {
    let mut copied = 0;
    let Ok(slots) = fs::read_dir(checkouts) else { return Ok(0) };
    for slot in slots.flatten() {
        let Some(from) = inner(&slot.path(), folder) else { continue };
        for file in files(&from) {
            if copied == FILES {
                return Ok(copied);
            }
            let (Ok(rest), Ok(bytes)) = (file.strip_prefix(&from), fs::read(&file)) else {
                continue;
            };
            if fs::read(to.join(rest)).is_ok_and(|known| known == bytes) {
                continue;
            }
            let kept = to.join("unfinished").join(slot.file_name()).join(rest);
            if let Some(parent) = kept.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(kept, bytes)?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// The folder below `root`, if every part of the way is a folder and none a link.
fn inner(root: &Path, folder: &str) -> Option<PathBuf> {
    let mut path = root.to_owned();
    for part in Path::new(folder).components() {
        let Component::Normal(name) = part else { return None };
        path.push(name);
        if !fs::symlink_metadata(&path).ok()?.is_dir() {
            return None;
        }
    }
    fs::symlink_metadata(root).ok()?.is_dir().then_some(path)
}

/// The regular files below a folder that are not too large, nearest first.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
            if meta.is_dir() && depth < DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if meta.is_file() && meta.len() <= LARGEST && found.len() < FILES {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn b_stop_2_what_was_never_committed_is_kept_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (checkouts, to) = (dir.path().join("t1"), dir.path().join("archive"));
        let docs = checkouts.join("analyst/docs/X-1");
        fs::create_dir_all(docs.join("06-adr")).unwrap();
        fs::write(docs.join("01-brd.md"), "half").unwrap();
        fs::write(docs.join("06-adr/1.md"), "a decision").unwrap();
        fs::write(docs.join("02-trz.md"), "known").unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join("02-trz.md"), "known").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        symlink(dir.path().join("secret"), docs.join("link.md")).unwrap();
        symlink(dir.path(), docs.join("away")).unwrap();
        // Another agent made the way to its folder a link.
        fs::create_dir_all(checkouts.join("sly")).unwrap();
        symlink(dir.path(), checkouts.join("sly/docs")).unwrap();
        fs::create_dir_all(dir.path().join("X-1")).unwrap();
        fs::write(dir.path().join("X-1/stolen"), "x").unwrap();
        assert_eq!(copy(&checkouts, "docs/X-1", &to).unwrap(), 2);
        let kept = files(&to.join("unfinished"));
        let names: Vec<_> = kept.iter().map(|p| p.strip_prefix(&to).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["unfinished/analyst/01-brd.md", "unfinished/analyst/06-adr/1.md"]);
        assert_eq!(
            copy(&checkouts, "docs/X-1", &to).unwrap(),
            2,
            "a second time, after a crash, it is the same"
        );
        assert_eq!(copy(&dir.path().join("nowhere"), "docs/X-1", &to).unwrap(), 0);
        assert_eq!(copy(&checkouts, "../X-1", &to).unwrap(), 0, "nothing outside the checkout");
    }
}

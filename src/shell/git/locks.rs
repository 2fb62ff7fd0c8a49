//! Locks that a killed git left behind. git waits for whoever holds one, and nobody does: every later command that needs the
//! same ref would fail, for all tasks of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A lock that nobody has touched for so long has no owner any more: git holds one for a moment, over the writing of a ref.
const STALE: Duration = Duration::from_secs(30);
/// So long after it was written, a file that a git did not finish is nobody's.
const UNFINISHED: Duration = Duration::from_hours(1);

/// What git says before the path of a lock that is there already, and after it.
const AROUND: (&str, &str) = ("Unable to create '", ".lock': File exists");

/// Whether git's words are that a lock is held.
pub(super) fn held(words: &str) -> bool {
    words.split_once(AROUND.0).is_some_and(|(_, rest)| rest.contains(AROUND.1))
}

/// Removes the locks that git's words name, where they lie in one of `ours` and have no owner any more: the next try finds
/// them gone.
pub(super) fn clear(ours: &[PathBuf], words: &str) {
    for said in words.split(AROUND.0).skip(1) {
        let Some((path, _)) = said.split_once(AROUND.1) else { continue };
        let Some(path) = resolved(&PathBuf::from(format!("{path}.lock"))) else {
            continue;
        };
        let within = ours.iter().any(|dir| fs::canonicalize(dir).is_ok_and(|dir| path.starts_with(dir)));
        if within && untouched(&path, STALE) && fs::remove_file(&path).is_ok() {
            tracing::warn!(path = %path.display(), "a lock that an ended git left behind was removed");
        }
    }
}

/// The path without links and dots on the way to its last part.
fn resolved(path: &Path) -> Option<PathBuf> {
    Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?))
}

/// Removes what gits that were killed did not finish: reports of their crash, objects under temporary names.
pub(super) fn sweep(dir: &Path) {
    let mut found = named(dir, "fast_import_crash_");
    for folder in named(&dir.join("objects"), "") {
        found.extend(named(&folder, "tmp_"));
        found.extend(named(&folder, ".tmp-"));
    }
    for path in found.into_iter().filter(|path| untouched(path, UNFINISHED)) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_file(path);
    }
}

/// What lies in a folder under names that begin so.
fn named(dir: &Path, begins: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let chosen = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begins));
    chosen.map(|entry| entry.path()).collect()
}

/// Whether it is a file that nobody has written to for so long. One from so far in the future is of a clock that was put back.
fn untouched(path: &Path, long: Duration) -> bool {
    let Ok(about) = path.symlink_metadata() else { return false };
    let now = SystemTime::now();
    let away = about
        .modified()
        .map(|at| now.duration_since(at).unwrap_or_else(|ahead| ahead.duration()));
    about.is_file() && away.is_ok_and(|away| away >= long)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aged(path: &Path, age: Duration) {
        let file = fs::File::create(path).expect("a file");
        file.set_modified(SystemTime::now() - age).expect("its time");
    }

    #[test]
    fn only_old_locks_of_our_own_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        for folder in [&ours, &theirs] {
            fs::create_dir(folder).expect("a folder");
        }
        let say = |path: &Path| {
            format!(
                "error: cannot lock ref 'refs/a': Unable to create '{}': File exists.\n\nAnother git process …",
                path.display()
            )
        };
        for (lock, age, goes) in [
            (ours.join("old.lock"), 40, true),
            (ours.join("./dotted.lock"), 40, true),
            (ours.join("young.lock"), 5, false),
            (theirs.join("old.lock"), 40, false),
            (ours.join("../theirs/old.lock"), 40, false),
        ] {
            aged(&lock, Duration::from_secs(age));
            assert!(held(&say(&lock)));
            clear(std::slice::from_ref(&ours), &say(&lock));
            assert_eq!(lock.exists(), !goes, "{}", lock.display());
        }
        assert!(!held("fatal: Unable to create '/a/b': Permission denied"));
    }

    #[test]
    fn what_was_not_finished_goes_when_it_is_old() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("objects/ab")).expect("a folder");
        let (old, young) = (Duration::from_hours(2), Duration::from_mins(1));
        for (name, age, goes) in [
            ("fast_import_crash_7", old, true),
            ("fast_import_crash_8", young, false),
            ("objects/ab/tmp_obj_x", old, true),
            ("objects/ab/0123", old, false),
        ] {
            let path = dir.path().join(name);
            aged(&path, age);
            sweep(dir.path());
            assert_eq!(path.exists(), !goes, "{name}");
        }
    }
}

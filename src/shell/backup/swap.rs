//! What lies in a data directory is moved aside, and what was gathered is put in its place. A mark is there from before
//! the first move until after the last: whoever is killed between them leaves it, no service begins beside it, and the
//! next restore takes every move back before it does anything of its own.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{PARTS, Result, failed, sync};
use crate::shell::process::files;
use crate::shell::store::{FRESH, MARK, REPLACED, Restoring};
use crate::shell::{clock, crash};

/// Where tests kill a restore: behind each thing that it changes.
const POINT: &str = "restoring";

/// Moves what is called so in the data directory aside, and puts there what was gathered. Gives the folder that it was moved to,
/// where there was anything.
///
/// # Errors
/// What cannot be moved; all is as it was then, or the mark lies there.
pub(super) fn carry_out(from: &Path, data: &Path, old: Vec<String>) -> Result<Option<PathBuf>> {
    let mark = Restoring {
        from: std::path::absolute(from).unwrap_or_else(|_| from.to_owned()),
        aside: format!("{REPLACED}{}", clock::now().0),
        old,
    };
    // It is written where nothing of it stays if that is cut off.
    let file = data.join(FRESH).join(MARK);
    files::write_json(&file, &mark).map_err(failed(&file))?;
    rename(&file, &data.join(MARK))?;
    sync(data)?;
    if let Err(error) = moves(data, &mark) {
        take_back(data)?;
        return Err(error);
    }
    end(data)?;
    Ok((!mark.old.is_empty()).then(|| data.join(&mark.aside)))
}

fn moves(data: &Path, mark: &Restoring) -> Result<()> {
    let (fresh, aside) = (data.join(FRESH), data.join(&mark.aside));
    if !mark.old.is_empty() {
        fs::create_dir(&aside).map_err(failed(&aside))?;
        crash::point(POINT);
    }
    for name in &mark.old {
        rename(&data.join(name), &aside.join(name))?;
    }
    for name in PARTS.iter().filter(|name| fresh.join(name).exists()) {
        rename(&fresh.join(name), &data.join(name))?;
    }
    if !mark.old.is_empty() {
        sync(&aside)?;
    }
    Ok(())
}

/// Takes back what a restore moved that came to no end: what was there before is there again, whole.
///
/// # Errors
/// What cannot be moved, or a mark that cannot be read; it is still there then.
pub(super) fn take_back(data: &Path) -> Result<()> {
    let file = data.join(MARK);
    let Some(mark) = files::read_json::<Restoring>(&file).map_err(failed(&file))? else {
        return Ok(());
    };
    let aside = data.join(&mark.aside);
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let was_moved = |name: &str| there(&aside.join(name));
    for name in PARTS {
        // What was there and was not moved yet is still itself.
        if was_moved(name) || !mark.old.iter().any(|old| old == name) {
            remove(&data.join(name))?;
        }
    }
    for name in mark.old.iter().filter(|name| was_moved(name)) {
        rename(&aside.join(name), &data.join(name))?;
    }
    if there(&aside) {
        fs::remove_dir(&aside).map_err(failed(&aside))?;
    }
    end(data)
}

/// All is in its place: first that lasts, then the mark goes, last of all.
fn end(data: &Path) -> Result<()> {
    sync(data)?;
    remove(&data.join(FRESH))?;
    crash::point(POINT);
    remove(&data.join(MARK))?;
    crash::point(POINT);
    sync(data)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(failed(from))?;
    crash::point(POINT);
    Ok(())
}

/// Removes a file or a folder; what is not there is well.
fn remove(path: &Path) -> Result<()> {
    let removed = if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    let gone = |e: io::Error| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) };
    removed.or_else(gone).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data directory with `old`, and what was gathered for it.
    fn laid_out(data: &Path) {
        for (name, text) in [("signalbox.db", "old"), ("runs/1/log", "old"), ("checkouts/1/x", "old")] {
            write(&data.join(name), text);
        }
        for (name, text) in [("signalbox.db", "new"), ("runs/2/log", "new"), ("archive/t1/x", "new")] {
            write(&data.join(FRESH).join(name), text);
        }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(data: &Path, name: &str) -> Option<String> {
        fs::read_to_string(data.join(name)).ok()
    }

    fn old() -> Vec<String> {
        ["signalbox.db", "runs", "checkouts"].map(str::to_owned).to_vec()
    }

    fn unmarked(data: &Path) -> bool {
        !data.join(MARK).exists() && !data.join(FRESH).exists()
    }

    #[test]
    fn what_was_there_is_aside_and_what_was_gathered_in_its_place() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        laid_out(data);
        let aside = carry_out(Path::new("/copy"), data, old()).unwrap().unwrap();
        assert_eq!(read(data, "signalbox.db").as_deref(), Some("new"));
        assert!(read(data, "runs/2/log").is_some() && read(data, "runs/1/log").is_none());
        assert_eq!(read(&aside, "signalbox.db").as_deref(), Some("old"));
        assert!(read(&aside, "runs/1/log").is_some() && read(&aside, "checkouts/1/x").is_some());
        assert!(unmarked(data));
    }

    #[test]
    fn where_something_cannot_be_moved_all_is_as_it_was() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        laid_out(data);
        let mut names = old();
        names.push("no such thing".to_owned());
        let told = carry_out(Path::new("/copy"), data, names).unwrap_err().to_string();
        assert!(told.contains("no such thing"), "{told}");
        assert_eq!(read(data, "signalbox.db").as_deref(), Some("old"));
        assert!(read(data, "runs/1/log").is_some() && read(data, "checkouts/1/x").is_some());
        assert!(read(data, "runs/2/log").is_none() && read(data, "archive/t1/x").is_none());
        assert!(unmarked(data));
        let left = fs::read_dir(data).unwrap().flatten();
        assert_eq!(left.filter(|e| e.file_name().to_string_lossy().starts_with(REPLACED)).count(), 0);
    }

    #[test]
    fn a_mark_that_cannot_be_read_stays() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(MARK), "{").unwrap();
        let told = take_back(data.path()).unwrap_err().to_string();
        assert!(told.contains(MARK), "{told}");
        assert!(data.path().join(MARK).exists());
    }
}

//! The refs of a repository, read without a process: a file each, the rest in `packed-refs`, as git's
//! own description of a repository's layout has it.
//!
//! Whatever is not exactly that — another way to store refs, a symbolic one, a damaged file, one that
//! may not be read — is no answer, and git is asked instead.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::names::{branch_name, object_id};

/// The commits that these refs (full names) point at; no answer where only git knows.
pub(super) fn at(dir: &Path, names: &[&str]) -> Option<Vec<Option<String>>> {
    files_only(dir)?;
    let loose: Option<Vec<Option<String>>> = names.iter().map(|name| loose(&dir.join(name))).collect();
    let mut found = loose?;
    if found.iter().any(Option::is_none) {
        // After the files: a ref that is being packed is in there before its file goes.
        let packed = packed(dir, "")?;
        for (name, commit) in names.iter().zip(&mut found) {
            if commit.is_none() {
                *commit = packed.get(*name).cloned();
            }
        }
    }
    Some(found)
}

/// The commit of one ref (full name) of any repository, where its files tell it plainly.
pub(crate) fn plain(dir: &Path, name: &str) -> Option<String> {
    at(dir, &[name])?.pop().flatten()
}

/// All branches below `prefix` (`refs/heads/`), by their short names; no answer where only git knows.
pub(super) fn below(dir: &Path, prefix: &str) -> Option<BTreeMap<String, String>> {
    files_only(dir)?;
    let mut files = BTreeMap::new();
    walk(&dir.join(prefix), "", &mut files)?;
    let mut all = packed(dir, prefix)?;
    all.extend(files);
    Some(all)
}

fn files_only(dir: &Path) -> Option<()> {
    let sound = dir.join("HEAD").is_file() && dir.join("refs").is_dir() && !dir.join("reftable").exists();
    sound.then_some(())
}

/// A ref's own file; `Some(None)` where there is none.
fn loose(file: &Path) -> Option<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => object_id(text.trim_end()).ok().map(|id| Some(id.to_owned())),
        // A folder of that name: other refs begin with it.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory
            ) =>
        {
            Some(None)
        }
        Err(_) => None,
    }
}

fn walk(dir: &Path, begins: &str, into: &mut BTreeMap<String, String>) -> Option<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Some(()),
        Err(_) => return None,
    };
    for entry in entries {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str()?.to_owned();
        let kind = entry.file_type().ok()?;
        let short = format!("{begins}{name}");
        if kind.is_dir() {
            walk(&entry.path(), &format!("{short}/"), into)?;
        } else if !kind.is_file() {
            return None;
        } else if !name.ends_with(".lock") {
            branch_name(&short).ok()?;
            // One that went meanwhile is deleted, or packed.
            if let Some(commit) = loose(&entry.path())? {
                into.insert(short, commit);
            }
        }
    }
    Some(())
}

/// What is packed below `prefix`, by what follows it.
fn packed(dir: &Path, prefix: &str) -> Option<BTreeMap<String, String>> {
    let text = match fs::read_to_string(dir.join("packed-refs")) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Some(BTreeMap::new()),
        Err(_) => return None,
    };
    let mut found = BTreeMap::new();
    // A line that begins with `^` tells what the tag before it points at.
    for line in text.lines().filter(|line| !line.starts_with(['#', '^'])) {
        let (id, name) = line.split_once(' ')?;
        let id = object_id(id).ok()?;
        if let Some(short) = name.strip_prefix(prefix) {
            found.insert(short.to_owned(), id.to_owned());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("refs/heads/feature")).unwrap();
        fs::write(dir.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(dir.path().join("refs/heads/main"), format!("{ONE}\n")).unwrap();
        let packed = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{TWO} refs/heads/feature/a\n{TWO} refs/heads/main\n{TWO} refs/tags/v1\n^{ONE}\n"
        );
        fs::write(dir.path().join("packed-refs"), packed).unwrap();
        dir
    }

    fn one(dir: &Path, name: &str) -> Option<Option<String>> {
        at(dir, &[name]).map(|mut found| found.remove(0))
    }

    #[test]
    fn a_file_goes_before_what_is_packed() {
        let dir = repository();
        let names = ["refs/heads/main", "refs/heads/feature/a", "refs/heads/feature", "refs/heads/main/x"];
        let found = at(dir.path(), &names).unwrap();
        assert_eq!(found, [Some(ONE.to_owned()), Some(TWO.to_owned()), None, None]);
        fs::write(dir.path().join("refs/heads/feature/b.lock"), "").unwrap();
        let all = below(dir.path(), "refs/heads/").unwrap();
        let expected = [("feature/a", TWO), ("main", ONE)].map(|(name, id)| (name.to_owned(), id.to_owned()));
        assert_eq!(all, BTreeMap::from(expected));
        assert_eq!(below(dir.path(), "refs/remotes/origin/"), Some(BTreeMap::new()));
    }

    #[test]
    fn what_only_git_can_tell_is_no_answer() {
        for damage in [
            "",
            "ref: refs/heads/other\n",
            "1234\n",
            "2222222222222222222222222222222222222222 x\n",
        ] {
            let dir = repository();
            fs::write(dir.path().join("refs/heads/main"), damage).unwrap();
            assert_eq!(one(dir.path(), "refs/heads/main"), None, "{damage:?}");
            assert_eq!(below(dir.path(), "refs/heads/"), None, "{damage:?}");
        }
        let dir = repository();
        fs::write(dir.path().join("packed-refs"), "what is this\n").unwrap();
        assert_eq!(one(dir.path(), "refs/heads/feature/a"), None);
        assert_eq!(
            one(dir.path(), "refs/heads/main"),
            Some(Some(ONE.to_owned())),
            "nobody had to look there"
        );
        assert_eq!(below(dir.path(), "refs/heads/"), None);
        let dir = repository();
        std::os::unix::fs::symlink("main", dir.path().join("refs/heads/link")).unwrap();
        assert_eq!(below(dir.path(), "refs/heads/"), None);
        for missing in ["HEAD", "refs"] {
            let dir = repository();
            fs::rename(dir.path().join(missing), dir.path().join("away")).unwrap();
            assert_eq!(one(dir.path(), "refs/heads/feature/a"), None, "no {missing}: no repository");
        }
        let dir = repository();
        fs::create_dir(dir.path().join("reftable")).unwrap();
        assert_eq!(one(dir.path(), "refs/heads/main"), None, "its refs are elsewhere");
    }
}

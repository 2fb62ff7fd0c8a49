//! What a repository of ours looks like on disk. Written by hand: a dozen lines of files cost less
//! than `git init`, and no template, hook or setting of the machine gets in.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::GitError;

/// Settings of a repository that only the service uses.
const VAULT: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\thooksPath = /dev/null\n\tfsmonitor = false\n\
    [gc]\n\tauto = 0\n\tpruneExpire = never\n[maintenance]\n\tauto = false\n";
/// Settings of the local forge: what its receiving side refuses by itself.
const FORGE: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\thooksPath = /dev/null\n\tfsmonitor = false\n\
    \tfsync = committed\n\tfsyncMethod = batch\n\
    [gc]\n\tauto = 0\n\tpruneExpire = never\n[maintenance]\n\tauto = false\n\
    [receive]\n\tdenyNonFastForwards = true\n\tdenyDeletes = false\n\tdenyDeleteCurrent = refuse\n\tautogc = false\n\tadvertisePushOptions = false\n";
/// Settings of a task's checkout, before its identity. No garbage collection behind an agent's back.
const CHECKOUT: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
    [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[push]\n\tdefault = nothing\n";
/// What the service ignores in every work tree: its own files for agents.
pub(super) const EXCLUDE: &str = "/.signalbox/\n";
/// Configuration for the far side of a path, which may belong to another user of the machine.
const TRUST: &str = "trust.gitconfig";

/// Which bare repository it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A vault: only ever read by other processes.
    Vault,
    /// The local forge's: pushed to.
    Forge,
}

/// Creates the bare repository, or brings its configuration back to what it has to be.
/// `HEAD` is pointed at `head` when it is given or missing.
pub(crate) fn bare(dir: &Path, kind: Kind, head: Option<&str>) -> Result<(), GitError> {
    let what = format!("cannot set up the repository {}", dir.display());
    let work = || -> io::Result<()> {
        for sub in ["objects/info", "objects/pack", "refs/heads", "info"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        write(&dir.join("config"), if kind == Kind::Vault { VAULT } else { FORGE })?;
        write(&dir.join("info/exclude"), EXCLUDE)?;
        for stray in [
            "info/attributes",
            "info/grafts",
            "info/sparse-checkout",
            "objects/info/alternates",
            "config.worktree",
            "commondir",
        ] {
            absent(fs::remove_file(dir.join(stray)))?;
        }
        let head_file = dir.join("HEAD");
        match head {
            Some(branch) => write(&head_file, &format!("ref: refs/heads/{branch}\n")),
            None if head_file.exists() => Ok(()),
            None => write(&head_file, "ref: refs/heads/main\n"),
        }
    };
    work().map_err(GitError::io(what))?;
    super::locks::sweep(dir);
    Ok(())
}

/// Writes the configuration with which a path remote is read, and gives its place.
pub(crate) fn trust(repository: &Path, remote: Option<&Path>) -> Result<PathBuf, GitError> {
    let file = repository.join(TRUST);
    let text = match remote {
        None => String::new(),
        Some(path) => format!(
            "[safe]\n\tdirectory = {}\n\tdirectory = {}\n",
            quoted(&path.to_string_lossy()),
            quoted(&path.join(".git").to_string_lossy())
        ),
    };
    write(&file, &text).map_err(GitError::io(format!("cannot write {}", file.display())))?;
    Ok(file)
}

/// What a new checkout holds before its files.
pub(crate) struct Fresh<'a> {
    /// Objects that it borrows: absolute.
    pub objects: &'a Path,
    /// Its commit.
    pub sha: &'a str,
    /// Its branch, short.
    pub branch: &'a str,
    /// The default branch and its commit, so that agents can compare.
    pub base: Option<(&'a str, &'a str)>,
    /// Who commits.
    pub name: &'a str,
    /// Their address.
    pub email: &'a str,
}

/// Lays out a checkout's `.git`, in a directory that does not exist yet. Nothing of it waits for the disk: no run survives
/// a machine that goes down, and the next one has a checkout of its own.
pub(crate) fn checkout(dir: &Path, fresh: &Fresh<'_>) -> Result<(), GitError> {
    let what = format!("cannot set up the checkout {}", dir.display());
    let work = || -> io::Result<()> {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::DirBuilder::new().mode(0o755).create(dir)?;
        let git = dir.join(".git");
        for sub in ["objects/info", "objects/pack", "refs/heads", "info"] {
            fs::create_dir_all(git.join(sub))?;
        }
        let format = if fresh.sha.len() == 64 {
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
        } else {
            ""
        };
        let user = format!("[user]\n\tname = {}\n\temail = {}\n", quoted(fresh.name), quoted(fresh.email));
        fs::write(git.join("config"), format!("{CHECKOUT}{format}{user}"))?;
        fs::write(git.join("info/exclude"), EXCLUDE)?;
        fs::write(git.join("objects/info/alternates"), alternates(fresh.objects))?;
        reference(&git, &format!("refs/heads/{}", fresh.branch), fresh.sha)?;
        if let Some((branch, sha)) = fresh.base {
            reference(&git, &format!("refs/remotes/origin/{branch}"), sha)?;
        }
        fs::write(git.join("HEAD"), format!("ref: refs/heads/{}\n", fresh.branch))
    };
    work().map_err(GitError::io(what))
}

/// The content of `objects/info/alternates` of a checkout over these objects.
pub(crate) fn alternates(objects: &Path) -> Vec<u8> {
    let mut line = objects.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    line
}

fn reference(git: &Path, name: &str, sha: &str) -> io::Result<()> {
    let file = git.join(name);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, format!("{sha}\n"))
}

/// A value as git's configuration files quote it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Replaces a file as a whole, so that a crash leaves the old or the new one.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if fs::read(file).is_ok_and(|now| now == text.as_bytes()) {
        return Ok(());
    }
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut handle = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&fresh)?;
    io::Write::write_all(&mut handle, text.as_bytes())?;
    handle.sync_all()?;
    fs::rename(&fresh, file)
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory that an agent may have filled: read-only directories and paths too long
/// for the system's limits included. A symbolic link in its place is removed, never followed.
/// Gone already is success.
pub(crate) fn remove(dir: &Path) -> Result<(), GitError> {
    let work = || -> io::Result<()> {
        match fs::symlink_metadata(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
            Ok(meta) if !meta.is_dir() => return absent(fs::remove_file(dir)),
            Ok(_) => {}
        }
        if fs::remove_dir_all(dir).is_ok() {
            return Ok(());
        }
        loosen(dir)?;
        absent(fs::remove_dir_all(dir))
    };
    work().map_err(GitError::io(format!(
        "cannot remove {}; remove it by hand, then retry",
        dir.display()
    )))
}

/// Makes every directory writable and hoists deep ones to the top, where `remove_dir_all` can
/// reach them without running out of file descriptors.
fn loosen(root: &Path) -> io::Result<()> {
    const DEEPEST: usize = 64;
    let mut hoisted = 0_u64;
    let mut pending = vec![(root.to_owned(), 0)];
    while let Some((dir, depth)) = pending.pop() {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            if depth < DEEPEST {
                pending.push((entry.path(), depth + 1));
                continue;
            }
            hoisted += 1;
            let top = root.join(format!(".hoisted-{hoisted}-{}", std::process::id()));
            // A directory is only renamed where it may be written.
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
            fs::rename(entry.path(), &top)?;
            pending.push((top, 1));
        }
    }
    Ok(())
}

/// Runs work on files without holding up the executor.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, GitError> + Send + 'static) -> Result<T, GitError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(GitError::Io {
            what: "work on files was interrupted".to_owned(),
            source: io::Error::other(e),
        }),
    }
}

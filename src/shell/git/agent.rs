//! Reading a repository that an agent has had its hands on, without running git in it.
//!
//! Fetching from it by path would start `upload-pack` there, which reads the agent's configuration
//! (and the service's `-c` settings do not reach it). So the service reads `HEAD` itself and takes
//! the rest of the repository as nothing but a heap of objects.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::error::printable;
use super::layout::alternates;
use super::names::object_id;

/// How long a chain of symbolic refs is followed.
const HOPS: usize = 5;
const REF_MAX: u64 = 4096;
const PACKED_MAX: u64 = 64 << 20;

/// The commit at `HEAD` of the checkout, or why the repository cannot be accepted: whatever is not
/// as the service laid it out and could lead a reader elsewhere.
pub(super) fn head(dir: &Path, vault_objects: &Path) -> Result<String, String> {
    real_directory(dir, "the checkout")?;
    let git = dir.join(".git");
    real_directory(&git, ".git")?;
    let objects = git.join("objects");
    real_directory(&objects, ".git/objects")?;
    let info = "objects/info/alternates";
    match regular(&git, info, PACKED_MAX) {
        Ok(Some(now)) if now == alternates(vault_objects) => {}
        Ok(_) => return Err(format!(".git/{info} was changed")),
        Err(e) => return Err(format!(".git/{info} cannot be read: {e}")),
    }
    only_plain_files(&objects).map_err(|e| format!(".git/objects cannot be accepted: {e}"))?;
    resolve(&git)
}

fn real_directory(path: &Path, name: &str) -> Result<(), String> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(meta) if meta.is_symlink() => Err(format!("{name} was replaced by a symbolic link")),
        Ok(_) => Err(format!("{name} was replaced by a file")),
        Err(e) => Err(format!("{name} is gone or cannot be read: {e}")),
    }
}

/// Symbolic links would lend the service's rights to whatever they point at; pipes would hang it.
fn only_plain_files(objects: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(objects)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            for inner in std::fs::read_dir(entry.path())? {
                let inner = inner?;
                let kind = inner.file_type()?;
                if !kind.is_file() && !kind.is_dir() {
                    return Err(strange(&inner.path()));
                }
            }
        } else if !kind.is_file() {
            return Err(strange(&entry.path()));
        }
    }
    Ok(())
}

fn strange(path: &Path) -> io::Error {
    let name = path.file_name().map(|n| printable(n.as_encoded_bytes())).unwrap_or_default();
    io::Error::other(format!("`{name}` is neither a file nor a directory"))
}

/// Follows `HEAD` through loose and packed refs.
fn resolve(git: &Path) -> Result<String, String> {
    let mut name = "HEAD".to_owned();
    for _ in 0..HOPS {
        let text = match regular(git, &name, REF_MAX) {
            Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Ok(None) => packed(git, &name)?.ok_or_else(|| format!("{} names no commit", printable(name.as_bytes())))?,
            Err(e) => return Err(format!("{} cannot be read: {e}", printable(name.as_bytes()))),
        };
        match text.strip_prefix("ref:") {
            None => {
                return object_id(&text)
                    .map(str::to_owned)
                    .map_err(|_| format!("{} holds no commit", printable(name.as_bytes())));
            }
            Some(next) => {
                let next = next.trim();
                if !next.starts_with("refs/") || !plain(Path::new(next)) {
                    return Err("HEAD points outside of refs/".to_owned());
                }
                next.clone_into(&mut name);
            }
        }
    }
    Err("HEAD is a chain of symbolic refs without end".to_owned())
}

fn packed(git: &Path, name: &str) -> Result<Option<String>, String> {
    let bytes = regular(git, "packed-refs", PACKED_MAX)
        .map_err(|e| format!("packed-refs cannot be read: {e}"))?
        .unwrap_or_default();
    let line = bytes.split(|b| *b == b'\n').find_map(|line| {
        let (sha, rest) = line.split_at_checked(line.iter().position(|b| *b == b' ')?)?;
        (rest.get(1..)? == name.as_bytes()).then_some(sha)
    });
    Ok(line.map(|sha| String::from_utf8_lossy(sha).into_owned()))
}

fn plain(path: &Path) -> bool {
    path.components().all(|c| matches!(c, Component::Normal(_)))
}

/// Content of a regular file beneath `root`; no symbolic link is followed on the way, no pipe
/// waited for. `None` when there is no such file.
fn regular(root: &Path, inner: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    let base = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_RDONLY;
    let mut at: OwnedFd = nix::fcntl::open(root, base | OFlag::O_DIRECTORY, Mode::empty())?;
    let mut parts = Path::new(inner).components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(io::Error::other("not a path inside the repository"));
        };
        let flags = if parts.peek().is_some() { base | OFlag::O_DIRECTORY } else { base };
        at = match openat(&at, part, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
    }
    let file = File::from(at);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(io::Error::other("too large"));
    }
    Ok(Some(bytes))
}

/// Files of a work tree that git opens by itself: a pipe in their place would hang it.
const OPENED: [&str; 2] = [".gitignore", ".gitattributes"];

/// Directories below the top that hold a `.git` of their own, relative to `dir`, as bytes. They are
/// left out of everything: git would start a process in them, under their configuration.
///
/// # Errors
/// There are more than anyone needs; the directory cannot be read or is none (a link in its place
/// would lend the service's rights); a file that git opens by itself is a pipe or a device.
pub(super) fn nested(dir: &Path) -> Result<Vec<Vec<u8>>, String> {
    const MOST: usize = 1000;
    real_directory(dir, "the checkout")?;
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(at) = pending.pop() {
        let top = at == dir;
        let entries = match std::fs::read_dir(&at) {
            Ok(entries) => entries,
            Err(e) if top => return Err(format!("the checkout cannot be read: {e}")),
            // git cannot enter it either, and says so where it matters.
            Err(_) => continue,
        };
        let mut inner = Vec::new();
        let mut own = false;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let kind = entry.file_type().ok();
            if name.eq_ignore_ascii_case(".git") {
                own = true;
            } else if kind.is_some_and(|t| t.is_dir()) && !(top && name == ".signalbox") {
                inner.push(entry.path());
            } else if OPENED.iter().any(|o| name == *o) && kind.is_some_and(|t| !t.is_file() && !t.is_symlink() && !t.is_dir()) {
                return Err(format!("a {} is no regular file", name.to_string_lossy()));
            }
        }
        if own && !top {
            let path = at.strip_prefix(dir).unwrap_or(&at);
            found.push(path.as_os_str().as_encoded_bytes().to_vec());
        } else {
            pending.append(&mut inner);
        }
        if found.len() > MOST {
            return Err(format!("there are more than {MOST} repositories inside the checkout"));
        }
    }
    Ok(found)
}

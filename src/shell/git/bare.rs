//! A bare repository that belongs to the service: what can be read from it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{Call, Git, Output};
use super::error::GitError;
use super::memory::Memory;
use super::names::object_id;
use super::refs;

/// How much a listing may print, bytes: about two million paths.
const LISTING: usize = 256 << 20;

/// A bare repository of the service. Cheap to clone; clones share what was read.
///
/// What is asked of objects by their ids is asked of git once while it is remembered: the processes
/// that a method names are those of the first time.
#[derive(Debug, Clone)]
pub struct Bare {
    pub(super) git: Git,
    pub(super) dir: Arc<Path>,
    memory: Memory,
}

impl Bare {
    /// The repository at this absolute path, which has been laid out already.
    pub(crate) fn new(git: Git, dir: &Path) -> Self {
        Self {
            git,
            dir: Arc::from(dir),
            memory: Memory::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    pub(crate) fn call(&self, name: &'static str) -> Call {
        self.git.call(name).git_dir(&self.dir)
    }

    /// What a command answers that is told objects only by their ids, which never change what they
    /// name: it is run once. Other exit statuses than these say that something is missing or out of
    /// order, and are no answer to keep.
    async fn lasting(&self, call: Call, answers: &[i32]) -> Result<Output, GitError> {
        let key = call.words();
        if let Some(known) = self.memory.recall(&key) {
            return Ok(known);
        }
        let out = call.run().await?;
        if answers.contains(&out.code) {
            self.memory.keep(key, &out);
        }
        Ok(out)
    }

    /// The same of a command that ends with exit status 0: its standard output.
    async fn known(&self, call: Call) -> Result<Vec<u8>, GitError> {
        let name = call.name();
        let out = self.lasting(call, &[0]).await?;
        if out.code == 0 { Ok(out.stdout) } else { Err(out.failed(name)) }
    }

    /// The commits that these refs (full names) point at. No process, or one where only git knows.
    pub(crate) async fn refs(&self, names: &[&str]) -> Result<Vec<Option<String>>, GitError> {
        if let Some(found) = refs::at(&self.dir, names) {
            return Ok(found);
        }
        let out = self
            .call("for-each-ref")
            .arg("--format=%(objectname) %(refname)")
            .end()
            .args(names)
            .ok()
            .await?;
        let text = String::from_utf8_lossy(&out);
        let found: HashMap<&str, &str> = text
            .lines()
            .filter_map(|l| l.split_once(' '))
            .map(|(sha, name)| (name, sha))
            .collect();
        Ok(names.iter().map(|n| found.get(n).map(|sha| (*sha).to_owned())).collect())
    }

    /// The commit of one ref, as [`Self::refs`].
    pub(crate) async fn reference(&self, name: &str) -> Result<Option<String>, GitError> {
        Ok(self.refs(&[name]).await?.pop().flatten())
    }

    /// Whether `a` is `b` or among its ancestors. At most one process.
    ///
    /// # Errors
    /// One of the commits is not here.
    pub async fn is_ancestor(&self, a: &str, b: &str) -> Result<bool, GitError> {
        let (a, b) = (object_id(a)?, object_id(b)?);
        if a == b {
            return Ok(true);
        }
        let call = self.call("merge-base").arg("--is-ancestor").end().args([a, b]);
        let out = self.lasting(call, &[0, 1]).await?;
        match out.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(out.failed("merge-base")),
        }
    }

    /// The tree of a commit. One process.
    ///
    /// # Errors
    /// The commit is not here.
    pub async fn tree(&self, sha: &str) -> Result<String, GitError> {
        let call = self.call("rev-parse").arg("--verify").end();
        let out = self.known(call.arg(format!("{}^{{tree}}", object_id(sha)?))).await?;
        one_id("rev-parse", &out)
    }

    /// Paths of the regular files below `dir`, relative to it, in git's order; empty when there is
    /// no such folder. Neither symbolic links nor submodules. One process.
    ///
    /// # Errors
    /// The commit is not here.
    pub async fn files(&self, sha: &str, dir: &str) -> Result<Vec<String>, GitError> {
        let Some(dir) = inner_path(dir) else { return Ok(Vec::new()) };
        let prefix = format!("{dir}/");
        let call = self
            .call("ls-tree")
            .literal()
            .args(["-r", "-z"])
            .end()
            .args([object_id(sha)?, "--", &prefix]);
        let out = self.known(call.cap(LISTING)).await?;
        let regular = split(&out).filter_map(|line| {
            let tab = line.iter().position(|b| *b == b'\t')?;
            let path = line.get(tab + 1..)?.strip_prefix(prefix.as_bytes())?;
            (line.starts_with(b"100")).then(|| String::from_utf8_lossy(path).into_owned())
        });
        Ok(regular.collect())
    }

    /// The regular files below `dir`, relative to it, each with its content's id; as
    /// [`Self::files`]. One process.
    ///
    /// # Errors
    /// The commit is not here.
    pub async fn entries(&self, sha: &str, dir: &str) -> Result<Vec<(String, String)>, GitError> {
        let Some(dir) = inner_path(dir) else { return Ok(Vec::new()) };
        let prefix = format!("{dir}/");
        let call = self
            .call("ls-tree")
            .literal()
            .args(["-r", "-z"])
            .end()
            .args([object_id(sha)?, "--", &prefix]);
        let out = self.known(call.cap(LISTING)).await?;
        let regular = split(&out).filter(|line| line.starts_with(b"100")).filter_map(|line| {
            let tab = line.iter().position(|b| *b == b'\t')?;
            let path = line.get(tab + 1..)?.strip_prefix(prefix.as_bytes())?;
            let id = line.get(..tab)?.rsplit(|b| *b == b' ').next()?;
            Some((String::from_utf8_lossy(path).into_owned(), String::from_utf8_lossy(id).into_owned()))
        });
        Ok(regular.collect())
    }

    /// The best common ancestor of two commits; `None` where they share none. One process.
    ///
    /// # Errors
    /// One of the commits is not here.
    pub async fn merge_base(&self, a: &str, b: &str) -> Result<Option<String>, GitError> {
        let call = self.call("merge-base").end().args([object_id(a)?, object_id(b)?]);
        let out = self.lasting(call, &[0, 1]).await?;
        match out.code {
            0 => Ok(Some(one_id("merge-base", &out.stdout)?)),
            1 => Ok(None),
            _ => Err(out.failed("merge-base")),
        }
    }

    /// Commits of `to` that `from` lacks, newest first: short id and first line, at most `max`. One process.
    ///
    /// # Errors
    /// One of the commits is not here.
    pub async fn log(&self, from: &str, to: &str, max: usize) -> Result<Vec<String>, GitError> {
        let range = format!("{}..{}", object_id(from)?, object_id(to)?);
        let call = self
            .call("log")
            .arg(format!("--max-count={max}"))
            .args(["-z", "--topo-order", "--format=%h %s"])
            .end();
        let out = self.known(call.arg(range).cap(LISTING)).await?;
        Ok(split(&out).map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }

    /// Paths that differ between two commits, both sides of a rename. One process.
    ///
    /// # Errors
    /// One of the commits is not here; [`GitError::TooLarge`] beyond about two million paths.
    pub async fn changed(&self, from: &str, to: &str) -> Result<Vec<String>, GitError> {
        let call = self
            .call("diff-tree")
            .args(["-r", "-z", "--no-renames", "--name-only", "--no-commit-id"])
            .end();
        let out = self.known(call.args([object_id(from)?, object_id(to)?]).cap(LISTING)).await?;
        Ok(split(&out).map(|p| String::from_utf8_lossy(p).into_owned()).collect())
    }

    /// The content of a regular file of a commit; `None` when there is none of that name. Two
    /// processes.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] beyond `max` bytes; the commit is not here.
    pub async fn read(&self, sha: &str, path: &str, max: usize) -> Result<Option<Vec<u8>>, GitError> {
        let Some(path) = inner_path(path) else { return Ok(None) };
        let call = self.call("ls-tree").literal().args(["-z", "-l"]).end();
        let out = self.known(call.args([object_id(sha)?, "--", path])).await?;
        let Some((blob, size)) = split(&out).find_map(|line| regular(line, path.as_bytes())) else {
            return Ok(None);
        };
        if size > max {
            return Err(GitError::TooLarge {
                what: path.to_owned(),
                limit: max,
            });
        }
        let call = self.call("cat-file").args(["blob", &blob]).cap(max);
        Ok(Some(self.known(call).await?))
    }

    /// What the commit is about: a hash of its tree without the folder `artefacts`. Equal for two
    /// commits exactly when everything outside that folder is equal. One process.
    ///
    /// # Errors
    /// The commit is not here.
    pub async fn subject(&self, sha: &str, artefacts: &str) -> Result<String, GitError> {
        let key = ["subject", object_id(sha)?, artefacts].map(OsString::from).to_vec();
        if let Some(known) = self.memory.recall(&key) {
            return Ok(String::from_utf8_lossy(&known.stdout).into_owned());
        }
        let subject = super::subject::compute(self, sha, artefacts).await?;
        let (code, stdout, stderr) = (0, subject.clone().into_bytes(), Vec::new());
        self.memory.keep(key, &Output { code, stdout, stderr });
        Ok(subject)
    }
}

/// Blob and size of an `ls-tree -l` line, when it is a regular file of exactly this path.
fn regular(line: &[u8], path: &[u8]) -> Option<(String, usize)> {
    let tab = line.iter().position(|b| *b == b'\t')?;
    if line.get(tab + 1..)? != path {
        return None;
    }
    let head = std::str::from_utf8(line.get(..tab)?).ok()?;
    let mut words = head.split_ascii_whitespace();
    let (mode, _kind, blob, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    mode.starts_with("100").then_some((blob.to_owned(), size.parse().ok()?))
}

/// The path without slashes at its ends, if it names something inside a tree.
pub(super) fn inner_path(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let sound = !path.is_empty() && !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    sound.then_some(path)
}

/// The pieces of a `-z` listing.
pub(super) fn split(out: &[u8]) -> impl Iterator<Item = &[u8]> {
    out.split(|b| *b == 0).filter(|p| !p.is_empty())
}

/// The single object id that a command printed.
pub(super) fn one_id(command: &str, out: &[u8]) -> Result<String, GitError> {
    let text = String::from_utf8_lossy(out);
    object_id(text.trim()).map(str::to_owned).map_err(|e| GitError::Odd {
        command: command.to_owned(),
        what: e.to_string(),
    })
}

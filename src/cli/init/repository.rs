//! The repository that `init` prepares, as git sees it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::exit::Failure;

/// A repository.
pub struct Repository {
    /// Its top folder.
    pub top: PathBuf,
    /// The top folder's name.
    pub name: String,
    /// The branch that work is merged into.
    pub default_branch: String,
}

impl Repository {
    /// The repository around `dir`.
    pub fn of(dir: &Path) -> Result<Self, Failure> {
        let Some(top) = git(dir, &["rev-parse", "--show-toplevel"])? else {
            return Err(Failure::usage(format!("there is no git repository at {}", dir.display()))
                .help("go to your repository and try again, or make one: git init && git commit --allow-empty -m \"first\""));
        };
        if git(dir, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?.is_none() {
            return Err(
                Failure::usage(format!("the repository {top} has no commit yet: there is nothing to branch from"))
                    .help("commit something first: git commit --allow-empty -m \"first\""),
            );
        }
        let top = PathBuf::from(top);
        let name = top.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let default_branch = default_branch(dir)?;
        Ok(Self { top, name, default_branch })
    }
}

/// What the remote calls its default branch, else `main` or `master`, else the branch that is checked out.
fn default_branch(dir: &Path) -> Result<String, Failure> {
    if let Some(remote) = git(dir, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"])?
        && let Some(name) = remote.strip_prefix("origin/")
        && exists(dir, name)?
    {
        return Ok(name.to_owned());
    }
    for name in ["main", "master"] {
        if exists(dir, name)? {
            return Ok(name.to_owned());
        }
    }
    git(dir, &["symbolic-ref", "--quiet", "--short", "HEAD"])?.ok_or_else(|| {
        Failure::usage("no branch is checked out, and there is no main or master").help("check out the branch that work is merged into")
    })
}

fn exists(dir: &Path, branch: &str) -> Result<bool, Failure> {
    Ok(git(dir, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")])?.is_some())
}

/// What git prints; `None` when it says no.
fn git(dir: &Path, args: &[&str]) -> Result<Option<String>, Failure> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args);
    // A hook or an editor may have set these for another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let out = command
        .output()
        .map_err(|e| Failure::other(format!("git cannot be run: {e}")).help("install git 2.38 or newer"))?;
    let text = String::from_utf8_lossy(&out.stdout).trim_end_matches('\n').to_owned();
    Ok((out.status.success() && !text.is_empty()).then_some(text))
}

//! The local forge: a bare repository in the data directory, for work without a server.
//!
//! This is its git side; change requests, reviews and statuses are rows of the store. The person's
//! own repository, where there is one, is only ever read: tasks are merged here, and the person
//! fetches from here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::engine::model::Millis;
use crate::shell::git::{
    Bare, Git, GitError, Identity, Kind, MergeTree, Remote, blocking, branch_name, lay_out_bare, object_id, plain_ref, printable, trust,
};

mod answers;
#[cfg(test)]
mod tests;

pub use answers::{ForgeError, MergeAnswer, Synced};

/// Where the source's branch is kept for comparison.
const SOURCE_REFS: &str = "refs/source";

/// A local forge. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalForge {
    bare: Bare,
    remote: Remote,
    source: Option<(Remote, PathBuf)>,
}

impl LocalForge {
    /// Opens the forge's bare repository at `dir`, creating it when missing. While it has no default
    /// branch it is seeded from `source`: with `default_branch`, else with the branch that the
    /// source's HEAD names. Without a source it starts empty: `main`, until something is pushed.
    /// One process, seven or so when it is seeded.
    ///
    /// # Errors
    /// The source cannot be used as it is ([`ForgeError`] says what to do); git failed.
    pub async fn open(git: Git, dir: &Path, source: Option<&Path>, default_branch: Option<&str>) -> Result<Self, ForgeError> {
        if let Some(branch) = default_branch {
            branch_name(branch).map_err(|why| ForgeError::BadBranch {
                branch: printable(branch.as_bytes()),
                why,
            })?;
        }
        let dir = std::path::absolute(dir).map_err(|source| GitError::Io {
            what: format!("cannot resolve {}", dir.display()),
            source,
        })?;
        let source = source.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let (place, head) = (dir.clone(), default_branch.map(str::to_owned));
        blocking(move || lay_out_bare(&place, Kind::Forge, head.as_deref())).await?;
        let bare = Bare::new(git, &dir);
        let mut default = default_branch.map(str::to_owned).unwrap_or(head_branch(&dir));
        let seeded = bare.reference(&format!("refs/heads/{default}")).await?.is_some();
        let Some(path) = source else {
            return Ok(Self {
                bare,
                remote: Remote::new(&path_text(&dir), &default, None)?,
                source: None,
            });
        };
        let (place, of) = (dir.clone(), path.clone());
        let trust = blocking(move || trust(&place, Some(&of))).await?;
        if !seeded {
            default = inspect(&bare, &trust, &path, default_branch).await?;
        }
        let remote = Remote::new(&path_text(&path), &default, None)?;
        let forge = Self {
            bare,
            remote: Remote::new(&path_text(&dir), &default, None)?,
            source: Some((remote, trust)),
        };
        if !seeded {
            forge.seed(&dir).await?;
        }
        Ok(forge)
    }

    async fn seed(&self, dir: &Path) -> Result<(), ForgeError> {
        let Some(theirs) = self.fetch_source().await? else { return Ok(()) };
        // HEAD first: a crash in between leaves a forge that is seeded again.
        let (place, head) = (dir.to_owned(), self.default_branch().to_owned());
        blocking(move || lay_out_bare(&place, Kind::Forge, Some(&head))).await?;
        self.bare.swap(&self.default_ref(), &theirs, &"0".repeat(theirs.len())).await?;
        Ok(())
    }

    /// How vaults reach it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// The default branch, short name.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        self.remote.default_branch()
    }

    fn default_ref(&self) -> String {
        format!("refs/heads/{}", self.default_branch())
    }

    /// A branch's commit. No process.
    ///
    /// # Errors
    /// git failed.
    pub async fn branch(&self, short: &str) -> Result<Option<String>, ForgeError> {
        if branch_name(short).is_err() {
            return Ok(None);
        }
        Ok(self.bare.reference(&format!("refs/heads/{short}")).await?)
    }

    /// Moves the default branch forward to the source's, when that is strictly ahead. The source is
    /// only read. Four to five processes when it has something new, else none.
    ///
    /// # Errors
    /// The source cannot be read or lacks the branch; the forge's own repository is gone; git failed.
    pub async fn sync(&self) -> Result<Synced, ForgeError> {
        // git would only say that something is no repository, and not which of the two.
        if !self.bare.dir().join("HEAD").exists() {
            return Err(ForgeError::Gone(self.bare.dir().to_owned()));
        }
        let Some(theirs) = self.fetch_source().await? else {
            return Ok(Synced::Same);
        };
        let Some(ours) = self.bare.reference(&self.default_ref()).await? else {
            self.bare.swap(&self.default_ref(), &theirs, &"0".repeat(theirs.len())).await?;
            return Ok(Synced::Forwarded {
                from: "0".repeat(theirs.len()),
                to: theirs,
            });
        };
        if self.bare.is_ancestor(&theirs, &ours).await? {
            return Ok(Synced::Same);
        }
        if !self.bare.is_ancestor(&ours, &theirs).await? {
            return Ok(Synced::Diverged { ours, theirs });
        }
        // Lost against a merge: the next sync compares with what that left.
        let moved = self.bare.swap(&self.default_ref(), &theirs, &ours).await?;
        Ok(if moved {
            Synced::Forwarded { from: ours, to: theirs }
        } else {
            Synced::Same
        })
    }

    /// Brings the source's default branch here; gives its commit.
    async fn fetch_source(&self) -> Result<Option<String>, ForgeError> {
        let Some((source, trust)) = &self.source else { return Ok(None) };
        let kept = format!("{SOURCE_REFS}/{}", self.default_branch());
        let known = self.bare.reference(&kept).await?;
        if known.is_some() && self.source_head(source).await? == known {
            return Ok(known);
        }
        let call = self
            .bare
            .call("fetch")
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
        let call = call.end().args([source.url(), &format!("+{}:{kept}", self.default_ref())]);
        let out = source.reach(call, trust).run().await?;
        if out.code != 0 {
            return Err(self.source_error(source, &out.stderr));
        }
        Ok(self.bare.reference(&kept).await?)
    }

    /// The commit of the source's default branch, where its files tell it plainly.
    async fn source_head(&self, source: &Remote) -> Result<Option<String>, GitError> {
        let Some(path) = source.path() else { return Ok(None) };
        let name = self.default_ref();
        blocking(move || {
            let inner = path.join(".git");
            let dir = if inner.exists() { inner } else { path };
            Ok(plain_ref(&dir, &name))
        })
        .await
    }

    fn source_error(&self, source: &Remote, stderr: &[u8]) -> ForgeError {
        let path = PathBuf::from(source.url());
        let why = printable(stderr);
        if !path.exists() {
            ForgeError::SourceMissing(path)
        } else if why.contains("couldn't find remote ref") {
            ForgeError::NoBranch {
                branch: self.default_branch().to_owned(),
                path,
            }
        } else if why.contains("does not appear to be a git repository") {
            ForgeError::NotARepository { path, why }
        } else {
            ForgeError::Git(source.failed(stderr))
        }
    }

    /// Merges a branch into the default branch by a merge commit, if it is at `head_sha`, and if the
    /// default branch is what was merged against when the commit is put in place. The same call
    /// after a crash finds what the first one did. Four processes.
    ///
    /// # Errors
    /// git failed; what the branches are is an answer.
    pub async fn merge(
        &self,
        head_branch: &str,
        head_sha: &str,
        title: &str,
        who: &Identity,
        at: Millis,
    ) -> Result<MergeAnswer, ForgeError> {
        let head = object_id(head_sha)?;
        if let Err(why) = branch_name(head_branch) {
            return Ok(MergeAnswer::Refused {
                why: format!("`{}` is no branch: {why}", printable(head_branch.as_bytes())),
            });
        }
        if head_branch == self.default_branch() {
            return Ok(MergeAnswer::Refused {
                why: format!("`{head_branch}` is the default branch itself"),
            });
        }
        let (branch_ref, default_ref) = (format!("refs/heads/{head_branch}"), self.default_ref());
        let refs = self.bare.refs(&[&branch_ref, &default_ref]).await?;
        let [now, base] = refs.as_slice() else {
            return Ok(MergeAnswer::HeadMoved { now: None });
        };
        let Some(base) = base else {
            return Ok(MergeAnswer::Refused {
                why: format!("the default branch `{}` does not exist", self.default_branch()),
            });
        };
        let known = self.bare.is_ancestor(head, base).await;
        if matches!(known, Ok(true)) {
            return Ok(MergeAnswer::AlreadyMerged {
                commit: self.brought_by(head, base).await?,
            });
        }
        if now.as_deref() != Some(head) {
            return Ok(MergeAnswer::HeadMoved { now: now.clone() });
        }
        known?;
        let tree = match self.bare.merge_tree(base, head).await? {
            MergeTree::Clean { tree } => tree,
            MergeTree::Conflict { files } if files.is_empty() => {
                return Ok(MergeAnswer::Refused {
                    why: "the two branches have no history in common".to_owned(),
                });
            }
            MergeTree::Conflict { files } => return Ok(MergeAnswer::Conflict { files }),
        };
        let message = if title.trim().is_empty() {
            format!("Merge {head_branch}")
        } else {
            title.to_owned()
        };
        let commit = self.bare.commit(&tree, &[base, head], &message, who, at).await?;
        let done = self.bare.swap(&default_ref, &commit, base).await?;
        Ok(if done {
            MergeAnswer::Merged { commit }
        } else {
            MergeAnswer::BaseMoved
        })
    }

    /// The commit by which the default branch came to have `head`; none while it has it not. Up to three processes.
    ///
    /// # Errors
    /// git failed.
    pub async fn merged(&self, head: &str) -> Result<Option<String>, ForgeError> {
        let head = object_id(head)?;
        let Some(base) = self.bare.reference(&self.default_ref()).await? else {
            return Ok(None);
        };
        match self.bare.is_ancestor(head, &base).await {
            Ok(true) => Ok(Some(self.brought_by(head, &base).await?)),
            // A commit that is not here was not merged here.
            Ok(false) | Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The commit of the default branch's first-parent line that brought `head`: the oldest of that
    /// line among the descendants of `head`, or `head` itself when it is on the line.
    async fn brought_by(&self, head: &str, base: &str) -> Result<String, ForgeError> {
        let call = self.bare.call("rev-list").args(["--ancestry-path", "--parents"]);
        let out = call.end().arg(base).arg(format!("^{head}")).ok().await?;
        let text = String::from_utf8_lossy(&out);
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let first: HashMap<&str, &str> = lines
            .map(|(sha, parents)| (sha, parents.split(' ').next().unwrap_or_default()))
            .collect();
        let mut at = base;
        while let Some(parent) = first.get(at) {
            if *parent == head || !first.contains_key(parent) {
                return Ok(if *parent == head { head } else { at }.to_owned());
            }
            at = parent;
        }
        Ok(head.to_owned())
    }
}

/// The branch to seed from; checks the source on the way.
async fn inspect(bare: &Bare, trust: &Path, path: &Path, wanted: Option<&str>) -> Result<String, ForgeError> {
    if !path.exists() {
        return Err(ForgeError::SourceMissing(path.to_owned()));
    }
    let source = Remote::new(&path_text(path), wanted.unwrap_or("main"), None)?;
    let call = bare.call("ls-remote").arg("--symref").end().arg(source.url());
    let out = source.reach(call, trust).run().await?;
    if out.code != 0 {
        return Err(ForgeError::NotARepository {
            path: path.to_owned(),
            why: printable(&out.stderr),
        });
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let refs: Vec<(&str, &str)> = text.lines().filter_map(|l| l.split_once('\t')).collect();
    let exists = |branch: &str| refs.iter().any(|(_, name)| name.strip_prefix("refs/heads/") == Some(branch));
    if !refs.iter().any(|(_, name)| name.starts_with("refs/heads/") || *name == "HEAD") {
        return Err(ForgeError::NoCommits(path.to_owned()));
    }
    let no_branch = |branch: &str| ForgeError::NoBranch {
        branch: branch.to_owned(),
        path: path.to_owned(),
    };
    if let Some(branch) = wanted {
        return if exists(branch) {
            Ok(branch.to_owned())
        } else {
            Err(no_branch(branch))
        };
    }
    let named = refs
        .iter()
        .find(|(_, name)| *name == "HEAD")
        .and_then(|(to, _)| to.strip_prefix("ref: refs/heads/"));
    match named {
        Some(branch) => match branch_name(branch) {
            Ok(()) => Ok(branch.to_owned()),
            Err(why) => Err(ForgeError::BadBranch {
                branch: branch.to_owned(),
                why,
            }),
        },
        None => Err(ForgeError::Detached(path.to_owned())),
    }
}

/// The branch that the bare repository's HEAD names.
fn head_branch(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("HEAD")).unwrap_or_default();
    let name = text.trim().strip_prefix("ref: refs/heads/").unwrap_or("main");
    if branch_name(name).is_ok() {
        name.to_owned()
    } else {
        "main".to_owned()
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

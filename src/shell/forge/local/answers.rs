//! What the local forge answers, and why it may not.

use std::path::PathBuf;

use crate::shell::git::GitError;

/// Why the local forge cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// Nothing is at the source's path.
    #[error("the source repository {} does not exist: correct the project's `source`, or create it with `git init`", .0.display())]
    SourceMissing(PathBuf),
    /// The source's path is no repository.
    #[error("the source {} is not a git repository ({why}): run `git init` there and commit, or correct the project's `source`", path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// git's words.
        why: String,
    },
    /// The source has no commits.
    #[error("the source repository {} has no commits yet: commit something there first", .0.display())]
    NoCommits(PathBuf),
    /// The source's HEAD names no branch, and no default branch is configured.
    #[error("the source repository {} has a detached HEAD, or one on a branch without commits: check out a branch that has some, or set the project's `default_branch`", .0.display())]
    Detached(PathBuf),
    /// The configured default branch is not there.
    #[error("branch `{branch}` does not exist in {}: correct the project's `default_branch`, or create the branch", path.display())]
    NoBranch {
        /// Short name.
        branch: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The configured default branch cannot be one.
    #[error("`{branch}` cannot be a default branch: {why}")]
    BadBranch {
        /// As configured.
        branch: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The service's own repository is gone from the data directory.
    #[error("the local forge's repository {} is gone: put it back from a backup (`signalbox restore`), or restart the service, which makes it anew without the branches that were in it", .0.display())]
    Gone(PathBuf),
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// What [`LocalForge::sync`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Synced {
    /// Nothing new in the source (or there is none); the forge may be ahead of it.
    Same,
    /// The default branch was moved forward.
    Forwarded {
        /// Its commit before.
        from: String,
        /// Its commit now.
        to: String,
    },
    /// Both have commits that the other lacks: left alone, for a person to merge.
    Diverged {
        /// The forge's commit.
        ours: String,
        /// The source's commit.
        theirs: String,
    },
}

/// What a forge answers to a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeAnswer {
    /// Merged by this commit, which is the default branch's now.
    Merged {
        /// The merge commit.
        commit: String,
    },
    /// The branch is elsewhere than the caller thinks.
    HeadMoved {
        /// Where; `None` when it does not exist.
        now: Option<String>,
    },
    /// It does not merge.
    Conflict {
        /// The files.
        files: Vec<String>,
    },
    /// The default branch moved meanwhile; nothing was changed.
    BaseMoved,
    /// The default branch holds the head already.
    AlreadyMerged {
        /// The commit that brought it.
        commit: String,
    },
    /// It was not merged, as far as can be seen, and nothing says why not: to be looked at again.
    Unclear {
        /// What is known.
        why: String,
    },
    /// It cannot be merged at all.
    Refused {
        /// Why.
        why: String,
    },
}

//! New trees and commits in a bare repository, made without any working copy.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::model::Millis;

use super::bare::{Bare, inner_path, one_id, split};
use super::command::Call;
use super::error::{GitError, printable};
use super::names::{Identity, object_id};

/// What merging two commits gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeTree {
    /// They merge.
    Clean {
        /// The tree that the merge produces.
        tree: String,
    },
    /// They do not.
    Conflict {
        /// The files, in git's order; empty when the two have no history in common.
        files: Vec<String>,
    },
}

/// What joining a run's commits to the task's head gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// They are together at this commit.
    Clean {
        /// The new head.
        head: String,
    },
    /// They contradict each other.
    Conflict {
        /// The files.
        files: Vec<String>,
    },
}

impl Bare {
    /// What merging `head` onto `base` would give; nothing moves. One process.
    ///
    /// # Errors
    /// One of the commits is not here.
    pub async fn merge_tree(&self, base: &str, head: &str) -> Result<MergeTree, GitError> {
        let call = self
            .call("merge-tree")
            .args(["--write-tree", "-z", "--name-only", "--no-messages"])
            .end();
        let out = call.args([object_id(base)?, object_id(head)?]).run().await?;
        let mut parts = split(&out.stdout);
        match (out.code, parts.next()) {
            (0, Some(tree)) => Ok(MergeTree::Clean {
                tree: one_id("merge-tree", tree)?,
            }),
            (1, Some(_)) => Ok(MergeTree::Conflict {
                files: parts.map(printable).collect(),
            }),
            _ if String::from_utf8_lossy(&out.stderr).contains("unrelated histories") => Ok(MergeTree::Conflict { files: Vec::new() }),
            _ => Err(out.failed("merge-tree")),
        }
    }

    /// Makes a commit; the same arguments give the same commit. No ref points at it. One process.
    ///
    /// # Errors
    /// The tree or a parent is not here.
    pub async fn commit(&self, tree: &str, parents: &[&str], message: &str, who: &Identity, at: Millis) -> Result<String, GitError> {
        let mut call = signed(self.call("commit-tree"), who, at).arg("-F").arg("-");
        for parent in parents {
            call = call.arg("-p").arg(object_id(parent)?);
        }
        let out = call.end().arg(object_id(tree)?).stdin(text(message)).ok().await?;
        one_id("commit-tree", &out)
    }

    /// Makes a commit that adds or replaces these files of its parent; the same arguments give the
    /// same commit. No ref points at it. Two processes, however many files.
    ///
    /// # Errors
    /// The parent is not here; a path leaves the tree or cannot be written ([`GitError::Odd`]).
    pub async fn commit_files(
        &self,
        parent: &str,
        files: &[(String, Vec<u8>)],
        message: &str,
        who: &Identity,
        at: Millis,
    ) -> Result<String, GitError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let parent = object_id(parent)?;
        // The ref never exists: it is taken back before the stream ends.
        let tmp = format!("refs/signalbox/{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (name, email, when) = (who.clean_name(), who.clean_email(), seconds(at));
        let message = text(message);
        let mut head = String::new();
        let _ = write!(
            head,
            "commit {tmp}\nmark :1\nauthor {name} <{email}> {when} +0000\ncommitter {name} <{email}> {when} +0000\ndata {}\n{message}\nfrom {parent}\n",
            message.len()
        );
        let mut stream = head.into_bytes();
        for (path, bytes) in files {
            let path = writable(path).ok_or_else(|| GitError::Odd {
                command: "fast-import".to_owned(),
                what: format!("`{}` is no path below the repository's root", printable(path.as_bytes())),
            })?;
            stream.extend_from_slice(format!("M 100644 inline {path}\ndata {}\n", bytes.len()).as_bytes());
            stream.extend_from_slice(bytes);
            stream.push(b'\n');
        }
        let zero = "0".repeat(parent.len());
        stream.extend_from_slice(format!("get-mark :1\nreset {tmp}\nfrom {zero}\n\ndone\n").as_bytes());
        let out = self
            .call("fast-import")
            .args(["--quiet", "--done", "--date-format=raw"])
            .stdin(stream)
            .ok()
            .await?;
        one_id("fast-import", &out)
    }

    /// Brings what a run made (`run_head`, begun at `start`) to the task's present `head`: as it is
    /// when the head has not moved, else by a merge commit. At most four processes.
    ///
    /// # Errors
    /// One of the commits is not here.
    pub async fn join(
        &self,
        head: &str,
        start: &str,
        run_head: &str,
        message: &str,
        who: &Identity,
        at: Millis,
    ) -> Result<Joined, GitError> {
        if head == start || self.is_ancestor(head, run_head).await? {
            return Ok(Joined::Clean { head: run_head.to_owned() });
        }
        if run_head == start || self.is_ancestor(run_head, head).await? {
            return Ok(Joined::Clean { head: head.to_owned() });
        }
        match self.merge_tree(head, run_head).await? {
            MergeTree::Conflict { files } => Ok(Joined::Conflict { files }),
            MergeTree::Clean { tree } => Ok(Joined::Clean {
                head: self.commit(&tree, &[head, run_head], message, who, at).await?,
            }),
        }
    }

    /// Points a ref (full name) at a commit, whatever it was. One process.
    pub(super) async fn point(&self, name: &str, sha: &str) -> Result<(), GitError> {
        self.call("update-ref")
            .arg("--no-deref")
            .end()
            .args([name, object_id(sha)?])
            .ok()
            .await?;
        Ok(())
    }

    /// Points a ref at a commit if it still is at `old`; says whether it was. One or two processes.
    pub(crate) async fn swap(&self, name: &str, new: &str, old: &str) -> Result<bool, GitError> {
        let out = self
            .call("update-ref")
            .arg("--no-deref")
            .end()
            .args([name, object_id(new)?, object_id(old)?])
            .run()
            .await?;
        if out.code == 0 {
            return Ok(true);
        }
        let now = self.reference(name).await?;
        if now.as_deref() == Some(old) {
            Err(out.failed("update-ref"))
        } else {
            Ok(false)
        }
    }
}

/// Author, committer and both dates.
pub(super) fn signed(mut call: Call, who: &Identity, at: Millis) -> Call {
    let date = format!("@{} +0000", seconds(at));
    for role in ["AUTHOR", "COMMITTER"] {
        call = call.env(&format!("GIT_{role}_NAME"), who.clean_name());
        call = call.env(&format!("GIT_{role}_EMAIL"), who.clean_email());
        call = call.env(&format!("GIT_{role}_DATE"), &date);
    }
    call
}

/// Seconds since the epoch, as git wants them.
fn seconds(at: Millis) -> i64 {
    at.0.div_euclid(1000).max(0)
}

/// A message that is never empty and ends with one newline.
fn text(message: &str) -> String {
    let clean = message.replace('\0', "");
    let clean = clean.trim();
    if clean.is_empty() {
        "(no message)\n".to_owned()
    } else {
        format!("{clean}\n")
    }
}

/// A path that may be written: inside the tree, not in a `.git`, on one line, not quoted.
fn writable(path: &str) -> Option<&str> {
    let sound = inner_path(path) == Some(path)
        && !path.starts_with('"')
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| part.eq_ignore_ascii_case(".git"));
    sound.then_some(path)
}

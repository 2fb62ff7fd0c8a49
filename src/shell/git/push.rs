//! Pushing and deleting task branches: compare-and-swap, never by force.

use super::command::{Call, Output};
use super::error::{GitError, no_leave, passes, printable};
use super::names::{TaskBranch, object_id};
use super::vault::Vault;

/// Where the branch is expected to be before a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It does not exist.
    Absent,
    /// Exactly here.
    At(String),
    /// Anywhere among the ancestors of what is pushed, or absent.
    Ancestor,
}

/// How a push ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// The branch was moved.
    Done,
    /// The branch was there already.
    Same,
    /// The branch is elsewhere than expected, or would have to be forced; nothing was changed.
    Moved {
        /// Where it is now; `None` when it does not exist.
        now: Option<String>,
    },
    /// The remote does not want it: protection, a hook of its own, a name in the way.
    Refused {
        /// Its words.
        why: String,
    },
}

/// How deleting a branch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It was deleted.
    Done,
    /// It was gone already.
    Gone,
    /// It is elsewhere than recorded and was left alone.
    Moved {
        /// Where it is now.
        now: String,
    },
    /// The remote does not want to.
    Refused {
        /// Its words.
        why: String,
    },
}

impl Vault {
    /// Pushes a commit of the vault to a task branch. The lease is only ever a compare-and-swap of
    /// a fast-forward: a commit that does not descend from the expected one is not even offered.
    /// Three processes here when it goes well, the far side's besides.
    ///
    /// # Errors
    /// The commit is not here; [`GitError::Remote`].
    pub async fn push(&self, sha: &str, branch: &TaskBranch, expected: &Expected) -> Result<Push, GitError> {
        let (sha, full) = (object_id(sha)?, branch.full());
        let lease = match expected {
            Expected::Ancestor => None,
            Expected::Absent => Some(format!("--force-with-lease={full}:")),
            Expected::At(old) => {
                if !self.is_ancestor(old, sha).await? {
                    return Ok(Push::Moved {
                        now: self.remote_branch(branch.as_str()).await?,
                    });
                }
                Some(format!("--force-with-lease={full}:{old}"))
            }
        };
        let call = self
            .call("push")
            .args(["--porcelain", "--no-verify", "--no-follow-tags"])
            .args(lease);
        let call = call.end().args([self.remote().url(), &format!("{sha}:{full}")]);
        let out = self.send(call).await?;
        let answer = match status(&out.stdout, &full) {
            Some((b'=', _)) => Push::Same,
            Some((b' ' | b'*' | b'+', _)) if out.code == 0 => Push::Done,
            Some((b'!', why)) => {
                let now = self.remote_branch(branch.as_str()).await?;
                if now.as_deref() == Some(sha) {
                    Push::Same
                } else if self.moved(now.as_deref(), sha, expected).await {
                    return Ok(Push::Moved { now });
                } else {
                    return Ok(Push::Refused {
                        why: reason(&why, &out.stderr),
                    });
                }
            }
            _ => return Err(self.remote().failed(&out.stderr)),
        };
        // A fetch under way moves the same refs.
        let _one_at_a_time = self.fetching.lock().await;
        self.point(&format!("refs/remotes/origin/{branch}"), sha).await?;
        Ok(answer)
    }

    /// Talks to the remote. What passes by itself on its side is no answer of it.
    async fn send(&self, call: Call) -> Result<Output, GitError> {
        let call = match self.remote().path() {
            Some(forge) => call.locks(&forge),
            None => call,
        };
        let out = self.remote().reach(call, self.trust()).run().await?;
        let said = String::from_utf8_lossy(&out.stderr);
        // A path is a repository of our own: what keeps git out there is no answer either.
        let kept_out = self.remote().path().is_some() && no_leave(&said);
        if out.code != 0 && (passes(&said) || kept_out) {
            return Err(self.remote().failed(&out.stderr));
        }
        Ok(out)
    }

    /// Whether a refused push has its reason in where the branch is now.
    async fn moved(&self, now: Option<&str>, sha: &str, expected: &Expected) -> bool {
        match (expected, now) {
            (Expected::Absent, now) => now.is_some(),
            (Expected::At(old), now) => now != Some(old),
            (Expected::Ancestor, None) => false,
            // A commit that is not even here is none of ours.
            (Expected::Ancestor, Some(now)) => !self.is_ancestor(now, sha).await.unwrap_or(false),
        }
    }

    /// Deletes a task branch if it is exactly at `at`. Up to three processes here, the far side's
    /// besides.
    ///
    /// # Errors
    /// [`GitError::Remote`].
    pub async fn delete_branch(&self, branch: &TaskBranch, at: &str) -> Result<Deleted, GitError> {
        let (at, full) = (object_id(at)?, branch.full());
        let call = self
            .call("push")
            .args(["--porcelain", "--no-verify"])
            .arg(format!("--force-with-lease={full}:{at}"));
        let call = call.end().args([self.remote().url(), &format!(":{full}")]);
        let out = self.send(call).await?;
        let answer = match status(&out.stdout, &full) {
            Some((b'-', _)) if out.code == 0 => Deleted::Done,
            Some((_, why)) => match self.remote_branch(branch.as_str()).await? {
                None => Deleted::Gone,
                Some(now) if now != at => return Ok(Deleted::Moved { now }),
                Some(_) => {
                    return Ok(Deleted::Refused {
                        why: reason(&why, &out.stderr),
                    });
                }
            },
            // Without a line about the branch git either failed to talk or found nothing to delete.
            None => match self.remote_branch(branch.as_str()).await? {
                None => Deleted::Gone,
                Some(_) => return Err(self.remote().failed(&out.stderr)),
            },
        };
        let _one_at_a_time = self.fetching.lock().await;
        self.call("update-ref")
            .args(["--no-deref", "-d"])
            .end()
            .arg(format!("refs/remotes/origin/{branch}"))
            .ok()
            .await?;
        Ok(answer)
    }
}

/// Flag and summary of the line about this ref in `push --porcelain`.
fn status(out: &[u8], full: &str) -> Option<(u8, String)> {
    let text = String::from_utf8_lossy(out);
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, '\t');
        let (flag, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, to) = refs.rsplit_once(':')?;
        (to == full).then(|| (flag.bytes().next().unwrap_or(b' '), summary.to_owned()))
    })
}

/// The remote's words: the summary's reason, and what its hook printed.
fn reason(summary: &str, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("remote: "))
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let whole = if said.is_empty() {
        summary.to_owned()
    } else {
        format!("{summary}: {}", said.join(" "))
    };
    printable(whole.as_bytes())
}

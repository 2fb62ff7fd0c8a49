//! The vault: the bare repository that every credentialed command runs in.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bare::Bare;
use super::command::Git;
use super::error::{GitError, printable};
use super::layout::{self, Kind, blocking};
use super::names::{branch_name, object_id};
use super::refs;
use super::remote::Remote;

/// One repository's vault. Open it once and clone it: clones share the lock that keeps fetches
/// apart. What a bare repository can answer ([`Bare`]) the vault answers too.
///
/// It never prunes and never collects garbage: the checkouts of tasks borrow its objects.
#[derive(Debug, Clone)]
pub struct Vault {
    bare: Bare,
    remote: Arc<Remote>,
    trust: Arc<Path>,
    pub(super) fetching: Arc<tokio::sync::Mutex<()>>,
}

impl Deref for Vault {
    type Target = Bare;

    fn deref(&self) -> &Bare {
        &self.bare
    }
}

impl Vault {
    /// Opens the vault at `dir`, creating it when missing and bringing its configuration back to
    /// what it has to be. No process; the remote is not asked.
    ///
    /// # Errors
    /// The directory cannot be written; its path cannot stand in `alternates`.
    pub async fn open(git: Git, dir: &Path, remote: Remote) -> Result<Self, GitError> {
        let dir = absolute(dir)?;
        let (place, path) = (dir.clone(), remote.path());
        let trust = blocking(move || {
            layout::bare(&place, Kind::Vault, None)?;
            layout::trust(&place, path.as_deref())
        })
        .await?;
        Ok(Self {
            bare: Bare::new(git, &dir),
            remote: Arc::new(remote),
            trust: Arc::from(trust),
            fetching: Arc::default(),
        })
    }

    /// Its remote.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    pub(super) fn trust(&self) -> &Path {
        &self.trust
    }

    /// Brings all branches of the remote, and forgets those that are gone there. One fetch at a
    /// time; three processes or so, none where the remote lies on this machine and has nothing new.
    ///
    /// # Errors
    /// [`GitError::Remote`].
    pub async fn fetch(&self) -> Result<(), GitError> {
        let _one_at_a_time = self.fetching.lock().await;
        if self.up_to_date().await? {
            return Ok(());
        }
        let call = self
            .call("fetch")
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--prune"]);
        // By name as well: where a page of HTML comes in the place of the repository git finds no branch at all in it, and would
        // take them all for deleted.
        let default = format!("refs/heads/{}", self.remote.default_branch());
        let named = format!("+{default}:refs/remotes/origin/{}", self.remote.default_branch());
        let call = call.end().args([self.remote.url(), "+refs/heads/*:refs/remotes/origin/*", &named]);
        let out = self.remote.reach(call, &self.trust).run().await?;
        if out.code == 0 {
            return Ok(());
        }
        let missing = String::from_utf8_lossy(&out.stderr).contains("couldn't find remote ref");
        if missing && !self.has_base().await? {
            // An empty repository, or the wrong name: whoever needs the branch is told.
            return Ok(());
        }
        Err(if missing {
            self.not_listed()
        } else {
            self.remote.failed(&out.stderr)
        })
    }

    /// Whether the very branches of a remote on this machine are here. Where only git can tell, no.
    async fn up_to_date(&self) -> Result<bool, GitError> {
        let Some(path) = self.remote.path() else { return Ok(false) };
        let (dir, default) = (self.dir().to_owned(), self.remote.default_branch().to_owned());
        blocking(move || {
            let theirs = refs::below(&path, "refs/heads/").filter(|branches| branches.contains_key(&default));
            Ok(theirs.is_some() && theirs == refs::below(&dir, "refs/remotes/origin/"))
        })
        .await
    }

    async fn has_base(&self) -> Result<bool, GitError> {
        let base = format!("refs/remotes/origin/{}", self.remote.default_branch());
        Ok(self.reference(&base).await?.is_some())
    }

    fn not_listed(&self) -> GitError {
        GitError::Remote {
            remote: self.remote.url().to_owned(),
            why: format!(
                "it lists no branch `{}`, which was there before: something else answers in its place, or the branch was deleted or renamed",
                self.remote.default_branch()
            ),
        }
    }

    /// The default branch's commit, as last fetched. As [`Bare::refs`].
    ///
    /// # Errors
    /// [`GitError::NoBranch`]: the repository is empty or the name is wrong.
    pub async fn base(&self) -> Result<String, GitError> {
        let short = self.remote.default_branch();
        let missing = || GitError::NoBranch {
            branch: short.to_owned(),
            remote: self.remote.url().to_owned(),
        };
        self.reference(&format!("refs/remotes/origin/{short}")).await?.ok_or_else(missing)
    }

    /// A branch's commit, as last fetched or pushed; `None` when there is none, also for names that
    /// no branch can have. As [`Bare::refs`].
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn branch(&self, short: &str) -> Result<Option<String>, GitError> {
        if branch_name(short).is_err() {
            return Ok(None);
        }
        self.reference(&format!("refs/remotes/origin/{short}")).await
    }

    /// Short names of all branches, as last fetched. One process.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn branches(&self) -> Result<Vec<String>, GitError> {
        const THERE: &str = "refs/remotes/origin/";
        let out = self
            .call("for-each-ref")
            .arg("--format=%(refname)")
            .end()
            .args([THERE])
            .ok()
            .await?;
        let text = String::from_utf8_lossy(&out);
        Ok(text
            .lines()
            .filter_map(|name| name.strip_prefix(THERE))
            .map(str::to_owned)
            .collect())
    }

    /// A branch's commit, asked of the remote now. Two processes or so, none where its files tell it.
    ///
    /// # Errors
    /// [`GitError::Remote`].
    pub async fn remote_branch(&self, short: &str) -> Result<Option<String>, GitError> {
        if branch_name(short).is_err() {
            return Ok(None);
        }
        let full = format!("refs/heads/{short}");
        let default = format!("refs/heads/{}", self.remote.default_branch());
        if let Some(path) = self.remote.path() {
            let (full, default) = (full.clone(), default.clone());
            let plain = blocking(move || Ok(refs::at(&path, &[&full, &default]))).await?;
            // Without a default branch it is looked at more closely.
            if let Some([branch, Some(_)]) = plain.as_deref() {
                return Ok(branch.clone());
            }
        }
        let call = self.call("ls-remote").end().args([self.remote.url(), &full, &default]);
        let out = self.remote.reach(call, &self.trust).run().await?;
        if out.code != 0 {
            return Err(self.remote.failed(&out.stderr));
        }
        // The pattern also matches `x/refs/heads/…`: only the exact name counts.
        let text = String::from_utf8_lossy(&out.stdout);
        let find = |wanted: &str| text.lines().filter_map(|l| l.split_once('\t')).find(|(_, name)| *name == wanted);
        let line = find(&full);
        if line.is_none() && find(&default).is_none() && self.has_base().await? {
            return Err(self.not_listed());
        }
        line.map(|(sha, _)| object_id(sha).map(str::to_owned)).transpose()
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, GitError> {
    let path = std::path::absolute(dir).map_err(GitError::io(format!("cannot resolve {}", dir.display())))?;
    let bytes = path.as_os_str().as_encoded_bytes();
    // git reads lines from `alternates`, and a leading quote or hash there means something else.
    if bytes.contains(&b'\n') {
        return Err(GitError::Odd {
            command: "init".to_owned(),
            what: format!("the path {} holds a newline", printable(bytes)),
        });
    }
    Ok(path)
}

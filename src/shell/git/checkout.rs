//! A task's working copy: a private clone that borrows the vault's objects.
//!
//! Its configuration, hooks, refs and index are its own, so nothing that an agent plants there
//! reaches the vault or another task. Once an agent has been in it, git is never run in it again.

use std::path::Path;

use super::error::GitError;
use super::layout::{self, Fresh, blocking};
use super::names::{Identity, branch_name, object_id};
use super::vault::Vault;

impl Vault {
    /// Makes the working copy at `dir`: `branch` checked out at `sha`, the default branch's commit
    /// as `origin/<default>` for comparisons. Whatever was at `dir` is removed first. One process.
    ///
    /// # Errors
    /// The commit is not here; the branch's name is none; the directory cannot be removed or made.
    pub async fn checkout(&self, dir: &Path, sha: &str, branch: &str, who: &Identity) -> Result<(), GitError> {
        object_id(sha)?;
        branch_name(branch).map_err(|why| GitError::Name {
            name: super::error::printable(branch.as_bytes()),
            why: why.to_owned(),
        })?;
        let default = self.remote().default_branch().to_owned();
        let base = self.reference(&format!("refs/remotes/origin/{default}")).await?;
        let place = std::path::absolute(dir).map_err(GitError::io(format!("cannot resolve {}", dir.display())))?;
        let (fresh_dir, objects, sha_, branch, who) = (place.clone(), self.objects(), sha.to_owned(), branch.to_owned(), who.clone());
        blocking(move || {
            layout::remove(&fresh_dir)?;
            let (name, email) = (who.clean_name(), who.clean_email());
            let base = base.as_deref().map(|base| (default.as_str(), base));
            let fresh = Fresh {
                objects: &objects,
                sha: &sha_,
                branch: &branch,
                base,
                name: &name,
                email: &email,
            };
            layout::checkout(&fresh_dir, &fresh)
        })
        .await?;
        let call = self.git.call("read-tree").git_dir(&place.join(".git")).work_tree(&place);
        call.args(["-m", "-u"])
            .end()
            .arg(sha)
            .timeout(std::time::Duration::from_mins(30))
            .ok()
            .await?;
        Ok(())
    }

    /// Removes a working copy, whatever an agent made of it. Gone already is success. No process.
    ///
    /// # Errors
    /// It belongs to another user of the machine, or the file system refuses.
    pub async fn remove_checkout(dir: &Path) -> Result<(), GitError> {
        let dir = dir.to_owned();
        blocking(move || layout::remove(&dir)).await
    }
}

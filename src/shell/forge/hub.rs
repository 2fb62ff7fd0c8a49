//! A forge as the shell sees it: change requests, reviews, checks, merges.

use std::path::Path;

use crate::engine::model::{CheckFact, Millis, RepoId, ReviewFact};
use crate::engine::rules;
use crate::shell::git::{Auth, Git, Identity, Remote};
use crate::shell::refused::place;
use crate::shell::secret::Secret;
use crate::shell::store::{ChangeRow, ChangeState, NewChange, Store, StoreError};
use crate::shell::{clock, crash};

use super::gitea::Client;
use super::{ForgeError, Gitea, GiteaError, LocalForge, MergeAnswer, Note, Synced};

/// Why a forge did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The repository behind it.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The server.
    #[error(transparent)]
    Gitea(#[from] GiteaError),
    /// The database behind it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A forge of one project.
pub enum Forge {
    /// A repository on a Gitea or Forgejo server.
    Gitea {
        /// Its API.
        api: Box<Gitea>,
        /// Where the vault fetches from and pushes to.
        remote: Remote,
    },
    /// A bare repository and rows in the service's own database, for people without a forge.
    Local(Local),
}

/// The local forge: the repository, and what a forge knows besides.
pub struct Local {
    git: LocalForge,
    store: Store,
    repo: RepoId,
}

impl Forge {
    /// The local forge of a repository.
    ///
    /// # Errors
    /// The source is missing, no repository, without commits, or the bare one cannot be made.
    pub async fn local(
        git: Git,
        store: Store,
        repo: RepoId,
        dir: &Path,
        source: Option<&Path>,
        default_branch: Option<&str>,
    ) -> Result<Self, ForgeError> {
        let git = LocalForge::open(git, dir, source, default_branch).await?;
        Ok(Self::Local(Local { git, store, repo }))
    }

    /// A repository on a server. Nothing is asked yet.
    ///
    /// # Errors
    /// Address or token cannot be used.
    pub fn on_gitea(store: Store, repo: RepoId, at: &rules::Gitea, token: Secret) -> Result<Self, HubError> {
        let url = format!("{}/{}/{}.git", at.url, at.owner, at.repo);
        // The server takes the password for the token, whatever the user is called.
        let from = format!("`forge.token` of the project is read from {}", place(&at.token));
        let auth = Auth::basic("signalbox", token.reveal()).read_from(from);
        let remote = Remote::new(&url, &at.default_branch, Some(auth)).map_err(ForgeError::Git)?;
        let client = Client::new(&at.url, &at.owner, &at.repo, token)?;
        Ok(Self::Gitea {
            api: Box::new(Gitea::new(client, store, repo, &at.default_branch)),
            remote,
        })
    }

    /// Where the vault fetches from and pushes to.
    #[must_use]
    pub fn remote(&self) -> Remote {
        match self {
            Self::Gitea { remote, .. } => remote.clone(),
            Self::Local(local) => local.git.remote(),
        }
    }

    /// The server's API, where there is a server.
    #[must_use]
    pub fn gitea(&self) -> Option<&Gitea> {
        match self {
            Self::Gitea { api, .. } => Some(api),
            Self::Local(_) => None,
        }
    }

    /// Takes over what people did to the default branch elsewhere.
    ///
    /// # Errors
    /// git.
    pub async fn sync(&self) -> Result<(), HubError> {
        let Self::Local(local) = self else { return Ok(()) };
        if let Synced::Diverged { ours, theirs } = local.git.sync().await? {
            tracing::warn!(%ours, %theirs, "the person's repository and the forge have parted: tasks start from the forge's default branch");
        }
        Ok(())
    }

    /// An open change request for the branch, made where there is none, with its present head.
    ///
    /// # Errors
    /// The server or the database.
    pub async fn ensure_change(&self, branch: &str, title: &str, head: &str) -> Result<Option<i64>, HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.ensure(branch, title).await?),
            Self::Local(local) => local,
        };
        let new = NewChange {
            repo: local.repo,
            branch: branch.to_owned(),
            base: local.git.default_branch().to_owned(),
            title: title.to_owned(),
            body: String::new(),
            head: head.to_owned(),
            now: clock::now(),
        };
        Ok(Some(local.store.change_open(new).await?.number))
    }

    /// Reads the branch's change request now, where the rows of the store are only the last known.
    ///
    /// # Errors
    /// The server.
    pub async fn refresh(&self, branch: &str) -> Result<(), HubError> {
        if let Self::Gitea { api, .. } = self {
            api.refresh(branch).await?;
        }
        Ok(())
    }

    /// Why the forge itself says that the branch is not to be deleted, whatever the rules name:
    /// it is protected there, or the default branch. The local forge protects its default branch only.
    ///
    /// # Errors
    /// The server.
    pub async fn keeps(&self, branch: &str) -> Result<Option<&'static str>, HubError> {
        match self {
            Self::Gitea { api, .. } => Ok(api.keeps(branch).await?),
            Self::Local(local) => Ok((branch == local.git.default_branch()).then_some("the forge's default branch")),
        }
    }

    /// Closes the branch's open change request, if there is one. A server shows the note below it; the local forge has
    /// nowhere to.
    ///
    /// # Errors
    /// The server or the database.
    pub async fn close_change(&self, branch: &str, note: &Note<'_>) -> Result<(), HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.close(branch, note).await?),
            Self::Local(local) => local,
        };
        if let Some(change) = local.change(branch).await?.filter(|c| c.state == ChangeState::Open) {
            local.store.change_closed(local.repo, change.number, clock::now()).await?;
        }
        Ok(())
    }

    /// The commit that merged exactly this head of the branch, if it was merged. On the local forge that is the commit by
    /// which the default branch came to have it: what it brought is for the caller to compare.
    ///
    /// # Errors
    /// The server or the database.
    pub async fn merged(&self, branch: &str, head: &str) -> Result<Option<String>, HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.merged(branch, head).await?),
            Self::Local(local) => local,
        };
        let change = local.change(branch).await?;
        if let Some(known) = change
            .as_ref()
            .filter(|c| c.state == ChangeState::Merged && c.head == head)
            .and_then(|c| c.merged_sha.clone())
        {
            return Ok(Some(known));
        }
        // Its commits come first, its row after them: between the two the service may have died, or the disk been full.
        let Some(commit) = local.git.merged(head).await? else {
            return Ok(None);
        };
        if let Some(change) = change.filter(|c| c.state == ChangeState::Open) {
            local.store.change_merged(local.repo, change.number, &commit, clock::now()).await?;
        }
        Ok(Some(commit))
    }

    /// Commit statuses, the latest of each context.
    ///
    /// # Errors
    /// The server or the database.
    pub async fn checks(&self, sha: &str) -> Result<Vec<CheckFact>, HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.checks(sha).await?),
            Self::Local(local) => local,
        };
        let rows = local.store.statuses(local.repo, sha).await?;
        Ok(rows
            .into_iter()
            .map(|row| CheckFact {
                context: row.context,
                state: row.state,
            })
            .collect())
    }

    /// For each reviewer the review that counts: the latest that was not dismissed. Whether it
    /// is current is for the caller to say.
    ///
    /// # Errors
    /// The server or the database.
    pub async fn reviews(&self, branch: &str) -> Result<Vec<ReviewFact>, HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.reviews(branch).await?),
            Self::Local(local) => local,
        };
        let Some(change) = local.change(branch).await? else {
            return Ok(Vec::new());
        };
        let mut latest: Vec<ReviewFact> = Vec::new();
        for row in local.store.reviews(local.repo, change.number).await? {
            latest.retain(|review| review.author != row.author);
            if !row.dismissed {
                latest.push(ReviewFact {
                    author: row.author,
                    state: row.state,
                    commit: row.commit,
                    current: false,
                    body: row.body,
                });
            }
        }
        Ok(latest)
    }

    /// Merges the branch into the default branch if it is at `head`, and records that it did.
    ///
    /// # Errors
    /// The server, git or the database.
    pub async fn merge(&self, branch: &str, head: &str, title: &str, who: &Identity, at: Millis) -> Result<MergeAnswer, HubError> {
        let local = match self {
            Self::Gitea { api, .. } => return Ok(api.merge_pull(branch, head).await?),
            Self::Local(local) => local,
        };
        let answer = local.git.merge(branch, head, title, who, at).await?;
        crash::point("merged-on-disk");
        if let MergeAnswer::Merged { commit } | MergeAnswer::AlreadyMerged { commit } = &answer
            && let Some(change) = local.change(branch).await?
        {
            local.store.change_merged(local.repo, change.number, commit, clock::now()).await?;
        }
        Ok(answer)
    }
}

impl Local {
    /// The branch's change request: the open one, else the latest.
    async fn change(&self, branch: &str) -> Result<Option<ChangeRow>, StoreError> {
        self.store.change_by_branch(self.repo, branch).await
    }
}

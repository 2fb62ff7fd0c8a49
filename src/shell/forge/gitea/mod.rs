//! Gitea, and Forgejo, which speaks the same: pull requests, reviews, statuses and merges over
//! its API. Branches are git's business; only the vault talks git to the server.
//!
//! Everything that decides is read live. What `status` and `show` print is the last known, kept in
//! the store, so that they answer while the server does not.

mod client;
mod comments;
mod contents;
mod error;
mod merge;
mod survey;
#[cfg(test)]
mod tests;
mod verdicts;
mod wire;

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::engine::model::{CheckFact, RepoId, ReviewFact};
use crate::shell::clock;
use crate::shell::store::{ChangeRow, ChangeState, SeenChange, Store};

pub use client::Client;
pub use comments::Note;
pub use contents::{Contents, Entry};
pub use error::GiteaError;
pub use survey::{Guard, Hook, Protection, Repository};
use wire::{Branch, Pull, Remark, Review, Statuses, User, Version};

/// Most closed requests that are looked through for one of a branch.
const CLOSED_MAX: usize = 500;

/// A repository on a Gitea server.
pub struct Gitea {
    client: Client,
    store: Store,
    repo: RepoId,
    default_branch: String,
    me: OnceCell<String>,
    pauses: &'static [Duration],
}

impl Gitea {
    /// The repository; nothing is asked yet, so that a start needs no server.
    #[must_use]
    pub fn new(client: Client, store: Store, repo: RepoId, default_branch: &str) -> Self {
        Self {
            client,
            store,
            repo,
            default_branch: default_branch.to_owned(),
            me: OnceCell::new(),
            pauses: merge::PAUSES,
        }
    }

    /// The login name of the token's user; asked once, when the server first answers.
    ///
    /// # Errors
    /// The server.
    pub async fn me(&self) -> Result<&str, GiteaError> {
        let ask = || async {
            let user: User = self.client.read(&["user"]).await?;
            let version = self
                .client
                .read::<Version>(&["version"])
                .await
                .map(|v| v.version)
                .unwrap_or_default();
            tracing::info!(user = %user.login, %version, "the forge answers");
            Ok(user.login)
        };
        self.me.get_or_try_init(ask).await.map(String::as_str)
    }

    async fn pull(&self, number: i64) -> Result<Pull, GiteaError> {
        self.client.get(&["pulls", &number.to_string()]).await
    }

    /// The branch's pull request: the open one, else the latest.
    ///
    /// The server can neither look for a branch nor be trusted with a pair of branches (it
    /// answers with any request that ever had it): lists are gone through here.
    async fn find_pull(&self, branch: &str) -> Result<Option<Pull>, GiteaError> {
        let known = self.known(branch).await;
        if let Some(row) = &known {
            match self.pull(row.number).await {
                Ok(pull) if pull.brings(branch, &self.default_branch) && pull.open() => return Ok(Some(pull)),
                Ok(_) | Err(GiteaError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(open) = self.search(branch, "open").await? {
            return Ok(Some(open));
        }
        match known {
            Some(row) => match self.pull(row.number).await {
                Ok(pull) => Ok(Some(pull)),
                Err(GiteaError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            None => self.search(branch, "closed").await,
        }
    }

    async fn search(&self, branch: &str, state: &str) -> Result<Option<Pull>, GiteaError> {
        let (mut found, mut seen): (Option<Pull>, usize) = (None, 0);
        let take = |page: Vec<Pull>| {
            let count = page.len();
            seen += count;
            let mine = page.into_iter().filter(|p| p.brings(branch, &self.default_branch));
            let best = mine.chain(found.take()).max_by_key(|p| p.number);
            found = best;
            (
                count,
                (found.is_some() && state == "open") || (state == "closed" && seen >= CLOSED_MAX),
            )
        };
        self.client
            .pages(&["pulls"], &[("state", state), ("sort", "recentupdate")], take)
            .await?;
        Ok(found)
    }

    /// The last known pull request of the branch.
    async fn known(&self, branch: &str) -> Option<ChangeRow> {
        self.store.change_by_branch(self.repo, branch).await.ok().flatten()
    }

    /// Keeps what was seen of a request for those who only look. Failing at it costs them news, no more.
    async fn remember(&self, pull: &Pull) {
        let state = match (pull.merged, pull.open()) {
            (true, _) => ChangeState::Merged,
            (false, true) => ChangeState::Open,
            (false, false) => ChangeState::Closed,
        };
        let merged = pull.merge_commit_sha.clone().filter(|sha| !sha.is_empty());
        let seen = SeenChange {
            repo: self.repo,
            number: pull.number,
            branch: pull.head.label.clone(),
            base: pull.base.name.clone(),
            title: pull.title.clone(),
            state,
            head: pull.head.sha.clone(),
            merged_sha: (state == ChangeState::Merged).then(|| merged.unwrap_or_else(|| pull.head.sha.clone())),
            now: clock::now(),
        };
        if let Err(error) = self.store.change_seen(seen).await {
            tracing::warn!(number = pull.number, %error, "a pull request could not be kept");
        }
    }

    /// An open pull request for the branch, made where there is none; its number. `None` when the
    /// server finds nothing in the branch to ask for.
    pub(super) async fn ensure(&self, branch: &str, title: &str) -> Result<Option<i64>, GiteaError> {
        let ours = |pull: &Pull| pull.open() && pull.base.name == self.default_branch;
        if let Some(open) = self.find_pull(branch).await?.filter(ours) {
            self.remember(&open).await;
            return Ok(Some(open.number));
        }
        let body = json!({"head": branch, "base": self.default_branch, "title": title, "body": ""});
        let made = match self.client.write::<Pull>(Method::POST, &["pulls"], &body).await {
            Ok(made) => made,
            // Someone, or this very request before its answer was lost, was faster.
            Err(error @ GiteaError::Conflict { .. }) => self.search(branch, "open").await?.ok_or(error)?,
            Err(GiteaError::Unprocessable { message, .. }) => {
                tracing::warn!(branch, %message, "the forge makes no pull request");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.remember(&made).await;
        Ok(Some(made.number))
    }

    /// The branch's pull request is read now and kept.
    pub(super) async fn refresh(&self, branch: &str) -> Result<(), GiteaError> {
        self.look(branch).await.map(|_| ())
    }

    async fn look(&self, branch: &str) -> Result<Option<Pull>, GiteaError> {
        let found = self.find_pull(branch).await?;
        if let Some(pull) = &found {
            self.remember(pull).await;
        }
        Ok(found)
    }

    /// Closes the branch's open pull request, if there is one; what is noted below it says why.
    ///
    /// Whether the note can be written decides nothing: a stop does not wait for words.
    pub(super) async fn close(&self, branch: &str, note: &Note<'_>) -> Result<(), GiteaError> {
        let Some(open) = self.look(branch).await?.filter(Pull::open) else {
            return Ok(());
        };
        let number = open.number.to_string();
        if let Err(error) = self.note(open.number, note).await {
            tracing::warn!(number, %error, "nobody is told below the pull request why it is closed");
        }
        let closed: Result<Pull, _> = self
            .client
            .write(Method::PATCH, &["pulls", &number], &json!({"state": "closed"}))
            .await;
        // Whatever was answered: closed is closed, and merged meanwhile is not to be undone.
        match (closed, self.pull(open.number).await?) {
            (_, now) if !now.open() => {
                self.remember(&now).await;
                Ok(())
            }
            (Err(error), _) => Err(error),
            (Ok(_), _) => Err(GiteaError::Malformed {
                what: format!("PATCH pulls/{number}"),
                why: "it is still open after it was closed".to_owned(),
            }),
        }
    }

    /// The commit that merged exactly this head of the branch, if it was merged.
    pub(super) async fn merged(&self, branch: &str, head: &str) -> Result<Option<String>, GiteaError> {
        match self.look(branch).await? {
            Some(pull) => self.merged_by(&pull, head).await,
            None => Ok(None),
        }
    }

    /// The latest status of each context of a commit.
    pub(super) async fn checks(&self, sha: &str) -> Result<Vec<CheckFact>, GiteaError> {
        let mut all = Vec::new();
        let take = |page: Statuses| {
            let count = page.statuses.len();
            all.extend(page.statuses);
            (count, false)
        };
        self.client.pages(&["commits", sha, "status"], &[], take).await?;
        Ok(verdicts::checks(all))
    }

    /// For each reviewer of the branch's pull request the review that counts.
    pub(super) async fn reviews(&self, branch: &str) -> Result<Vec<ReviewFact>, GiteaError> {
        let Some(pull) = self.look(branch).await? else {
            return Ok(Vec::new());
        };
        let mut all: Vec<Review> = Vec::new();
        let take = |page: Vec<Review>| {
            let count = page.len();
            all.extend(page);
            (count, false)
        };
        let number = pull.number.to_string();
        self.client.pages(&["pulls", &number, "reviews"], &[], take).await?;
        let mut found = Vec::new();
        for review in verdicts::counting(all, self.me().await.ok()) {
            let remarks = self.remarks(&number, &review).await?;
            found.extend(verdicts::fact(review, &remarks));
        }
        Ok(found)
    }

    /// What a review says at lines of the code. The list comes whole.
    async fn remarks(&self, pull: &str, review: &Review) -> Result<Vec<Remark>, GiteaError> {
        if review.comments_count <= 0 {
            return Ok(Vec::new());
        }
        let id = review.id.to_string();
        match self.client.get(&["pulls", pull, "reviews", &id, "comments"]).await {
            Err(GiteaError::NotFound { .. }) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Why the server says that the branch is not to be deleted; none where it is gone or may be.
    pub(super) async fn keeps(&self, branch: &str) -> Result<Option<&'static str>, GiteaError> {
        let protected = match self.client.get::<Branch>(&branch_path(branch)).await {
            Ok(found) => found.protected,
            Err(GiteaError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if protected {
            return Ok(Some("protected on the forge"));
        }
        // It may have been made the default branch there after the configuration was written.
        let default = self.client.repository().await?.default_branch;
        Ok(default.eq_ignore_ascii_case(branch).then_some("the forge's default branch"))
    }
}

/// The path of a branch: its slashes stay slashes, which every version and proxy understands.
fn branch_path(branch: &str) -> Vec<&str> {
    std::iter::once("branches").chain(branch.split('/')).collect()
}

//! What the server sends, as far as it is read. Fields that some versions send as `null` or leave
//! out are empty then.

use serde::{Deserialize, Deserializer};

/// `null` is the same as nothing.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// A user.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct User {
    #[serde(default, deserialize_with = "or_empty")]
    pub login: String,
}

/// One end of a pull request.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct End {
    /// The branch's name; `owner:branch` for a branch of a fork. It outlives the branch, `ref` does not.
    #[serde(default, deserialize_with = "or_empty")]
    pub label: String,
    #[serde(default, rename = "ref", deserialize_with = "or_empty")]
    pub name: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub sha: String,
    /// -1 when the repository is gone.
    #[serde(default, deserialize_with = "or_empty")]
    pub repo_id: i64,
}

/// A pull request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pull {
    pub number: i64,
    #[serde(default, deserialize_with = "or_empty")]
    pub title: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub state: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub merged: bool,
    /// False also while the server has not looked yet.
    #[serde(default, deserialize_with = "or_empty")]
    pub mergeable: bool,
    pub merge_commit_sha: Option<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub head: End,
    #[serde(default, deserialize_with = "or_empty")]
    pub base: End,
}

impl Pull {
    /// Whether it brings this branch of the very repository.
    pub fn brings(&self, branch: &str, base: &str) -> bool {
        self.head.label == branch && self.head.repo_id == self.base.repo_id && self.base.name == base
    }

    /// Whether it may still be merged.
    pub fn open(&self) -> bool {
        self.state == "open" && !self.merged
    }
}

/// A review.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Review {
    pub id: i64,
    /// `null` when a team is asked.
    pub user: Option<User>,
    #[serde(default, deserialize_with = "or_empty")]
    pub state: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub commit_id: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub official: bool,
    #[serde(default, deserialize_with = "or_empty")]
    pub dismissed: bool,
    /// How many remarks at lines of the code it comes with.
    #[serde(default, deserialize_with = "or_empty")]
    pub comments_count: i64,
}

impl Review {
    /// Its writer's login; empty where that is a team, or an account that is gone.
    pub fn author(&self) -> &str {
        self.user.as_ref().map_or("", |user| user.login.as_str())
    }
}

/// What a review says at a line of the code.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Remark {
    #[serde(default, deserialize_with = "or_empty")]
    pub path: String,
    /// The line in the new file, from 1; 0 where it is of the old one.
    #[serde(default, deserialize_with = "or_empty")]
    pub position: i64,
    /// The line in the old file, from 1; 0 where it is of the new one.
    #[serde(default, deserialize_with = "or_empty")]
    pub original_position: i64,
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// Who said that it is settled.
    #[serde(default)]
    pub resolver: Option<User>,
}

/// A comment below a pull request or an issue.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Comment {
    /// `null` when the account is gone.
    pub user: Option<User>,
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
}

/// One page of a commit's statuses, the latest of each context. Its own `state` is of this page
/// alone, and counted differently from version to version: it is not read.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Statuses {
    #[serde(default, deserialize_with = "or_empty")]
    pub statuses: Vec<Status>,
}

/// A commit status.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    #[serde(default, deserialize_with = "or_empty")]
    pub id: i64,
    #[serde(default, deserialize_with = "or_empty")]
    pub context: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub status: String,
}

/// A branch, and the protection in force on it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Branch {
    #[serde(default, deserialize_with = "or_empty")]
    pub commit: Id,
    #[serde(default, deserialize_with = "or_empty")]
    pub protected: bool,
}

/// The commit of a branch.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Id {
    #[serde(default, deserialize_with = "or_empty")]
    pub id: String,
}

/// A commit with its parents.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Commit {
    #[serde(default, deserialize_with = "or_empty")]
    pub parents: Vec<Parent>,
}

/// A parent of a commit.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parent {
    #[serde(default, deserialize_with = "or_empty")]
    pub sha: String,
}

/// What the server says it is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Version {
    #[serde(default, deserialize_with = "or_empty")]
    pub version: String,
}

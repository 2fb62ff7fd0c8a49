//! Reading what a repository is, for whoever compares it with the rules, and its webhooks.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value as Json;

use super::branch_path;
use super::client::Client;
use super::error::GiteaError;
use super::wire::{User, Version, or_empty};

/// A repository, as its settings are.
#[derive(Debug, Clone, Deserialize)]
pub struct Repository {
    /// Nothing was ever pushed.
    #[serde(default, deserialize_with = "or_empty")]
    pub empty: bool,
    /// It can only be read.
    #[serde(default, deserialize_with = "or_empty")]
    pub archived: bool,
    /// It follows another one and can only be read.
    #[serde(default, deserialize_with = "or_empty")]
    pub mirror: bool,
    /// Its default branch.
    #[serde(default, deserialize_with = "or_empty")]
    pub default_branch: String,
    /// What the token's user may.
    #[serde(default, deserialize_with = "or_empty")]
    pub permissions: Permissions,
    /// Whether it has pull requests; older servers do not say.
    pub has_pull_requests: Option<bool>,
    /// Whether merge commits are allowed; older servers do not say.
    pub allow_merge_commits: Option<bool>,
    /// Whether the server deletes a branch after its merge.
    #[serde(default, deserialize_with = "or_empty")]
    pub default_delete_branch_after_merge: bool,
}

/// What a user may in a repository.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Permissions {
    /// Change its settings.
    #[serde(default)]
    pub admin: bool,
    /// Write.
    #[serde(default)]
    pub push: bool,
}

/// A branch, and what protects it, as every reader is told.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Guard {
    /// Whether anything does.
    #[serde(default, deserialize_with = "or_empty")]
    pub protected: bool,
    /// Official approvals that a merge needs.
    #[serde(default, deserialize_with = "or_empty")]
    pub required_approvals: i64,
    /// Whether the contexts count.
    #[serde(default, deserialize_with = "or_empty")]
    pub enable_status_check: bool,
    /// Contexts (patterns) that must be green before a merge.
    #[serde(default, deserialize_with = "or_empty")]
    pub status_check_contexts: Vec<String>,
    /// Whether the token's user may merge into it; older servers do not say.
    pub user_can_merge: Option<bool>,
}

/// A rule that protects branches, as administrators of the repository see it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Protection {
    /// Branch or pattern.
    #[serde(default, deserialize_with = "or_empty")]
    pub rule_name: String,
    /// The branch, where the server knows no patterns.
    #[serde(default, deserialize_with = "or_empty")]
    pub branch_name: String,
    /// Commits must be signed.
    #[serde(default, deserialize_with = "or_empty")]
    pub require_signed_commits: bool,
}

impl Protection {
    /// What it protects: a branch or a pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        if self.rule_name.is_empty() {
            &self.branch_name
        } else {
            &self.rule_name
        }
    }
}

/// A webhook. Its secret is never shown.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Hook {
    /// Number.
    #[serde(default, deserialize_with = "or_empty")]
    pub id: i64,
    /// Whether it is sent at all.
    #[serde(default, deserialize_with = "or_empty")]
    pub active: bool,
    /// Fine names of what it hears of.
    #[serde(default, deserialize_with = "or_empty")]
    pub events: Vec<String>,
    /// Address and form.
    #[serde(default, deserialize_with = "or_empty")]
    pub config: HookConfig,
    /// Branches that it hears of; empty or `*` for all.
    #[serde(default, deserialize_with = "or_empty")]
    pub branch_filter: String,
    /// A header that it sends; a change that leaves it out would take it away.
    #[serde(default, deserialize_with = "or_empty")]
    pub authorization_header: String,
}

/// Address and form of a webhook.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HookConfig {
    /// Where it is sent.
    #[serde(default, deserialize_with = "or_empty")]
    pub url: String,
    /// `json` or `form`.
    #[serde(default, deserialize_with = "or_empty")]
    pub content_type: String,
}

impl Client {
    /// What the server says it is, `1.25.1`.
    ///
    /// # Errors
    /// The server.
    pub async fn version(&self) -> Result<String, GiteaError> {
        Ok(self.read::<Version>(&["version"]).await?.version)
    }

    /// The login name of the token's user.
    ///
    /// # Errors
    /// The server.
    pub async fn user(&self) -> Result<String, GiteaError> {
        Ok(self.read::<User>(&["user"]).await?.login)
    }

    /// The repository.
    ///
    /// # Errors
    /// The server; 404 also where the token's user may not see it.
    pub async fn repository(&self) -> Result<Repository, GiteaError> {
        self.get(&[]).await
    }

    /// A branch's protection.
    ///
    /// # Errors
    /// The server.
    pub async fn guard(&self, branch: &str) -> Result<Guard, GiteaError> {
        self.get(&branch_path(branch)).await
    }

    /// The rules that protect branches; administrators of the repository only.
    ///
    /// # Errors
    /// The server.
    pub async fn protections(&self) -> Result<Vec<Protection>, GiteaError> {
        self.get(&["branch_protections"]).await
    }

    /// Whether such a list (`issues`, `pulls`) may be read. It is read, one page.
    ///
    /// # Errors
    /// The server.
    pub async fn readable(&self, list: &str) -> Result<(), GiteaError> {
        self.pages(&[list], &[("state", "closed")], |page: Vec<Json>| (page.len(), true))
            .await
    }

    /// The repository's webhooks; its administrators only.
    ///
    /// # Errors
    /// The server.
    pub async fn hooks(&self) -> Result<Vec<Hook>, GiteaError> {
        let mut all = Vec::new();
        let take = |page: Vec<Hook>| {
            let count = page.len();
            all.extend(page);
            (count, false)
        };
        self.pages(&["hooks"], &[], take).await?;
        Ok(all)
    }

    /// Makes a webhook, or changes the one of this number; gives what the server made of it.
    ///
    /// # Errors
    /// The server.
    pub async fn put_hook(&self, id: Option<i64>, body: &Json) -> Result<Hook, GiteaError> {
        match id.map(|id| id.to_string()) {
            Some(id) => self.write(Method::PATCH, &["hooks", &id], body).await,
            None => self.write(Method::POST, &["hooks"], body).await,
        }
    }
}

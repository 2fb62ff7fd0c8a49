//! Merging through the API: the answer is a hint, the pull request read afterwards is the truth.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::client::message;
use super::error::GiteaError;
use super::wire::Pull;
use super::{Gitea, branch_path};
use crate::shell::forge::MergeAnswer;

/// Pauses while the server is still computing whether the request can be merged.
pub(super) const PAUSES: &[Duration] = &[
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];

/// What the server said to a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It was merged.
    Done,
    /// It is to be merged later, which nobody asked for.
    Scheduled,
    /// No such request, or it is closed.
    Absent,
    /// It was merged before.
    Before,
    /// Still being computed, or in conflict: the words are the same.
    TryAgain,
    /// In conflict, in these files where they are named.
    Conflict(Vec<String>),
    /// The branch is not at the commit that was named.
    HeadMoved,
    /// The default branch moved, or the branch lacks commits of it.
    BaseMoved,
    /// It does not want to, by its configuration.
    Refused(String),
    /// It may or may not have happened.
    Unknown(String),
}

/// Reads the answer to `POST …/merge`.
pub(super) fn said(status: u16, body: &[u8]) -> Said {
    let words = message(body);
    let lower = words.to_lowercase();
    let has = |text: &str| lower.contains(text);
    match status {
        201 => Said::Scheduled,
        200..=299 => Said::Done,
        404 => Said::Absent,
        405 if lower.is_empty() || has("already merged") => Said::Before,
        405 if has("try again") => Said::TryAgain,
        405 if has("behind the base") => Said::BaseMoved,
        409 if has("head out of date") => Said::HeadMoved,
        409 if has("merge push out of date") => Said::BaseMoved,
        409 => conflict(body).map_or_else(|| Said::Unknown(format!("409 {words}")), Said::Conflict),
        400..=499 => Said::Refused(format!(
            "the forge refuses the merge ({status}): {}",
            if words.is_empty() { "no reason given" } else { &words }
        )),
        _ => Said::Unknown(format!("{status} {words}").trim_end().to_owned()),
    }
}

/// The files of a conflict: its body is a structure of the server's own with what git printed.
fn conflict(body: &[u8]) -> Option<Vec<String>> {
    let Ok(Json::Object(fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let printed = |key: &str| fields.get(key).and_then(Json::as_str).unwrap_or_default();
    fields.get("Style")?;
    let text = format!("{}\n{}", printed("StdOut"), printed("StdErr"));
    let lines = text.lines().filter(|l| l.starts_with("CONFLICT"));
    let named = lines.filter_map(|l| l.rsplit_once("Merge conflict in ").map(|(_, file)| file.trim().to_owned()));
    Some(named.collect())
}

impl Gitea {
    /// Merges the branch's open pull request if it is at `head`.
    pub(in crate::shell::forge) async fn merge_pull(&self, branch: &str, head: &str) -> Result<MergeAnswer, GiteaError> {
        let Some(pull) = self.find_pull(branch).await? else {
            return Ok(refused(format!("there is no pull request for {branch}")));
        };
        // A person may have turned it to another branch: that is not what was confirmed, and it may be one that nobody may merge into.
        if pull.base.name != self.default_branch {
            self.remember(&pull).await;
            return Ok(refused(format!(
                "pull request #{} goes into `{}`, and not into `{}`: somebody changed its base; change it back on the forge, then retry",
                pull.number, pull.base.name, self.default_branch
            )));
        }
        // Merged before, or closed by hand: there is nothing to send.
        if !pull.open()
            && let Some(answer) = self.after(&pull, head, Said::Absent).await?
        {
            return Ok(answer);
        }
        self.try_merge(pull.number, branch, head).await
    }

    async fn try_merge(&self, number: i64, branch: &str, head: &str) -> Result<MergeAnswer, GiteaError> {
        let mut pauses = self.pauses.iter();
        loop {
            let said = self.post_merge(number, head).await;
            tracing::info!(number, head, answer = ?said, "the forge was asked to merge");
            let now = self.pull(number).await?;
            if said == Said::Scheduled && now.open() {
                self.cancel_schedule(number).await;
            }
            if let Some(answer) = self.after(&now, head, said.clone()).await? {
                return Ok(match answer {
                    MergeAnswer::HeadMoved { .. } => MergeAnswer::HeadMoved {
                        now: self.branch_commit(branch).await?,
                    },
                    other => other,
                });
            }
            if !self.ready(number, &mut pauses).await? {
                return Ok(MergeAnswer::Conflict { files: Vec::new() });
            }
        }
    }

    /// Waits until the server has computed that the request merges; false when it has not by the end.
    async fn ready(&self, number: i64, pauses: &mut std::slice::Iter<'_, Duration>) -> Result<bool, GiteaError> {
        for pause in pauses {
            tokio::time::sleep(*pause).await;
            if self.pull(number).await?.mergeable {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn post_merge(&self, number: i64, head: &str) -> Said {
        let body = json!({"Do": "merge", "head_commit_id": head});
        let number = number.to_string();
        match self.client.ask(Method::POST, &["pulls", &number, "merge"], Some(&body)).await {
            Ok(answer) => said(answer.status, &answer.body),
            Err(error) => Said::Unknown(error.to_string()),
        }
    }

    /// What the answer comes to, given how the request stands now; `None`: to be tried again.
    async fn after(&self, now: &Pull, head: &str, said: Said) -> Result<Option<MergeAnswer>, GiteaError> {
        self.remember(now).await;
        if now.merged {
            return Ok(Some(match self.merged_by(now, head).await? {
                Some(commit) if said == Said::Done => MergeAnswer::Merged { commit },
                Some(commit) => MergeAnswer::AlreadyMerged { commit },
                None => refused(format!(
                    "pull request #{} was merged by someone else, at {} and not at {head}: see what is on the default branch, then stop the task",
                    now.number, now.head.sha
                )),
            }));
        }
        if now.state != "open" {
            return Ok(Some(refused(format!(
                "pull request #{} was closed by someone: reopen it on the forge and then retry the task, or stop the task",
                now.number
            ))));
        }
        let later = |why: String| MergeAnswer::Unclear { why };
        Ok(Some(match said {
            Said::TryAgain => return Ok(None),
            Said::Conflict(files) => MergeAnswer::Conflict { files },
            Said::HeadMoved => MergeAnswer::HeadMoved { now: None },
            Said::BaseMoved => MergeAnswer::BaseMoved,
            Said::Refused(why) => refused(why),
            Said::Scheduled => refused("the forge put the merge off instead of merging: the schedule was cancelled".to_owned()),
            Said::Done => later("the forge says it merged, and shows the request open".to_owned()),
            Said::Before => later("the forge says it was merged before, and shows the request open".to_owned()),
            Said::Absent => later("the forge says there is no such request, and shows it open".to_owned()),
            Said::Unknown(why) => later(format!("the forge shows the request open after: {why}")),
        }))
    }

    /// The commit that merged exactly this head.
    pub(super) async fn merged_by(&self, pull: &Pull, head: &str) -> Result<Option<String>, GiteaError> {
        let Some(commit) = pull.merge_commit_sha.clone().filter(|sha| pull.merged && !sha.is_empty()) else {
            return Ok(None);
        };
        // The head shown is where the branch is now: it may have moved since.
        if pull.head.sha == head {
            return Ok(Some(commit));
        }
        let found: super::wire::Commit = self.client.get(&["git", "commits", &commit]).await?;
        Ok(found.parents.iter().any(|p| p.sha == head).then_some(commit))
    }

    async fn cancel_schedule(&self, number: i64) {
        let text = number.to_string();
        match self.client.ask(Method::DELETE, &["pulls", &text, "merge"], None).await {
            Ok(answer) if answer.status < 300 => tracing::error!(number, "the forge scheduled a merge that nobody asked for: cancelled"),
            Ok(answer) => tracing::error!(number, status = answer.status, "a scheduled merge could not be cancelled"),
            Err(error) => tracing::error!(number, %error, "a scheduled merge could not be cancelled"),
        }
    }

    /// A branch's commit as the forge has it.
    ///
    /// # Errors
    /// The server.
    pub async fn branch_commit(&self, branch: &str) -> Result<Option<String>, GiteaError> {
        match self.client.get::<super::wire::Branch>(&branch_path(branch)).await {
            Ok(found) => Ok(Some(found.commit.id).filter(|id| !id.is_empty())),
            Err(GiteaError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn refused(why: String) -> MergeAnswer {
    MergeAnswer::Refused { why }
}

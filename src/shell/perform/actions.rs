//! Engine actions: `merge`, with the content check, and `update`.
//!
//! Intent is recorded before the call; after any answer the state is read back.

use serde::{Deserialize, Serialize};

use crate::engine::model::{ActionIntent, Actor, Body, Head, Name, StopState, Task, TaskId};
use crate::engine::rules::Ruleset;
use crate::shell::forge::{HubError, MergeAnswer};
use crate::shell::git::{Expected, GitError, MergeTree, Push};
use crate::shell::service::{Project, Service};
use crate::shell::store::{NewEvent, OutboxRow};
use crate::shell::unsettled::QUIET;
use crate::shell::{clock, crash};

use super::Failure;

/// How often a merge is tried of which nothing comes; with the pauses between, about two minutes.
const UNCLEAR_MAX: u32 = 8;

/// What was about to happen, written down before it did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Intent {
    /// The default branch at `base` is to get the tree `tree`.
    Merge { base: String, tree: String },
    /// The branch is to become `commit`.
    Update { commit: String },
}

/// How an action ended.
struct Ended {
    outcome: &'static str,
    detail: String,
    head: Option<Head>,
}

impl Ended {
    fn new(outcome: &'static str, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
            head: None,
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Later(error.to_string())
    }
}

pub(super) async fn act(service: &Service, row: &OutboxRow, intent: &ActionIntent) -> Result<(), Failure> {
    let id = row
        .target
        .task
        .ok_or_else(|| Failure::Never("the action names no task".to_owned()))?;
    let task = service
        .store
        .task(id)
        .await?
        .ok_or_else(|| Failure::Never("its task is gone".to_owned()))?;
    if task.terminal() || task.control.stop == StopState::Cleaning {
        tracing::info!(task = %task.item, action = %intent.action, "its task is stopped: nothing is done for it any more");
        return Ok(service.store.effect_done(row.id, None, clock::now()).await?);
    }
    let project = service
        .project_of(&task)
        .ok_or_else(|| Failure::Later(format!("no project `{}` is configured", task.project)))?;
    let rules = service
        .rules_of(&task)
        .await
        .ok_or_else(|| Failure::Later("its rules cannot be used".to_owned()))?;
    let acting = Acting {
        service,
        project,
        rules: &rules,
        task: &task,
        row,
        intent,
    };
    let ended = if intent.action == "merge" {
        acting.merge().await?
    } else {
        acting.update().await?
    };
    crash::point("acted");
    let event = NewEvent {
        target: row.target.clone(),
        at: clock::now(),
        cause: Some(row.seq),
        actor: Actor::Service,
        body: Body::ActionEnded {
            visit: intent.visit,
            action: intent.action.clone(),
            outcome: Name::new(ended.outcome),
            detail: ended.detail,
            head: ended.head,
        },
        dedupe: Some(format!("action-{}", row.id)),
    };
    Ok(service.store.effect_done(row.id, Some(event), clock::now()).await?)
}

/// Tells operators once that an engine action fails again and again, though it is tried again; when it has come to an end all
/// the same, that as well. `attempts` are those that failed before this one.
pub(super) async fn tell(service: &Service, task: TaskId, action: &Name, attempts: u32, failure: Option<&Failure>) {
    if attempts < QUIET {
        return;
    }
    let key = format!("{action} of t{task}");
    let item = service.label(task).await;
    let told = match failure {
        Some(Failure::Later(why)) => {
            let text =
                format!("{item}: the {action} fails, and is tried again every minute at least: {why}. `signalbox why {item}` tells more");
            service.store.raise(&key, task, &text, clock::now()).await
        }
        None | Some(Failure::Never(_) | Failure::Nowhere(_) | Failure::LeftOut(_)) => {
            let text = format!("{item}: the {action} that failed has come to an end; `signalbox show {item}` says how");
            service.store.lower(&key, Some(&text), clock::now()).await
        }
        Some(Failure::NotYet(_) | Failure::Wait(..) | Failure::Store(_)) => return,
    };
    if let Err(error) = told {
        tracing::warn!(%error, task = %task, "an action's failure could not be told");
    }
}

struct Acting<'a> {
    service: &'a Service,
    project: &'a Project,
    rules: &'a Ruleset,
    task: &'a Task,
    row: &'a OutboxRow,
    intent: &'a ActionIntent,
}

impl Acting<'_> {
    fn recorded(&self) -> Option<Intent> {
        serde_json::from_value(self.row.progress.clone()?).ok()
    }

    async fn record(&self, intent: &Intent) -> Result<(), Failure> {
        let progress = serde_json::to_value(intent).unwrap_or_default();
        self.service.store.effect_progress(self.row.id, progress).await?;
        crash::point("intent");
        Ok(())
    }

    /// Whether a stop waits for the action. Read anew: it may have come a moment ago.
    async fn stop_waits(&self) -> Result<bool, Failure> {
        let task = self.service.store.task(self.task.id).await?;
        Ok(task.is_some_and(|task| task.control.stop == StopState::Deferred))
    }

    async fn merge(&self) -> Result<Ended, Failure> {
        let vault = &self.project.vault;
        let head = &self.intent.sha;
        // Before each try: what was never asked of the forge is not asked for any more, whether it answers or not.
        if self.recorded().is_none() && self.stop_waits().await? {
            return Ok(Ended::new("stopped", "the stop came before anything was merged"));
        }
        self.project.forge.sync().await?;
        vault.fetch().await?;
        if let Some(Intent::Merge { tree, .. }) = self.recorded()
            && let Some(commit) = self.project.forge.merged(&self.task.branch, head).await?
        {
            return self.verify(&commit, &tree).await;
        }
        let base = vault.base().await?;
        if self.stop_waits().await? && !vault.is_ancestor(head, &base).await? {
            return Ok(Ended::new(
                "stopped",
                format!("the default branch does not have {head}: it is not merged any more"),
            ));
        }
        if let Some(ended) = self.not_mergeable(&base).await? {
            return Ok(ended);
        }
        let tree = match vault.merge_tree(&base, head).await? {
            MergeTree::Clean { tree } => tree,
            MergeTree::Conflict { files } => return Ok(Ended::new("conflict", files.join(", "))),
        };
        self.record(&Intent::Merge { base, tree: tree.clone() }).await?;
        let title = format!("{}: {}", self.task.item, self.task.title);
        let who = self.service.identity();
        let answer = self
            .project
            .forge
            .merge(&self.task.branch, head, &title, &who, self.row.created_at)
            .await?;
        crash::point("merged");
        match answer {
            MergeAnswer::Merged { commit } | MergeAnswer::AlreadyMerged { commit } => self.verify(&commit, &tree).await,
            MergeAnswer::HeadMoved { now } => Ok(Ended::new("head_moved", format!("the branch is at {}", now.unwrap_or_default()))),
            MergeAnswer::Conflict { files } if files.is_empty() => self.conflict(head).await,
            MergeAnswer::Conflict { files } => Ok(Ended::new("conflict", files.join(", "))),
            MergeAnswer::Unclear { why } => self.unclear(why),
            MergeAnswer::BaseMoved => Ok(Ended::new("base_moved", "the default branch moved while it was merged")),
            MergeAnswer::Refused { why } => Ok(Ended::new("refused", why)),
        }
    }

    /// The forge says that it does not merge; the files are looked for here.
    async fn conflict(&self, head: &str) -> Result<Ended, Failure> {
        let vault = &self.project.vault;
        vault.fetch().await?;
        match vault.merge_tree(&vault.base().await?, head).await? {
            MergeTree::Conflict { files } => Ok(Ended::new("conflict", files.join(", "))),
            MergeTree::Clean { .. } => self.unclear("the forge says that it does not merge, git says that it does".to_owned()),
        }
    }

    /// The forge answers, and nothing comes of it: everything is read afresh and tried again, but
    /// not for ever; then a person looks at it.
    fn unclear(&self, why: String) -> Result<Ended, Failure> {
        if self.row.attempts >= UNCLEAR_MAX {
            return Ok(Ended::new("refused", why));
        }
        Err(Failure::Later(why))
    }

    /// Fresh reads under the lease: head and base must be what was reviewed and tested.
    async fn not_mergeable(&self, base: &str) -> Result<Option<Ended>, Failure> {
        let vault = &self.project.vault;
        let head = &self.intent.sha;
        let Some(now) = vault.branch(&self.task.branch).await? else {
            return Ok(Some(Ended::new("refused", format!("branch {} is gone", self.task.branch))));
        };
        if now != *head {
            return Ok(Some(Ended::new(
                "head_moved",
                format!("the branch is at {now}, confirmed was {head}"),
            )));
        }
        if vault.is_ancestor(head, base).await? {
            return Ok(Some(Ended::new(
                "refused",
                format!("{head} is on the default branch already, and not by this service: its work is there, stop the task"),
            )));
        }
        if !vault.is_ancestor(base, head).await? {
            if let MergeTree::Conflict { files } = vault.merge_tree(base, head).await? {
                return Ok(Some(Ended::new("conflict", files.join(", "))));
            }
            return Ok(Some(Ended::new("base_moved", format!("the default branch moved to {base}"))));
        }
        Ok(None)
    }

    /// Read back: the default branch has the merge, and its content is what was computed.
    async fn verify(&self, commit: &str, tree: &str) -> Result<Ended, Failure> {
        let vault = &self.project.vault;
        vault.fetch().await?;
        let base = vault.base().await?;
        if !vault.is_ancestor(commit, &base).await? {
            return Ok(Ended::new(
                "mismatch",
                format!("the forge says {commit} was merged, but the default branch does not have it"),
            ));
        }
        let found = vault.tree(commit).await?;
        if found != tree {
            return Ok(Ended::new(
                "mismatch",
                format!("merge {commit} has tree {found}, expected was {tree}"),
            ));
        }
        Ok(Ended::new("ok", commit))
    }

    /// Merges the default branch into the task branch.
    async fn update(&self) -> Result<Ended, Failure> {
        let vault = &self.project.vault;
        self.project.forge.sync().await?;
        vault.fetch().await?;
        let Some(now) = vault.branch(&self.task.branch).await? else {
            return Ok(Ended::new("refused", format!("branch {} is gone", self.task.branch)));
        };
        if let Some(Intent::Update { commit }) = self.recorded()
            && commit == now
        {
            return self.updated(commit).await;
        }
        if now != self.intent.sha {
            return Ok(Ended::new(
                "head_moved",
                format!("the branch is at {now}, expected was {}", self.intent.sha),
            ));
        }
        let base = vault.base().await?;
        if vault.is_ancestor(&base, &now).await? {
            return self.updated(now).await;
        }
        let tree = match vault.merge_tree(&now, &base).await? {
            MergeTree::Clean { tree } => tree,
            MergeTree::Conflict { files } => return Ok(Ended::new("conflict", files.join(", "))),
        };
        let message = format!("{}: merge the default branch", self.task.item);
        let commit = vault
            .commit(&tree, &[&now, &base], &message, &self.service.identity(), self.row.created_at)
            .await?;
        self.record(&Intent::Update { commit: commit.clone() }).await?;
        let branch = self.project.task_branch(self.rules, self.task)?;
        self.service.store.record_push(self.task.id, &commit).await?;
        match vault.push(&commit, &branch, &Expected::At(now)).await? {
            Push::Done | Push::Same => self.updated(commit).await,
            Push::Moved { now } => Ok(Ended::new("head_moved", format!("the branch is at {}", now.unwrap_or_default()))),
            Push::Refused { why } => Ok(Ended::new("refused", why)),
        }
    }

    async fn updated(&self, sha: String) -> Result<Ended, Failure> {
        let folder = self.project.folder(self.rules, self.task);
        let subject = self.project.vault.subject(&sha, &folder).await?;
        Ok(Ended {
            head: Some(Head { sha, subject }),
            ..Ended::new("ok", "")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::door::tests::World;

    #[tokio::test]
    async fn an_action_that_fails_again_and_again_is_told_once_and_its_end_as_well() {
        let world = World::new("").await;
        let service = &*world.service;
        let task = world.task(|_| ()).await;
        let full = Failure::Later("git commit-tree failed: No space left on device".to_owned());
        let say = async |attempts, failure: Option<&Failure>| tell(service, task.id, &Name::new("merge"), attempts, failure).await;
        let known = async || {
            let all = service.store.notices().await.unwrap();
            all.into_iter().map(|notice| notice.text).collect::<Vec<_>>()
        };
        for attempts in 0..QUIET {
            say(attempts, Some(&full)).await;
            assert_eq!(known().await, [""; 0], "a peer may be back in a moment");
        }
        for attempts in QUIET..QUIET + 3 {
            say(attempts, Some(&full)).await;
        }
        let item = &task.item;
        let text = format!(
            "{item}: the merge fails, and is tried again every minute at least: git commit-tree failed: No space left on device. \
             `signalbox why {item}` tells more"
        );
        assert_eq!(known().await, [text]);
        say(QUIET + 3, None).await;
        assert_eq!(known().await, [""; 0]);
        let effects = service.store.outbox_open().await.unwrap();
        assert_eq!(
            effects.iter().filter(|row| row.effect.kind() == "alert").count(),
            2,
            "its beginning and its end"
        );
    }
}
